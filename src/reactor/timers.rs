//! Deadlines, armed lazily: traffic moves a connection's deadline without touching this, and the
//! connection is asked again when an old one comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// The deadlines of one worker's slots.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Timers {
    /// Asks to hear of `slot` at `deadline`. `armed` is what this slot asked for before: an
    /// earlier one is enough.
    pub fn arm(&mut self, slot: usize, deadline: Option<Instant>, armed: &mut Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if armed.is_none_or(|armed| deadline < armed) {
            *armed = Some(deadline);
            self.heap.push(Reverse((deadline, slot)));
        }
    }

    /// The next slot whose deadline has come, and that deadline. It may have been armed for an
    /// earlier owner of the slot.
    pub fn expired(&mut self, now: Instant) -> Option<(Instant, usize)> {
        let Reverse((deadline, _)) = self.heap.peek()?;
        if *deadline > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Forgets deadlines that nobody waits for any more, once they are most of all: connections end
    /// long before those that they have armed. There are so many `slots`.
    pub fn tidy(&mut self, slots: usize, is_armed: impl Fn(usize, Instant) -> bool) {
        if self.heap.len() > 2 * slots + SPARE {
            self.heap
                .retain(|Reverse((deadline, slot))| is_armed(*slot, *deadline));
        }
    }

    /// When the next deadline comes.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((deadline, _))| *deadline)
    }
}

/// So many are not worth a look.
const SPARE: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_come_in_order_and_only_earlier_ones_are_added() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        let (mut a, mut b) = (None, None);
        timers.arm(1, Some(at(50)), &mut a);
        timers.arm(1, Some(at(80)), &mut a);
        timers.arm(1, Some(at(20)), &mut a);
        timers.arm(2, Some(at(30)), &mut b);
        timers.arm(2, None, &mut b);
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.expired(at(10)), None);
        assert_eq!(timers.expired(at(100)), Some((at(20), 1)));
        assert_eq!(timers.expired(at(100)), Some((at(30), 2)));
        assert_eq!(timers.expired(at(100)), Some((at(50), 1)));
        assert_eq!(timers.expired(at(100)), None);
    }

    #[test]
    fn deadlines_of_those_that_are_gone_are_forgotten_when_they_are_most() {
        let start = Instant::now();
        let at = |slot| start + Duration::from_secs(slot as u64);
        let mut timers = Timers::default();
        for slot in 0..1000 {
            timers.arm(slot, Some(at(slot)), &mut None);
            timers.tidy(10, |slot, deadline| slot < 10 && deadline == at(slot));
            assert!(timers.heap.len() <= 20 + SPARE);
        }
        for slot in 0..10 {
            assert_eq!(timers.expired(at(2000)), Some((at(slot), slot)));
        }
    }
}
