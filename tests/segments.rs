//! The handshake and the first frames, cut into TCP segments at every byte.

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::sync::mpsc::channel;

use support::{PATIENCE, REQUEST, RawServer, Seen, Threads, next, read_head, wait_until, write};
use wsabi::{Options, Server};

/// The server's first frames: text, a message in two fragments with a ping between them, the end.
const FROM_SERVER: &[u8] = b"\x81\x02hi\x02\x01a\x89\x01p\x80\x01b\x88\x05\x03\xe8bye";

#[test]
fn a_client_takes_the_response_and_the_first_frames_cut_anywhere() {
    let threads = Threads::new(1);
    let server = RawServer::new();
    let mut cut = 0;
    loop {
        let (socket, seen) = threads.connect(&server.url(), &Options::new());
        let (mut stream, mut bytes) = server.accept();
        bytes.extend_from_slice(FROM_SERVER);
        if cut > bytes.len() {
            break;
        }
        write(&mut stream, &bytes[..cut]);
        wait_until(&format!("the first {cut} bytes"), || {
            socket.stats().bytes_received == cut as u64
        });
        write(&mut stream, &bytes[cut..]);
        for expected in [
            Seen::Open,
            Seen::text("hi"),
            Seen::Ping(b"p".into()),
            Seen::binary(*b"ab"),
        ] {
            assert_eq!(next(&seen), expected, "cut at {cut}");
        }
        drop(stream);
        assert_eq!(next(&seen), Seen::clean(1000, "bye"), "cut at {cut}");
        cut += 1;
    }
    println!("{cut} cuts");
}

#[test]
fn a_server_takes_the_request_and_the_first_frames_cut_anywhere() {
    let threads = Threads::new(1);
    let (sender, seen) = channel();
    let (opened, sockets) = channel();
    let server = Server::listen(
        &threads.0,
        "ws://127.0.0.1:0/",
        &Options::new(),
        move |socket| {
            opened.send(socket.clone()).unwrap();
            support::recorder(sender.clone())
        },
    )
    .unwrap();
    // The same frames as above, masked with zeros.
    let mut bytes = REQUEST.to_vec();
    bytes.extend_from_slice(b"\x81\x82\0\0\0\0hi\x02\x81\0\0\0\0a\x89\x81\0\0\0\0p");
    bytes.extend_from_slice(b"\x80\x81\0\0\0\0b\x88\x85\0\0\0\0\x03\xe8bye");
    for cut in 0..=bytes.len() {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write(&mut stream, &bytes[..cut]);
        if cut >= REQUEST.len() {
            let socket = sockets.recv_timeout(PATIENCE).unwrap();
            wait_until("the first segment", || {
                socket.stats().bytes_received == cut as u64
            });
        }
        write(&mut stream, &bytes[cut..]);
        if cut < REQUEST.len() {
            sockets.recv_timeout(PATIENCE).unwrap();
        }
        assert!(read_head(&mut stream).contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for expected in [
            Seen::Open,
            Seen::text("hi"),
            Seen::Ping(b"p".into()),
            Seen::binary(*b"ab"),
        ] {
            assert_eq!(next(&seen), expected, "cut at {cut}");
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(
            answer.ends_with(b"\x8a\x01p\x88\x02\x03\xe8"),
            "cut at {cut}: {answer:?}"
        );
        drop(stream);
        assert_eq!(next(&seen), Seen::clean(1000, "bye"), "cut at {cut}");
    }
}

#[test]
fn a_client_takes_everything_byte_by_byte() {
    let threads = Threads::new(1);
    let server = RawServer::new();
    let (socket, seen) = threads.connect(&server.url(), &Options::new());
    let (mut stream, mut bytes) = server.accept();
    bytes.extend_from_slice(FROM_SERVER);
    for (i, byte) in bytes.iter().enumerate() {
        write(&mut stream, &[*byte]);
        wait_until("the byte", || socket.stats().bytes_received == i as u64 + 1);
    }
    drop(stream);
    for expected in [
        Seen::Open,
        Seen::text("hi"),
        Seen::Ping(b"p".into()),
        Seen::binary(*b"ab"),
        Seen::clean(1000, "bye"),
    ] {
        assert_eq!(next(&seen), expected);
    }
}
