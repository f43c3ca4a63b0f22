//! TLS on a stream, and TLS inside of TLS: to a server behind a proxy that wants TLS itself. The
//! half that reads and the half that writes share the sessions, each of which is locked only while
//! rustls works. What rustls logs then is logged afterwards.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustls::{Error, ProtocolVersion, SupportedCipherSuite};

use super::session::{GAP, Opened, Session};
use crate::proto::Buffer;
use crate::records;

/// One TLS connection on a stream, or on the layer around it.
pub struct Layer {
    session: Mutex<Session>,
    /// What the session says, to be read without its lock.
    has_outgoing: AtomicBool,
    inner: OnceLock<Box<Layer>>,
}

impl Layer {
    /// A layer around which there is none yet.
    pub fn new(session: Session) -> Self {
        Self {
            has_outgoing: AtomicBool::new(session.has_outgoing()),
            session: Mutex::new(session),
            inner: OnceLock::new(),
        }
    }

    /// Begins TLS inside of this.
    pub fn add(&self, session: Session) {
        let inner = self.inner.get_or_init(|| Box::new(Self::new(session)));
        debug_assert!(inner.inner.get().is_none());
    }

    /// Whether all handshakes are over.
    pub fn is_established(&self) -> bool {
        let inner = self.inner.get();
        inner.is_none_or(|inner| inner.is_established()) && self.session.lock().is_established()
    }

    /// Whether something is to be written though nobody has sent anything.
    pub fn has_outgoing(&self) -> bool {
        let inner = self.inner.get();
        self.has_outgoing.load(Ordering::Acquire) || inner.is_some_and(|inner| inner.has_outgoing())
    }

    /// Version and cipher suite, of the innermost session.
    pub fn parameters(&self) -> (Option<ProtocolVersion>, Option<SupportedCipherSuite>) {
        if let Some(inner) = self.inner.get() {
            return inner.parameters();
        }
        let session = self.session.lock();
        let common = session.common();
        (common.protocol_version(), common.negotiated_cipher_suite())
    }

    /// Where in a buffer what is received has to be written, so that [`Self::open`] can put the
    /// plaintext to `at`.
    pub fn place(&self, at: usize) -> usize {
        let at = self.inner.get().map_or(at, |inner| inner.place(at));
        at + GAP + self.session.lock().kept()
    }

    /// Decrypts what was received, up to `end`, to where `at` says.
    pub fn open(&self, buffer: &mut [u8], at: usize, end: usize) -> Opened {
        let Some(inner) = self.inner.get() else {
            return self.open_outer(buffer, at, end);
        };
        // Our plaintext is what the inner layer receives.
        let outer = self.open_outer(buffer, inner.place(at), end);
        let opened = inner.open(buffer, at, outer.end);
        Opened {
            end: opened.end,
            ending: opened.ending.or(outer.ending),
        }
    }

    /// Turns `bytes` into what is to be written for them, with what TLS itself has to say. `spare`
    /// is empty, and is so again afterwards.
    pub fn seal(&self, bytes: &mut Buffer, spare: &mut Buffer) -> Result<(), Error> {
        if let Some(inner) = self.inner.get() {
            inner.seal(bytes, spare)?;
        }
        self.with_session(|session| session.seal(bytes.bytes(), spare))?;
        std::mem::swap(bytes, spare);
        spare.clear();
        Ok(())
    }

    /// Has the peer told that nothing more will be sent. A proxy around it hears of it by the end
    /// of the stream.
    pub fn close(&self) {
        match self.inner.get() {
            Some(inner) => inner.close(),
            None => self.with_session(Session::close),
        }
    }

    fn open_outer(&self, buffer: &mut [u8], at: usize, end: usize) -> Opened {
        self.with_session(|session| session.open(buffer, at, at + GAP..end))
    }

    fn with_session<T>(&self, act: impl FnOnce(&mut Session) -> T) -> T {
        records::hold(|| {
            let mut session = self.session.lock();
            let result = act(&mut session);
            let has_outgoing = session.has_outgoing();
            self.has_outgoing.store(has_outgoing, Ordering::Release);
            result
        })
    }
}
