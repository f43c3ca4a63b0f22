//! F: flow and time.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::abi::{Delivery, ERR_BUFFER_FULL, ERR_IO, ERR_TIMEOUT};
use crate::support::wire::{self, BINARY, FIN, PING, PONG, Peer, TEXT, frame};
use crate::support::{PATIENCE, wait_until};
use crate::target::{Role, Target, roles};
use crate::victim::{Received, Report};

/// How much longer than its own limits something may take on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

#[test]
fn f1_a_peer_that_does_not_read_costs_no_more_than_the_limit() {
    for role in roles() {
        let mut target = Target::new(role, "flood=65536 max_buffered=16777216");
        let mut peer = target.peer();
        let (_, flooded) = target.victim.report();
        let Report::Flooded(count, ERR_BUFFER_FULL) = flooded else {
            panic!("{flooded:?}");
        };
        target.victim.expect_within(24, Duration::from_secs(3));
        // Nothing of what was taken is lost.
        for _ in 0..count {
            assert_eq!(peer.read_frame().payload.len(), 65_536);
        }
        drop(peer);
        target.victim.expect_failure(ERR_IO, 1006);
    }
}

#[test]
fn f2_a_flood_for_a_slow_application_is_held_back_by_tcp() {
    for role in roles() {
        let mut target = Target::new(role, "slow=50");
        let mut peer = target.peer();
        let flood = frame(FIN | BINARY, &[b'f'; 50_000]);
        let bytes = match role {
            Role::Client => flood,
            Role::Server => wire::masked(&flood),
        };
        let patience = Duration::from_millis(200);
        peer.stream.set_write_timeout(Some(patience)).unwrap();
        let start = Instant::now();
        let mut sent = 0;
        while start.elapsed() < Duration::from_secs(1) {
            match peer.stream.write(&bytes) {
                Ok(len) => sent += len,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        // What the systems on both sides hold, and twenty messages a second.
        println!("{sent} bytes were taken");
        assert!(sent < 32 << 20, "{sent} bytes were taken");
        drop(peer);
        target.victim.expect_bounded(Delivery::of_tests().waiting());
    }
}

#[test]
fn f3_only_the_right_pong_shows_that_the_peer_lives() {
    for role in roles() {
        let mut target = Target::new(role, "ping_interval=100 pong_timeout=300");
        for answer in [None, Some(&b"another payload"[..]), Some(b"")] {
            let start = Instant::now();
            let mut peer = target.peer();
            let ping = peer.read_frame();
            assert_eq!(ping.first, FIN | PING);
            if let Some(answer) = answer {
                peer.send(&frame(FIN | PONG, answer).repeat(100));
            }
            target.victim.expect_failure(ERR_TIMEOUT, 1006);
            assert!(start.elapsed() < Duration::from_millis(400) + SLACK);
        }
        let mut peer = target.peer();
        for _ in 0..5 {
            let ping = peer.read_frame();
            peer.send(&frame(FIN | PONG, &ping.payload));
        }
        peer.send(&wire::close(1000, b""));
        drop(peer.end());
        target.victim.expect_clean(1000);
        target.victim.expect_bounded(0);
    }
}

#[test]
fn f4_a_frame_drop_by_drop_keeps_nobody_busy() {
    for role in roles() {
        let mut target = Target::new(role, "idle_timeout=800");
        let start = Instant::now();
        let mut peer = target.peer();
        let message = frame(FIN | BINARY, &[0; 200]);
        let bytes = match role {
            Role::Client => message,
            Role::Server => wire::masked(&message),
        };
        for (number, byte) in (1..).zip(&bytes) {
            if peer.stream.write_all(&[*byte]).is_err() {
                break;
            }
            // The pace of the attack, not a wait for something.
            let due = Duration::from_millis(20) * number;
            thread::park_timeout(due.saturating_sub(start.elapsed()));
            if start.elapsed() > Duration::from_secs(2) {
                break;
            }
        }
        drop(peer);
        // Bytes are no messages.
        let received = target.victim.expect_failure(ERR_TIMEOUT, 1001);
        assert_eq!(received.messages, 0);
        assert!(start.elapsed() < Duration::from_secs(2) + SLACK);
        target.victim.expect_within(8, Duration::from_millis(500));
    }
}

#[test]
fn f5_silent_and_slow_connections_are_closed_and_others_are_served() {
    const CONNECTIONS: usize = 400;
    let mut target = Target::new(Role::Server, "connect_timeout=1000");
    let start = Instant::now();
    let mut strangers: Vec<TcpStream> = (0..CONNECTIONS).map(|_| target.connect()).collect();
    for (number, stranger) in strangers.iter_mut().enumerate() {
        let begun = [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"][number % 3];
        stranger.write_all(begun).unwrap();
    }
    let mut peer = target.peer();
    peer.send(&frame(FIN | TEXT, b"served"));
    peer.send(&wire::close(1000, b""));
    drop(peer.end());
    assert_eq!(
        target.victim.expect_clean(1000),
        Received::of([&b"served"[..]])
    );
    for stranger in &mut strangers {
        stranger.read_to_end(&mut Vec::new()).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(1) + SLACK);
    target.victim.expect_bounded(0);
}

#[test]
fn f6_after_standing_still_one_ping_is_asked_and_nothing_is_made_up_for() {
    let mut target = Target::new(Role::Client, "ping_interval=100 pong_timeout=1000");
    let mut peer = target.peer();
    let answer = |peer: &mut Peer| {
        let ping = peer.read_frame();
        assert_eq!(ping.first, FIN | PING);
        peer.send(&frame(FIN | PONG, &ping.payload));
        u64::from_be_bytes(ping.payload.try_into().unwrap())
    };
    let before = answer(&mut peer);
    signal(&target, "STOP");
    wait_until("the process to stop", || state(&target) == 'T');
    let stopped = Instant::now();
    thread::park_timeout(Duration::from_millis(2_500));
    while stopped.elapsed() < Duration::from_millis(2_500) {
        thread::yield_now();
    }
    signal(&target, "CONT");
    let resumed = Instant::now();
    let mut after = answer(&mut peer);
    while resumed.elapsed() < Duration::from_millis(500) {
        after = answer(&mut peer);
    }
    // Five intervals have passed since; twenty-five passed before.
    assert!(after - before <= 8, "{} pings", after - before);
    peer.send(&wire::close(1000, b""));
    drop(peer.end());
    target.victim.expect_clean(1000);
    assert!(resumed.elapsed() < PATIENCE);
}

fn signal(target: &Target, name: &str) {
    let process = target.victim.id().to_string();
    let status = Command::new("kill").args(["-s", name, &process]).status();
    assert!(status.unwrap().success());
}

fn state(target: &Target) -> char {
    let stat = format!("/proc/{}/stat", target.victim.id());
    let stat = std::fs::read_to_string(stat).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.chars().next().unwrap()
}
