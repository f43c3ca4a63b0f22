//! Established connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use rustls::{ConnectionCommon, SideData, StreamOwned};

use crate::abi::{
    ERR_BUFFER_FULL, ERR_IO, ERR_PROTOCOL, ERR_TLS, Events, OK, Runtime, Seen, functions,
};
use crate::ends::{Served, TlsServer, being, connected, connected_with, trusting, upgrade};
use crate::support::tls::{Authority, LOCAL, end};
use crate::support::wire::{self, BINARY, CLOSE, FIN, TEXT, frame};

fn server(authority: &Authority) -> TlsServer {
    TlsServer::new(&authority.issue(LOCAL))
}

/// The next message, which is too long to be printed, is this one.
#[track_caller]
fn expect(seen: &Events, data: &[u8]) {
    assert!(next_message(seen) == data, "other bytes");
}

#[track_caller]
fn next_message(seen: &Events) -> Vec<u8> {
    loop {
        match seen.next() {
            Seen::Message { data, .. } => return data,
            Seen::Drain => {}
            seen => panic!("{seen:?}"),
        }
    }
}

/// Bytes that do not repeat soon.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|place| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

#[test]
fn g_a_stream_that_ends_without_close_notify_is_truncated() {
    let authority = Authority::new();
    let server = server(&authority);
    // The rest of a record may follow the message.
    for cut in [0, 1, 5, 20] {
        let (_runtime, client, mut peer) = connected(&server, &authority);
        peer.send_frame(FIN | TEXT, b"the last");
        let mut record = Vec::new();
        peer.stream.conn.writer().write_all(&[0; 100]).unwrap();
        peer.stream.conn.write_tls(&mut record).unwrap();
        peer.stream.sock.write_all(&record[..cut]).unwrap();
        peer.stream.sock.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.seen.next(), Seen::text("the last"));
        let seen = client.seen.until_close();
        let [Seen::Error { status, sentence }, close] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!((*status, close), (ERR_TLS, &Seen::died(1006)));
        assert!(sentence.starts_with("truncated: "), "{sentence}");
    }
}

#[test]
fn g_a_stream_that_ends_with_close_notify_ends_without_a_close_frame() {
    let authority = Authority::new();
    let server = server(&authority);
    let (_runtime, client, mut peer) = connected(&server, &authority);
    peer.send_frame(FIN | TEXT, b"the last");
    end(&mut peer.stream);
    assert_eq!(client.seen.next(), Seen::text("the last"));
    let (status, close) = client.seen.expect_failure();
    assert_eq!((status, close.code), (ERR_IO, 1006));
    // The library ends its direction, too.
    assert!(peer.read_to_end().is_empty());
}

#[test]
fn after_the_close_frames_nobody_misses_close_notify() {
    let authority = Authority::new();
    let server = server(&authority);
    let (_runtime, client, mut peer) = connected(&server, &authority);
    peer.send(&wire::close(1000, b"done"));
    assert_eq!(peer.read_frame().close_code(), Some(1000));
    peer.stream.sock.shutdown(Shutdown::Write).unwrap();
    client.seen.expect(&[Seen::clean(1000, "done")]);

    let (_runtime, client, mut peer) = connected(&server, &authority);
    assert_eq!(client.socket.close(1000, "done"), OK);
    assert_eq!(peer.read_frame().close_code(), Some(1000));
    peer.send(&wire::close(1000, b"done"));
    peer.stream.sock.shutdown(Shutdown::Write).unwrap();
    client.seen.expect(&[Seen::clean(1000, "done")]);
}

#[test]
fn the_library_ends_with_close_notify() {
    // As a server, which ends first.
    let served = Served::new();
    let mut peer = upgrade(served.port, served.client_config());
    peer.send(&wire::close(1000, b""));
    let frames = peer.read_to_end();
    assert_eq!(frames.len(), 1, "{frames:?}");
    // As a client that fails the connection, after the server's end, and when it aborts.
    let authority = Authority::new();
    let server = server(&authority);
    let (_runtime, client, mut peer) = connected(&server, &authority);
    peer.send_raw(&[0xff, 0xff]);
    let frames = peer.read_to_end();
    assert_eq!(frames.len(), 1, "{frames:?}");
    drop(peer);
    let (status, close) = client.seen.expect_failure();
    assert_eq!((status, close.code), (ERR_PROTOCOL, 1002));

    let (_runtime, client, mut peer) = connected(&server, &authority);
    peer.send(&wire::close(1000, b""));
    assert_eq!(peer.read_frame().first, FIN | CLOSE);
    end(&mut peer.stream);
    assert!(peer.read_to_end().is_empty());
    client.seen.expect(&[Seen::clean(1000, "")]);
}

