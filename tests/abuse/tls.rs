//! Clients of a server of wss.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::bystander::{Bystander, dial};
use crate::crowds::{
    as_many, drip, expect_in_time, expect_shown_out, read_to_end, wait_for_descriptors,
};
use crate::secure::SecureTarget;
use crate::support::impostors::Impostor;
use crate::support::tls::{Authority, ClientStream, VERSIONS, ask, shake_hands};
use crate::support::{REQUEST, tell};
use crate::target::Role;
use crate::{alone, scale};

/// What a connection may cost in the middle of TLS, in bytes.
const SECURING: usize = 32 << 10;
/// The same with the longest certificates, in the buffers of a session.
const IMPOSTOR: usize = 256 << 10;

#[test]
fn s1_silent_clients_of_tls_are_shown_out_and_others_are_served() {
    let _alone = alone();
    let count = as_many(scale(1_500, 10_000));
    let mut target = SecureTarget::new(Role::Server, "quiet=1 echo=1 connect_timeout=3000");
    let bystander = Bystander::watch_secure(target.port, Arc::clone(&target.client));
    let before = target.victim.descriptors();
    let heap_before = target.victim.heap();
    let began = Instant::now();
    let mut strangers: Vec<TcpStream> = (0..count)
        .map(|number| {
            let mut stranger = dial(target.port);
            let said = [&b""[..], b"\x16", b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"][number % 3];
            stranger.write_all(said).unwrap();
            stranger
        })
        .collect();
    let came = Instant::now();
    // The next one is served when all of them are in.
    shake_hands(&mut ask(dial(target.port), Arc::clone(&target.client))).unwrap();
    let there = target.victim.descriptors() - before;
    let heap = target.victim.heap().saturating_sub(heap_before);
    tell(format_args!(
        "{count} came in {:.1?}; {there} are there, and each costs {} bytes of heap",
        came - began,
        heap / there.max(1) as u64
    ));
    expect_shown_out(&mut strangers, came, Duration::from_secs(3));
    wait_for_descriptors(&target.victim, before);
    bystander.report("silent clients of TLS");
    let limit = Duration::from_secs(10);
    target
        .victim
        .expect_within(8 + ((count * SECURING) >> 20) as u64, limit);
}

#[test]
fn s10_hellos_of_a_byte_a_second_are_shown_out() {
    let _alone = alone();
    let count = as_many(scale(200, 5_000));
    let target = SecureTarget::new(Role::Server, "quiet=1 echo=1 connect_timeout=3000");
    let bystander = Bystander::watch_secure(target.port, Arc::clone(&target.client));
    let before = target.victim.descriptors();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(&target.client), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    drip(target.port, count, &hello, Duration::from_secs(3));
    wait_for_descriptors(&target.victim, before);
    bystander.report("a byte of TLS a second");
    target.victim.expect_within(
        8 + ((count * SECURING) >> 20) as u64,
        Duration::from_secs(10),
    );
}

#[test]
fn s10_handshakes_of_tls_and_then_silence_end_in_time() {
    let _alone = alone();
    let count = as_many(scale(200, 3_000));
    let mut target = SecureTarget::new(Role::Server, "quiet=1 echo=1 connect_timeout=4000");
    let bystander = Bystander::watch_secure(target.port, Arc::clone(&target.client));
    let before = target.victim.descriptors();
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
    let came = Instant::now();
    tell(format_args!(
        "heap {} KiB with {count} sessions",
        target.victim.heap() >> 10
    ));
    // Tickets of the session come first, which is why the end alone is looked for.
    for stranger in &mut strangers {
        read_to_end(&mut stranger.sock);
    }
    expect_in_time(came, Duration::from_secs(4));
    wait_for_descriptors(&target.victim, before);
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
    let before = target.victim.descriptors();
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
            let answer = String::from_utf8_lossy(&read_to_end(&mut stream)).into_owned();
            assert!(!answer.contains(" 101 "), "{answer}");
        }
    }
    wait_for_descriptors(&target.victim, before);
    bystander.report("what is no TLS");
    target.victim.expect_within(8, Duration::from_secs(10));
}

#[test]
fn s10_clients_whose_certificates_are_bad_are_refused_and_others_are_served() {
    let _alone = alone();
    let authority = Authority::new();
    let target = SecureTarget::demanding(&authority, "quiet=1 echo=1");
    let bystander = Bystander::watch_secure(target.port, Arc::clone(&target.client));
    let before = target.victim.descriptors();
    let crowd = Impostor::all(&authority);
    let configs: Vec<Arc<ClientConfig>> = crowd
        .iter()
        .flat_map(|it| VERSIONS.map(|version| it.config(&authority, version).into()))
        .collect();
    let rounds = scale(5, 100);
    for _ in 0..rounds {
        let mut streams: Vec<_> = configs
            .iter()
            .map(|config| ask(dial(target.port), Arc::clone(config)))
            .collect();
        for stream in &mut streams {
            // Whether it fails here, or only when something is read.
            let _ = shake_hands(stream).and_then(|()| stream.write_all(REQUEST));
            let heard = stream.read(&mut [0]);
            let kind = heard.expect_err("an alert or a reset").kind();
            assert_ne!(kind, ErrorKind::WouldBlock);
        }
    }
    wait_for_descriptors(&target.victim, before);
    bystander.report("bad certificates");
    // Some are long, and one has a hundred signatures to check.
    let each = Duration::from_millis(if cfg!(debug_assertions) { 100 } else { 20 });
    let most = Duration::from_secs(5) + each * (rounds * configs.len()) as u32;
    target
        .victim
        .expect_within(8 + ((configs.len() * IMPOSTOR) >> 20) as u64, most);
}
