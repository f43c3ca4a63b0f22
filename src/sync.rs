//! The locks and atomics of delivery, of the handle table and of user_data. tests/schedules has others
//! in their place, which try the orders in which threads can run.

pub use std::sync::atomic;
pub use std::thread_local;

pub use parking_lot::{Condvar, Mutex, RwLock};
