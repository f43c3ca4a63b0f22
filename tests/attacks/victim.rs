//! The library in a process of its own, which is attacked while its memory and its time are
//! measured from outside. The process is this test program, run again.
//!
//! It reads commands, `connect URL SETTINGS`, `listen SETTINGS` and `heap`, and reports what happens
//! in lines that begin with `>`. It ends when its input does.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::abi::{self, Options, Runtime, Seen, Server, Socket};
use crate::support::PATIENCE;
use crate::words;

/// Set in the process that is to be attacked.
const VARIABLE: &str = "WSABI_VICTIM";

/// What the process reports of one of its sockets.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    Open,
    /// A status.
    Error(i32),
    Close {
        code: i32,
        was_clean: bool,
        received: Received,
    },
    /// The application has sent so many messages, then one was refused with a status.
    Flooded(usize, i32),
}

/// All messages that were delivered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Received {
    pub messages: usize,
    pub bytes: usize,
    pub hash: u64,
}

impl Received {
    pub fn of<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut tally = Tally::default();
        for message in messages {
            tally.take(message);
        }
        tally.received()
    }
}

#[derive(Clone, Default)]
struct Tally {
    messages: usize,
    bytes: usize,
    hasher: DefaultHasher,
}

impl Tally {
    fn take(&mut self, message: &[u8]) {
        self.messages += 1;
        self.bytes += message.len();
        self.hasher.write(message);
        self.hasher.write_usize(message.len());
    }

    fn received(&self) -> Received {
        Received {
            messages: self.messages,
            bytes: self.bytes,
            hash: self.hasher.finish(),
        }
    }
}

/// The process, from outside. It is killed when this is dropped.
pub struct Victim {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    before: Usage,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub at: Instant,
    /// At its highest, in KiB.
    pub memory: u64,
    pub address_space: u64,
    pub cpu: Duration,
}

impl Victim {
    pub fn start() -> Self {
        Self::start_with(VARIABLE, "1")
    }

    /// With a variable in its environment.
    pub fn start_with(name: &str, value: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_attacked"])
            .env(VARIABLE, "1")
            .env(name, value)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix("> ") {
                    // The test may have seen enough.
                    let _ = sender.send(line.to_owned());
                }
            }
        });
        let mut victim = Self {
            input: child.stdin.take().unwrap(),
            before: Usage::of(child.id()),
            child,
            lines,
        };
        assert_eq!(victim.line(), "ready");
        victim.before = Usage::of(victim.child.id());
        victim
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn connect(&mut self, url: &str, settings: &str) {
        writeln!(self.input, "connect {url} {settings}").unwrap();
    }

    /// Has it open a server; returns the port.
    pub fn listen(&mut self, settings: &str) -> u16 {
        writeln!(self.input, "listen {settings}").unwrap();
        let line = self.line();
        line.strip_prefix("port ").unwrap().parse().unwrap()
    }

    /// How many bytes of heap it uses, as far as its allocator tells.
    pub fn heap(&mut self) -> u64 {
        writeln!(self.input, "heap").unwrap();
        let line = self.line();
        line.strip_prefix("heap ").unwrap().parse().unwrap()
    }

    /// How many bytes of its memory no other process shares.
    pub fn private_memory(&self) -> u64 {
        let rollup = format!("/proc/{}/smaps_rollup", self.child.id());
        let rollup = fs::read_to_string(rollup).unwrap();
        let lines = rollup
            .lines()
            .filter_map(|line| line.strip_prefix("Private_"));
        let kibibytes = |line: &str| line.split_whitespace().nth(1).unwrap().parse::<u64>();
        lines.map(|line| kibibytes(line).unwrap() << 10).sum()
    }

    /// How many descriptors it has.
    pub fn descriptors(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(directory).unwrap().count()
    }

    /// The next report, and the number of the socket, counted from 0.
    #[track_caller]
    pub fn report(&self) -> (usize, Report) {
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        let report = match words[1] {
            "open" => Report::Open,
            "error" => Report::Error(number(2) as i32),
            "flooded" => Report::Flooded(number(2) as usize, number(3) as i32),
            "close" => Report::Close {
                code: number(2) as i32,
                was_clean: number(3) == 1,
                received: Received {
                    messages: number(4) as usize,
                    bytes: number(5) as usize,
                    hash: words[6].parse().unwrap(),
                },
            },
            _ => panic!("{line}"),
        };
        (words[0].parse().unwrap(), report)
    }

    #[track_caller]
    pub fn expect(&self, expected: &Report) {
        assert_eq!(self.report().1, *expected);
    }

    /// The next report is a failure with this status, and then CLOSE with this code. Returns what
    /// was delivered before.
    #[track_caller]
    pub fn expect_failure(&self, status: i32, code: i32) -> Received {
        let (_, error) = self.report();
        assert_eq!(error, Report::Error(status), "then {:?}", self.report().1);
        let (_, close) = self.report();
        match close {
            Report::Close {
                code: its,
                was_clean: false,
                received,
            } if its == code => received,
            _ => panic!("{close:?} instead of {code}"),
        }
    }

    /// The next report is CLOSE, agreed on by both sides. Returns what was delivered before.
    #[track_caller]
    pub fn expect_clean(&self, code: i32) -> Received {
        let (_, close) = self.report();
        match close {
            Report::Close {
                code: its,
                was_clean: true,
                received,
            } if its == code => received,
            _ => panic!("{close:?} instead of {code}"),
        }
    }

    /// What it has used since it was ready.
    pub fn usage(&self) -> Usage {
        let now = Usage::of(self.child.id());
        Usage {
            at: self.before.at,
            memory: now.memory.saturating_sub(self.before.memory),
            address_space: now.address_space.saturating_sub(self.before.address_space),
            cpu: now.cpu.saturating_sub(self.before.cpu),
        }
    }

    /// Fails if it has used more than 8 MiB of memory and this many, or more time than a second
    /// and a tenth of what has passed.
    #[track_caller]
    pub fn expect_bounded(&self, mebibytes: u64) {
        let most = Duration::from_secs(1) + self.before.at.elapsed() / 10;
        self.expect_within(8 + mebibytes, most);
    }

    #[track_caller]
    pub fn expect_within(&self, mebibytes: u64, cpu: Duration) {
        self.expect_memory(mebibytes);
        let usage = self.usage();
        assert!(usage.cpu <= cpu, "{usage:?}, not {cpu:?}");
    }

    #[track_caller]
    pub fn expect_memory(&self, mebibytes: u64) {
        let usage = self.usage();
        println!("used {} KiB and {:?}", usage.memory, usage.cpu);
        assert!(
            usage.memory <= mebibytes << 10,
            "{usage:?}, not {mebibytes} MiB"
        );
    }

    #[track_caller]
    fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("a report within the test's patience")
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Usage {
    fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let words = line.unwrap().trim_start_matches(':').split_whitespace();
            words.into_iter().next().unwrap().parse().unwrap()
        };
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // Behind the name, which may have spaces: field 3, the state, and so on.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().unwrap())
            .sum();
        Self {
            at: Instant::now(),
            memory: field("VmHWM"),
            address_space: field("VmPeak"),
            cpu: Duration::from_millis(ticks * 10),
        }
    }
}

