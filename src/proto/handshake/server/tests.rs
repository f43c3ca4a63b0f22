use super::*;
use crate::proto::handshake::{Client, MAX_FIELDS, MAX_HEAD, Request};

/// The valid request with a line replaced by others, or with others in addition.
fn request(replaced: &str, by: &str) -> Vec<u8> {
    let mut lines: Vec<&str> = LINES.to_vec();
    match lines.iter_mut().find(|line| **line == replaced) {
        Some(line) => *line = by,
        None => lines.push(by),
    }
    lines.retain(|line| !line.is_empty());
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

fn upgrade(replaced: &str, by: &str) -> Upgrade {
    let request = request(replaced, by);
    let (consumed, upgrade) = Server::new().receive(&request).expect(by);
    assert_eq!(consumed, request.len());
    upgrade.unwrap()
}

fn refusal(bytes: &[u8]) -> Refusal {
    match Server::new().receive(bytes) {
        Err(refusal) => refusal,
        Ok(result) => panic!("{:?}: {result:?}", String::from_utf8_lossy(bytes)),
    }
}

#[test]
fn legal_requests_are_accepted_in_any_pieces_and_what_follows_is_left() {
    let long = format!("x: {}", "y".repeat(12_000));
    for (replaced, by) in [
        ("", ""),
        (GET, "GET /a?b HTTP/1.2"),
        (HOST, "HOST: [::1]:9001"),
        (UPGRADE, "upgrade: h2c, WebSocket"),
        (CONNECTION, "Connection: keep-alive, Upgrade"),
        (CONNECTION, "connection: a\r\nConnection:\tUPGRADE"),
        ("", "Content-Length: 0"),
        ("", "Sec-WebSocket-Protocol: ,a ,, b"),
        ("", "Sec-WebSocket-Extensions: constructor"),
        ("", &long),
    ] {
        let head = request(replaced, by);
        let whole = [&head[..], b"\x81\x80abcd"].concat();
        for at in (0..head.len()).filter(|at| *at < 600 || at % 100 == 0) {
            let mut server = Server::new();
            let (a, b) = whole.split_at(at);
            let (consumed, none) = server.receive(a).expect(by);
            assert_eq!((consumed, none.is_none()), (at, true), "{by:?} cut at {at}");
            let (consumed, upgrade) = server.receive(b).expect(by);
            assert_eq!((consumed, upgrade.is_some()), (head.len() - at, true));
        }
        let mut server = Server::new();
        let upgrades = head
            .chunks(1)
            .filter_map(|byte| server.receive(byte).unwrap().1);
        assert_eq!(upgrades.count(), 1);
    }
}

#[test]
fn wrong_requests_are_refused_with_status_and_sentence() {
    for (replaced, by, status, complaint) in [
        (GET, "POST /chat HTTP/1.1", 405, "\"POST\""),
        (GET, "get /chat HTTP/1.1", 405, "\"get\""),
        (GET, "GET /chat HTTP/1.0", 426, "HTTP/1.0"),
        (GET, "GET /chat HTTP/2.0", 505, "HTTP/2.0"),
        (GET, "PRI * HTTP/2.0", 505, "HTTP/2.0"),
        (GET, "GET /chat HTTP/0.9", 505, "HTTP/0.9"),
        (GET, "GET /chat", 400, "\"GET /chat\""),
        (GET, "GET  /chat HTTP/1.1", 400, "first line"),
        (GET, "GET /chat#x HTTP/1.1", 400, "\"/chat#x\""),
        (GET, "GET chat HTTP/1.1", 400, "\"chat\""),
        (GET, "GET * HTTP/1.1", 400, "\"*\""),
        (GET, "GET a:80 HTTP/1.1", 400, "\"a:80\""),
        (GET, "GET ftp://a/ HTTP/1.1", 400, "\"ftp://a/\""),
        (GET, "GET http:///a HTTP/1.1", 400, "target"),
        (GET, "GET http://u@a/ HTTP/1.1", 400, "target"),
        (HOST, "", 400, "Host is needed, not none"),
        (HOST, "Host:", 400, "Host"),
        (HOST, "Host: a b", 400, "\"a b\""),
        (HOST, "Host: a/b", 400, "\"a/b\""),
        (HOST, "Host: u@a", 400, "\"u@a\""),
        ("", "host: a.example", 400, "\"a.example, a.example\""),
        (UPGRADE, "", 426, "Upgrade"),
        (UPGRADE, "Upgrade: websockets", 426, "Upgrade"),
        (CONNECTION, "", 426, "Connection"),
        (CONNECTION, "Connection: keep-alive", 426, "Connection"),
        (VERSION, "", 426, "none"),
        (VERSION, "Sec-WebSocket-Version: 8", 426, "\"8\""),
        (VERSION, "Sec-WebSocket-Version: 13, 8", 426, "\"13, 8\""),
        (VERSION, "Sec-WebSocket-Version: 013", 426, "\"013\""),
        ("", "Sec-WebSocket-Version: 13", 426, "\"13, 13\""),
        (KEY, "", 400, "Sec-WebSocket-Key"),
        (KEY, "Sec-WebSocket-Key:", 400, "Sec-WebSocket-Key"),
        (
            KEY,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=",
            400,
            "16 bytes",
        ),
        (
            KEY,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE=",
            400,
            "16 bytes",
        ),
        (
            KEY,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWEh",
            400,
            "16 bytes",
        ),
        (
            KEY,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZS!ub25jZQ==",
            400,
            "16 bytes",
        ),
        (
            KEY,
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===",
            400,
            "16 bytes",
        ),
        (
            "",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            400,
            "one",
        ),
        ("", "Content-Length: 5", 400, "\"5\""),
        ("", "Content-Length: 0\r\nContent-Length: 5", 400, "\"5\""),
        ("", "Content-Length: 00", 400, "\"00\""),
        ("", "Content-Length: -1", 400, "\"-1\""),
        ("", "Transfer-Encoding: chunked", 400, "Transfer-Encoding"),
        ("", "Transfer-Encoding:", 400, "Transfer-Encoding"),
        (
            "",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            400,
            "no body",
        ),
        ("", "Sec-WebSocket-Protocol: a, b c", 400, "\"b c\""),
        (
            "",
            "Sec-WebSocket-Protocol: a\r\nsec-websocket-protocol: /b",
            400,
            "\"/b\"",
        ),
        ("", " folded", 400, "folded"),
        ("", "a : b", 400, "\"a : b\""),
        ("", "a\0: b", 400, "0x00"),
        ("", "a: b\rc: d", 400, "CR without LF"),
        ("", "a: b\nc: d", 400, "LF without CR"),
        (
            "",
            &format!("a: {}", "b".repeat(128 << 10)),
            431,
            "limit of 16384 bytes",
        ),
        (
            GET,
            &format!("GET /{} HTTP/1.1", "a".repeat(128 << 10)),
            431,
            "16384",
        ),
        (
            "",
            "a: b\r\n".repeat(MAX_FIELDS).trim_end(),
            431,
            "limit of 100 fields",
        ),
    ] {
        let refusal = refusal(&request(replaced, by));
        let by = by.get(..80).unwrap_or(by);
        assert_eq!(refusal.status, status, "{by:?}: {}", refusal.sentence);
        assert!(
            refusal.sentence.contains(complaint),
            "{by:?}: {}",
            refusal.sentence
        );
        assert!(refusal.sentence.len() < 200, "{by:?}: {}", refusal.sentence);
    }
}

#[test]
fn lists_made_to_be_slow_are_read_in_no_time() {
    let room = MAX_HEAD - request("", "").len() - 100;
    for (by, accepted) in [
        (
            format!(
                "Sec-WebSocket-Extensions: a; b=\"{}",
                "\\c".repeat(room / 2)
            ),
            true,
        ),
        (
            format!("Sec-WebSocket-Protocol: b{}x", " ".repeat(room)),
            false,
        ),
        (
            format!("Sec-WebSocket-Protocol: {}", ",".repeat(room)),
            true,
        ),
        (format!("Connection: {}", " ,".repeat(room / 2)), true),
    ] {
        let start = std::time::Instant::now();
        for _ in 0..10 {
            assert_eq!(Server::new().receive(&request("", &by)).is_ok(), accepted);
        }
        assert!(start.elapsed().as_secs() < 5, "{}", &by[..40]);
    }
}

#[test]
fn rubbish_is_refused_before_a_head_of_it_is_complete() {
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"\0",
        b"\n",
        b"GET / HTTP/1.1\n",
        b"\x81\x05",
    ] {
        assert_eq!(refusal(rubbish).status, 400, "{rubbish:?}");
    }
}

