//! When a lost connection is made anew: later and later, and not at the same time as everybody
//! else who has lost it.

use std::time::{Duration, SystemTime};

use rand::TryRng;
use rand::rngs::SysRng;

use crate::error::Error;
use crate::proto::close;
use crate::reactor::settings::Reconnect;

/// The attempts of one socket.
#[derive(Debug)]
pub struct Retry {
    policy: Reconnect,
    /// Attempts since the last connection that lasted.
    attempts: u32,
}

impl Retry {
    /// No attempt yet.
    pub fn new(policy: Reconnect) -> Self {
        Self {
            policy,
            attempts: 0,
        }
    }

    /// How long to wait for the next attempt, and at least as long as the server has asked for.
    /// None: there have been enough.
    pub fn next(&mut self, asked_for: Option<Duration>) -> Option<Duration> {
        let Reconnect { min, max, tries } = self.policy;
        if tries > 0 && self.attempts >= tries {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        let doubled = 1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX);
        let cap = min.saturating_mul(doubled).min(max).max(min);
        // Without random bytes, the longest.
        let share = SysRng.try_next_u32().unwrap_or(u32::MAX);
        let spread = (cap - min).as_nanos() * u128::from(share) / u128::from(u32::MAX);
        let delay = min + Duration::from_nanos_u128(spread);
        Some(delay.max(asked_for.unwrap_or_default()))
    }

    /// A connection was lost that had been open this long: if it was as long as the longest wait,
    /// the attempts are counted anew.
    pub fn lasted(&mut self, time: Duration) {
        if time >= self.policy.max {
            self.attempts = 0;
        }
    }
}

/// Whether the same attempt would fail in the same way, for all that `error` says.
pub fn is_permanent(error: &Error) -> bool {
    !matches!(
        error,
        Error::Dns(_)
            | Error::Connect(_)
            | Error::Proxy(_)
            | Error::Tls(_)
            | Error::Http(_)
            | Error::Timeout(_)
            | Error::Io(_)
            | Error::Resource(_)
            | Error::Closed(_)
    )
}

/// Whether a server that answers so may answer otherwise later (RFC 9110 §15).
pub fn is_permanent_status(status: u16) -> bool {
    !matches!(status, 408 | 425 | 429 | 500..=599)
}

/// Whether a peer that closes with this code means for now: it goes away, has failed, restarts, or
/// is too busy.
pub fn is_temporary_code(code: u16) -> bool {
    matches!(
        code,
        close::GOING_AWAY | close::INTERNAL_ERROR | 1012..=1014
    )
}

/// RFC 9110 §10.2.3: a number of seconds, or a date.
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value
            .parse::<u32>()
            .ok()
            .map(|it| Duration::from_secs(it.into()));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(min: u64, max: u64, tries: u32) -> Retry {
        Retry::new(Reconnect {
            min: Duration::from_millis(min),
            max: Duration::from_millis(max),
            tries,
        })
    }

    #[test]
    fn delays_are_spread_between_the_shortest_and_a_doubling_longest() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut retry = policy(100, 1000, 0);
            for cap in [200, 400, 800, 1000, 1000] {
                let delay = retry.next(None).unwrap();
                assert!(delay >= Duration::from_millis(100));
                assert!(delay <= Duration::from_millis(cap), "{delay:?} of {cap} ms");
                seen.insert(delay);
            }
        }
        assert!(seen.len() > 900, "{} different delays of 1000", seen.len());
    }

    #[test]
    fn any_number_of_attempts_neither_overflows_nor_ends() {
        let mut retry = policy(1, 5, 0);
        for _ in 0..100 {
            assert!(retry.next(None).unwrap() <= Duration::from_millis(5));
        }
    }

    #[test]
    fn tries_are_counted_anew_after_a_connection_that_lasted() {
        let mut retry = policy(1, 50, 2);
        assert!(retry.next(None).is_some());
        retry.lasted(Duration::from_millis(49));
        assert!(retry.next(None).is_some());
        assert_eq!(retry.next(None), None);
        retry.lasted(Duration::from_millis(50));
        assert!(retry.next(None).is_some());
    }

    #[test]
    fn the_server_can_ask_for_more_time_and_not_for_less() {
        let mut retry = policy(10, 10, 0);
        let minute = Duration::from_secs(60);
        assert_eq!(retry.next(Some(minute)), Some(minute));
        assert_eq!(
            retry.next(Some(Duration::ZERO)),
            Some(Duration::from_millis(10))
        );
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("4294967295", Some(u64::from(u32::MAX))),
            ("4294967296", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:50:00 GMT", Some(23)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(parse_retry_after(value, now), expected, "{value:?}");
        }
    }
}
