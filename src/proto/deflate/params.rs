//! The parameters of permessage-deflate (RFC 7692 §7.1): the client's offer, the server's answer,
//! and the client's judgement of it.

use super::grammar::{Param, Scanner};
use super::{Config, Deflater, Inflater};
use crate::error::Sentence;
use crate::proto::handshake::quote;

/// What both sides have agreed on, seen from one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// How far back our compressor may refer, as a power of two: 8 to 15.
    pub own_window_bits: u8,
    /// How far back the peer's compressor may refer, as a power of two: 8 to 15.
    pub peer_window_bits: u8,
    /// Whether our compressor may refer to earlier messages.
    pub own_takeover: bool,
    /// Whether the peer's compressor may refer to earlier messages.
    pub peer_takeover: bool,
}

impl Agreed {
    /// The half that compresses our messages.
    pub fn deflater(&self, level: u32) -> Deflater {
        Deflater::new(level, self.own_window_bits, self.own_takeover)
    }

    /// The half that inflates the peer's messages.
    pub fn inflater(&self) -> Inflater {
        Inflater::new(self.peer_window_bits, self.peer_takeover)
    }
}

/// The client's Sec-WebSocket-Extensions.
pub fn offer(config: &Config) -> String {
    let mut offer = NAME.to_owned();
    if !config.server_takeover {
        push(&mut offer, SERVER_NO_TAKEOVER, None);
    }
    if !config.client_takeover {
        push(&mut offer, CLIENT_NO_TAKEOVER, None);
    }
    if config.server_max_window_bits < MAX_BITS {
        push(&mut offer, SERVER_BITS, Some(config.server_max_window_bits));
    }
    // RFC 7692 §7.1.2.2: without it, the server could not ask for a smaller window.
    let bits = config.client_max_window_bits;
    push(&mut offer, CLIENT_BITS, (bits < MAX_BITS).then_some(bits));
    offer
}

/// Judges a server's Sec-WebSocket-Extensions. `None` if it has accepted no extension; an error
/// if it has accepted what `offer` did not offer, which fails the connection (RFC 7692 §7.1).
pub fn confirm(config: &Config, response: &str) -> Result<Option<Agreed>, Sentence> {
    if response.trim_matches([' ', '\t']).is_empty() {
        return Ok(None);
    }
    let mut scanner = Scanner::new(response);
    let Some(name) = scanner.extension()? else {
        return Err("the list of extensions is empty".into());
    };
    if name != NAME {
        return Err(format!("extension {} was not offered", quote(name.as_bytes())).into());
    }
    let params = Params::read(&mut scanner)?;
    if let Some(fault) = params.fault {
        return Err(fault);
    }
    if let Some(name) = scanner.extension()? {
        return Err(format!(
            "a second extension {} was not offered",
            quote(name.as_bytes())
        )
        .into());
    }
    if params.server_takeover && !config.server_takeover {
        return Err(format!("{SERVER_NO_TAKEOVER} was offered, but not accepted").into());
    }
    Ok(Some(Agreed {
        own_window_bits: client_bits(config, params.client_bits)?,
        peer_window_bits: server_bits(config, params.server_bits)?,
        own_takeover: params.client_takeover && config.client_takeover,
        peer_takeover: params.server_takeover,
    }))
}

/// Answers a client's Sec-WebSocket-Extensions with the first offer that can be accepted, and
/// gives the value of the response's. Extensions that are not known are skipped. An error if the
/// header is malformed, which fails the connection (RFC 6455 §9.1).
pub fn accept(config: &Config, offers: &str) -> Result<Option<(Agreed, String)>, Sentence> {
    let mut accepted = None;
    let mut scanner = Scanner::new(offers);
    while let Some(name) = scanner.extension()? {
        let params = Params::read(&mut scanner)?;
        if accepted.is_none() && name == NAME && params.fault.is_none() {
            accepted = accept_one(config, &params);
        }
    }
    Ok(accepted)
}

fn accept_one(config: &Config, offer: &Params) -> Option<(Agreed, String)> {
    let client_bits = match offer.client_bits {
        // The client cannot be told of a limit (RFC 7692 §7.1.2.2), so it would not keep to it.
        None if config.client_max_window_bits < MAX_BITS => return None,
        None => MAX_BITS,
        Some(bits) => bits.unwrap_or(MAX_BITS).min(config.client_max_window_bits),
    };
    let server_bits = offer
        .server_bits
        .unwrap_or(MAX_BITS)
        .min(config.server_max_window_bits);
    let agreed = Agreed {
        own_window_bits: server_bits,
        peer_window_bits: client_bits,
        own_takeover: offer.server_takeover && config.server_takeover,
        peer_takeover: offer.client_takeover && config.client_takeover,
    };
    let mut response = NAME.to_owned();
    if !agreed.own_takeover {
        push(&mut response, SERVER_NO_TAKEOVER, None);
    }
    if !agreed.peer_takeover {
        push(&mut response, CLIENT_NO_TAKEOVER, None);
    }
    // RFC 7692 §7.1.2.1: a limit that was offered is accepted by naming it.
    if offer.server_bits.is_some() || server_bits < MAX_BITS {
        push(&mut response, SERVER_BITS, Some(server_bits));
    }
    if client_bits < MAX_BITS {
        push(&mut response, CLIENT_BITS, Some(client_bits));
    }
    Some((agreed, response))
}

