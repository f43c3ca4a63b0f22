//! What a server publishes: who gets it, in which order, in which form, and who is too slow for it.

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use support::tls::{Authority, LOCAL};
use support::wire::{BINARY, CLOSE, CONTINUATION, FIN, Peer};
use support::{NARROW, PATIENCE, REQUEST, Seen, Threads, next, read_head, wait_until, write};
use wsabi::{Error, Event, Message, MessageKind, Options, Server, SlowSubscribers, Socket};

#[test]
fn a_topic_reaches_its_subscribers_and_no_topic_everyone() {
    let hall = Hall::new(2, &Options::new());
    let guests: Vec<_> = (0..5).map(|_| hall.enter(&Options::new())).collect();
    for guest in &guests[..3] {
        guest.end.subscribe("news").unwrap();
        guest.end.subscribe("news").unwrap();
    }
    let publish = |topic, text| hall.server.publish(topic, Message::text(text)).unwrap();
    assert_eq!(publish(Some("news"), "for three"), 3);
    assert_eq!(publish(Some("olds"), "for nobody"), 0);
    guests[0].end.unsubscribe("news").unwrap();
    assert_eq!(publish(Some("news"), "for two"), 2);
    assert_eq!(publish(None, "for all"), 5);
    assert_eq!(hall.server.publish(None, Message::binary(&[])).unwrap(), 5);
    for (n, guest) in guests.iter().enumerate() {
        let expected: &[&str] = match n {
            0 => &["for three", "for all"],
            1 | 2 => &["for three", "for two", "for all"],
            _ => &["for all"],
        };
        for text in expected {
            assert_eq!(next(&guest.seen), Seen::text(*text));
        }
        assert_eq!(next(&guest.seen), Seen::binary(""));
    }
}

#[test]
fn what_one_thread_sends_and_publishes_arrives_in_that_order() {
    let options = shrinking();
    let hall = Hall::new(2, &options);
    let guests: Vec<_> = (0..3).map(|_| hall.enter(&Options::new())).collect();
    for guest in &guests {
        guest.end.subscribe("topic").unwrap();
    }
    let sizes = [0, 10, 300, 5_000, 20_000, 200_000];
    for round in 0..60 {
        let message = payload(round, sizes[round % sizes.len()]);
        if round % 3 == 0 {
            for guest in &guests {
                guest.end.send_binary(&message).unwrap();
            }
        } else {
            let topic = (round % 3 == 1).then_some("topic");
            let taken = hall.server.publish(topic, Message::binary(&message));
            assert_eq!(taken.unwrap(), guests.len());
        }
    }
    for guest in &guests {
        for round in 0..60 {
            let expected = payload(round, sizes[round % sizes.len()]);
            assert!(next(&guest.seen) == Seen::binary(expected), "{round}");
        }
    }
}

#[test]
fn every_window_gets_what_it_can_inflate_between_messages_of_its_own() {
    let hall = Hall::new(2, &shrinking());
    let mut guests = Vec::new();
    for bits in 8..=15 {
        for takeover in [true, false] {
            let mut options = Options::new();
            options.set_compression_window(15, bits.max(9)).unwrap();
            options.set_compression_takeover(true, takeover);
            options.set_compression(bits > 8);
            guests.push(hall.enter(&options));
        }
    }
    // Others compress for the same sockets meanwhile; a first byte tells whose message it is.
    let done = AtomicBool::new(false);
    let own = words(b'o', 20_000);
    let published = words(b'p', 20_000);
    thread::scope(|scope| {
        let senders: Vec<_> = guests
            .iter()
            .map(|guest| {
                let (end, own, done) = (guest.end.clone(), &own, &done);
                scope.spawn(move || {
                    let mut sent = 0;
                    while sent < 20 || !done.load(Ordering::Relaxed) && sent < 500 {
                        end.send_binary(&own[..own.len() - sent % 7]).unwrap();
                        sent += 1;
                    }
                    sent
                })
            })
            .collect();
        for round in 0..50 {
            let message = &published[..published.len() - round % 5];
            let taken = hall.server.publish(None, Message::binary(message)).unwrap();
            assert_eq!(taken, guests.len());
        }
        done.store(true, Ordering::Relaxed);
        for (guest, sender) in guests.iter().zip(senders) {
            let sent = sender.join().unwrap();
            let (mut from_own, mut from_published) = (0, 0);
            while from_own < sent || from_published < 50 {
                let Seen::Message(MessageKind::Binary, bytes) = next(&guest.seen) else {
                    panic!("a message");
                };
                if bytes[0] == b'o' {
                    assert!(bytes == own[..own.len() - from_own % 7]);
                    from_own += 1;
                } else {
                    assert!(bytes == published[..published.len() - from_published % 5]);
                    from_published += 1;
                }
            }
        }
    });
}

