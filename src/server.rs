//! Server: accepts connections and makes sockets of them.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::TryRng;
use rand::rngs::SysRng;

use crate::delivery::Handler;
use crate::error::{Error, Result};
use crate::net::{Accepting, Host, Listening, Url};
use crate::options::Options;
use crate::reactor::{Acceptor, Command, Entrance, Listener, Mailbox, Topics, Welcome};
use crate::request::Request;
use crate::runtime::Runtime;
use crate::socket::{Message, Socket};

/// A listening server. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    id: u64,
    port: u16,
    entrance: Arc<Entrance>,
    workers: Arc<[Arc<Mailbox>]>,
    topics: Arc<Topics>,
}

impl Server {
    /// Listens on `ws://address:port/`, `wss://address:port/` or `ws+unix:///path`. Port 0 is any
    /// free one. Every valid upgrade request is accepted. `handler` makes the handler of each
    /// socket, before anything can happen to it.
    pub fn listen(
        runtime: &Runtime,
        url: &str,
        options: &Options,
        handler: impl Fn(&Socket) -> Arc<dyn Handler> + Send + Sync + 'static,
    ) -> Result<Self> {
        Bound::new(runtime, url, options, handler)?.accept_after(|| ())
    }

    /// The same, but the application is asked about each valid request. `asked` makes what takes
    /// the [`Event::Request`](crate::Event::Request) and nothing else; it is dropped when the
    /// request has been answered, or its client has gone.
    pub fn listen_asking(
        runtime: &Runtime,
        url: &str,
        options: &Options,
        asked: impl Fn(Request) -> Arc<dyn Handler> + Send + Sync + 'static,
    ) -> Result<Self> {
        Bound::asking(runtime, url, options, asked)?.accept_after(|| ())
    }

    /// The port; 0 of a Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes the identity of a server of wss, and whom it demands of its clients, from `options`,
    /// for the connections that begin from here on.
    pub fn set_tls(&self, options: &Options) -> Result<()> {
        self.entrance.set_tls(&options.settings().tls)
    }

    /// Sends a message to every socket that subscribes to the topic, or, without one, to every open
    /// socket. Returns how many took it.
    pub fn publish(&self, topic: Option<&str>, message: Message<'_>) -> Result<usize> {
        self.topics.publish(topic, message.outgoing())
    }

    /// Stops accepting at once, and closes its sockets with 1001.
    pub fn close(&self) {
        // First: a worker to which a connection comes late sees it.
        self.entrance.close();
        for worker in &*self.workers {
            worker.push(Command::CloseServer(self.id));
        }
    }
}

/// A server that has its address, and accepts nobody yet: nothing happens to it before whoever made
/// it knows it.
pub(crate) struct Bound {
    pub(crate) server: Server,
    listener: Box<Listener>,
    worker: Arc<Mailbox>,
}

impl Bound {
    /// See [`Server::listen`].
    pub(crate) fn new(
        runtime: &Runtime,
        url: &str,
        options: &Options,
        handler: impl Fn(&Socket) -> Arc<dyn Handler> + Send + Sync + 'static,
    ) -> Result<Self> {
        let accept = move |link: &Arc<_>| handler(&Socket::of_link(Arc::clone(link)));
        Self::open(runtime, url, options, Welcome::Accept(Box::new(accept)))
    }

    /// See [`Server::listen_asking`].
    pub(crate) fn asking(
        runtime: &Runtime,
        url: &str,
        options: &Options,
        asked: impl Fn(Request) -> Arc<dyn Handler> + Send + Sync + 'static,
    ) -> Result<Self> {
        let ask = move |request: &Arc<_>| asked(Request::new(Arc::clone(request)));
        Self::open(runtime, url, options, Welcome::Ask(Box::new(ask)))
    }

    /// Accepts from here on. `first` runs only on success, before anybody is accepted.
    pub(crate) fn accept_after(self, first: impl FnOnce()) -> Result<Server> {
        let listen = Command::Listen(self.listener);
        if !self.worker.push_after(listen, first) {
            return Err(Error::Handle("the runtime has been freed".into()));
        }
        Ok(self.server)
    }

    fn open(runtime: &Runtime, url: &str, options: &Options, welcome: Welcome) -> Result<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let url = Url::parse(url)?;
        check_randomness()?;
        let settings = Arc::clone(options.settings());
        let (scheme, tls) = if url.is_secure() {
            ("wss", Some(settings.tls.server()?))
        } else {
            ("ws", None)
        };
        let worker = Arc::clone(runtime.worker()?);
        let listening =
            bind(&url, settings.listening).and_then(|socket| Ok((socket.port()?, socket)));
        let (port, socket) = listening.map_err(|error| {
            let sentence = format!("listening on {} failed: {error}", url.as_str());
            Error::no_connection(sentence, &error)
        })?;
        if let Some(path) = url.unix() {
            log::debug!("listening on {}", path.display());
        } else {
            log::debug!("listening on port {port}");
        }
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let entrance = Arc::new(Entrance::new(socket, tls));
        let acceptor = Acceptor::new(id, settings, scheme, Arc::clone(&entrance), welcome);
        let topics = Arc::clone(&acceptor.topics);
        Ok(Self {
            server: Server {
                id,
                port,
                entrance,
                workers: runtime.workers().into(),
                topics,
            },
            listener: Box::new(Listener::new(Arc::new(acceptor))),
            worker,
        })
    }
}

/// The tables of a server's topics are hashed with random bytes, and making them panics where the
/// system has none.
fn check_randomness() -> Result<()> {
    SysRng
        .try_next_u32()
        .map_err(|error| Error::Resource(format!("system gave no random bytes: {error}").into()))?;
    Ok(())
}

fn bind(url: &Url, listening: Listening) -> io::Result<Accepting> {
    #[cfg(unix)]
    if let Some(path) = url.unix() {
        return Accepting::unix(path, listening);
    }
    let port = url.port();
    let tcp = |address| Accepting::tcp(address, listening);
    match url.host() {
        Host::Ip(address) => tcp(SocketAddr::new(address, port)),
        Host::Domain("localhost") => tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .or_else(|_| tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, port)))),
        Host::Domain(name) => {
            let mut addresses = (name, port).to_socket_addrs()?;
            let address = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
            tcp(address)
        }
    }
}
