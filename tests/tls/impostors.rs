//! Clients that are not who they say, at a server that takes some only.

use std::io::{ErrorKind, Read, Write};

use crate::abi::{Seen, functions};
use crate::ends::{Served, dial, upgrade};
use crate::support::REQUEST;
use crate::support::impostors::Impostor;
use crate::support::tls::{ClientStream, VERSIONS, ask, client_config, shake_hands};
use crate::support::wire::{self, FIN, TEXT};

/// A server that takes the clients of its own authority only.
pub fn demanding() -> Served {
    Served::with(|options, authority| {
        options.set_text(functions().options_set_tls_client_ca, authority.pem())
    })
}

#[test]
fn g_clients_whose_certificates_are_bad_are_refused_and_others_are_served() {
    let served = demanding();
    for impostor in Impostor::all(&served.authority) {
        for version in VERSIONS {
            let config = impostor.config(&served.authority, version);
            let what = impostor.what;
            let error = try_to_upgrade(&mut ask(dial(served.port), config)).expect_err(what);
            // It is told why, unless the reset of what it has sent is faster.
            let is_refused = match error.kind() {
                ErrorKind::InvalidData => error.to_string().contains("received fatal alert"),
                // rustls has no alert for that.
                ErrorKind::UnexpectedEof => what == "more than a message has room for",
                kind => [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&kind),
            };
            assert!(is_refused, "{what}: {error}");
        }
        assert_eq!(served.seen.so_far(), []);
    }
    let friend = served.authority.issue(&["client"]);
    let config = client_config(&served.authority, Some(&friend), &VERSIONS);
    let mut peer = upgrade(served.port, config);
    assert_eq!(served.seen.next(), Seen::Open);
    peer.send_frame(FIN | TEXT, b"alive");
    assert_eq!(served.seen.next(), Seen::text("alive"));
    peer.send(&wire::close(1000, b""));
    assert_eq!(peer.read_to_end().len(), 1);
    drop(peer);
    assert_eq!(served.seen.next(), Seen::clean(1000, ""));
}

/// Its own handshake may be over before it is judged.
fn try_to_upgrade(stream: &mut ClientStream) -> std::io::Result<()> {
    shake_hands(stream)?;
    stream.write_all(REQUEST)?;
    stream.read_exact(&mut [0])
}
