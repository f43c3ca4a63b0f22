//! Redirects, which are followed only where the application allows it.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::abi::{
    ERR_HTTP, ERR_TIMEOUT, FACT_RESPONSE_BODY, FACT_URL, Options, Runtime, Seen, functions,
};
use crate::support::{RawServer, accepting_response, read_head, wait_until};
use crate::tls::{Identity, authority};
use crate::{expect_failure, expect_in, expect_open, proxy_url, through};

fn following(redirects: u32) -> Options {
    Options::new().set(functions().options_set_max_redirects, redirects)
}

fn redirect(status: u16, location: &str) -> String {
    format!(
        "HTTP/1.1 {status} Over there\r\nLocation: {location}\r\nX-Number: {status}\r\n\
         Content-Length: 4\r\n\r\nbody"
    )
}

/// Takes the next request and answers it. Returns the request.
fn answer(server: &RawServer, answer: &str) -> String {
    let mut stream = server.accept_stream();
    let request = read_head(&mut stream);
    stream.write_all(answer.as_bytes()).unwrap();
    request
}

/// Takes the next request and accepts the upgrade.
fn accept(server: &RawServer) -> (TcpStream, String) {
    let mut stream = server.accept_stream();
    let request = read_head(&mut stream);
    stream.write_all(&accepting_response(&request)).unwrap();
    (stream, request)
}

fn field<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (its, value) = line.split_once(": ")?;
        its.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[test]
fn no_redirect_is_followed_unless_the_application_allows_it() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for status in [301, 302, 303, 307, 308] {
        let client = runtime.connect(&server.url(), &Options::new());
        answer(&server, &redirect(status, "/elsewhere"));
        expect_in(&expect_failure(&client, ERR_HTTP), &[&status.to_string()]);
        let socket = client.socket;
        assert_eq!(socket.response_status(), i32::from(status));
        assert_eq!(socket.response_header("Location"), "/elsewhere");
        assert_eq!(socket.fact(FACT_RESPONSE_BODY), "body");
        assert_eq!(socket.fact(FACT_URL), server.url());
    }
    assert!(server.is_alone());
}

#[test]
fn every_redirect_leads_where_its_location_says() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let address = server.address();
    for status in [301, 302, 303, 307, 308] {
        for (location, target) in [
            ("/on", "/on"),
            ("on?q=1", "/a/on?q=1"),
            ("../on#fragment", "/on"),
            ("?q=2", "/a/b?q=2"),
            ("//ADDRESS/on", "/on"),
            ("ws://ADDRESS", "/"),
            ("http://ADDRESS/on", "/on"),
            ("HTTP://ADDRESS/a%20b", "/a%20b"),
        ] {
            let location = location.replace("ADDRESS", &address.to_string());
            let client = runtime.connect(&format!("ws://{address}/a/b"), &following(1));
            let first = answer(&server, &redirect(status, &location));
            let (stream, second) = accept(&server);
            let line = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n");
            assert!(second.starts_with(&line), "{location}: {second}");
            let key = "Sec-WebSocket-Key";
            assert!(field(&second, key).is_some());
            assert_ne!(
                field(&first, key),
                field(&second, key),
                "a key is used once"
            );
            expect_open(&client, stream);
            let socket = client.socket;
            assert_eq!(socket.fact(FACT_URL), format!("ws://{address}{target}"));
            assert_eq!(socket.response_status(), 101);
            assert_eq!(socket.response_header("X-Number"), "");
            assert_eq!(socket.fact(FACT_RESPONSE_BODY), "");
            socket.release();
        }
    }
}

#[test]
fn what_is_no_redirect_is_a_refusal() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for (status, fields) in [
        (300, "Location: /on\r\n"),
        (304, "Location: /on\r\n"),
        (201, "Location: /on\r\n"),
        (305, "Location: /on\r\n"),
        (302, ""),
    ] {
        let client = runtime.connect(&server.url(), &following(5));
        answer(
            &server,
            &format!("HTTP/1.1 {status} x\r\n{fields}Content-Length: 0\r\n\r\n"),
        );
        expect_failure(&client, ERR_HTTP);
        assert_eq!(client.socket.response_status(), status);
    }
    assert!(server.is_alone());
}

