//! Options: a template of settings for any number of sockets and servers. Every value is checked
//! here, once, so that nothing below has to.

mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use tungstenite::http::{HeaderName, HeaderValue};

use crate::error::{Error, Result};
use crate::net::{Listening, ProxyChoice};
use crate::proto::{deflate, handshake};
pub use crate::reactor::SlowSubscribers;
use crate::reactor::{Reconnect, Settings};

/// Settings of sockets and servers, copied by each that is made with them.
#[derive(Clone, Default)]
pub struct Options {
    settings: Arc<Settings>,
    /// What compression does where it is on.
    compression: deflate::Config,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subprotocol, behind those that are there: a token of RFC 6455 §4.1, not yet present
    /// in any letter case.
    pub fn add_subprotocol(&mut self, name: &str) -> Result<()> {
        if !handshake::is_token(name) {
            return Err(argument(format!("subprotocol {name:?} is not a token")));
        }
        let settings = Arc::make_mut(&mut self.settings);
        if settings
            .subprotocols
            .iter()
            .any(|it| it.eq_ignore_ascii_case(name))
        {
            return Err(argument(format!("subprotocol {name:?} is there already")));
        }
        settings.subprotocols.push(name.to_owned());
        Ok(())
    }

    /// Adds a header field to the request of a client or the response of a server. Fields that
    /// the library writes itself are refused.
    pub fn add_header(&mut self, name: &str, value: &str) -> Result<()> {
        check_header(name, value)?;
        let settings = Arc::make_mut(&mut self.settings);
        settings.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Sets the Origin of the request; empty: none, which is the default.
    pub fn set_origin(&mut self, origin: &str) -> Result<()> {
        check_header_value(origin)?;
        self.edit().origin = non_empty(origin);
        Ok(())
    }

    /// Sets the User-Agent of the request; empty: none, which is the default.
    pub fn set_user_agent(&mut self, user_agent: &str) -> Result<()> {
        check_header_value(user_agent)?;
        self.edit().user_agent = non_empty(user_agent);
        Ok(())
    }

    /// Sets the credentials of a client, `user:password`, which go into the Authorization field
    /// (RFC 7617) unless the URL or a header has some. Empty: none, which is the default.
    pub fn set_basic_auth(&mut self, credentials: &str) -> Result<()> {
        // Neither sentence says what the credentials are.
        if credentials.contains(char::is_control) {
            return Err(argument("credentials have a control character".to_owned()));
        }
        if !credentials.is_empty() && !credentials.contains(':') {
            let sentence = "credentials have no colon between user and password";
            return Err(argument(sentence.to_owned()));
        }
        self.edit().authorization =
            non_empty(credentials).map(|it| format!("Basic {}", BASE64.encode(it.as_bytes())));
        Ok(())
    }

    /// Sets the proxy of a client: the URL of one with the scheme http, https, socks5 or socks5h,
    /// or `env` for what the environment says at this moment. Empty: none, which is the default.
    pub fn set_proxy(&mut self, proxy: &str) -> Result<()> {
        self.edit().proxy = ProxyChoice::parse(proxy)?;
        Ok(())
    }

    /// Sets how many redirects a client follows, at most 20. Default: 0.
    pub fn set_max_redirects(&mut self, redirects: u32) -> Result<()> {
        if redirects > MOST_REDIRECTS {
            return Err(argument(format!(
                "{redirects} redirects are more than {MOST_REDIRECTS}"
            )));
        }
        self.edit().max_redirects = redirects;
        Ok(())
    }

    /// Sets whether a client connects again when the connection is lost: after a random time, of
    /// at least `min` and at most a limit that doubles with every further try, up to `max`; until
    /// so many `tries` in a row have failed, or for ever if that is 0. All three zero: it does not,
    /// which is the default.
    pub fn set_reconnect(&mut self, min: Duration, max: Duration, tries: u32) -> Result<()> {
        self.edit().reconnect = if (min, max, tries) == (Duration::ZERO, Duration::ZERO, 0) {
            None
        } else if min < Duration::from_millis(1) {
            return Err(argument(format!("min of {min:?} is less than 1ms")));
        } else if min > max {
            return Err(argument(format!(
                "min of {min:?} is more than max of {max:?}"
            )));
        } else {
            Some(Reconnect { min, max, tries })
        };
        Ok(())
    }

    /// Sets the largest message that is received, in bytes; at least 1. Default: 16 MiB.
    pub fn set_max_message(&mut self, bytes: u64) -> Result<()> {
        self.edit().max_message = at_least_one("max_message", bytes)?;
        Ok(())
    }

    /// Sets how many payload bytes may wait to be sent; at least 1. Default: 64 MiB.
    pub fn set_max_buffered(&mut self, bytes: u64) -> Result<()> {
        self.edit().max_buffered = at_least_one("max_buffered", bytes)?;
        Ok(())
    }

    /// Sets the buffered amount at which a Drain event comes. Default: 1 MiB.
    pub fn set_low_water(&mut self, bytes: u64) {
        self.edit().low_water = bytes;
    }

    /// Sets the largest frame that is sent, in bytes; 0, the default: messages are not split.
    pub fn set_max_frame(&mut self, bytes: u64) {
        self.edit().max_frame = if bytes == 0 { u64::MAX } else { bytes };
    }

    /// Sets whether permessage-deflate (RFC 7692) is offered and accepted. Default: it is.
    pub fn set_compression(&mut self, on: bool) {
        if on != self.settings.compression.is_some() {
            self.edit().compression = on.then(|| self.compression.clone());
        }
    }

    /// Sets the size in bytes below which messages stay uncompressed. Default: 1 KiB.
    pub fn set_compression_min(&mut self, bytes: u64) {
        self.edit_compression(|config| config.min = bytes);
    }

    /// Sets how hard the compressor tries, 1 to 9. Default: 1, which takes a sixth of the time of 6
    /// for a third more bytes.
    pub fn set_compression_level(&mut self, level: i32) -> Result<()> {
        let level = u32::try_from(level)
            .ok()
            .filter(|level| (1..=9).contains(level))
            .ok_or_else(|| argument(format!("compression level {level} is not from 1 to 9")))?;
        self.edit_compression(|config| config.level = level);
        Ok(())
    }

    /// Sets the largest windows of the client's and the server's compressor, each as a power of
    /// two, 9 to 15. Default: 15, 15.
    pub fn set_compression_window(&mut self, client_bits: i32, server_bits: i32) -> Result<()> {
        let client = window_bits("client_bits", client_bits)?;
        let server = window_bits("server_bits", server_bits)?;
        self.edit_compression(|config| {
            config.client_max_window_bits = client;
            config.server_max_window_bits = server;
        });
        Ok(())
    }

    /// Sets whether the client's and the server's compressor may refer to earlier messages.
    /// Default: both may.
    pub fn set_compression_takeover(&mut self, client: bool, server: bool) {
        self.edit_compression(|config| {
            config.client_takeover = client;
            config.server_takeover = server;
        });
    }

    /// Sets the time from the start to the open event; zero: no limit. Default: 10 s.
    pub fn set_connect_timeout(&mut self, timeout: Duration) {
        self.edit().connect_timeout = non_zero(timeout);
    }

    /// Sets the time from the beginning of the end to the close event. Default: 3 s.
    pub fn set_close_timeout(&mut self, timeout: Duration) {
        self.edit().close_timeout = timeout;
    }

    /// Sets after how long without a received byte a ping is sent; zero: never. Default: 20 s.
    pub fn set_ping_interval(&mut self, interval: Duration) {
        self.edit().ping_interval = non_zero(interval);
    }

    /// Sets how long a ping may stay unanswered; zero: for ever. Default: 20 s.
    pub fn set_pong_timeout(&mut self, timeout: Duration) {
        self.edit().pong_timeout = non_zero(timeout);
    }

    /// Sets how long no message may pass either way; zero, the default: for ever.
    pub fn set_idle_timeout(&mut self, timeout: Duration) {
        self.edit().idle_timeout = non_zero(timeout);
    }

    /// Sets how many connections a server holds at a time; 0, the default: no limit.
    pub fn set_max_connections(&mut self, connections: u32) {
        self.edit().max_connections = connections;
    }

    /// Sets how many connections may wait until a server accepts them, at least 1; the system may
    /// have a lower limit. Default: 4096.
    pub fn set_backlog(&mut self, connections: u32) -> Result<()> {
        if connections == 0 {
            return Err(argument("a backlog of 0 lets nobody wait".to_owned()));
        }
        self.edit().listening.backlog = connections;
        Ok(())
    }

    /// Sets whether several servers, also of several processes, may listen on one port
    /// (SO_REUSEPORT). Default: they may not.
    pub fn set_reuse_port(&mut self, on: bool) -> Result<()> {
        if on && !Listening::CAN_REUSE_PORT {
            return Err(Error::State("the system has no SO_REUSEPORT".into()));
        }
        self.edit().listening.reuse_port = on;
        Ok(())
    }

    /// Sets what happens to a subscriber that has no room for a published message. Default: it is
    /// skipped.
    pub fn set_slow_subscribers(&mut self, policy: SlowSubscribers) {
        self.edit().slow_subscribers = policy;
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    fn edit(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    fn edit_compression(&mut self, edit: impl FnOnce(&mut deflate::Config)) {
        edit(&mut self.compression);
        if self.settings.compression.is_some() {
            self.edit().compression = Some(self.compression.clone());
        }
    }
}

impl fmt::Debug for Options {
    /// Without values: headers and the like may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

const MOST_REDIRECTS: u32 = 20;

fn argument(sentence: String) -> Error {
    Error::Argument(sentence.into())
}

/// Fails unless the application may add this header field to a request or response.
pub(crate) fn check_header(name: &str, value: &str) -> Result<()> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(argument(format!("header name {name:?} is not a token")));
    }
    if handshake::is_owned_header(name) {
        return Err(argument(format!(
            "header {name:?} is written by the library itself"
        )));
    }
    check_header_value(value)
}

fn check_header_value(value: &str) -> Result<()> {
    // RFC 9110 §5.5: a field value has no control characters, and CR or LF would start a field.
    if HeaderValue::from_str(value).is_err() {
        return Err(argument(format!(
            "header value {value:?} has a control character"
        )));
    }
    if value.trim_matches([' ', '\t']).len() != value.len() {
        return Err(argument(format!(
            "header value {value:?} begins or ends with a space"
        )));
    }
    Ok(())
}

fn at_least_one(name: &str, bytes: u64) -> Result<u64> {
    if bytes == 0 {
        return Err(argument(format!("{name} of 0 bytes lets no message pass")));
    }
    Ok(bytes)
}

fn window_bits(name: &str, bits: i32) -> Result<u8> {
    u8::try_from(bits)
        .ok()
        .filter(|bits| (9..=15).contains(bits))
        .ok_or_else(|| argument(format!("{name} of {bits} is not from 9 to 15")))
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn non_zero(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subprotocols_are_tokens_and_unique_in_any_letter_case() {
        let mut options = Options::new();
        options.add_subprotocol("chat.v1").unwrap();
        for bad in ["", "a b", "a,b", "/echo", "\u{e4}", "CHAT.V1", "a\0"] {
            let error = options.add_subprotocol(bad).unwrap_err();
            assert!(matches!(error, Error::Argument(_)), "{bad:?}");
        }
        assert_eq!(options.settings().subprotocols, ["chat.v1"]);
    }

    #[test]
    fn headers_that_could_split_or_shadow_the_handshake_are_refused() {
        let mut options = Options::new();
        options.add_header("Authorization", "Bearer x").unwrap();
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("X", "a\r\nb"),
            ("X", "a\nb"),
            ("X", "a\0b"),
            ("X", " a"),
            ("Host", "x"),
            ("upgrade", "x"),
            ("CONNECTION", "x"),
            ("Sec-WebSocket-Key", "x"),
            ("sec-websocket-anything", "x"),
            ("Content-Length", "3"),
            ("Transfer-Encoding", "chunked"),
        ] {
            assert!(
                options.add_header(name, value).is_err(),
                "{name:?}: {value:?}"
            );
        }
        assert_eq!(options.settings().headers.len(), 1);
        assert!(options.set_origin("a\r\nb").is_err());
        assert!(options.set_user_agent("a\0").is_err());
    }

    #[test]
    fn credentials_become_basic_authentication_and_are_never_printed() {
        let mut options = Options::new();
        options.set_basic_auth("Aladdin:open sesame").unwrap();
        let authorization = options.settings().authorization.clone().unwrap();
        assert_eq!(authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let printed = format!("{options:?}");
        assert!(!printed.contains("QWxhZGRpb"), "{printed}");
        for bad in ["secret", "secret:\r\n", "secret:\0", "\u{85}secret:x"] {
            let error = options.set_basic_auth(bad).unwrap_err();
            assert!(matches!(error, Error::Argument(_)), "{bad:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert_eq!(options.settings().authorization, Some(authorization));
        for good in [":", "user:", ":password", "a:b:c", "\u{e4}:\u{f6}"] {
            options.set_basic_auth(good).unwrap();
        }
        options.set_basic_auth("").unwrap();
        assert_eq!(options.settings().authorization, None);
    }

    #[test]
    fn a_proxy_is_a_url_or_the_environments_or_none() {
        let mut options = Options::new();
        options
            .set_proxy("socks5h://user:secret@proxy.example")
            .unwrap();
        assert!(matches!(options.settings().proxy, ProxyChoice::Fixed(_)));
        let printed = format!("{options:?}");
        assert!(!printed.contains("secret"), "{printed}");
        for bad in ["ftp://a/", "http://", "http://user:secret@", "http://a b/"] {
            let error = options.set_proxy(bad).unwrap_err();
            assert!(matches!(error, Error::Url(_)), "{bad:?}: {error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(matches!(options.settings().proxy, ProxyChoice::Fixed(_)));
        options.set_proxy("env").unwrap();
        assert!(matches!(
            options.settings().proxy,
            ProxyChoice::Environment(_)
        ));
        options.set_proxy("").unwrap();
        assert!(matches!(options.settings().proxy, ProxyChoice::Direct));
    }

    #[test]
    fn redirects_and_reconnecting_are_off_and_have_limits() {
        let mut options = Options::new();
        assert_eq!(options.settings().max_redirects, 0);
        assert_eq!(options.settings().reconnect, None);
        options.set_max_redirects(20).unwrap();
        let error = options.set_max_redirects(21).unwrap_err();
        assert_eq!(error.to_string(), "21 redirects are more than 20");
        assert_eq!(options.settings().max_redirects, 20);

        let [zero, one, two] = [0, 1, 2].map(Duration::from_millis);
        options.set_reconnect(one, two, 3).unwrap();
        let reconnect = Reconnect {
            min: one,
            max: two,
            tries: 3,
        };
        for (min, max, tries) in [
            (zero, two, 0),
            (zero, zero, 1),
            (two, one, 0),
            (one, zero, 0),
        ] {
            assert!(options.set_reconnect(min, max, tries).is_err());
            assert_eq!(options.settings().reconnect, Some(reconnect));
        }
        options.set_reconnect(two, two, 0).unwrap();
        options.set_reconnect(zero, zero, 0).unwrap();
        assert_eq!(options.settings().reconnect, None);
    }

    #[test]
    fn compression_keeps_its_settings_while_it_is_off() {
        let mut options = Options::new();
        assert_eq!(
            options.settings().compression,
            Some(deflate::Config::default())
        );
        options.set_compression(false);
        options.set_compression_level(6).unwrap();
        options.set_compression_window(9, 12).unwrap();
        assert_eq!(options.settings().compression, None);
        options.set_compression(true);
        let config = options.settings().compression.clone().unwrap();
        assert_eq!((config.level, config.client_max_window_bits), (6, 9));
        for bad in [0, 10, -1] {
            assert!(options.set_compression_level(bad).is_err());
        }
        for bad in [8, 16, -1, 256 + 15] {
            assert!(options.set_compression_window(bad, 15).is_err());
            assert!(options.set_compression_window(15, bad).is_err());
        }
    }

    #[test]
    fn a_clone_is_not_changed_by_its_origin() {
        let mut options = Options::new();
        let clone = options.clone();
        options.set_max_message(5).unwrap();
        assert_eq!(clone.settings().max_message, 16 << 20);
        assert_eq!(options.settings().max_message, 5);
        assert!(options.set_max_message(0).is_err());
        assert!(options.set_max_buffered(0).is_err());
    }
}
