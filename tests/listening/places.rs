//! Addresses, ports, paths and threads.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::abi::{
    self, Delivery, ERR_CONNECT, FACT_LOCAL_ADDRESS, FACT_PEER_ADDRESS, OK, Options, Request,
    Runtime, Seen, functions,
};
use crate::support::wire::{self, FIN, Peer, TEXT};
use crate::support::{PATIENCE, REQUEST, read_head};
use crate::{dial, here, upgrade};

/// A directory of one test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let name = format!("wsabi-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    fn url(&self) -> String {
        format!("ws+unix://{}", self.socket().display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_port_can_be_listened_on_again_at_once_though_connections_of_before_wait() {
    let runtime = Runtime::new();
    let (mut server, mut seen) = runtime.listen(&Options::new());
    let port = server.port;
    for _ in 0..50 {
        let mut peer = upgrade(here(port));
        assert_eq!(seen.next(), Seen::Open);
        // The server ends TCP first (RFC 6455 §7.1.1), so that TIME_WAIT is at its port.
        peer.send(&wire::close(1000, b""));
        assert_eq!(peer.read_to_end().len(), 1);
        drop(peer);
        assert_eq!(seen.next(), Seen::clean(1000, ""));
        assert_eq!(server.close(), OK);
        let url = format!("ws://127.0.0.1:{port}/");
        (server, seen) = runtime.listen_at(&url, &Options::new(), |_, _| {});
    }
}

#[test]
fn a_port_and_a_path_in_use_are_refused() {
    let runtime = Runtime::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", other.local_addr().unwrap());
    assert_eq!(runtime.refuse_listen(&url, &Options::new()), ERR_CONNECT);
    let (server, _seen) = runtime.listen(&Options::new());
    let url = format!("ws://127.0.0.1:{}/", server.port);
    assert_eq!(runtime.refuse_listen(&url, &Options::new()), ERR_CONNECT);
    // No address of this machine (RFC 5737).
    let status = runtime.refuse_listen("ws://192.0.2.1:0/", &Options::new());
    assert_eq!(status, ERR_CONNECT);

    let directory = Directory::new("in-use");
    let _other = UnixListener::bind(directory.socket()).unwrap();
    let status = runtime.refuse_listen(&directory.url(), &Options::new());
    assert_eq!(status, ERR_CONNECT);
    assert!(directory.socket().exists());
}

#[test]
fn a_path_that_was_left_there_is_taken_and_removed_at_the_end() {
    let runtime = Runtime::new();
    let directory = Directory::new("left-over");
    let path = directory.socket();
    drop(UnixListener::bind(&path).unwrap());
    for _ in 0..2 {
        let (server, _seen) = runtime.listen_at(&directory.url(), &Options::new(), |_, _| {});
        assert_eq!(server.port, 0);
        assert!(fs::metadata(&path).unwrap().file_type().is_socket());
        UnixStream::connect(&path).unwrap();
        assert_eq!(server.close(), OK);
        assert!(!path.exists());
    }
}

#[test]
fn a_unix_socket_carries_requests_messages_and_the_goodbye() {
    let runtime = Runtime::new();
    let directory = Directory::new("unix");
    let path = directory.socket();
    let options = Options::new().asking();
    let (server, asked) = runtime.listen_at(&directory.url(), &options, |_, _| {});
    // A client may have a name, or none.
    let name = directory.0.join("client");
    for bound in [None, Some(&name)] {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        if let Some(name) = bound {
            client.bind(&SockAddr::unix(name).unwrap()).unwrap();
        }
        client.connect(&SockAddr::unix(&path).unwrap()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Peer::over(UnixStream::from(client), true);
        peer.send_raw(REQUEST);
        let (request, event) = asked.next_of();
        assert_eq!(event, Seen::Request("/path?q=1".to_owned()));
        let address = bound.map_or(String::new(), |it| it.display().to_string());
        assert_eq!(Request(request.0).peer_address(), address);
        let (socket, seen) = Request(request.0).accept("");
        assert!(read_head(&mut peer.stream).starts_with("HTTP/1.1 101 "));
        assert_eq!(seen.next(), Seen::Open);
        assert_eq!(socket.fact(FACT_PEER_ADDRESS), address);
        assert_eq!(socket.fact(FACT_LOCAL_ADDRESS), path.display().to_string());
        peer.send_frame(FIN | TEXT, b"there");
        assert_eq!(seen.next(), Seen::text("there"));
        assert_eq!(socket.send_text("and back"), OK);
        assert_eq!(peer.read_frame().payload, b"and back");
        peer.send(&wire::close(1000, b""));
        assert_eq!(peer.read_to_end().len(), 1);
        drop(peer);
        seen.expect(&[Seen::clean(1000, "")]);
    }
    // The library's client hears the goodbye.
    let client = runtime.connect(&directory.url(), &Options::new());
    let (request, _) = asked.next_of();
    let (_socket, seen) = Request(request.0).accept("");
    assert_eq!(client.seen.next(), Seen::Open);
    assert_eq!(seen.next(), Seen::Open);
    assert_eq!(server.close(), OK);
    client.seen.expect(&[Seen::clean(1001, "")]);
    seen.expect(&[Seen::clean(1001, "")]);
    assert!(!path.exists());
}

#[test]
fn all_addresses_of_ipv6_are_those_of_ipv4_and_its_clients_are_seen_as_such() {
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: no IPv6 here");
        return;
    }
    let runtime = Runtime::new();
    let (server, seen) = runtime.listen_at("ws://[::]:0/", &Options::new(), |_, _| {});
    let ipv6 = SocketAddr::from((Ipv6Addr::LOCALHOST, server.port));
    let peers = [ipv6, here(server.port)].map(|it| (it, upgrade(it)));
    for (address, peer) in &peers {
        let (socket, open) = seen.next_of();
        assert_eq!(open, Seen::Open);
        let client = peer.stream.local_addr().unwrap();
        assert_eq!(socket.fact(FACT_PEER_ADDRESS), client.to_string());
        assert_eq!(socket.fact(FACT_LOCAL_ADDRESS), address.to_string());
    }
    // One address is no other.
    let (server, _seen) = runtime.listen_at("ws://[::1]:0/", &Options::new(), |_, _| {});
    dial((Ipv6Addr::LOCALHOST, server.port));
    std::net::TcpStream::connect(here(server.port)).unwrap_err();
}

#[test]
fn several_servers_share_a_port_if_all_of_them_want_to() {
    let runtime = Runtime::new();
    let sharing = || Options::new().set(functions().options_set_reuse_port, 1);
    let (first, first_seen) = runtime.listen(&sharing());
    let url = format!("ws://127.0.0.1:{}/", first.port);
    assert_eq!(runtime.refuse_listen(&url, &Options::new()), ERR_CONNECT);
    let (second, second_seen) = runtime.listen_at(&url, &sharing(), |_, _| {});
    assert_eq!(second.port, first.port);
    let peers: Vec<_> = (0..64).map(|_| upgrade(here(first.port))).collect();
    let opened = |seen: &abi::Events| {
        let opened = seen.so_far();
        assert!(opened.iter().all(|it| *it == Seen::Open));
        opened.len()
    };
    let mut counts = [0, 0];
    crate::support::wait_until("every OPEN", || {
        counts[0] += opened(&first_seen);
        counts[1] += opened(&second_seen);
        counts[0] + counts[1] == peers.len()
    });
    println!("{counts:?} connections");
    if cfg!(target_os = "linux") {
        assert!(counts.iter().all(|it| *it > 0), "{counts:?}");
    }
    // Whoever is left gets all of them.
    assert_eq!(first.close(), OK);
    let _peers: Vec<_> = (0..5).map(|_| upgrade(here(second.port))).collect();
    for _ in 0..5 {
        assert_eq!(second_seen.next(), Seen::Open);
    }
    // And one that does not share has its port for itself.
    let (alone, _seen) = runtime.listen(&Options::new());
    let url = format!("ws://127.0.0.1:{}/", alone.port);
    assert_eq!(runtime.refuse_listen(&url, &sharing()), ERR_CONNECT);
}

/// Linux lets one more wait than the backlog says, and refuses the next without waiting.
#[test]
#[cfg(target_os = "linux")]
fn so_many_wait_as_the_backlog_says() {
    if Delivery::of_tests() != Delivery::Threads {
        return;
    }
    for backlog in [1, 5, 20] {
        let directory = Directory::new(&format!("backlog-{backlog}"));
        // Nobody turns it, so that nobody accepts.
        let runtime = Runtime::at_rest();
        let options = Options::new().set(functions().options_set_backlog, backlog);
        let (_server, _seen) = runtime.listen_at(&directory.url(), &options, |_, _| {});
        let address = SockAddr::unix(directory.socket()).unwrap();
        let mut waiting = Vec::new();
        loop {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            if client.connect(&address).is_err() {
                break;
            }
            waiting.push(client);
        }
        assert_eq!(waiting.len(), backlog as usize + 1);

        let (server, _seen) = runtime.listen(&options);
        assert_eq!(backlog_of(server.port), Some(backlog));
    }
    let (server, _seen) = Runtime::new().listen(&Options::new());
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let most: u32 = most.trim().parse().unwrap();
    assert!(backlog_of(server.port).is_none_or(|it| it == most.min(4096)));
}

/// What the system says of a listening socket, if it has the program to ask it.
fn backlog_of(port: u16) -> Option<u32> {
    let filter = format!("sport = :{port}");
    let output = Command::new("ss").args(["-ltnH", &filter]).output().ok()?;
    let line = String::from_utf8(output.stdout).unwrap();
    Some(line.split_whitespace().nth(2)?.parse().unwrap())
}

#[test]
fn connections_are_spread_evenly_over_the_threads() {
    const THREADS: u32 = 4;
    const EACH: usize = 10;
    if abi::differs("polled handlers run on the thread that polls") {
        return;
    }
    let runtime = Runtime::with_threads(THREADS);
    let opened: Arc<Mutex<HashMap<thread::ThreadId, usize>>> = Arc::default();
    let counts = Arc::clone(&opened);
    let (server, seen) = runtime.listen_with(&Options::new(), move |_, event| {
        if *event == Seen::Open {
            let mut counts = counts.lock().unwrap();
            *counts.entry(thread::current().id()).or_default() += 1;
        }
    });
    let mut peers = Vec::new();
    for _ in 0..THREADS as usize * EACH {
        peers.push(upgrade(here(server.port)));
        assert_eq!(seen.next(), Seen::Open);
    }
    let counts = opened.lock().unwrap();
    assert_eq!(counts.len(), THREADS as usize);
    assert!(counts.values().all(|it| *it == EACH), "{counts:?}");
    drop(counts);
    for peer in &mut peers {
        peer.send_frame(FIN | TEXT, b"here");
        assert_eq!(seen.next(), Seen::text("here"));
    }
}
