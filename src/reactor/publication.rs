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
