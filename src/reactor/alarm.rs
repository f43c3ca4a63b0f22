//! A clock that can be watched together with sockets.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// A timer with a descriptor.
pub struct Alarm {
    descriptor: OwnedFd,
    /// When it goes off, as it was last set.
    at: Option<Instant>,
}

impl Alarm {
    /// One that is not set, with this token.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let number = descriptor.as_raw_fd();
        registry.register(&mut SourceFd(&number), token, Interest::READABLE)?;
        Ok(Self {
            descriptor,
            at: None,
        })
    }

    /// Goes off at that time, or not at all.
    pub fn set(&mut self, at: Option<Instant>) {
        let now = Instant::now();
        // Deadlines hardly ever change from one turn to the next, and the call costs more than the
        // rest of a turn. One that has passed has gone off, and would not do so again.
        if at == self.at && at.is_none_or(|at| at > now) {
            return;
        }
        self.at = at;
        // A time of zero would switch it off.
        let left = at.map(|at| at.saturating_duration_since(now).as_nanos().max(1));
        let nanoseconds = left.unwrap_or(0);
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let new = Itimerspec {
            it_interval: zero,
            it_value: Timespec {
                tv_sec: i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(i64::MAX),
                tv_nsec: (nanoseconds % 1_000_000_000) as _,
            },
        };
        if let Err(error) = timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &new) {
            self.at = None;
            log::error!("a timer cannot be set: {error}");
        }
    }
}
