//! Connections that are made anew.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use crate::abi::{
    Client, ERR_ARGUMENT, ERR_CLOSED, ERR_CONNECT, ERR_DNS, ERR_HANDSHAKE, ERR_HTTP, ERR_IO,
    ERR_PROTOCOL, ERR_PROXY, ERR_STATE, ERR_TIMEOUT, ERR_TLS, ERR_URL, OK, OPEN, Options, Runtime,
    Seen, Socket, functions,
};
use crate::support::wire::{BINARY, FIN, Peer, close};
use crate::support::{Nobody, RawServer, accepting_response, read_head};
use crate::tls::{Identity, authority};
use crate::{Within, expect_failure, expect_in, expect_open, proxy_url, through};

/// Quickly, and for ever.
fn reconnecting() -> Options {
    Options::new().reconnecting(1, 2, 0)
}

/// The next event is RECONNECT with this status. Returns the sentence and the time until then.
#[track_caller]
fn expect_reconnect(client: &Client, status: i32) -> (String, Duration) {
    match client.seen.next() {
        Seen::Reconnect {
            status: its,
            sentence,
            delay,
        } => {
            assert_eq!(its, status, "{sentence}");
            (sentence, delay)
        }
        seen => panic!("{seen:?}"),
    }
}

/// Takes the next request and accepts the upgrade.
fn accept(server: &RawServer) -> TcpStream {
    let (mut stream, response) = server.accept();
    stream.write_all(&response).unwrap();
    stream
}

/// Takes the next request and refuses it.
fn refuse(server: &RawServer, answer: &str) -> TcpStream {
    let (mut stream, _) = server.accept();
    stream.write_all(answer.as_bytes()).unwrap();
    stream
}

/// Ends a socket that would go on connecting.
#[track_caller]
fn leave(client: &Client) {
    assert_eq!(client.socket.release(), OK);
    client.seen.until_released();
}

fn refusal(status: u16) -> String {
    format!("HTTP/1.1 {status} no\r\nContent-Length: 0\r\n\r\n")
}

#[test]
fn no_connection_is_made_anew_unless_the_application_wants_it() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for options in [Options::new(), reconnecting().reconnecting(0, 0, 0)] {
        let client = runtime.connect(&server.url(), &options);
        let peer = expect_open(&client, accept(&server));
        drop(peer);
        expect_failure(&client, ERR_IO);
        assert_eq!(client.socket.set_header("X", "y"), ERR_STATE);
        assert_eq!(client.socket.set_url("ws://localhost/"), ERR_STATE);
        assert!(server.is_alone());
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let options = Options::new();
    for (min, max, tries) in [(0, 1, 0), (0, 0, 1), (0, 1, 1), (2, 1, 0), (u32::MAX, 0, 0)] {
        assert_eq!(options.try_reconnecting(min, max, tries), ERR_ARGUMENT);
    }
}

#[test]
fn a_lost_connection_is_made_anew_again_and_again() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &reconnecting());
    let mut keys = std::collections::HashSet::new();
    for n in 0..5 {
        let mut stream = server.accept_stream();
        let request = read_head(&mut stream);
        let key = request
            .lines()
            .find(|line| line.starts_with("Sec-WebSocket-Key"));
        assert!(keys.insert(key.unwrap().to_owned()), "a key is used once");
        stream.write_all(&accepting_response(&request)).unwrap();
        let peer = expect_open(&client, stream);
        assert_eq!(client.socket.ready_state(), OPEN);
        assert_eq!(client.socket.stats().reconnects, n);
        drop(peer);
        let (sentence, delay) = expect_reconnect(&client, ERR_IO);
        assert!(!sentence.is_empty());
        assert!(delay <= Duration::from_millis(2), "{delay:?}");
    }
    expect_open(&client, accept(&server));
}