#[test]
fn a_changed_byte_fails_the_connection() {
    let authority = Authority::new();
    let server = server(&authority);
    let (_runtime, client, mut peer) = connected(&server, &authority);
    peer.send_frame(FIN | TEXT, b"good");
    let mut record = Vec::new();
    peer.stream
        .conn
        .writer()
        .write_all(&frame(FIN | TEXT, b"bad"))
        .unwrap();
    peer.stream.conn.write_tls(&mut record).unwrap();
    *record.last_mut().unwrap() ^= 1;
    peer.stream.sock.write_all(&record).unwrap();
    peer.send_frame(FIN | TEXT, b"never to be seen");
    assert_eq!(client.seen.next(), Seen::text("good"));
    let seen = client.seen.until_close();
    let [Seen::Error { status, sentence }, close] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!((*status, close), (ERR_TLS, &Seen::died(1006)));
    assert!(sentence.starts_with("TLS violated: "), "{sentence}");
    // The peer is told, and then the stream ends.
    let error = peer.stream.read(&mut [0]).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
}

#[test]
fn a_reset_ends_the_connection() {
    let authority = Authority::new();
    let server = server(&authority);
    let (_runtime, client, mut peer) = connected(&server, &authority);
    peer.send_frame(FIN | TEXT, b"the last");
    assert_eq!(client.seen.next(), Seen::text("the last"));
    let socket = socket2::SockRef::from(&peer.stream.sock);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let (status, close) = client.seen.expect_failure();
    assert_eq!((status, close.code), (ERR_IO, 1006));
}

#[test]
fn large_messages_arrive_in_both_directions() {
    let served =
        Served::with(|options, _| options.set(functions().options_set_max_message, 16 << 20));
    let options = trusting(&served.authority).set(functions().options_set_max_message, 16 << 20);
    let runtime = Runtime::new();
    let client = runtime.connect(&served.url(), &options);
    assert_eq!(client.seen.next(), Seen::Open);
    let (socket, open) = served.seen.next_of();
    assert_eq!(open, Seen::Open);
    for len in [1, 1 << 10, 16_384, 1 << 20, 16 << 20] {
        let data = noise(len);
        assert_eq!(client.socket.send_binary(&data), OK);
        expect(&served.seen, &data);
        assert_eq!(socket.send_binary(&data), OK);
        expect(&client.seen, &data);
    }
    assert_eq!(client.socket.close(1000, ""), OK);
    let seen = client.seen.until_close();
    assert_eq!(seen.last(), Some(&Seen::clean(1000, "")));
}

#[test]
fn a_peer_may_write_byte_by_byte() {
    let authority = Authority::new();
    let server = server(&authority);
    let (_runtime, client, mut peer) = connected(&server, &authority);
    let data = noise(17_000);
    for round in 0..2 {
        let mut records = Vec::new();
        peer.stream
            .conn
            .writer()
            .write_all(&frame(FIN | BINARY, &data))
            .unwrap();
        while peer.stream.conn.wants_write() {
            peer.stream.conn.write_tls(&mut records).unwrap();
        }
        for byte in &records {
            peer.stream
                .sock
                .write_all(std::slice::from_ref(byte))
                .unwrap();
        }
        assert!(client.seen.next() == Seen::binary(&data[..]), "{round}");
    }
}

#[test]
fn a_peer_may_read_byte_by_byte() {
    let served = Served::new();
    let mut peer = upgrade(served.port, served.client_config());
    let (socket, _) = served.seen.next_of();
    let data = noise(20_000);
    assert_eq!(socket.send_binary(&data), OK);
    let mut slow = Slow(&mut peer.stream);
    let mut bytes = vec![0; 4 + data.len()];
    slow.read_exact(&mut bytes).unwrap();
    assert!(bytes[4..] == data);
}

/// Reads records by the byte.
struct Slow<'a, C, T: Read + Write>(&'a mut StreamOwned<C, T>)
where
    C: std::ops::DerefMut;

