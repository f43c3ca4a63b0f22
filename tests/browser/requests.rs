//! What a server sees of a browser's request, before it accepts or refuses it.

use serde_json::{Value, json};

use crate::abi::{OK, Options, Request, Seen};
use crate::chromium::Page;
use crate::table::Table;
use crate::{Host, SCHEMES, site, start_browser};

/// The fields that a server may want to know.
const FIELDS: [&str; 8] = [
    "Host",
    "Origin",
    "User-Agent",
    "Cookie",
    "Accept-Language",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
];

/// Has a page ask for a socket, and waits until the server is asked whether it may have it.
fn ask(page: &Page<'_>, host: &Host, url: &str, subprotocols: &[&str]) -> (Request, String) {
    let arguments = json!([url, subprotocols]);
    page.evaluate(&format!("window.opening = open(...{arguments}); true"));
    let (handle, seen) = host.seen.next_of();
    let Seen::Request(target) = seen else {
        panic!("{seen:?}");
    };
    (Request(handle.0), target)
}

/// What became of it.
fn opened(page: &Page<'_>) -> Value {
    page.evaluate("window.opening")
}

#[test]
fn a_server_sees_who_asks_from_which_page_and_chooses_a_subprotocol() {
    let Some(browser) = start_browser() else {
        return;
    };
    let origin = site::start();
    let page = browser.open_page(&origin);
    let title = format!("What the server was told by {}:", browser.version());
    let mut table = Table::new(title, &["field", "value"]);
    for scheme in SCHEMES {
        let host = Host::new(scheme, Options::new().asking());
        let url = format!("{}chat?room=caf\u{e9}&n=1", host.url);
        let (request, target) = ask(&page, &host, &url, &["chat.v2", "chat.v1"]);
        // Browsers write in ASCII what is not.
        assert_eq!(target, "/chat?room=caf%C3%A9&n=1");
        assert_eq!(request.header("Origin"), origin);
        let address = format!("127.0.0.1:{}", host.server.port);
        assert_eq!(request.header("Host"), address);
        let offer = request.header("Sec-WebSocket-Extensions");
        assert!(offer.starts_with("permessage-deflate"), "{offer}");
        if scheme == "wss" {
            table.add(["(target)", &target]);
            for name in FIELDS {
                let value = request.header(name);
                table.add([name, if value.is_empty() { "(none)" } else { &value }]);
            }
        }

        let (socket, seen) = request.accept("chat.v1");
        assert_eq!(seen.next(), Seen::Open);
        let opened = opened(&page);
        assert_eq!(opened["isOpen"], true);
        assert_eq!(opened["protocol"], "chat.v1");
        page.run("send", json!([opened["number"], "hello"]));
        assert_eq!(seen.next(), Seen::text("hello"));
        assert_eq!(socket.close(1000, ""), OK);
        assert_eq!(seen.next(), Seen::clean(1000, ""));
    }
    table.print();
}

#[test]
fn a_page_does_not_get_what_the_server_refuses() {
    let Some(browser) = start_browser() else {
        return;
    };
    let page = browser.open_page(&site::start());
    for scheme in SCHEMES {
        let host = Host::new(scheme, Options::new().asking());
        // A browser follows no redirect, and asks nobody for a password.
        for status in [301, 401, 403, 404, 500] {
            let (request, _) = ask(&page, &host, &host.url, &[]);
            request.add_header("Location", &host.url);
            request.add_header("WWW-Authenticate", "Basic realm=\"wsabi\"");
            assert_eq!(request.reject(status, "not for you"), OK);
            let opened = opened(&page);
            assert_eq!(opened["isOpen"], false, "{status}");
            let ended = page.run("ended", json!([opened["number"]]));
            assert_eq!(ended["code"], 1006, "{status}");
            assert_eq!(ended["errors"], 1, "{status}");
        }
    }
}

#[test]
fn a_browser_keeps_the_cookies_of_the_answer() {
    let Some(browser) = start_browser() else {
        return;
    };
    let page = browser.open_page(&site::start());
    let host = Host::new("ws", Options::new().asking());
    // Of the same site as the page, which does not care for ports.
    let url = format!("ws://localhost:{}/", host.server.port);
    for cookie in ["", "visits=1"] {
        let (request, _) = ask(&page, &host, &url, &[]);
        assert_eq!(request.header("Cookie"), cookie);
        request.add_header("Set-Cookie", "visits=1; HttpOnly");
        let (_, seen) = request.accept("");
        assert_eq!(seen.next(), Seen::Open);
        assert_eq!(opened(&page)["isOpen"], true);
    }
}
