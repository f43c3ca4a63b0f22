//! A table of values behind numbers that are never used twice. Looking one up takes no lock but
//! that of its own slot; no value is dropped under a lock.

use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU32, Ordering};

/// Bits of a slot's number.
pub(super) const SLOT_BITS: u32 = 24;
/// Bits of a slot's generation.
pub(super) const GENERATION_BITS: u32 = 26;

/// Where a value is: a slot, and which of the slot's values in the course of time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Values that are found by their `Key` until they are removed.
pub(super) struct Table<T> {
    /// The number of the first slot.
    first: u32,
    /// How many slots are in use or have been.
    used: AtomicU32,
    /// Each twice as long as the one before. They stay where they are, so that a look-up needs no
    /// lock to reach a slot.
    chunks: [OnceLock<Box<[Slot<T>]>>; CHUNKS],
    /// Slots to use again. INVARIANT: has room for every slot of the chunks.
    free: Mutex<Vec<u32>>,
}

type Slot<T> = Mutex<Cell<T>>;

struct Cell<T> {
    generation: u32,
    value: Option<T>,
}

impl<T: Clone> Table<T> {
    /// An empty table whose slots are counted from `first`.
    pub(super) fn new(first: u32) -> Self {
        Self {
            first,
            used: AtomicU32::new(0),
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::new(Vec::new()),
        }
    }

    /// A key that finds nothing yet.
    pub(super) fn reserve(&self) -> Result<Key> {
        let mut free = self.free.lock();
        if let Some(number) = free.pop() {
            let generation = self.slot(number).map_or(0, |slot| slot.lock().generation);
            return Ok(Key {
                slot: number,
                generation,
            });
        }
        let number = self.end();
        if number >= 1 << SLOT_BITS {
            return Err(Error::Resource("all handles are in use".into()));
        }
        let (chunk, offset) = place(number - self.first);
        if offset == 0 {
            self.add_chunk(chunk, &mut free)?;
        }
        self.used.fetch_add(1, Ordering::Release);
        Ok(Key {
            slot: number,
            generation: 0,
        })
    }

    /// Keeps the value of a reserved key.
    pub(super) fn fill(&self, key: Key, value: T) {
        if let Some(slot) = self.slot(key.slot) {
            slot.lock().value = Some(value);
        }
    }

    /// Gives a reserved key up, which nobody may have seen.
    pub(super) fn cancel(&self, key: Key) {
        self.free.lock().push(key.slot);
    }

    /// Takes a value out and ends its key.
    pub(super) fn remove(&self, key: Key) -> Option<T> {
        let value = take(&mut self.slot(key.slot)?.lock(), |cell| {
            cell.generation == key.generation
        })?;
        self.recycle(key);
        Some(value)
    }

    /// Takes out every value that `is_doomed`, and hands it to `end`.
    pub(super) fn sweep(&self, is_doomed: impl Fn(&T) -> bool, mut end: impl FnMut(T)) {
        for number in self.first..self.end() {
            let Some(slot) = self.slot(number) else {
                continue;
            };
            let mut generation = 0;
            let doomed = take(&mut slot.lock(), |cell| {
                generation = cell.generation;
                cell.value.as_ref().is_some_and(&is_doomed)
            });
            if let Some(value) = doomed {
                self.recycle(Key {
                    slot: number,
                    generation,
                });
                end(value);
            }
        }
    }

    /// The value of `key`, if it has not been removed.
    pub(super) fn find(&self, key: Key) -> Option<T> {
        let cell = self.slot(key.slot)?.lock();
        if cell.generation != key.generation {
            return None;
        }
        cell.value.clone()
    }

    /// The number of the first slot.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The number behind the last slot that has ever been used.
    pub(super) fn end(&self) -> u32 {
        self.first + self.used.load(Ordering::Acquire)
    }

    /// Adds the next chunk, which is due only when no slot is free.
    fn add_chunk(&self, chunk: usize, free: &mut Vec<u32>) -> Result<()> {
        let no_memory = |_| Error::Resource("no memory for another handle".into());
        let len = FIRST_CHUNK << chunk;
        let mut slots = Vec::new();
        slots.try_reserve_exact(len).map_err(no_memory)?;
        slots.resize_with(len, || {
            Mutex::new(Cell {
                generation: 0,
                value: None,
            })
        });
        free.try_reserve_exact(len << 1).map_err(no_memory)?;
        if let Some(place) = self.chunks.get(chunk) {
            place.get_or_init(|| slots.into_boxed_slice());
        }
        Ok(())
    }

    /// Lets the slot of a removed value be used again, unless its generations are used up.
    fn recycle(&self, key: Key) {
        if key.generation < LAST_GENERATION {
            self.free.lock().push(key.slot);
        }
    }

    fn slot(&self, number: u32) -> Option<&Slot<T>> {
        let (chunk, offset) = place(number.checked_sub(self.first)?);
        self.chunks.get(chunk)?.get()?.get(offset)
    }
}

/// Empties a cell whose value is there and `fits`, and moves it on to its next generation.
fn take<T>(cell: &mut Cell<T>, fits: impl FnOnce(&Cell<T>) -> bool) -> Option<T> {
    if !fits(cell) {
        return None;
    }
    let value = cell.value.take()?;
    cell.generation += 1;
    Some(value)
}

