use std::collections::HashSet;

use super::*;
use crate::proto::handshake::{MAX_FIELDS, MAX_HEAD};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn client(subprotocols: &[&str], extensions: Option<&str>) -> Client {
    let subprotocols = strings(subprotocols);
    let request = Request {
        host: "a",
        target: "/",
        subprotocols: &subprotocols,
        extensions,
        ..Request::default()
    };
    let (mut client, _) = Client::new(&request).unwrap();
    client.accept_key = KEY.to_owned();
    client
}

fn receive(client: &mut Client, pieces: &[&[u8]]) -> Result<(usize, Option<Accepted>)> {
    let mut total = 0_usize;
    for piece in pieces {
        let (consumed, accepted) = client.receive(piece)?;
        total = total.saturating_add(consumed);
        if accepted.is_some() {
            return Ok((total, accepted));
        }
        assert_eq!(consumed, piece.len());
    }
    Ok((total, None))
}

/// The valid response with a line replaced by others, or with others in addition.
fn response(replaced: &str, by: &str) -> Vec<u8> {
    let mut lines: Vec<&str> = LINES.to_vec();
    match lines.iter_mut().find(|line| **line == replaced) {
        Some(line) => *line = by,
        None => lines.push(by),
    }
    lines.retain(|line| !line.is_empty());
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

#[test]
fn the_request_says_everything_in_order() {
    let headers = [("X-Lower-case".to_owned(), "1".to_owned())];
    let subprotocols = strings(&["b", "a"]);
    let request = Request {
        host: "a.example:81",
        target: "/b?c",
        authorization: Some("Basic x"),
        origin: Some("http://o"),
        user_agent: Some("u/1"),
        subprotocols: &subprotocols,
        headers: &headers,
        extensions: Some("permessage-deflate"),
    };
    let (client, bytes) = Client::new(&request).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let key = text
        .lines()
        .find_map(|it| it.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    assert_eq!(client.accept_key, derive_accept_key(key.as_bytes()));
    let expected = [
        "GET /b?c HTTP/1.1",
        "Host: a.example:81",
        "Upgrade: websocket",
        "Connection: Upgrade",
        &format!("Sec-WebSocket-Key: {key}"),
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: b, a",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Origin: http://o",
        "User-Agent: u/1",
        "Authorization: Basic x",
        "X-Lower-case: 1",
        "\r\n",
    ];
    assert_eq!(text, expected.join("\r\n"));
}

#[test]
fn a_plain_request_says_no_more_than_it_must() {
    let (_, bytes) = Client::new(&Request {
        host: "a",
        target: "/",
        ..Default::default()
    })
    .unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap().lines().count(), 7);
}

#[test]
fn the_applications_authorization_replaces_that_of_the_url() {
    let headers = [("authorization".to_owned(), "Bearer x".to_owned())];
    let request = Request {
        host: "a",
        target: "/",
        authorization: Some("Basic x"),
        headers: &headers,
        ..Request::default()
    };
    let (_, bytes) = Client::new(&request).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("\r\nauthorization: Bearer x\r\n") && !text.contains("Basic"));
}

#[test]
fn every_attempt_has_a_fresh_key_of_16_bytes() {
    let keys: HashSet<String> = (0..1000).map(|_| random_key().unwrap()).collect();
    assert_eq!(keys.len(), 1000);
    for key in keys {
        assert_eq!(
            data_encoding::BASE64.decode(key.as_bytes()).unwrap().len(),
            16
        );
    }
}

#[test]
fn the_key_of_the_rfc_is_answered_as_there() {
    assert_eq!(derive_accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), KEY);
}

