//! The client's side: the request, and the judgement of the response (RFC 6455 §4.1).

use rand::TryRng;
use rand::rngs::SysRng;
use tungstenite::handshake::derive_accept_key;

use crate::error::{Error, Result};

use super::body::Body;
use super::head::{Head, HeadError, HeadReader};
use super::{put_field, quote};

/// What a request says. Every text is printable: options and URL have been checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Host, and port unless it is the scheme's own.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The credentials of the URL, left out if `headers` have some.
    pub authorization: Option<&'a str>,
    /// Who asks, as a browser would say it.
    pub origin: Option<&'a str>,
    /// The name of the client program.
    pub user_agent: Option<&'a str>,
    /// The subprotocols that are offered, in order of preference.
    pub subprotocols: &'a [String],
    /// Further fields.
    pub headers: &'a [(String, String)],
    /// The extensions that are offered, in the syntax of the field.
    pub extensions: Option<&'a str>,
}

/// A handshake under way: give it what is received until it accepts or fails.
#[derive(Debug)]
pub struct Client {
    accept_key: String,
    subprotocols: Vec<String>,
    offers_extensions: bool,
    reader: HeadReader,
    head: Option<Head>,
    /// Of a refused upgrade.
    body: Option<Body>,
}

/// What the server agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// One of those that were offered; none if none was.
    pub subprotocol: Option<String>,
    /// The extensions as the server wrote them, empty if none were offered. The syntax and the
    /// parameters are not yet judged.
    pub extensions: String,
}

impl Client {
    /// A handshake with a fresh random key, and the bytes of its request.
    pub fn new(request: &Request<'_>) -> Result<(Self, Vec<u8>)> {
        let key = random_key()?;
        let client = Self {
            accept_key: derive_accept_key(key.as_bytes()),
            subprotocols: request.subprotocols.to_vec(),
            offers_extensions: request.extensions.is_some(),
            reader: HeadReader::of_responses(),
            head: None,
            body: None,
        };
        Ok((client, request.to_bytes(&key)))
    }

    /// Takes bytes and returns how many, and what was agreed once the server has accepted. What
    /// is left of `input` then are frames.
    ///
    /// When the server refuses, the error comes as soon as the body has been received.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<Accepted>)> {
        let mut rest = input;
        while self.head.is_none() {
            let (consumed, head) = self.reader.receive(rest).map_err(malformed)?;
            let Some(head) = head else {
                return Ok((input.len(), None));
            };
            rest = rest.get(consumed..).unwrap_or_default();
            let status = head.status();
            // RFC 9110 §15.2: interim responses may precede the answer.
            if status < 200 && status != 101 {
                continue;
            }
            let head = self.head.insert(head);
            if status == 101 {
                let accepted = judge(
                    head,
                    &self.accept_key,
                    &self.subprotocols,
                    self.offers_extensions,
                )?;
                return Ok((input.len().saturating_sub(rest.len()), Some(accepted)));
            }
            self.body = Some(Body::of_response(head));
        }
        let Some(body) = &mut self.body else {
            return Ok((0, None));
        };
        body.receive(rest);
        if body.is_complete() {
            return Err(self.failure());
        }
        Ok((input.len(), None))
    }

    /// What is to be said when the stream ends before the handshake does; or when the time is up
    /// for the body of a refusal.
    pub fn receive_eof(&mut self) -> Error {
        self.failure()
    }

    /// The head of the response, once it is there.
    pub fn response(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// What has come of the body of a refused upgrade.
    #[cfg(test)]
    pub fn body(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], Body::bytes)
    }

    /// The head of the response and the body of a refused upgrade.
    pub fn into_response(self) -> (Option<Head>, Vec<u8>) {
        (self.head, self.body.map_or_else(Vec::new, Body::into_bytes))
    }

    fn failure(&self) -> Error {
        match &self.head {
            Some(head) => {
                let answer = head.describe_status();
                Error::Http(format!("server answered {answer} instead of 101").into())
            }
            None if self.reader.is_inside() => {
                Error::Io("connection ended inside the response head".into())
            }
            None => Error::Io("connection ended before the server answered".into()),
        }
    }
}

