//! Ends are to a page what they were to the server: code, reason, and whether it was clean.

use std::slice;

use serde_json::{Value, json};

use crate::abi::{Close, OK, Options, functions};
use crate::chromium::Page;
use crate::support::Nobody;
use crate::support::tls::{Identity, LOCAL};
use crate::table::Table;
use crate::{Host, Joined, SCHEMES, site, start_browser};

const COLUMNS: [&str; 6] = [
    "what happens",
    "code",
    "reason",
    "wasClean",
    "error events",
    "the server saw",
];

/// As long as a Close frame has room for.
const LONGEST: &str = "Wer wird denn gleich in die Luft gehen? \u{1f600} Gr\u{fc}\u{df}e aus K\u{f6}ln, \
    und auf Wiedersehen bis zum n\u{e4}chsten Mal im Chat, Leute!!!";

/// An end of an established connection.
struct End {
    name: &'static str,
    act: fn(&Page<'_>, &Host, &Joined),
    code: i32,
    reason: &'static str,
}

const fn end(
    name: &'static str,
    act: fn(&Page<'_>, &Host, &Joined),
    code: i32,
    reason: &'static str,
) -> End {
    End {
        name,
        act,
        code,
        reason,
    }
}

/// Those on which both sides agree.
const CLEAN: [End; 12] = [
    end(
        "page: close()",
        |page, _, it| close(page, it, &[]),
        1005,
        "",
    ),
    end(
        "page: close(1000)",
        |page, _, it| close(page, it, &[json!(1000)]),
        1000,
        "",
    ),
    end(
        "page: close(1000, \"done\")",
        |page, _, it| close(page, it, &[json!(1000), json!("done")]),
        1000,
        "done",
    ),
    end(
        "page: close(3000, \"\")",
        |page, _, it| close(page, it, &[json!(3000), json!("")]),
        3000,
        "",
    ),
    end(
        "page: close(4999, ...)",
        |page, _, it| close(page, it, &[json!(4999), json!(LONGEST)]),
        4999,
        LONGEST,
    ),
    end("server: close(0)", |_, _, it| say(it, 0, ""), 1005, ""),
    end(
        "server: close(1000)",
        |_, _, it| say(it, 1000, ""),
        1000,
        "",
    ),
    end(
        "server: close(1011, \"oh\")",
        |_, _, it| say(it, 1011, "oh"),
        1011,
        "oh",
    ),
    end(
        "server: close(3000, \"why\")",
        |_, _, it| say(it, 3000, "why"),
        3000,
        "why",
    ),
    end(
        "server: close(4999, ...)",
        |_, _, it| say(it, 4999, LONGEST),
        4999,
        LONGEST,
    ),
    end(
        "server: wsabi_server_close",
        |_, host, _| assert_eq!(host.server.close(), OK),
        1001,
        "",
    ),
    end(
        "server: wsabi_runtime_shutdown",
        |_, host, _| assert_eq!(host.runtime.shutdown(30_000), OK),
        1001,
        "",
    ),
];

fn close(page: &Page<'_>, joined: &Joined, arguments: &[Value]) {
    let arguments = [slice::from_ref(&joined.number), arguments].concat();
    page.run("close", json!(arguments));
}

fn say(joined: &Joined, code: i32, reason: &str) {
    assert_eq!(joined.socket.close(code, reason), OK);
}

#[test]
fn a_page_and_the_server_agree_on_how_it_ended() {
    let Some(browser) = start_browser() else {
        return;
    };
    assert_eq!(LONGEST.len(), 123);
    let page = browser.open_page(&site::start());
    let title = format!("How it ended, as {} saw it:", browser.version());
    let mut table = Table::new(title, &COLUMNS);
    for end in CLEAN {
        for scheme in SCHEMES {
            let host = Host::new(scheme, Options::new());
            let joined = host.open(&page);
            (end.act)(&page, &host, &joined);
            let seen = page.run("ended", json!([joined.number]));
            let close = host.closed();
            let what = format!("{scheme}, {}: {seen}, {close:?}", end.name);
            // Chromium answers with the reason, too; the library with the code alone, which is what
            // RFC 6455 §5.5.1 asks for.
            let by_page = end.name.starts_with("page");
            let reason = if by_page { "" } else { end.reason };
            assert_eq!(seen["code"], end.code, "{what}");
            assert_eq!(seen["reason"], reason, "{what}");
            assert_eq!(seen["wasClean"], true, "{what}");
            assert_eq!(seen["errors"], 0, "{what}");
            assert_eq!(seen["bufferedAmount"], 0, "{what}");
            assert_eq!(close.code, end.code, "{what}");
            assert_eq!(close.reason, end.reason, "{what}");
            assert!(close.was_clean, "{what}");
            if scheme == "wss" {
                table.add(row(end.name, &seen, Some(&close)));
            }
        }
    }
    failures(&page, &mut table);
    table.print();
}

/// Those that the page sees as a failure.
fn failures(page: &Page<'_>, table: &mut Table) {
    for scheme in SCHEMES {
        let mut add = |name: &str, seen: &Value, close: Option<&Close>| {
            if scheme == "wss" {
                table.add(row(name, seen, close));
            }
        };
        let host = Host::new(scheme, Options::new());
        let joined = host.open(page);
        assert_eq!(joined.socket.abort(), OK);
        let seen = page.run("ended", json!([joined.number]));
        assert_died(&seen);
        add("server: wsabi_socket_abort", &seen, Some(&host.closed()));

        let options = Options::new().set(functions().options_set_max_message, 1000);
        let host = Host::new(scheme, options);
        let joined = host.open(page);
        page.run("send", json!([joined.number, "x".repeat(1001)]));
        let seen = page.run("ended", json!([joined.number]));
        let close = host.closed();
        assert_eq!(seen["code"], 1009);
        assert_eq!(seen["wasClean"], true);
        assert_eq!(close.code, 1009);
        add("page: a message over the limit", &seen, Some(&close));

        let options = Options::new().set(functions().options_set_max_connections, 1);
        let host = Host::new(scheme, options);
        let _only = host.open(page);
        let seen = refused(page, &host.url, &[]);
        add("server: refuses with 503", &seen, None);

        let host = Host::new(scheme, Options::new().offering(&["chat"]));
        let seen = refused(page, &host.url, &["other"]);
        add("server: has no such subprotocol", &seen, None);
    }
    let stranger = Identity::of_itself(LOCAL);
    let host = Host::with_identity("wss", Options::new(), &stranger, |_, _| {});
    let seen = refused(page, &host.url, &[]);
    assert_eq!(host.seen.so_far(), []);
    table.add(row("server: unknown certificate", &seen, None));

    let nobody = Nobody::new();
    let seen = refused(page, &nobody.url(), &[]);
    table.add(row("nobody listens", &seen, None));
}

/// A connection that the page does not get.
#[track_caller]
fn refused(page: &Page<'_>, url: &str, subprotocols: &[&str]) -> Value {
    let opened = page.run("open", json!([url, subprotocols]));
    assert_eq!(opened["isOpen"], false, "{url}: {opened}");
    let seen = page.run("ended", json!([opened["number"]]));
    assert_died(&seen);
    assert_eq!(seen["errors"], 1, "{seen}");
    seen
}

#[track_caller]
fn assert_died(seen: &Value) {
    assert_eq!(seen["code"], 1006, "{seen}");
    assert_eq!(seen["reason"], "", "{seen}");
    assert_eq!(seen["wasClean"], false, "{seen}");
}

fn row(name: &str, seen: &Value, close: Option<&Close>) -> [String; 6] {
    let reason = shortened(seen["reason"].as_str().unwrap());
    let close = close.map_or("nothing".to_owned(), |close| {
        let reason = shortened(&close.reason);
        format!("{}, {}  {reason}", close.code, clean(close))
    });
    let word = |name: &str| seen[name].to_string();
    [
        name.to_owned(),
        word("code"),
        reason,
        word("wasClean"),
        word("errors"),
        close,
    ]
}

/// A reason for the table.
fn shortened(reason: &str) -> String {
    match reason.len() {
        0..=40 => reason.to_owned(),
        len => format!("{}... ({len} bytes)", &reason[..16]),
    }
}

fn clean(close: &Close) -> &'static str {
    if close.was_clean {
        "clean"
    } else {
        "not clean"
    }
}

#[test]
fn the_server_is_told_when_a_page_is_left_and_when_the_browser_dies() {
    let Some(browser) = start_browser() else {
        return;
    };
    let mut table = Table::new(
        format!("How {} left:", browser.version()),
        &["what happens", "over", "the server saw", ""],
    );
    let origin = site::start();
    let hosts = SCHEMES.map(|scheme| Host::new(scheme, Options::new()));
    let mut ended = |what: &str, codes: &[i32]| {
        for (host, scheme) in hosts.iter().zip(SCHEMES) {
            let close = host.closed();
            assert!(codes.contains(&close.code), "{what}: {close:?}");
            table.add([what, scheme, &close.code.to_string(), clean(&close)]);
        }
    };
    let page = browser.open_page(&origin);
    for host in &hosts {
        host.open(&page);
    }
    page.go("about:blank");
    ended("it went to another page", &[1001]);

    page.go(&origin);
    for host in &hosts {
        host.open(&page);
    }
    page.close();
    ended("it closed the tab", &[1001]);

    let page = browser.open_page(&origin);
    for host in &hosts {
        host.open(&page);
    }
    drop(browser);
    // Its process for the network may live long enough to say so.
    ended("it was killed", &[1001, 1006]);
    table.print();
}