#[test]
fn a_location_that_is_no_server_fails() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for location in [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "ws+unix:///run/x",
        "javascript:alert(1)",
        "ws://ho st/",
        "ws://127.0.0.1:0/",
        "ws://127.0.0.1:70000/",
        "http://",
    ] {
        let client = runtime.connect(&server.url(), &following(5));
        answer(&server, &redirect(302, location));
        expect_in(&expect_failure(&client, ERR_HTTP), &["redirect"]);
        assert_eq!(client.socket.response_status(), 302);
        assert_eq!(client.socket.response_header("Location"), location);
        assert_eq!(client.socket.fact(FACT_URL), server.url());
    }
    assert!(server.is_alone());
}

#[test]
fn no_more_redirects_are_followed_than_are_allowed() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for allowed in [1, 3, 20] {
        let client = runtime.connect(&server.url(), &following(allowed));
        for n in 0..=allowed {
            let request = answer(&server, &redirect(302, &format!("/{}", n + 1)));
            assert!(request.starts_with(&format!(
                "GET /{} ",
                if n == 0 { String::new() } else { n.to_string() }
            )));
        }
        expect_in(&expect_failure(&client, ERR_HTTP), &["302"]);
        assert_eq!(client.socket.response_status(), 302);
        assert_eq!(
            client.socket.fact(FACT_URL),
            format!("{}{allowed}", server.url())
        );
        assert!(server.is_alone());
    }
}

#[test]
fn a_loop_ends_at_the_limit() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &following(7));
    for _ in 0..=7 {
        answer(&server, &redirect(307, "/"));
    }
    expect_failure(&client, ERR_HTTP);
    assert!(server.is_alone());
}

#[test]
fn credentials_go_to_their_own_origin_and_to_no_other() {
    let runtime = Runtime::new();
    let (home, other) = (RawServer::new(), RawServer::new());
    let with = |options: Options| options.with_header("X-Public", "seen");
    let url = |credentials: &str| format!("ws://{credentials}{}/", home.address());
    let basic = functions().options_set_basic_auth;
    for (url, options, name, value) in [
        (
            url(""),
            with(following(5)).with_header("authorization", "Bearer x"),
            "Authorization",
            "Bearer x",
        ),
        (
            url(""),
            with(following(5)).with_header("COOKIE", "a=b"),
            "Cookie",
            "a=b",
        ),
        (
            url(""),
            with(following(5)).set_text(basic, "user:pw"),
            "Authorization",
            "Basic dXNlcjpwdw==",
        ),
        (
            url("user:pw@"),
            with(following(5)),
            "Authorization",
            "Basic dXNlcjpwdw==",
        ),
        // A header comes before both, and those of the URL before the others.
        (
            url("user:pw@"),
            with(following(5))
                .set_text(basic, "other:other")
                .with_header("Authorization", "Bearer x"),
            "Authorization",
            "Bearer x",
        ),
        (
            url("user:pw@"),
            with(following(5)).set_text(basic, "other:other"),
            "Authorization",
            "Basic dXNlcjpwdw==",
        ),
    ] {
        let client = runtime.connect(&url, &options);
        // To the same origin, to another one, on there, and back home.
        let request = answer(&home, &redirect(307, "/again"));
        assert_eq!(field(&request, name), Some(value));
        let elsewhere = format!("ws://{}/", other.address());
        let request = answer(&home, &redirect(307, &elsewhere));
        assert_eq!(field(&request, name), Some(value), "{url}: the same origin");
        for location in ["/on".to_owned(), home.url()] {
            let request = answer(&other, &redirect(307, &location));
            assert_eq!(field(&request, name), None, "{request}");
            assert_eq!(field(&request, "X-Public"), Some("seen"));
        }
        let (stream, request) = accept(&home);
        assert_eq!(field(&request, name), Some(value), "{url}: back home");
        expect_open(&client, stream);
    }
}

