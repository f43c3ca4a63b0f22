//! Handles: numbers of 53 bits that stand for an object of the library until it ends.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ffi::options::Template;
use crate::ffi::process::{self, Process};
use crate::ffi::request::RequestEntry;
use crate::ffi::server::ServerEntry;
use crate::ffi::socket::SocketEntry;
use crate::ffi::table::{GENERATION_BITS, Key, SLOT_BITS, Table};
use crate::runtime::Runtime;

/// What a handle can stand for.
pub(super) trait Entry: Clone + 'static {
    /// The highest bits of the handle: never 0, so that no handle is.
    const KIND: u64;
    /// For sentences.
    const NAME: &'static str;

    /// The table that holds such entries.
    fn table(process: &Process) -> &Table<Self>;

    /// No handle stands for it any more.
    fn end(&self) {}
}

/// A handle that stands for nothing yet. It ends when this is dropped without having been filled.
pub(super) struct Reservation<T: Entry> {
    table: &'static Table<T>,
    key: Option<Key>,
    /// The number that will be the handle.
    pub(super) handle: u64,
}

impl<T: Entry> Reservation<T> {
    pub(super) fn new() -> Result<Self> {
        let table = T::table(process::current()?);
        let key = table.reserve()?;
        Ok(Self {
            table,
            key: Some(key),
            handle: number::<T>(key),
        })
    }

    /// From here on the handle stands for `entry`.
    pub(super) fn fill(mut self, entry: T) {
        if let Some(key) = self.key.take() {
            self.table.fill(key, entry);
        }
    }
}

impl<T: Entry> Drop for Reservation<T> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.table.cancel(key);
        }
    }
}

/// A handle for an entry.
pub(super) fn insert<T: Entry>(entry: T) -> Result<u64> {
    let reservation = Reservation::new()?;
    let handle = reservation.handle;
    reservation.fill(entry);
    Ok(handle)
}

/// The entry of a handle.
pub(super) fn find<T: Entry>(handle: u64) -> Result<T> {
    look_up(handle, Table::find)
}

/// Takes an entry out. Its handle ends.
pub(super) fn remove<T: Entry>(handle: u64) -> Result<T> {
    let entry: T = look_up(handle, Table::remove)?;
    entry.end();
    Ok(entry)
}

/// Ends the handle of every entry that `is_doomed`, and hands it to `end`.
pub(super) fn sweep<T: Entry>(is_doomed: impl Fn(&T) -> bool, mut end: impl FnMut(T)) {
    if let Some(process) = process::latest().filter(|process| !process.is_inherited()) {
        T::table(process).sweep(is_doomed, |entry| {
            entry.end();
            end(entry);
        });
    }
}

fn look_up<T: Entry>(handle: u64, act: impl FnOnce(&Table<T>, Key) -> Option<T>) -> Result<T> {
    let key = key::<T>(handle)?;
    let Some(process) = process::latest() else {
        return Err(no_such::<T>(handle));
    };
    let table = T::table(process);
    let own_slots = if process.is_inherited() {
        table.end()
    } else {
        table.first()
    };
    if key.slot < own_slots {
        return Err(Error::Forked(
            format!("{} {handle} was made before fork(), by the parent", T::NAME).into(),
        ));
    }
    if process.is_inherited() {
        return Err(no_such::<T>(handle));
    }
    act(table, key).ok_or_else(|| no_such::<T>(handle))
}

fn number<T: Entry>(key: Key) -> u64 {
    T::KIND << KIND_SHIFT | u64::from(key.generation) << SLOT_BITS | u64::from(key.slot)
}

fn key<T: Entry>(handle: u64) -> Result<Key> {
    if handle == 0 {
        return Err(Error::Handle(
            format!("the handle of the {} is 0", T::NAME).into(),
        ));
    }
    if handle >> KIND_SHIFT != T::KIND {
        return Err(Error::Handle(
            format!("{handle} is not a handle of {}", T::NAME).into(),
        ));
    }
    let low = |shift: u32, bits: u32| (handle >> shift) as u32 & ((1 << bits) - 1);
    Ok(Key {
        slot: low(0, SLOT_BITS),
        generation: low(SLOT_BITS, GENERATION_BITS),
    })
}

fn no_such<T: Entry>(handle: u64) -> Error {
    Error::Handle(format!("{} {handle} has ended, or was never one", T::NAME).into())
}

impl Entry for Runtime {
    const KIND: u64 = 1;
    const NAME: &'static str = "runtime";

    fn table(process: &Process) -> &Table<Self> {
        &process.runtimes
    }
}

impl Entry for Arc<Template> {
    const KIND: u64 = 2;
    const NAME: &'static str = "options";

    fn table(process: &Process) -> &Table<Self> {
        &process.options
    }
}

impl Entry for Arc<SocketEntry> {
    const KIND: u64 = 3;
    const NAME: &'static str = "socket";

    fn table(process: &Process) -> &Table<Self> {
        &process.sockets
    }

    fn end(&self) {
        SocketEntry::end(self);
    }
}

impl Entry for Arc<ServerEntry> {
    const KIND: u64 = 4;
    const NAME: &'static str = "server";

    fn table(process: &Process) -> &Table<Self> {
        &process.servers
    }
}

impl Entry for Arc<RequestEntry> {
    const KIND: u64 = 5;
    const NAME: &'static str = "request";

    fn table(process: &Process) -> &Table<Self> {
        &process.requests
    }
}

const KIND_SHIFT: u32 = SLOT_BITS + GENERATION_BITS;