#[test]
fn legal_responses_are_accepted_in_any_pieces_and_nothing_behind_them_is_lost() {
    let long = format!("x: {}", "y".repeat(12_000));
    for (replaced, by) in [
        ("", ""),
        (STATUS, "HTTP/1.1 101"),
        (STATUS, "HTTP/1.1 101 \u{e4} we go"),
        (UPGRADE, "UPGRADE:WebSocket"),
        (UPGRADE, "Upgrade: h2c\r\nUpgrade: websocket"),
        (CONNECTION, "Connection: keep-alive, Upgrade"),
        (
            CONNECTION,
            "Connection: keep-alive\r\nconnection: x ,\tUPGRADE\t,",
        ),
        (
            ACCEPT,
            "sec-websocket-accept:\t s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \t",
        ),
        (
            STATUS,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 101 x",
        ),
        ("", "Sec-WebSocket-Extensions:"),
        ("", "Content-Length: 5"),
        ("", &long),
    ] {
        let head = response(replaced, by);
        let whole = [&head[..], b"\x81\x01a"].concat();
        let expected = Some(Accepted {
            subprotocol: None,
            extensions: String::new(),
        });
        for at in (0..whole.len()).filter(|at| *at < 600 || at % 100 == 0) {
            let (a, b) = whole.split_at(at);
            let result = receive(&mut client(&[], None), &[a, b]);
            assert_eq!(
                result.unwrap(),
                (head.len(), expected.clone()),
                "{by:?} cut at {at}"
            );
        }
        let mut client = client(&[], None);
        let pieces: Vec<_> = whole.chunks(1).collect();
        assert_eq!(
            receive(&mut client, &pieces).unwrap(),
            (head.len(), expected)
        );
        assert_eq!(client.response().unwrap().status(), 101);
        let (response, body) = client.into_response();
        assert_eq!((response.unwrap().status(), body), (101, Vec::new()));
    }
}

#[test]
fn wrong_responses_fail_with_a_sentence() {
    for (replaced, by, complaint) in [
        (STATUS, "HTTP/1.0 101 x", "HTTP/1.0"),
        (STATUS, "HTTP/1.1 0101 x", "0101"),
        (STATUS, "HTTP/1.1 1O1 x", "1O1"),
        (STATUS, "HTTP/2 101", "no HTTP/1.1"),
        (UPGRADE, "", "no such field"),
        (UPGRADE, "Upgrade: h2c", "\"h2c\""),
        (UPGRADE, "Upgrade: websockets", "\"websockets\""),
        (UPGRADE, "Upgrade : websocket", "malformed line"),
        (UPGRADE, "Upgrade:\r\n websocket", "folded"),
        (CONNECTION, "", "no such field"),
        (CONNECTION, "Connection: close", "\"close\""),
        (CONNECTION, "Connection: not-upgrade", "\"not-upgrade\""),
        (ACCEPT, "", "Sec-WebSocket-Accept"),
        (ACCEPT, "Sec-WebSocket-Accept:", "Sec-WebSocket-Accept"),
        (
            ACCEPT,
            "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=",
            "S3PP",
        ),
        (
            ACCEPT,
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo",
            "xOo",
        ),
        (
            ACCEPT,
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=, x",
            ", x",
        ),
        (
            "",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "Accept",
        ),
        ("", "Sec-WebSocket-Accept: other", "other"),
        (
            "",
            "Sec-WebSocket-Extensions: permessage-deflate",
            "\"permessage-deflate\"",
        ),
        ("", "Sec-WebSocket-Protocol: a", "\"a\""),
        ("", "Sec-WebSocket-Protocol:", "subprotocols []"),
        ("", "x: \0", "0x00"),
        ("", "no colon", "\"no colon\""),
        (
            "",
            &format!("x: {}", "y".repeat(MAX_HEAD)),
            "limit of 16384 bytes",
        ),
        ("", &"x: y\r\n".repeat(MAX_FIELDS), "limit of 100 fields"),
    ] {
        let by = by.trim_end();
        let result = client(&[], None).receive(&response(replaced, by));
        let Err(Error::Handshake(sentence)) = result else {
            panic!("{by:?}: {result:?}");
        };
        assert!(sentence.starts_with("response "), "{sentence}");
        assert!(sentence.contains(complaint), "{by:?}: {sentence}");
        assert!(sentence.len() < 250, "{sentence}");
    }
}

#[test]
fn the_subprotocol_is_exactly_one_of_the_offered() {
    let offered = ["chat.v2", "chat.v1"];
    for good in offered {
        let by = format!("Sec-WebSocket-Protocol:  {good} ");
        let (_, accepted) = client(&offered, None).receive(&response("", &by)).unwrap();
        assert_eq!(accepted.unwrap().subprotocol.as_deref(), Some(good));
    }
    for bad in [
        "",
        "Sec-WebSocket-Protocol:",
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Protocol: Chat.v1",
        "Sec-WebSocket-Protocol: chat.v1,",
        "Sec-WebSocket-Protocol: chat.v2, chat.v1",
        "Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v1",
        "Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: chat.v2",
    ] {
        let result = client(&offered, None).receive(&response("", bad));
        assert!(
            matches!(result, Err(Error::Handshake(_))),
            "{bad:?}: {result:?}"
        );
    }
}

