//! A page in headless Chromium talks to our server: the browser's own client is the one that most
//! servers are for. What it saw is printed as tables, also where the tests succeed.

#[path = "../abi/mod.rs"]
mod abi;
mod chat;
mod chromium;
mod ends;
mod messages;
#[path = "../missing/mod.rs"]
mod missing;
mod patterns;
#[path = "../programs/mod.rs"]
mod programs;
mod requests;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::sync::LazyLock;
use std::time::Instant;

use abi::{Close, Events, Options, Runtime, Seen, Server, Socket};
use chromium::{Chromium, PATIENCE, Page};
use serde_json::{Value, json};
use support::tls::{Identity, LOCAL};

/// Whom the browser takes for somebody.
static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::of_itself(LOCAL));

const SCHEMES: [&str; 2] = ["ws", "wss"];

/// A browser that takes the server's certificate. None where it is not installed.
fn start_browser() -> Option<Chromium> {
    Chromium::start(&IDENTITY.pin())
}

/// A server for a page.
struct Host {
    server: Server,
    seen: Events,
    url: String,
    runtime: Runtime,
}

impl Host {
    fn new(scheme: &str, options: Options) -> Self {
        Self::with_hook(scheme, options, |_, _| {})
    }

    /// With something to do in every handler.
    fn with_hook(
        scheme: &str,
        options: Options,
        hook: impl FnMut(Socket, &Seen) + Send + 'static,
    ) -> Self {
        Self::with_identity(scheme, options, &IDENTITY, hook)
    }

    /// As somebody whom the browser may not know.
    fn with_identity(
        scheme: &str,
        options: Options,
        identity: &Identity,
        hook: impl FnMut(Socket, &Seen) + Send + 'static,
    ) -> Self {
        let runtime = Runtime::new();
        let options = match scheme {
            "wss" => options.with_identity(&identity.cert, &identity.key),
            _ => options,
        };
        let at = format!("{scheme}://127.0.0.1:0/");
        let (server, seen) = runtime.listen_at(&at, &options, hook);
        Self {
            url: format!("{scheme}://127.0.0.1:{}/", server.port),
            server,
            seen,
            runtime,
        }
    }

    /// The next thing that its sockets were told, but for what comes at any time.
    #[track_caller]
    fn next(&self) -> Seen {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.seen.comes_within(left) {
                Some(Seen::Drain | Seen::Ping(_) | Seen::Pong(_)) => {}
                Some(seen) => return seen,
                None => panic!("no event"),
            }
        }
    }

    /// How the next of its sockets ends.
    #[track_caller]
    fn closed(&self) -> Close {
        loop {
            if let Seen::Close(close) = self.next() {
                return close;
            }
        }
    }

    /// Has a page open a socket, which has to succeed.
    #[track_caller]
    fn open(&self, page: &Page<'_>) -> Joined {
        self.open_with(page, &[])
    }

    /// The same, with an offer of subprotocols.
    #[track_caller]
    fn open_with(&self, page: &Page<'_>, subprotocols: &[&str]) -> Joined {
        let opened = page.run("open", json!([self.url, subprotocols]));
        assert_eq!(opened["isOpen"], true, "{}: {opened}", self.url);
        let (socket, seen) = self.seen.next_of();
        assert_eq!(seen, Seen::Open);
        Joined {
            number: opened["number"].clone(),
            opened,
            socket,
        }
    }
}

/// A connection of a page.
struct Joined {
    /// The page's name of it.
    number: Value,
    /// What the page knows of it.
    opened: Value,
    /// The server's end.
    socket: Socket,
}
