//! A client and a server of the library, through its Rust interface.

mod support;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use support::{PATIENCE, Seen, Threads, next, recorder};
use wsabi::{Event, Options, Socket};

#[test]
fn every_length_comes_back_as_it_was_sent() {
    let threads = Threads::new(2);
    let mut options = Options::new();
    options.set_max_message(17 << 20).unwrap();
    let (_server, url) = threads.echo_server(&options);
    let (socket, seen) = threads.connect(&url, &options);
    assert_eq!(next(&seen), Seen::Open);
    for len in [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20] {
        let data: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
        socket.send_binary(&data).unwrap();
        assert!(next(&seen) == Seen::binary(data), "{len}");
        let text = "aé€\u{10348}".repeat(len / 10);
        socket.send_text(&text).unwrap();
        assert!(next(&seen) == Seen::text(text), "{len}");
    }
    socket.close(Some(3000), "done").unwrap();
    assert_eq!(next(&seen), Seen::clean(3000, ""));
    assert_eq!(socket.buffered_amount(), 0);
}

#[test]
fn a_burst_of_messages_arrives_whole_and_in_order() {
    let threads = Threads::new(1);
    let (_server, url) = threads.echo_server(&Options::new());
    let (socket, seen) = threads.connect(&url, &Options::new());
    assert_eq!(next(&seen), Seen::Open);
    for i in 0..20_000u32 {
        socket.send_binary(&i.to_be_bytes()).unwrap();
    }
    for i in 0..20_000u32 {
        assert_eq!(next(&seen), Seen::binary(i.to_be_bytes()));
    }
    threads.0.shutdown(Some(PATIENCE)).unwrap();
    assert_eq!(next(&seen), Seen::clean(1001, ""));
}

/// The time for the closing handshake begins when it does, and not with the handler before it.
#[test]
fn a_handler_that_takes_longer_than_closing_may_can_still_close() {
    let (server_threads, threads) = (Threads::new(1), Threads::new(1));
    let mut options = Options::new();
    let limit = Duration::from_secs(2);
    options.set_close_timeout(limit);
    let (_server, url) = server_threads.echo_server(&Options::new());
    let (sender, seen) = channel();
    let _socket = Socket::connect(&threads.0, &url, &options, |socket| {
        let (record, socket) = (recorder(sender), socket.clone());
        Arc::new(move |event: Event<'_>| {
            record.handle(&event);
            if matches!(event, Event::Open) {
                std::thread::sleep(limit + Duration::from_millis(500));
                socket.close(Some(3000), "").unwrap();
            }
        })
    });
    assert_eq!(next(&seen), Seen::Open);
    assert_eq!(next(&seen), Seen::clean(3000, ""));
}
