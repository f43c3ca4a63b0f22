//! The end of an established connection (RFC 6455 §7): who has sent what, how long it may take,
//! and what the application is told. It does not know the role.

use std::time::{Duration, Instant};

use super::close::{self, CloseFrame};
use crate::error::Error;

/// How far the end has come.
#[derive(Debug)]
pub struct Closing {
    timeout: Duration,
    /// Until when all has to be over, once the end has begun.
    deadline: Option<Instant>,
    sent: bool,
    received: Option<CloseFrame>,
    /// The code of the close event of a connection that fails.
    failed: Option<u16>,
}

/// What the application is told at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Why, unless it was clean or was told already.
    pub error: Option<Error>,
    /// The code of the close event.
    pub code: u16,
    /// The reason of the close event.
    pub reason: Box<str>,
    /// Whether both Close frames were exchanged.
    pub was_clean: bool,
}

impl Ending {
    /// Of a connection that was never established, or was dropped.
    pub fn abnormal(error: Error) -> Self {
        Self {
            error: Some(error),
            code: close::ABNORMAL,
            reason: Box::default(),
            was_clean: false,
        }
    }
}

impl Closing {
    /// Not begun.
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            deadline: None,
            sent: false,
            received: None,
            failed: None,
        }
    }

    /// Our Close frame has been sent, or waits to be.
    pub fn sent(&mut self, now: Instant) {
        self.sent = true;
        self.begin(now);
    }

    /// Our Close frame waits still, and never will be sent.
    pub fn unsent(&mut self) {
        self.sent = false;
    }

    /// The peer's Close frame has come.
    pub fn received(&mut self, frame: CloseFrame, now: Instant) {
        self.received.get_or_insert(frame);
        self.begin(now);
    }

    /// The connection fails (RFC 6455 §7.1.7), and the application has been told why. `code` is
    /// that of the Close frame which says so, if there still was one to send.
    pub fn failed(&mut self, code: Option<u16>, now: Instant) {
        self.failed.get_or_insert(code.unwrap_or(close::ABNORMAL));
        self.begin(now);
    }

    /// The latest time of the close event.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the connection fails.
    pub fn is_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Whether nothing but the end of TCP is missing.
    pub fn is_over(&self) -> bool {
        self.failed.is_some() || self.sent && self.received.is_some()
    }

    /// The report, when TCP has ended, broken, or waited too long, for which `error` is the
    /// sentence.
    pub fn end(&mut self, error: Error) -> Ending {
        let received = self.received.take();
        if let Some(code) = self.failed {
            return Ending {
                error: None,
                code,
                reason: Box::default(),
                was_clean: false,
            };
        }
        let was_clean = received.is_some() && self.sent;
        let Some(frame) = received else {
            return Ending::abnormal(error);
        };
        Ending {
            error: (!was_clean).then_some(error),
            code: frame.reported_code(),
            reason: frame.reason,
            was_clean,
        }
    }

    fn begin(&mut self, now: Instant) {
        if self.deadline.is_none() {
            self.deadline = now.checked_add(self.timeout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut() -> Error {
        Error::Io("cut".into())
    }

    fn frame(code: u16) -> CloseFrame {
        CloseFrame {
            code: Some(code),
            reason: "why".into(),
        }
    }

    #[test]
    fn both_frames_make_a_clean_end_with_the_peers_code() {
        let now = Instant::now();
        let mut closing = Closing::new(Duration::from_secs(3));
        closing.sent(now);
        assert!(!closing.is_over());
        closing.received(frame(3000), now + Duration::from_secs(1));
        assert!(closing.is_over());
        assert_eq!(closing.deadline(), Some(now + Duration::from_secs(3)));
        let ending = closing.end(cut());
        assert_eq!(
            (ending.error, ending.code, ending.was_clean),
            (None, 3000, true)
        );
        assert_eq!(&*ending.reason, "why");
    }

    #[test]
    fn without_the_peers_frame_the_end_is_abnormal() {
        let mut closing = Closing::new(Duration::from_secs(3));
        closing.sent(Instant::now());
        assert_eq!(closing.end(cut()), Ending::abnormal(cut()));
        assert_eq!(
            Closing::new(Duration::ZERO).end(cut()),
            Ending::abnormal(cut())
        );
    }

    #[test]
    fn a_frame_that_never_left_makes_no_clean_end() {
        let mut closing = Closing::new(Duration::from_secs(3));
        closing.received(frame(1000), Instant::now());
        closing.sent(Instant::now());
        closing.unsent();
        let ending = closing.end(cut());
        assert_eq!(
            (ending.error, ending.code, ending.was_clean),
            (Some(cut()), 1000, false)
        );
    }

    #[test]
    fn an_empty_frame_is_reported_as_1005() {
        let mut closing = Closing::new(Duration::from_secs(3));
        closing.received(CloseFrame::empty(), Instant::now());
        closing.sent(Instant::now());
        let ending = closing.end(cut());
        assert_eq!((ending.code, ending.was_clean), (1005, true));
    }

    #[test]
    fn a_failure_is_told_once_and_never_clean() {
        let now = Instant::now();
        let mut closing = Closing::new(Duration::from_secs(3));
        closing.failed(Some(1002), now);
        closing.sent(now);
        closing.received(frame(1002), now);
        let ending = closing.end(cut());
        assert_eq!(
            (ending.error, ending.code, ending.was_clean),
            (None, 1002, false)
        );

        let mut closing = Closing::new(Duration::from_secs(3));
        closing.sent(now);
        closing.failed(None, now);
        assert_eq!(closing.end(cut()).code, close::ABNORMAL);
    }
}
