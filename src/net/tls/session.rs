//! One TLS connection between the buffers of its caller: received records in, plaintext out;
//! plaintext in, records out. It reads and writes no socket.

use std::ops::Range;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};

use crate::proto::{Buffer, OutOfMemory};

/// The state of one TLS connection.
pub struct Session {
    role: Role,
    /// Received records of which something is missing still. rustls remembers places in them, so
    /// that it has to see them at every call.
    incoming: Buffer,
    /// Records that go before all others: of the handshake, key updates, alerts.
    outgoing: Buffer,
    /// The peer has said that nothing more comes, or TLS has failed.
    is_deaf: bool,
    /// We have said that nothing more comes, or TLS has failed. rustls does not remember either.
    is_mute: bool,
    /// Bytes of records since the last plaintext.
    fruitless: usize,
}

enum Role {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What received records gave.
#[derive(Debug)]
pub struct Opened {
    /// Where the plaintext ends.
    pub end: usize,
    /// Nothing more will come.
    pub ending: Option<Ending>,
}

/// Why nothing more comes.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The peer said so (RFC 8446 §6.1).
    CloseNotify,
    /// The peer broke TLS, is not whom we want, or sent an alert.
    Failed(Error),
}

/// How much longer a record may be than its plaintext.
const OVERHEAD: usize = 5 + 256;
/// The largest plaintext of a record (RFC 8446 §5.1).
const RECORD: usize = 16 << 10;
/// So much room has to be free between the end of the plaintext and the records behind it.
pub const GAP: usize = RECORD + OVERHEAD;
/// The most that is kept of incomplete messages, which rustls allows to have 64 KiB, cut into any
/// number of records.
const MOST_KEPT: usize = 96 << 10;
/// The most that a peer may send in a row without plaintext: tickets and key updates have no other
/// limit.
const MOST_FRUITLESS: usize = 256 << 10;
/// A buffer that an idle connection may keep.
const KEPT: usize = 256;

