//! More clients at a time than a server has places.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::abi::{OK, Options, Runtime, Seen, functions};
use crate::support::wire::{self, FIN, Peer, TEXT};
use crate::support::{REQUEST, read_head, tell, wait_until};
use crate::{dial, here};

const PLACES: usize = 4;
const CLIENTS: usize = 16;

/// How many there are at a time, and were at most.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn there_are_never_more_open_than_places_and_whoever_finds_none_is_told_so() {
    let runtime = Runtime::with_threads(4);
    let options = Options::new().set(functions().options_set_max_connections, PLACES as u32);
    let open = Arc::new(Gauge::default());
    let gauge = Arc::clone(&open);
    let (server, seen) = runtime.listen_with(&options, move |socket, event| match event {
        Seen::Open => gauge.enter(),
        Seen::Message { data, .. } => assert_eq!(socket.send_text(data), OK),
        Seen::Close(_) => gauge.leave(),
        _ => {}
    });
    let port = server.port;
    let guests = Arc::new(Gauge::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let guests = Arc::clone(&guests);
            thread::spawn(move || (0..rounds()).filter(|_| visit(port, &guests)).count())
        })
        .collect();
    let served: usize = clients.into_iter().map(|it| it.join().unwrap()).sum();
    let refused = CLIENTS * rounds() - served;
    tell(format_args!("{served} were served, {refused} refused"));
    assert!(served > 0 && refused > 0);
    for (side, gauge) in [("server", &open), ("clients", &guests)] {
        let most = gauge.most.load(Ordering::SeqCst);
        assert!(most <= PLACES, "{most} at the {side}");
    }
    wait_until("everybody's end", || open.now.load(Ordering::SeqCst) == 0);
    let seen = seen.so_far();
    let opened = seen.iter().filter(|it| **it == Seen::Open).count();
    assert_eq!(opened, served);
    // All places are free again.
    let mut guests = Vec::new();
    wait_until("the places", || {
        guests.extend(enter(port));
        guests.len() == PLACES
    });
    assert!(enter(port).is_none());
}

fn rounds() -> usize {
    if std::env::var_os("WSABI_LONG").is_some() {
        5_000
    } else {
        100
    }
}

/// Whether there was a place, for long enough to say something.
fn visit(port: u16, guests: &Gauge) -> bool {
    let Some(mut peer) = enter(port) else {
        return false;
    };
    guests.enter();
    peer.send_frame(FIN | TEXT, b"hello");
    assert_eq!(peer.read_frame().payload, b"hello");
    guests.leave();
    peer.send(&wire::close(1000, b""));
    assert_eq!(peer.read_frame().close_code(), Some(1000));
    true
}

/// A connection, or, if there is no place, the right refusal.
fn enter(port: u16) -> Option<Peer> {
    let mut stream = dial(here(port));
    stream.write_all(REQUEST).unwrap();
    let head = read_head(&mut stream);
    if head.starts_with("HTTP/1.1 101 ") {
        return Some(Peer::new(stream, true));
    }
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let mut body = String::new();
    stream.read_to_string(&mut body).unwrap();
    assert!(body.contains("no place"), "{body}");
    None
}
