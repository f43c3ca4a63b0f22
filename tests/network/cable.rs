//! What happens to a cable in the middle of a transfer. The server is in a network namespace of
//! its own, at the other end of it.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::Within;
use crate::abi::{
    self, ERR_BUFFER_FULL, ERR_IO, ERR_TIMEOUT, OK, Options, Runtime, Seen, functions,
};
use crate::namespace::{is_inside, run, try_run};
use crate::support::slowness;

/// In the process at the other end.
const VARIABLE: &str = "WSABI_TEST_OTHER_END";

const MAX_BUFFERED: u64 = 2 << 20;
/// How often a ping is sent, and how long it waits: long enough for an answer behind all that a busy
/// machine has to echo before.
const PING_INTERVAL_MS: u32 = 500;
const PONG_TIMEOUT_MS: u32 = 3_000;

/// The process at the other end, with a server at 10.8.8.2 that sends messages back.
struct OtherEnd {
    child: Child,
    _input: ChildStdin,
    port: u16,
}

impl OtherEnd {
    fn start() -> Self {
        let mut child = Command::new("unshare")
            .arg("-n")
            .arg(env::current_exe().unwrap())
            .args([
                "--exact",
                "cable::the_process_at_the_other_end",
                "--nocapture",
            ])
            .env(VARIABLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = |word: &str| {
            let line = lines.find(|line| line.as_ref().unwrap().contains(word));
            line.unwrap().unwrap()
        };
        told("> ready");
        run(&format!(
            "ip link add near type veth peer name far netns {}",
            child.id()
        ));
        run("ip addr add 10.8.8.1/24 dev near");
        run("ip link set near up");
        writeln!(input, "go").unwrap();
        let port = told("> port").rsplit_once(' ').unwrap().1.parse().unwrap();
        // The first packets on a new cable may be lost.
        drop(TcpStream::connect(("10.8.8.2", port)).unwrap());
        Self {
            child,
            _input: input,
            port,
        }
    }

    fn url(&self) -> String {
        format!("ws://10.8.8.2:{}/", self.port)
    }
}

impl Drop for OtherEnd {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: the process at the other end.
#[test]
fn the_process_at_the_other_end() {
    if env::var(VARIABLE).is_err() {
        return;
    }
    println!("> ready");
    let mut lines = std::io::stdin().lines();
    assert_eq!(lines.next().unwrap().unwrap(), "go");
    for command in [
        "ip link set lo up",
        "ip addr add 10.8.8.2/24 dev far",
        "ip link set far up",
    ] {
        run(command);
    }
    let runtime = Runtime::new();
    let (server, _seen) = runtime.listen_at("ws://10.8.8.2:0/", &Options::new(), |socket, seen| {
        if let Seen::Message { data, .. } = seen {
            // What the cable does not carry is lost.
            let _ = socket.send_binary(data);
        }
    });
    println!("> port {}", server.port);
    // Until the test is over.
    assert!(lines.next().is_none());
}

fn options() -> Options {
    Options::new()
        .set(functions().options_set_ping_interval_ms, PING_INTERVAL_MS)
        .set(
            functions().options_set_pong_timeout_ms,
            PONG_TIMEOUT_MS * slowness(),
        )
        .set(functions().options_set_compression, 0)
        .set(functions().options_set_max_buffered, MAX_BUFFERED)
}

/// Within this, and whatever a busy machine adds: the system itself takes a quarter of an hour.
fn in_time(milliseconds: u32) -> Within {
    Within::ms(u64::from((milliseconds + 10_000) * slowness()))
}

/// The highest amount of memory that this process had, in KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_cable_that_is_pulled_while_nobody_sends_is_noticed_by_the_ping() {
    if !is_inside("cable::a_cable_that_is_pulled_while_nobody_sends_is_noticed_by_the_ping") {
        return;
    }
    let (runtime, other) = (Runtime::new(), OtherEnd::start());
    let client = runtime.connect(&other.url(), &options());
    assert_eq!(client.seen.next(), Seen::Open);
    run("ip link set near down");
    let time = in_time(PING_INTERVAL_MS + PONG_TIMEOUT_MS);
    let failure = loop {
        match client.seen.next() {
            Seen::Pong(_) => {}
            seen => break seen,
        }
    };
    assert_eq!(failure.status(), Some(ERR_TIMEOUT), "{failure:?}");
    assert_eq!(client.seen.next(), Seen::died(1006));
    time.check();
}

#[test]
fn a_cable_that_is_pulled_in_a_transfer_ends_it_in_time_and_memory_is_bounded() {
    if !is_inside(
        "cable::a_cable_that_is_pulled_in_a_transfer_ends_it_in_time_and_memory_is_bounded",
    ) {
        return;
    }
    let (runtime, other) = (Runtime::new(), OtherEnd::start());
    let client = runtime.connect(&other.url(), &options());
    assert_eq!(client.seen.next(), Seen::Open);
    let message = vec![b'c'; 10_000];
    let mut echoed = 0;
    while echoed < 500 {
        let status = client.socket.send_binary(&message);
        assert!([OK, ERR_BUFFER_FULL].contains(&status), "{status}");
        let mut news = client.seen.so_far();
        if status == ERR_BUFFER_FULL && news.is_empty() {
            // DRAIN at the latest. Without a rest, all others would wait for this thread.
            news.push(client.seen.next());
        }
        for seen in news {
            match seen {
                Seen::Message { .. } => echoed += 1,
                Seen::Drain | Seen::Pong(_) => {}
                seen => panic!("{seen:?} after {echoed} messages"),
            }
        }
    }
    let before = memory();
    run("ip link set near down");
    let time = in_time(PING_INTERVAL_MS + PONG_TIMEOUT_MS);
    // The application goes on all the same.
    let end = loop {
        let status = client.socket.send_binary(&message);
        assert!(
            [OK, ERR_BUFFER_FULL, abi::ERR_CLOSED].contains(&status),
            "{status}"
        );
        assert!(client.socket.buffered_amount() <= MAX_BUFFERED as i64);
        let last = client
            .seen
            .so_far()
            .into_iter()
            .rfind(|it| matches!(it, Seen::Close(_)));
        if let Some(close) = last {
            break close;
        }
        time.check();
    };
    assert_eq!(end, Seen::died(1006));
    // The system's figure is not exact.
    let grown = memory().saturating_sub(before);
    let most = (8 << 10) + (MAX_BUFFERED >> 10);
    assert!(grown < most * u64::from(slowness()), "{grown} KiB");
}

#[test]
fn a_cable_that_is_pulled_while_a_socket_closes_does_not_hold_it() {
    if !is_inside("cable::a_cable_that_is_pulled_while_a_socket_closes_does_not_hold_it") {
        return;
    }
    let (runtime, other) = (Runtime::new(), OtherEnd::start());
    let options = options()
        .set(functions().options_set_ping_interval_ms, 0)
        .set(functions().options_set_close_timeout_ms, 300);
    let client = runtime.connect(&other.url(), &options);
    assert_eq!(client.seen.next(), Seen::Open);
    run("ip link set near down");
    let time = in_time(300);
    assert_eq!(client.socket.close(1000, ""), OK);
    let (status, close) = client.seen.expect_failure();
    assert_eq!((status, close.code), (ERR_TIMEOUT, 1006));
    time.check();
}

#[test]
fn a_cable_that_is_plugged_in_again_brings_the_connection_back() {
    if !is_inside("cable::a_cable_that_is_plugged_in_again_brings_the_connection_back") {
        return;
    }
    let (runtime, other) = (Runtime::new(), OtherEnd::start());
    let options = options()
        .set(functions().options_set_connect_timeout_ms, 300)
        .reconnecting(10, 50, 0);
    let client = runtime.connect(&other.url(), &options);
    assert_eq!(client.seen.next(), Seen::Open);
    run("ip link set near down");
    let mut lost = 0;
    loop {
        match client.seen.next() {
            Seen::Reconnect { .. } if lost == 2 => run("ip link set near up"),
            Seen::Reconnect { .. } => {}
            Seen::Open => break,
            seen => {
                assert!(matches!(seen, Seen::Pong(_)), "{seen:?}");
                continue;
            }
        }
        lost += 1;
    }
    assert_eq!(client.socket.send_binary(b"again"), OK);
    loop {
        match client.seen.next() {
            Seen::Pong(_) => {}
            seen => break assert_eq!(seen, Seen::binary("again")),
        }
    }
}

#[test]
fn a_connection_that_the_system_kills_is_lost_at_once() {
    if !is_inside("cable::a_connection_that_the_system_kills_is_lost_at_once") {
        return;
    }
    let (runtime, other) = (Runtime::new(), OtherEnd::start());
    let client = runtime.connect(&other.url(), &options());
    assert_eq!(client.seen.next(), Seen::Open);
    let kill = Command::new("ss").args(["-K", "dst", "10.8.8.2"]).output();
    if !kill.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("10.8.8.2")) {
        println!("skipped: this system kills no sockets (ss -K)");
        return;
    }
    let time = in_time(PING_INTERVAL_MS + PONG_TIMEOUT_MS);
    let failure = loop {
        match client.seen.next() {
            Seen::Pong(_) => {}
            seen => break seen,
        }
    };
    assert_eq!(failure.status(), Some(ERR_IO), "{failure:?}");
    assert_eq!(client.seen.next(), Seen::died(1006));
    time.check();
}

