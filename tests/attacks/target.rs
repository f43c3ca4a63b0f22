//! Connections into the process that is attacked, in either role.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::support::wire::{self, Peer};
use crate::support::{NARROW, PATIENCE, REQUEST, RawServer, read_head};
use crate::victim::{Report, Victim};

/// What the library is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Client,
    Server,
}

/// The roles that are attacked: both, unless it is for the masks, which only a client uses.
pub fn roles() -> Vec<Role> {
    if wire::has_zero_masks() {
        vec![Role::Server]
    } else {
        vec![Role::Client, Role::Server]
    }
}

/// A process whose connections come from, or go to, the test.
pub struct Target {
    pub victim: Victim,
    pub role: Role,
    settings: String,
    hostile: RawServer,
    pub port: u16,
    is_narrow: bool,
}

impl Target {
    pub fn new(role: Role, settings: &str) -> Self {
        Self::of(Victim::start(), role, settings)
    }

    /// A process whose allocator gives what is freed back to the system, so that what it uses is
    /// what the library holds.
    pub fn frugal(role: Role, settings: &str) -> Self {
        Self::of(
            Victim::start_with("MALLOC_MMAP_THRESHOLD_", "32768"),
            role,
            settings,
        )
    }

    fn of(mut victim: Victim, role: Role, settings: &str) -> Self {
        let port = match role {
            Role::Client => 0,
            Role::Server => victim.listen(settings),
        };
        Self {
            victim,
            role,
            settings: settings.to_owned(),
            hostile: RawServer::new(),
            port,
            is_narrow: false,
        }
    }

    /// One whose peers have hardly any room for what they receive.
    pub fn narrow(role: Role, settings: &str) -> Self {
        let mut target = Self::new(role, settings);
        target.hostile = RawServer::narrow();
        target.is_narrow = true;
        target
    }

    /// A connection that is established.
    pub fn peer(&mut self) -> Peer {
        self.negotiate("")
    }

    /// One with permessage-deflate and these parameters.
    pub fn compressing_peer(&mut self, parameters: &str) -> Peer {
        self.negotiate(&format!(
            "Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n"
        ))
    }

    fn negotiate(&mut self, line: &str) -> Peer {
        let peer = self.unseen(line);
        self.victim.expect(&Report::Open);
        peer
    }

    /// One of which OPEN has not been looked at, with a line in the peer's head.
    pub fn unseen(&mut self, line: &str) -> Peer {
        let extended = |head: &[u8]| {
            let (head, empty_line) = head.split_at(head.len() - 2);
            [head, line.as_bytes(), empty_line].concat()
        };
        match self.role {
            Role::Client => {
                self.victim.connect(&self.hostile.url(), &self.settings);
                let (stream, response) = self.hostile.accept();
                let mut peer = Peer::new(stream, false);
                peer.send_raw(&extended(&response));
                peer
            }
            Role::Server => {
                let mut peer = Peer::new(self.connect(), true);
                peer.send_raw(&extended(REQUEST));
                read_head(&mut peer.stream);
                peer
            }
        }
    }

    /// A connection to a server on which nothing has been said.
    pub fn connect(&self) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if self.is_narrow {
            socket.set_recv_buffer_size(NARROW).unwrap();
        }
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        socket.connect(&address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Frames that have to fail the connection: the library answers with a Close frame of this
    /// code, though the peer says no more, and tells the application. Nothing is delivered.
    #[track_caller]
    pub fn fails(&mut self, mut peer: Peer, frames: &[u8], status: i32, code: u16) {
        peer.send(frames);
        let answer = peer.read_to_end();
        let codes: Vec<_> = answer
            .iter()
            .map(super::support::wire::Frame::close_code)
            .collect();
        let name = &frames[..frames.len().min(20)];
        assert_eq!(codes, [Some(code)], "{name:02x?} to a {:?}", self.role);
        drop(peer);
        let received = self.victim.expect_failure(status, code.into());
        assert_eq!(received.messages, 0, "{name:02x?} to a {:?}", self.role);
    }
}