#[test]
fn offered_extensions_are_handed_on_as_the_server_wrote_them() {
    for (by, extensions) in [
        ("", ""),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; a=\"b\"",
            "permessage-deflate; a=\"b\"",
        ),
        (
            "Sec-WebSocket-Extensions: a\r\nsec-websocket-extensions: b",
            "a, b",
        ),
    ] {
        let mut client = client(&[], Some("permessage-deflate"));
        let (_, accepted) = client.receive(&response("", by)).unwrap();
        assert_eq!(accepted.unwrap().extensions, extensions);
    }
}

#[test]
fn a_refusal_is_told_when_its_body_is_complete() {
    for (wire, status, body, sentence) in [
        (
            "404 Not Found\r\nContent-Length: 2\r\n\r\nno",
            404,
            "no",
            "404 Not Found",
        ),
        ("404\r\nContent-Length: 0\r\n\r\n", 404, "", "404 instead"),
        ("204 No Content\r\n\r\n", 204, "", "204 No Content"),
        ("304 \r\n\r\n", 304, "", "304 instead"),
        (
            "302 Found\r\nLocation: x\r\nContent-Length: 1\r\n\r\n!",
            302,
            "!",
            "302 Found",
        ),
        (
            "401 \u{e4}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
            401,
            "a",
            "401 \u{e4}",
        ),
        (
            "200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
            200,
            "",
            "200 OK",
        ),
    ] {
        for version in ["HTTP/1.1", "HTTP/1.1 102 \r\n\r\nHTTP/1.0"] {
            let wire = format!("{version} {wire}");
            for at in 0..wire.len() {
                let mut client = client(&[], None);
                let (a, b) = wire.as_bytes().split_at(at);
                let result = receive(&mut client, &[a, b]);
                let Err(Error::Http(text)) = result else {
                    panic!("{wire:?} cut at {at}: {result:?}");
                };
                assert!(text.contains(sentence), "{text}");
                assert_eq!(client.body(), body.as_bytes());
                let (head, bytes) = client.into_response();
                assert_eq!(
                    (head.unwrap().status(), &bytes[..]),
                    (status, body.as_bytes())
                );
            }
        }
    }
}

#[test]
fn a_refusal_without_a_length_ends_with_the_stream_or_at_the_limit() {
    let mut client = client(&[], None);
    let (_, accepted) = client.receive(b"HTTP/1.1 503 Busy\r\n\r\ntry ").unwrap();
    assert!(accepted.is_none());
    assert_eq!(client.receive(b"later").unwrap(), (5, None));
    assert_eq!(client.body(), b"try later");
    let error = client.receive_eof();
    assert_eq!(
        error,
        Error::Http("server answered 503 Busy instead of 101".into())
    );
    let result = client.receive(&vec![b'x'; 1 << 20]);
    assert!(matches!(result, Err(Error::Http(_))), "{result:?}");
    assert_eq!(client.body().len(), 64 * 1024);
}

#[test]
fn the_reason_in_a_sentence_is_short() {
    let wire = format!(
        "HTTP/1.1 400 {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(10_000)
    );
    let error = client(&[], None).receive(wire.as_bytes()).unwrap_err();
    assert!(error.to_string().len() < 150);
}

#[test]
fn the_reason_in_a_sentence_has_no_control_characters() {
    let wire = "HTTP/1.1 400 a\u{9b}31mb\u{85}c\r\nContent-Length: 0\r\n\r\n";
    let error = client(&[], None).receive(wire.as_bytes()).unwrap_err();
    assert_eq!(
        error,
        Error::Http("server answered 400 a31mbc instead of 101".into())
    );
}

#[test]
fn an_end_before_the_answer_is_an_error_of_the_stream() {
    let mut client = client(&[], None);
    assert!(matches!(client.receive_eof(), Error::Io(text) if text.contains("before")));
    client.receive(b"HTTP/1.1 1").unwrap();
    assert!(client.response().is_none());
    assert!(matches!(client.receive_eof(), Error::Io(text) if text.contains("inside")));
}

const STATUS: &str = "HTTP/1.1 101 Switching Protocols";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const LINES: &[&str] = &[STATUS, UPGRADE, CONNECTION, ACCEPT];
const KEY: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
