//! Measures clients on one echo server, interleaved in one run: wsabi through its C interface,
//! tungstenite's blocking client, and a raw epoll client that does the least that can be done.
//!
//! `cargo bench` runs everything, `cargo bench -- --quick` a short version, and
//! `cargo bench -- echo` only what has "echo" in its name. Every client and the server are
//! processes of their own (this program, started again), so that each one's CPU time is its own.
//! Nothing is asserted.
//!
//! A small message costs several times as much where client and server run on two processors
//! and wake each other for each few of them, than where they share one and work in large batches.
//! The system chooses; `taskset -c 0 cargo bench` decides for the latter, and is the best way to
//! compare two versions of the code.
#![cfg_attr(
    target_os = "linux",
    expect(
        unsafe_code,
        reason = "epoll, getrusage, the counting allocator and the C interface have no safe ones"
    )
)]

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the raw client and the server are made for Linux");
}
