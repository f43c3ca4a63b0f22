//! The library panics on purpose, everywhere in turn: what it was about ends with a status or an
//! event, the rest goes on, and nothing unwinds into C. Each in a process of its own.

use std::env;
use std::process::Command;

use super::live::{App, Host, close, send};
use super::*;
use crate::defects::on_purpose::{arm, is_armed};
use crate::ffi::event::*;

/// In the process in which the panic is to come: where.
const VARIABLE: &str = "WSABI_TEST_DEFECT";

/// Plays the test `name` once more, in a process of its own, with a panic at `place`.
fn play(name: &str, place: &str) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("ffi::tests::defects::{name}")])
        .args(["--nocapture", "--include-ignored"])
        .env(VARIABLE, place)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{place}: {report}");
}

#[test]
fn a_panic_in_any_function_is_a_status() {
    if env::var(VARIABLE).is_err() {
        return play("a_panic_in_any_function_is_a_status", "call");
    }
    for call in CALLS {
        arm("call");
        let status = (call.run)(0);
        assert_eq!(status, WSABI_ERR_INTERNAL.into(), "{}", call.name);
        assert!(!is_armed() && last_error().contains("a panic on purpose"));
    }
}

/// A client and its server's end of the connection, and whatever they do.
struct Pair {
    client: wsabi_socket,
    at_client: &'static App,
    at_server: &'static App,
}

impl Pair {
    /// Sends everything back.
    fn server() -> &'static App {
        App::new(|event| {
            if event.kind == WSABI_EVENT_MESSAGE {
                // It fails where the panic comes in between.
                let _ = send_back(event);
            }
        })
    }

    fn open(host: &Host) -> Self {
        let (at_client, at_server) = (App::new(|_| ()), Self::server());
        let (_, url) = host.listen(at_server);
        let client = host.connect(&url, at_client).unwrap();
        at_client.next_of(WSABI_EVENT_OPEN);
        at_server.next_of(WSABI_EVENT_OPEN);
        Self {
            client,
            at_client,
            at_server,
        }
    }

    fn exchange(&self) {
        assert_eq!(send(self.client, "there and back"), WSABI_OK);
        assert_eq!(self.at_client.next_of(WSABI_EVENT_MESSAGE).data.len(), 14);
        assert_eq!(self.at_server.next_of(WSABI_EVENT_MESSAGE).data.len(), 14);
    }

    /// Both ends end, one of them by the panic. Returns how often it was told of.
    fn count_defects(&self) -> usize {
        let of = |app: &App| loop {
            let seen = app.next();
            if seen.kind == WSABI_EVENT_CLOSE {
                break 0;
            }
            if seen.kind == WSABI_EVENT_ERROR && seen.code == WSABI_ERR_INTERNAL {
                assert_eq!(app.next_of(WSABI_EVENT_CLOSE).code, 1006);
                break 1;
            }
        };
        of(self.at_client) + of(self.at_server)
    }
}

fn send_back(event: &wsabi_event) -> i32 {
    // SAFETY: by contract of handlers, the data can be read.
    unsafe { wsabi_socket_send_binary(event.handle, event.data.cast(), event.len) }
}

#[test]
fn a_panic_ends_one_connection_and_the_others_live() {
    let Ok(place) = env::var(VARIABLE) else {
        for place in ["read", "send", "write", "large write", "close", "timer"] {
            play("a_panic_ends_one_connection_and_the_others_live", place);
        }
        return;
    };
    let host = Host::new();
    if place == "timer" {
        let status = wsabi_options_set_ping_interval_ms(host.options, 20);
        assert_eq!(status, WSABI_OK);
    }
    let pair = Pair::open(&host);
    if place == "timer" {
        assert_eq!(
            wsabi_options_set_ping_interval_ms(host.options, 0),
            WSABI_OK
        );
    }
    let other = Pair::open(&host);
    match &*place {
        "timer" => arm("timer"),
        "close" => {
            arm("close");
            assert_eq!(close(pair.client), WSABI_ERR_INTERNAL);
        }
        "send" => {
            arm("send");
            assert_eq!(send(pair.client, "lost"), WSABI_ERR_INTERNAL);
        }
        "large write" => {
            arm("write");
            let large = "x".repeat(1 << 20);
            assert_eq!(send(pair.client, &large), WSABI_ERR_INTERNAL);
        }
        "write" => {
            arm("write");
            send(pair.client, "by whoever writes it");
        }
        _ => {
            arm("read");
            assert_eq!(send(pair.client, "not read"), WSABI_OK);
        }
    }
    assert_eq!(pair.count_defects(), 1);
    assert!(!is_armed());
    assert_eq!(send(pair.client, "late"), WSABI_ERR_CLOSED);
    other.exchange();
    Pair::open(&host).exchange();
    host.free();
}

