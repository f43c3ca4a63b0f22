//! Messages arrive byte for byte, whatever their size, type and way.

use serde_json::json;

use crate::abi::{
    BINARY, FACT_EXTENSIONS, FACT_SUBPROTOCOL, OK, Options, Seen, Socket, TEXT, functions,
};
use crate::table::Table;
use crate::{Host, Joined, SCHEMES, patterns, site, start_browser};

const KINDS: [&str; 3] = ["text", "Blob", "ArrayBuffer"];

/// At the borders of the forms of a frame's length, and the largest that a server takes unless told
/// otherwise.
const SIZES: [usize; 8] = [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20];

#[test]
fn messages_of_all_sizes_come_back_to_a_page_byte_for_byte() {
    let Some(browser) = start_browser() else {
        return;
    };
    let page = browser.open_page(&site::start());
    let title = format!(
        "Until {} had its messages back, byte for byte, in ms:",
        browser.version()
    );
    let ways = [0, 1].map(|compression| SCHEMES.map(|scheme| (scheme, compression)));
    let ways = ways.concat();
    let hosts: Vec<Host> = ways
        .iter()
        .map(|(scheme, compression)| {
            let options = Options::new().set(functions().options_set_compression, *compression);
            Host::with_hook(scheme, options, echo)
        })
        .collect();
    let joined: Vec<Joined> = hosts.iter().map(|host| host.open(&page)).collect();
    let mut table = Table::new(title, &["message", "bytes", "ws", "wss", "ws", "wss"]);
    let extensions = joined.iter().zip(&ways).map(|(joined, (_, compression))| {
        let extensions = joined.opened["extensions"].as_str().unwrap().to_owned();
        assert_eq!(extensions, joined.socket.fact(FACT_EXTENSIONS));
        let expected = ["", "permessage-deflate"][*compression as usize];
        assert_eq!(extensions.split(';').next().unwrap(), expected);
        expected.to_owned()
    });
    let names = ["extensions", ""].map(str::to_owned);
    table.add(names.into_iter().chain(extensions));
    for size in SIZES {
        for kind in KINDS {
            let message = if kind == "text" {
                Seen::text(&patterns::text(size))
            } else {
                Seen::binary(patterns::bytes(size))
            };
            let mut row = vec![kind.to_owned(), size.to_string()];
            for (host, joined) in hosts.iter().zip(&joined) {
                let took = page.run("exchange", json!([joined.number, kind, size]));
                row.push(format!("{:.1}", took.as_f64().unwrap()));
                // Without `assert_eq`: a large message would fill the screen.
                assert!(host.next() == message, "{kind} of {size} bytes");
            }
            table.add(row);
        }
    }
    table.print();
}

fn echo(socket: Socket, seen: &Seen) {
    let Seen::Message { kind, data } = seen else {
        return;
    };
    assert_eq!(send(socket, *kind, data), OK);
}

fn send(socket: Socket, kind: i32, data: &[u8]) -> i32 {
    match kind {
        TEXT => socket.send_text(data),
        _ => socket.send_binary(data),
    }
}

#[test]
fn what_is_published_arrives_between_messages_of_its_own_however_it_is_compressed() {
    /// All are compressed, and of the published ones those from 40,000 on are shared.
    const SIZES: [usize; 6] = [2_000, 3_000, 40_000, 5_000, 100_000, 2_000];
    let Some(browser) = start_browser() else {
        return;
    };
    let page = browser.open_page(&site::start());
    let title = format!(
        "What {} inflated, published and its own in turns:",
        browser.version()
    );
    let mut table = Table::new(title, &["scheme", "extensions"]);
    for scheme in SCHEMES {
        for (takeover, window) in [(1, 15), (1, 10), (0, 15), (0, 9)] {
            let options = Options::new()
                .set_both(
                    functions().options_set_compression_takeover,
                    (takeover, takeover),
                )
                .set_both(functions().options_set_compression_window, (window, window));
            let host = Host::new(scheme, options);
            let joined = [host.open(&page), host.open(&page)];
            let mut expected = Vec::new();
            for (turn, size) in SIZES.into_iter().cycle().take(24).enumerate() {
                let (kind, data) = match turn / 2 % 2 {
                    0 => (TEXT, patterns::text(size).into_bytes()),
                    _ => (BINARY, patterns::bytes(size)),
                };
                if turn % 2 == 0 {
                    for guest in &joined {
                        assert_eq!(send(guest.socket, kind, &data), OK);
                    }
                } else {
                    assert_eq!(host.server.publish("", kind, &data), 2);
                }
                let name = if kind == TEXT { "text" } else { "ArrayBuffer" };
                expected.push(json!([name, size]));
            }
            for guest in &joined {
                let mut arguments = vec![guest.number.clone()];
                arguments.extend(expected.iter().cloned());
                assert_eq!(page.run("expect", json!(arguments)), expected.len());
            }
            let extensions = joined[0].socket.fact(FACT_EXTENSIONS);
            assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
            let is_narrow = extensions.contains(&format!("server_max_window_bits={window}"));
            assert_eq!(is_narrow, window < 15, "{extensions}");
            let is_fresh = extensions.contains("server_no_context_takeover");
            assert_eq!(is_fresh, takeover == 0, "{extensions}");
            table.add([scheme, &extensions]);
        }
    }
    table.print();
}

