//! Handshakes in memory, between what `Config` makes and peers made by hand; and sessions.

mod ends;
mod failures;
mod forger;
mod hostile;
mod pair;
#[cfg(all(unix, not(target_vendor = "apple")))]
mod platform;
mod session;
mod settings;