impl Request<'_> {
    fn to_bytes(self, key: &str) -> Vec<u8> {
        let mut head = format!("GET {} HTTP/1.1\r\n", self.target).into_bytes();
        let subprotocols = self.subprotocols.join(", ");
        let mut put = |name, value| put_field(&mut head, name, value);
        put("Host", self.host);
        put("Upgrade", "websocket");
        put("Connection", "Upgrade");
        put("Sec-WebSocket-Key", key);
        put("Sec-WebSocket-Version", "13");
        if !self.subprotocols.is_empty() {
            put("Sec-WebSocket-Protocol", &subprotocols);
        }
        let has_own = self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("Authorization"));
        for (name, value) in [
            ("Sec-WebSocket-Extensions", self.extensions),
            ("Origin", self.origin),
            ("User-Agent", self.user_agent),
            ("Authorization", self.authorization.filter(|_| !has_own)),
        ] {
            if let Some(value) = value {
                put(name, value);
            }
        }
        for (name, value) in self.headers {
            put(name, value);
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

fn random_key() -> Result<String> {
    let mut nonce = [0; 16];
    // From the system and not from a generator of this process: the child of a fork would
    // continue that one's numbers.
    SysRng
        .try_fill_bytes(&mut nonce)
        .map_err(|error| Error::Resource(format!("system gave no random bytes: {error}").into()))?;
    Ok(data_encoding::BASE64.encode(&nonce))
}

/// RFC 6455 §4.1, the numbered list at its end.
fn judge(
    head: &Head,
    accept_key: &str,
    offered: &[String],
    offers_extensions: bool,
) -> Result<Accepted> {
    if head.version() != "HTTP/1.1" {
        return wrong(format!("switches protocols in {}", head.version()));
    }
    if !head.has_token("Upgrade", "websocket") {
        return wrong(format!(
            "has no Upgrade to websocket, but {}",
            describe(head, "Upgrade")
        ));
    }
    if !head.has_token("Connection", "Upgrade") {
        return wrong(format!(
            "has no Connection: Upgrade, but {}",
            describe(head, "Connection")
        ));
    }
    if head.only_line("Sec-WebSocket-Accept") != Some(accept_key.as_bytes()) {
        let answer = describe(head, "Sec-WebSocket-Accept");
        return wrong(format!(
            "has not the one right Sec-WebSocket-Accept, but {answer}"
        ));
    }
    let extensions = head
        .field("Sec-WebSocket-Extensions")
        .unwrap_or_default()
        .into_owned();
    if !extensions.is_empty() && !offers_extensions {
        let extensions = quote(extensions.as_bytes());
        return wrong(format!(
            "has the extensions {extensions}, but none were offered"
        ));
    }
    Ok(Accepted {
        subprotocol: judge_subprotocol(head, offered)?,
        extensions,
    })
}

fn judge_subprotocol(head: &Head, offered: &[String]) -> Result<Option<String>> {
    const NAME: &str = "Sec-WebSocket-Protocol";
    if head.lines(NAME).next().is_none() && offered.is_empty() {
        return Ok(None);
    }
    // One line that is exactly one of the offered. None at all fails too: the WHATWG standard
    // goes beyond the RFC here.
    let chosen = head.only_line(NAME);
    let chosen = offered.iter().find(|it| chosen == Some(it.as_bytes()));
    if chosen.is_none() {
        let answer = describe(head, NAME);
        return wrong(format!(
            "has not one of the offered subprotocols {offered:?}, but {answer}"
        ));
    }
    Ok(chosen.cloned())
}

/// The value of a field for a sentence.
fn describe(head: &Head, name: &str) -> String {
    head.field(name).map_or_else(
        || "no such field".to_owned(),
        |value| quote(value.as_bytes()),
    )
}

fn wrong<T>(what: String) -> Result<T> {
    Err(Error::Handshake(format!("response {what}").into()))
}

fn malformed(error: HeadError) -> Error {
    let sentence = format!("response {error}").into();
    match error {
        HeadError::OutOfMemory => Error::Resource(sentence),
        HeadError::TooLong | HeadError::TooManyFields | HeadError::Malformed(_) => {
            Error::Handshake(sentence)
        }
    }
}

#[cfg(test)]
mod tests;
