//! Listening sockets.

use std::io;
use std::net::{Ipv6Addr, Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::IntoRawFd;
#[cfg(unix)]
use std::path::Path;

use mio::Interest;
use mio::event::Source;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::cookie::Cookie;
use super::transport::Stream;

/// A socket that accepts connections.
pub struct Accepting {
    /// INVARIANT: there is one, until this is dropped.
    socket: Option<Bound>,
    cookie: Cookie,
}

enum Bound {
    /// On an address.
    Tcp(TcpListener),
    /// On a path.
    #[cfg(unix)]
    Unix(mio::net::UnixListener, Name),
}

/// The name of a Unix socket in the file system, which is removed at the end.
#[cfg(unix)]
struct Name {
    path: std::path::PathBuf,
    /// Device and inode: something else may have the path by then.
    identity: Option<(u64, u64)>,
}

/// How a listening socket is made.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// How many connections may wait to be accepted. The system has a limit of its own.
    pub backlog: u32,
    /// Whether other sockets may listen on the same port (SO_REUSEPORT).
    pub reuse_port: bool,
}

impl Accepting {
    /// Listens on an address; port 0: any free one. All addresses of IPv6 are those of IPv4, too.
    pub fn tcp(address: SocketAddr, listening: Listening) -> io::Result<Self> {
        let kind = Type::STREAM;
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        // A restarted server gets its port back at once. On Windows the option means that others
        // may take the port over.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        if listening.reuse_port {
            set_reuse_port(&socket)?;
        }
        if address.ip() == Ipv6Addr::UNSPECIFIED {
            // The default differs from system to system. OpenBSD knows no other than its own.
            let _ = socket.set_only_v6(false);
        }
        socket.bind(&address.into())?;
        socket.listen(listening.backlog())?;
        socket.set_nonblocking(true)?;
        Ok(Self::of(Bound::Tcp(TcpListener::from_std(socket.into()))))
    }

    /// Listens on a path that does not exist, or is a socket where nobody listens any more.
    #[cfg(unix)]
    pub fn unix(path: &Path, listening: Listening) -> io::Result<Self> {
        if is_socket(path) && nobody_listens(path) {
            std::fs::remove_file(path)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&socket2::SockAddr::unix(path)?)?;
        socket.listen(listening.backlog())?;
        socket.set_nonblocking(true)?;
        let name = Name {
            path: path.to_owned(),
            identity: identity(path),
        };
        let listener = mio::net::UnixListener::from_std(socket.into());
        Ok(Self::of(Bound::Unix(listener, name)))
    }

    fn of(socket: Bound) -> Self {
        Self {
            cookie: Cookie::of(&socket.socket()),
            socket: Some(socket),
        }
    }

    /// The port, 0 for a path.
    pub fn port(&self) -> io::Result<u16> {
        match &self.socket {
            Some(Bound::Tcp(listener)) => Ok(listener.local_addr()?.port()),
            _ => Ok(0),
        }
    }

    /// The next connection that waits, and from where it is, unless it is on this machine.
    pub fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match &self.socket {
            Some(Bound::Tcp(listener)) => {
                let (stream, address) = listener.accept()?;
                Ok((Stream::Tcp(stream), Some(address)))
            }
            #[cfg(unix)]
            Some(Bound::Unix(listener, _)) => {
                let (stream, _) = listener.accept()?;
                Ok((Stream::Unix(stream), None))
            }
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Asks for events of connections that wait.
    pub fn register(&mut self, registry: &mio::Registry, token: mio::Token) -> io::Result<()> {
        let source: &mut dyn Source = match &mut self.socket {
            Some(Bound::Tcp(listener)) => listener,
            #[cfg(unix)]
            Some(Bound::Unix(listener, _)) => listener,
            None => return Ok(()),
        };
        let registered = registry.register(source, token, Interest::READABLE);
        if registered.is_err() {
            // mio takes it for registered all the same.
            let _ = registry.deregister(source);
        }
        registered
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        let Some(bound) = self.socket.take() else {
            return;
        };
        if !self.cookie.is_of(&bound.socket()) {
            log::error!("the application has closed the descriptor of a server");
            return bound.forget();
        }
        // The child of a fork may have the descriptor as well: closing this one would leave the
        // port taken, and clients waiting there. It fails only where nobody listens any more.
        let _ = bound.socket().shutdown(Shutdown::Both);
    }
}

