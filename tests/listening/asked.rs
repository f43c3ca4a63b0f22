//! What a server that asks is told of a request, as it was written on the wire.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::abi::{Events, FACT_URL, OK, Options, Request, Runtime, Seen, Server};
use crate::support::read_head;
use crate::{dial, here};

/// A request with this first line and these fields.
fn request(line: &str, fields: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\n{fields}Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Asks, and returns the client with the application's view of it.
fn ask(server: &Server, seen: &Events, request: &str) -> (TcpStream, Asked) {
    let mut client = dial(here(server.port));
    client.write_all(request.as_bytes()).unwrap();
    let (handle, told) = seen.next_of();
    let Seen::Request(told) = told else {
        panic!("{told:?}");
    };
    let request = Request(handle.0);
    assert_eq!(request.target(), told);
    (client, Asked { request, told })
}

struct Asked {
    request: Request,
    /// The target in the event.
    told: String,
}

#[test]
fn a_target_that_is_a_url_says_the_host_whatever_the_field_has() {
    let runtime = Runtime::new();
    let (server, seen) = runtime.listen(&Options::new().asking());
    for (line, target, host) in [
        ("GET /a?b", "/a?b", "field.example:8080"),
        ("GET http://url.example/a?b", "/a?b", "url.example"),
        ("GET HTTPS://url.example:81/a", "/a", "url.example:81"),
        ("GET ws://[::1]:9/", "/", "[::1]:9"),
        ("GET wss://url.example", "/", "url.example"),
        ("GET http://url.example?b=/", "/?b=/", "url.example"),
        (
            "GET //url.example/a",
            "//url.example/a",
            "field.example:8080",
        ),
    ] {
        let request = request(line, "Host: field.example:8080\r\nX: y\r\n");
        let (mut client, asked) = ask(&server, &seen, &request);
        assert_eq!(asked.told, target, "{line}");
        // RFC 9112 §3.2.2: a server ignores the field where the target has a host.
        for name in ["Host", "hOST"] {
            assert_eq!(asked.request.header(name), host, "{line}");
        }
        assert_eq!(asked.request.header("X"), "y");
        let (socket, events) = asked.request.accept("");
        assert_eq!(events.next(), Seen::Open);
        assert_eq!(socket.fact(FACT_URL), format!("ws://{host}{target}"));
        assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    }
}

#[test]
fn lines_of_one_name_are_joined_in_their_order() {
    let runtime = Runtime::new();
    let (server, seen) = runtime.listen(&Options::new().asking());
    let fields = "Host: a\r\nCookie: b=1\r\nX-Part: one\r\nx-part:two, three\r\n\
        Other: x\r\nCookie: c=2\r\nX-PART: \t four \t\r\nX-Empty:\r\n";
    let (mut client, asked) = ask(&server, &seen, &request("GET /", fields));
    for (name, value) in [
        ("X-Part", "one, two, three, four"),
        ("cookie", "b=1, c=2"),
        ("Other", "x"),
        ("X-Empty", ""),
        ("X-Missing", ""),
        ("X", ""),
    ] {
        assert_eq!(asked.request.header(name), value, "{name}");
    }
    assert_eq!(asked.request.reject(403, "seen"), OK);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nseen"), "{answer}");
}