/// The window that the client's own compressor gets by a response.
fn client_bits(config: &Config, response: Option<Option<u8>>) -> Result<u8, Sentence> {
    let offered = config.client_max_window_bits;
    match response {
        // The offer was a promise, whether the server repeats it or not.
        None => Ok(offered),
        Some(None) => Err(format!("{CLIENT_BITS} has no value").into()),
        Some(Some(bits)) if bits > offered => {
            Err(format!("{CLIENT_BITS} {bits} is over the offered {offered}").into())
        }
        Some(Some(bits)) => Ok(bits),
    }
}

/// The window that the server's compressor keeps to by its response.
fn server_bits(config: &Config, response: Option<u8>) -> Result<u8, Sentence> {
    let offered = config.server_max_window_bits;
    match response.unwrap_or(MAX_BITS) {
        bits if bits <= offered => Ok(bits),
        _ if response.is_none() => {
            Err(format!("{SERVER_BITS} {offered} was offered, but not accepted").into())
        }
        bits => Err(format!("{SERVER_BITS} {bits} is over the offered {offered}").into()),
    }
}

/// The parameters of one offer or response.
struct Params {
    server_takeover: bool,
    client_takeover: bool,
    server_bits: Option<u8>,
    /// In an offer, the value may be missing.
    client_bits: Option<Option<u8>>,
    /// Why the offer is to be declined, or the response to be refused.
    fault: Option<Sentence>,
}

impl Params {
    /// Reads all parameters of the extension at hand. An error if they are malformed.
    fn read(scanner: &mut Scanner<'_>) -> Result<Self, Sentence> {
        let mut params = Self {
            server_takeover: true,
            client_takeover: true,
            server_bits: None,
            client_bits: None,
            fault: None,
        };
        while let Some(param) = scanner.param()? {
            if params.fault.is_none() {
                params.fault = params.take(&param).err();
            }
        }
        Ok(params)
    }

    fn take(&mut self, param: &Param<'_>) -> Result<(), Sentence> {
        let first = match (param.name, param.value.as_deref()) {
            (SERVER_NO_TAKEOVER, None) => std::mem::take(&mut self.server_takeover),
            (CLIENT_NO_TAKEOVER, None) => std::mem::take(&mut self.client_takeover),
            (SERVER_BITS, Some(value)) => self.server_bits.replace(bits(param, value)?).is_none(),
            (CLIENT_BITS, value) => {
                let bits = value.map(|value| bits(param, value)).transpose()?;
                self.client_bits.replace(bits).is_none()
            }
            (SERVER_NO_TAKEOVER | CLIENT_NO_TAKEOVER, Some(value)) => {
                return Err(
                    format!("{} has a value {}", param.name, quote(value.as_bytes())).into(),
                );
            }
            (SERVER_BITS, None) => return Err(format!("{SERVER_BITS} has no value").into()),
            (name, _) => {
                return Err(format!("parameter {} is unknown", quote(name.as_bytes())).into());
            }
        };
        if !first {
            return Err(format!("{} is there twice", param.name).into());
        }
        Ok(())
    }
}

/// RFC 7692 §7.1.2: 8 to 15, decimal, without leading zeroes.
fn bits(param: &Param<'_>, value: &str) -> Result<u8, Sentence> {
    Ok(match value {
        "8" => 8,
        "9" => 9,
        "10" => 10,
        "11" => 11,
        "12" => 12,
        "13" => 13,
        "14" => 14,
        "15" => 15,
        _ => {
            return Err(
                format!("{} {} is not 8 to 15", param.name, quote(value.as_bytes())).into(),
            );
        }
    })
}

fn push(header: &mut String, name: &str, bits: Option<u8>) {
    header.push_str("; ");
    header.push_str(name);
    if let Some(bits) = bits {
        header.push('=');
        header.push_str(&bits.to_string());
    }
}

const NAME: &str = "permessage-deflate";
const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";
const MAX_BITS: u8 = 15;
