//! Clients that do much.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use zlib_rs::{Deflate, DeflateFlush};

use crate::abi::Delivery;
use crate::bystander::{Bystander, plain};
use crate::crowds::{HALF_OPEN, expect_memory, wait_for_descriptors};
use crate::support::wire::{BINARY, CONTINUATION, FIN, PING, frame, masked};
use crate::support::{REQUEST, slowness, tell};
use crate::target::{Role, Target};
use crate::victim::Victim;
use crate::{alone, scale};

const RSV1: u8 = 0x40;
/// The time of the processor that a connection may take which does little,
const CONNECTION: Duration = Duration::from_millis(5);
/// and a mebibyte of frames, of which there may be hundreds of thousands.
const MEBIBYTE: Duration = Duration::from_millis(600);

/// How long a flood lasts.
fn duration() -> Duration {
    Duration::from_millis(scale(1_000, 20_000) as u64)
}

/// Several clients at a time do this again and again. It is told whether to go on. Returns how often
/// they did.
fn flood(act: impl Fn(&dyn Fn() -> bool) + Send + Sync + 'static) -> usize {
    let (is_over, act, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(act),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..scale(2, 20))
        .map(|_| {
            let (is_over, act, count) =
                (Arc::clone(&is_over), Arc::clone(&act), Arc::clone(&count));
            thread::spawn(move || {
                let goes_on = || !is_over.load(Ordering::Relaxed);
                while goes_on() {
                    act(&goes_on);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    thread::park_timeout(duration());
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    count.load(Ordering::Relaxed)
}

/// Fails if the server has used more of the processor than this for each of so many, or goes on though
/// it has nothing more to do. A flood that is slow to deal with brings less in its time, so that it
/// shows.
#[track_caller]
fn expect_cpu(victim: &Victim, before: Duration, count: usize, each: Duration) {
    let used = victim.usage().cpu.saturating_sub(before);
    let count = u32::try_from(count).unwrap();
    tell(format_args!("{used:?} of the processor for {count}"));
    let most = Duration::from_millis(500) + each * count * slowness();
    assert!(used <= most, "{used:?}, not {most:?}");
    let before = victim.usage().cpu;
    let rest = Duration::from_millis(500);
    // How long there is nothing to do.
    thread::park_timeout(rest);
    let used = victim.usage().cpu.saturating_sub(before);
    assert!(used < rest / 2, "{used:?} of {rest:?} without work");
}

/// Has the end of a connection be a reset.
fn reset(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn s8_connects_and_ends_at_any_moment_are_survived() {
    let _alone = alone();
    for (what, said, reads) in [
        ("before anything is said", &b""[..], false),
        ("in the request", &REQUEST[..60], false),
        ("behind the request", REQUEST, false),
        ("when it is answered", REQUEST, true),
    ] {
        // A deadline is kept until it comes, also that of a connection that is gone.
        let mut target = Target::new(Role::Server, "quiet=1 echo=1 connect_timeout=500");
        let bystander = Bystander::watch(target.port);
        let before = target.victim.descriptors();
        let cpu_before = target.victim.usage().cpu;
        let heap_before = target.victim.heap();
        let address = SocketAddr::from(([127, 0, 0, 1], target.port));
        let number = AtomicUsize::new(0);
        let count = flood(move |_| {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = stream.write_all(said);
            if reads {
                crate::support::read_head(&mut stream);
            }
            // The other half end in an orderly way.
            if number.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                reset(&stream);
            }
        });
        tell(format_args!("{count} connections ended {what}"));
        wait_for_descriptors(&target.victim, before);
        bystander.report(what);
        expect_cpu(&target.victim, cpu_before, count, CONNECTION);
        // As many as the backlog has room for may come at a time.
        expect_memory(&target, 4096 * HALF_OPEN);
        // And nothing is left of them but room for as many.
        let heap = target.victim.heap().saturating_sub(heap_before);
        tell(format_args!("{} KiB of heap are left", heap >> 10));
        assert!(heap < 1 << 20, "{heap} bytes are left");
    }
}

#[test]
fn s8_whoever_leaves_before_being_accepted_is_no_harm() {
    let _alone = alone();
    const CROWD: usize = 200;
    // Its one thread accepts nobody while a handler is at work.
    let mut target = Target::new(Role::Server, "slow=50");
    let quiet = target.victim.listen("quiet=1 echo=1");
    let mut slow = target.peer();
    let bystander = Bystander::watch(quiet);
    let before = target.victim.descriptors();
    let address = SocketAddr::from(([127, 0, 0, 1], quiet));
    let rounds = scale(20, 300);
    for _ in 0..rounds {
        slow.send_frame(FIN | BINARY, b"work");
        for number in 0..CROWD {
            let stream = TcpStream::connect(address).unwrap();
            if number % 2 == 0 {
                reset(&stream);
            }
        }
        // The next one is served when all of them have been accepted.
        drop(plain(quiet));
    }
    let came = rounds * CROWD;
    tell(format_args!("{came} left at once"));
    wait_for_descriptors(&target.victim, before);
    bystander.report("left before being accepted");
    expect_cpu(&target.victim, Duration::ZERO, came, CONNECTION);
    expect_memory(&target, CROWD * HALF_OPEN);
}

/// What comes after the other without end on an established connection, of which nothing is read.
fn endless(what: &str, offer: &str, settings: &str, frames: &[u8], mebibytes: usize) {
    let settings = format!("quiet=1 {settings}");
    let mut target = Target::new(Role::Server, &settings);
    let quiet = target.victim.listen("quiet=1 echo=1");
    let bystander = Bystander::watch(quiet);
    let bytes = masked(frames);
    let cpu_before = target.victim.usage().cpu;
    let (port, offer) = (target.port, offer.to_owned());
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let connections = flood(move |goes_on| {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        // A server that holds its peer back is no reason to wait.
        let patience = Duration::from_millis(500);
        stream.set_write_timeout(Some(patience)).unwrap();
        let (head, end) = REQUEST.split_at(REQUEST.len() - 2);
        let _ = stream.write_all(&[head, offer.as_bytes(), end].concat());
        while goes_on() && stream.write_all(&bytes).is_ok() {
            counted.fetch_add(bytes.len(), Ordering::Relaxed);
        }
    });
    let written = written.load(Ordering::Relaxed) >> 20;
    tell(format_args!(
        "{what}: {written} MiB on {connections} connections were taken"
    ));
    bystander.report(what);
    expect_cpu(&target.victim, cpu_before, written + connections, MEBIBYTE);
    let waiting = Delivery::of_tests().waiting() as usize;
    expect_memory(&target, (mebibytes + waiting) << 20);
    drop(plain(quiet));
}

#[test]
fn s7_pings_without_end_leave_time_for_others() {
    let _alone = alone();
    let pings = frame(FIN | PING, &[b'p'; 125]).repeat(2_000);
    endless("pings", "", "", &pings, 0);
}

#[test]
fn s7_tiny_fragments_without_end_leave_time_for_others() {
    let _alone = alone();
    let begin = frame(BINARY, b"");
    for (what, fragment) in [("empty fragments", &b""[..]), ("fragments of a byte", b"x")] {
        let fragments = frame(CONTINUATION, fragment).repeat(20_000);
        let frames = [&begin[..], &fragments, &frame(FIN, b"")].concat();
        endless(what, "", "max_message=1000000", &frames, 4);
    }
}

#[test]
fn s7_tiny_messages_without_end_leave_time_for_others() {
    let _alone = alone();
    let messages = frame(FIN | BINARY, b"x").repeat(20_000);
    endless("tiny messages", "", "", &messages, 0);
}

#[test]
fn s7_bombs_leave_time_for_others() {
    let _alone = alone();
    let mut deflate = Deflate::new(9, false, 15);
    let mut mebibyte = vec![0; 10_000];
    deflate
        .compress(&vec![0; 1 << 20], &mut mebibyte, DeflateFlush::SyncFlush)
        .unwrap();
    mebibyte.truncate(usize::try_from(deflate.total_out()).unwrap());
    let bomb = frame(FIN | RSV1 | BINARY, &mebibyte.repeat(512));
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    endless("bombs", offer, "max_message=1000000", &bomb, 16);
}

#[test]
fn s3_unmasked_frames_fail_before_anything_is_delivered() {
    let _alone = alone();
    let mut target = Target::new(Role::Server, "");
    for good in [Vec::new(), masked(&frame(FIN | BINARY, b"good"))] {
        for bad in [
            frame(FIN | BINARY, b"bad"),
            frame(BINARY, b""),
            frame(FIN | PING, b""),
            vec![FIN | BINARY, 0x7f],
        ] {
            let mut peer = target.peer();
            peer.send_raw(&[&good[..], &bad].concat());
            assert_eq!(peer.read_frame().close_code(), Some(1002));
            drop(peer);
            let received = target.victim.expect_failure(crate::abi::ERR_PROTOCOL, 1002);
            assert_eq!(received.messages, usize::from(!good.is_empty()));
        }
    }
    let unmasked = frame(FIN | BINARY, b"x");
    let quiet = target.victim.listen("quiet=1 echo=1");
    let bystander = Bystander::watch(quiet);
    let cpu_before = target.victim.usage().cpu;
    let count = flood(move |_| {
        let mut peer = plain(quiet);
        peer.send_raw(&unmasked);
        assert_eq!(peer.read_frame().close_code(), Some(1002));
    });
    tell(format_args!("{count} clients did not mask"));
    bystander.report("unmasked frames");
    expect_cpu(&target.victim, cpu_before, count, CONNECTION);
    expect_memory(&target, 0);
}