impl Session {
    /// A client's, with its first record ready to be sent.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        let connection = UnbufferedClientConnection::new(config, name)?;
        let mut session = Self::new(Role::Client(Box::new(connection)));
        session.open(&mut [], 0, 0..0);
        Ok(session)
    }

    /// A server's.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self::new(Role::Server(Box::new(connection))))
    }

    fn new(role: Role) -> Self {
        Self {
            role,
            incoming: Buffer::new(),
            outgoing: Buffer::new(),
            is_deaf: false,
            is_mute: false,
            fruitless: 0,
        }
    }

    /// Whether plaintext can be sent: the handshake is over.
    pub fn is_established(&self) -> bool {
        !self.common().is_handshaking()
    }

    /// How many bytes have to stay free in front of received ones, for [`Self::open`].
    pub fn kept(&self) -> usize {
        self.incoming.len()
    }

    /// Whether records wait to be sent that are no answer to [`Self::seal`].
    pub fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// What rustls knows of the connection.
    pub fn common(&self) -> &CommonState {
        match &self.role {
            Role::Client(connection) => connection,
            Role::Server(connection) => connection,
        }
    }

    /// Decrypts the records in this range of `buffer`, whose first [`Self::kept`] bytes are free,
    /// to where the range `at` begins. [`GAP`] bytes at least have to lie between.
    pub fn open(&mut self, buffer: &mut [u8], at: usize, records: Range<usize>) -> Opened {
        let (mut next, mut end) = (records.start, at);
        let received = records.len().saturating_sub(self.incoming.len());
        if self.is_deaf {
            return Opened { end, ending: None };
        }
        if let Some(kept) = buffer.get_mut(next..next + self.incoming.len()) {
            kept.copy_from_slice(self.incoming.bytes());
        }
        let ending = loop {
            let (plain, rest) = buffer.split_at_mut(next);
            let plain = plain.get_mut(end..).unwrap_or_default();
            let rest = rest.get_mut(..records.end - next).unwrap_or_default();
            let (used, step) = self.step(rest, plain, &mut |_, _| Ok(()));
            next += used;
            match step {
                Step::More => {}
                Step::Plain(len) => end += len,
                Step::Wait => break None,
                Step::Closed => break Some(Ending::CloseNotify),
                Step::Failed(error) => break Some(Ending::Failed(error)),
            }
        };
        let rest = buffer.get_mut(next..records.end).unwrap_or_default();
        if let Some(Ending::Failed(_)) = ending {
            self.is_mute = true;
            self.take_alert();
        }
        let ending = match self.keep(rest, ending.is_some()) {
            Ok(()) => ending,
            Err(OutOfMemory) => Some(Ending::Failed(out_of_memory())),
        };
        let ending = ending.or_else(|| self.judge_waste(received, end > at));
        self.is_deaf = ending.is_some();
        Opened { end, ending }
    }

    /// Appends the records that wait, and those of `plain`, to `out`.
    pub fn seal(&mut self, plain: &[u8], out: &mut Buffer) -> Result<(), Error> {
        // Behind the end nothing is sent.
        if !plain.is_empty() && !self.is_mute {
            if !self.is_established() {
                return Err(Error::HandshakeNotComplete);
            }
            self.write(|connection, outgoing| {
                // Records are numbered: these were made first.
                move_to(out, outgoing)?;
                connection.encrypt(plain, out)
            })?;
        }
        move_to(out, &mut self.outgoing)
    }

    /// Tells the peer that nothing more will be sent (RFC 8446 §6.1): a record to be sealed.
    pub fn close(&mut self) {
        if self.is_established() && !std::mem::replace(&mut self.is_mute, true) {
            // Where it fails, nothing can be told any more.
            let _ = self.write(|connection, outgoing| connection.close_notify(outgoing));
        }
    }

    /// Lets rustls do what it has to, and `write` once it can.
    fn write(
        &mut self,
        mut write: impl FnMut(&mut dyn Encrypt, &mut Buffer) -> Written,
    ) -> Written {
        // rustls remembers places in what is incomplete, and has to see it.
        let mut kept = std::mem::take(&mut self.incoming);
        let result = loop {
            let (used, step) = self.step(kept.bytes_mut(), &mut [], &mut write);
            kept.consume(used);
            match step {
                Step::More | Step::Plain(_) => {}
                Step::Closed => self.is_deaf = true,
                Step::Wait => break Ok(()),
                Step::Failed(error) => break Err(error),
            }
        };
        self.incoming = kept;
        result
    }

    /// One step of rustls. Returns how many bytes of `records` are done with.
    fn step(
        &mut self,
        records: &mut [u8],
        plain: &mut [u8],
        write: &mut dyn FnMut(&mut dyn Encrypt, &mut Buffer) -> Written,
    ) -> (usize, Step) {
        let outgoing = &mut self.outgoing;
        match &mut self.role {
            Role::Client(it) => take(it.process_tls_records(records), plain, outgoing, write),
            Role::Server(it) => take(it.process_tls_records(records), plain, outgoing, write),
        }
    }

    /// Takes the alert that tells the peer of an error. Records must not be looked at any more.
    fn take_alert(&mut self) {
        while self.common().wants_write()
            && let (_, Step::More) = self.step(&mut [], &mut [], &mut |_, _| Ok(()))
        {}
    }

    /// Limits what rustls does not.
    fn judge_waste(&mut self, received: usize, has_plaintext: bool) -> Option<Ending> {
        self.fruitless = if has_plaintext {
            0
        } else {
            self.fruitless.saturating_add(received)
        };
        let is_too_much = self.fruitless > MOST_FRUITLESS || self.incoming.len() > MOST_KEPT;
        is_too_much.then(|| {
            self.is_mute = true;
            Ending::Failed(Error::General("too many records without data".into()))
        })
    }

    /// Keeps the records that cannot be used yet.
    fn keep(&mut self, records: &[u8], is_over: bool) -> Result<(), OutOfMemory> {
        self.incoming.clear();
        // Room to grow stays, or a record that comes in crumbs would move at each of them.
        if is_over || self.incoming.capacity() > KEPT.max(records.len() * 4) {
            self.incoming = Buffer::new();
        }
        if is_over {
            return Ok(());
        }
        self.incoming.append(records)
    }
}

