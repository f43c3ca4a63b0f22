//! Measures what a message costs that goes to many: the CPU time of a server for each of those who
//! get it, when it is published, when it is sent on each socket, and when its bytes are written to
//! raw sockets, one call each.
//!
//! `cargo bench -- publish` runs everything, and `--quick` behind it a short version. Those who get
//! the messages are another process (this program, started again), which only reads. Nothing is
//! asserted.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "epoll and getrusage have no safe ones")
)]

#[cfg(target_os = "linux")]
mod guests;
#[cfg(target_os = "linux")]
#[path = "../peers/linux/sys.rs"]
#[allow(dead_code, reason = "the other benchmark uses all of it")]
mod sys;
#[cfg(target_os = "linux")]
mod ways;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    sys::raise_descriptor_limit();
    if let [role, port, count] = args.as_slice()
        && role == guests::ROLE
    {
        return Ok(guests::run(port.parse()?, count.parse()?)?);
    }
    let filter = args.iter().find(|arg| !arg.starts_with("--"));
    if filter.is_some_and(|filter| !"publish".contains(filter.as_str())) {
        return Ok(());
    }
    let is_quick = args.iter().any(|arg| arg == "--quick");
    ways::compare(is_quick)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the readers are made for Linux");
}