#[test]
fn what_is_published_is_compressed_unless_it_is_plain_or_short() {
    let hall = Hall::new(1, &Options::new());
    let guests = [hall.enter(&Options::new()), hall.enter(&Options::new())];
    let text = words(b't', 50_000);
    let publish = |message: Message<'_>, len: usize| {
        let before = guests[0].end.stats().bytes_sent;
        assert_eq!(hall.server.publish(None, message).unwrap(), 2);
        for guest in &guests {
            let Seen::Message(_, bytes) = next(&guest.seen) else {
                panic!("a message");
            };
            assert_eq!(bytes.len(), len);
        }
        wait_until("the end of writing", || {
            guests[0].end.buffered_amount() == 0
        });
        guests[0].end.stats().bytes_sent - before
    };
    let compressed = publish(Message::binary(&text), text.len());
    assert!(compressed < 20_000, "{compressed}");
    let plain = publish(Message::binary(&text).plain(), text.len());
    assert_eq!(plain, 50_004);
    let short = publish(Message::binary(&text[..1000]), 1000);
    assert_eq!(short, 1004);
}

#[test]
fn a_message_in_pieces_is_completed_before_what_is_published() {
    let hall = Hall::new(1, &shrinking());
    let guests = [hall.enter(&Options::new()), hall.enter(&Options::new())];
    let end = &guests[0].end;
    let piece = |data: &[u8], fin| end.send_fragment(MessageKind::Text, data, fin, false);
    piece(b"in ", false).unwrap();
    for n in 0..100 {
        let text = payload(n, 40 * n);
        assert_eq!(
            hall.server.publish(None, Message::binary(&text)).unwrap(),
            2
        );
    }
    piece(b"three ", false).unwrap();
    assert_eq!(hall.server.publish(None, Message::text("last")).unwrap(), 2);
    for n in 0..100 {
        assert!(next(&guests[1].seen) == Seen::binary(payload(n, 40 * n)));
    }
    assert_eq!(next(&guests[1].seen), Seen::text("last"));
    assert!(guests[0].seen.try_recv().is_err());
    piece(b"pieces", true).unwrap();
    end.send_text("behind").unwrap();
    assert_eq!(next(&guests[0].seen), Seen::text("in three pieces"));
    for n in 0..100 {
        assert!(next(&guests[0].seen) == Seen::binary(payload(n, 40 * n)));
    }
    assert_eq!(next(&guests[0].seen), Seen::text("last"));
    assert_eq!(next(&guests[0].seen), Seen::text("behind"));
}

