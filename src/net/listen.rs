//! Listening sockets.

use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use super::transport::Stream;

/// A socket that accepts connections.
pub enum Accepting {
    /// On an address.
    Tcp(TcpListener),
    /// On a path, which is removed at the end.
    #[cfg(unix)]
    Unix(mio::net::UnixListener, std::path::PathBuf),
}

/// As many connections as the system lets wait.
const BACKLOG: i32 = 4096;

impl Accepting {
    /// Listens on an address; port 0: any free one.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let kind = Type::STREAM;
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        // A restarted server gets its port back at once. On Windows the option means that others
        // may take the port over.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Tcp(TcpListener::from_std(socket.into())))
    }

    /// Listens on a path that does not exist, or is a socket where nobody listens any more.
    #[cfg(unix)]
    pub fn unix(path: &std::path::Path) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        let left_over = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
        if left_over && std::os::unix::net::UnixStream::connect(path).is_err() {
            std::fs::remove_file(path)?;
        }
        Ok(Self::Unix(
            mio::net::UnixListener::bind(path)?,
            path.to_owned(),
        ))
    }

    /// The port, 0 for a path.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or(0, |address| address.port()),
            #[cfg(unix)]
            Self::Unix(..) => 0,
        }
    }

    /// The next connection that waits.
    pub fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            #[cfg(unix)]
            Self::Unix(listener, _) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    /// What is registered for events.
    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) => listener,
            #[cfg(unix)]
            Self::Unix(listener, _) => listener,
        }
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Self::Unix(_, path) = self {
            // Somebody else may have removed it.
            let _ = std::fs::remove_file(path);
        }
    }
}