type Written = Result<(), Error>;

/// What rustls has done.
enum Step {
    /// Something; there may be more.
    More,
    /// A record was decrypted.
    Plain(usize),
    /// Nothing, until more is received or sent.
    Wait,
    Closed,
    Failed(Error),
}

fn take<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: &mut [u8],
    outgoing: &mut Buffer,
    write: &mut dyn FnMut(&mut dyn Encrypt, &mut Buffer) -> Written,
) -> (usize, Step) {
    let mut used = status.discard;
    let step = match status.state {
        Err(error) => Step::Failed(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => {
            let mut len = 0;
            loop {
                match traffic.next_record() {
                    None => break Step::Plain(len),
                    Some(Err(error)) => break Step::Failed(error),
                    Some(Ok(record)) => {
                        used += record.discard;
                        let end = len + record.payload.len();
                        let Some(room) = plain.get_mut(len..end) else {
                            break Step::Failed(Error::General("no room for a record".into()));
                        };
                        room.copy_from_slice(record.payload);
                        len = end;
                    }
                }
            }
        }
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            match append(outgoing, OVERHEAD, |room| data.encode(room)) {
                Ok(()) => Step::More,
                Err(error) => Step::Failed(error),
            }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // It is in `outgoing`, in front of whatever comes later.
            data.done();
            Step::More
        }
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match write(&mut traffic, outgoing) {
            Ok(()) => Step::Wait,
            Err(error) => Step::Failed(error),
        },
        Ok(ConnectionState::PeerClosed) => Step::Closed,
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Step::Wait,
        Ok(_) => Step::Failed(Error::General("unknown state of TLS".into())),
    };
    (used, step)
}

/// What may be written once the handshake is over, in either role.
trait Encrypt {
    /// Appends the records of `plain`.
    fn encrypt(&mut self, plain: &[u8], out: &mut Buffer) -> Written;
    /// Appends the alert that ends our side.
    fn close_notify(&mut self, out: &mut Buffer) -> Written;
}

impl<D> Encrypt for WriteTraffic<'_, D> {
    fn encrypt(&mut self, plain: &[u8], out: &mut Buffer) -> Written {
        let records = plain.len() / RECORD + 1;
        let room = plain.len() + records * OVERHEAD;
        append(out, room, |room| WriteTraffic::encrypt(self, plain, room))
    }

    fn close_notify(&mut self, out: &mut Buffer) -> Written {
        append(out, OVERHEAD, |room| self.queue_close_notify(room))
    }
}

/// Appends what `write` writes, in as much room as it wants.
fn append<E: Into<Refused>>(
    out: &mut Buffer,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Written {
    loop {
        let written = write(out.spare(room).map_err(|_| out_of_memory())?);
        match written.map_err(E::into) {
            Ok(len) => {
                out.fill(len);
                return Ok(());
            }
            Err(Refused::Wants(more)) if more > room => room = more,
            Err(Refused::Wants(more)) => {
                let sentence = format!("TLS wants {more} bytes of room, and has {room}");
                return Err(Error::General(sentence));
            }
            Err(Refused::Failed(sentence)) => return Err(Error::General(sentence)),
        }
    }
}

/// Why rustls has written nothing.
enum Refused {
    /// So much room is wanted.
    Wants(usize),
    Failed(String),
}

impl From<EncryptError> for Refused {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::Wants(size.required_size),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<EncodeError> for Refused {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(size) => Self::Wants(size.required_size),
            error => Self::Failed(error.to_string()),
        }
    }
}

fn move_to(out: &mut Buffer, from: &mut Buffer) -> Written {
    if !from.is_empty() {
        out.append(from.bytes()).map_err(|_| out_of_memory())?;
        *from = Buffer::new();
    }
    Ok(())
}

fn out_of_memory() -> Error {
    Error::General("no memory for TLS".into())
}
