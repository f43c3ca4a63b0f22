//! Keepalive: when to ping, when to give up. Traffic only stores a time; the deadline is looked
//! at when it comes.

use std::time::{Duration, Instant};

/// The times of one connection.
#[derive(Debug)]
pub struct Keepalive {
    ping_interval: Option<Duration>,
    pong_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    /// When something was last received that shows the peer alive.
    heard: Instant,
    /// When a message last passed, either way.
    message: Instant,
    /// The ping that is not answered.
    pinged: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Send a ping.
    Ping,
    /// The peer is silent: it did not answer a ping.
    Pong(Duration),
    /// No message passed.
    Idle(Duration),
}

impl Keepalive {
    /// The connection is established now.
    pub fn new(
        ping_interval: Option<Duration>,
        pong_timeout: Option<Duration>,
        idle_timeout: Option<Duration>,
        now: Instant,
    ) -> Self {
        Self {
            ping_interval,
            pong_timeout,
            idle_timeout,
            heard: now,
            message: now,
            pinged: None,
        }
    }

    /// Something was received, other than a pong that nobody asked for.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// A message was sent or received.
    pub fn message(&mut self, now: Instant) {
        self.message = now;
    }

    /// When to call [`Self::overdue`].
    pub fn deadline(&self) -> Option<Instant> {
        let alive = match self.pinged {
            Some(pinged) => after(pinged, self.pong_timeout),
            None => after(self.heard, self.ping_interval),
        };
        let idle = after(self.message, self.idle_timeout);
        alive.into_iter().chain(idle).min()
    }

    /// What is due, if anything. A ping counts as sent.
    pub fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        if let Some(limit) = self.idle_timeout
            && after(self.message, self.idle_timeout).is_some_and(|at| at <= now)
        {
            return Some(Overdue::Idle(limit));
        }
        match self.pinged {
            Some(pinged) => {
                let limit = self.pong_timeout?;
                after(pinged, self.pong_timeout)
                    .is_some_and(|at| at <= now)
                    .then_some(Overdue::Pong(limit))
            }
            None => {
                if after(self.heard, self.ping_interval)? > now {
                    return None;
                }
                self.pinged = Some(now);
                Some(Overdue::Ping)
            }
        }
    }
}

fn after(start: Instant, duration: Option<Duration>) -> Option<Instant> {
    start.checked_add(duration?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_peer_is_pinged_and_then_given_up() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(Some(20 * SECOND), Some(5 * SECOND), None, start);
        assert_eq!(keepalive.deadline(), Some(start + 20 * SECOND));
        assert_eq!(keepalive.overdue(start + 19 * SECOND), None);
        assert_eq!(keepalive.overdue(start + 20 * SECOND), Some(Overdue::Ping));
        assert_eq!(keepalive.deadline(), Some(start + 25 * SECOND));
        assert_eq!(keepalive.overdue(start + 24 * SECOND), None);
        assert_eq!(
            keepalive.overdue(start + 25 * SECOND),
            Some(Overdue::Pong(5 * SECOND))
        );
    }

    #[test]
    fn any_sign_of_life_starts_again() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(Some(20 * SECOND), Some(5 * SECOND), None, start);
        keepalive.heard(start + 10 * SECOND);
        assert_eq!(keepalive.overdue(start + 20 * SECOND), None);
        assert_eq!(keepalive.overdue(start + 30 * SECOND), Some(Overdue::Ping));
        keepalive.heard(start + 31 * SECOND);
        assert_eq!(keepalive.deadline(), Some(start + 51 * SECOND));
    }

    #[test]
    fn a_long_stall_asks_once_before_it_gives_up() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(Some(20 * SECOND), Some(5 * SECOND), None, start);
        let late = start + 1000 * SECOND;
        assert_eq!(keepalive.overdue(late), Some(Overdue::Ping));
        assert_eq!(keepalive.deadline(), Some(late + 5 * SECOND));
    }

    #[test]
    fn idleness_counts_messages_only() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(None, None, Some(9 * SECOND), start);
        keepalive.message(start + 4 * SECOND);
        keepalive.heard(start + 12 * SECOND);
        assert_eq!(keepalive.deadline(), Some(start + 13 * SECOND));
        assert_eq!(
            keepalive.overdue(start + 13 * SECOND),
            Some(Overdue::Idle(9 * SECOND))
        );
        assert_eq!(Keepalive::new(None, None, None, start).deadline(), None);
    }
}