/// What the process does, if this is it.
pub fn run_if_told() {
    if env::var_os(VARIABLE).is_none() {
        return;
    }
    abi::die_of_broken_pipes();
    let (burster, sockets) = channel();
    // Not by a thread that a handler starts: it would block signals, as the library's do.
    thread::spawn(move || {
        for (socket, size) in sockets {
            burst(socket, size);
        }
    });
    let runtime = Runtime::new();
    warm_up(&runtime);
    // Clients with the same settings share their options, as those of a program do.
    let mut clients = HashMap::new();
    say("ready");
    for line in io::stdin().lines().map_while(Result::ok) {
        let mut words = line.split(' ');
        let command = words.next().unwrap();
        let mut reporter = Reporter::new(burster.clone());
        match command {
            "connect" => {
                let url = words.next().unwrap().to_owned();
                let settings = words.collect::<Vec<_>>().join(" ");
                let (options, behaviour) = clients
                    .entry(settings)
                    .or_insert_with_key(|it| words::settings(it.split(' ')));
                reporter.behaviour = behaviour.clone();
                let hook = move |socket, seen: &Seen| reporter.look(socket, seen);
                let (socket, _) = runtime.try_connect(url.as_bytes(), options, hook);
                assert!(socket.is_ok(), "{}", abi::last_error());
            }
            "listen" => {
                let (options, behaviour) = words::settings(words);
                reporter.behaviour = behaviour;
                let url = match line.contains(" identity=") {
                    true => "wss://127.0.0.1:0/",
                    false => "ws://127.0.0.1:0/",
                };
                let itself = Arc::clone(&reporter.server);
                let hook = move |socket, seen: &Seen| reporter.look(socket, seen);
                let (server, _) = runtime.listen_at(url, &options, hook);
                itself.set(server).ok().unwrap();
                say(&format!("port {}", server.port));
            }
            "heap" => say(&format!("heap {}", abi::heap())),
            _ => panic!("{line}"),
        }
    }
}

/// Loads the code that every connection needs, so that it does not count.
fn warm_up(runtime: &Runtime) {
    let (server, _seen) = runtime.listen_with(&Options::new(), |socket, seen| {
        if let Seen::Message { data, .. } = seen {
            socket.send_binary(data);
        }
    });
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let client = runtime.connect(&url, &Options::new());
    assert_eq!(client.seen.next(), Seen::Open);
    for size in [10, 5_000, 100_000] {
        assert_eq!(client.socket.send_binary(&vec![b'w'; size]), abi::OK);
        client.seen.next();
    }
    assert_eq!(client.socket.close(1000, ""), abi::OK);
    client.seen.until_close();
    client.socket.release();
    server.close();
}