#[test]
fn an_absolute_target_says_host_and_path() {
    for (line, host, target) in [
        (GET, "a.example", "/chat?x=1"),
        (
            "GET http://b.example:81/c?d HTTP/1.1",
            "b.example:81",
            "/c?d",
        ),
        ("GET WSS://b.example HTTP/1.1", "b.example", "/"),
        ("GET http://b.example?d=/ HTTP/1.1", "b.example", "/?d=/"),
        (
            "GET /http://b.example/ HTTP/1.1",
            "a.example",
            "/http://b.example/",
        ),
    ] {
        let upgrade = upgrade(GET, line);
        assert_eq!(upgrade.host(), host, "{line:?}");
        assert_eq!(upgrade.field("hOST").unwrap(), host, "{line:?}");
        assert_eq!(upgrade.target(), target, "{line:?}");
    }
}

#[test]
fn the_upgrade_tells_what_was_asked() {
    let upgrade = upgrade(
        "",
        "Origin: http://o\r\nSec-WebSocket-Protocol: b, a\r\nsec-websocket-protocol: c\r\n\
         Sec-WebSocket-Extensions: x; y=1\r\nSec-WebSocket-Extensions: z",
    );
    assert_eq!(upgrade.origin().unwrap(), "http://o");
    assert!(upgrade.subprotocols().eq(["b", "a", "c"]));
    assert_eq!(upgrade.extensions().unwrap(), "x; y=1, z");
    assert_eq!(upgrade.head().field("sec-websocket-version").unwrap(), "13");
    assert_eq!(upgrade.into_head().method(), "GET");
}

