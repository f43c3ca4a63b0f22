//! G: TLS; and J1: broken pipes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConnection;
use socket2::SockRef;

use crate::abi::{Delivery, ERR_BUFFER_FULL, ERR_IO, ERR_TIMEOUT, ERR_TLS};
use crate::secure::{SecurePeer, SecureTarget};
use crate::support::PATIENCE;
use crate::support::tls::{ClientStream, ask, shake_hands};
use crate::support::wire::{self, BINARY, FIN, frame};
use crate::target::{Role, Target, roles};
use crate::victim::{Report, Victim};

/// How much longer than its own limits something may take on a busy machine.
const SLACK: Duration = Duration::from_secs(3);

/// A record without protection.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16).to_be_bytes();
    [&[kind, 3, 3], &len[..], body].concat()
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// Reads until the other end is gone, in whichever way.
fn wait_for_end(stream: &mut TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    while matches!(stream.read(&mut buffer), Ok(1..)) {}
}

#[test]
fn g_garbage_in_place_of_a_hello_is_refused_at_once() {
    for role in roles() {
        let mut target = SecureTarget::new(role, "");
        let noise: Vec<u8> = (0..100_000u32)
            .map(|it| (it.wrapping_mul(0x9e37_79b9) >> 24) as u8)
            .collect();
        for garbage in [
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            &[0; 1000],
            &[0xff; 1000],
            &noise,
            &record(HANDSHAKE, &noise[..1000]),
            &record(DATA, b"data before the keys"),
            &record(HANDSHAKE, &[2, 0xff, 0xff, 0xff]),
            &[HANDSHAKE, 3, 3, 0xff, 0xff],
            &record(99, b"no such type"),
        ] {
            let begin = Instant::now();
            let mut stream = target.stream();
            // It may be gone before it has read everything.
            let _ = stream.write_all(garbage);
            target.expect_refusal(ERR_TLS);
            wait_for_end(&mut stream);
            assert!(begin.elapsed() < SLACK, "{garbage:.20?}");
        }
        target.expect_service();
        target.victim.expect_bounded(0);
    }
}

#[test]
fn g_silence_in_place_of_a_hello_ends_in_time() {
    for role in roles() {
        let mut target = SecureTarget::new(role, "connect_timeout=500");
        let begin = Instant::now();
        for said in [
            Vec::new(),
            vec![HANDSHAKE],
            vec![HANDSHAKE, 3, 3, 0x40, 0],
            record(HANDSHAKE, &[2, 0, 0x40, 0, 3, 3]),
        ] {
            let mut stream = target.stream();
            stream.write_all(&said).unwrap();
            target.expect_refusal(ERR_TIMEOUT);
            wait_for_end(&mut stream);
        }
        assert!(begin.elapsed() < Duration::from_secs(2) + SLACK);
        target.expect_service();
        target.victim.expect_bounded(0);
    }
}

#[test]
fn g_records_without_end_in_place_of_a_hello_are_too_many() {
    for role in roles() {
        let mut target = SecureTarget::new(role, "connect_timeout=5000");
        let mut part = record(HANDSHAKE, &[11, 0, 0xff, 0xff]);
        for endless in [
            // A certificate of 64 KiB, byte by byte; and one that never ends.
            record(HANDSHAKE, b"x"),
            record(HANDSHAKE, &[0; 16_000]),
            record(HANDSHAKE, b""),
            record(CHANGE_CIPHER_SPEC, &[1]),
            record(ALERT, &[1, 0]),
            record(ALERT, &[1, 90]),
            record(DATA, b""),
        ] {
            let mut stream = target.stream();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            let mut bytes = std::mem::take(&mut part);
            bytes.extend(endless.repeat(1 + 100_000 / endless.len()));
            let mut sent = 0;
            while stream.write_all(&bytes).is_ok() {
                sent += bytes.len();
                assert!(sent < 64 << 20, "{endless:.20?} were taken");
            }
            target.expect_refusal(ERR_TLS);
        }
        target.expect_service();
        target.victim.expect_bounded(0);
    }
}

