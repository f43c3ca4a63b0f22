//! Models of the table of handles.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::thread;

use super::{explore, join};
use super::table::{Key, Table};

fn insert<T: Clone>(table: &Table<T>, value: T) -> Key {
    let key = table.reserve().unwrap();
    table.fill(key, value);
    key
}

/// Two threads remove a value while a third looks it up and puts another one into its slot.
pub fn a_value_is_removed_once_and_never_found_again() {
    explore(|| {
        let table = Arc::new(Table::new(7));
        let old = insert(&table, "old");
        let remove = |table: &Arc<Table<&'static str>>| {
            let table = Arc::clone(table);
            thread::spawn(move || {
                let removed = table.remove(old);
                assert_eq!(table.find(old), None);
                removed
            })
        };
        let removers = [remove(&table), remove(&table)];
        let found = table.find(old);
        assert!(matches!(found, None | Some("old")));
        let new = insert(&table, "new");
        assert_ne!(new, old);
        assert!(found.is_some() || table.find(old).is_none());
        assert_eq!(table.find(new), Some("new"));
        let removed = removers.map(|it| it.join().unwrap());
        assert!(removed == [Some("old"), None] || removed == [None, Some("old")]);
        assert_eq!((table.find(old), table.find(new)), (None, Some("new")));
    });
}

/// Each of three threads inserts, finds and removes in slots that the others have just left.
pub fn no_key_is_given_out_twice() {
    explore(|| {
        let table = Arc::new(Table::new(0));
        let keys = Arc::new(Mutex::new(Vec::new()));
        let threads = [0, 1, 2].map(|thread| {
            let (table, keys) = (Arc::clone(&table), Arc::clone(&keys));
            thread::spawn(move || {
                for round in 0..2 {
                    let value = (thread, round);
                    let key = insert(&table, value);
                    keys.lock().unwrap().push(key);
                    assert_eq!(table.find(key), Some(value));
                    assert_eq!(table.remove(key), Some(value));
                    assert_eq!(table.find(key), None);
                }
            })
        });
        join(threads);
        let mut keys = keys.lock().unwrap().clone();
        keys.sort_by_key(|it| (it.slot, it.generation));
        keys.dedup();
        assert_eq!(keys.len(), 6);
        assert!(table.end() <= 3);
    });
}

/// A runtime is freed, which sweeps its handles away, while one of them is released, and another
/// runtime makes one.
pub fn a_sweep_and_a_removal_do_not_both_get_a_value() {
    explore(|| {
        let table = Arc::new(Table::new(0));
        let keys = ["swept", "removed", "kept"].map(|it| insert(&table, it));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let sweeper = {
            let (table, ended) = (Arc::clone(&table), Arc::clone(&ended));
            thread::spawn(move || {
                table.sweep(
                    |it| *it != "kept" && *it != "new",
                    |it| ended.lock().unwrap().push(it),
                );
            })
        };
        let inserter = {
            let table = Arc::clone(&table);
            thread::spawn(move || insert(&table, "new"))
        };
        ended.lock().unwrap().extend(table.remove(keys[1]));
        let new = inserter.join().unwrap();
        sweeper.join().unwrap();
        let mut ended = ended.lock().unwrap().clone();
        ended.sort_unstable();
        assert_eq!(ended, ["removed", "swept"]);
        let left = keys.map(|it| table.find(it));
        assert_eq!(left, [None, None, Some("kept")]);
        assert_eq!(table.find(new), Some("new"));
    });
}

/// Another thread guesses the key that is about to be filled, as one may that keeps a stale one.
pub fn a_key_that_is_reserved_finds_nothing_or_its_value() {
    explore(|| {
        let table = Arc::new(Table::new(0));
        let stale = insert(&table, 1);
        table.remove(stale);
        let guessed = Key {
            slot: stale.slot,
            generation: stale.generation + 1,
        };
        let guesser = {
            let table = Arc::clone(&table);
            thread::spawn(move || (table.find(guessed), table.remove(guessed)))
        };
        let key = table.reserve().unwrap();
        assert_eq!(key, guessed);
        table.fill(key, 2);
        let (found, removed) = guesser.join().unwrap();
        assert!(matches!(found, None | Some(2)));
        assert!(found.is_none() || removed == Some(2));
        let left = if removed.is_some() { None } else { Some(2) };
        assert_eq!(table.find(key), left);
        let next = insert(&table, 3);
        assert_ne!(next, key);
        assert_eq!(table.find(next), Some(3));
    });
}
