//! Threads that send without looking, while the connection is cut and made anew again and again.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::abi::{self, BINARY, ERR_IO, OK, Options, Runtime, Seen, Socket, TEXT, functions};
use crate::support::wire::{self, Peer};
use crate::support::{RawServer, wait_until};

/// How often the connection is made anew.
const TIMES: u32 = 100;

/// Relays bytes, and cuts the connection after some.
struct Relay {
    listener: TcpListener,
    cuts: Arc<AtomicBool>,
}

impl Relay {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cuts = Arc::new(AtomicBool::new(true));
        let relay = Self {
            listener: listener.try_clone().unwrap(),
            cuts: Arc::clone(&cuts),
        };
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    return;
                };
                carry(client, server, &cuts);
            }
        });
        relay
    }

    fn url(&self) -> String {
        format!("ws://{}/", self.listener.local_addr().unwrap())
    }
}

/// Both directions, until one ends or what was allowed has been carried.
fn carry(client: TcpStream, server: TcpStream, cuts: &Arc<AtomicBool>) {
    let (answers, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || pump(answers, to, usize::MAX, &AtomicBool::new(false)));
    // Anywhere: in the handshake, in a header, in a payload, behind many messages.
    let scale = [400, 5_000, 50_000, 300_000][rand::random_range(0..4)];
    let budget = rand::random_range(0..scale);
    let resets = rand::random();
    let cuts = Arc::clone(cuts);
    thread::spawn(move || {
        let (ends, peer) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        pump(client, server, budget, &cuts);
        if resets {
            let socket = socket2::SockRef::from(&ends);
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        // The other direction holds the streams, too.
        let _ = ends.shutdown(Shutdown::Both);
        let _ = peer.shutdown(Shutdown::Both);
    });
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut budget: usize, cuts: &AtomicBool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let len = if cuts.load(Ordering::Relaxed) {
            len.min(budget)
        } else {
            len
        };
        budget -= len.min(budget);
        if to.write_all(&buffer[..len]).is_err() {
            return;
        }
        if budget == 0 && cuts.load(Ordering::Relaxed) {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// A message that says who sent it as which, and whose rest follows from that.
fn message(sender: char, number: usize, len: usize) -> String {
    let tag = format!("{sender}{number};");
    tag.repeat(len.div_ceil(tag.len()))
}

/// What is wrong with a message.
fn complaint(text: &[u8]) -> Option<String> {
    let Some(end) = text.iter().position(|byte| *byte == b';') else {
        return Some("it has no tag".to_owned());
    };
    // All that follows is the tag again: shifted by its length, the text is the same.
    let (tag, rest) = text.split_at(end + 1);
    let strange = rest.iter().zip(text).position(|(a, b)| a != b)?;
    let tag = String::from_utf8_lossy(tag);
    Some(format!("{tag} is followed by something else at {strange}"))
}

/// A thread that sends until it is told to stop. Returns how many messages were taken.
fn sender(
    socket: Socket,
    stop: &Arc<AtomicBool>,
    send: fn(Socket, usize) -> i32,
) -> thread::JoinHandle<usize> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let (mut number, mut taken) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            match send(socket, number) {
                OK => taken += 1,
                abi::ERR_STATE | abi::ERR_BUFFER_FULL => thread::yield_now(),
                status => panic!("{}: {}", abi::status_name(status), abi::last_error()),
            }
        }
        taken
    })
}

fn send_pieces(socket: Socket, number: usize) -> i32 {
    let piece = message('p', number, 3_000);
    let mut sent = 0;
    while sent < 4 {
        match socket.send_fragment(TEXT, piece.as_bytes(), sent == 3) {
            OK => sent += 1,
            // The message goes on when there is room.
            abi::ERR_BUFFER_FULL => thread::yield_now(),
            status => return status,
        }
    }
    OK
}

