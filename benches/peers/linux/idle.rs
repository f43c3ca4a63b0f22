//! The memory of connections that have nothing to do.

use std::error::Error;
use std::io::Write;

use tungstenite::{Bytes, Message};

use super::channel::Channel;
use super::meter::{self, Meter};
use super::own::{self, Seen};
use super::workload::Peer;
use super::{blocking, c, raw, sys, wire};

/// What each connection sends and gets back before it is idle.
const PAYLOAD: [u8; 64] = [b'x'; 64];

/// Makes connections, and prints how many bytes of the heap and of the resident memory one takes.
pub fn run(peer: Peer, connections: usize, port: u16) -> Result<(), Box<dyn Error>> {
    sys::raise_descriptor_limit();
    let url = format!("ws://127.0.0.1:{port}/echo");
    let runtime = c::runtime(1)?;
    let options = c::options(own::tell)?;
    let (state, events) = own::telling(Box::leak(Box::new(Meter::new(1, 1))));
    let mut raw: Vec<Channel> = Vec::with_capacity(connections);
    let mut blocking = Vec::with_capacity(connections);
    let memory = || (meter::live_bytes(), sys::resident_bytes());
    let (heap, resident) = memory();
    for _ in 0..connections {
        match peer {
            Peer::Raw => {
                let mut stream = raw::connect(port, "/echo", false)?;
                let mut frame = [0; 6 + PAYLOAD.len()];
                wire::format(&mut frame, PAYLOAD.len(), Some([0; 4]));
                stream.write_all(&frame)?;
                std::io::Read::read_exact(&mut stream, &mut frame[4..])?;
                raw.push(stream);
            }
            Peer::Tungstenite => {
                let mut client = blocking::connect(port, "/echo", false)?;
                client.send(Message::Binary(Bytes::from_static(&PAYLOAD)))?;
                client.read()?;
                blocking.push(client);
            }
            _ => {
                let socket = c::connect(runtime, &url, options, state)?;
                own::wait_for(&events, Seen::Open);
                c::check(c::send(socket, &PAYLOAD))?;
                own::wait_for(&events, Seen::Message);
            }
        }
    }
    let (heap_after, resident_after) = memory();
    let each = |before: u64, after: u64| after.saturating_sub(before) / connections as u64;
    println!(
        "{} {}",
        each(heap, heap_after),
        each(resident, resident_after)
    );
    Ok(())
}
