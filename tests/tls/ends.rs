//! The library at one end, and rustls at the other.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustls::{ClientConfig, ServerConfig};

use crate::abi::{Client, ERR_TLS, Options, Runtime, Seen, functions};
use crate::support::tls::{
    Authority, ClientStream, Identity, LOCAL, ServerStream, VERSIONS, ask, client_config, serve,
    server_config, shake_hands,
};
use crate::support::wire::Peer;
use crate::support::{PATIENCE, REQUEST, RawServer, accepting_response, read_head};

/// A client that trusts this authority alone.
pub fn trusting(authority: &Authority) -> Options {
    Options::new().set_text(functions().options_set_tls_ca, authority.pem())
}

/// A server that is somebody.
pub fn being(identity: &Identity) -> Options {
    Options::new().with_identity(&identity.cert, &identity.key)
}

/// A TLS server for one connection at a time.
pub struct TlsServer {
    raw: RawServer,
    config: Arc<ServerConfig>,
}

impl TlsServer {
    pub fn new(identity: &Identity) -> Self {
        Self::with(server_config(identity, &VERSIONS))
    }

    pub fn with(config: ServerConfig) -> Self {
        Self {
            raw: RawServer::new(),
            config: Arc::new(config),
        }
    }

    pub fn port(&self) -> u16 {
        self.raw.address().port()
    }

    pub fn url(&self) -> String {
        self.url_at("localhost")
    }

    pub fn url_at(&self, host: &str) -> String {
        format!("wss://{host}:{}/", self.port())
    }

    /// The next connection, after the handshake.
    pub fn accept(&self) -> io::Result<ServerStream> {
        let mut stream = serve(self.raw.accept_stream(), Arc::clone(&self.config));
        shake_hands(&mut stream)?;
        Ok(stream)
    }

    /// The next connection, upgraded.
    pub fn upgrade(&self) -> Peer<ServerStream> {
        let mut stream = self.accept().unwrap();
        let request = read_head(&mut stream);
        let mut peer = Peer::over(stream, false);
        peer.send_raw(&accepting_response(&request));
        peer
    }

    /// Takes one connection on another thread, which ends when the client does.
    pub fn take_one(self) -> JoinHandle<io::Result<ServerStream>> {
        thread::spawn(move || {
            let mut stream = self.accept()?;
            // A client that refuses the server may say so after the server's handshake is over.
            read_until_blank_line(&mut stream)?;
            Ok(stream)
        })
    }
}

fn read_until_blank_line(stream: &mut ServerStream) -> io::Result<()> {
    use io::Read;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(())
}

/// An established connection of the library's client.
pub fn connected(
    server: &TlsServer,
    authority: &Authority,
) -> (Runtime, Client, Peer<ServerStream>) {
    connected_with(server, &trusting(authority))
}

pub fn connected_with(
    server: &TlsServer,
    options: &Options,
) -> (Runtime, Client, Peer<ServerStream>) {
    let runtime = Runtime::new();
    let client = runtime.connect(&server.url(), options);
    let peer = server.upgrade();
    assert_eq!(client.seen.next(), Seen::Open);
    (runtime, client, peer)
}

/// What a client of the library says of a server that it must not take. The server sees no
/// request.
#[track_caller]
pub fn refusal(server: TlsServer, host: &str, options: &Options) -> String {
    let runtime = Runtime::new();
    let client = runtime.connect(&server.url_at(host), options);
    let peer = server.take_one();
    let sentence = expect_refusal(&client);
    peer.join().unwrap().expect_err("no request");
    sentence
}

/// The sentence of a connection that TLS has ended before OPEN.
#[track_caller]
pub fn expect_refusal(client: &Client) -> String {
    let seen = client.seen.until_close();
    match seen.as_slice() {
        [
            Seen::Error {
                status: ERR_TLS,
                sentence,
            },
            close,
        ] if *close == Seen::died(1006) => sentence.clone(),
        seen => panic!("{seen:?}"),
    }
}

/// A client of the library opens a connection to such a server.
#[track_caller]
pub fn expect_open(server: &TlsServer, host: &str, options: &Options) -> Peer<ServerStream> {
    let runtime = Runtime::new();
    let client = runtime.connect(&server.url_at(host), options);
    let peer = server.upgrade();
    assert_eq!(client.seen.next(), Seen::Open);
    client.socket.release();
    peer
}

/// A plain connection to a port of this machine.
pub fn dial(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A client's connection to a server of the library, after the handshake.
pub fn secure(port: u16, config: impl Into<Arc<ClientConfig>>) -> io::Result<ClientStream> {
    let mut stream = ask(dial(port), config);
    shake_hands(&mut stream)?;
    Ok(stream)
}

/// The same, upgraded.
pub fn upgrade(port: u16, config: impl Into<Arc<ClientConfig>>) -> Peer<ClientStream> {
    let mut peer = Peer::over(secure(port, config).unwrap(), true);
    peer.send_raw(REQUEST);
    let head = read_head(&mut peer.stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

/// A server of the library for this machine, a client's settings that trust it.
pub struct Served {
    pub runtime: Runtime,
    pub port: u16,
    pub seen: crate::abi::Events,
    pub authority: Authority,
}

impl Served {
    pub fn new() -> Self {
        Self::with(|options, _| options)
    }

    /// With changed settings.
    pub fn with(change: impl FnOnce(Options, &Authority) -> Options) -> Self {
        let authority = Authority::new();
        let options = change(being(&authority.issue(LOCAL)), &authority);
        let runtime = Runtime::new();
        let (server, seen) = runtime.listen_at("wss://127.0.0.1:0/", &options, |_, _| {});
        Self {
            runtime,
            port: server.port,
            seen,
            authority,
        }
    }

    pub fn url(&self) -> String {
        format!("wss://localhost:{}/", self.port)
    }

    /// A client that trusts it.
    pub fn client_config(&self) -> ClientConfig {
        client_config(&self.authority, None, &VERSIONS)
    }
}
