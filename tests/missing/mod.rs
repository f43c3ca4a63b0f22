//! Programs that tests need and that need not be installed. A test without its program leaves itself
//! out, with a message; with `WSABI_NO_SKIP=1` it fails.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::env;

/// Whether the program can be run. If not, this says so, and how Debian calls the package.
#[track_caller]
pub fn is_installed(program: &str, package: &str) -> bool {
    let is_there = is_in_path(program);
    if !is_there {
        skip(&format!("{program} is not installed (Debian: {package})"));
    }
    is_there
}

/// Whether there is a program of this name, without a word about it.
pub fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Says why a test leaves itself out, unless it must not.
#[track_caller]
pub fn skip(why: &str) {
    assert!(
        env::var_os("WSABI_NO_SKIP").is_none(),
        "{why}, and WSABI_NO_SKIP is set"
    );
    println!("skipped: {why}");
}
