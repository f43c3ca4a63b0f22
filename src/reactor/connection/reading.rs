//! What a connection reads, and who uses it.

use std::io;
use std::sync::atomic::Ordering;

use super::messages::add;
use super::{Connection, Context, DENSE_READ, Phase, Side};
use crate::defects::place;
use crate::delivery::Outlet;
use crate::error::Error;
use crate::net::SHORT_READ_MEANS_EMPTY;
use crate::net::tls::{self, Fault, Peer};
use crate::proto::Buffer;
use crate::reactor::link::Link;
use crate::reactor::outbox::ReadyState;

/// What a server reads at a time of a client that has not been let in: what comes behind its request
/// is kept while the application decides. It is as long as a request can be.
const REQUEST_READ: usize = 16 << 10;
/// How much of a connection is read whose request is refused.
const MOST_OF_REFUSED: u64 = 1 << 20;

/// Whether the application wants no message now. Once the end has begun it gets none, and what is
/// read only brings the end.
pub(super) fn is_held(link: &Link, outlet: &Outlet) -> bool {
    let is_open = link.ready_state() == ReadyState::Open;
    link.is_paused() || is_open && outlet.is_full(&link.gate)
}

impl Connection {
    /// Whether the next turn should come without an event.
    pub fn wants_turn(&self) -> bool {
        self.may_read() || self.held_back && !self.is_held() && !self.is_over()
    }

    /// Whether a turn is wanted now that the queue of events has room.
    pub fn waits_for_room(&self) -> bool {
        let has_panic = match &self.phase {
            Phase::Deciding(pending) => pending.has_panic(),
            _ => self.link.gate.has_panic(),
        };
        self.held_back || self.readable || has_panic
    }

    /// Whether the application wants no message now.
    pub(super) fn is_held(&self) -> bool {
        is_held(&self.link, &self.outlet)
    }

    pub(super) fn may_read(&self) -> bool {
        self.readable
            && !self.held_back
            && !matches!(self.phase, Phase::Deciding(_) | Phase::Over)
            && !self.link.is_dropped()
            && !self.is_held()
    }

    /// Delivers what the application did not want while it was paused.
    pub(super) fn take_held_back(&mut self, cx: &mut Context<'_>) {
        if self.held_back && !self.is_held() {
            self.held_back = false;
            let len = self.tail.len();
            cx.buffer[..len].copy_from_slice(self.tail.bytes());
            self.tail = Buffer::new();
            self.receive(len, cx);
        }
    }

