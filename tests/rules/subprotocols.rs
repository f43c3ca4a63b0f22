//! P: subprotocols.

use std::io::Write;
use std::net::TcpStream;

use crate::abi::{
    CONNECTING, ERR_ARGUMENT, ERR_HANDSHAKE, FACT_SUBPROTOCOL, OK, Options, Runtime, Seen,
};
use crate::support::{PATIENCE, REQUEST, RawServer, accepting_response, read_head};

#[test]
fn p1_a_subprotocol_is_a_token() {
    for byte in 0..=0x7f {
        let is_separator = b"()<>@,;:\\\"/[]?={} \t".contains(&byte);
        let is_token = (0x21..=0x7e).contains(&byte) && !is_separator;
        let expected = if is_token { OK } else { ERR_ARGUMENT };
        for name in [&[byte][..], &[b'a', byte], &[byte, b'a']] {
            assert_eq!(Options::new().add_subprotocol(name), expected, "{name:?}");
        }
    }
    for name in [
        &b""[..],
        "\u{e4}".as_bytes(),
        b"\x80",
        b"a\r\nX: y",
        b"a, b",
    ] {
        assert_eq!(
            Options::new().add_subprotocol(name),
            ERR_ARGUMENT,
            "{name:?}"
        );
    }
}

#[test]
fn p2_no_subprotocol_comes_twice_in_whatever_letter_case() {
    for (first, second, expected) in [
        ("echo", "echo", ERR_ARGUMENT),
        ("echo", "Echo", ERR_ARGUMENT),
        ("ECHO", "echo", ERR_ARGUMENT),
        ("echo", "echo2", OK),
        ("echo", "ech", OK),
    ] {
        let options = Options::new().offering(&["before", first]);
        let status = options.add_subprotocol(second.as_bytes());
        assert_eq!(status, expected, "{first} {second}");
    }
}

#[test]
fn p3_subprotocols_are_offered_in_one_field_in_order() {
    let runtime = Runtime::new();
    let server = RawServer::new();
    for (offered, field) in [
        (&[][..], None),
        (&["echo"], Some("echo")),
        (&["b", "a", "C.1"], Some("b, a, C.1")),
    ] {
        let options = Options::new().offering(offered);
        let _client = runtime.connect(&server.url(), &options);
        let request = read_head(&mut server.accept_stream());
        let found: Vec<&str> = request
            .lines()
            .filter_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "))
            .collect();
        assert_eq!(found, Vec::from_iter(field), "{request}");
    }
}

/// What a client that offers subprotocols makes of an answer with these lines.
fn answered(offered: &[&str], lines: &str) -> Seen {
    let runtime = Runtime::new();
    let server = RawServer::new();
    let client = runtime.connect(&server.url(), &Options::new().offering(offered));
    let mut stream = server.accept_stream();
    let response = String::from_utf8(accepting_response(&read_head(&mut stream))).unwrap();
    let response = response.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"));
    stream.write_all(response.as_bytes()).unwrap();
    client.seen.next()
}

#[test]
fn p4_a_server_that_takes_none_of_the_offered_fails_the_connection() {
    for lines in [
        "",
        "Sec-WebSocket-Protocol:\r\n",
        "Sec-WebSocket-Protocol: \t \r\n",
    ] {
        let seen = answered(&["echo"], lines);
        assert_eq!(seen.status(), Some(ERR_HANDSHAKE), "{lines:?}: {seen:?}");
        assert_eq!(answered(&[], ""), Seen::Open);
    }
}

#[test]
fn p5_a_server_that_takes_another_one_fails_the_connection() {
    for (offered, lines) in [
        (&["echo"][..], "Sec-WebSocket-Protocol: chat\r\n"),
        (&["echo"], "Sec-WebSocket-Protocol: Echo\r\n"),
        (&["echo"], "Sec-WebSocket-Protocol: ech\r\n"),
        (&["echo"], "Sec-WebSocket-Protocol: \"echo\"\r\n"),
        (&["a", "b"], "Sec-WebSocket-Protocol: a, b\r\n"),
        (
            &["a", "b"],
            "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n",
        ),
        (
            &["a"],
            "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n",
        ),
        (&[], "Sec-WebSocket-Protocol: echo\r\n"),
        (&[], "Sec-WebSocket-Protocol:\r\n"),
    ] {
        let seen = answered(offered, lines);
        assert_eq!(
            seen.status(),
            Some(ERR_HANDSHAKE),
            "{offered:?} {lines:?}: {seen:?}"
        );
    }
}

#[test]
fn p6_the_subprotocol_is_known_from_open_on_and_empty_before() {
    let runtime = Runtime::new();
    let server = RawServer::new();
    let options = Options::new().offering(&["Chat.v2", "Chat.v1"]);
    let (in_open, known) = std::sync::mpsc::channel();
    let client = runtime.connect_with(&server.url(), &options, move |socket, _| {
        in_open.send(socket.fact(FACT_SUBPROTOCOL)).unwrap();
    });
    let mut stream = server.accept_stream();
    let request = read_head(&mut stream);
    assert_eq!(client.socket.ready_state(), CONNECTING);
    assert_eq!(client.socket.fact(FACT_SUBPROTOCOL), "");
    let response = String::from_utf8(accepting_response(&request)).unwrap();
    let line = "\r\nSec-WebSocket-Protocol: \t Chat.v1 \r\n\r\n";
    stream
        .write_all(response.replace("\r\n\r\n", line).as_bytes())
        .unwrap();
    assert_eq!(client.seen.next(), Seen::Open);
    assert_eq!(known.recv_timeout(PATIENCE).unwrap(), "Chat.v1");
    assert_eq!(client.socket.fact(FACT_SUBPROTOCOL), "Chat.v1");
    drop(stream);
    client.seen.until_close();
    assert_eq!(client.socket.fact(FACT_SUBPROTOCOL), "Chat.v1");
}

#[test]
fn p7_a_server_takes_at_most_one_of_the_offered() {
    let runtime = Runtime::new();
    for (own, offered, taken) in [
        (&[][..], &["a"][..], None),
        (&["a"], &[], None),
        (&["a"], &["b"], None),
        (&["a"], &["A"], None),
        (&["a"], &["b, a"], Some("a")),
        (&["a"], &["b", "a"], Some("a")),
        (&["a", "b"], &["b, a"], Some("a")),
        (&["b", "a"], &["a,b"], Some("b")),
    ] {
        let (server, _seen) = runtime.listen(&Options::new().offering(own));
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = String::from_utf8(REQUEST.to_vec()).unwrap();
        for line in offered {
            let field = format!("\r\nSec-WebSocket-Protocol: {line}\r\n\r\n");
            request = request.replace("\r\n\r\n", &field);
        }
        stream.write_all(request.as_bytes()).unwrap();
        let response = read_head(&mut stream);
        let found: Vec<&str> = response
            .lines()
            .filter_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "))
            .collect();
        assert_eq!(found, Vec::from_iter(taken), "{own:?} {offered:?}");
        assert_eq!(server.close(), OK);
    }
}