#[test]
fn the_servers_first_subprotocol_that_is_offered_wins() {
    for (offered, supported, chosen) in [
        ("a, b", &["b", "a"][..], Some("b")),
        ("a", &["b", "a"], Some("a")),
        ("A", &["a"], None),
        ("a", &[], None),
        ("", &["a"], None),
        ("ab", &["a"], None),
    ] {
        let supported: Vec<String> = supported.iter().map(ToString::to_string).collect();
        let upgrade = upgrade("", &format!("Sec-WebSocket-Protocol: {offered}"));
        assert_eq!(
            upgrade.choose_subprotocol(&supported),
            chosen,
            "{offered:?}"
        );
    }
}

#[test]
fn the_answer_says_everything_in_order() {
    let headers = [("X-a".to_owned(), "1".to_owned())];
    let answer = upgrade("", "").accept(Some("p"), Some("e"), &headers, Some("s"));
    let expected = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: p",
        "Sec-WebSocket-Extensions: e",
        "Server: s",
        "X-a: 1",
        "\r\n",
    ];
    assert_eq!(String::from_utf8(answer).unwrap(), expected.join("\r\n"));
    let plain = upgrade("", "").accept(None, None, &[], None);
    assert_eq!(String::from_utf8(plain).unwrap().lines().count(), 5);
}