#[test]
fn a_page_gets_a_message_that_was_sent_in_pieces_as_one() {
    let Some(browser) = start_browser() else {
        return;
    };
    let page = browser.open_page(&site::start());
    for scheme in SCHEMES {
        for compression in [0, 1] {
            let options = Options::new()
                .set(functions().options_set_compression, compression)
                .set(functions().options_set_compression_min, 0);
            let host = Host::new(scheme, options);
            let joined = host.open(&page);
            // Pieces of one byte cut characters; a ping comes in between.
            let text = patterns::text(200);
            for byte in text.as_bytes() {
                assert_eq!(joined.socket.send_fragment(TEXT, &[*byte], false), OK);
                assert_eq!(joined.socket.ping(&[*byte]), OK);
            }
            assert_eq!(joined.socket.send_fragment(TEXT, b"", true), OK);
            assert_eq!(page.run("receive", json!([joined.number])), text);
            assert_eq!(joined.socket.send_fragment(BINARY, b"", false), OK);
            assert_eq!(joined.socket.send_fragment(BINARY, b"\0\xff", true), OK);
            let length = format!("receive({}).then((it) => it.byteLength)", joined.number);
            assert_eq!(page.evaluate(&length), 2);
        }
    }
}

#[test]
fn a_browser_answers_pings_with_what_they_carry() {
    let Some(browser) = start_browser() else {
        return;
    };
    let page = browser.open_page(&site::start());
    for scheme in SCHEMES {
        let host = Host::new(scheme, Options::new());
        let joined = host.open(&page);
        for len in [0, 1, 125] {
            let payload = patterns::bytes(len);
            assert_eq!(joined.socket.ping(&payload), OK);
            assert_eq!(host.seen.next(), Seen::Pong(payload));
        }
        assert!(joined.socket.stats().round_trip_ns > 0);
    }
}

#[test]
fn a_page_has_one_of_the_subprotocols_that_it_offers() {
    let Some(browser) = start_browser() else {
        return;
    };
    let page = browser.open_page(&site::start());
    for scheme in SCHEMES {
        let host = Host::new(scheme, Options::new().offering(&["chat.v2", "chat.v1"]));
        for (offered, chosen) in [
            (&[][..], ""),
            (&["chat.v1"], "chat.v1"),
            // The server's own order decides.
            (&["other", "chat.v1", "chat.v2"], "chat.v2"),
        ] {
            let joined = host.open_with(&page, offered);
            assert_eq!(joined.opened["protocol"], chosen, "{offered:?}");
            assert_eq!(joined.socket.fact(FACT_SUBPROTOCOL), chosen);
        }
    }
}

#[test]
fn what_a_page_has_sent_waits_in_it_until_the_server_reads() {
    const COUNT: u64 = 64;
    const SIZE: u64 = 1 << 20;
    let Some(browser) = start_browser() else {
        return;
    };
    let page = browser.open_page(&site::start());
    for scheme in SCHEMES {
        let options = Options::new().set(functions().options_set_compression, 0);
        let host = Host::with_hook(scheme, options, |socket, seen| {
            if *seen == Seen::Open {
                assert_eq!(socket.pause(), OK);
            }
        });
        let joined = host.open(&page);
        let amounts = page.run("flood", json!([joined.number, COUNT, SIZE]));
        // The amount falls between tasks of the page only, and this was one.
        let expected: Vec<u64> = (1..=COUNT).map(|number| number * SIZE).collect();
        assert_eq!(amounts, json!(expected));
        let amount = format!("sockets[{}].socket.bufferedAmount", joined.number);
        assert!(page.evaluate(&amount).as_u64().unwrap() > 0);

        assert_eq!(joined.socket.resume(), OK);
        page.run("drain", json!([joined.number]));
        let message = Seen::binary(patterns::bytes(SIZE as usize));
        for number in 0..COUNT {
            assert!(host.next() == message, "message {number}");
        }
    }
}

#[test]
fn sockets_of_many_pages_do_not_mix() {
    let Some(browser) = start_browser() else {
        return;
    };
    let origin = site::start();
    let pages = [(); 3].map(|()| browser.open_page(&origin));
    for scheme in SCHEMES {
        let host = Host::with_hook(scheme, Options::new(), echo);
        let exchange = |which: usize| {
            format!(
                "Promise.all(Array.from({{ length: 20 }}, async (_, it) => {{
                    const {{ number }} = await open({:?});
                    for (let turn = 0; turn < 5; turn++) {{
                        const message = `page {which}, socket ${{it}}, turn ${{turn}}`;
                        send(number, message);
                        const back = await receive(number);
                        if (back !== message) throw new Error(`${{message}}: ${{back}}`);
                    }}
                    return 5;
                }})).then((turns) => turns.length)",
                host.url
            )
        };
        for (which, page) in pages.iter().enumerate() {
            page.evaluate(&format!("window.exchanged = {}; true", exchange(which)));
        }
        for page in &pages {
            assert_eq!(page.evaluate("window.exchanged"), 20);
        }
    }
}