#[test]
fn what_may_pass_is_tried_again() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    // A refused upgrade.
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let client = runtime.connect(&server.url(), &reconnecting());
        refuse(&server, &refusal(status));
        let (sentence, _) = expect_reconnect(&client, ERR_HTTP);
        expect_in(&sentence, &[&status.to_string()]);
        assert_eq!(client.socket.ready_state(), crate::abi::CONNECTING);
        let _peer = expect_open(&client, accept(&server));
        leave(&client);
    }
    // An answer that does not come, or not whole.
    let options = reconnecting().set(functions().options_set_connect_timeout_ms, 200);
    let client = runtime.connect(&server.url(), &options);
    let (stream, _) = server.accept();
    expect_reconnect(&client, ERR_TIMEOUT);
    drop(stream);
    drop(server.accept());
    expect_reconnect(&client, ERR_IO);
    let _peer = expect_open(&client, accept(&server));
    leave(&client);
    // An address where nobody listens, a name that nobody knows.
    let nobody = Nobody::new();
    let client = runtime.connect(&nobody.url(), &reconnecting());
    expect_reconnect(&client, ERR_CONNECT);
    expect_reconnect(&client, ERR_CONNECT);
    let unknown = format!("ws://{}.invalid/", "x".repeat(64));
    let client = runtime.connect(&unknown, &reconnecting());
    expect_reconnect(&client, ERR_DNS);
    expect_reconnect(&client, ERR_DNS);
    // A proxy that cannot reach the server now.
    let options = through(&proxy_url("", &server)).reconnecting(1, 1, 0);
    let client = runtime.connect(&server.url(), &options);
    let mut stream = server.accept_stream();
    read_head(&mut stream);
    stream.write_all(refusal(502).as_bytes()).unwrap();
    expect_reconnect(&client, ERR_PROXY);
}

#[test]
fn what_stays_as_it_is_ends_it_at_once() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for status in [200, 300, 302, 400, 401, 403, 404, 405, 407, 410, 426, 451] {
        let client = runtime.connect(&server.url(), &reconnecting());
        refuse(&server, &refusal(status));
        expect_failure(&client, ERR_HTTP);
    }
    // An answer that breaks RFC 6455.
    let client = runtime.connect(&server.url(), &reconnecting());
    let (mut stream, response) = server.accept();
    let response = String::from_utf8(response)
        .unwrap()
        .replace("Accept: ", "Accept: x");
    stream.write_all(response.as_bytes()).unwrap();
    expect_failure(&client, ERR_HANDSHAKE);
    // A frame that does.
    let client = runtime.connect(&server.url(), &reconnecting());
    let mut peer = expect_open(&client, accept(&server));
    peer.send_raw(&[0xff, 0]);
    assert_eq!(client.seen.next().status(), Some(ERR_PROTOCOL));
    peer.end();
    assert!(matches!(client.seen.next(), Seen::Close(close) if close.code == 1002));
    // A message that is too large.
    let options = reconnecting().set(functions().options_set_max_message, 10);
    let client = runtime.connect(&server.url(), &options);
    let mut peer = expect_open(&client, accept(&server));
    peer.send_frame(FIN | BINARY, &[0; 11]);
    assert_eq!(client.seen.next().status(), Some(crate::abi::ERR_TOO_BIG));
    peer.end();
    assert!(matches!(client.seen.next(), Seen::Close(close) if close.code == 1009));
    // A certificate for somebody else.
    let options = reconnecting().set_text(functions().options_set_tls_ca, authority());
    let client = runtime.connect(&server.url().replace("ws:", "wss:"), &options);
    let mut stream = Identity::of("other.invalid").secure(server.accept_stream());
    let _ = stream.flush();
    expect_failure(&client, ERR_TLS);
    assert!(server.is_alone());
}

