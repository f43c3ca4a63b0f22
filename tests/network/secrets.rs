//! Credentials are sent to whom they are for, and shown to nobody else: not by a sentence, not by
//! a fact, not by the log.

use std::io::Write;

use crate::abi::{
    FACT_URL, OK, Options, Runtime, Seen, functions, last_error, start_log, take_log,
};
use crate::support::{Nobody, RawServer, accepting_response, read_head};
use crate::tls::authority;
use crate::{TARGET, proxy_url, through};

/// In every way in which the secrets could appear: as they are, percent-encoded, in base64.
const SECRETS: [&str; 9] = [
    "hunter2",
    "Hunter%32",
    "dXNlcjpodW50ZXIy",
    "c3Bvb25iaWxs",
    "spoonbill",
    "cookiejar",
    "bearer-of-news",
    "c29ja3M6c3Bvb25iaWxs",
    "dXNlcjpzcG9vbmJpbGw=",
];

/// Everything that the application is told of a socket until its end.
fn story(runtime: &Runtime, url: &str, options: &Options, peer: impl FnOnce()) -> String {
    let client = runtime.connect_with(url, options, |socket, seen| {
        if matches!(seen, Seen::Reconnect { .. }) {
            assert_eq!(socket.set_header("Authorization", "bearer-of-news"), OK);
            assert_eq!(
                socket.set_url(&format!("ws://user:hunter2@{}", &TARGET[5..])),
                OK
            );
        }
    });
    peer();
    let mut told = String::new();
    for seen in client.seen.until_close() {
        told.push_str(&format!("{seen:?}\n"));
    }
    for fact in FACT_URL..=8 {
        told.push_str(&client.socket.fact(fact));
        told.push('\n');
    }
    told
}

#[test]
fn credentials_are_nowhere_but_on_the_wire() {
    start_log();
    let runtime = Runtime::new();
    let url = |server: &RawServer| format!("ws://user:hunter2@{}/", server.address());
    let with_all = |options: Options| {
        options
            .set_text(functions().options_set_basic_auth, "user:spoonbill")
            .set_text(functions().options_set_tls_ca, authority())
            .with_header("Cookie", "cookiejar=1")
            .set(functions().options_set_max_redirects, 2)
            .set(functions().options_set_connect_timeout_ms, 300)
    };
    let mut told = String::new();

    // A server that takes them, and then breaks the rules.
    let server = RawServer::new();
    told += &story(&runtime, &url(&server), &with_all(Options::new()), || {
        let mut stream = server.accept_stream();
        let request = read_head(&mut stream);
        assert!(request.contains("dXNlcjpodW50ZXIy"), "{request}");
        assert!(request.contains("cookiejar"), "{request}");
        stream.write_all(&accepting_response(&request)).unwrap();
        stream.write_all(&[0xff, 0xff]).unwrap();
    });
    // One that refuses, redirects, says nothing.
    for answer in [
        "HTTP/1.1 401 no\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 307 x\r\nLocation: ws://user:hunter2@127.0.0.1:1/\r\n\r\n",
        "HTTP/1.1 307 x\r\nLocation: ftp://user:hunter2@127.0.0.1/\r\n\r\n",
        "HTTP/1.1 307 x\r\nLocation: ws://user:hunter2@ho st/\r\n\r\n",
        "",
    ] {
        told += &story(&runtime, &url(&server), &with_all(Options::new()), || {
            let (mut stream, _) = server.accept();
            stream.write_all(answer.as_bytes()).unwrap();
            if answer.is_empty() {
                std::mem::forget(stream);
            }
        });
    }
    // Proxies of every kind that refuse.
    for (scheme, answer) in [
        ("http", &b"HTTP/1.1 407 no\r\n\r\n"[..]),
        ("https", b"HTTP/1.1 407 no\r\n\r\n"),
        ("socks5h", &[5, 2, 1, 1]),
        ("socks5", &[5, 0xff]),
    ] {
        let proxy = RawServer::new();
        let proxy_url = proxy_url(&format!("{scheme}://user:Hunter%32@"), &proxy);
        told += &story(
            &runtime,
            "ws://user:hunter2@192.0.2.1/",
            &with_all(through(&proxy_url)),
            || {
                let mut stream = proxy.accept_stream();
                stream.write_all(answer).unwrap();
                std::mem::forget(stream);
            },
        );
    }
    // Attempts after one that failed.
    let nobody = Nobody::new()
        .url()
        .replace("ws://", "http://user:spoonbill@");
    let options = with_all(through(nobody.trim_end_matches('/'))).reconnecting(1, 2, 2);
    told += &story(&runtime, "ws://user:hunter2@192.0.2.1/", &options, || {});
    // What is refused at once.
    let options = Options::new();
    for (setter, text) in [
        (functions().options_set_proxy, "http://user:hunter2@ho st"),
        (functions().options_set_proxy, "gopher://user:hunter2@host"),
        (
            functions().options_set_proxy,
            "socks5://user:hunter2@host/path",
        ),
        (functions().options_set_basic_auth, "hunter2"),
        (functions().options_set_basic_auth, "user:hunter2\n"),
    ] {
        assert!(options.try_set_text(setter, text) < 0, "{text}");
        told += &last_error();
    }
    for url in [
        "ws://user:hunter2@ho st/",
        "ws://user:hunter2@host/#x",
        "ftp://user:hunter2@host/",
    ] {
        let (result, _) = runtime.try_connect(url.as_bytes(), &options, |_, _| {});
        assert!(result.is_err());
        told += &last_error();
    }
    drop(runtime);

    let log = take_log();
    assert!(
        log.contains("wsabi") && log.lines().count() > 20,
        "it was logged: {log}"
    );
    for secret in SECRETS {
        for (name, text) in [("told", &told), ("log", &log)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in {name}");
        }
    }
}