#[test]
fn refusals_say_what_their_status_obliges_them_to() {
    let text = |refusal: &Refusal| String::from_utf8(refusal.response()).unwrap();
    let version = refusal(&request(VERSION, "Sec-WebSocket-Version: 8"));
    let expected = [
        "HTTP/1.1 426 Upgrade Required",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Connection: Upgrade, close",
        "Content-Type: text/plain; charset=utf-8",
        &format!("Content-Length: {}", version.sentence.len()),
        "",
        &version.sentence,
    ];
    assert_eq!(text(&version), expected.join("\r\n"));
    let method = refusal(&request(GET, "PUT / HTTP/1.1"));
    assert!(text(&method).starts_with("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n"));

    let head = refusal(&request(GET, "HEAD / HTTP/1.1"));
    assert!(text(&head).starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
    let length = format!("Content-Length: {}\r\n\r\n", head.sentence.len());
    assert!(text(&head).ends_with(&length));

    let own = Refusal::new(403, "not you, \u{e4}").unwrap();
    assert!(text(&own).starts_with("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n"));
    assert!(text(&own).ends_with("\r\nContent-Length: 11\r\n\r\nnot you, \u{e4}"));
    assert!(text(&Refusal::new(599, "").unwrap()).starts_with("HTTP/1.1 599 \r\n"));
    let headers = [("Location", "/b"), ("content-type", "text/html")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let more = Refusal::new(302, "").unwrap().with_headers(headers.into());
    assert_eq!(
        text(&more),
        "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /b\r\n\
         content-type: text/html\r\nContent-Length: 0\r\n\r\n"
    );
    for bad in [0, 99, 100, 101, 200, 299, 304, 600, 1000, u16::MAX] {
        assert!(
            matches!(Refusal::new(bad, ""), Err(Error::Argument(_))),
            "{bad}"
        );
    }
}

#[test]
fn client_and_server_agree_with_each_other() {
    let offered = ["b".to_owned(), "a".to_owned()];
    let headers = [("X-Own".to_owned(), "1".to_owned())];
    let ask = Request {
        host: "a.example",
        target: "/c?d",
        authorization: Some("Basic eA=="),
        origin: Some("http://o"),
        user_agent: Some("u"),
        subprotocols: &offered,
        headers: &headers,
        extensions: Some("e; f"),
    };
    for (ask, supported, subprotocol, extensions) in [
        (ask, &["a".to_owned()][..], Some("a"), "e"),
        (ask, &offered, Some("b"), ""),
        (
            Request {
                subprotocols: &[],
                ..ask
            },
            &offered,
            None,
            "e",
        ),
        (
            Request {
                subprotocols: &[],
                extensions: None,
                ..ask
            },
            &[],
            None,
            "",
        ),
    ] {
        let (mut client, request) = Client::new(&ask).unwrap();
        let (_, upgrade) = Server::new().receive(&request).unwrap();
        let upgrade = upgrade.unwrap();
        assert_eq!(
            (&*upgrade.host(), &*upgrade.target()),
            (ask.host, ask.target)
        );
        assert_eq!(upgrade.origin().as_deref(), ask.origin);
        assert_eq!(upgrade.extensions().as_deref(), ask.extensions);
        assert_eq!(upgrade.head().field("x-own").unwrap(), "1");
        let chosen = upgrade.choose_subprotocol(supported);
        let agreed = Some(extensions).filter(|it| !it.is_empty());
        let answer = upgrade.accept(chosen, agreed, &headers, Some("s"));
        let (consumed, accepted) = client.receive(&answer).unwrap();
        let accepted = accepted.unwrap();
        assert_eq!(consumed, answer.len());
        assert_eq!(accepted.subprotocol.as_deref(), subprotocol);
        assert_eq!(accepted.extensions, extensions);
    }
}

#[test]
fn the_client_reads_every_refusal() {
    let ask = Request {
        host: "a",
        target: "/",
        ..Request::default()
    };
    for status in (300..600).filter(|status| *status != 304) {
        let (mut client, _) = Client::new(&ask).unwrap();
        let answer = Refusal::new(status, "because").unwrap().response();
        assert!(
            matches!(client.receive(&answer), Err(Error::Http(_))),
            "{status}"
        );
        let (head, body) = client.into_response();
        assert_eq!(
            (head.unwrap().status(), &body[..]),
            (status, &b"because"[..])
        );
    }
}

const GET: &str = "GET /chat?x=1 HTTP/1.1";
const HOST: &str = "Host: a.example";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const VERSION: &str = "Sec-WebSocket-Version: 13";
const LINES: &[&str] = &[GET, HOST, UPGRADE, CONNECTION, KEY, VERSION];
