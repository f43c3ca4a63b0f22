//! The socket whose handlers are running on this thread: they reach it without the table that all
//! threads share, which costs more than to append a small message.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use crate::error::Result;
use crate::ffi::handles;
use crate::ffi::process::{self, Process};
use crate::ffi::socket::SocketEntry;

struct Current {
    handle: u64,
    entry: Arc<SocketEntry>,
    /// Whose handle it is: a handler may fork.
    process: &'static Process,
}

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
}

/// Handlers of a socket are about to run on this thread.
pub(super) fn enter(handle: u64) {
    if let Some(process) = process::latest()
        && let Ok(entry) = handles::find(handle)
    {
        put(Some(Current {
            handle,
            entry,
            process,
        }));
    }
}

/// They have run.
pub(super) fn leave() {
    put(None);
}

/// Uses the socket that `handle` stands for.
pub(super) fn with_socket<T>(
    handle: u64,
    act: impl FnOnce(&SocketEntry) -> Result<T>,
) -> Result<T> {
    // What runs meanwhile on this thread, such as a log handler, uses the table.
    let current = CURRENT.try_with(Cell::take).ok().flatten();
    match current {
        Some(current) if current.stands_for(handle) => {
            let result = act(&current.entry);
            put(Some(current));
            result
        }
        current => {
            if current.is_some() {
                put(current);
            }
            act(&*handles::find::<Arc<SocketEntry>>(handle)?)
        }
    }
}

fn put(current: Option<Current>) {
    // What it replaces may hold the last user_data, which is given back here.
    drop(CURRENT.try_with(|it| it.replace(current)));
}

impl Current {
    fn stands_for(&self, handle: u64) -> bool {
        self.handle == handle
            && !self.entry.has_ended()
            && !self.process.is_inherited()
            && process::latest().is_some_and(|it| ptr::eq(it, self.process))
    }
}