#[test]
fn g_close_notify_during_the_handshake_is_no_loop() {
    for role in roles() {
        let mut target = SecureTarget::new(role, "connect_timeout=1000");
        for ends in [true, false] {
            let begin = Instant::now();
            let mut stream = target.stream();
            stream.write_all(&record(ALERT, &[1, 0])).unwrap();
            if ends {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            if role == Role::Client {
                let (_, error) = target.victim.report();
                assert!(
                    matches!(error, Report::Error(ERR_TLS | ERR_TIMEOUT)),
                    "{error:?}"
                );
                let (_, close) = target.victim.report();
                assert!(matches!(close, Report::Close { code: 1006, .. }));
            }
            wait_for_end(&mut stream);
            assert!(begin.elapsed() < Duration::from_secs(1) + SLACK);
        }
        target.expect_service();
        let most = Duration::from_millis(500);
        target.victim.expect_within(8, most);
    }
}

#[test]
fn g_an_alert_during_the_handshake_is_no_loop() {
    for role in roles() {
        let mut target = SecureTarget::new(role, "");
        for alert in [40, 42, 48, 70, 80, 112, 120, 255] {
            let begin = Instant::now();
            let mut stream = target.stream();
            // And the stream stays open.
            stream.write_all(&record(ALERT, &[2, alert])).unwrap();
            target.expect_refusal(ERR_TLS);
            wait_for_end(&mut stream);
            assert!(begin.elapsed() < SLACK, "{alert}");
        }
        target.expect_service();
        target.victim.expect_within(8, Duration::from_millis(500));
    }
}

#[test]
fn g_a_server_hello_that_is_cut_anywhere_is_truncated() {
    let mut target = SecureTarget::new(Role::Client, "");
    for eighth in 0..8 {
        for resets in [false, true] {
            let mut stream = target.stream();
            let mut server = ServerConnection::new(Arc::clone(&target.server)).unwrap();
            while server.is_handshaking() && !server.wants_write() {
                server.read_tls(&mut stream).unwrap();
                server.process_new_packets().unwrap();
            }
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight).unwrap();
            }
            flight.truncate(flight.len() * eighth / 8);
            stream.write_all(&flight).unwrap();
            if resets {
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
            drop(stream);
            let (_, error) = target.victim.report();
            assert!(
                matches!(error, Report::Error(ERR_TLS | ERR_IO)),
                "{error:?}"
            );
            let (_, close) = target.victim.report();
            assert!(
                matches!(close, Report::Close { code: 1006, .. }),
                "{close:?}"
            );
        }
    }
    target.expect_service();
    target.victim.expect_bounded(0);
}

#[test]
fn g_a_scripted_server_hello_of_an_old_version_or_with_http2_is_refused() {
    // TLS 1.1; and TLS 1.2 with a protocol that nobody has offered.
    let h2 = [0, 0x10, 0, 5, 0, 3, 2, b'h', b'2'];
    for (version, extensions) in [
        ([3, 2], &[][..]),
        ([3, 1], &[]),
        ([3, 0], &[]),
        ([3, 3], &h2),
    ] {
        let mut hello = version.to_vec();
        hello.extend([7; 32]);
        // No session, ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression.
        hello.extend([0, 0xc0, 0x2b, 0]);
        hello.extend((extensions.len() as u16).to_be_bytes());
        hello.extend(extensions);
        let message = [&[2, 0, 0, hello.len() as u8], &hello[..]].concat();
        let mut target = SecureTarget::new(Role::Client, "");
        let mut stream = target.stream();
        stream.write_all(&record(HANDSHAKE, &message)).unwrap();
        target.expect_refusal(ERR_TLS);
        wait_for_end(&mut stream);
    }
}

#[test]
fn g_silent_clients_are_closed_and_others_are_served() {
    const CONNECTIONS: usize = 200;
    let mut target = SecureTarget::new(Role::Server, "connect_timeout=1500");
    let begin = Instant::now();
    let mut strangers: Vec<TcpStream> = (0..CONNECTIONS).map(|_| target.stream()).collect();
    for (number, stranger) in strangers.iter_mut().enumerate() {
        let begun = [&b""[..], &[HANDSHAKE], &[HANDSHAKE, 3, 1, 2, 0, 1]][number % 3];
        stranger.write_all(begun).unwrap();
    }
    target.expect_service();
    for stranger in &mut strangers {
        wait_for_end(stranger);
    }
    assert!(begin.elapsed() < Duration::from_millis(1500) + SLACK);
    target.victim.expect_bounded(0);
}