    /// Reads once, and uses what was read.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) {
        let Some(transport) = self.transport.clone() else {
            return;
        };
        if let Some(ending) = self.tls_ending.take() {
            return self.end_tls(ending);
        }
        if let Phase::Open(receiver) = &mut self.phase
            && !transport.is_secure()
            && self.tail.is_empty()
            && let Some(room) = receiver.room()
        {
            let most = room.len();
            let result = transport.read(room);
            if let Some(len) = self.judge(result, most, cx) {
                self.filled(len, cx);
            }
            return;
        }
        let held = self.tail.len();
        // One byte stays free for the NUL behind the last payload.
        let end = cx.buffer.len() - 1;
        let most = self.most_to_read(transport.is_secure());
        cx.buffer[..held].copy_from_slice(self.tail.bytes());
        let (result, most, plain) = match transport.receive(&mut cx.buffer[..end], held, most) {
            Ok(arrival) => {
                self.tls_ending = arrival.ending;
                (Ok(arrival.wire), arrival.room, arrival.end)
            }
            Err(error) => (Err(error), 0, held),
        };
        if self.judge(result, most, cx).is_none() {
            return;
        }
        // It is looked at when what came before has been used.
        self.readable |= self.tls_ending.is_some();
        if matches!(self.phase, Phase::Securing(_)) && transport.is_established() {
            self.secured(cx);
        }
        if plain > held {
            self.tail.clear();
            self.receive(plain, cx);
        }
    }

    /// How much may be taken from the socket at a time.
    fn most_to_read(&self, is_secure: bool) -> usize {
        match &self.phase {
            Phase::Awaiting(_) => REQUEST_READ,
            Phase::Securing(_) if matches!(self.side, Side::Server(_)) => REQUEST_READ,
            // Records take more time than frames do.
            _ if self.is_dense && !is_secure => DENSE_READ,
            _ => usize::MAX,
        }
    }

    /// TLS has ended.
    fn end_tls(&mut self, ending: tls::Ending) {
        let error = match ending {
            tls::Ending::CloseNotify => self.end_of_stream(),
            tls::Ending::Failed(error) => {
                let fault = Fault::of(&error);
                self.is_hopeless = fault.is_permanent();
                if fault == Fault::NotTls {
                    self.answer_plainly();
                }
                tls::explain(&error, &self.peer_name())
            }
        };
        self.receive_eof(error);
    }

    /// The other end, for a sentence.
    fn peer_name(&mut self) -> String {
        let peer = match self.phase {
            Phase::Securing(peer) => peer,
            Phase::Tunneling(_) => Peer::Proxy,
            _ => Peer::Server,
        };
        match self.way() {
            Some(way) => way.peer_name(peer),
            None => self.link.facts.lock().peer_address.to_string(),
        }
    }

    /// What is to be said of a stream that has ended before its time.
    fn end_of_stream(&mut self) -> Error {
        let sentence = if self.give_up_sending() {
            "the peer ended the connection before everything was sent"
        } else {
            "the peer ended the connection without a Close frame"
        };
        Error::Io(sentence.into())
    }

    /// What a read says. `None`: no bytes.
    pub(super) fn judge(
        &mut self,
        result: io::Result<usize>,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        match result {
            Ok(0) => {
                let mut error = self.end_of_stream();
                if self.transport.as_ref().is_some_and(|it| it.is_secure()) {
                    let peer = self.peer_name();
                    let detail = format!("{peer} ended the connection without close_notify");
                    error = Fault::Truncated.error(&detail);
                }
                self.receive_eof(error);
            }
            Ok(len) => {
                place("read");
                if SHORT_READ_MEANS_EMPTY && len < most && !self.read_closed {
                    self.readable = self.write_error.is_some();
                }
                let received = &self.link.received;
                add(&received.bytes, len);
                *received.at.lock() = Some(cx.now);
                return Some(len);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                if let Some(error) = self.write_error.take() {
                    self.receive_eof(error);
                }
            }
            Err(error) => {
                self.receive_eof(Error::Io(format!("reading failed: {error}").into()));
            }
        }
        None
    }

    /// Nothing more comes, for which `error` is the sentence.
    pub(super) fn receive_eof(&mut self, error: Error) {
        match &mut self.phase {
            Phase::Asking(client) => {
                // A refusal whose body does not end is a refusal all the same.
                let refused = client.response().is_some();
                let error = if refused { client.receive_eof() } else { error };
                self.keep_response();
                self.give_up(error);
            }
            Phase::Tunneling(handshake) => {
                // It knows how far it has come; that time ran out, or TLS failed, says more.
                let is_lost = matches!(error, Error::Io(_));
                let error = if is_lost {
                    handshake.receive_eof()
                } else {
                    error
                };
                self.give_up(error);
            }
            Phase::Open(_) | Phase::Leaving => {
                let ending = self.closing.end(error);
                self.finish(ending);
            }
            _ => self.give_up(error),
        }
    }

    /// Uses the first `len` bytes of the shared buffer.
    pub(super) fn receive(&mut self, len: usize, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Tunneling(_) => self.receive_from_proxy(len, cx),
            Phase::Asking(_) => self.receive_answer(len, cx),
            Phase::Awaiting(_) => self.receive_request(len, cx),
            Phase::Open(_) => self.messages(0, len, cx),
            Phase::Leaving => self.drop_received(),
            _ => {}
        }
    }

    /// What comes behind the end is read so that what was said last is not lost by a reset; but of
    /// a request that is refused, not for as long as its client likes.
    fn drop_received(&mut self) {
        let was_open = self.link.ready_state() >= ReadyState::Open;
        if !was_open && self.link.received.bytes.load(Ordering::Relaxed) > MOST_OF_REFUSED {
            let sentence = "the client of a refused request went on";
            self.give_up(Error::Io(sentence.into()));
        }
    }
}
