//! A server that becomes somebody else while it runs.

use std::sync::{Arc, OnceLock};
use std::thread;

use rustls::HandshakeKind;

use crate::abi::{ERR_ARGUMENT, ERR_HANDLE, ERR_STATE, Events, OK, Options, Runtime, Seen, Server};
use crate::abi::{expect_ok, functions};
use crate::ends::{being, expect_refusal, secure, trusting, upgrade};
use crate::support::tls::{Authority, LOCAL, VERSIONS, client_config};
use crate::support::wire::{FIN, TEXT};

/// A server of wss with a certificate of this authority.
struct Running {
    runtime: Runtime,
    server: Server,
    seen: Events,
}

impl Running {
    fn new(authority: &Authority) -> Self {
        let runtime = Runtime::new();
        let options = being(&authority.issue(LOCAL));
        let (server, seen) = runtime.listen_at("wss://127.0.0.1:0/", &options, |_, _| {});
        Self {
            runtime,
            server,
            seen,
        }
    }

    fn url(&self) -> String {
        format!("wss://localhost:{}/", self.server.port)
    }
}

#[test]
fn whoever_comes_after_the_reload_sees_the_new_certificate_and_the_others_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let it = Running::new(&old);
    let mut before = upgrade(it.server.port, client_config(&old, None, &VERSIONS));
    assert_eq!(it.seen.next(), Seen::Open);

    expect_ok(it.server.set_tls(&being(&new.issue(LOCAL))));
    let runtime = Runtime::new();
    let sentence = expect_refusal(&runtime.connect(&it.url(), &trusting(&old)));
    assert!(
        sentence.starts_with("certificate of unknown issuer: "),
        "{sentence}"
    );
    let mut after = upgrade(it.server.port, client_config(&new, None, &VERSIONS));
    assert_eq!(it.seen.next(), Seen::Open);
    for (peer, text) in [(&mut before, "before"), (&mut after, "after")] {
        peer.send_frame(FIN | TEXT, text.as_bytes());
        assert_eq!(it.seen.next(), Seen::text(text));
    }
}

#[test]
fn a_session_of_before_is_not_resumed_and_later_ones_are() {
    for version in VERSIONS {
        let authority = Authority::new();
        let it = Running::new(&authority);
        // With the memory of its sessions.
        let client = Arc::new(client_config(&authority, None, &[version]));
        let mut peers = Vec::new();
        let mut kind_of_next = || {
            let peer = upgrade(it.server.port, Arc::clone(&client));
            assert_eq!(it.seen.next(), Seen::Open);
            let kind = peer.stream.conn.handshake_kind();
            peers.push(peer);
            kind
        };
        assert_eq!(kind_of_next(), Some(HandshakeKind::Full));
        assert_eq!(kind_of_next(), Some(HandshakeKind::Resumed));
        expect_ok(it.server.set_tls(&being(&authority.issue(LOCAL))));
        assert_eq!(kind_of_next(), Some(HandshakeKind::Full));
        assert_eq!(kind_of_next(), Some(HandshakeKind::Resumed));
    }
}

#[test]
fn a_client_that_was_let_in_has_to_show_its_certificate_to_the_new_authorities() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let demanding = |authority: &Authority| {
        being(&ours.issue(LOCAL)).set_text(functions().options_set_tls_client_ca, authority.pem())
    };
    let runtime = Runtime::new();
    let (server, seen) = runtime.listen_at("wss://127.0.0.1:0/", &demanding(&ours), |_, _| {});
    let friend = ours.issue(&["client"]);
    let client = Arc::new(client_config(&ours, Some(&friend), &VERSIONS));
    for _ in 0..2 {
        drop(upgrade(server.port, Arc::clone(&client)));
        assert_eq!(seen.next(), Seen::Open);
        seen.until_close();
    }
    expect_ok(server.set_tls(&demanding(&theirs)));
    // TLS 1.3: the client may take the handshake for done before it is refused.
    let refused = secure(server.port, Arc::clone(&client)).and_then(|mut stream| {
        use std::io::Read;
        stream.read(&mut [0; 100])
    });
    refused.unwrap_err();
    // And nobody is asked any more.
    expect_ok(server.set_tls(&being(&ours.issue(LOCAL))));
    upgrade(server.port, client_config(&ours, None, &VERSIONS));
    assert_eq!(seen.next(), Seen::Open);
}

#[test]
fn a_reload_that_cannot_be_leaves_the_server_as_it_was() {
    let authority = Authority::new();
    let it = Running::new(&authority);
    assert_eq!(it.server.set_tls(&Options::new()), ERR_ARGUMENT);
    upgrade(it.server.port, client_config(&authority, None, &VERSIONS));
    assert_eq!(it.seen.next(), Seen::Open);

    let identity = authority.issue(LOCAL);
    let (plain, _seen) = it.runtime.listen(&Options::new());
    assert_eq!(plain.set_tls(&being(&identity)), ERR_STATE);
    assert_eq!(it.server.close(), OK);
    assert_eq!(it.server.set_tls(&being(&identity)), ERR_HANDLE);
}

#[test]
fn many_reloads_while_clients_come_refuse_nobody() {
    const CLIENTS: usize = 40;
    let authority = Authority::new();
    let it = Running::new(&authority);
    let identities = [authority.issue(LOCAL), authority.issue(LOCAL)].map(|it| being(&it));
    let port = it.server.port;
    let config = client_config(&authority, None, &VERSIONS);
    let clients = thread::spawn(move || {
        let config = Arc::new(config);
        for _ in 0..CLIENTS {
            upgrade(port, Arc::clone(&config));
        }
    });
    for options in identities.iter().cycle() {
        expect_ok(it.server.set_tls(options));
        if clients.is_finished() {
            break;
        }
    }
    clients.join().unwrap();
}

#[test]
fn a_handler_may_reload_its_server_and_close_it() {
    let (old, new) = (Authority::new(), Authority::new());
    let server: Arc<OnceLock<Server>> = Arc::default();
    let renewed = being(&new.issue(LOCAL));
    let its = Arc::clone(&server);
    let runtime = Runtime::new();
    let options = being(&old.issue(LOCAL));
    let (listening, seen) = runtime.listen_at("wss://127.0.0.1:0/", &options, move |_, seen| {
        if let (Some(server), Seen::Message { .. }) = (its.get(), seen) {
            expect_ok(server.set_tls(&renewed));
            expect_ok(server.close());
        }
    });
    let port = listening.port;
    assert!(server.set(listening).is_ok());
    let mut peer = upgrade(port, client_config(&old, None, &VERSIONS));
    assert_eq!(seen.next(), Seen::Open);
    peer.send_frame(FIN | TEXT, b"now");
    assert_eq!(peer.read_frame().close_code(), Some(1001));
}
