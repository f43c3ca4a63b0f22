//! Measures what clients cost a server: memory of one that is idle, time of the processor to let one
//! in and to send a small message back. The tables of docs/scaling.md are made of it.
//!
//! `cargo bench -- serving` runs everything, and `--quick` behind it a short version. The server is a
//! process of its own (this program, started again); its clients are raw sockets. Nothing is
//! asserted.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "getrusage and setrlimit have no safe ones")
)]

#[cfg(target_os = "linux")]
mod clients;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
#[path = "../../tests/support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
#[path = "../peers/linux/sys.rs"]
#[allow(dead_code, reason = "the other benchmark uses all of it")]
mod sys;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sys::raise_descriptor_limit();
    if let [role, url] = args.as_slice()
        && role == server::ROLE
    {
        return server::run(url);
    }
    let filter = args.iter().find(|arg| !arg.starts_with("--"));
    if filter.is_some_and(|filter| !"serving".contains(filter.as_str())) {
        return Ok(());
    }
    clients::measure(args.iter().any(|arg| arg == "--quick"))
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the figures come from Linux");
}
