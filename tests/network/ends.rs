//! The application ends a socket on its way, in every phase and by every means: at once, with
//! exactly one CLOSE, and with `user_data` given back.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::abi::{
    Client, ERR_ABORTED, ERR_CONNECT, ERR_TIMEOUT, OK, Options, Runtime, Seen, differs, functions,
};
use crate::support::{Nobody, RawServer, read_head};
use crate::tls::{Identity, authority};
use crate::{TARGET, Within, expect_end, expect_failure, expect_in, proxy_url, through};

/// Where on its way a socket is held.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The address does not answer.
    Connecting,
    /// Nor does that of the proxy.
    ConnectingToProxy,
    SecuringProxy,
    Tunneling,
    TunnelingInTls,
    TunnelingBySocks,
    SecuringServer,
    Asking,
    /// A refusal is being read.
    Refused,
    /// Behind a redirect.
    Redirected,
    /// For the next attempt.
    Waiting,
}

const PHASES: [Phase; 11] = [
    Phase::Connecting,
    Phase::ConnectingToProxy,
    Phase::SecuringProxy,
    Phase::Tunneling,
    Phase::TunnelingInTls,
    Phase::TunnelingBySocks,
    Phase::SecuringServer,
    Phase::Asking,
    Phase::Refused,
    Phase::Redirected,
    Phase::Waiting,
];

/// Who holds it there.
enum Holder {
    None,
    Stream(TcpStream),
}

/// A socket that is held in a phase.
struct Held {
    client: Client,
    holder: Holder,
    _black_hole: Option<BlackHole>,
    _nobody: Option<Nobody>,
}

/// An address to which connections are neither made nor refused: its queue is full.
pub struct BlackHole {
    listener: socket2::Socket,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    pub fn new() -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let listener = socket.unwrap();
        listener
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let limit = std::time::Duration::from_millis(200);
        let queue = std::iter::from_fn(|| TcpStream::connect_timeout(&address, limit).ok());
        let queue = queue.collect();
        Self {
            listener,
            _queue: queue,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap().as_socket().unwrap()
    }
}

impl Held {
    fn new(runtime: &Runtime, phase: Phase) -> Self {
        let peer = RawServer::new();
        let connect = |url: &str, options: Options| {
            let options = options
                .set_text(functions().options_set_tls_ca, authority())
                .set(functions().options_set_max_redirects, 3)
                .reconnecting(60_000, 60_000, 0);
            runtime.connect(url, &options)
        };
        let by = |before: &str| through(&proxy_url(before, &peer));
        let hold = |client: Client, stream: TcpStream| Self {
            client,
            holder: Holder::Stream(stream),
            _black_hole: None,
            _nobody: None,
        };
        match phase {
            Phase::Connecting | Phase::ConnectingToProxy => {
                let hole = BlackHole::new();
                let address = hole.address();
                let client = if matches!(phase, Phase::Connecting) {
                    connect(&format!("ws://{address}/"), Options::new())
                } else {
                    connect(TARGET, through(&address.to_string()))
                };
                let mut held = Self::alone(client);
                held._black_hole = Some(hole);
                held
            }
            Phase::SecuringProxy => {
                let client = connect(TARGET, by("https://"));
                hold(client, peer.accept_stream())
            }
            Phase::Tunneling => {
                let client = connect(TARGET, by("http://"));
                let mut stream = peer.accept_stream();
                read_head(&mut stream);
                stream.write_all(b"HTTP/1.1 2").unwrap();
                hold(client, stream)
            }
            Phase::TunnelingInTls => {
                let client = connect(TARGET, by("https://"));
                let mut stream = Identity::of("127.0.0.1").secure(peer.accept_stream());
                read_head(&mut stream);
                stream.write_all(b"HTTP/1.1 2").unwrap();
                hold(client, stream.sock)
            }
            Phase::TunnelingBySocks => {
                let client = connect(TARGET, by("socks5h://"));
                let mut stream = peer.accept_stream();
                stream.write_all(&[5, 0, 5]).unwrap();
                hold(client, stream)
            }
            Phase::SecuringServer => {
                let client = connect("wss://target.invalid/", by(""));
                let mut stream = peer.accept_stream();
                read_head(&mut stream);
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                hold(client, stream)
            }
            Phase::Asking => {
                let client = connect(&peer.url(), Options::new());
                let (stream, _) = peer.accept();
                hold(client, stream)
            }
            Phase::Refused => {
                let client = connect(&peer.url(), Options::new());
                let (mut stream, _) = peer.accept();
                stream
                    .write_all(b"HTTP/1.1 503 x\r\nContent-Length: 9\r\n\r\nbe")
                    .unwrap();
                hold(client, stream)
            }
            Phase::Redirected => {
                let client = connect(&peer.url(), Options::new());
                let (mut stream, _) = peer.accept();
                stream
                    .write_all(b"HTTP/1.1 307 x\r\nLocation: /on\r\n\r\n")
                    .unwrap();
                let (stream, _) = peer.accept();
                hold(client, stream)
            }
            Phase::Waiting => {
                let nobody = Nobody::new();
                let client = connect(&nobody.url(), Options::new());
                assert_eq!(client.seen.next().status(), Some(ERR_CONNECT));
                let mut held = Self::alone(client);
                held._nobody = Some(nobody);
                held
            }
        }
    }

