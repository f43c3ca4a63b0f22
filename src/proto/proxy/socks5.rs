//! SOCKS5 (RFC 1928), without authentication or with user name and password (RFC 1929).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::error::{Error, Result};

use super::Step;

/// Where the proxy is to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// An address.
    Ip(SocketAddr),
    /// A name that the proxy resolves, and a port.
    Domain(&'a str, u16),
}

/// A handshake under way: give it what is received until it is done or fails.
pub struct Handshake {
    phase: Phase,
    /// What has come of the message that the phase waits for: at most 262 bytes.
    message: Vec<u8>,
    /// The request of RFC 1929, if there are credentials.
    credentials: Option<Vec<u8>>,
    /// The request of RFC 1928.
    request: Vec<u8>,
    /// For sentences.
    target: String,
    wants_other_credentials: bool,
    is_refused: bool,
}

/// What the proxy says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Which method of authentication it chooses.
    Method,
    /// Whether the credentials are right.
    Credentials,
    /// Whether it is connected to the target.
    Reply,
    /// Nothing: all that comes is from the server.
    Done,
}

impl Handshake {
    /// A handshake, and the bytes that begin it. User and password are offered if they are given.
    pub fn new(target: Target<'_>, credentials: Option<(&[u8], &[u8])>) -> Result<(Self, Vec<u8>)> {
        let greeting = match credentials {
            None => vec![VERSION, 1, NO_AUTHENTICATION],
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
        };
        let handshake = Self {
            phase: Phase::Method,
            message: Vec::new(),
            credentials: credentials.map(credentials_request).transpose()?,
            request: connect_request(target)?,
            target: target.to_string(),
            wants_other_credentials: false,
            is_refused: false,
        };
        Ok((handshake, greeting))
    }

    /// Takes bytes and returns how many, and what is to be done.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Step)> {
        if self.phase == Phase::Done {
            return Ok((0, Step::Done));
        }
        for (consumed, byte) in (1..).zip(input) {
            self.message.push(*byte);
            let step = match self.phase {
                Phase::Method => self.judge_method()?,
                Phase::Credentials => self.judge_credentials()?,
                Phase::Reply | Phase::Done => self.judge_reply()?,
            };
            if step != Step::More {
                self.message.clear();
                return Ok((consumed, step));
            }
        }
        Ok((input.len(), Step::More))
    }

    /// What is to be said when the stream ends before the handshake does.
    pub fn receive_eof(&mut self) -> Error {
        let when = match (self.phase, self.message.is_empty()) {
            (Phase::Method, true) => "before it chose a method of authentication",
            // RFC 1929 §2: a server that refuses them closes the connection.
            (Phase::Credentials, true) => "instead of accepting the credentials",
            (Phase::Reply, true) => "before it answered the request",
            _ => "inside a SOCKS message",
        };
        let target = &self.target;
        failure(format!(
            "the proxy ended the connection {when} on the way to {target}"
        ))
    }

    /// Whether the proxy has refused the credentials, or to do without.
    pub fn wants_other_credentials(&self) -> bool {
        self.wants_other_credentials
    }

    /// Whether the proxy cannot connect to this target, and may be able to connect to another.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// RFC 1928 §3.
    fn judge_method(&mut self) -> Result<Step> {
        let (version, method) = match self.message.as_slice() {
            [] => return Ok(Step::More),
            [version] => (*version, None),
            [version, method, ..] => (*version, Some(*method)),
        };
        check_version(version)?;
        self.wants_other_credentials = method == Some(NONE_ACCEPTABLE);
        match (method, &self.credentials) {
            (None, _) => Ok(Step::More),
            (Some(NO_AUTHENTICATION), _) => {
                self.phase = Phase::Reply;
                Ok(Step::Send(self.request.clone()))
            }
            (Some(USER_AND_PASSWORD), Some(request)) => {
                self.phase = Phase::Credentials;
                Ok(Step::Send(request.clone()))
            }
            (Some(NONE_ACCEPTABLE), None) => Err(failure(
                "the proxy wants credentials: it accepts no SOCKS connection without".to_owned(),
            )),
            (Some(NONE_ACCEPTABLE), Some(_)) => Err(failure(
                "the proxy accepts neither user and password nor a SOCKS connection without"
                    .to_owned(),
            )),
            (Some(method), _) => Err(failure(format!(
                "the proxy chose the method of authentication {method:#04x}, which was not offered"
            ))),
        }
    }

    /// RFC 1929 §2.
    fn judge_credentials(&mut self) -> Result<Step> {
        match self.message.as_slice() {
            [] | [CREDENTIALS_VERSION] => Ok(Step::More),
            [CREDENTIALS_VERSION, 0, ..] => {
                self.phase = Phase::Reply;
                Ok(Step::Send(self.request.clone()))
            }
            [CREDENTIALS_VERSION, status, ..] => {
                self.wants_other_credentials = true;
                Err(failure(format!(
                    "the proxy refused the credentials: SOCKS status {status:#04x}"
                )))
            }
            [version, ..] => Err(failure(format!(
                "the proxy answered the credentials in version {version:#04x} instead of 0x01"
            ))),
        }
    }

    /// RFC 1928 §6. A refusal is not waited out: some proxies send no more than its code.
    fn judge_reply(&mut self) -> Result<Step> {
        let message = self.message.as_slice();
        if let [version, ..] = message {
            check_version(*version)?;
        }
        if let [_, code @ 1..=0xff, ..] = message {
            let code = *code;
            self.is_refused = true;
            return Err(self.refusal(code));
        }
        if let [_, _, reserved @ 1..=0xff, ..] = message {
            return Err(failure(format!(
                "the proxy's reply has {reserved:#04x} where SOCKS5 has 0x00"
            )));
        }
        let [_, _, _, kind, bound @ ..] = message else {
            return Ok(Step::More);
        };
        let address_len = match *kind {
            IPV4 => 4,
            IPV6 => 16,
            DOMAIN => bound
                .first()
                .map_or(1, |len| usize::from(*len).saturating_add(1)),
            _ => {
                return Err(failure(format!(
                    "the proxy's reply has an address of the unknown type {kind:#04x}"
                )));
            }
        };
        if bound.len() < address_len.saturating_add(size_of::<u16>()) {
            return Ok(Step::More);
        }
        self.phase = Phase::Done;
        Ok(Step::Done)
    }

    fn refusal(&self, code: u8) -> Error {
        let why = match code {
            1 => "general failure",
            2 => "its rules forbid it",
            3 => "network unreachable",
            4 => "host unreachable",
            5 => "connection refused",
            6 => "TTL expired",
            7 => "it does not know CONNECT",
            8 => "it does not know this type of address",
            _ => "unknown reason",
        };
        let target = &self.target;
        failure(format!(
            "the proxy cannot connect to {target}: {why} (SOCKS reply {code:#04x})"
        ))
    }
}