/// Messages of many sizes go there and back, in both directions at the same time.
fn expect_same_data(other: &OtherEnd) {
    let runtime = Runtime::new();
    let options = Options::new().set(functions().options_set_compression, 0);
    let client = runtime.connect(&other.url(), &options);
    assert_eq!(client.seen.next(), Seen::Open);
    let message =
        |n: usize| -> Vec<u8> { (0..n * n * 37).map(|at| ((at * n) >> 3) as u8).collect() };
    for n in 0..60 {
        assert_eq!(client.socket.send_binary(&message(n)), OK);
    }
    for n in 0..60 {
        loop {
            match client.seen.next() {
                Seen::Pong(_) | Seen::Drain => {}
                seen => break assert!(seen == Seen::binary(message(n)), "message {n}"),
            }
        }
    }
    assert_eq!(client.socket.close(1000, ""), OK);
    assert_eq!(
        client.seen.until_close().last(),
        Some(&Seen::clean(1000, ""))
    );
}

#[test]
fn small_packets_carry_the_same_data() {
    if !is_inside("cable::small_packets_carry_the_same_data") {
        return;
    }
    let other = OtherEnd::start();
    run("ip link set near mtu 576");
    expect_same_data(&other);
}

#[test]
fn a_bad_cable_carries_the_same_data() {
    if !is_inside("cable::a_bad_cable_carries_the_same_data") {
        return;
    }
    let other = OtherEnd::start();
    for fault in ["loss 1%", "loss 5% delay 5ms 3ms", "rate 8mbit delay 20ms"] {
        if !try_run(&format!("tc qdisc replace dev near root netem {fault}")) {
            println!("skipped: this system has no netem for {fault}");
            return;
        }
        expect_same_data(&other);
    }
}