#[test]
fn a_proxy_that_does_not_take_the_credentials_ends_it_at_once() {
    let (runtime, proxy) = (Runtime::new(), RawServer::new());
    for (before, answer) in [
        ("http://", &b"HTTP/1.1 407 no\r\n\r\n"[..]),
        ("http://user:wrong@", b"HTTP/1.1 407 no\r\n\r\n"),
        ("socks5h://", &[5, 0xff]),
        ("socks5h://user:wrong@", &[5, 0xff]),
        ("socks5h://user:wrong@", &[5, 2, 1, 1]),
    ] {
        let options = through(&proxy_url(before, &proxy)).reconnecting(1, 1, 0);
        let client = runtime.connect(crate::TARGET, &options);
        let mut stream = proxy.accept_stream();
        stream.write_all(answer).unwrap();
        expect_failure(&client, ERR_PROXY);
        assert!(proxy.is_alone(), "{before}");
    }
}

#[test]
fn a_servers_close_ends_it_unless_the_server_means_for_now() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for code in [1001, 1011, 1012, 1013, 1014] {
        let client = runtime.connect(&server.url(), &reconnecting());
        let mut peer = expect_open(&client, accept(&server));
        peer.send(&close(code, b"later"));
        assert_eq!(peer.read_frame().close_code(), Some(code));
        drop(peer);
        let (sentence, _) = expect_reconnect(&client, ERR_CLOSED);
        expect_in(&sentence, &[&code.to_string()]);
        let _peer = expect_open(&client, accept(&server));
        leave(&client);
    }
    for code in [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 4999] {
        let client = runtime.connect(&server.url(), &reconnecting());
        let mut peer = expect_open(&client, accept(&server));
        peer.send(&close(code, b"enough"));
        assert_eq!(peer.read_frame().close_code(), Some(code));
        drop(peer);
        client.seen.expect(&[Seen::clean(code.into(), "enough")]);
    }
    assert!(server.is_alone());
}

#[test]
fn the_applications_close_is_the_end() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    for answers in [true, false] {
        let client = runtime.connect(&server.url(), &reconnecting());
        let mut peer = expect_open(&client, accept(&server));
        assert_eq!(client.socket.close(1000, ""), OK);
        assert_eq!(client.socket.set_header("X", "y"), ERR_CLOSED);
        assert_eq!(client.socket.set_url("ws://localhost/"), ERR_CLOSED);
        assert_eq!(peer.read_frame().close_code(), Some(1000));
        if answers {
            peer.send(&close(1000, b""));
            drop(peer);
            client.seen.expect(&[Seen::clean(1000, "")]);
        } else {
            drop(peer);
            expect_failure(&client, ERR_IO);
        }
    }
    assert!(server.is_alone());
}

#[test]
fn a_peer_that_is_silent_is_given_up_and_tried_again() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let options = reconnecting()
        .set(functions().options_set_ping_interval_ms, 50)
        .set(functions().options_set_pong_timeout_ms, 100);
    let client = runtime.connect(&server.url(), &options);
    for _ in 0..2 {
        let _stream = accept(&server);
        assert_eq!(client.seen.next(), Seen::Open);
        let time = Within::ms(1_000);
        expect_reconnect(&client, ERR_TIMEOUT);
        time.check();
    }
    expect_open(&client, accept(&server));
}

#[test]
fn waits_are_spread_between_the_bounds() {
    let runtime = Runtime::new();
    let nobody = Nobody::new();
    let options = Options::new().reconnecting(2, 16, 8);
    let mut delays = Vec::new();
    for _ in 0..10 {
        let client = runtime.connect(&nobody.url(), &options);
        for most in [4, 8, 16, 16, 16, 16, 16, 16] {
            let time = std::time::Instant::now();
            let (_, delay) = expect_reconnect(&client, ERR_CONNECT);
            let delay = delay.as_millis();
            assert!((2..=most).contains(&delay), "{delay} of {most}");
            delays.push(delay);
            assert!(time.elapsed() < Duration::from_secs(5));
        }
        expect_failure(&client, ERR_CONNECT);
    }
    let different: std::collections::HashSet<_> = delays.iter().collect();
    assert!(different.len() > 6, "{delays:?}");
}

