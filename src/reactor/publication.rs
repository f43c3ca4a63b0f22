//! A message on its way to many sockets of a server: framed once, and compressed at most once for
//! each size of window that its subscribers have agreed on.

use std::sync::Arc;

use super::chunk::Framed;
use super::command::{Command, Mailbox};
use super::link::{Link, Outgoing};
use super::settings::Settings;
use crate::error::Result;
use crate::proto::deflate::Deflater;
use crate::proto::{Buffer, Refused, Role, Sender};

/// A message that is being published.
pub struct Publication<'a> {
    message: Outgoing<'a>,
    settings: &'a Settings,
    plain: Arc<Framed>,
    /// By the window, once one was needed; none: it could not be made.
    compressed: Vec<(u8, Option<Arc<Framed>>)>,
    calls: Vec<Calls>,
}

/// Sockets of one worker for which it has something to write.
struct Calls {
    worker: Arc<Mailbox>,
    commands: Vec<Command>,
}

/// A worker is told of so many sockets at a time: it begins to write while the others get theirs.
const CALLS: usize = 64;

impl<'a> Publication<'a> {
    /// Frames a message for sockets with these settings.
    pub fn new(message: Outgoing<'a>, settings: &'a Settings) -> Result<Self> {
        let plain = frame(message, message.payload, false, settings)
            .ok_or_else(|| Refused::Memory.error(message.payload.len()))?;
        Ok(Self {
            message,
            settings,
            plain,
            compressed: Vec::new(),
            calls: Vec::new(),
        })
    }

    /// The message, uncompressed.
    pub fn plain(&self) -> &Arc<Framed> {
        &self.plain
    }

    /// The message, compressed by itself for a window of this size, if it is to be and can be.
    pub fn compressed(&mut self, window_bits: u8) -> Option<Arc<Framed>> {
        let config = self.settings.compression.as_ref()?;
        if self.message.plain || (self.message.payload.len() as u64) < config.min {
            return None;
        }
        if let Some((_, made)) = self.compressed.iter().find(|it| it.0 == window_bits) {
            return made.clone();
        }
        let mut payload = Buffer::new();
        let made = Deflater::new(config.level, window_bits, false)
            .compress(self.message.payload, true, &mut payload)
            .ok()
            .and_then(|()| frame(self.message, payload.bytes(), true, self.settings));
        self.compressed.push((window_bits, made.clone()));
        made
    }

    /// Has the worker of a socket write, soon.
    pub fn call(&mut self, link: &Arc<Link>) {
        let worker = link.mailbox();
        let known = self
            .calls
            .iter()
            .position(|it| Arc::ptr_eq(&it.worker, worker));
        let at = known.unwrap_or_else(|| {
            self.calls.push(Calls {
                worker: Arc::clone(worker),
                commands: Vec::new(),
            });
            self.calls.len() - 1
        });
        let calls = &mut self.calls[at];
        calls.commands.push(Command::Attend(Arc::clone(link)));
        if calls.commands.len() == CALLS {
            calls.make();
        }
    }
}

impl Calls {
    fn make(&mut self) {
        self.worker.push_all(&mut self.commands);
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.make();
    }
}

