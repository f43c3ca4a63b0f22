//! The same bytes, read by this library and by tungstenite.

use std::io::{self, Cursor, Read, Write};

use tungstenite::protocol::{self, WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use super::input::Input;
use super::reading::{Reading, Seen};
use crate::proto::{CloseFrame, Failure, MessageKind, Role};

/// Both see the same messages, or both refuse what follows them, but for known differences.
pub fn differential(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let role = if input.has(0) {
        Role::Server
    } else {
        Role::Client
    };
    let max_message = [10, 200, 70_000, 1 << 20][input.number(1, 2)];
    let ours = Reading::new(role, max_message as u64, None, input.segments(input.bytes));
    let mut theirs = Theirs::new(role, max_message, input.bytes);
    for seen in ours.seen {
        let is_end = matches!(seen, Seen::Close(_));
        let (ours, theirs) = (Step::Seen(seen), theirs.next());
        assert!(is_same(&ours, &theirs), "{ours:?}, but {theirs:?}");
        if is_end {
            return;
        }
    }
    let ours = ours.failure.map_or(Step::Wait, Step::Refuse);
    let theirs = theirs.next();
    assert!(is_same(&ours, &theirs), "{ours:?}, but {theirs:?}");
}

/// What comes next.
#[derive(Debug, PartialEq)]
enum Step<R> {
    Seen(Seen),
    Refuse(R),
    /// Nothing, until there are more bytes.
    Wait,
}

fn is_same(ours: &Step<Failure>, theirs: &Step<Error>) -> bool {
    match (ours, theirs) {
        (Step::Wait, Step::Wait) | (Step::Refuse(_), Step::Refuse(_)) => true,
        // Code 1014 is in the IANA registry, but tungstenite does not know it.
        (Step::Seen(Seen::Close(ours)), Step::Seen(Seen::Close(theirs)))
            if is_violation(theirs) =>
        {
            ours == theirs || ours.code == Some(1014)
        }
        (Step::Seen(ours), Step::Seen(theirs)) => ours == theirs,
        // tungstenite looks at a frame when all of it has come.
        (Step::Refuse(_), Step::Wait) => true,
        // It accepts a length that is not in its shortest form, also that of a control frame.
        (Step::Refuse(failure), _) if says(failure, "not in its shortest form") => true,
        (Step::Refuse(failure), Step::Seen(theirs)) if says(failure, "more than 125 bytes") => {
            !matches!(theirs, Seen::Message(..))
        }
        // It replaces a close code that must not be sent, and goes on closing.
        (Step::Refuse(failure), Step::Seen(Seen::Close(theirs))) => {
            says(failure, "a Close frame with code") && is_violation(theirs)
        }
        _ => false,
    }
}

/// What tungstenite makes of a Close frame whose code it does not allow.
fn is_violation(frame: &CloseFrame) -> bool {
    frame.code == Some(1002) && &*frame.reason == "Protocol violation"
}

fn says(failure: &Failure, what: &str) -> bool {
    failure.error.to_string().contains(what)
}

/// tungstenite's reading.
struct Theirs<'a>(WebSocket<Wire<'a>>);

impl<'a> Theirs<'a> {
    fn new(role: Role, max_message: usize, bytes: &'a [u8]) -> Self {
        let role = match role {
            Role::Client => protocol::Role::Client,
            Role::Server => protocol::Role::Server,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .max_message_size(Some(max_message))
            // Of control frames, too.
            .max_frame_size(Some(max_message.max(125)));
        let wire = Wire(Cursor::new(bytes));
        Self(WebSocket::from_raw_socket(wire, role, Some(config)))
    }

    fn next(&mut self) -> Step<Error> {
        let message = match self.0.read() {
            Ok(message) => message,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Step::Wait;
            }
            Err(error) => return Step::Refuse(error),
        };
        Step::Seen(match message {
            Message::Text(text) => Seen::Message(MessageKind::Text, text.as_bytes().to_vec()),
            Message::Binary(data) => Seen::Message(MessageKind::Binary, data.to_vec()),
            Message::Ping(data) => Seen::Ping(data.to_vec()),
            Message::Pong(data) => Seen::Pong(data.to_vec()),
            Message::Close(frame) => {
                Seen::Close(frame.map_or_else(CloseFrame::empty, |frame| CloseFrame {
                    code: Some(frame.code.into()),
                    reason: frame.reason.as_str().into(),
                }))
            }
            Message::Frame(_) => panic!("tungstenite reads no raw frames"),
        })
    }
}

/// Gives all bytes, then has no more for the time being. Takes whatever is written.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.0.read(room)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
