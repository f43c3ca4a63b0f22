//! The rules of the browser's WebSocket (the WHATWG standard) and of RFC 6455, as far as they
//! concern a library: each has a test in one of the files beside this one, whose name begins with
//! the rule's id. The library is called through the C interface; its peer is made by hand.
//!
//! Where `include/wsabi.h` deviates from the browser on purpose, the test is of what it says.

#[path = "../abi/mod.rs"]
mod abi;
mod close;
mod deflate;
mod events;
mod framing;
mod handshake;
mod pair;
mod send;
mod subprotocols;
#[path = "../support/mod.rs"]
mod support;
mod url;

/// Every rule: its id, and what it says.
const RULES: &[(&str, &str)] = &[
    (
        "U1",
        "what the WHATWG parser refuses is no URL, and there is no socket",
    ),
    (
        "U2",
        "http means ws and https wss; other schemes are refused",
    ),
    ("U3", "a fragment is refused, even an empty one"),
    ("U4", "a relative URL is resolved against the document"),
    ("U5", "the URL can be read in its normal form"),
    (
        "U6",
        "connecting begins at once, and the state is CONNECTING",
    ),
    ("U7", "some ports are blocked"),
    (
        "U8",
        "the request names path and query, never the credentials",
    ),
    ("P1", "a subprotocol is a token"),
    ("P2", "no subprotocol comes twice, in whatever letter case"),
    ("P3", "subprotocols are offered in one field, in order"),
    (
        "P4",
        "a server that takes none of the offered subprotocols fails the connection",
    ),
    (
        "P5",
        "a server that takes another subprotocol fails the connection",
    ),
    (
        "P6",
        "the subprotocol is known from OPEN on, and empty before",
    ),
    (
        "P7",
        "a server takes at most one of the offered subprotocols",
    ),
    (
        "H1",
        "the request has the fields of RFC 6455 and a fresh key",
    ),
    ("H2", "only 101 is a success; redirects are not followed"),
    (
        "H3",
        "Upgrade and Connection are lists of tokens in any letter case",
    ),
    ("H4", "the accept key has to be the right one"),
    (
        "H5",
        "an extension that was not offered fails the connection",
    ),
    (
        "H6",
        "the response comes in any segments, also together with frames",
    ),
    ("H7", "the response's head is limited, and well-formed"),
    (
        "H8",
        "every failure to connect is ERROR and CLOSE with 1006",
    ),
    ("H9", "cookies of the response are stored"),
    ("H10", "credentials of the URL become Basic authorization"),
    (
        "E1",
        "OPEN, messages, ERROR, CLOSE: in this order, CLOSE once and last",
    ),
    (
        "E2",
        "in OPEN the state, the extensions and the subprotocol are there",
    ),
    ("E3", "no message comes after close"),
    (
        "E4",
        "messages before the peer's Close frame still come; then it is CLOSING",
    ),
    ("E5", "ERROR comes if and only if the connection failed"),
    (
        "E6",
        "CLOSE tells code, reason and whether both sides agreed",
    ),
    ("E7", "OPEN is not missed"),
    ("E8", "the state never goes back"),
    ("E9", "a message has an origin"),
    ("E10", "who goes away says 1001"),
    ("E11", "ERROR tells nothing"),
    ("S1", "before OPEN nothing can be sent"),
    ("S2", "from CLOSING on nothing is sent"),
    (
        "S3",
        "the buffered amount counts the bytes of the application",
    ),
    (
        "S4",
        "the buffered amount stays when the connection has ended",
    ),
    ("S5", "what cannot be buffered fails the connection"),
    ("S6", "text is Unicode"),
    ("S7", "messages may be empty"),
    ("S8", "the lengths at which headers change arrive whole"),
    ("S9", "the caller's memory is its own again after the call"),
    ("S10", "sending does not wait"),
    (
        "K1",
        "a code that must not be sent is refused, in every state",
    ),
    (
        "K2",
        "a reason of more than 123 bytes is refused, in every state",
    ),
    ("K3", "close without a code is 1005 for both sides"),
    ("K4", "close with a code sends it, and the reason behind it"),
    ("K5", "there is no reason without a code"),
    ("K6", "close on a closing or closed socket does nothing"),
    ("K7", "close before OPEN gives up"),
    (
        "K8",
        "messages before close are sent before the Close frame",
    ),
    ("K9", "a reason is Unicode"),
    (
        "K10",
        "the codes that an endpoint may send go over the wire",
    ),
    ("1000", "a normal end, by either peer"),
    ("1001", "this end or the other goes away"),
    ("1002-1014", "come from a Close frame"),
    ("1005", "a Close frame without a code; never on the wire"),
    ("1006", "no Close frame; never on the wire"),
    ("1015", "is never reported, nor on the wire"),
    ("F1", "clients mask and servers do not, or 1002"),
    ("F2", "reserved bits need an extension, or 1002"),
    ("F3", "reserved opcodes: 1002"),
    ("F4", "control frames are whole and short, or 1002"),
    ("F5", "the frames of messages do not mix, or 1002"),
    ("F6", "a length of 64 bits has no top bit, or 1002"),
    (
        "F7",
        "a Close frame has no payload, or a legal code and a reason",
    ),
    (
        "F8",
        "text that is not UTF-8 fails at its first wrong byte: 1007",
    ),
    (
        "F9",
        "a ping is answered with its payload; pongs need no ping",
    ),
    (
        "F10",
        "Close is answered by Close, and the server ends TCP first",
    ),
    ("F11", "control frames may come inside a fragmented message"),
    ("F12", "every frame of a client has a fresh mask"),
    ("F13", "permessage-deflate (RFC 7692)"),
];

/// The rules that a library in a program cannot break or keep, and why.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    (
        "U7",
        "browsers protect other servers from the pages they run; a program is trusted",
    ),
    (
        "E9",
        "a program knows from which socket a message is; WSABI_FACT_URL has its URL",
    ),
];

#[test]
fn the_rules_hold_in_every_delivery() {
    abi::in_every_other_delivery("the_rules_hold_in_every_delivery");
}

#[test]
fn every_rule_has_a_test_or_a_reason() {
    let sources = [
        include_str!("close.rs"),
        include_str!("deflate.rs"),
        include_str!("events.rs"),
        include_str!("framing.rs"),
        include_str!("handshake.rs"),
        include_str!("send.rs"),
        include_str!("subprotocols.rs"),
        include_str!("url.rs"),
    ];
    let is_tested = |id: &str| {
        let is_code = id.starts_with(char::is_numeric);
        let id = id.to_lowercase().replace('-', "_to_");
        let name = format!("#[test]\nfn {}{id}_", if is_code { "code_" } else { "" });
        sources.iter().any(|source| source.contains(&name))
    };
    let mut tested = 0;
    for (id, says) in RULES {
        let reason = NOT_APPLICABLE.iter().find(|(other, _)| other == id);
        assert!(
            is_tested(id) != reason.is_some(),
            "{id}, {says}: it needs either a test or a reason"
        );
        tested += usize::from(reason.is_none());
    }
    let all = RULES.len();
    let reasons = NOT_APPLICABLE.len();
    assert_eq!(tested + reasons, all, "every reason is for a rule");
    println!("{all} rules: {tested} have a test, {reasons} a reason to have none");
}
