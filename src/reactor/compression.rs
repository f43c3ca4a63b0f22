//! The compressing half of permessage-deflate, shared by the threads that send on one socket. Its
//! lock is held while a message is compressed and queued, so that messages are queued in the
//! order in which they were compressed; the I/O thread waits for it only where a handler sends.

use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::proto::deflate::{CompressError, Deflater};
use crate::proto::{Buffer, Pool};

/// Nothing, until permessage-deflate is agreed on.
#[derive(Default)]
pub struct Compression {
    /// The window of the compressor, as a power of two; 0: there is none. To be looked at without
    /// waiting for those who use it.
    window_bits: AtomicU8,
    /// Apart, since most connections have none.
    half: Mutex<Option<Box<Half>>>,
}

/// A compressor and what it has made of the message at hand.
pub struct Half {
    deflater: Deflater,
    output: Buffer,
}

/// The compressor, for one message.
pub type Turn<'a> = MutexGuard<'a, Option<Box<Half>>>;

impl Compression {
    /// Begins to compress, or not to, on a new connection.
    pub fn start(&self, deflater: Option<Deflater>) {
        let window_bits = deflater.as_ref().map_or(0, Deflater::window_bits);
        if window_bits == 0 && !self.is_on() {
            return;
        }
        *self.half.lock() = deflater.map(|deflater| {
            Box::new(Half {
                deflater,
                output: Buffer::new(),
            })
        });
        self.window_bits.store(window_bits, Ordering::Release);
    }

    /// Whether messages are compressed.
    pub fn is_on(&self) -> bool {
        self.window_bits().is_some()
    }

    /// How far back a compressed message may refer, as a power of two, if messages are compressed.
    pub fn window_bits(&self) -> Option<u8> {
        match self.window_bits.load(Ordering::Acquire) {
            0 => None,
            bits => Some(bits),
        }
    }

    /// Waits for the messages of other threads.
    pub fn turn(&self) -> Turn<'_> {
        self.half.lock()
    }

    /// The same, unless one is being compressed right now, or nothing is compressed.
    pub fn free_turn(&self) -> Option<Turn<'_>> {
        self.half.try_lock().filter(|half| half.is_some())
    }

    /// Gives memory back that an idle connection does not need. The next message then does not
    /// refer to earlier ones.
    pub fn rest(&self) {
        if let Some(mut half) = self.half.try_lock()
            && let Some(half) = &mut *half
        {
            half.deflater.release();
        }
    }
}

impl Half {
    /// Compresses a message, or a piece of one.
    pub fn compress(&mut self, piece: &[u8], fin: bool, pool: &Mutex<Pool>) -> Result<&[u8]> {
        if self.output.capacity() == 0 {
            self.output = pool.lock().take();
        }
        let result = self.deflater.compress(piece, fin, &mut self.output);
        match result {
            Ok(()) => Ok(self.output.bytes()),
            Err(error) => {
                self.deflater.release();
                self.output.clear();
                Err(match error {
                    CompressError::Memory => {
                        let len = piece.len();
                        Error::Resource(format!("no memory to compress {len} bytes").into())
                    }
                    CompressError::Internal(why) => Error::Internal(why.into()),
                })
            }
        }
    }

    /// A compressed message has been queued that is not of this compressor.
    pub fn forget(&mut self) {
        self.deflater.forget();
    }

    /// The message has been queued; or it has not, and no later one may refer to it.
    pub fn done(&mut self, queued: bool, pool: &Mutex<Pool>) {
        if !queued {
            self.deflater.release();
        }
        pool.lock().give(std::mem::take(&mut self.output));
    }
}
