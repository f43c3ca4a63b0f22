//! URLs of WebSockets: `ws:`, `wss:`, their `http:` spellings, and `ws+unix:` for Unix sockets.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Position;

use crate::error::{Error, Result};

/// A valid URL, parsed as browsers do it (the WHATWG standard), without its credentials.
#[derive(Clone)]
pub struct Url {
    /// INVARIANT: its scheme is ws or wss, and it has a host, no credentials and no fragment. Of
    /// a Unix socket: the target, at localhost.
    url: url::Url,
    authorization: Option<String>,
    unix: Option<Unix>,
}

#[derive(Clone)]
struct Unix {
    path: PathBuf,
    text: String,
}

/// Where a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name that has to be resolved.
    Domain(&'a str),
    /// An address.
    Ip(IpAddr),
}

impl Url {
    /// Parses `ws://host:port/path?query`, or `ws+unix:///path/of/socket:/path?query`.
    pub fn parse(text: &str) -> Result<Self> {
        // The standard removes some control characters. Such a URL is rather an injection.
        if text.contains(char::is_control) {
            return wrong(text, "has a control character");
        }
        match strip_unix_scheme(text) {
            Some(rest) => Self::parse_unix(text, rest),
            None => Self::parse_tcp(text),
        }
    }

    /// The URL in its normal form, without credentials.
    pub fn as_str(&self) -> &str {
        self.unix
            .as_ref()
            .map_or(self.url.as_str(), |unix| &unix.text)
    }

    /// Whether TLS is wanted.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// The host; of a Unix socket, localhost.
    pub fn host(&self) -> Host<'_> {
        match self.url.host() {
            Some(url::Host::Ipv4(address)) => Host::Ip(address.into()),
            Some(url::Host::Ipv6(address)) => Host::Ip(address.into()),
            Some(url::Host::Domain(name)) => Host::Domain(name),
            None => Host::Domain(""),
        }
    }

    /// The port, or the one that the scheme has.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(0)
    }

    /// What the Host field says: the port only if it is not the scheme's own.
    pub fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Where a proxy is to connect to: like [`Self::authority`], but always with the port.
    pub fn host_and_port(&self) -> String {
        let host = &self.url[Position::BeforeHost..Position::AfterHost];
        format!("{host}:{}", self.port())
    }

    /// What the request line says: the path, and the query unless it is empty.
    pub fn target(&self) -> &str {
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        if self.url.query() == Some("") {
            target.trim_end_matches('?')
        } else {
            target
        }
    }

    /// The Authorization field for the credentials that the URL had.
    pub fn basic_auth(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// The path of the Unix socket.
    pub fn unix(&self) -> Option<&Path> {
        self.unix.as_ref().map(|unix| unix.path.as_path())
    }

    /// Whether both have the same scheme, host and port.
    pub fn has_origin_of(&self, other: &Self) -> bool {
        self.url.origin() == other.url.origin() && self.unix() == other.unix()
    }

    /// Where a redirect from here leads: `location` may be relative, and its fragment does not
    /// count. A redirect from TLS to plain text is refused, as is one of a Unix socket.
    pub fn redirect(&self, location: &str) -> Result<Self> {
        if location.contains(char::is_control) || self.unix.is_some() {
            return wrong(location, "cannot be redirected to");
        }
        let Ok(mut url) = self.url.join(location) else {
            return wrong(location, "is not valid");
        };
        url.set_fragment(None);
        let url = Self::parse_tcp(url.as_str())?;
        if self.is_secure() && !url.is_secure() {
            return wrong(location, "would lead from TLS to plain text");
        }
        if url.port() == 0 {
            return wrong(location, "has port 0, where nobody can listen");
        }
        Ok(url)
    }

    fn parse_tcp(text: &str) -> Result<Self> {
        let mut url = match url::Url::parse(text) {
            Ok(url) => url,
            Err(url::ParseError::RelativeUrlWithoutBase) => return wrong(text, NO_SCHEME),
            Err(error) => return wrong(text, &format!("is not valid: {error}")),
        };
        let scheme = match url.scheme() {
            "ws" | "http" => "ws",
            "wss" | "https" => "wss",
            _ => return wrong(text, NO_SCHEME),
        };
        if url.fragment().is_some() {
            return wrong(text, "has a fragment, which a WebSocket cannot have");
        }
        let authorization = match basic_auth(&url) {
            Ok(authorization) => authorization,
            Err(complaint) => return wrong(text, complaint),
        };
        let stripped = url
            .set_scheme(scheme)
            .and(url.set_username(""))
            .and(url.set_password(None));
        if stripped.is_err() {
            return wrong(text, "has no host");
        }
        Ok(Self {
            url,
            authorization,
            unix: None,
        })
    }

    /// The path of the socket ends where the target begins: at `:/`, or at a query alone.
    fn parse_unix(text: &str, rest: &str) -> Result<Self> {
        if !rest.starts_with('/') {
            return wrong(text, "has no absolute path behind ws+unix://");
        }
        if rest.contains('#') {
            return wrong(text, "has a fragment, which a WebSocket cannot have");
        }
        let rest = rest.trim_end_matches(' ');
        let ends = [rest.find(":/"), rest.find('?')];
        let end = ends.into_iter().flatten().min().unwrap_or(rest.len());
        let (socket, target) = rest.split_at(end);
        let target = target.strip_prefix(':').unwrap_or(target);
        let Ok(path) = percent_decode_str(socket).decode_utf8() else {
            return wrong(text, "has a path that is not UTF-8");
        };
        if path == "/" || path.contains('\0') {
            return wrong(text, "has no path of a socket");
        }
        let Ok(url) = url::Url::parse(&format!("ws://localhost{target}")) else {
            return wrong(text, "has no valid target");
        };
        let target = &url[Position::BeforePath..];
        let text = format!("ws+unix://{socket}:{target}");
        let unix = Unix {
            path: PathBuf::from(path.into_owned()),
            text,
        };
        Ok(Self {
            url,
            authorization: None,
            unix: Some(unix),
        })
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const NO_SCHEME: &str = "does not begin with ws://, wss://, http://, https:// or ws+unix://";

fn strip_unix_scheme(text: &str) -> Option<&str> {
    const SCHEME: &str = "ws+unix:";
    let (scheme, rest) = text
        .trim_start_matches(' ')
        .split_at_checked(SCHEME.len())?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| rest.strip_prefix("//").unwrap_or(""))
}

/// RFC 7617 §2: `user:password`, percent-decoded, in base64.
pub(super) fn basic_auth(url: &url::Url) -> Result<Option<String>, &'static str> {
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return Ok(None);
    }
    let user: Vec<u8> = percent_decode_str(url.username()).collect();
    let password: Vec<u8> = percent_decode_str(password.unwrap_or("")).collect();
    if user.contains(&b':') {
        return Err("has a user name with a colon, which cannot be sent");
    }
    if user.iter().chain(&password).any(u8::is_ascii_control) {
        return Err("has credentials with a control character");
    }
    let credentials = [user, password].join(&b':');
    Ok(Some(format!(
        "Basic {}",
        data_encoding::BASE64.encode(&credentials)
    )))
}

