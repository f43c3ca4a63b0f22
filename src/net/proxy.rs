//! Proxies: how they are written, and which one a WebSocket goes through.

mod environment;

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

use super::url::{Host, Url, basic_auth, redact};

pub use environment::Environment;

/// Whether connections go through a proxy, and through which.
#[derive(Clone, Debug, Default)]
pub enum ProxyChoice {
    /// Through none.
    #[default]
    Direct,
    /// Through what the environment said when it was read.
    Environment(Arc<Environment>),
    /// Through this one, whatever the server is.
    Fixed(Proxy),
}

impl ProxyChoice {
    /// Parses what the application chooses: nothing for no proxy, `env` for the environment's,
    /// which is read at once, or the URL of a proxy.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" => Ok(Self::Direct),
            "env" => Ok(Self::Environment(Arc::new(Environment::read()))),
            _ => Proxy::parse(text).map(Self::Fixed),
        }
    }

    /// The proxy on the way to `url`; none for a Unix socket.
    pub fn proxy_for(&self, url: &Url) -> Result<Option<Proxy>> {
        match self {
            Self::Environment(environment) => environment.proxy_for(url),
            Self::Fixed(proxy) if url.unix().is_none() => Ok(Some(proxy.clone())),
            Self::Fixed(_) | Self::Direct => Ok(None),
        }
    }
}

/// A proxy: its kind, where it is, and the credentials for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    scheme: Scheme,
    host: url::Host,
    port: u16,
    /// Of an HTTP proxy: the value of Proxy-Authorization.
    authorization: Option<String>,
    /// Of a SOCKS proxy.
    login: Option<Login>,
}

#[derive(Clone, PartialEq, Eq)]
struct Login {
    user: Vec<u8>,
    password: Vec<u8>,
}

/// The kinds of proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HTTP CONNECT.
    Http,
    /// HTTP CONNECT, through TLS to the proxy.
    Https,
    /// SOCKS5. Names are resolved on this side.
    Socks5,
    /// SOCKS5. The proxy resolves the names.
    Socks5h,
}

impl Proxy {
    /// Parses `scheme://user:password@host:port`, of which only the host must be there. Without a
    /// scheme it is an HTTP proxy, as for curl.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_unnamed(text)
            .map_err(|complaint| Error::Url(format!("proxy {:?} {complaint}", redact(text)).into()))
    }

    /// Whether the connection to the proxy itself is TLS.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// Whether it speaks HTTP, or else SOCKS5.
    pub fn is_http(&self) -> bool {
        !self.scheme.is_socks()
    }

    /// Whether the proxy is given the name of the server, or else its address.
    pub fn resolves_names(&self) -> bool {
        self.scheme != Scheme::Socks5
    }

    /// Where the proxy is.
    pub fn host(&self) -> Host<'_> {
        match &self.host {
            url::Host::Ipv4(address) => Host::Ip((*address).into()),
            url::Host::Ipv6(address) => Host::Ip((*address).into()),
            url::Host::Domain(name) => Host::Domain(name),
        }
    }

    /// Its port, or the one that the scheme has.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, for a sentence.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The value of Proxy-Authorization, if it is an HTTP proxy with credentials.
    pub fn basic_auth(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// User and password, if it is a SOCKS proxy with credentials.
    pub fn login(&self) -> Option<(&[u8], &[u8])> {
        let Login { user, password } = self.login.as_ref()?;
        Some((user, password))
    }

    fn parse_unnamed(text: &str) -> Result<Self, String> {
        if text.contains(char::is_control) {
            return Err("has a control character".to_owned());
        }
        let text = text.trim_matches(' ');
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Http, text),
            Some((name, rest)) => (Scheme::parse(name).ok_or(NO_SCHEME)?, rest),
        };
        let invalid = |error| format!("is not valid: {error}");
        // A scheme that the URL standard does not know: for its own, it forgets a port that is the
        // default, takes backslashes for slashes, and more.
        let url = url::Url::parse(&format!("proxy://{rest}")).map_err(invalid)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("has more than a host and a port".to_owned());
        }
        let host = url::Host::parse(url.host_str().unwrap_or_default()).map_err(invalid)?;
        let (authorization, login) = if scheme.is_socks() {
            (None, login(&url)?)
        } else {
            (basic_auth(&url)?, None)
        };
        Ok(Self {
            scheme,
            host,
            port: url.port().unwrap_or(scheme.default_port()),
            authorization,
            login,
        })
    }
}

impl fmt::Display for Proxy {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.name(), self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.to_string()).finish()
    }
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        [Self::Http, Self::Https, Self::Socks5, Self::Socks5h]
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case(scheme.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }
}

const NO_SCHEME: &str = "does not begin with http://, https://, socks5:// or socks5h://";

/// User and password, percent-decoded, as RFC 1929 can carry them.
fn login(url: &url::Url) -> Result<Option<Login>, &'static str> {
    let user: Vec<u8> = percent_decode_str(url.username()).collect();
    let password: Vec<u8> = percent_decode_str(url.password().unwrap_or("")).collect();
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    if user.len().max(password.len()) > usize::from(u8::MAX) {
        return Err("has a user name or password over the limit of 255 bytes of SOCKS5");
    }
    Ok(Some(Login { user, password }))
}

#[cfg(test)]
mod tests;
