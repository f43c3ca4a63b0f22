//! The handle table, user_data, the gate and the queue with the locks and atomics of shuttle in place
//! of the real ones: each model runs in thousands of the orders in which its threads could run.
//!
//! A crate of its own, since the unit tests in the same files need the real ones.
#![allow(dead_code, reason = "the models use a part of each file")]

#[path = "../../src/delivery/mod.rs"]
pub mod delivery;
#[path = "../../src/error.rs"]
pub mod error;
mod ffi;
pub mod gates;
pub mod handles;
mod proto;
pub mod queues;
mod sync;
#[path = "../../src/ffi/table.rs"]
mod table;

pub use ffi::pointers;

/// Tries orders at random, and such as differ in the few places that decide most often; a hundred
/// times as many with `WSABI_LONG`.
fn explore(model: impl Fn() + Send + Sync + Copy + 'static) {
    let factor = if std::env::var_os("WSABI_LONG").is_some() {
        100
    } else {
        1
    };
    shuttle::check_random(model, 400 * factor);
    shuttle::check_pct(model, 400 * factor, 3);
}

fn join<const COUNT: usize>(threads: [shuttle::thread::JoinHandle<()>; COUNT]) {
    threads.into_iter().for_each(|it| it.join().unwrap());
}
