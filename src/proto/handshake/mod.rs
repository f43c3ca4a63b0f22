//! The opening handshake of RFC 6455 §4, for both roles.

mod body;
pub mod client;
pub mod head;
pub mod server;

pub use client::{Accepted, Client, Request};
pub use head::Head;
pub use server::{Refusal, Server, Upgrade};

/// Longest head that is received, in bytes, from the start line to the empty line.
pub const MAX_HEAD: usize = 16 * 1024;

/// Most fields of a received head.
pub const MAX_FIELDS: usize = 100;

/// Whether `text` is a token of RFC 9110 §5.6.2: a header name, a method, a subprotocol.
pub fn is_token(text: &str) -> bool {
    is_token_bytes(text.as_bytes())
}

/// Whether a header field of this name is written by the library itself, from other settings or
/// because the handshake depends on it.
pub fn is_owned_header(name: &str) -> bool {
    const PREFIX: &[u8] = b"sec-websocket-";
    const NAMES: [&str; 7] = [
        "connection",
        "content-length",
        "host",
        "origin",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    name.as_bytes()
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        || NAMES.iter().any(|it| it.eq_ignore_ascii_case(name))
}

fn is_token_bytes(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Appends one field line. The caller's values have no control characters.
fn put_field(head: &mut Vec<u8>, name: &str, value: &str) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}

/// What the peer wrote, for a sentence: escaped, and cut when it is long.
pub fn quote(bytes: &[u8]) -> String {
    const LONGEST: usize = 80;
    let cut = bytes.get(..LONGEST).unwrap_or(bytes);
    let dots = if cut.len() < bytes.len() { "..." } else { "" };
    format!("{:?}{dots}", String::from_utf8_lossy(cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_characters_of_rfc_9110_and_no_others() {
        for good in ["a", "chat", "chat.v1", "GET", "!#$%&'*+-.^_`|~09azAZ"] {
            assert!(is_token(good), "{good:?}");
        }
        for byte in 0..=0x7f_u8 {
            let text = char::from(byte).to_string();
            let separator = "()<>@,;:\\\"/[]?={} \t".contains(&text);
            assert_eq!(
                is_token(&text),
                byte.is_ascii_graphic() && !separator,
                "{text:?}"
            );
        }
        for bad in ["", "a b", "a,b", "\u{e4}", "a\0", "a\r\n"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }

    #[test]
    fn owned_headers_are_known_in_any_letter_case() {
        for owned in [
            "Host",
            "UPGRADE",
            "connection",
            "Content-Length",
            "transfer-encoding",
            "Origin",
            "user-AGENT",
            "Sec-WebSocket-Key",
            "sec-websocket-",
            "SEC-WEBSOCKET-Anything",
        ] {
            assert!(is_owned_header(owned), "{owned:?}");
        }
        for free in [
            "",
            "Authorization",
            "Cookie",
            "Sec-WebSocket",
            "Sec-Fetch-Mode",
            "Hosts",
        ] {
            assert!(!is_owned_header(free), "{free:?}");
        }
    }

    #[test]
    fn quoted_bytes_are_escaped_and_cut() {
        assert_eq!(quote(b"a\r\0\x1b"), r#""a\r\0\u{1b}""#);
        assert_eq!(quote(&[b'x'; 81]), format!("\"{}\"...", "x".repeat(80)));
        assert_eq!(quote(&[b'x'; 80]), format!("\"{}\"", "x".repeat(80)));
    }
}
