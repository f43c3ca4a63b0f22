//! Many clients that do little.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::abi;
use crate::bystander::{Bystander, dial, plain};
use crate::support::wire::{self, BINARY, FIN, Peer, frame};
use crate::support::{REQUEST, slowness, tell, wait_until};
use crate::target::{Role, Target};
use crate::victim::Victim;
use crate::{alone, scale};

/// What a connection may cost that has not got to OPEN, in bytes.
pub const HALF_OPEN: usize = 4 << 10;

/// As many as are wanted, or there are descriptors for.
pub fn as_many(wanted: usize) -> usize {
    // Some are in use, and some are for those who are served meanwhile.
    let most = usize::try_from(abi::use_all_descriptors()).unwrap() - 500;
    if most < wanted {
        tell(format_args!(
            "{most} connections in place of {wanted}: there are no more descriptors"
        ));
    }
    wanted.min(most)
}

/// Waits until the server has no more connections than before.
pub fn wait_for_descriptors(victim: &Victim, before: usize) {
    // The bystander's next one may have come.
    wait_until("the connections to end", || {
        victim.descriptors() <= before + 2
    });
}

/// Waits until each of those who came is shown out, without an answer. They have been there since
/// `began` at the latest, and `limit` is the connect timeout.
#[track_caller]
pub fn expect_shown_out<'a>(
    strangers: impl IntoIterator<Item = &'a mut TcpStream>,
    began: Instant,
    limit: Duration,
) {
    for stranger in strangers {
        let answer = read_to_end(stranger);
        assert!(answer.len() < 64, "no more than an alert: {answer:?}");
    }
    expect_in_time(began, limit);
}

/// What the server says until it ends the connection, or resets it.
#[track_caller]
pub fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        // One that is still there would be a timeout.
        let ends = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];
        assert!(ends.contains(&error.kind()), "{error}");
    }
    answer
}

/// Everybody is gone, and the connect timeout has not been exceeded by much.
#[track_caller]
pub fn expect_in_time(began: Instant, limit: Duration) {
    const SLACK: Duration = Duration::from_secs(15);
    let elapsed = began.elapsed();
    tell(format_args!(
        "all are gone {elapsed:.1?} after the last one came; the limit is {limit:?}"
    ));
    assert!(elapsed < limit + SLACK * slowness(), "{elapsed:?}");
}

/// So many strangers say a byte of this each second, until all of them are shown out.
#[track_caller]
pub fn drip(port: u16, count: usize, said: &[u8], limit: Duration) {
    let mut strangers: Vec<TcpStream> = (0..count).map(|_| dial(port)).collect();
    let began = Instant::now();
    for (second, byte) in (1..).zip(said) {
        strangers.retain_mut(|it| it.write_all(&[*byte]).is_ok());
        if strangers.is_empty() {
            break;
        }
        // The pace of the abuse, not a wait for something.
        while began.elapsed() < Duration::from_secs(second) {
            thread::park_timeout(Duration::from_secs(second).saturating_sub(began.elapsed()));
        }
    }
    assert_eq!(strangers.len(), 0, "strangers are left");
    expect_in_time(began, limit);
}

#[track_caller]
pub fn expect_memory(target: &Target, bytes: usize) {
    target.victim.expect_memory(8 + (bytes >> 20) as u64);
}

#[track_caller]
pub fn expect_bounded(target: &Target, bytes: usize, cpu: Duration) {
    target.victim.expect_within(8 + (bytes >> 20) as u64, cpu);
}