#[test]
fn a_panic_before_a_connection_is_there_ends_the_attempt() {
    let Ok(place) = env::var(VARIABLE) else {
        for place in ["begin", "look up", "read certificates"] {
            play(
                "a_panic_before_a_connection_is_there_ends_the_attempt",
                place,
            );
        }
        return;
    };
    let host = Host::new();
    let other = Pair::open(&host);
    let (place, url) = match &*place {
        "begin" => ("begin", "ws://127.0.0.1:1/"),
        "look up" => ("look up", "ws://there.invalid/"),
        _ => ("read certificates", "wss://127.0.0.1:1/"),
    };
    // As often as there can be threads that look names up.
    for _ in 0..20 {
        arm(place);
        let app = App::new(|_| ());
        host.connect(url, app).unwrap();
        assert_eq!(app.next_of(WSABI_EVENT_ERROR).code, WSABI_ERR_INTERNAL);
        assert_eq!(app.next_of(WSABI_EVENT_CLOSE).code, 1006);
        assert!(!is_armed());
    }
    other.exchange();
    Pair::open(&host).exchange();
    host.free();
}

#[test]
fn a_panic_while_publishing_ends_one_subscriber() {
    if env::var(VARIABLE).is_err() {
        return play("a_panic_while_publishing_ends_one_subscriber", "publish");
    }
    let host = Host::new();
    let (at_first, at_second, at_server) = (App::new(|_| ()), App::new(|_| ()), App::new(|_| ()));
    let (server, url) = host.listen(at_server);
    for app in [at_first, at_second] {
        host.connect(&url, app).unwrap();
        app.next_of(WSABI_EVENT_OPEN);
        at_server.next_of(WSABI_EVENT_OPEN);
    }
    arm("publish");
    // SAFETY: the text can be read.
    let taken = unsafe {
        wsabi_server_publish(server, null(), 0, WSABI_TEXT, c"for all".as_ptr().cast(), 7)
    };
    assert_eq!(taken, 1);
    let (first, second) = (at_first.next(), at_second.next());
    let mut kinds = [first.kind, second.kind];
    kinds.sort_unstable();
    assert_eq!(kinds, [WSABI_EVENT_MESSAGE, WSABI_EVENT_ERROR]);
    let defect = at_server.next_of(WSABI_EVENT_ERROR);
    assert_eq!(defect.code, WSABI_ERR_INTERNAL);
    host.free();
}

#[test]
fn a_panic_while_accepting_ends_no_server() {
    if env::var(VARIABLE).is_err() {
        return play("a_panic_while_accepting_ends_no_server", "accept");
    }
    let host = Host::new();
    let other = Pair::open(&host);
    let (at_client, at_server) = (App::new(|_| ()), Pair::server());
    let (_, url) = host.listen(at_server);
    arm("accept");
    host.connect(&url, at_client).unwrap();
    at_client.next_of(WSABI_EVENT_ERROR);
    at_client.next_of(WSABI_EVENT_CLOSE);
    assert!(!is_armed());
    host.connect(&url, at_client).unwrap();
    at_client.next_of(WSABI_EVENT_OPEN);
    other.exchange();
    host.free();
}
