//! A TCP proxy that chops: what it forwards leaves in segments of random sizes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Forwards one connection to the port; returns the proxy's.
pub fn chop(port: u16, seed: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || forward(back.0, back.1, seed ^ 1));
        forward(client, server, seed);
    });
    own
}

/// Until the end of `from`, or of `to`, whichever comes first; then it ends for both.
fn forward(mut from: TcpStream, mut to: TcpStream, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut buffer = [0; 20_000];
    loop {
        let most = random.random_range(1..=buffer.len());
        let len = match from.read(&mut buffer[..most]) {
            Ok(0) | Err(_) => break,
            Ok(len) => len,
        };
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            let size = match random.random_range(0..3) {
                0 => random.random_range(1..8),
                1 => random.random_range(1..200),
                _ => random.random_range(1..5_000),
            };
            let (segment, behind) = rest.split_at(size.min(rest.len()));
            if to.write_all(segment).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
            // So that the other side has a chance to read it alone.
            thread::yield_now();
            rest = behind;
        }
    }
    // One that is gone already needs no end.
    let _ = to.shutdown(Shutdown::Write);
}