impl<C, S> Read for Slow<'_, C, TcpStream>
where
    C: std::ops::DerefMut<Target = ConnectionCommon<S>>,
    S: SideData,
{
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.conn.reader().read(buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            let mut byte = [0];
            self.0.sock.read_exact(&mut byte)?;
            self.0.conn.read_tls(&mut &byte[..])?;
            self.0
                .conn
                .process_new_packets()
                .map_err(io::Error::other)?;
        }
    }
}

#[test]
fn a_paused_socket_holds_its_peer_back() {
    let authority = Authority::new();
    let server = server(&authority);
    let (_runtime, client, mut peer) = connected(&server, &authority);
    assert_eq!(client.socket.pause(), OK);
    let message = frame(FIN | BINARY, &noise(50_000));
    let short = Duration::from_millis(200);
    peer.stream.sock.set_write_timeout(Some(short)).unwrap();
    let mut records = Vec::new();
    let mut messages = 0;
    // What the systems on both sides hold.
    loop {
        assert!(messages < 2_000, "a hundred megabytes were taken");
        peer.stream.conn.writer().write_all(&message).unwrap();
        while peer.stream.conn.wants_write() {
            peer.stream.conn.write_tls(&mut records).unwrap();
        }
        messages += 1;
        match write_some(&mut peer.stream.sock, &mut records) {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert_eq!(client.seen.so_far(), []);
    assert_eq!(client.socket.resume(), OK);
    peer.stream.sock.set_write_timeout(None).unwrap();
    peer.stream.sock.write_all(&records).unwrap();
    for number in 0..messages {
        assert!(
            client.seen.next() == Seen::binary(noise(50_000)),
            "{number}"
        );
    }
}

/// Writes, and takes off what was written.
fn write_some(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    while !bytes.is_empty() {
        let len = stream.write(bytes)?;
        bytes.drain(..len);
    }
    Ok(())
}

#[test]
fn a_peer_that_does_not_read_fills_the_buffer_and_drains_it() {
    let authority = Authority::new();
    let server = server(&authority);
    let options = trusting(&authority).set(functions().options_set_max_buffered, 4 << 20);
    let (_runtime, client, mut peer) = connected_with(&server, &options);
    let data = noise(60_000);
    let mut count = 0;
    while client.socket.send_binary(&data) == OK {
        count += 1;
    }
    assert_eq!(client.socket.send_binary(&data), ERR_BUFFER_FULL);
    assert!(client.socket.buffered_amount() > 3 << 20);
    for _ in 0..count {
        assert!(peer.read_frame().payload == data);
    }
    assert_eq!(client.seen.next(), Seen::Drain);
    assert_eq!(client.socket.buffered_amount(), 0);
    assert_eq!(client.socket.send_text("one more"), OK);
    assert_eq!(peer.read_frame().payload, b"one more");
}

#[test]
fn many_threads_may_send_while_much_is_received() {
    const THREADS: u8 = 4;
    const MESSAGES: u32 = 500;
    let echo = Runtime::new();
    let authority = Authority::new();
    let options = being(&authority.issue(LOCAL));
    let (server, _seen) = echo.listen_at("wss://127.0.0.1:0/", &options, |socket, seen| {
        if let Seen::Message { data, .. } = seen {
            assert_eq!(socket.send_binary(data), OK);
        }
    });
    let runtime = Runtime::new();
    let url = format!("wss://localhost:{}/", server.port);
    let client = runtime.connect(&url, &trusting(&authority));
    assert_eq!(client.seen.next(), Seen::Open);
    let socket = client.socket;
    let senders: Vec<_> = (0..THREADS)
        .map(|thread| {
            thread::spawn(move || {
                for number in 0..MESSAGES {
                    let mut data = vec![thread; 1 + (number as usize * 37) % 5_000];
                    data.extend(number.to_be_bytes());
                    assert_eq!(socket.send_binary(&data), OK);
                }
            })
        })
        .collect();
    let mut next = [0; THREADS as usize];
    for _ in 0..u32::from(THREADS) * MESSAGES {
        let data = next_message(&client.seen);
        let (rest, number) = data.split_last_chunk().unwrap();
        let thread = usize::from(rest[0]);
        assert_eq!(u32::from_be_bytes(*number), next[thread]);
        assert!(rest.iter().all(|byte| usize::from(*byte) == thread));
        next[thread] += 1;
    }
    for sender in senders {
        sender.join().unwrap();
    }
}