/// Counts messages, reports the rest, and behaves as the application is told to:
/// `echo=1` sends messages back, `slow=MS` takes its time for each, `flood=BYTES` sends messages of
/// that size at OPEN until one is refused, `burst=BYTES` has another thread send such messages until
/// the end, `close=CODE` closes at OPEN, `quiet=1` keeps all to itself. With it, `publish=1` has
/// everybody get what anybody sends. `ask=1` is asked about requests, and never answers.
struct Reporter {
    behaviour: HashMap<String, u32>,
    /// What the sockets come from, unless they are a client's.
    server: Arc<OnceLock<Server>>,
    sockets: HashMap<Socket, Tally>,
    burster: Sender<(Socket, usize)>,
}

impl Reporter {
    fn new(burster: Sender<(Socket, usize)>) -> Self {
        Self {
            behaviour: HashMap::new(),
            server: Arc::default(),
            sockets: HashMap::new(),
            burster,
        }
    }

    fn look(&mut self, socket: Socket, seen: &Seen) {
        let told = |name: &str| self.behaviour.get(name).copied();
        if told("quiet").is_some() {
            self.act_quietly(socket, seen);
            return;
        }
        let number = number_of(socket);
        let tally = self.sockets.entry(socket).or_default();
        match seen {
            Seen::Open => {
                say(&format!("{number} open"));
                if let Some(size) = told("flood") {
                    let (count, status) = flood(socket, size as usize);
                    say(&format!("{number} flooded {count} {status}"));
                }
                if let Some(size) = told("burst") {
                    self.burster.send((socket, size as usize)).unwrap();
                }
                if let Some(code) = told("close") {
                    socket.close(code as i32, "");
                }
            }
            Seen::Message { data, .. } => {
                tally.take(data);
                if told("echo").is_some() {
                    socket.send_binary(data);
                }
                if let Some(ms) = told("slow") {
                    thread::sleep(Duration::from_millis(ms.into()));
                }
            }
            Seen::Error { status, .. } => say(&format!("{number} error {status}")),
            Seen::Close(close) => {
                let Received {
                    messages,
                    bytes,
                    hash,
                } = tally.received();
                let (code, clean) = (close.code, i32::from(close.was_clean));
                say(&format!(
                    "{number} close {code} {clean} {messages} {bytes} {hash}"
                ));
                self.sockets.remove(&socket);
            }
            Seen::Ping(_)
            | Seen::Pong(_)
            | Seen::Drain
            | Seen::Reconnect { .. }
            | Seen::Request(_)
            | Seen::Released => {}
        }
    }
}

impl Reporter {
    /// Does what it is told to and says nothing, nor counts: there may be too many.
    fn act_quietly(&self, socket: Socket, seen: &Seen) {
        let told = |name: &str| self.behaviour.get(name).copied();
        match seen {
            Seen::Open => {
                if told("publish").is_some() {
                    abi::expect_ok(socket.subscribe(TOPIC));
                }
                if let Some(size) = told("flood") {
                    flood(socket, size as usize);
                }
                if let Some(code) = told("close") {
                    socket.close(code as i32, "");
                }
            }
            Seen::Message { data, .. } if told("echo").is_some() => {
                socket.send_binary(data);
            }
            Seen::Message { data, .. } if told("publish").is_some() => {
                let server = self.server.wait();
                assert!(server.publish(TOPIC, abi::BINARY, data) >= 0);
            }
            _ => {}
        }
    }
}

const TOPIC: &str = "topic";

/// Sends until the connection has ended.
fn burst(socket: Socket, size: usize) {
    let message = vec![b'b'; size];
    while matches!(socket.send_binary(&message), abi::OK | abi::ERR_BUFFER_FULL) {}
}

fn flood(socket: Socket, size: usize) -> (usize, i32) {
    let message = vec![b'f'; size];
    let mut count = 0;
    loop {
        match socket.send_binary(&message) {
            abi::OK => count += 1,
            status => return (count, status),
        }
    }
}

/// Counts the sockets in the order in which they are first seen.
fn number_of(socket: Socket) -> usize {
    use std::sync::Mutex;
    static SEEN: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
    let mut seen = SEEN.lock().unwrap();
    seen.iter().position(|it| *it == socket).unwrap_or_else(|| {
        seen.push(socket);
        seen.len() - 1
    })
}

/// Past the test harness, which would keep what is printed.
fn say(line: &str) {
    let mut output = io::stdout().lock();
    // Nobody listens any more when the test is over.
    let _ = writeln!(output, "> {line}").and_then(|()| output.flush());
}
