//! A descriptor that other event loops can watch.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use crate::sync::atomic::{AtomicBool, Ordering};

/// One end of a pair of sockets, readable while there is a byte in it.
pub struct Descriptor {
    reader: UnixStream,
    writer: UnixStream,
    is_readable: AtomicBool,
}

impl Descriptor {
    /// One that is not readable.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self {
            reader,
            writer,
            is_readable: AtomicBool::new(false),
        })
    }

    /// Makes it readable, or not. Such calls must not overlap.
    pub fn show(&self, is_readable: bool) {
        if self.is_readable.swap(is_readable, Ordering::Relaxed) == is_readable {
            return;
        }
        // Neither can fail: there is room for a byte, and there is one.
        let _ = if is_readable {
            (&self.writer).write(&[1])
        } else {
            (&self.reader).read(&mut [0])
        };
    }

    /// The descriptor.
    pub fn number(&self) -> RawFd {
        self.reader.as_raw_fd()
    }
}