#[test]
fn the_wait_that_was_announced_passes() {
    let runtime = Runtime::new();
    let nobody = Nobody::new();
    let client = runtime.connect(&nobody.url(), &Options::new().reconnecting(150, 300, 0));
    let (_, delay) = expect_reconnect(&client, ERR_CONNECT);
    assert!(delay >= Duration::from_millis(150));
    let time = std::time::Instant::now();
    expect_reconnect(&client, ERR_CONNECT);
    // The event came a moment after the wait began, and milliseconds are rounded.
    let waited = time.elapsed() + Duration::from_millis(20);
    assert!(waited >= delay, "{waited:?} instead of {delay:?}");
    assert!(waited < delay + Duration::from_millis(500));
}

#[test]
fn tries_in_a_row_are_counted_and_the_last_failure_ends_it() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let options = Options::new().reconnecting(1, 60_000, 3);
    let client = runtime.connect(&server.url(), &options);
    for n in 0..3 {
        // A connection that does not last is no success.
        if n == 1 {
            drop(expect_open(&client, accept(&server)));
            expect_reconnect(&client, ERR_IO);
        } else {
            refuse(&server, &refusal(503));
            expect_reconnect(&client, ERR_HTTP);
        }
    }
    refuse(&server, &refusal(502));
    let sentence = expect_failure(&client, ERR_HTTP);
    expect_in(&sentence, &["502"]);
    assert!(server.is_alone());
}

#[test]
fn a_server_that_takes_its_time_to_refuse_is_no_connection_that_lasted() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new().reconnecting(1, 50, 1));
    for last in [false, true] {
        let (mut stream, _) = server.accept();
        assert_eq!(client.seen.comes_within(Duration::from_millis(80)), None);
        stream.write_all(refusal(503).as_bytes()).unwrap();
        if last {
            expect_failure(&client, ERR_HTTP);
        } else {
            expect_reconnect(&client, ERR_HTTP);
        }
    }
}

#[test]
fn tries_are_counted_anew_after_a_connection_that_lasted() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new().reconnecting(1, 50, 1));
    for _ in 0..3 {
        let peer = expect_open(&client, accept(&server));
        // It lasts as long as the longest wait.
        assert_eq!(client.seen.comes_within(Duration::from_millis(80)), None);
        drop(peer);
        expect_reconnect(&client, ERR_IO);
    }
    // And this one does not, after the one try.
    drop(expect_open(&client, accept(&server)));
    expect_failure(&client, ERR_IO);
    assert_eq!(client.socket.stats().reconnects, 3);
}

#[test]
fn the_time_that_the_server_asks_for_is_waited() {
    let runtime = Runtime::new();
    let date = |seconds| httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
    for (value, least, most) in [
        ("60".to_owned(), 60_000, 60_000),
        (date(100), 98_000, 100_000),
        ("0".to_owned(), 1, 2),
        ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 1, 2),
        ("soon".to_owned(), 1, 2),
        ("-5".to_owned(), 1, 2),
        ("99999999999999999999".to_owned(), 1, 2),
    ] {
        let server = RawServer::new();
        let client = runtime.connect(&server.url(), &reconnecting());
        let answer =
            format!("HTTP/1.1 503 later\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        refuse(&server, &answer);
        let (_, delay) = expect_reconnect(&client, ERR_HTTP);
        let delay = delay.as_millis();
        assert!((least..=most).contains(&delay), "{value}: {delay}");
        if most > 1_000 {
            // Otherwise the next attempt may have begun, of which there is no answer yet.
            assert_eq!(client.socket.response_status(), 503);
            assert_eq!(client.socket.response_header("Retry-After"), value);
        }
        leave(&client);
    }
}

