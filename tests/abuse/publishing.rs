//! A server publishes to many who do not read.

use std::time::{Duration, Instant};

use crate::bystander::{expect_service, plain};
use crate::crowds::{expect_memory, wait_for_descriptors};
use crate::support::wire::{BINARY, CLOSE, FIN, Peer};
use crate::support::{slowness, tell};
use crate::target::{Role, Target};
use crate::{alone, scale};

/// What may wait for each subscriber.
const LIMIT: usize = 1 << 20;
/// From this size on, those for whom a message waits share it.
const SHARED: usize = 16 << 10;
/// What the system takes for a subscriber who does not read.
const TAKEN: usize = 4 << 20;

/// Subscribers who do not read, and one who has everything published again and again and reads it.
struct Hall {
    target: Target,
    before: usize,
    slow: Vec<Peer>,
    fast: Peer,
}

impl Hall {
    fn new(settings: &str) -> Self {
        let settings = format!("quiet=1 publish=1 max_buffered={LIMIT} ping_interval=0 {settings}");
        let mut target = Target::narrow(Role::Server, &settings);
        let before = target.victim.descriptors();
        let slow: Vec<_> = (0..scale(20, 200)).map(|_| target.unseen("")).collect();
        let fast = plain(target.port);
        Self {
            target,
            before,
            slow,
            fast,
        }
    }

    /// Publishes for seconds, until nobody who does not read can have room. The fast one never waits.
    #[track_caller]
    fn publish(&mut self, what: &str, message: &[u8]) {
        let enough = Duration::from_millis(scale(1_000, 10_000) as u64);
        let heap_before = self.target.victim.heap();
        let begin = Instant::now();
        let mut times = Vec::new();
        while begin.elapsed() < enough || times.len() * message.len() < LIMIT + TAKEN {
            let begin = Instant::now();
            self.fast.send_frame(FIN | BINARY, message);
            assert_eq!(self.fast.read_frame().payload, message);
            times.push(begin.elapsed());
        }
        let count = self.slow.len();
        let heap = self.target.victim.heap().saturating_sub(heap_before);
        tell(format_args!(
            "{what}: {} KiB of heap for {count} who do not read",
            heap >> 10
        ));
        expect_service(what, times);
        let most = if message.len() < SHARED {
            // A buffer grows by doubling.
            2 * count * LIMIT
        } else {
            // What the system takes for one and not for another makes a difference.
            4 * LIMIT
        };
        assert!(heap <= most as u64, "{heap}, not {most} bytes");
        expect_memory(&self.target, most);
    }
}

#[test]
fn s11_subscribers_who_do_not_read_are_skipped_and_nobody_waits_for_them() {
    let _alone = alone();
    for (what, size) in [("copied", 1_000), ("shared", 64 << 10)] {
        let mut hall = Hall::new("slow_subscribers=0");
        let message = vec![b'p'; size];
        hall.publish(&format!("skipping, messages are {what}"), &message);
        // What was taken for them is not lost, and they are there for what comes next.
        for peer in &mut hall.slow {
            for _ in 0..LIMIT / (size + 14) {
                assert_eq!(peer.read_frame().payload, message);
            }
        }
        hall.fast.send_frame(FIN | BINARY, b"next");
        assert_eq!(hall.fast.read_frame().payload, b"next");
    }
}

#[test]
fn s11_subscribers_who_do_not_read_are_closed_and_nobody_waits_for_them() {
    let _alone = alone();
    let close_timeout = 8_000 * slowness();
    let settings = format!("slow_subscribers=1 close_timeout={close_timeout}");
    let halls = [("copied", 1_000), ("shared", 64 << 10)].map(|(what, size)| {
        let mut hall = Hall::new(&settings);
        let message = vec![b'p'; size];
        hall.publish(&format!("closing, messages are {what}"), &message);
        // One reads after all, and hears why.
        let mut late = hall.slow.pop().unwrap();
        let mut last = late.read_frame();
        while last.opcode() != CLOSE {
            assert_eq!(last.payload, message);
            last = late.read_frame();
        }
        assert_eq!(last.close_code(), Some(1008));
        hall
    });
    for mut hall in halls {
        // The others are dropped; nobody is left but the fast one.
        wait_for_descriptors(&hall.target.victim, hall.before + 1);
        hall.fast.send_frame(FIN | BINARY, b"still here");
        assert_eq!(hall.fast.read_frame().payload, b"still here");
    }
}