#[test]
fn what_waits_for_the_end_of_pieces_is_bounded_and_lets_them_end() {
    let mut options = Options::new();
    options.set_max_buffered(100_000).unwrap();
    let hall = Hall::new(1, &options);
    let guest = hall.enter(&Options::new());
    let piece = |data: &[u8], fin| guest.end.send_fragment(MessageKind::Text, data, fin, true);
    piece(b"one ", false).unwrap();
    let publish = |message: &[u8]| hall.server.publish(None, Message::binary(message).plain());
    let fits = (0..100)
        .take_while(|_| publish(&[7; 10_000]) == Ok(1))
        .count();
    assert_eq!(fits, 9);
    piece(b"two", true).unwrap();
    assert_eq!(next(&guest.seen), Seen::text("one two"));
    for _ in 0..fits {
        assert_eq!(next(&guest.seen), Seen::binary([7; 10_000]));
    }
    assert_eq!(publish(&[8; 10_000]), Ok(1));
    assert_eq!(next(&guest.seen), Seen::binary([8; 10_000]));
}

#[test]
fn a_slow_subscriber_is_skipped_and_told_when_there_is_room() {
    let mut options = Options::new();
    options.set_max_buffered(1 << 20).unwrap();
    let hall = Hall::new(2, &options);
    let fast = hall.enter(&Options::new());
    let (_slow, mut peer) = hall.enter_narrow();
    let message = vec![7; 60_000];
    let publish = |message: &[u8]| hall.server.publish(None, Message::binary(message).plain());
    let mut taken_by_slow = 0;
    loop {
        let taken = publish(&message).unwrap();
        assert_eq!(next(&fast.seen), Seen::binary(message.clone()));
        if taken == 1 {
            break;
        }
        taken_by_slow += 1;
    }
    for _ in 0..taken_by_slow {
        let frame = peer.read_frame();
        assert!(frame.payload == message);
    }
    let drains = hall.drains.lock().unwrap();
    drains.recv_timeout(PATIENCE).expect("a drain event");
    assert_eq!(publish(b"again"), Ok(2));
    assert_eq!(peer.read_frame().payload, b"again");
}

#[test]
fn a_slow_subscriber_is_closed_where_the_options_say_so() {
    let mut options = Options::new();
    options.set_max_buffered(1 << 20).unwrap();
    options.set_slow_subscribers(SlowSubscribers::Close);
    options.set_close_timeout(std::time::Duration::from_millis(200));
    let hall = Hall::new(2, &options);
    let fast = hall.enter(&Options::new());
    let (slow, _peer) = hall.enter_narrow();
    let message = vec![7; 60_000];
    loop {
        let taken = hall
            .server
            .publish(None, Message::binary(&message).plain())
            .unwrap();
        assert_eq!(next(&fast.seen), Seen::binary(message.clone()));
        if taken == 1 {
            break;
        }
    }
    // It never reads: nobody waits for longer than the close timeout.
    let ends = hall.ends.lock().unwrap();
    let (code, was_clean) = ends.recv_timeout(PATIENCE).unwrap();
    assert_eq!((code, was_clean), (1006, false));
    assert_eq!(slow.ready_state(), wsabi::ReadyState::Closed);
    assert_eq!(hall.server.publish(None, Message::text("on")).unwrap(), 1);
    assert_eq!(next(&fast.seen), Seen::text("on"));
}

#[test]
fn a_slow_subscriber_that_reads_on_learns_why_it_is_closed() {
    let mut options = Options::new();
    options.set_max_buffered(1 << 20).unwrap();
    options.set_slow_subscribers(SlowSubscribers::Close);
    options.set_close_timeout(PATIENCE);
    let hall = Hall::new(2, &options);
    let (_slow, mut peer) = hall.enter_narrow();
    let message = vec![7; 60_000];
    let publish = || hall.server.publish(None, Message::binary(&message).plain());
    let mut taken = 0;
    while publish() == Ok(1) {
        taken += 1;
    }
    for _ in 0..taken {
        assert!(peer.read_frame().payload == message);
    }
    let close = peer.read_frame();
    assert_eq!(close.first, FIN | CLOSE);
    assert_eq!(close.close_code(), Some(1008));
    assert_eq!(&close.payload[2..], b"too slow");
}