#[test]
fn s1_thousands_of_half_open_connections_are_shown_out_and_others_are_served() {
    let _alone = alone();
    let count = as_many(10_000);
    let limit = Duration::from_millis(scale(3_000, 10_000) as u64);
    let settings = format!("quiet=1 echo=1 connect_timeout={}", limit.as_millis());
    let mut target = Target::new(Role::Server, &settings);
    let bystander = Bystander::watch(target.port);
    let before = target.victim.descriptors();
    let heap_before = target.victim.heap();
    let began = Instant::now();
    let mut strangers = Vec::with_capacity(count);
    let mut most = 0;
    for number in 0..count {
        let mut stranger = dial(target.port);
        let said = [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX: "][number % 3];
        stranger.write_all(said).unwrap();
        strangers.push(stranger);
        if number % 500 == 0 {
            most = most.max(target.victim.descriptors());
        }
    }
    let came = Instant::now();
    // The next one is served when all of them are in.
    drop(plain(target.port));
    let there = target.victim.descriptors() - before;
    let heap = target.victim.heap().saturating_sub(heap_before);
    most = most.max(before + there) - before;
    tell(format_args!(
        "{count} came in {:.1?}; {most} were there at a time, and each costs {} bytes of heap",
        came - began,
        heap / there.max(1) as u64
    ));
    expect_shown_out(&mut strangers, came, limit);
    wait_for_descriptors(&target.victim, before);
    bystander.report("half-open connections");
    expect_bounded(&target, count * HALF_OPEN, Duration::from_secs(10));
}

#[test]
fn s1_requests_of_a_byte_a_second_are_shown_out() {
    let _alone = alone();
    let count = as_many(scale(500, 10_000));
    let settings = "quiet=1 echo=1 connect_timeout=3000";
    let target = Target::new(Role::Server, settings);
    let bystander = Bystander::watch(target.port);
    let before = target.victim.descriptors();
    drip(target.port, count, REQUEST, Duration::from_secs(3));
    wait_for_descriptors(&target.victim, before);
    bystander.report("a byte a second");
    expect_bounded(&target, count * HALF_OPEN, Duration::from_secs(5));
}

#[test]
fn s11_clients_that_do_not_read_cost_their_limit_and_nobody_else() {
    let _alone = alone();
    let count = scale(20, 200);
    const LIMIT: usize = 1 << 20;
    let settings = format!("quiet=1 flood=65536 max_buffered={LIMIT} ping_interval=0");
    let mut target = Target::narrow(Role::Server, &settings);
    let quiet = target.victim.listen("quiet=1 echo=1");
    let bystander = Bystander::watch(quiet);
    let mut idlers: Vec<Peer> = (0..count).map(|_| target.unseen("")).collect();
    // The next one is served when all of them have been sent what they get.
    drop(plain(quiet));
    tell(format_args!("heap {} KiB", target.victim.heap() >> 10));
    bystander.report("clients that do not read");
    // Its buffer grows by doubling.
    expect_bounded(&target, 2 * count * LIMIT, Duration::from_secs(10));
    // Nothing of what was taken is lost.
    for idler in &mut idlers {
        for _ in 0..LIMIT / 65_536 {
            assert_eq!(idler.read_frame().payload.len(), 65_536);
        }
    }
}

#[test]
fn s13_clients_that_never_answer_close_are_reaped() {
    let _alone = alone();
    let count = as_many(scale(300, 5_000));
    let settings = "quiet=1 close=1000 close_timeout=500";
    let mut target = Target::new(Role::Server, settings);
    let quiet = target.victim.listen("quiet=1 echo=1");
    let bystander = Bystander::watch(quiet);
    let before = target.victim.descriptors();
    let mut deaf: Vec<Peer> = (0..count).map(|_| target.unseen("")).collect();
    for (number, peer) in deaf.iter_mut().enumerate() {
        if number % 2 == 0 {
            // Says everything but Close, as long as it is listened to.
            let _ = peer
                .stream
                .write_all(&wire::masked(&frame(FIN | BINARY, &[0; 1_000])));
        }
        let mut end = Vec::new();
        match peer.stream.read_to_end(&mut end) {
            Ok(_) => assert_eq!(end, wire::close(1000, b"")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    wait_for_descriptors(&target.victim, before);
    bystander.report("clients that never answer Close");
    expect_bounded(&target, count * HALF_OPEN, Duration::from_secs(10));
}