#[test]
fn messages_are_whole_and_of_one_connection_however_often_it_is_made_anew() {
    let runtime = Runtime::new();
    let complaints: Arc<Mutex<Vec<String>>> = Arc::default();
    let received = Arc::new(AtomicUsize::new(0));
    let hook = {
        let (complaints, received) = (Arc::clone(&complaints), Arc::clone(&received));
        move |_, seen: &Seen| {
            let complaint = match seen {
                Seen::Message { data, .. } => {
                    received.fetch_add(1, Ordering::Relaxed);
                    complaint(data)
                }
                Seen::Error { status, sentence } if *status != ERR_IO => Some(sentence.clone()),
                _ => None,
            };
            complaints.lock().unwrap().extend(complaint);
        }
    };
    let (server, _) = runtime.listen_with(&Options::new(), hook);
    let relay = Relay::start(server.port);
    let options = Options::new()
        .reconnecting(1, 1, 0)
        // The server may be busy with what came before.
        .set(functions().options_set_connect_timeout_ms, 60_000)
        .set(functions().options_set_close_timeout_ms, 60_000)
        .set(functions().options_set_max_buffered, 4 << 20);
    let clients = Runtime::new();
    let client = clients.connect(&relay.url(), &options);
    let socket = client.socket;

    let stop = Arc::new(AtomicBool::new(false));
    let senders = [
        sender(socket, &stop, |socket, n| {
            socket.send_text(message('s', n, 100))
        }),
        sender(socket, &stop, |socket, n| {
            socket.send_text(message('c', n, 20_000))
        }),
        // So long to compress that the connection may be another one afterwards.
        sender(socket, &stop, |socket, n| {
            socket.send_text(message('l', n, 1_000_000))
        }),
        sender(socket, &stop, |socket, n| {
            let text = message('b', n, 200_000);
            socket.send_many(&[(BINARY | 16, text.as_bytes())]).min(0)
        }),
        sender(socket, &stop, send_pieces),
    ];
    let (mut opened, mut lost) = (0, 0);
    while opened <= TIMES {
        match client.seen.next() {
            Seen::Open => opened += 1,
            Seen::Reconnect {
                status, sentence, ..
            } => {
                lost += 1;
                assert_eq!(
                    status,
                    ERR_IO,
                    "{sentence}; {:?}",
                    complaints.lock().unwrap()
                );
            }
            Seen::Drain => {}
            seen => panic!("{seen:?}; {:?}", complaints.lock().unwrap()),
        }
    }
    relay.cuts.store(false, Ordering::Relaxed);
    let before = received.load(Ordering::Relaxed);
    wait_until("messages on the last connection", || {
        received.load(Ordering::Relaxed) > before + 20
    });
    stop.store(true, Ordering::Relaxed);
    let taken: usize = senders.into_iter().map(|it| it.join().unwrap()).sum();
    wait_until("everything to leave", || socket.buffered_amount() == 0);
    for seen in client.seen.so_far() {
        match seen {
            Seen::Open => opened += 1,
            Seen::Reconnect { .. } => lost += 1,
            Seen::Drain => {}
            seen => panic!("{seen:?}"),
        }
    }
    assert_eq!(socket.stats().reconnects, opened - 1);
    assert!(lost >= opened - 1);
    assert_eq!(socket.close(1000, ""), OK);
    let last = client.seen.until_close();
    assert_eq!(last.last(), Some(&Seen::clean(1000, "")), "{last:?}");
    assert_eq!(socket.release(), OK);
    assert_eq!(client.seen.next(), Seen::Released);
    assert_eq!(*complaints.lock().unwrap(), Vec::<String>::new());
    println!(
        "{taken} messages taken, {} received, {opened} connections",
        received.load(Ordering::Relaxed)
    );
}

#[test]
fn nothing_follows_a_close_frame_whoever_is_sending() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let options = Options::new()
        .set(functions().options_set_compression, 0)
        // The peer may be busy with what came before.
        .set(functions().options_set_close_timeout_ms, 60_000);
    for _ in 0..40 {
        let client = runtime.connect(&server.url(), &options);
        let (mut stream, response) = server.accept();
        stream.write_all(&response).unwrap();
        assert_eq!(client.seen.next(), Seen::Open);
        let socket = client.socket;
        let senders = [0, 1].map(|_| {
            thread::spawn(move || {
                // Small ones wait for their turn, and the large one sends them first.
                let large = vec![b'l'; 70_000];
                while socket.send_binary(b"s") == OK && socket.send_binary(&large) == OK {}
            })
        });
        let closer = thread::spawn(move || {
            let messages = rand::random_range(1..20);
            wait_until("some messages", || {
                let stats = socket.stats();
                stats.messages_sent >= messages
            });
            assert_eq!(socket.close(1000, ""), OK);
        });
        let mut peer = Peer::new(stream, false);
        let opcode = loop {
            let frame = peer.read_frame();
            if frame.opcode() != wire::BINARY {
                break frame.opcode();
            }
        };
        assert_eq!(opcode, wire::CLOSE);
        closer.join().unwrap();
        for sender in senders {
            sender.join().unwrap();
        }
        peer.send(&wire::close(1000, b""));
        assert_eq!(peer.end(), [], "behind the Close frame");
        client.seen.until_close();
        socket.release();
    }
}