/// The chunk and the offset in it of the slot with this index.
fn place(index: u32) -> (usize, usize) {
    let index = index as usize + FIRST_CHUNK;
    let chunk = (index / FIRST_CHUNK).ilog2() as usize;
    (chunk, index - (FIRST_CHUNK << chunk))
}

const FIRST_CHUNK: usize = 64;
/// So many that they hold every slot there can be a number for.
const CHUNKS: usize = (SLOT_BITS - FIRST_CHUNK.ilog2() + 1) as usize;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;

    fn insert<T: Clone>(table: &Table<T>, value: T) -> Result<Key> {
        let key = table.reserve()?;
        table.fill(key, value);
        Ok(key)
    }

    #[test]
    fn a_removed_value_is_not_found_though_its_slot_is_used_again() {
        let table = Table::new(0);
        let old = insert(&table, "old").unwrap();
        assert_eq!(table.find(old), Some("old"));
        assert_eq!(table.remove(old), Some("old"));
        let new = insert(&table, "new").unwrap();
        assert_eq!(new.slot, old.slot);
        assert_eq!((table.find(old), table.remove(old)), (None, None));
        assert_eq!(table.find(new), Some("new"));
    }

    #[test]
    fn keys_that_were_never_given_out_find_nothing() {
        let table = Table::new(5);
        let key = insert(&table, ()).unwrap();
        assert_eq!(
            key,
            Key {
                slot: 5,
                generation: 0
            }
        );
        for slot in [
            0,
            4,
            6,
            7,
            68,
            69,
            70,
            (1 << SLOT_BITS) - 1,
            1 << SLOT_BITS,
            u32::MAX,
        ] {
            assert!(
                table
                    .find(Key {
                        slot,
                        generation: 0
                    })
                    .is_none(),
                "{slot}"
            );
        }
        assert!(
            table
                .find(Key {
                    slot: 5,
                    generation: 1
                })
                .is_none()
        );
    }

    #[test]
    fn a_key_is_not_found_before_its_value_is_there() {
        let table = Table::new(0);
        let key = table.reserve().unwrap();
        assert!(table.find(key).is_none());
        assert!(table.remove(key).is_none());
        table.fill(key, 1);
        assert_eq!(table.find(key), Some(1));
    }

    #[test]
    fn a_cancelled_key_is_given_out_again() {
        let table = Table::<()>::new(0);
        let key = table.reserve().unwrap();
        table.cancel(key);
        assert_eq!(table.reserve().unwrap(), key);
    }

    #[test]
    fn every_index_has_its_own_place() {
        let mut places = HashSet::new();
        for index in 0..1000 {
            let (chunk, offset) = place(index);
            assert!(offset < FIRST_CHUNK << chunk);
            assert!(places.insert((chunk, offset)));
        }
        assert_eq!(place((1 << SLOT_BITS) - 1).0, CHUNKS - 1);
    }

    #[test]
    fn many_values_keep_their_keys() {
        let table = Table::new(0);
        let keys: Vec<_> = (0..500).map(|n| insert(&table, n).unwrap()).collect();
        table.sweep(|n| n % 2 == 0, |n| assert_eq!(n % 2, 0));
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(table.find(*key), (n % 2 == 1).then_some(n));
        }
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let table = Table::new(0);
        let first = insert(&table, 1).unwrap();
        table.remove(first);
        table.slot(first.slot).unwrap().lock().generation = LAST_GENERATION;
        let last = insert(&table, 2).unwrap();
        assert_eq!(
            last,
            Key {
                slot: first.slot,
                generation: LAST_GENERATION
            }
        );
        assert_eq!(table.remove(last), Some(2));
        let next = insert(&table, 3).unwrap();
        assert_ne!(next.slot, first.slot);
        assert!(
            table
                .find(Key {
                    slot: first.slot,
                    generation: 0
                })
                .is_none()
        );
    }

    #[test]
    fn a_full_table_refuses() {
        let table = Table::new((1 << SLOT_BITS) - 2);
        let key = insert(&table, ()).unwrap();
        insert(&table, ()).unwrap();
        assert!(matches!(insert(&table, ()), Err(Error::Resource(_))));
        table.remove(key);
        insert(&table, ()).unwrap();
    }

    #[test]
    fn a_value_that_uses_the_table_while_it_drops_does_not_deadlock() {
        struct Nested(Arc<Table<Arc<Nested>>>);
        impl Drop for Nested {
            fn drop(&mut self) {
                self.0.sweep(|_| true, drop);
            }
        }
        let table = Arc::new(Table::new(0));
        for _ in 0..3 {
            insert(&table, Arc::new(Nested(table.clone()))).unwrap();
        }
        table.sweep(|_| true, drop);
        assert_eq!(Arc::strong_count(&table), 1);
    }

    #[test]
    fn threads_can_insert_find_and_remove_at_once() {
        let table = Table::new(0);
        let rounds = if cfg!(miri) { 20 } else { 5000 };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let value = thread * rounds + round;
                        let key = insert(table, value).unwrap();
                        assert_eq!(table.find(key), Some(value));
                        assert_eq!(table.remove(key), Some(value));
                        assert_eq!(table.find(key), None);
                    }
                });
            }
        });
        assert!(table.end() <= 4);
    }
}
