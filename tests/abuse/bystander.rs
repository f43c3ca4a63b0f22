//! An honest client, which is served while others abuse the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::support::tls::ask;
use crate::support::wire::{BINARY, FIN, Peer};
use crate::support::{PATIENCE, REQUEST, read_head, slowness, tell};

/// A thread that talks to a server which echoes: on one connection that was there before, and on
/// new ones, unless there can be none.
pub struct Bystander {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<[Vec<Duration>; 2]>,
}

/// So that it is no flood itself.
const PACE: Duration = Duration::from_millis(2);
/// Every so many messages somebody new comes.
const MESSAGES_PER_NEWCOMER: usize = 10;

impl Bystander {
    pub fn watch(port: u16) -> Self {
        Self::start(move || plain(port), true)
    }

    /// One that cannot expect a further connection.
    pub fn watch_without_newcomers(port: u16) -> Self {
        Self::start(move || plain(port), false)
    }

    pub fn watch_secure(port: u16, config: Arc<ClientConfig>) -> Self {
        Self::start(move || upgrade(ask(dial(port), Arc::clone(&config))), true)
    }

    fn start<S: Read + Write + Send + 'static>(
        connect: impl Fn() -> Peer<S> + Send + 'static,
        has_newcomers: bool,
    ) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let sees_end = Arc::clone(&is_over);
        let mut peer = connect();
        echo(&mut peer);
        let thread = thread::spawn(move || {
            let [mut messages, mut newcomers] = [const { Vec::new() }; 2];
            while !sees_end.load(Ordering::Relaxed) {
                messages.push(echo(&mut peer));
                if has_newcomers && messages.len().is_multiple_of(MESSAGES_PER_NEWCOMER) {
                    let begin = Instant::now();
                    echo(&mut connect());
                    newcomers.push(begin.elapsed());
                }
                thread::park_timeout(PACE);
            }
            [messages, newcomers]
        });
        Self { is_over, thread }
    }

    /// Tells how it was served meanwhile, and fails if it was not, or late.
    #[track_caller]
    pub fn report(self, meanwhile: &str) {
        self.is_over.store(true, Ordering::Relaxed);
        let [messages, newcomers] = self.thread.join().expect("it is served");
        expect_service(&format!("{meanwhile}: echoes"), messages);
        if !newcomers.is_empty() {
            expect_service(&format!("{meanwhile}: newcomers"), newcomers);
        }
    }
}

/// A connection on which nothing has been said.
pub fn dial(port: u16) -> TcpStream {
    let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A client on an established connection.
pub fn plain(port: u16) -> Peer {
    upgrade(dial(port))
}

fn upgrade<S: Read + Write>(stream: S) -> Peer<S> {
    let mut peer = Peer::over(stream, true);
    peer.send_raw(REQUEST);
    let head = read_head(&mut peer.stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

/// How long a message takes there and back.
fn echo<S: Read + Write>(peer: &mut Peer<S>) -> Duration {
    let begin = Instant::now();
    peer.send_frame(FIN | BINARY, b"honest");
    assert_eq!(peer.read_frame().payload, b"honest");
    begin.elapsed()
}

/// Tells how long somebody honest had to wait for each of these, and fails if that is no service.
/// The bounds are those of a person who waits, and of a machine that has other work.
#[track_caller]
pub fn expect_service(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let (count, median, most, last) = (times.len(), at(50), at(99), at(100));
    tell(format_args!(
        "{what}: {count} in {median:.1?} (median), {most:.1?} (99 %), {last:.1?} (longest)"
    ));
    // What is not optimised takes several times as long.
    let slowness = slowness() * if cfg!(debug_assertions) { 4 } else { 1 };
    assert!(median < MEDIAN * slowness, "{median:?}");
    assert!(most < MOST * slowness, "{most:?}");
}

/// Half of the waits have to be shorter than this,
const MEDIAN: Duration = Duration::from_millis(250);
/// and 99 of 100 than this.
const MOST: Duration = Duration::from_secs(2);
