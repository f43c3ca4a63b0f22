//! The client's judgement of the server's answer, in tables.

use super::*;

#[test]
fn a_response_that_fits_the_offer_is_confirmed() {
    let all = || Config::default();
    for (config, response, expected) in [
        (all(), "permessage-deflate", agreed((15, true), (15, true))),
        (
            all(),
            " \tpermessage-deflate\t ",
            agreed((15, true), (15, true)),
        ),
        (
            all(),
            ", permessage-deflate ,,",
            agreed((15, true), (15, true)),
        ),
        (
            all(),
            "permessage-deflate;client_max_window_bits=12 ; server_max_window_bits=\"1\\0\"",
            agreed((12, true), (10, true)),
        ),
        (
            all(),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            agreed((15, false), (15, false)),
        ),
        (
            all(),
            "permessage-deflate; client_max_window_bits=8; server_max_window_bits=8",
            agreed((8, true), (8, true)),
        ),
        (
            limits(10, 15),
            "permessage-deflate",
            agreed((10, true), (15, true)),
        ),
        (
            limits(10, 15),
            "permessage-deflate; client_max_window_bits=9",
            agreed((9, true), (15, true)),
        ),
        (
            limits(15, 12),
            "permessage-deflate; server_max_window_bits=12",
            agreed((15, true), (12, true)),
        ),
        (
            limits(15, 12),
            "permessage-deflate; server_max_window_bits=8",
            agreed((15, true), (8, true)),
        ),
        (
            takeover(false, true),
            "permessage-deflate",
            agreed((15, false), (15, true)),
        ),
        (
            takeover(true, false),
            "permessage-deflate; server_no_context_takeover",
            agreed((15, true), (15, false)),
        ),
    ] {
        assert_eq!(
            confirm(&config, response),
            Ok(Some(expected)),
            "{response:?}"
        );
    }
    for nothing in ["", " ", "\t  "] {
        assert_eq!(confirm(&all(), nothing), Ok(None));
    }
}

#[test]
fn a_response_that_was_not_offered_fails() {
    let all = Config::default();
    for (config, response, sentence) in [
        (
            &all,
            "x-webkit-deflate-frame",
            "extension \"x-webkit-deflate-frame\" was not offered",
        ),
        (
            &all,
            "Permessage-Deflate",
            "extension \"Permessage-Deflate\" was not offered",
        ),
        (
            &all,
            "permessage-deflate, permessage-deflate",
            "a second extension",
        ),
        (
            &all,
            "permessage-deflate, foo",
            "a second extension \"foo\" was not offered",
        ),
        (
            &all,
            "foo, permessage-deflate",
            "extension \"foo\" was not offered",
        ),
        (
            &all,
            "permessage-deflate; foo",
            "parameter \"foo\" is unknown",
        ),
        (
            &all,
            "permessage-deflate; foo=\"bar\"",
            "parameter \"foo\" is unknown",
        ),
        (
            &all,
            "permessage-deflate; Server_Max_Window_Bits=10",
            "is unknown",
        ),
        (
            &all,
            "permessage-deflate; client_max_window_bits",
            "has no value",
        ),
        (
            &all,
            "permessage-deflate; server_max_window_bits",
            "has no value",
        ),
        (
            &all,
            "permessage-deflate; server_no_context_takeover=1",
            "server_no_context_takeover has a value \"1\"",
        ),
        (
            &all,
            "permessage-deflate; client_no_context_takeover=true",
            "has a value",
        ),
        (
            &all,
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "server_no_context_takeover is there twice",
        ),
        (
            &all,
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "twice",
        ),
        (
            &all,
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "twice",
        ),
        (
            &all,
            "permessage-deflate; client_max_window_bits=10; client_max_window_bits=11",
            "twice",
        ),
        (
            &limits(10, 15),
            "permessage-deflate; client_max_window_bits=11",
            "client_max_window_bits 11 is over the offered 10",
        ),
        (
            &limits(15, 10),
            "permessage-deflate; server_max_window_bits=11",
            "server_max_window_bits 11 is over the offered 10",
        ),
        (
            &limits(15, 10),
            "permessage-deflate",
            "server_max_window_bits 10 was offered, but not accepted",
        ),
        (
            &takeover(true, false),
            "permessage-deflate",
            "server_no_context_takeover was offered, but not accepted",
        ),
        (&all, ",", "the list of extensions is empty"),
        (
            &all,
            "permessage-deflate;",
            "extensions end in the middle of one",
        ),
        (
            &all,
            "permessage-deflate client_max_window_bits=10",
            "malformed",
        ),
        (&all, "permessage-deflate, =", "malformed"),
    ] {
        let error = confirm(config, response).unwrap_err();
        assert!(error.contains(sentence), "{response:?}: {error}");
    }
}

#[test]
fn window_bits_other_than_8_to_15_are_refused() {
    for value in [
        "7",
        "16",
        "0",
        "08",
        "010",
        "+9",
        "-9",
        "9.0",
        "\" 9\"",
        "\"\"",
        "",
        "abc",
        "0x9",
        "1e1",
        "99",
        "32777",
        "32783",
        "65545",
        "4294967305",
        "18446744073709551625",
        "\u{669}",
        "9;9",
    ] {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            let header = format!("permessage-deflate; {name}={value}");
            assert!(confirm(&Config::default(), &header).is_err(), "{header:?}");
            let accepted = accept(&Config::default(), &header);
            assert!(!matches!(accepted, Ok(Some(_))), "{header:?}");
        }
    }
}
