//! A connected stream that both halves of a connection share: the I/O thread reads, whoever sends
//! writes.

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::IntoRawFd;
use std::sync::OnceLock;

use mio::Interest;
use mio::event::Source;
use mio::net::TcpStream;
use parking_lot::Mutex;
use socket2::SockRef;

use super::cookie::Cookie;
use super::tls::{self, Ending, Layer, Session};
use crate::proto::{Buffer, Pool};

/// A socket of the system.
#[derive(Debug)]
pub enum Stream {
    /// Over the network.
    Tcp(TcpStream),
    /// On this machine.
    #[cfg(unix)]
    Unix(mio::net::UnixStream),
}

/// Where bytes go and come from. It never blocks.
pub struct Transport {
    /// INVARIANT: there is one, until this is dropped.
    stream: Option<Stream>,
    cookie: Cookie,
    tls: OnceLock<Box<Layer>>,
}

/// What a read gave, once it is decrypted.
#[derive(Debug)]
pub struct Arrival {
    /// How many bytes came; none: the stream has ended.
    pub wire: usize,
    /// How many there was room for.
    pub room: usize,
    /// Where in the buffer the plaintext ends.
    pub end: usize,
    /// Nothing more will come.
    pub ending: Option<Ending>,
}

/// Whether a read that does not fill its buffer has emptied the socket, so that the next arrival
/// is announced. Where readiness is armed again only by a read that would block, it has not.
pub const SHORT_READ_MEANS_EMPTY: bool = cfg!(unix);

/// What `send` needs so that a dead peer is an error and not a signal.
#[cfg(all(unix, not(target_vendor = "apple")))]
const NO_SIGNAL: i32 = libc::MSG_NOSIGNAL;
/// Apple's sockets are told once, others know no signals.
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
const NO_SIGNAL: i32 = 0;

impl Transport {
    /// Takes a connected stream.
    pub fn new(stream: Stream) -> Self {
        stream.prepare();
        Self {
            cookie: Cookie::of(&stream.socket()),
            stream: Some(stream),
            tls: OnceLock::new(),
        }
    }

