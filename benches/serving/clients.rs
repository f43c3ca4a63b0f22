//! The clients: raw sockets, also through TLS.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;

use super::server::Process;
use super::support::tls::{self, Authority, LOCAL};
use super::support::wire::{BINARY, FIN, Peer};
use super::support::{REQUEST, read_head};

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}
type Client = Peer<Box<dyn Stream>>;

/// How much is measured.
struct Effort {
    idle: [usize; 2],
    echoes: usize,
    compressing: usize,
}

const FULL: Effort = Effort {
    idle: [10_000, 3_000],
    echoes: 20_000,
    compressing: 300,
};
const QUICK: Effort = Effort {
    idle: [500, 200],
    echoes: 2_000,
    compressing: 30,
};

/// Set in the first byte of a message that is compressed (RFC 7692 §6).
const RSV1: u8 = 0x40;

/// The first ones pay for what all have in common.
const FIRST: usize = 10;

const NO_OFFER: &str = "";
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

pub fn measure(is_quick: bool) -> Result<(), Box<dyn Error>> {
    let effort = if is_quick { QUICK } else { FULL };
    let authority = Authority::new();
    let identity = authority.issue(LOCAL);
    let mut config = tls::client_config(&authority, None, &tls::VERSIONS);
    // Everybody comes for the first time.
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    for (scheme, count) in ["ws", "wss"].into_iter().zip(effort.idle) {
        let url = format!("{scheme}://127.0.0.1:0/");
        let config = (scheme == "wss").then_some(&config);
        println!("{scheme}://");
        measure_idle(&mut Process::start(&url, &identity)?, config, count)?;
        measure_echo(&mut Process::start(&url, &identity)?, config, effort.echoes)?;
        let mut server = Process::start(&url, &identity)?;
        measure_compressing(&mut server, config, effort.compressing)?;
    }
    Ok(())
}

/// Lets so many in, who then say nothing.
fn measure_idle(
    server: &mut Process,
    config: Option<&Arc<ClientConfig>>,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    let mut clients = connect_all(server, config, NO_OFFER, FIRST)?;
    let (before, slab) = (server.used()?, slab_bytes());
    clients.extend(connect_all(server, config, NO_OFFER, count)?);
    let (after, slab_after) = (server.used()?, slab_bytes());
    let each = 1.0 / count as f64;
    println!(
        "  an idle connection, {count} of them: {:.1} KB, and {:.1} KB in the system's tables",
        (after.bytes - before.bytes) * each / 1e3,
        // Those of both ends.
        (slab_after - slab) * each / 2.0 / 1e3,
    );
    println!(
        "  a connection made and upgraded: {:.0} us of a processor",
        (after.cpu_seconds - before.cpu_seconds) * each * 1e6
    );
    Ok(())
}

/// Sends small messages, each when the last has come back.
fn measure_echo(
    server: &mut Process,
    config: Option<&Arc<ClientConfig>>,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    let mut client = connect(server.port, config, NO_OFFER)?;
    let mut exchange = |count| {
        for _ in 0..count {
            client.send_frame(FIN | BINARY, &[7; 64]);
            assert_eq!(client.read_frame().payload.len(), 64);
        }
    };
    exchange(count / 10);
    let before = server.used()?;
    exchange(count);
    let used = server.used()?.cpu_seconds - before.cpu_seconds;
    println!(
        "  64 B received and sent back, each alone: {:.1} us of a processor",
        used * 1e6 / count as f64
    );
    Ok(())
}

/// Lets so many in, who send a compressed message, and get it back compressed.
fn measure_compressing(
    server: &mut Process,
    config: Option<&Arc<ClientConfig>>,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    let mut clients = connect_all(server, config, OFFER, FIRST + count)?;
    let (first, others) = clients.split_at_mut(FIRST);
    first.iter_mut().for_each(exchange_compressed);
    let before = server.used()?;
    others.iter_mut().for_each(exchange_compressed);
    let used = server.used()?.bytes - before.bytes;
    println!(
        "  a connection that has compressed and inflated, besides: {:.0} KB",
        used / count as f64 / 1e3
    );
    Ok(())
}

fn exchange_compressed(client: &mut Client) {
    const LEN: u16 = 4_000;
    // A stored block and the beginning of an empty one (RFC 7692 §7.2.1, RFC 1951 §3.2.4).
    let (len, complement) = (LEN.to_le_bytes(), (!LEN).to_le_bytes());
    let text: Vec<u8> = (0..LEN).map(|at| (at % 97) as u8).collect();
    let payload = [&[0][..], &len, &complement, &text, &[0]].concat();
    client.send_frame(FIN | RSV1 | BINARY, &payload);
    assert_eq!(client.read_frame().first, FIN | RSV1 | BINARY);
}

fn connect_all(
    server: &Process,
    config: Option<&Arc<ClientConfig>>,
    fields: &str,
    count: usize,
) -> Result<Vec<Client>, Box<dyn Error>> {
    (0..count)
        .map(|_| connect(server.port, config, fields))
        .collect()
}

/// A client that has been let in.
fn connect(
    port: u16,
    config: Option<&Arc<ClientConfig>>,
    fields: &str,
) -> Result<Client, Box<dyn Error>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    let mut stream: Box<dyn Stream> = match config {
        None => Box::new(stream),
        Some(config) => Box::new(tls::ask(stream, Arc::clone(config))),
    };
    let (request, end) = REQUEST.split_at(REQUEST.len() - 2);
    stream.write_all(&[request, fields.as_bytes(), end].concat())?;
    stream.flush()?;
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    Ok(Peer::over(stream, true))
}

/// Memory of the system for sockets and the like.
fn slab_bytes() -> f64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find_map(|line| line.strip_prefix("Slab:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() * 1024.0
}