#[test]
fn g_clients_that_fall_silent_after_the_handshake_are_closed() {
    const CONNECTIONS: usize = 50;
    let mut target = SecureTarget::new(Role::Server, "connect_timeout=2000");
    let mut strangers: Vec<ClientStream> = (0..CONNECTIONS)
        .map(|number| {
            let mut stream = ask(target.stream(), Arc::clone(&target.client));
            shake_hands(&mut stream).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
            }
            stream
        })
        .collect();
    let begin = Instant::now();
    target.expect_service();
    for stranger in &mut strangers {
        wait_for_end(&mut stranger.sock);
    }
    assert!(begin.elapsed() < Duration::from_secs(2) + SLACK);
    target.victim.expect_within(16, Duration::from_secs(2));
}

#[test]
fn g_a_peer_that_does_not_read_costs_no_more_than_the_limit() {
    for role in roles() {
        let mut target = SecureTarget::new(role, "flood=65536 max_buffered=16777216");
        let mut peer = target.peer();
        let (_, flooded) = target.victim.report();
        let Report::Flooded(count, ERR_BUFFER_FULL) = flooded else {
            panic!("{flooded:?}");
        };
        target.victim.expect_within(24, Duration::from_secs(3));
        // Nothing of what was taken is lost.
        for _ in 0..count {
            assert_eq!(peer.read_payload().len(), 65_536);
        }
        drop(peer);
        target.victim.expect_failure(ERR_TLS, 1006);
    }
}

#[test]
fn g_a_flood_for_a_slow_application_is_held_back_by_tcp() {
    for role in roles() {
        let mut target = SecureTarget::new(role, "slow=50");
        let mut peer = target.peer();
        let timeout = Some(Duration::from_millis(200));
        peer.tcp().set_write_timeout(timeout).unwrap();
        let message = frame(FIN | BINARY, &[b'f'; 16_000]);
        let begin = Instant::now();
        let mut sent = 0;
        while begin.elapsed() < Duration::from_secs(1) {
            match flood(&mut peer, &message) {
                Ok(()) => sent += message.len(),
                Err(kind) => assert_eq!(kind, ErrorKind::WouldBlock),
            }
        }
        println!("{sent} bytes were taken");
        assert!(sent < 32 << 20, "{sent} bytes were taken");
        drop(peer);
        target.victim.expect_bounded(Delivery::of_tests().waiting());
    }
}

/// Sends a message, or what the system took no more of before.
fn flood(peer: &mut SecurePeer, message: &[u8]) -> Result<(), ErrorKind> {
    let kind = |error: std::io::Error| error.kind();
    match peer {
        SecurePeer::Server(peer) => {
            if !peer.stream.conn.wants_write() {
                peer.stream.conn.writer().write_all(message).unwrap();
            }
            while peer.stream.conn.wants_write() {
                peer.stream
                    .conn
                    .write_tls(&mut peer.stream.sock)
                    .map_err(kind)?;
            }
        }
        SecurePeer::Client(peer) => {
            if !peer.stream.conn.wants_write() {
                peer.stream
                    .conn
                    .writer()
                    .write_all(&wire::masked(message))
                    .unwrap();
            }
            while peer.stream.conn.wants_write() {
                peer.stream
                    .conn
                    .write_tls(&mut peer.stream.sock)
                    .map_err(kind)?;
            }
        }
    }
    Ok(())
}

#[test]
fn j1_a_peer_that_is_gone_raises_no_signal() {
    // Messages of two sizes: written whole by the sender, and piece by piece.
    for role in roles() {
        for size in [100, 200_000] {
            let settings = format!("burst={size}");
            let mut target = Target::new(role, &settings);
            for _ in 0..5 {
                let peer = target.peer();
                SockRef::from(&peer.stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                drop(peer);
                expect_loss(&target.victim);
            }
            let mut target = SecureTarget::new(role, &settings);
            for _ in 0..5 {
                let peer = target.peer();
                SockRef::from(peer.tcp())
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                drop(peer);
                expect_loss(&target.victim);
            }
        }
    }
}

/// The process has lost a connection, and lives.
#[track_caller]
fn expect_loss(victim: &Victim) {
    let (_, error) = victim.report();
    assert!(
        matches!(error, Report::Error(ERR_IO | ERR_TLS)),
        "{error:?}"
    );
    let (_, close) = victim.report();
    assert!(
        matches!(close, Report::Close { code: 1006, .. }),
        "{close:?}"
    );
}