#[test]
fn a_message_that_never_fits_is_refused_for_all() {
    let mut options = Options::new();
    options.set_max_buffered(1000).unwrap();
    let hall = Hall::new(1, &options);
    let refused = |topic| hall.server.publish(topic, Message::binary(&[0; 1001]));
    assert!(matches!(refused(None), Err(Error::Argument(_))));
    let guest = hall.enter(&Options::new());
    assert!(matches!(refused(Some("topic")), Err(Error::Argument(_))));
    assert_eq!(hall.server.publish(None, Message::text("fits")), Ok(1));
    assert_eq!(next(&guest.seen), Seen::text("fits"));
}

#[test]
fn a_client_has_no_topics() {
    let hall = Hall::new(1, &Options::new());
    let guest = hall.enter(&Options::new());
    assert!(matches!(
        guest.socket.subscribe("a"),
        Err(Error::Argument(_))
    ));
    assert!(matches!(
        guest.socket.unsubscribe("a"),
        Err(Error::Argument(_))
    ));
}

#[test]
fn large_messages_go_through_tls_from_memory_that_all_share() {
    let authority = Authority::new();
    let identity = authority.issue(LOCAL);
    let (mut serving, mut trusting) = (Options::new(), Options::new());
    serving
        .set_tls_identity(&identity.cert, &identity.key)
        .unwrap();
    trusting.set_tls_ca(&authority.pem()).unwrap();
    let hall = Hall::at("wss://127.0.0.1:0/", 2, &serving);
    let guests: Vec<_> = (0..3).map(|_| hall.enter(&trusting)).collect();
    for len in [100, 16_000, 20_000, 131_000, 400_000, 1_000_000] {
        let message = payload(len, len);
        let taken = hall.server.publish(None, Message::binary(&message).plain());
        assert_eq!(taken, Ok(3));
        for guest in &guests {
            guest.end.send_text("own").unwrap();
        }
    }
    for guest in &guests {
        for len in [100, 16_000, 20_000, 131_000, 400_000, 1_000_000] {
            assert!(
                next(&guest.seen) == Seen::binary(payload(len, len)),
                "{len}"
            );
            assert_eq!(next(&guest.seen), Seen::text("own"));
        }
    }
}

#[test]
fn messages_are_split_into_frames_as_the_options_say() {
    let mut options = Options::new();
    options.set_max_frame(1000);
    let hall = Hall::new(1, &options);
    let (_end, mut peer) = hall.enter_narrow();
    let message = payload(1, 2_500);
    assert_eq!(hall.server.publish(None, Message::binary(&message)), Ok(1));
    let frames: Vec<_> = (0..3).map(|_| peer.read_frame()).collect();
    let seen: Vec<_> = frames
        .iter()
        .map(|it| (it.first, it.payload.len()))
        .collect();
    let expected = [(BINARY, 1000), (CONTINUATION, 1000), (FIN, 500)];
    assert_eq!(seen, expected);
    assert!(frames.iter().flat_map(|it| &it.payload).eq(&message));
}