impl Bound {
    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(listener) => SockRef::from(listener),
            #[cfg(unix)]
            Self::Unix(listener, _) => SockRef::from(listener),
        }
    }

    /// Leaves the descriptor to whoever has it.
    fn forget(self) {
        #[cfg(unix)]
        let _ = match self {
            Self::Tcp(listener) => listener.into_raw_fd(),
            Self::Unix(listener, _name) => listener.into_raw_fd(),
        };
    }
}

impl Listening {
    /// Whether the system has SO_REUSEPORT.
    pub const CAN_REUSE_PORT: bool =
        cfg!(unix) && !cfg!(any(target_os = "solaris", target_os = "illumos"));

    fn backlog(self) -> i32 {
        i32::try_from(self.backlog).unwrap_or(i32::MAX)
    }
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            backlog: 4096,
            reuse_port: false,
        }
    }
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
fn set_reuse_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(any(target_os = "solaris", target_os = "illumos"))]
fn set_reuse_port(_socket: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
impl Drop for Name {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Nobody is left to be told of a failure.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket())
}

/// Whether the socket is certainly left over. A listener that is busy, one of another kind and one
/// that we may not connect to are somebody's.
#[cfg(unix)]
fn nobody_listens(path: &Path) -> bool {
    let probe = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // Not to wait for a place where the listener is busy.
        socket.set_nonblocking(true)?;
        socket.connect(&socket2::SockAddr::unix(path)?)
    };
    probe().is_err_and(|error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::PathBuf;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// A directory of one test, removed at its end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(test: &str) -> Self {
            let name = format!("wsabi-listen-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("socket")
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn listen(path: &Path) -> io::Result<Accepting> {
        Accepting::unix(path, Listening::default())
    }

    fn is_refused_and_left_alone(path: &Path) {
        let before = fs::symlink_metadata(path).unwrap().file_type();
        let error = listen(path).err().expect("the path is in use");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::symlink_metadata(path).unwrap().file_type(), before);
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_replaced() {
        let directory = Directory::new("left-over");
        let path = directory.socket();
        drop(UnixListener::bind(&path).unwrap());
        let accepting = listen(&path).unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(accepting);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_another_listens_on_is_left_alone() {
        let directory = Directory::new("in-use");
        let _other = UnixListener::bind(directory.socket()).unwrap();
        is_refused_and_left_alone(&directory.socket());
    }

    #[test]
    fn a_socket_of_another_kind_is_left_alone() {
        let directory = Directory::new("datagrams");
        let _other = UnixDatagram::bind(directory.socket()).unwrap();
        is_refused_and_left_alone(&directory.socket());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = Directory::new("no-socket");
        let path = directory.socket();
        fs::write(&path, "precious").unwrap();
        is_refused_and_left_alone(&path);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        is_refused_and_left_alone(&path);
    }

    #[test]
    fn a_link_to_a_left_over_socket_is_left_alone() {
        let directory = Directory::new("link");
        let target = directory.0.join("target");
        drop(UnixListener::bind(&target).unwrap());
        std::os::unix::fs::symlink(&target, directory.socket()).unwrap();
        is_refused_and_left_alone(&directory.socket());
        assert!(target.exists());
    }

    /// Linux lets a blocking connect wait for a place.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_socket_whose_listener_is_busy_is_left_alone_without_waiting() {
        let directory = Directory::new("busy");
        let path = directory.socket();
        let name = socket2::SockAddr::unix(&path).unwrap();
        let other = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        other.bind(&name).unwrap();
        other.listen(0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            if client.connect(&name).is_err() {
                break;
            }
            waiting.push(client);
        }
        let (done, is_done) = channel();
        thread::spawn(move || {
            is_refused_and_left_alone(&path);
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    #[test]
    fn what_took_the_place_of_a_listeners_path_is_left_alone() {
        let directory = Directory::new("replaced");
        let path = directory.socket();
        let accepting = listen(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        drop(accepting);
        assert!(path.exists());

        fs::remove_file(&path).unwrap();
        let accepting = listen(&path).unwrap();
        // Renamed, so that the next one cannot get the same inode.
        fs::rename(&path, directory.0.join("renamed")).unwrap();
        let _successor = UnixListener::bind(&path).unwrap();
        drop(accepting);
        assert!(path.exists());
    }
}
