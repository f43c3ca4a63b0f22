//! The server has no descriptors left.

use std::time::Duration;

use crate::abi;
use crate::alone;
use crate::bystander::{Bystander, dial};
use crate::support::wire::{BINARY, FIN, Peer};
use crate::support::{REQUEST, read_head, tell};
use crate::target::{Role, Target};
use std::io::Write;
use std::net::TcpStream;
use std::thread;

#[test]
fn s9_without_descriptors_accepting_rests_and_goes_on_by_itself() {
    let _alone = alone();
    const ROOM: usize = 20;
    let target = Target::new(Role::Server, "quiet=1 echo=1 ping_interval=0");
    let bystander = Bystander::watch_without_newcomers(target.port);
    let process = target.victim.id();
    abi::limit_descriptors(process, (target.victim.descriptors() + ROOM) as u64);
    let mut crowd: Vec<TcpStream> = (0..3 * ROOM).map(|_| dial(target.port)).collect();
    for stream in &mut crowd {
        stream.write_all(REQUEST).unwrap();
    }
    let served = |stream: &mut TcpStream| {
        assert!(read_head(stream).starts_with("HTTP/1.1 101 "));
    };
    crowd[..ROOM].iter_mut().for_each(served);
    let before = target.victim.usage().cpu;
    // How long it has nothing to do but to try again.
    thread::park_timeout(Duration::from_secs(2));
    let used = target.victim.usage().cpu.saturating_sub(before);
    tell(format_args!(
        "the processor for {used:?} of 2 s, echoes for the bystander included"
    ));
    assert!(used < Duration::from_secs(1), "{used:?}");
    bystander.report("without descriptors");

    // Whoever leaves makes room, and so does the system.
    crowd.drain(..ROOM);
    crowd[..ROOM].iter_mut().for_each(served);
    abi::limit_descriptors(process, 1_000);
    crowd[ROOM..].iter_mut().for_each(served);
    for stream in crowd {
        let mut peer = Peer::new(stream, true);
        peer.send_frame(FIN | BINARY, b"alive");
        assert_eq!(peer.read_frame().payload, b"alive");
    }
    target.victim.expect_within(8, Duration::from_secs(5));
}
