//! A socket of the library and its hand-made peer, joined and established.

use std::net::TcpStream;

use crate::abi::{Client, Events, Options, Runtime, Seen, Socket};
use crate::support::wire::Peer;
use crate::support::{REQUEST, RawServer, read_head};

/// What the library is in a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Client,
    Server,
}

pub const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// An established connection, of which OPEN has been seen.
pub struct Pair {
    pub socket: Socket,
    pub seen: Events,
    pub peer: Peer,
    pub runtime: Runtime,
}

impl Pair {
    pub fn new(role: Role) -> Self {
        Self::with_options(role, &Options::new())
    }

    pub fn with_options(role: Role, options: &Options) -> Self {
        Self::with_hook(role, options, |_, _| {})
    }

    /// With something to do in every handler.
    pub fn with_hook(
        role: Role,
        options: &Options,
        hook: impl FnMut(Socket, &Seen) + Send + 'static,
    ) -> Self {
        Self::negotiated(role, options, "", hook)
    }

    /// With permessage-deflate, whose parameters the peer answers or offers.
    pub fn compressing(role: Role, options: &Options, parameters: &str) -> Self {
        let line = format!("Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n");
        Self::negotiated(role, options, &line, |_, _| {})
    }

    /// With one more line in the peer's head.
    fn negotiated(
        role: Role,
        options: &Options,
        line: &str,
        hook: impl FnMut(Socket, &Seen) + Send + 'static,
    ) -> Self {
        let runtime = Runtime::new();
        let extended = |head: &[u8]| {
            let (head, empty_line) = head.split_at(head.len() - 2);
            [head, line.as_bytes(), empty_line].concat()
        };
        let (peer, seen) = match role {
            Role::Client => {
                let listener = RawServer::new();
                let Client { seen, .. } = runtime.connect_with(&listener.url(), options, hook);
                let (stream, response) = listener.accept();
                let mut peer = Peer::new(stream, false);
                peer.send_raw(&extended(&response));
                (peer, seen)
            }
            Role::Server => {
                let (server, seen) = runtime.listen_with(options, hook);
                let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
                let mut peer = Peer::new(stream, true);
                peer.send_raw(&extended(REQUEST));
                read_head(&mut peer.stream);
                (peer, seen)
            }
        };
        let (socket, open) = seen.next_of();
        assert_eq!(open, Seen::Open);
        Self {
            socket,
            seen,
            peer,
            runtime,
        }
    }
}
