//! Requests that nobody answers, with much behind them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::bystander::{Bystander, dial, plain};
use crate::crowds::{read_to_end, wait_for_descriptors};
use crate::secure::SecureTarget;
use crate::support::tls::ask;
use crate::support::wire::{BINARY, FIN, frame, masked};
use crate::support::{REQUEST, slowness, tell};
use crate::target::{Role, Target};
use crate::victim::Victim;
use crate::{alone, scale};

/// What a connection may cost while the application decides, in bytes: what was read together with
/// the request.
const UNDECIDED: usize = 32 << 10;
/// The same through TLS: a record may be incomplete, and there is the session.
const UNDECIDED_IN_TLS: usize = 80 << 10;

/// Long enough for everybody to come.
fn settings() -> String {
    format!(
        "quiet=1 ask=1 connect_timeout={}",
        scale(3_000, 15_000) as u32 * slowness()
    )
}

/// A request, and frames of so many bytes behind it.
fn with_behind(len: usize) -> Vec<u8> {
    let frames = masked(&frame(FIN | BINARY, &[7; 1_000])).repeat(len / 1_000);
    [REQUEST, &frames].concat()
}

/// All that came are in: what they cost is what was read from them.
#[track_caller]
fn expect_little(victim: &mut Victim, quiet: u16, before: u64, count: usize, most: usize) {
    // The next one is served when all of them have been read from.
    drop(plain(quiet));
    let each = victim.heap().saturating_sub(before) / count as u64;
    tell(format_args!("{each} bytes of heap for each of {count}"));
    assert!(each < most as u64, "{each} bytes for each");
    victim.expect_memory(8 + ((count * most) >> 20) as u64);
}

/// Each is refused when its time is over, and nothing else is said.
#[track_caller]
fn expect_refusal(stream: &mut impl Read) {
    // There may be more behind the request than anybody reads, which makes a reset of the end.
    let answer = String::from_utf8(read_to_end(stream)).unwrap();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 503 "),
        "{answer}"
    );
}

#[test]
fn s5_frames_behind_a_request_that_nobody_answers_are_not_read() {
    let _alone = alone();
    let count = scale(200, 1_000);
    let mut target = Target::new(Role::Server, &settings());
    let quiet = target.victim.listen("quiet=1 echo=1");
    let bystander = Bystander::watch(quiet);
    let before = target.victim.descriptors();
    let heap_before = target.victim.heap();
    let bytes = with_behind(1 << 20);
    let mut crowd: Vec<TcpStream> = (0..count).map(|_| dial(target.port)).collect();
    for stream in &mut crowd {
        stream.set_nonblocking(true).unwrap();
        let mut rest = &bytes[..];
        // As much as the system takes.
        while let Ok(len @ 1..) = stream.write(rest) {
            rest = &rest[len..];
        }
        stream.set_nonblocking(false).unwrap();
    }
    expect_little(&mut target.victim, quiet, heap_before, count, UNDECIDED);
    crowd.iter_mut().for_each(expect_refusal);
    wait_for_descriptors(&target.victim, before);
    bystander.report("undecided requests");
    target.victim.expect_within(
        8 + ((count * UNDECIDED) >> 20) as u64,
        Duration::from_secs(10),
    );
}

#[test]
fn s5_the_same_within_tls() {
    let _alone = alone();
    let count = scale(50, 500);
    let mut target = SecureTarget::new(Role::Server, &settings());
    let quiet = target.victim.listen("quiet=1 echo=1");
    let before = target.victim.descriptors();
    let heap_before = target.victim.heap();
    // The system has room for it.
    let bytes = with_behind(200 << 10);
    let mut crowd: Vec<_> = (0..count)
        .map(|_| {
            let mut stream = ask(dial(target.port), Arc::clone(&target.client));
            stream.write_all(&bytes).unwrap();
            stream
        })
        .collect();
    expect_little(
        &mut target.victim,
        quiet,
        heap_before,
        count,
        UNDECIDED_IN_TLS,
    );
    crowd.iter_mut().for_each(expect_refusal);
    wait_for_descriptors(&target.victim, before);
}