fn frame(
    message: Outgoing<'_>,
    wire: &[u8],
    is_compressed: bool,
    settings: &Settings,
) -> Option<Arc<Framed>> {
    let mut framed = Framed {
        wire: Buffer::new(),
        payload: message.payload.len(),
    };
    Sender::new(Role::Server, settings.max_frame)
        .append(message.kind, wire, is_compressed, &mut framed.wire)
        .ok()?;
    Some(Arc::new(framed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::MessageKind;
    use crate::proto::deflate::Inflater;
    use crate::reactor::Worker;
    use crate::reactor::topics::Topics;

    #[test]
    fn a_message_is_compressed_once_for_each_window_by_itself() {
        let (payload, settings) = (words(100_000), Settings::default());
        let mut publication = Publication::new(binary(&payload), &settings).unwrap();
        let made = [15, 9, 12].map(|bits| publication.compressed(bits).unwrap());
        for (bits, first) in [15, 9, 12].into_iter().zip(&made) {
            let again = publication.compressed(bits).unwrap();
            assert!(Arc::ptr_eq(first, &again), "{bits}");
            let same = made.iter().filter(|it| Arc::ptr_eq(it, first)).count();
            assert_eq!(same, 1, "{bits}");
            assert_eq!(first.payload, payload.len());
            assert_eq!(inflate(first, bits), payload, "{bits}");
        }
        assert_eq!(publication.compressed.len(), 3);
        assert!(publication.plain().wire.bytes().ends_with(&payload));
    }

    #[test]
    fn what_is_plain_or_short_or_meets_no_compression_is_not_compressed() {
        let payload = words(1024);
        let mut settings = Settings::default();
        let is_compressed = |message, settings: &Settings| {
            let mut publication = Publication::new(message, settings).unwrap();
            let made = publication.compressed(15).is_some();
            assert_eq!(publication.compressed.len(), usize::from(made));
            made
        };
        assert!(is_compressed(binary(&payload), &settings));
        assert!(!is_compressed(binary(&payload[1..]), &settings));
        let plain = Outgoing {
            plain: true,
            ..binary(&payload)
        };
        assert!(!is_compressed(plain, &settings));
        settings.compression = None;
        assert!(!is_compressed(binary(&payload), &settings));
    }

    #[test]
    fn subscribers_hold_the_same_large_frame_and_copies_of_a_small_one() {
        let settings = Arc::new(Settings::default());
        let windows = [None, None, Some(15), Some(15), Some(15), Some(9)];
        let links = windows.map(|window| subscriber(window, &settings));
        let noise = noise(50_000);
        for (payload, are_shared) in [(&noise[..], true), (&noise[..2_000], false)] {
            let mut publication = Publication::new(binary(payload), &settings).unwrap();
            for link in &links {
                link.take_published(&mut publication, false).unwrap();
            }
            // One holder more: the publication itself.
            let expected = if are_shared { [3, 4, 2] } else { [1, 1, 1] };
            let frames = [15, 9].map(|bits| publication.compressed(bits).unwrap());
            let [wide, narrow] = frames.each_ref().map(|it| Arc::strong_count(it) - 1);
            assert_eq!(
                [Arc::strong_count(publication.plain()), wide, narrow],
                expected
            );
            assert_eq!(publication.compressed.len(), 2);
        }
    }

    /// A socket that is open, and compresses with this window.
    fn subscriber(window_bits: Option<u8>, settings: &Arc<Settings>) -> Arc<Link> {
        let topics = Arc::new(Topics::new(Arc::clone(settings)));
        let mailbox = Worker::prepare(None).unwrap().1;
        let link = Arc::new(Link::accepted(topics, Arc::clone(settings), mailbox));
        link.compress(window_bits.map(|bits| Deflater::new(1, bits, true)));
        assert!(link.established());
        link
    }

    fn binary(payload: &[u8]) -> Outgoing<'_> {
        Outgoing {
            kind: MessageKind::Binary,
            payload,
            plain: false,
        }
    }

    /// What somebody makes of it who has inflated nothing before.
    fn inflate(framed: &Framed, window_bits: u8) -> Vec<u8> {
        let wire = framed.wire.bytes();
        assert_eq!(wire[0], 0xC2, "a whole binary message, compressed");
        let head = if wire[1] == 126 { 4 } else { 10 };
        let mut payload = Buffer::new();
        Inflater::new(window_bits, true)
            .inflate(&wire[head..], true, framed.payload, &mut payload)
            .unwrap();
        payload.bytes().to_vec()
    }

    /// What repeats itself farther back than small windows reach.
    fn words(len: usize) -> Vec<u8> {
        let text = (0..len).map(|at| format!("{} ", at * at % 3001));
        text.flat_map(String::into_bytes).take(len).collect()
    }

    /// What does not become smaller.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    }
}
