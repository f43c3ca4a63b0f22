//! A client and a server of the library, through its Rust interface.

mod support;

use support::{PATIENCE, Seen, Threads, next};
use wsabi::Options;

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
