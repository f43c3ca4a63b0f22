//! Clients of a server of wss.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bystander::{Bystander, dial};
use crate::crowds::as_many;
use crate::secure::SecureTarget;
use crate::support::REQUEST;
use crate::support::tls::{ClientStream, ask, shake_hands};
use crate::target::Role;
use crate::{alone, scale};

/// What a connection may cost in the middle of TLS, in bytes.
const SECURING: usize = 32 << 10;

#[test]
fn s1_silent_clients_of_tls_are_shown_out_and_others_are_served() {
    let _alone = alone();
    let count = as_many(scale(1_500, 10_000));
    let mut target = SecureTarget::new(Role::Server, "quiet=1 echo=1 connect_timeout=3000");
    let bystander = Bystander::watch_secure(target.port, Arc::clone(&target.client));
    let began = Instant::now();
    let mut strangers: Vec<TcpStream> = (0..count)
        .map(|number| {
            let mut stranger = dial(target.port);
            let said = [&b""[..], b"\x16", b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"][number % 3];
            stranger.write_all(said).unwrap();
            stranger
        })
        .collect();
    let heap = target.victim.heap();
    println!(
        "{count} came in {:.1?}; heap {} KiB",
        began.elapsed(),
        heap >> 10
    );
    for stranger in &mut strangers {
        let _ = stranger.read_to_end(&mut Vec::new());
    }
    bystander.report("silent clients of TLS");
    let limit = Duration::from_secs(10);
    target
        .victim
        .expect_within(8 + ((count * SECURING) >> 20) as u64, limit);
}

#[test]
fn s10_handshakes_of_tls_and_then_silence_end_in_time() {
    let _alone = alone();
    let count = as_many(scale(200, 3_000));
    let mut target = SecureTarget::new(Role::Server, "quiet=1 echo=1 connect_timeout=4000");
    let bystander = Bystander::watch_secure(target.port, Arc::clone(&target.client));
    let mut strangers: Vec<ClientStream> = (0..count)
        .map(|number| {
            let mut stream = ask(dial(target.port), Arc::clone(&target.client));
            shake_hands(&mut stream).unwrap();
            if number % 2 == 0 {
                // A byte of the request, in a record of its own.
                stream.write_all(&REQUEST[..1]).unwrap();
            }
            stream
        })
        .collect();
    println!(
        "heap {} KiB with {count} sessions",
        target.victim.heap() >> 10
    );
    for stranger in &mut strangers {
        let _ = stranger.sock.read_to_end(&mut Vec::new());
    }
    bystander.report("handshakes and silence");
    let limit = Duration::from_secs(10) + Duration::from_millis(20) * count as u32;
    target
        .victim
        .expect_within(8 + ((count * SECURING) >> 20) as u64, limit);
}

#[test]
fn s10_what_is_no_tls_is_refused_and_others_are_served() {
    let _alone = alone();
    let target = SecureTarget::new(Role::Server, "quiet=1 echo=1");
    let bystander = Bystander::watch_secure(target.port, Arc::clone(&target.client));
    let noise: Vec<u8> = (0..50_000u32)
        .map(|it| (it.wrapping_mul(0x9e37_79b9) >> 24) as u8)
        .collect();
    for _ in 0..scale(50, 2_000) {
        for said in [
            REQUEST,
            b"GET / HTTP/1.1\r\n\r\n",
            &noise,
            &[0; 1_000],
            b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03",
        ] {
            let mut stream = dial(target.port);
            // It may be gone before it has read everything.
            let _ = stream.write_all(said);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    bystander.report("what is no TLS");
    target.victim.expect_within(8, Duration::from_secs(10));
}
