//! Settings as words, in which the process is told of them.

use std::collections::HashMap;

use data_encoding::BASE64URL_NOPAD;

use crate::abi::{self, Options, functions};
use crate::support::tls::{Authority, Identity};

/// A setting that has a client trust this authority alone.
pub fn trusting(authority: &Authority) -> String {
    format!("ca={}", to_word(&authority.pem()))
}

/// A setting that has a server speak TLS.
pub fn being(identity: &Identity) -> String {
    let (cert, key) = (to_word(&identity.cert), to_word(&identity.key));
    format!("identity={cert},{key}")
}

/// A setting that has a server take the clients of this authority alone.
pub fn demanding(authority: &Authority) -> String {
    format!("client_ca={}", to_word(&authority.pem()))
}

fn to_word(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

fn from_word(word: &str) -> String {
    String::from_utf8(BASE64URL_NOPAD.decode(word.as_bytes()).unwrap()).unwrap()
}

/// Options from words `name=number`; and those that are none.
pub fn settings<'a>(words: impl Iterator<Item = &'a str>) -> (Options, HashMap<String, u32>) {
    let mut behaviour = HashMap::new();
    let c = functions();
    let mut options = Options::new();
    for word in words.filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').unwrap();
        if name == "subprotocol" {
            abi::expect_ok(options.add_subprotocol(value.as_bytes()));
            continue;
        }
        if name == "ca" {
            options = options.set_text(c.options_set_tls_ca, from_word(value));
            continue;
        }
        if name == "client_ca" {
            options = options.set_text(c.options_set_tls_client_ca, from_word(value));
            continue;
        }
        if name == "identity" {
            let (cert, key) = value.split_once(',').unwrap();
            options = options.with_identity(&from_word(cert), &from_word(key));
            continue;
        }
        let number: u32 = value.parse().unwrap();
        options = match name {
            "ask" => options.asking(),
            "max_message" => options.set(c.options_set_max_message, number.into()),
            "max_buffered" => options.set(c.options_set_max_buffered, number.into()),
            "connect_timeout" => options.set(c.options_set_connect_timeout_ms, number),
            "close_timeout" => options.set(c.options_set_close_timeout_ms, number),
            "ping_interval" => options.set(c.options_set_ping_interval_ms, number),
            "pong_timeout" => options.set(c.options_set_pong_timeout_ms, number),
            "idle_timeout" => options.set(c.options_set_idle_timeout_ms, number),
            "slow_subscribers" => options.set(c.options_set_slow_subscribers, number as i32),
            "compression" => options.set(c.options_set_compression, number as i32),
            "window" => {
                let bits = number as i32;
                options.set_both(c.options_set_compression_window, (bits, bits))
            }
            "takeover" => {
                let on = number as i32;
                options.set_both(c.options_set_compression_takeover, (on, on))
            }
            _ => {
                behaviour.insert(name.to_owned(), number);
                options
            }
        };
    }
    (options, behaviour)
}