fn wrong<T>(text: &str, complaint: &str) -> Result<T> {
    Err(Error::Url(
        format!("URL {:?} {complaint}", redact(text)).into(),
    ))
}

/// The text for a sentence: cut when it is long, and without what may be credentials, even where
/// it is not a valid URL.
pub(super) fn redact(text: &str) -> String {
    const LONGEST: usize = 200;
    let Some((front, rest)) = text.rsplit_once('@') else {
        return text.chars().take(LONGEST).collect();
    };
    let scheme = front.split_inclusive("://").next().unwrap_or_default();
    let is_scheme = scheme.ends_with("://") && scheme.matches(':').count() == 1;
    let scheme = if is_scheme { scheme } else { "" };
    format!("{scheme}***@{rest}")
        .chars()
        .take(LONGEST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_urls_are_brought_into_their_normal_form() {
        for (text, url, authority, target, port) in [
            ("ws://a", "ws://a/", "a", "/", 80),
            ("wss://a", "wss://a/", "a", "/", 443),
            ("http://a/b", "ws://a/b", "a", "/b", 80),
            ("https://a/b", "wss://a/b", "a", "/b", 443),
            ("HTTPS://A/B", "wss://a/B", "a", "/B", 443),
            ("ws://a:80/", "ws://a/", "a", "/", 80),
            ("wss://a:443/", "wss://a/", "a", "/", 443),
            ("http://a:80/", "ws://a/", "a", "/", 80),
            ("https://a:443/", "wss://a/", "a", "/", 443),
            ("http://a:443/", "ws://a:443/", "a:443", "/", 443),
            ("wss://a:80/", "wss://a:80/", "a:80", "/", 80),
            (
                "ws://127.0.0.1:0/",
                "ws://127.0.0.1:0/",
                "127.0.0.1:0",
                "/",
                0,
            ),
            (
                "wss://[::]:9001/",
                "wss://[::]:9001/",
                "[::]:9001",
                "/",
                9001,
            ),
            ("ws://[0:0:0::1]/", "ws://[::1]/", "[::1]", "/", 80),
            ("ws://0x7f.1/", "ws://127.0.0.1/", "127.0.0.1", "/", 80),
            (
                "ws://b\u{fc}cher.example/",
                "ws://xn--bcher-kva.example/",
                "xn--bcher-kva.example",
                "/",
                80,
            ),
            ("ws://a/b/../c/./d", "ws://a/c/d", "a", "/c/d", 80),
            (
                "ws://a/b c\u{e4}?d e\u{e4}",
                "ws://a/b%20c%C3%A4?d%20e%C3%A4",
                "a",
                "/b%20c%C3%A4?d%20e%C3%A4",
                80,
            ),
            ("ws://a?q=1", "ws://a/?q=1", "a", "/?q=1", 80),
            ("ws://a/b?", "ws://a/b?", "a", "/b", 80),
            ("ws://a/b??", "ws://a/b??", "a", "/b??", 80),
            ("ws://a//b", "ws://a//b", "a", "//b", 80),
            (" ws://a/ ", "ws://a/", "a", "/", 80),
        ] {
            let parsed = Url::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(parsed.as_str(), url, "{text:?}");
            assert_eq!(parsed.to_string(), url, "{text:?}");
            assert_eq!(parsed.authority(), authority, "{text:?}");
            let host = authority.trim_end_matches(&format!(":{port}"));
            let host_and_port = format!("{host}:{port}");
            assert_eq!(parsed.host_and_port(), host_and_port, "{text:?}");
            assert_eq!(parsed.target(), target, "{text:?}");
            assert_eq!(parsed.port(), port, "{text:?}");
            assert_eq!(parsed.is_secure(), url.starts_with("wss"), "{text:?}");
            assert_eq!(parsed.unix(), None, "{text:?}");
            assert_eq!(parsed.basic_auth(), None, "{text:?}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for (text, host) in [
            ("ws://A.example./", Host::Domain("a.example.")),
            ("ws://localhost:1/", Host::Domain("localhost")),
            ("ws://127.0.0.1/", Host::Ip([127, 0, 0, 1].into())),
            (
                "ws://[::1]:5/",
                Host::Ip([0, 0, 0, 0, 0, 0, 0, 1].map(|it: u16| it).into()),
            ),
            ("ws+unix:///run/a.sock", Host::Domain("localhost")),
        ] {
            assert_eq!(Url::parse(text).unwrap().host(), host, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_websocket_url_is_refused_with_a_sentence_that_names_it() {
        for (text, complaint) in [
            ("", "does not begin with"),
            ("/chat", "does not begin with"),
            ("//a/chat", "does not begin with"),
            ("chat", "does not begin with"),
            ("a.example:9001/chat", "does not begin with"),
            ("ftp://a/", "does not begin with"),
            ("about:blank", "does not begin with"),
            ("wss+unix:///a", "does not begin with"),
            ("ws://", "empty host"),
            ("ws:///", "empty host"),
            ("ws://foo bar.com/", "domain"),
            ("ws://web platform.test", "domain"),
            ("ws://a:65536/", "port"),
            ("ws://a:x/", "port"),
            ("ws://[::1/", "IPv6"),
            ("ws://1.2.3.256/", "IPv4"),
            ("ws://a/#", "fragment"),
            ("ws://a/#b", "fragment"),
            ("ws://a#b", "fragment"),
            ("#test", "does not begin with"),
            ("ws://a/b\r\nX: y", "control"),
            ("ws://a/\nb", "control"),
            ("ws://a/\tb", "control"),
            ("ws://a/\0b", "control"),
            ("ws://a/?\r", "control"),
            ("w\ns://a/", "control"),
            ("ws://a\r/", "control"),
            ("ws+unix://", "absolute path"),
            ("ws+unix:a", "absolute path"),
            ("ws+unix:/a", "absolute path"),
            ("ws+unix://host/a", "absolute path"),
            ("ws+unix:///", "no path of a socket"),
            ("ws+unix:///:/a", "no path of a socket"),
            ("ws+unix:///a%00b", "no path of a socket"),
            ("ws+unix:///a%ff", "UTF-8"),
            ("ws+unix:///a:/b#", "fragment"),
        ] {
            let error = Url::parse(text).expect_err(text);
            assert!(matches!(error, Error::Url(_)), "{text:?}: {error:?}");
            let sentence = error.to_string();
            assert!(sentence.contains(complaint), "{text:?}: {sentence}");
            assert!(
                sentence.contains(&format!("{text:?}")),
                "{text:?}: {sentence}"
            );
        }
    }

    #[test]
    fn credentials_become_basic_authentication_and_nothing_else() {
        for (text, authorization) in [
            (
                "ws://Aladdin:open%20sesame@a/",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            (
                "http://Aladdin:open sesame@a/",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("ws://a%C3%A4:%40:b@a/", Some("Basic YcOkOkA6Yg==")),
            ("ws://user@a/", Some("Basic dXNlcjo=")),
            ("ws://:pw@a/", Some("Basic OnB3")),
            ("ws://@a/", None),
            ("ws://:@a/", None),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.basic_auth(), authorization, "{text:?}");
            assert_eq!(url.as_str(), "ws://a/", "{text:?}");
            assert_eq!(url.authority(), "a", "{text:?}");
            assert_eq!(url.target(), "/", "{text:?}");
            assert_eq!(format!("{url:?}"), r#"Url("ws://a/")"#, "{text:?}");
        }
        for bad in ["ws://a%3Ab:c@h/", "ws://a:b%0d%0ac@h/", "ws://a%00@h/"] {
            assert!(Url::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sentences_never_name_credentials() {
        for text in [
            "ftp://alice:secret@a/",
            "ws://alice:secret@a/#x",
            "ws://alice:secret@a b/",
            "ws:alice:secret@a b/",
            "ws://alice:secret@x@a:99999/",
            "ws://alice:secret\r\n@a/",
            "alice:secret@a/",
            "alice:se://cret@a/",
            "//alice:secret@a/",
            "ws+unix://alice:secret@a/",
            "ws://alice%3a:secret@a/",
            "ws:\\\\alice:secret@a:99999",
        ] {
            let sentence = Url::parse(text).expect_err(text).to_string();
            for part in ["alice", "secret", "cret"] {
                assert!(!sentence.contains(part), "{text:?}: {sentence}");
            }
            assert!(sentence.contains("***@"), "{text:?}: {sentence}");
        }
        let long = format!("ftp://{}", "x".repeat(100_000));
        assert!(Url::parse(&long).unwrap_err().to_string().len() < 400);
    }

    #[test]
    fn a_unix_socket_has_a_path_and_a_target() {
        for (text, path, target, url) in [
            (
                "ws+unix:///run/a.sock",
                "/run/a.sock",
                "/",
                "ws+unix:///run/a.sock:/",
            ),
            (
                "WS+Unix:///run/a.sock:/",
                "/run/a.sock",
                "/",
                "ws+unix:///run/a.sock:/",
            ),
            ("ws+unix:///a:/b?c", "/a", "/b?c", "ws+unix:///a:/b?c"),
            (
                "ws+unix:///a:/b?u=ws://x/",
                "/a",
                "/b?u=ws://x/",
                "ws+unix:///a:/b?u=ws://x/",
            ),
            ("ws+unix:///a?c", "/a", "/?c", "ws+unix:///a:/?c"),
            ("ws+unix:///a?c:/d", "/a", "/?c:/d", "ws+unix:///a:/?c:/d"),
            ("ws+unix:///a:1:/b", "/a:1", "/b", "ws+unix:///a:1:/b"),
            (
                "ws+unix:///a%3A/b%20c:/d",
                "/a:/b c",
                "/d",
                "ws+unix:///a%3A/b%20c:/d",
            ),
            (
                "ws+unix:///a://evil/x",
                "/a",
                "//evil/x",
                "ws+unix:///a://evil/x",
            ),
            (
                "ws+unix:///a:/../b c",
                "/a",
                "/b%20c",
                "ws+unix:///a:/b%20c",
            ),
            ("ws+unix:///a?", "/a", "/", "ws+unix:///a:/?"),
        ] {
            let parsed = Url::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(parsed.unix(), Some(Path::new(path)), "{text:?}");
            assert_eq!(parsed.target(), target, "{text:?}");
            assert_eq!(parsed.as_str(), url, "{text:?}");
            assert_eq!(parsed.authority(), "localhost", "{text:?}");
            assert!(!parsed.is_secure(), "{text:?}");
            let again = Url::parse(url).unwrap();
            assert_eq!(
                (again.as_str(), again.unix()),
                (url, parsed.unix()),
                "{text:?}"
            );
        }
    }
}
