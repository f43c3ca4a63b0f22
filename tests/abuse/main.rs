//! Hostile clients, made by hand, abuse the library's server in a process whose memory and time are
//! measured from outside, while an honest client is served and its latency is measured. The abuses
//! are section S of the same catalogue as the attacks, with whose tools they are made; each has a
//! test in one of the files beside this one, whose name begins with its id.
//!
//! `WSABI_LONG=1` makes crowds and floods as large and as long as they are meant to be.

#![cfg(target_os = "linux")]

#[path = "../abi/mod.rs"]
mod abi;
mod bystander;
mod crowds;
mod descriptors;
mod floods;
mod idle;
mod publishing;
mod requests;
#[path = "../attacks/secure.rs"]
#[allow(dead_code, reason = "the attacks use more of it")]
mod secure;
#[path = "../support/mod.rs"]
mod support;
#[path = "../attacks/target.rs"]
#[allow(dead_code, reason = "the same")]
mod target;
mod tls;
mod undecided;
#[path = "../attacks/victim.rs"]
#[allow(dead_code, reason = "the same")]
mod victim;
#[path = "../attacks/words.rs"]
#[allow(dead_code, reason = "the same")]
mod words;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Every abuse: its id, and what the clients do.
const ABUSES: &[(&str, &str)] = &[
    ("S1", "connect and say nothing, or a byte now and then"),
    ("S2", "send heads without end, or such that parse slowly"),
    ("S3", "send frames that are not masked"),
    ("S4", "smuggle a second request behind the first"),
    ("S5", "send frames before they are let in"),
    ("S6", "come from another origin"),
    (
        "S7",
        "flood with pings, fragments and bombs; sections B to E are in tests/attacks, for both roles",
    ),
    ("S8", "connect and reset"),
    ("S9", "take all descriptors"),
    ("S10", "finish TLS and then say nothing, or speak no TLS"),
    ("S11", "do not read what is sent to them"),
    ("S12", "offer subprotocols and extensions that nobody knows"),
    ("S13", "never answer Close"),
    ("S14", "guess passwords by the time that comparing takes"),
];

/// The abuses that have no test, and why.
const WITHOUT_TEST: &[(&str, &str)] = &[("S14", "the library compares no passwords")];

#[test]
fn every_abuse_has_a_test_or_a_reason() {
    let sources = [
        include_str!("crowds.rs"),
        include_str!("descriptors.rs"),
        include_str!("floods.rs"),
        include_str!("publishing.rs"),
        include_str!("requests.rs"),
        include_str!("tls.rs"),
        include_str!("undecided.rs"),
    ];
    let mut tested = 0;
    for (id, do_what) in ABUSES {
        let name = format!("#[test]\nfn {}_", id.to_lowercase());
        let is_tested = sources.iter().any(|source| source.contains(&name));
        let has_reason = WITHOUT_TEST.iter().any(|(other, _)| other == id);
        assert!(is_tested != has_reason, "{id}: clients {do_what}");
        tested += usize::from(is_tested);
    }
    println!("{} abuses: {tested} have a test", ABUSES.len());
}

/// Not a test: the process that the other tests start.
#[test]
fn the_process_that_is_attacked() {
    victim::run_if_told();
}

/// Has the tests come one after the other: each needs many descriptors, and measures time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // One that failed leaves the others to be tried.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one number in the short form, the other in the long one.
fn scale(short: usize, long: usize) -> usize {
    if std::env::var_os("WSABI_LONG").is_some() {
        long
    } else {
        short
    }
}
