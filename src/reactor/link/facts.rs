//! What is known of a socket beside its messages, and its counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Link;
use crate::proto::handshake::Head;

/// What is known of a connection beside its messages.
#[derive(Default)]
pub struct Facts {
    pub url: Box<str>,
    pub subprotocol: Box<str>,
    pub extensions: Box<str>,
    pub peer_address: Box<str>,
    pub local_address: Box<str>,
    pub tls_version: &'static str,
    pub tls_cipher: &'static str,
    /// The server's answer, for a client.
    pub response: Option<Head>,
    pub response_body: Vec<u8>,
    pub dns: Duration,
    pub tcp: Duration,
    pub tls: Duration,
    /// How often the connection was established.
    pub opened: u32,
    pub upgrade: Duration,
}

impl Facts {
    /// An attempt to connect to `url` begins: what was found out before says nothing about it.
    pub fn start_over(&mut self, url: Box<str>) {
        *self = Self {
            url,
            opened: self.opened,
            ..Self::default()
        };
    }
}

/// Counters that the I/O thread alone changes.
#[derive(Default)]
pub struct Inflow {
    pub bytes: AtomicU64,
    pub payload: AtomicU64,
    pub messages: AtomicU64,
    pub round_trip_ns: AtomicU64,
    pub at: Mutex<Option<Instant>>,
}

/// Counters and times of one socket.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// How often the connection was made anew.
    pub reconnects: u32,
    /// On the wire, with handshake and frames.
    pub bytes_sent: u64,
    /// On the wire, with handshake and frames.
    pub bytes_received: u64,
    /// Bytes of the messages that were accepted for sending.
    pub payload_sent: u64,
    /// Bytes of the messages that were delivered.
    pub payload_received: u64,
    /// Messages that were accepted for sending.
    pub messages_sent: u64,
    /// Messages that were delivered.
    pub messages_received: u64,
    /// Of the latest ping.
    pub round_trip: Option<Duration>,
    /// Since the last byte was received.
    pub since_received: Option<Duration>,
    /// For the name.
    pub dns: Duration,
    /// For the connection.
    pub tcp: Duration,
    /// For TLS.
    pub tls: Duration,
    /// For the opening handshake.
    pub upgrade: Duration,
}

impl Link {
    /// Counters and times.
    pub fn stats(&self) -> Stats {
        let since_received = self.received.at.lock().map(|at| at.elapsed());
        let round_trip = match self.received.round_trip_ns.load(Ordering::Relaxed) {
            0 => None,
            ns => Some(Duration::from_nanos(ns)),
        };
        let (dns, tcp, tls, upgrade, reconnects) = {
            let facts = self.facts.lock();
            (
                facts.dns,
                facts.tcp,
                facts.tls,
                facts.upgrade,
                facts.opened.saturating_sub(1),
            )
        };
        let out = self.outbox.lock();
        Stats {
            reconnects,
            bytes_sent: out.bytes_sent,
            bytes_received: self.received.bytes.load(Ordering::Relaxed),
            payload_sent: out.payload_sent,
            payload_received: self.received.payload.load(Ordering::Relaxed),
            messages_sent: out.messages_sent,
            messages_received: self.received.messages.load(Ordering::Relaxed),
            round_trip,
            since_received,
            dns,
            tcp,
            tls,
            upgrade,
        }
    }
}