#[test]
fn what_a_server_asked_for_once_is_not_waited_after_another_failure() {
    let (runtime, server, nobody) = (Runtime::new(), RawServer::new(), Nobody::new());
    let client = runtime.connect(&server.url(), &reconnecting());
    let answer = "HTTP/1.1 503 later\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
    refuse(&server, answer);
    assert_eq!(
        expect_reconnect(&client, ERR_HTTP).1,
        Duration::from_secs(1)
    );
    // The next attempt gets no answer.
    drop(server.accept());
    let (_, delay) = expect_reconnect(&client, ERR_IO);
    assert!(delay <= Duration::from_millis(2), "{delay:?}");
    assert_eq!(client.socket.response_status(), 0);
    leave(&client);
    let server = RawServer::new();
    // This one gets as far as the address.
    let client = runtime.connect_with(&server.url(), &reconnecting(), move |socket, seen| {
        if seen.status() == Some(ERR_HTTP) {
            assert_eq!(socket.set_url(&nobody.url()), OK);
        }
    });
    refuse(&server, answer);
    expect_reconnect(&client, ERR_HTTP);
    let (_, delay) = expect_reconnect(&client, ERR_CONNECT);
    assert!(delay <= Duration::from_millis(2), "{delay:?}");
    assert_eq!(client.socket.response_status(), 0);
    leave(&client);
    // This one is accepted, by a server that says so all the same.
    let client = runtime.connect(&server.url(), &reconnecting());
    let (mut stream, response) = server.accept();
    let response = String::from_utf8(response).unwrap();
    let response = response.replace("Upgrade: ", "Retry-After: 60\r\nUpgrade: ");
    stream.write_all(response.as_bytes()).unwrap();
    drop(expect_open(&client, stream));
    let (_, delay) = expect_reconnect(&client, ERR_IO);
    assert!(delay <= Duration::from_millis(2), "{delay:?}");
}

#[test]
fn the_next_attempt_says_and_leads_to_what_the_handler_sets() {
    let (runtime, first, second) = (Runtime::new(), RawServer::new(), RawServer::new());
    let url = format!("ws://user:pw@{}/fresh", second.address());
    let mut tries = 0;
    let hook = move |socket: Socket, seen: &Seen| {
        if matches!(seen, Seen::Reconnect { .. }) {
            tries += 1;
            assert_eq!(socket.set_header("x-token", &tries.to_string()), OK);
            assert_eq!(socket.set_header("X-New", "new"), OK);
            if tries == 2 {
                assert_eq!(socket.set_url(&url), OK);
            }
            assert_eq!(socket.set_url("ftp://localhost/"), ERR_URL);
            for (name, value) in [
                ("Host", "x"),
                ("X y", "x"),
                ("X", "a\r\nb"),
                ("Sec-WebSocket-Key", "x"),
            ] {
                assert_eq!(socket.set_header(name, value), ERR_ARGUMENT, "{name}");
            }
        }
    };
    // The handler has to come before the next attempt, also where somebody has to poll it.
    let options = Options::new()
        .reconnecting(300, 600, 0)
        .with_header("X-Token", "0")
        .with_header("X-Old", "old");
    let client = runtime.connect_with(&first.url(), &options, hook);
    let request = |server: &RawServer| {
        let mut stream = server.accept_stream();
        let request = read_head(&mut stream);
        (stream, request)
    };
    let (_, head) = request(&first);
    expect_in(
        &head,
        &["GET / ", "\r\nX-Token: 0\r\n", "\r\nX-Old: old\r\n"],
    );
    let (_, head) = request(&first);
    expect_in(
        &head,
        &[
            "\r\nx-token: 1\r\n",
            "\r\nX-New: new\r\n",
            "\r\nX-Old: old\r\n",
        ],
    );
    assert!(!head.contains("X-Token: 0"), "{head}");
    let (mut stream, head) = request(&second);
    expect_in(
        &head,
        &[
            "GET /fresh ",
            "\r\nx-token: 2\r\n",
            "\r\nAuthorization: Basic dXNlcjpwdw==\r\n",
        ],
    );
    stream.write_all(&accepting_response(&head)).unwrap();
    expect_reconnect(&client, ERR_IO);
    expect_reconnect(&client, ERR_IO);
    expect_open(&client, stream);
    assert_eq!(
        client.socket.fact(crate::abi::FACT_URL),
        format!("ws://{}/fresh", second.address())
    );
    // They stay for later attempts.
    expect_reconnect(&client, ERR_IO);
    let (_stream, head) = request(&second);
    expect_in(
        &head,
        &["GET /fresh ", "\r\nx-token: 3\r\n", "\r\nX-New: new\r\n"],
    );
}

