//! A hostile peer, made by hand, attacks the library in a process whose memory and time are
//! measured from outside. The attacks are a catalogue of what has brought down WebSocket libraries;
//! each has a test in one of the files beside this one, whose name begins with its id.

#![cfg(target_os = "linux")]

#[path = "../abi/mod.rs"]
mod abi;
mod close;
mod deflate;
mod flow;
mod frames;
mod handshake;
#[allow(dead_code, reason = "the abuses in tests/abuse use more of it")]
mod secure;
#[path = "../support/mod.rs"]
mod support;
mod target;
mod text;
mod tls;
#[allow(dead_code, reason = "the same")]
mod victim;
#[allow(dead_code, reason = "the same")]
mod words;

/// Every attack: its id, and what the peer does.
const ATTACKS: &[(&str, &str)] = &[
    ("A1", "answers with a wrong accept key"),
    (
        "A2",
        "answers without Upgrade or Connection, or with 200 or 204",
    ),
    ("A3", "redirects"),
    ("A4", "refuses with a body, also one without end"),
    (
        "A5",
        "answers with extensions that were not offered, or malformed ones",
    ),
    ("A6", "answers with a subprotocol that was not offered"),
    ("A7", "sends a head without end"),
    ("A8", "sends malformed lines"),
    ("A9", "answers slowly, or not at all, or half"),
    (
        "A10",
        "gives the 101 a body, or sends interim responses before it",
    ),
    (
        "A11",
        "answers in an unusual but legal way, which has to work",
    ),
    ("A12", "is the application: it injects line breaks"),
    ("A13", "looks for keys that come twice"),
    ("B1", "masks as a server, or does not as a client"),
    ("B2", "uses reserved bits and opcodes"),
    ("B3", "fragments control frames, or makes them long"),
    ("B4", "writes lengths in a form that is too long"),
    ("B5", "declares lengths of which nothing comes"),
    ("B6", "exceeds the limit by the sum of fragments"),
    ("B7", "mixes the frames of messages"),
    ("B8", "floods with tiny fragments"),
    ("B9", "floods with pings and does not read"),
    (
        "B10",
        "pings inside messages, sends pongs unasked, and tiny messages",
    ),
    ("B11", "sends a bad header and withholds the payload"),
    ("B12", "breaks the protocol behind a thousand good messages"),
    ("B13", "ends or resets the stream at any place"),
    ("B14", "looks for masks that repeat"),
    ("B15", "has room for a few bytes at a time"),
    ("C1", "sends Close with a bad code or length"),
    ("C2", "sends Close with a reason that is not UTF-8"),
    ("C3", "sends Close with every good code"),
    ("C4", "goes on after its Close frame"),
    ("C5", "never answers Close, or floods instead, or keeps TCP"),
    ("C6", "closes inside a fragmented message"),
    (
        "C7",
        "is the application: it closes with what must not be sent",
    ),
    ("C8", "closes at the same time"),
    ("C9", "closes while a write is under way"),
    ("D", "sends text that is not UTF-8"),
    ("E1", "sends bombs"),
    (
        "E2",
        "sends what is not deflate data, or refers beyond the window",
    ),
    ("E3", "marks continuations and control frames as compressed"),
    ("E4", "compresses text that is not UTF-8"),
    (
        "E5",
        "ends the stream with a final block, and other legal rarities",
    ),
    ("E6", "ends a message inside a block"),
    ("E7", "floods with empty blocks"),
    ("E8", "chooses text that is compressed beside a secret"),
    ("E9", "opens many connections that compress, and idles"),
    ("F1", "does not read"),
    ("F2", "floods an application that is slow"),
    ("F3", "does not answer pings, or with another payload"),
    ("F4", "sends a frame drop by drop"),
    ("F5", "connects many times and says nothing"),
    ("F6", "sees the process stand still"),
    (
        "G",
        "attacks TLS; tests/tls has those that need no process of their own",
    ),
    ("J1", "is gone while the library writes"),
];

/// The attacks that have no test, and why.
const WITHOUT_TEST: &[(&str, &str)] = &[];

#[test]
fn the_same_is_withstood_in_every_delivery() {
    abi::in_every_other_delivery_at_once("the_same_is_withstood_in_every_delivery");
}

#[test]
fn every_attack_has_a_test_or_a_reason() {
    let sources = [
        include_str!("close.rs"),
        include_str!("deflate.rs"),
        include_str!("flow.rs"),
        include_str!("frames.rs"),
        include_str!("handshake.rs"),
        include_str!("text.rs"),
        include_str!("tls.rs"),
    ];
    let mut tested = 0;
    for (id, does) in ATTACKS {
        let name = format!("#[test]\nfn {}_", id.to_lowercase());
        let is_tested = sources.iter().any(|source| source.contains(&name));
        let has_reason = WITHOUT_TEST.iter().any(|(other, _)| other == id);
        assert!(is_tested != has_reason, "{id}: the peer {does}");
        tested += usize::from(is_tested);
    }
    println!("{} attacks: {tested} have a test", ATTACKS.len());
}

#[test]
fn the_server_withstands_the_same_with_masks_of_zero() {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "frames::",
            "close::",
            "text::",
            "deflate::e1",
            "deflate::e2",
            "deflate::e3",
            "deflate::e4",
            "deflate::e5",
            "deflate::e6",
            "deflate::e7",
        ])
        .env(support::wire::ZERO_MASKS, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// Not a test: the process that the other tests start.
#[test]
fn the_process_that_is_attacked() {
    victim::run_if_told();
}
