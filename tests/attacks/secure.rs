//! Connections through TLS into the process that is attacked, in either role.

use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};

use crate::support::tls::{
    Authority, ClientStream, LOCAL, ServerStream, VERSIONS, ask, client_config, serve,
    server_config,
};
use crate::support::wire::{self, FIN, Peer, TEXT, frame};
use crate::support::{PATIENCE, REQUEST, RawServer, accepting_response, read_head};
use crate::target::Role;
use crate::victim::{Received, Report, Victim};
use crate::words::{being, demanding, trusting};

/// A process that speaks TLS in either role, with its peers in the test.
pub struct SecureTarget {
    pub victim: Victim,
    role: Role,
    settings: String,
    hostile: RawServer,
    pub port: u16,
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
}

/// A peer that speaks TLS.
pub enum SecurePeer {
    Server(Peer<ServerStream>),
    Client(Peer<ClientStream>),
}

impl SecureTarget {
    pub fn new(role: Role, settings: &str) -> Self {
        Self::of(&Authority::new(), role, settings)
    }

    /// A server that takes the clients of its own authority only. The target's client is one of them.
    pub fn demanding(authority: &Authority, settings: &str) -> Self {
        let settings = format!("{} {settings}", demanding(authority));
        let mut target = Self::of(authority, Role::Server, &settings);
        let friend = authority.issue(&["client"]);
        target.client = client_config(authority, Some(&friend), &VERSIONS).into();
        target
    }

    fn of(authority: &Authority, role: Role, settings: &str) -> Self {
        let identity = authority.issue(LOCAL);
        let mut victim = Victim::start();
        let settings = match role {
            Role::Client => format!("{} {settings}", trusting(authority)),
            Role::Server => format!("{} {settings}", being(&identity)),
        };
        let port = match role {
            Role::Client => 0,
            Role::Server => victim.listen(&settings),
        };
        Self {
            victim,
            role,
            settings,
            hostile: RawServer::new(),
            port,
            server: server_config(&identity, &VERSIONS).into(),
            client: client_config(authority, None, &VERSIONS).into(),
        }
    }

    /// A connection on which the peer has said nothing.
    pub fn stream(&mut self) -> TcpStream {
        match self.role {
            Role::Client => {
                let url = format!("wss://localhost:{}/", self.hostile.address().port());
                self.victim.connect(&url, &self.settings);
                self.hostile.accept_stream()
            }
            Role::Server => {
                let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                stream
            }
        }
    }

    /// A connection that is established.
    pub fn peer(&mut self) -> SecurePeer {
        let stream = self.stream();
        let peer = match self.role {
            Role::Client => {
                let mut stream = serve(stream, Arc::clone(&self.server));
                let request = read_head(&mut stream);
                let mut peer = Peer::over(stream, false);
                peer.send_raw(&accepting_response(&request));
                SecurePeer::Server(peer)
            }
            Role::Server => {
                let mut peer = Peer::over(ask(stream, Arc::clone(&self.client)), true);
                peer.send_raw(REQUEST);
                read_head(&mut peer.stream);
                SecurePeer::Client(peer)
            }
        };
        self.victim.expect(&Report::Open);
        peer
    }

    /// Another peer is served.
    #[track_caller]
    pub fn expect_service(&mut self) {
        let mut peer = self.peer();
        peer.send(&[frame(FIN | TEXT, b"served"), wire::close(1000, b"")].concat());
        peer.read_close();
        drop(peer);
        let received = self.victim.expect_clean(1000);
        assert_eq!(received, Received::of([&b"served"[..]]));
    }

    /// An attempt of the library's client ends with this status.
    #[track_caller]
    pub fn expect_refusal(&self, status: i32) {
        if self.role == Role::Client {
            self.victim.expect_failure(status, 1006);
        }
    }
}

impl SecurePeer {
    pub fn send(&mut self, frames: &[u8]) {
        match self {
            Self::Server(peer) => peer.send(frames),
            Self::Client(peer) => peer.send(frames),
        }
    }

    pub fn read_payload(&mut self) -> Vec<u8> {
        match self {
            Self::Server(peer) => peer.read_frame().payload,
            Self::Client(peer) => peer.read_frame().payload,
        }
    }

    pub fn read_close(&mut self) {
        let code = match self {
            Self::Server(peer) => peer.read_frame().close_code(),
            Self::Client(peer) => peer.read_frame().close_code(),
        };
        assert_eq!(code, Some(1000));
    }

    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Server(peer) => &peer.stream.sock,
            Self::Client(peer) => &peer.stream.sock,
        }
    }
}
