//! The client's offer and the server's answer, in tables.

use std::time::{Duration, Instant};

use super::*;

fn all_configs() -> impl Iterator<Item = Config> {
    (9..=15).flat_map(|client| {
        (9..=15).flat_map(move |server| {
            (0..4).map(move |flags| Config {
                client_takeover: flags & 1 != 0,
                server_takeover: flags & 2 != 0,
                ..limits(client, server)
            })
        })
    })
}

#[test]
fn the_defaults_are_those_of_the_header() {
    let config = Config::default();
    assert_eq!(
        (config.client_max_window_bits, config.server_max_window_bits),
        (15, 15)
    );
    assert!(config.client_takeover && config.server_takeover);
    assert_eq!((config.level, config.min), (1, 1024));
}

#[test]
fn an_offer_names_what_differs_from_the_default() {
    for (config, expected) in [
        (
            Config::default(),
            "permessage-deflate; client_max_window_bits",
        ),
        (
            limits(10, 15),
            "permessage-deflate; client_max_window_bits=10",
        ),
        (
            limits(15, 9),
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits",
        ),
        (
            takeover(false, true),
            "permessage-deflate; client_no_context_takeover; client_max_window_bits",
        ),
        (
            Config {
                client_takeover: false,
                server_takeover: false,
                ..limits(9, 14)
            },
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=14; client_max_window_bits=9",
        ),
    ] {
        assert_eq!(offer(&config), expected);
    }
}

#[test]
fn an_offer_is_accepted_within_the_limits_of_both() {
    let all = Config::default();
    for (config, offers, expected, response) in [
        (
            &all,
            "permessage-deflate",
            agreed((15, true), (15, true)),
            "",
        ),
        (
            &all,
            "permessage-deflate; client_max_window_bits",
            agreed((15, true), (15, true)),
            "",
        ),
        (
            &all,
            "permessage-deflate; client_max_window_bits=11",
            agreed((15, true), (11, true)),
            "; client_max_window_bits=11",
        ),
        (
            &all,
            "permessage-deflate; server_max_window_bits=\"15\"",
            agreed((15, true), (15, true)),
            "; server_max_window_bits=15",
        ),
        (
            &all,
            "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8",
            agreed((8, true), (8, true)),
            "; server_max_window_bits=8; client_max_window_bits=8",
        ),
        (
            &limits(12, 13),
            "permessage-deflate; server_max_window_bits=14; client_max_window_bits",
            agreed((13, true), (12, true)),
            "; server_max_window_bits=13; client_max_window_bits=12",
        ),
        (
            &limits(12, 13),
            "permessage-deflate; client_max_window_bits=10",
            agreed((13, true), (10, true)),
            "; server_max_window_bits=13; client_max_window_bits=10",
        ),
        (
            &all,
            "permessage-deflate; server_no_context_takeover",
            agreed((15, false), (15, true)),
            "; server_no_context_takeover",
        ),
        (
            &all,
            "permessage-deflate; client_no_context_takeover",
            agreed((15, true), (15, false)),
            "; client_no_context_takeover",
        ),
        (
            &takeover(false, false),
            "permessage-deflate",
            agreed((15, false), (15, false)),
            "; server_no_context_takeover; client_no_context_takeover",
        ),
    ] {
        let expected = Some((expected, format!("permessage-deflate{response}")));
        assert_eq!(accept(config, offers), Ok(expected), "{offers:?}");
    }
}

#[test]
fn the_first_acceptable_offer_wins() {
    for (offers, response) in [
        ("", None),
        ("foo, bar; baz=\"7\"", None),
        ("foo, permessage-deflate", Some("")),
        ("permessage-deflate; foo, permessage-deflate", Some("")),
        (
            "permessage-deflate; server_max_window_bits=7, \
             permessage-deflate; server_max_window_bits=12, permessage-deflate",
            Some("; server_max_window_bits=12"),
        ),
        ("permessage-deflate; client_no_context_takeover=0", None),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            None,
        ),
        (
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            None,
        ),
        ("permessage-deflate; server_max_window_bits", None),
        ("PERMESSAGE-DEFLATE", None),
    ] {
        let accepted = accept(&Config::default(), offers).unwrap();
        let expected = response.map(|it| format!("permessage-deflate{it}"));
        assert_eq!(
            accepted.map(|(_, response)| response),
            expected,
            "{offers:?}"
        );
    }
}

#[test]
fn a_client_that_cannot_be_told_of_a_limit_is_declined() {
    let config = limits(12, 15);
    assert_eq!(accept(&config, "permessage-deflate"), Ok(None));
    let second = "permessage-deflate, permessage-deflate; client_max_window_bits";
    let (agreed, response) = accept(&config, second).unwrap().unwrap();
    assert_eq!(agreed.peer_window_bits, 12);
    assert_eq!(response, "permessage-deflate; client_max_window_bits=12");
}

#[test]
fn malformed_offers_are_an_error_even_behind_a_good_one() {
    for offers in [
        "permessage-deflate, =",
        "permessage-deflate; a=\"",
        "foo;",
        ";",
    ] {
        assert!(accept(&Config::default(), offers).is_err(), "{offers:?}");
    }
}

#[test]
fn every_pair_of_configurations_comes_to_the_same_agreement() {
    let mut pairs = 0;
    for client in all_configs() {
        let offer = offer(&client);
        for server in all_configs() {
            let (theirs, response) = accept(&server, &offer).unwrap().unwrap();
            let ours = confirm(&client, &response).unwrap().unwrap();
            assert_eq!(
                ours.own_window_bits, theirs.peer_window_bits,
                "{offer} {response}"
            );
            assert_eq!(
                ours.peer_window_bits, theirs.own_window_bits,
                "{offer} {response}"
            );
            assert_eq!(
                ours.own_takeover, theirs.peer_takeover,
                "{offer} {response}"
            );
            assert_eq!(
                ours.peer_takeover, theirs.own_takeover,
                "{offer} {response}"
            );
            let own = client
                .client_max_window_bits
                .min(server.client_max_window_bits);
            let peer = client
                .server_max_window_bits
                .min(server.server_max_window_bits);
            assert_eq!((ours.own_window_bits, ours.peer_window_bits), (own, peer));
            pairs += 1;
        }
    }
    assert_eq!(pairs, 196 * 196);
}

#[test]
fn hostile_headers_of_128_kib_are_judged_in_linear_time() {
    let size = 128 << 10;
    for unit in [
        "permessage-deflate,",
        "permessage-deflate; server_max_window_bits=7,",
        "; server_no_context_takeover",
        "; foo=\"\\b\\a\\r\"",
        "; client_max_window_bits=\"",
        ",",
        "x",
    ] {
        let header = format!("permessage-deflate{}", unit.repeat(size / unit.len()));
        let start = Instant::now();
        let _ = confirm(&Config::default(), &header);
        let _ = accept(&Config::default(), &header);
        // Quadratic work takes minutes on this.
        assert!(start.elapsed() < Duration::from_secs(20), "{unit:?}");
    }
}
