//! How a server ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::abi::{ERR_BUFFER_FULL, ERR_HANDLE, ERR_TIMEOUT, OK, Options, Runtime, Seen, functions};
use crate::support::{slowness, wire};
use crate::{dial, here, upgrade};

#[test]
fn the_port_is_free_when_close_returns() {
    let runtime = Runtime::new();
    for _ in 0..200 {
        let (server, _seen) = runtime.listen(&Options::new());
        assert_eq!(server.close(), OK);
        TcpStream::connect(here(server.port)).unwrap_err();
        let url = format!("ws://127.0.0.1:{}/", server.port);
        let (again, _seen) = runtime.listen_at(&url, &Options::new(), |_, _| {});
        assert_eq!(again.close(), OK);
    }
}

#[test]
fn everybody_is_told_to_go_and_requests_under_way_end() {
    let runtime = Runtime::with_threads(3);
    let (server, seen) = runtime.listen(&Options::new());
    let peers: Vec<_> = (0..9).map(|_| upgrade(here(server.port))).collect();
    for _ in &peers {
        assert_eq!(seen.next(), Seen::Open);
    }
    let mut strangers: Vec<_> = (0..9).map(|_| dial(here(server.port))).collect();
    for (number, stranger) in strangers.iter_mut().enumerate() {
        let begun = [&b""[..], b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"][number % 3];
        stranger.write_all(begun).unwrap();
    }
    assert_eq!(server.close(), OK);
    assert_eq!(server.close(), ERR_HANDLE);
    for mut peer in peers {
        assert_eq!(peer.read_frame().close_code(), Some(1001));
        peer.send(&wire::close(1001, b""));
        assert_eq!(peer.read_to_end(), []);
        drop(peer);
        assert_eq!(seen.next(), Seen::clean(1001, ""));
    }
    for stranger in &mut strangers {
        // One that had not been accepted is reset by the system.
        let _ = stranger.read_to_end(&mut Vec::new());
    }
    assert_eq!(seen.until_released(), [Seen::Released]);
}

#[test]
fn whoever_does_not_go_is_left_when_the_close_timeout_is_over() {
    let limit = Duration::from_millis(400);
    let c = functions();
    let options = Options::new()
        .set(c.options_set_close_timeout_ms, limit.as_millis() as u32)
        .set(c.options_set_max_buffered, 8 << 20);
    let runtime = Runtime::new();
    let (server, seen) = runtime.listen(&options);
    let mut silent = upgrade(here(server.port));
    assert_eq!(seen.next(), Seen::Open);
    // One that does not even read.
    let _full = upgrade(here(server.port));
    let (socket, open) = seen.next_of();
    assert_eq!(open, Seen::Open);
    while socket.send_binary(&[0; 100_000]) != ERR_BUFFER_FULL {}

    let begin = Instant::now();
    assert_eq!(server.close(), OK);
    assert_eq!(silent.read_frame().close_code(), Some(1001));
    assert_eq!(silent.read_to_end(), []);
    let seen = seen.until_released();
    let elapsed = begin.elapsed();
    assert!(elapsed >= limit, "{elapsed:?}");
    let slack = Duration::from_secs(5) * slowness();
    assert!(elapsed < limit + slack, "{elapsed:?}");
    let errors: Vec<_> = seen.iter().filter_map(Seen::status).collect();
    assert_eq!(errors, [ERR_TIMEOUT; 2], "{seen:?}");
}

#[test]
fn what_was_sent_before_the_server_closed_arrives_before_its_goodbye() {
    let c = functions();
    let options = Options::new()
        .set(c.options_set_close_timeout_ms, 20_000 * slowness())
        .set(c.options_set_max_buffered, 16 << 20);
    let runtime = Runtime::with_threads(2);
    let (server, seen) = runtime.listen(&options);
    let mut peers: Vec<_> = (0..4).map(|_| upgrade(here(server.port))).collect();
    let sockets: Vec<_> = peers.iter().map(|_| seen.next_of().0).collect();
    let message = |number: usize| vec![number as u8; 100_000];
    // More than the system takes for one that does not read, so that much of it waits.
    for number in 0..COUNT {
        for socket in &sockets {
            assert_eq!(socket.send_binary(&message(number)), OK);
        }
    }
    assert!(sockets.iter().any(|it| it.buffered_amount() > 0));
    assert_eq!(server.close(), OK);
    for peer in &mut peers {
        for number in 0..COUNT {
            let frame = peer.read_frame();
            assert!(frame.payload == message(number), "message {number}");
        }
        assert_eq!(peer.read_frame().close_code(), Some(1001));
        peer.send(&wire::close(1001, b""));
        assert_eq!(peer.read_to_end(), []);
    }
    drop(peers);
    let mut seen = seen.until_released();
    seen.retain(|it| *it != Seen::Drain);
    let goodbye = Seen::clean(1001, "");
    let [ends @ .., Seen::Released] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(ends, vec![goodbye; sockets.len()]);
}

/// How many messages wait for each.
const COUNT: usize = 100;

/// Between its accepting thread and the one that a connection is for, nobody gets lost.
#[test]
fn a_server_that_closes_in_a_storm_of_connections_keeps_none() {
    let runtime = Runtime::with_threads(4);
    let options = Options::new().set(functions().options_set_close_timeout_ms, 50);
    for _ in 0..30 {
        let (server, seen) = runtime.listen(&options);
        let port = server.port;
        let is_over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let is_over = Arc::clone(&is_over);
                thread::spawn(move || {
                    let mut streams = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let Ok(mut stream) = TcpStream::connect(here(port)) else {
                            break;
                        };
                        let _ = stream.write_all(crate::support::REQUEST);
                        streams.push(stream);
                    }
                    streams
                })
            })
            .collect();
        assert_eq!(seen.next(), Seen::Open);
        assert_eq!(server.close(), OK);
        is_over.store(true, Ordering::Relaxed);
        // The user_data is given back when the last of its sockets has ended, though no client
        // answers the Close frame.
        let streams: Vec<_> = clients.into_iter().map(|it| it.join().unwrap()).collect();
        let seen = seen.until_released();
        drop(streams);
        let count = |is: fn(&Seen) -> bool| seen.iter().filter(|it| is(it)).count();
        assert_eq!(
            count(|it| *it == Seen::Open) + 1,
            count(|it| matches!(it, Seen::Close(_)))
        );
    }
}