#[test]
fn nothing_can_be_sent_while_the_next_attempt_is_awaited() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(
        &server.url(),
        &Options::new().reconnecting(60_000, 60_000, 0),
    );
    let mut peer = expect_open(&client, accept(&server));
    assert_eq!(
        client
            .socket
            .send_fragment(crate::abi::BINARY, b"half", false),
        OK
    );
    assert_eq!(peer.read_frame().payload, b"half");
    drop(peer);
    expect_reconnect(&client, ERR_IO);
    let socket = client.socket;
    assert_eq!(socket.ready_state(), crate::abi::CONNECTING);
    assert_eq!(socket.send_text("x"), ERR_STATE);
    assert_eq!(socket.send_binary(&[0; 100_000]), ERR_STATE);
    assert_eq!(socket.send_many(&[(crate::abi::TEXT, b"x")]), ERR_STATE);
    assert_eq!(
        socket.send_fragment(crate::abi::BINARY, b"x", true),
        ERR_STATE
    );
    assert_eq!(socket.ping(b"x"), ERR_STATE);
    assert_eq!(socket.buffered_amount(), 0);
    assert_eq!(socket.pause(), OK);
    assert_eq!(socket.resume(), OK);
}

#[test]
fn what_had_not_left_is_dropped_with_the_connection() {
    let (runtime, server) = (Runtime::new(), RawServer::narrow());
    let options = reconnecting().set(functions().options_set_compression, 0);
    let client = runtime.connect(&server.url(), &options);
    let peer = expect_open(&client, accept(&server));
    let megabyte = vec![b'o'; 1 << 20];
    while client.socket.buffered_amount() == 0 {
        assert_eq!(client.socket.send_binary(&megabyte), OK);
    }
    assert_eq!(client.socket.send_text("old"), OK);
    drop(peer);
    expect_reconnect(&client, ERR_IO);
    assert_eq!(client.socket.buffered_amount(), 0);
    let mut peer = Peer::new(accept(&server), false);
    assert_eq!(client.seen.next(), Seen::Open);
    assert_eq!(client.socket.send_text("new"), OK);
    assert_eq!(peer.read_frame().payload, b"new");
    assert_eq!(client.socket.buffered_amount(), 0);
}

#[test]
fn user_data_is_given_back_once_after_all_connections() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &reconnecting());
    for _ in 0..3 {
        drop(expect_open(&client, accept(&server)));
        expect_reconnect(&client, ERR_IO);
    }
    leave(&client);
    drop(runtime);
    assert_eq!(client.seen.so_far(), []);
}

#[test]
fn a_redirect_is_followed_anew_with_every_attempt() {
    let (runtime, home, other) = (Runtime::new(), RawServer::new(), RawServer::new());
    let options = reconnecting().set(functions().options_set_max_redirects, 1);
    let client = runtime.connect(&home.url(), &options);
    let answer = format!("HTTP/1.1 307 x\r\nLocation: {}\r\n\r\n", other.url());
    for _ in 0..3 {
        refuse(&home, &answer);
        drop(expect_open(&client, accept(&other)));
        expect_reconnect(&client, ERR_IO);
    }
}