    /// Reads what there is.
    pub fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match &self.stream {
                Some(Stream::Tcp(stream)) => (&mut &*stream).read(buf),
                #[cfg(unix)]
                Some(Stream::Unix(stream)) => (&mut &*stream).read(buf),
                None => Ok(0),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Writes what the system takes. A dead peer is an error, never a signal.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(stream) = self.stream.as_ref().filter(|_| !bytes.is_empty()) else {
            return Ok(0);
        };
        let socket = stream.socket();
        loop {
            match socket.send_vectored_with_flags(&[IoSlice::new(bytes)], NO_SIGNAL) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Begins TLS, inside of the TLS that there is.
    pub fn secure(&self, session: Session) {
        match self.tls.get() {
            Some(outer) => outer.add(session),
            None => {
                let layer = self.tls.get_or_init(|| Box::new(Layer::new(session)));
                debug_assert!(!layer.is_established());
            }
        }
    }

    /// Whether there is TLS: only [`Self::receive`] may read, and [`Self::seal`] is to be called
    /// before [`Self::write`].
    pub fn is_secure(&self) -> bool {
        self.tls.get().is_some()
    }

    /// Whether plaintext can be sent.
    pub fn is_established(&self) -> bool {
        self.tls.get().is_none_or(|tls| tls.is_established())
    }

    /// Whether TLS itself has something to be written.
    pub fn has_outgoing(&self) -> bool {
        self.tls.get().is_some_and(|tls| tls.has_outgoing())
    }

    /// Reads to where `at` says, at most so many bytes; records are decrypted to there.
    pub fn receive(&self, buffer: &mut [u8], at: usize, most: usize) -> io::Result<Arrival> {
        let place = self.tls.get().map_or(at, |tls| tls.place(at));
        let end = buffer.len().min(place.saturating_add(most));
        let room = buffer.get_mut(place..end).unwrap_or_default();
        let room_len = room.len();
        if room_len == 0 {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let wire = self.read(room)?;
        let mut arrival = Arrival {
            wire,
            room: room_len,
            end: place + wire,
            ending: None,
        };
        if let Some(tls) = self.tls.get() {
            let opened = tls.open(buffer, at, place + wire);
            arrival.end = opened.end;
            arrival.ending = opened.ending;
        }
        Ok(arrival)
    }

    /// Turns `bytes` into records, behind those that TLS itself has to send.
    pub fn seal(&self, bytes: &mut Buffer, pool: &Mutex<Pool>) -> io::Result<()> {
        let Some(tls) = self.tls.get() else {
            return Ok(());
        };
        let mut spare = pool.lock().take();
        let result = tls.seal(bytes, &mut spare).map_err(io::Error::other);
        pool.lock().give(spare);
        result
    }

    /// Ends TLS: the peer is to be told that nothing more will be written.
    pub fn close_tls(&self) {
        if let Some(tls) = self.tls.get() {
            tls.close();
        }
    }

    /// The version of TLS and its cipher suite, once they are agreed on.
    pub fn tls_names(&self) -> Option<(&'static str, &'static str)> {
        let (version, suite) = self.tls.get()?.parameters();
        Some((tls::version_name(version?), tls::cipher_name(suite?)))
    }

    /// Says that nothing more will be written.
    pub fn shutdown_write(&self) {
        if let Some(stream) = self.stream.as_ref().filter(|it| self.is_ours(it)) {
            // It fails only where the connection is gone already.
            let _ = stream.socket().shutdown(Shutdown::Write);
        }
    }

    /// The address of the other end, for a person.
    pub fn peer_address(&self) -> String {
        let stream = self.stream.as_ref();
        stream.map_or_else(String::new, |it| match it {
            Stream::Tcp(stream) => tcp_address(stream.peer_addr()),
            #[cfg(unix)]
            Stream::Unix(stream) => unix_address(stream.peer_addr()),
        })
    }

    /// The address of this end, for a person.
    pub fn local_address(&self) -> String {
        let stream = self.stream.as_ref();
        stream.map_or_else(String::new, |it| match it {
            Stream::Tcp(stream) => tcp_address(stream.local_addr()),
            #[cfg(unix)]
            Stream::Unix(stream) => unix_address(stream.local_addr()),
        })
    }

    /// Whether the descriptor still is that of the socket.
    fn is_ours(&self, stream: &Stream) -> bool {
        self.cookie.is_of(&stream.socket())
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        if !self.is_ours(&stream) {
            log::error!("the application has closed the descriptor of a connection");
            return stream.forget();
        }
        // The child of a fork may have the descriptor as well: closing this one ends nothing then.
        // It fails only where the connection is gone already.
        let _ = stream.socket().shutdown(Shutdown::Both);
    }
}

impl Stream {
    /// Makes it what the library wants every socket to be.
    fn prepare(&self) {
        let socket = self.socket();
        if let Self::Tcp(_) = self {
            // Frames are written as a whole, so that waiting for more only costs time.
            let _ = socket.set_tcp_nodelay(true);
        }
        #[cfg(target_vendor = "apple")]
        let _ = socket.set_nosigpipe(true);
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            #[cfg(unix)]
            Self::Unix(stream) => SockRef::from(stream),
        }
    }

    /// Leaves the descriptor to whoever has it.
    fn forget(self) {
        #[cfg(unix)]
        let _ = match self {
            Self::Tcp(stream) => stream.into_raw_fd(),
            Self::Unix(stream) => stream.into_raw_fd(),
        };
    }

    /// Asks for events in both directions.
    pub fn register(&mut self, registry: &mio::Registry, token: mio::Token) -> io::Result<()> {
        let source: &mut dyn Source = match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
        };
        registry.register(source, token, Interest::READABLE | Interest::WRITABLE)
    }
}

/// An address of IPv4 as such, also where a socket of IPv6 has taken the connection.
fn tcp_address(address: io::Result<SocketAddr>) -> String {
    let address = address.map(|it| SocketAddr::new(it.ip().to_canonical(), it.port()));
    address.map_or_else(|_| String::new(), |it| it.to_string())
}

#[cfg(unix)]
fn unix_address(address: io::Result<std::os::unix::net::SocketAddr>) -> String {
    let path = address
        .ok()
        .and_then(|it| it.as_pathname().map(|path| path.display().to_string()));
    path.unwrap_or_default()
}
