//! Log records that arise while a lock is held: they wait until it is not, since the application's
//! function that gets them may do anything.

use std::cell::RefCell;

use log::{Level, LevelFilter, Record};

/// A record that waits.
struct Held {
    level: Level,
    target: String,
    message: String,
}

/// Hands over what was held when this is dropped.
struct Release;

thread_local! {
    /// What this thread holds back; `None`: nothing is to be.
    static HELD: RefCell<Option<Vec<Held>>> = const { RefCell::new(None) };
}

/// Runs `act`, which takes a lock and gives it back, and logs what others log meanwhile after that.
pub fn hold<T>(act: impl FnOnce() -> T) -> T {
    if log::max_level() == LevelFilter::Off {
        return act();
    }
    // While a thread ends, nothing can be held; and inside another `hold` that one sees to it.
    let is_outermost = HELD.try_with(|held| {
        let mut held = held.borrow_mut();
        let is_outermost = held.is_none();
        held.get_or_insert_default();
        is_outermost
    });
    let _release = is_outermost.unwrap_or(false).then_some(Release);
    act()
}

/// Keeps a record, if this thread holds them back.
pub fn keep(record: &Record<'_>) -> bool {
    let kept = HELD.try_with(|held| {
        let mut held = held.borrow_mut();
        let Some(held) = &mut *held else {
            return false;
        };
        held.push(Held {
            level: record.level(),
            target: record.target().to_owned(),
            message: record.args().to_string(),
        });
        true
    });
    kept.unwrap_or(false)
}

impl Drop for Release {
    fn drop(&mut self) {
        let held = HELD.try_with(|held| held.borrow_mut().take());
        for it in held.ok().flatten().into_iter().flatten() {
            log::log!(target: &it.target, it.level, "{}", it.message);
        }
    }
}
