//! The proxies that the environment names, in the variables that curl and others use.

use std::net::IpAddr;
use std::{env, fmt};

use crate::error::{Error, Result};
use crate::net::{Host, Url};

use super::Proxy;

/// What the environment said about proxies when it was read.
///
/// For `wss:` this is the first that is set and not empty of wss_proxy, https_proxy and all_proxy,
/// for `ws:` of ws_proxy, http_proxy and all_proxy, each first in lower and then in upper case.
/// What no_proxy names is connected directly, and so is, as for Go, this machine: localhost, the
/// names below it, the loopback addresses and Unix sockets.
pub struct Environment {
    /// The variable for `wss:`.
    secure: Option<Variable>,
    /// The variable for `ws:`.
    plain: Option<Variable>,
    exceptions: Vec<Exception>,
}

struct Variable {
    name: String,
    value: String,
}

impl Environment {
    /// Reads the environment of the process, which no other thread may change meanwhile.
    pub fn read() -> Self {
        // What is not UTF-8 is no proxy, and is to be an error and not left out.
        Self::from_lookup(|name| Some(env::var_os(name)?.to_string_lossy().into_owned()))
    }

    /// Reads an environment in which `lookup` finds the value of a variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        // CVE-2016-5385: for a CGI program, HTTP_PROXY is the field Proxy of the request.
        let is_cgi = lookup("REQUEST_METHOD").is_some();
        let find = |names: &[&str]| {
            let both_cases = names
                .iter()
                .flat_map(|name| [(*name).to_owned(), name.to_ascii_uppercase()]);
            both_cases
                .filter(|name| !(is_cgi && name == "HTTP_PROXY"))
                .find_map(|name| {
                    let value = lookup(&name).filter(|value| !value.trim().is_empty())?;
                    Some(Variable { name, value })
                })
        };
        let exceptions = find(&["no_proxy"]).map_or_else(Vec::new, |variable| {
            let entries = variable
                .value
                .split(|char: char| char == ',' || char.is_whitespace());
            entries.filter_map(Exception::parse).collect()
        });
        Self {
            secure: find(&["wss_proxy", "https_proxy", "all_proxy"]),
            plain: find(&["ws_proxy", "http_proxy", "all_proxy"]),
            exceptions,
        }
    }

    /// The proxy on the way to `url`. A variable that names none is an error: going directly
    /// instead would show what was to be hidden.
    pub fn proxy_for(&self, url: &Url) -> Result<Option<Proxy>> {
        let variable = if url.is_secure() {
            &self.secure
        } else {
            &self.plain
        };
        let Some(Variable { name, value }) = variable else {
            return Ok(None);
        };
        let is_excepted = self.exceptions.iter().any(|it| it.contains(url));
        if is_excepted || is_this_machine(url.host()) {
            return Ok(None);
        }
        Proxy::parse(value)
            .map(Some)
            .map_err(|error| Error::Proxy(format!("environment variable {name}: {error}").into()))
    }
}

impl fmt::Debug for Environment {
    /// Without the values: they may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |variable: &Option<Variable>| variable.as_ref().map(|it| it.name.clone());
        f.debug_struct("Environment")
            .field("secure", &name(&self.secure))
            .field("plain", &name(&self.plain))
            .field("exceptions", &self.exceptions)
            .finish()
    }
}

/// One entry of no_proxy.
#[derive(Debug)]
struct Exception {
    place: Place,
    /// Any if there is none.
    port: Option<u16>,
}

#[derive(Debug)]
enum Place {
    Everywhere,
    /// A domain in lower case and all below it.
    Domain(String),
    /// The addresses that begin with so many bits of this one.
    Network(IpAddr, u32),
}

impl Exception {
    /// None for what cannot be a place of the network, such as the path of a Unix socket. As for
    /// curl and Go it has no effect, so that the proxy is used.
    fn parse(entry: &str) -> Option<Self> {
        let everywhere = |place| Self { place, port: None };
        if entry == "*" {
            return Some(everywhere(Place::Everywhere));
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let (address, bits) = (address.parse().ok()?, bits.parse().ok()?);
            return (bits <= width(address)).then(|| everywhere(Place::Network(address, bits)));
        }
        if let Ok(address) = entry.parse() {
            return Some(everywhere(Place::address(address)));
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !entry.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (entry, None),
        };
        let host = host.strip_prefix("*.").unwrap_or(host);
        let host = host.strip_prefix('.').unwrap_or(host);
        let place = match url::Host::parse(host).ok()? {
            url::Host::Ipv4(address) => Place::address(address.into()),
            url::Host::Ipv6(address) => Place::address(address.into()),
            url::Host::Domain(name) => Place::Domain(without_root(&name).to_owned()),
        };
        Some(Self { place, port })
    }

    fn contains(&self, url: &Url) -> bool {
        let is_place = match (&self.place, url.host()) {
            (Place::Everywhere, _) => true,
            (Place::Domain(domain), Host::Domain(name)) => is_below(domain, name),
            (Place::Network(network, bits), Host::Ip(address)) => {
                is_in_network(*network, *bits, address.to_canonical())
            }
            (Place::Domain(_), Host::Ip(_)) | (Place::Network(..), Host::Domain(_)) => false,
        };
        is_place && self.port.is_none_or(|port| port == url.port())
    }
}

impl Place {
    fn address(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::Network(address, width(address))
    }
}

/// RFC 6761 §6.3: localhost and all names below it are this machine. A Unix socket has that host.
fn is_this_machine(host: Host<'_>) -> bool {
    match host {
        Host::Domain(name) => is_below("localhost", name),
        Host::Ip(address) => address.to_canonical().is_loopback(),
    }
}

/// Whether `name` is the domain or ends in it at the border of a label.
fn is_below(domain: &str, name: &str) -> bool {
    without_root(name)
        .strip_suffix(domain)
        .is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

fn is_in_network(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    let difference = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    let ignored = width(network).saturating_sub(bits);
    difference.checked_shr(ignored).is_none_or(|rest| rest == 0)
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A name without the dot of the root at its end.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests;
