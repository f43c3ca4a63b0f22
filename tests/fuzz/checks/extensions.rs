//! The parameters of permessage-deflate.

use crate::proto::deflate::{Agreed, Config, accept, confirm, offer};

/// Nothing beyond what both sides allow is agreed on, and each side understands the other.
pub fn extensions(data: &[u8]) {
    let Some((&[server, client], text)) = data.split_first_chunk::<2>() else {
        return;
    };
    let (server, client) = (config(server), config(client));
    both_agree(&server, &client);
    let Ok(text) = str::from_utf8(text) else {
        return;
    };

    match accept(&server, text) {
        Ok(Some((agreed, response))) => {
            check_limits(&server, &swapped(agreed));
            let permissive = Config::default();
            // To whoever offers all, the response says what was agreed on.
            assert_eq!(confirm(&permissive, &response), Ok(Some(swapped(agreed))));
        }
        Ok(None) => {}
        Err(sentence) => check_sentence(&sentence),
    }
    match confirm(&client, text) {
        Ok(Some(agreed)) => check_limits(&client, &agreed),
        Ok(None) => {}
        Err(sentence) => check_sentence(&sentence),
    }
}

/// A server that accepts a client's offer tells it the same as it believes itself.
fn both_agree(server: &Config, client: &Config) {
    let accepted = accept(server, &offer(client)).unwrap();
    if let Some((agreed, response)) = accepted {
        let confirmed = confirm(client, &response).unwrap();
        assert_eq!(confirmed, Some(swapped(agreed)));
    }
}

fn config(choices: u8) -> Config {
    let bits = [9, 10, 14, 15];
    Config {
        client_max_window_bits: bits[usize::from(choices & 3)],
        server_max_window_bits: bits[usize::from(choices >> 2 & 3)],
        client_takeover: choices & 16 != 0,
        server_takeover: choices & 32 != 0,
        ..Config::default()
    }
}

/// The same, seen from the other side.
fn swapped(agreed: Agreed) -> Agreed {
    Agreed {
        own_window_bits: agreed.peer_window_bits,
        peer_window_bits: agreed.own_window_bits,
        own_takeover: agreed.peer_takeover,
        peer_takeover: agreed.own_takeover,
    }
}

/// `agreed` is the client's view.
fn check_limits(config: &Config, agreed: &Agreed) {
    assert!((8..=config.client_max_window_bits).contains(&agreed.own_window_bits));
    assert!((8..=config.server_max_window_bits).contains(&agreed.peer_window_bits));
    assert!(config.client_takeover || !agreed.own_takeover);
    assert!(config.server_takeover || !agreed.peer_takeover);
}

fn check_sentence(sentence: &str) {
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
}
