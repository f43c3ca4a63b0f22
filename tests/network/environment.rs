//! The proxy that the environment names. The environment is that of another process: this test
//! program, run again.

use std::env;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;

use crate::abi::{self, Options, Runtime, Seen, functions};
use crate::support::{RawServer, read_head};

/// In the process: the URL to connect to.
const VARIABLE: &str = "WSABI_TEST_URL";

/// The variables that could be there, and are to be no part of the test.
const NAMES: [&str; 6] = [
    "ws_proxy",
    "wss_proxy",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// A host that nobody knows, so that a direct attempt is one that finds no address.
fn unknown() -> String {
    format!("{}.invalid", "x".repeat(64))
}

/// What becomes of a connection in such an environment: the request that came to the proxy, or
/// the failure.
#[track_caller]
fn attempt(url: &str, variables: &[(&str, &str)]) -> String {
    let proxy = RawServer::new();
    let address = proxy.address().to_string();
    let mut command = Command::new(env::current_exe().unwrap());
    for name in NAMES {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let child = command
        .args([
            "--exact",
            "environment::the_process_with_the_environment",
            "--nocapture",
        ])
        .env(VARIABLE, url)
        .env_remove("REQUEST_METHOD")
        .envs(
            variables
                .iter()
                .map(|(name, value)| (*name, value.replace("PROXY", &address))),
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = thread::spawn(move || {
        let mut stream = proxy.accept_stream();
        let mut first = [0];
        match stream.peek(&mut first) {
            Ok(1) if first[0] == b'C' => {
                let request = read_head(&mut stream);
                stream.write_all(b"HTTP/1.1 418 no\r\n\r\n").unwrap();
                request
            }
            Ok(1) => format!("SOCKS {}", first[0]),
            _ => String::new(),
        }
    });
    let output = child.wait_with_output().unwrap();
    // If nobody has come, it is let go.
    drop(TcpStream::connect(address));
    let request = request.join().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    let failure = output.lines().find_map(|line| line.split_once("> "));
    if request.is_empty() {
        failure.expect("an outcome").1.to_owned()
    } else {
        request
    }
}

/// Not a test: the process with the environment.
#[test]
fn the_process_with_the_environment() {
    let Ok(url) = env::var(VARIABLE) else { return };
    let runtime = Runtime::new();
    let options = Options::new().set_text(functions().options_set_proxy, "env");
    let client = runtime.connect(&url, &options);
    let Seen::Error { status, sentence } = client.seen.next() else {
        panic!("nobody lets it through");
    };
    println!("> {} {sentence}", abi::status_name(status));
}

#[test]
fn each_scheme_has_its_variables() {
    let (plain, secure) = (
        format!("ws://{}/", unknown()),
        format!("wss://{}/", unknown()),
    );
    for (url, name, port) in [
        (&plain, "http_proxy", 80),
        (&plain, "HTTP_PROXY", 80),
        (&plain, "ws_proxy", 80),
        (&plain, "all_proxy", 80),
        (&plain, "ALL_PROXY", 80),
        (&secure, "https_proxy", 443),
        (&secure, "HTTPS_PROXY", 443),
        (&secure, "wss_proxy", 443),
        (&secure, "all_proxy", 443),
    ] {
        let request = attempt(url, &[(name, "http://user:pw@PROXY")]);
        let line = format!("CONNECT {}:{port} HTTP/1.1\r\n", unknown());
        assert!(request.starts_with(&line), "{name}: {request}");
        assert!(
            request.contains("\r\nProxy-Authorization: Basic dXNlcjpwdw==\r\n"),
            "{request}"
        );
    }
    assert_eq!(
        attempt(&plain, &[("all_proxy", "socks5h://PROXY")]),
        "SOCKS 5"
    );
}

#[test]
fn without_a_variable_the_way_is_direct() {
    let url = format!("ws://{}/", unknown());
    for variables in [
        &[][..],
        &[("https_proxy", "PROXY")],
        &[("http_proxy", "")],
        // CVE-2016-5385.
        &[("HTTP_PROXY", "PROXY"), ("REQUEST_METHOD", "GET")],
    ] {
        let outcome = attempt(&url, variables);
        assert!(
            outcome.starts_with("WSABI_ERR_DNS"),
            "{variables:?}: {outcome}"
        );
    }
}

#[test]
fn what_no_proxy_names_is_reached_directly() {
    let host = unknown();
    let url = format!("ws://chat.{host}:8080/");
    for (no_proxy, is_direct) in [
        ("*", true),
        (host.as_str(), true),
        (&format!(".{host}"), true),
        (&format!("*.{host}"), true),
        (&format!("a.example, chat.{host}"), true),
        (&host.to_uppercase(), true),
        (&format!("{host}:8080"), true),
        (&format!("{host}:80"), false),
        ("invalid.example", false),
        (&format!("other.{host}"), false),
        (&host[1..], false),
    ] {
        for name in ["no_proxy", "NO_PROXY"] {
            let outcome = attempt(&url, &[("http_proxy", "PROXY"), (name, no_proxy)]);
            let expected = if is_direct {
                "WSABI_ERR_DNS"
            } else {
                "CONNECT chat."
            };
            assert!(
                outcome.starts_with(expected),
                "{name}={no_proxy}: {outcome}"
            );
        }
    }
    // This machine is always reached directly.
    let outcome = attempt("ws://127.0.0.1:1/", &[("http_proxy", "PROXY")]);
    assert!(outcome.starts_with("WSABI_ERR_CONNECT"), "{outcome}");
}

#[test]
fn a_variable_that_names_no_proxy_is_no_way_around_it() {
    let url = format!("ws://{}/", unknown());
    for value in [
        "gopher://user:secret@host",
        "http://user:secret@ho st",
        "http://host/path",
    ] {
        let outcome = attempt(&url, &[("http_proxy", value)]);
        assert!(outcome.starts_with("WSABI_ERR_PROXY"), "{value}: {outcome}");
        assert!(
            outcome.contains("http_proxy") && !outcome.contains("secret"),
            "{outcome}"
        );
    }
}