impl fmt::Debug for Handshake {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("phase", &self.phase)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Domain(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// RFC 1929 §2.
fn credentials_request((user, password): (&[u8], &[u8])) -> Result<Vec<u8>> {
    let too_long = |what, len| {
        failure(format!(
            "{what} of {len} bytes is over the limit of 255 bytes of SOCKS5"
        ))
    };
    let mut request = vec![CREDENTIALS_VERSION];
    for (what, value) in [("user name", user), ("password", password)] {
        let len = u8::try_from(value.len()).map_err(|_| too_long(what, value.len()))?;
        request.push(len);
        request.extend_from_slice(value);
    }
    Ok(request)
}

/// RFC 1928 §4.
fn connect_request(target: Target<'_>) -> Result<Vec<u8>> {
    const RESERVED: u8 = 0;
    let mut request = vec![VERSION, CONNECT, RESERVED];
    let port = match target {
        Target::Ip(address) => {
            match address.ip() {
                IpAddr::V4(ip) => {
                    request.push(IPV4);
                    request.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    request.push(IPV6);
                    request.extend_from_slice(&ip.octets());
                }
            }
            address.port()
        }
        Target::Domain(name, port) => {
            let len = name.len();
            let Ok(len @ 1..) = u8::try_from(len) else {
                return Err(failure(format!(
                    "a host name of {len} bytes cannot be sent to a SOCKS proxy: 1 to 255 can"
                )));
            };
            request.extend_from_slice(&[DOMAIN, len]);
            request.extend_from_slice(name.as_bytes());
            port
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

fn check_version(version: u8) -> Result<()> {
    if version == VERSION {
        return Ok(());
    }
    Err(failure(format!(
        "the proxy answered in version {version:#04x} instead of SOCKS5"
    )))
}

fn failure(sentence: String) -> Error {
    Error::Proxy(sentence.into())
}

const VERSION: u8 = 5;
const CREDENTIALS_VERSION: u8 = 1;
const CONNECT: u8 = 1;

const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

const IPV4: u8 = 1;
const DOMAIN: u8 = 3;
const IPV6: u8 = 4;

#[cfg(test)]
mod tests;