#[test]
fn threads_publish_while_sockets_come_subscribe_and_go() {
    let hall = Hall::new(2, &shrinking());
    let _stays = hall.enter(&Options::new());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..2 {
            let (hall, done) = (&hall, &done);
            scope.spawn(move || {
                let message = words(b'p', 3_000);
                while !done.load(Ordering::Relaxed) {
                    let topic = format!("{n}");
                    hall.server
                        .publish(Some(&topic), Message::binary(&message))
                        .unwrap();
                    hall.server.publish(None, Message::text("all")).unwrap();
                    thread::yield_now();
                }
            });
        }
        for round in 0..60 {
            let guests: Vec<_> = (0..5).map(|_| hall.enter(&Options::new())).collect();
            for (n, guest) in guests.iter().enumerate() {
                for topic in 0..20 {
                    guest.end.subscribe(&topic.to_string()).unwrap();
                }
                guest.end.unsubscribe("1").unwrap();
                match (n + round) % 4 {
                    0 => guest.end.close(Some(1000), "").unwrap(),
                    1 => guest.end.abort(),
                    2 => guest.socket.release(),
                    _ => guest.end.release(),
                }
                let late = guest.end.subscribe("late");
                assert!(matches!(late, Ok(()) | Err(Error::Closed(_))), "{late:?}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    wait_until("all but one to leave", || {
        hall.server.publish(None, Message::text("who")).unwrap() == 1
    });
}

/// A server that only publishes.
struct Hall {
    threads: Threads,
    server: Server,
    url: String,
    /// Its ends of the connections, in the order in which they open.
    entered: Mutex<Receiver<Socket>>,
    drains: Mutex<Receiver<()>>,
    /// Close codes, and whether they are clean.
    ends: Mutex<Receiver<(u16, bool)>>,
}

/// A client.
struct Guest {
    /// The server's end.
    end: Socket,
    socket: Socket,
    seen: Receiver<Seen>,
}

impl Hall {
    fn new(threads: u32, options: &Options) -> Self {
        Self::at("ws://127.0.0.1:0/", threads, options)
    }

    fn at(url: &str, threads: u32, options: &Options) -> Self {
        let threads = Threads::new(threads);
        let (entering, entered) = channel();
        let (draining, drains) = channel();
        let (ending, ends) = channel();
        let server = Server::listen(&threads.0, url, options, move |socket| {
            door(socket, &entering, &draining, &ending)
        })
        .unwrap();
        let url = url.replace(":0/", &format!(":{}/", server.port()));
        Self {
            threads,
            server,
            url,
            entered: Mutex::new(entered),
            drains: Mutex::new(drains),
            ends: Mutex::new(ends),
        }
    }

    fn enter(&self, options: &Options) -> Guest {
        let (socket, seen) = self.threads.connect(&self.url, options);
        assert_eq!(next(&seen), Seen::Open);
        Guest {
            end: self.next_end(),
            socket,
            seen,
        }
    }

    /// A peer that has hardly any room for what it receives, and reads only when told so.
    fn enter_narrow(&self) -> (Socket, Peer) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_recv_buffer_size(NARROW).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], self.server.port()));
        socket.connect(&address.into()).unwrap();
        let mut peer = Peer::new(socket.into(), true);
        write(&mut peer.stream, REQUEST);
        read_head(&mut peer.stream);
        (self.next_end(), peer)
    }

    fn next_end(&self) -> Socket {
        let entered = self.entered.lock().unwrap();
        entered.recv_timeout(PATIENCE).unwrap()
    }
}

fn door(
    socket: &Socket,
    entering: &Sender<Socket>,
    draining: &Sender<()>,
    ending: &Sender<(u16, bool)>,
) -> Arc<dyn wsabi::Handler> {
    let socket = socket.clone();
    let senders = Mutex::new((entering.clone(), draining.clone(), ending.clone()));
    Arc::new(move |event: Event<'_>| {
        let senders = senders.lock().unwrap();
        // The test may have seen enough.
        let _ = match event {
            Event::Open => senders.0.send(socket.clone()).is_ok(),
            Event::Drain => senders.1.send(()).is_ok(),
            Event::Close {
                code, was_clean, ..
            } => senders.2.send((code, was_clean)).is_ok(),
            _ => true,
        };
    })
}

/// Everything is compressed.
fn shrinking() -> Options {
    let mut options = Options::new();
    options.set_compression_min(1);
    options
}

/// Bytes that differ by number and place.
fn payload(number: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i * 31 + number * 7 + i / 256) as u8)
        .collect()
}

/// Text that compresses, and refers back as far as it can.
fn words(first: u8, len: usize) -> Vec<u8> {
    let mut text = vec![first];
    let mut seed = u32::from(first);
    while text.len() < len {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = format!("word{} ", (seed >> 20) % 900);
        text.extend_from_slice(word.as_bytes());
    }
    text.truncate(len);
    text
}
