//! U: URLs and the beginning of a connection.

use crate::abi::{CONNECTING, ERR_CONNECT, ERR_URL, FACT_URL, Options, Runtime};
use crate::support::{Nobody, RawServer, read_head};

/// No socket and no event comes of any of these.
#[track_caller]
fn are_refused(urls: &[&[u8]]) {
    let runtime = Runtime::new();
    for url in urls {
        let (result, seen) = runtime.try_connect(url, &Options::new(), |_, _| {});
        let shown = String::from_utf8_lossy(url);
        assert_eq!(result.err(), Some(ERR_URL), "{shown:?}");
        assert_eq!(seen.so_far(), [], "{shown:?}");
    }
}

#[test]
fn u1_an_invalid_url_gives_no_socket() {
    are_refused(&[
        b"ws://foo bar.com/",
        b"ws://",
        b"ws:///",
        b"ws://a:65536/",
        b"ws://a:x/",
        b"ws://[::1/",
        b"ws://1.2.3.256/",
        b"ws://%/",
        b"ws://a<b/",
        b"",
    ]);
}

#[test]
fn u2_http_means_ws_and_other_schemes_are_refused() {
    let runtime = Runtime::new();
    let server = RawServer::new();
    let address = server.address();
    for scheme in ["http", "HTTP", "hTtP", "WS"] {
        let client = runtime.connect(&format!("{scheme}://{address}/"), &Options::new());
        assert_eq!(client.socket.fact(FACT_URL), format!("ws://{address}/"));
        server.accept();
    }
    are_refused(&[
        b"ftp://a/",
        b"file:///a",
        b"mailto:a@b",
        b"about:blank",
        b"data:text/plain,a",
        b"javascript:1",
        b"urn:a",
        b"wsx://a/",
        b"://a/",
    ]);
}

#[test]
fn u3_a_fragment_is_refused_even_an_empty_one() {
    are_refused(&[
        b"ws://127.0.0.1/#",
        b"ws://127.0.0.1/#test",
        b"ws://127.0.0.1#test",
        b"ws://127.0.0.1/?q#",
    ]);
}

#[test]
fn u4_a_relative_url_is_refused_as_there_is_no_document() {
    are_refused(&[
        b"/test",
        b"//127.0.0.1/",
        b"test",
        b"?q",
        b"#test",
        b"..",
        b"a:80/b",
    ]);
}

#[test]
fn u5_the_url_is_known_in_its_normal_form() {
    let runtime = Runtime::new();
    let server = RawServer::new();
    let port = server.address().port();
    for (given, normal) in [
        ("ws://127.0.0.1:PORT", "ws://127.0.0.1:PORT/"),
        ("ws://0x7f.1:PORT/", "ws://127.0.0.1:PORT/"),
        ("ws://2130706433:PORT/", "ws://127.0.0.1:PORT/"),
        ("ws://127.0.0.1:0PORT/", "ws://127.0.0.1:PORT/"),
        ("WS://LOCALHOST:PORT/A", "ws://localhost:PORT/A"),
        (
            "ws://\u{ff4c}\u{ff4f}\u{ff43}\u{ff41}\u{ff4c}host:PORT/",
            "ws://localhost:PORT/",
        ),
        ("ws://127.0.0.1:PORT/a/./b/../c", "ws://127.0.0.1:PORT/a/c"),
        ("ws://127.0.0.1:PORT\\a", "ws://127.0.0.1:PORT/a"),
        (
            "ws://127.0.0.1:PORT/a b\u{e4}",
            "ws://127.0.0.1:PORT/a%20b%C3%A4",
        ),
        ("ws://127.0.0.1:PORT/?a b'", "ws://127.0.0.1:PORT/?a%20b%27"),
        ("ws://127.0.0.1:PORT?q", "ws://127.0.0.1:PORT/?q"),
        ("ws://127.0.0.1:PORT/%41", "ws://127.0.0.1:PORT/%41"),
        ("  ws://127.0.0.1:PORT/  ", "ws://127.0.0.1:PORT/"),
        ("ws://user:secret@127.0.0.1:PORT/", "ws://127.0.0.1:PORT/"),
        // Nothing listens at the port of the scheme, but the URL is known all the same.
        ("ws://127.0.0.1:80/", "ws://127.0.0.1/"),
        ("ws://[0:0:0:0:0:0:0:1]:80/", "ws://[::1]/"),
    ] {
        let port = port.to_string();
        let client = runtime.connect(&given.replace("PORT", &port), &Options::new());
        assert_eq!(client.socket.fact(FACT_URL), normal.replace("PORT", &port));
    }
}

#[test]
fn u6_connecting_begins_at_once() {
    let runtime = Runtime::new();
    let server = RawServer::new();
    let client = runtime.connect(&server.url(), &Options::new());
    assert_eq!(client.socket.ready_state(), CONNECTING);
    let _connection = server.accept();
    assert_eq!(client.socket.ready_state(), CONNECTING);
    assert_eq!(client.seen.so_far(), []);

    // That nobody is there is no reason to refuse the call, but an event.
    let nobody = Nobody::new();
    let client = runtime.connect(&nobody.url(), &Options::new());
    assert_eq!(client.seen.expect_failure().0, ERR_CONNECT);
}

#[test]
fn u8_the_request_names_path_and_query_and_never_the_credentials() {
    let runtime = Runtime::new();
    let server = RawServer::new();
    let address = server.address();
    for (given, target) in [
        ("", "/"),
        ("/", "/"),
        ("/chat", "/chat"),
        ("/chat?", "/chat"),
        ("/chat?a=b&c", "/chat?a=b&c"),
        ("?a", "/?a"),
        ("/a//b/", "/a//b/"),
        ("/\u{20ac}", "/%E2%82%AC"),
    ] {
        for credentials in ["", "alice:secret@"] {
            let url = format!("ws://{credentials}{address}{given}");
            let client = runtime.connect(&url, &Options::new());
            let mut stream = server.accept_stream();
            let request = read_head(&mut stream);
            let line = format!("GET {target} HTTP/1.1\r\n");
            assert!(request.starts_with(&line), "{url}: {request}");
            assert!(
                request.contains(&format!("\r\nHost: {address}\r\n")),
                "{url}: {request}"
            );
            assert!(
                !request.contains("alice") && !request.contains("secret"),
                "{request}"
            );
            client.socket.release();
        }
    }
}
