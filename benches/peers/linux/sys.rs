//! The few system calls that std has no interface for.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// An epoll instance, level-triggered.
pub struct Epoll {
    fd: OwnedFd,
}

/// What to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Read,
    Both,
}

/// What came.
pub use libc::epoll_event as Event;

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a fresh descriptor, which nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    pub fn add(&self, source: &impl AsRawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, token, interest)
    }

    pub fn modify(&self, source: &impl AsRawFd, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, source, token, interest)
    }

    /// Waits without limit, and returns how many of `events` it has filled.
    pub fn wait(&self, events: &mut [Event]) -> io::Result<usize> {
        let (fd, room) = (self.fd.as_raw_fd(), events.len() as i32);
        // SAFETY: `events` has that much room.
        let count = check(unsafe { libc::epoll_wait(fd, events.as_mut_ptr(), room, -1) })?;
        Ok(count as usize)
    }

    fn control(
        &self,
        operation: i32,
        source: &impl AsRawFd,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let events = match interest {
            Interest::Read => libc::EPOLLIN,
            Interest::Both => libc::EPOLLIN | libc::EPOLLOUT,
        } as u32;
        let mut event = Event { events, u64: token };
        let (epoll, fd) = (self.fd.as_raw_fd(), source.as_raw_fd());
        // SAFETY: `event` lives during the call.
        check(unsafe { libc::epoll_ctl(epoll, operation, fd, &raw mut event) })?;
        Ok(())
    }
}

/// Waits until `source` takes bytes.
pub fn wait_writable(source: &impl AsRawFd) -> io::Result<()> {
    let mut poll = libc::pollfd {
        fd: source.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one descriptor, which lives during the call.
    check(unsafe { libc::poll(&raw mut poll, 1, -1) })?;
    Ok(())
}

/// CPU time of this process, user and system.
pub fn cpu_seconds() -> f64 {
    // SAFETY: plain integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` lives during the call.
    let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    assert_eq!(result, 0, "getrusage failed");
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Allows this process as many descriptors as the system lets it.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives during both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Bytes of this process that are in memory.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or_default();
    // SAFETY: no pointers.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