    fn alone(client: Client) -> Self {
        Self {
            client,
            holder: Holder::None,
            _black_hole: None,
            _nobody: None,
        }
    }

    /// The connection is gone, too, on the other side.
    fn expect_gone(mut self) {
        if let Holder::Stream(stream) = &mut self.holder {
            expect_end(stream);
        }
    }
}

/// Ends a socket in every phase.
fn in_every_phase(end: impl Fn(&Runtime, &Client)) {
    for phase in PHASES {
        println!("{phase:?}");
        let runtime = Runtime::new();
        let held = Held::new(&runtime, phase);
        let time = Within::ms(2_000);
        end(&runtime, &held.client);
        held.expect_gone();
        time.check();
    }
}

/// It was dropped by the application: ERROR, CLOSE, and nothing else but the user_data.
fn expect_aborted(client: &Client) {
    expect_failure(client, ERR_ABORTED);
    assert_eq!(client.socket.ready_state(), crate::abi::CLOSED);
    client.socket.release();
    assert_eq!(client.seen.next(), Seen::Released);
}

#[test]
fn close_gives_up_in_every_phase() {
    in_every_phase(|_, client| {
        assert_eq!(client.socket.close(1000, "bye"), OK);
        assert_eq!(client.socket.close(1000, "bye"), OK);
        expect_aborted(client);
    });
}

#[test]
fn abort_gives_up_in_every_phase() {
    in_every_phase(|_, client| {
        assert_eq!(client.socket.abort(), OK);
        expect_aborted(client);
    });
}

#[test]
fn release_gives_up_in_every_phase_and_nothing_is_said() {
    in_every_phase(|_, client| {
        assert_eq!(client.socket.release(), OK);
        assert_eq!(client.seen.next(), Seen::Released);
        assert_eq!(client.seen.so_far(), []);
    });
}

#[test]
fn the_end_of_the_runtime_gives_up_in_every_phase() {
    if differs("the sockets of a runtime that is freed end without events") {
        return;
    }
    in_every_phase(|runtime, client| {
        assert_eq!(runtime.free(), OK);
        expect_failure(client, ERR_ABORTED);
        assert_eq!(client.seen.next(), Seen::Released);
    });
}

#[test]
fn shutdown_gives_up_in_every_phase() {
    in_every_phase(|runtime, client| {
        assert_eq!(runtime.shutdown(10_000), OK);
        expect_aborted(client);
    });
}

#[test]
fn a_handler_of_reconnect_can_end_the_socket_by_every_means() {
    for means in ["close", "abort", "release"] {
        let runtime = Runtime::new();
        let nobody = Nobody::new();
        let options = Options::new().reconnecting(1, 1, 0);
        let client = runtime.connect_with(&nobody.url(), &options, move |socket, seen| {
            if matches!(seen, Seen::Reconnect { .. }) {
                let status = match means {
                    "close" => socket.close(1000, ""),
                    "abort" => socket.abort(),
                    _ => socket.release(),
                };
                assert_eq!(status, OK);
            }
        });
        assert!(matches!(client.seen.next(), Seen::Reconnect { .. }));
        if means != "release" {
            expect_failure(&client, ERR_ABORTED);
            client.socket.release();
        }
        assert_eq!(client.seen.next(), Seen::Released, "{means}");
        assert_eq!(client.seen.so_far(), []);
    }
}

#[test]
fn an_address_that_does_not_answer_costs_the_connect_timeout_and_no_more() {
    let runtime = Runtime::new();
    let hole = BlackHole::new();
    let address = hole.address();
    for (url, options) in [
        (format!("ws://{address}/"), Options::new()),
        (TARGET.to_owned(), through(&address.to_string())),
        (TARGET.to_owned(), through(&format!("socks5h://{address}"))),
    ] {
        let options = options.set(functions().options_set_connect_timeout_ms, 300);
        let time = Within::ms(800);
        let client = runtime.connect(&url, &options);
        let sentence = expect_failure(&client, ERR_TIMEOUT);
        expect_in(&sentence, &["300 ms", "while the address did not answer"]);
        time.check();
    }
}
