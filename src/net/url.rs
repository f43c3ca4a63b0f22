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

    /// The path ends where the target begins: at `:/`, or at a query of its own.
    fn parse_unix(text: &str, rest: &str) -> Result<Self> {
        if !rest.starts_with('/') {
            return wrong(text, "has no absolute path behind ws+unix://");
        }
        if rest.contains('#') {
            return wrong(text, "has a fragment, which a WebSocket cannot have");
        }
        let rest = rest.trim_end_matches(' ');
        let end = rest
            .find(":/")
            .or_else(|| rest.find('?'))
            .unwrap_or(rest.len());
        let (socket, target) = rest.split_at(end);
        let target = target.strip_prefix(':').unwrap_or(target);
        let Ok(path) = percent_decode_str(socket).decode_utf8() else {
            return wrong(text, "has a path that is not UTF-8");
        };
        if path == "/" || path.contains('\0') {
            return wrong(text, "has no path of a socket");
        }
        let Ok(url) = url::Url::parse("ws://localhost/").and_then(|base| base.join(target)) else {
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
fn basic_auth(url: &url::Url) -> Result<Option<String>, &'static str> {
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
fn redact(text: &str) -> String {
    const LONGEST: usize = 200;
    let (front, rest) = match text.rsplit_once('@') {
        Some((front, rest)) => (front, rest),
        None => return text.chars().take(LONGEST).collect(),
    };
    let scheme = front
        .find("://")
        .map_or("", |at| &front[..at + "://".len()]);
    format!("{scheme}***@{rest}")
        .chars()
        .take(LONGEST)
        .collect()
}