#[test]
fn another_host_another_port_and_another_scheme_are_other_origins() {
    let (runtime, home, other) = (Runtime::new(), RawServer::new(), RawServer::new());
    let options = following(1).with_header("Cookie", "a=b");
    let port = home.address().port();
    let client = runtime.connect(&format!("ws://localhost:{port}/"), &options);
    let request = answer(&home, &redirect(307, &home.url()));
    assert_eq!(field(&request, "Cookie"), Some("a=b"));
    let (_stream, request) = accept(&home);
    assert_eq!(
        field(&request, "Cookie"),
        None,
        "localhost and 127.0.0.1 are two hosts"
    );
    assert_eq!(client.seen.next(), Seen::Open);

    let options = following(1)
        .with_header("Cookie", "a=b")
        .set_text(functions().options_set_tls_ca, authority());
    let client = runtime.connect(&home.url(), &options);
    let location = format!("https://{}/", other.address());
    answer(&home, &redirect(308, &location));
    let mut stream = Identity::of("127.0.0.1").secure(other.accept_stream());
    let request = read_head(&mut stream);
    assert_eq!(field(&request, "Cookie"), None);
    stream.write_all(&accepting_response(&request)).unwrap();
    assert_eq!(client.seen.next(), Seen::Open);
    assert_eq!(
        client.socket.fact(FACT_URL),
        format!("wss://{}/", other.address())
    );
}

#[test]
fn no_redirect_leads_from_tls_to_plain_text() {
    let (runtime, server, other) = (Runtime::new(), RawServer::new(), RawServer::new());
    let url = server.url().replace("ws://", "wss://");
    for scheme in ["ws", "http", "HTTP"] {
        let options = following(5).set_text(functions().options_set_tls_ca, authority());
        let client = runtime.connect(&url, &options);
        let mut stream = Identity::of("127.0.0.1").secure(server.accept_stream());
        read_head(&mut stream);
        let location = format!("{scheme}://{}/", other.address());
        stream
            .write_all(redirect(302, &location).as_bytes())
            .unwrap();
        expect_in(
            &expect_failure(&client, ERR_HTTP),
            &["from TLS to plain text"],
        );
        assert_eq!(client.socket.response_status(), 302);
        assert_eq!(client.socket.fact(FACT_URL), url);
    }
    assert!(other.is_alone());
}

#[test]
fn the_connect_timeout_covers_all_redirects_together() {
    const LIMIT: u32 = 500;
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let options = following(20).set(functions().options_set_connect_timeout_ms, LIMIT);
    let begin = Instant::now();
    let client = runtime.connect(&server.url(), &options);
    // The first answer takes most of the time, and of the next there is none.
    let (mut stream, _) = server.accept();
    let late = begin + Duration::from_millis(300);
    wait_until("most of the time to pass", || Instant::now() >= late);
    stream.write_all(redirect(307, "/").as_bytes()).unwrap();
    let (_stream, _) = server.accept();
    expect_in(
        &expect_failure(&client, ERR_TIMEOUT),
        &["500 ms", "upgrade"],
    );
    let took = begin.elapsed();
    assert!(took < Duration::from_millis(750), "it took {took:?}");
}

#[test]
fn a_redirect_goes_through_the_proxy_again() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    let options = through(&proxy_url("", &proxy)).set(functions().options_set_max_redirects, 1);
    let client = runtime.connect("ws://one.invalid/", &options);
    for name in ["one.invalid", "two.invalid"] {
        let mut stream = proxy.accept_stream();
        expect_in(&read_head(&mut stream), &[&format!("CONNECT {name}:80 ")]);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let request = read_head(&mut stream);
        assert_eq!(field(&request, "Host"), Some(name));
        if name == "one.invalid" {
            stream
                .write_all(redirect(301, "ws://two.invalid/").as_bytes())
                .unwrap();
        } else {
            stream.write_all(&accepting_response(&request)).unwrap();
            expect_open(&client, stream);
        }
    }
}
