//! The server's side: the judgement of the request, and the answer (RFC 6455 §4.2).

use std::borrow::Cow;

use tungstenite::handshake::derive_accept_key;
use tungstenite::http::StatusCode;

use crate::error::{Error, Result};

use super::head::{Head, HeadError, HeadReader, text};
use super::{is_token_bytes, put_field, quote};

/// A handshake under way: give it what is received until it is an upgrade or refused.
#[derive(Debug)]
pub struct Server {
    reader: HeadReader,
}

/// A valid request to upgrade.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// INVARIANT: it has passed `judge`.
    head: Head,
}

/// A request that is not upgraded, and the answer to it. The connection ends behind the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer.
    pub sentence: String,
    /// What the status obliges the answer to say.
    fields: &'static [(&'static str, &'static str)],
    /// What the application has the answer say besides.
    headers: Vec<(String, String)>,
    /// The request was for the head of the answer alone.
    is_head: bool,
}

impl Server {
    /// A handshake that has not begun.
    pub fn new() -> Self {
        Self {
            reader: HeadReader::of_requests(),
        }
    }

    /// Takes bytes and returns how many belong to the request, and the upgrade once it is
    /// complete and valid. A client must not send what is left of `input` before the answer, but
    /// it would be frames.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<Upgrade>), Refusal> {
        let (consumed, head) = self.reader.receive(input).map_err(malformed)?;
        let Some(head) = head else {
            return Ok((consumed, None));
        };
        judge(&head).map_err(|refusal| Refusal {
            is_head: head.method() == "HEAD",
            ..refusal
        })?;
        Ok((consumed, Some(Upgrade { head })))
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Upgrade {
    /// The 101 response. `subprotocol` is one of those that were offered, and every text is
    /// printable: options have been checked.
    pub fn accept<'a>(
        &self,
        subprotocol: Option<&str>,
        extensions: Option<&str>,
        headers: impl IntoIterator<Item = &'a (String, String)>,
        server: Option<&str>,
    ) -> Vec<u8> {
        let key = self.head.only_line("Sec-WebSocket-Key").unwrap_or_default();
        let mut head = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        put_field(&mut head, "Upgrade", "websocket");
        put_field(&mut head, "Connection", "Upgrade");
        put_field(&mut head, "Sec-WebSocket-Accept", &derive_accept_key(key));
        for (name, value) in [
            ("Sec-WebSocket-Protocol", subprotocol),
            ("Sec-WebSocket-Extensions", extensions),
            ("Server", server),
        ] {
            if let Some(value) = value {
                put_field(&mut head, name, value);
            }
        }
        for (name, value) in headers {
            put_field(&mut head, name, value);
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The first of `supported` that the client offers, in exactly this letter case.
    pub fn choose_subprotocol<'a>(&self, supported: &'a [String]) -> Option<&'a str> {
        let mut supported = supported.iter().map(String::as_str);
        supported.find(|it| self.subprotocols().any(|offered| offered == *it))
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.head.tokens("Sec-WebSocket-Protocol").map(text)
    }

    /// A header field, with its lines joined by commas. Host is the one that the client means.
    pub fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        if name.eq_ignore_ascii_case("Host") {
            return Some(self.host());
        }
        self.head.field(name)
    }

    /// The extensions that the client offers, in the syntax of the field, not yet judged.
    pub fn extensions(&self) -> Option<Cow<'_, str>> {
        self.head.field("Sec-WebSocket-Extensions")
    }

    /// Path and query.
    pub fn target(&self) -> Cow<'_, str> {
        let target = self.head.target();
        match split_absolute(target) {
            Some((_, rest)) if rest.starts_with('/') => Cow::Borrowed(rest),
            Some((_, query)) => Cow::Owned(format!("/{query}")),
            None => Cow::Borrowed(target),
        }
    }

    /// Host and port that the client means.
    pub fn host(&self) -> Cow<'_, str> {
        // RFC 9112 §3.2.2: the host of an absolute target replaces that of the field.
        match split_absolute(self.head.target()) {
            Some((host, _)) => Cow::Borrowed(host),
            None => self.head.field("Host").unwrap_or_default(),
        }
    }

    /// Who asks, if a browser says it.
    #[cfg(test)]
    pub fn origin(&self) -> Option<Cow<'_, str>> {
        self.head.field("Origin")
    }

    /// The request.
    #[cfg(test)]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The request, to be kept.
    #[cfg(test)]
    pub fn into_head(self) -> Head {
        self.head
    }
}

impl Refusal {
    /// A refusal of the application's own: a final status of 300 to 599, and a body for a person.
    pub fn new(status: u16, body: &str) -> Result<Self> {
        if !(300..600).contains(&status) || status == 304 {
            let sentence = format!("status {status} refuses no upgrade: 300 to 599 but 304 do");
            return Err(Error::Argument(sentence.into()));
        }
        Ok(Self {
            status,
            sentence: body.to_owned(),
            fields: &[],
            headers: Vec::new(),
            is_head: false,
        })
    }

    /// The same, with further header fields, which have been checked.
    #[must_use]
    pub fn with_headers(self, headers: Vec<(String, String)>) -> Self {
        Self { headers, ..self }
    }

    /// The complete response.
    pub fn response(&self) -> Vec<u8> {
        let reason = StatusCode::from_u16(self.status)
            .ok()
            .and_then(|it| it.canonical_reason());
        let reason = reason.unwrap_or_default();
        let mut response = format!("HTTP/1.1 {} {reason}\r\n", self.status).into_bytes();
        for (name, value) in self.fields {
            put_field(&mut response, name, value);
        }
        // RFC 9110 §7.8: a sender of Upgrade names it in Connection, too.
        let upgrades = self.fields.iter().any(|(name, _)| *name == "Upgrade");
        put_field(
            &mut response,
            "Connection",
            if upgrades { "Upgrade, close" } else { "close" },
        );
        for (name, value) in &self.headers {
            put_field(&mut response, name, value);
        }
        let is_typed = self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
        if !is_typed {
            put_field(&mut response, "Content-Type", "text/plain; charset=utf-8");
        }
        put_field(
            &mut response,
            "Content-Length",
            &self.sentence.len().to_string(),
        );
        response.extend_from_slice(b"\r\n");
        // RFC 9110 §9.3.2.
        if !self.is_head {
            response.extend_from_slice(self.sentence.as_bytes());
        }
        response
    }

    /// The request does not follow its grammar.
    pub fn malformed(sentence: impl Into<String>) -> Self {
        Self::because(400, sentence)
    }

    /// A refusal of the library's own.
    pub fn because(status: u16, sentence: impl Into<String>) -> Self {
        let fields: &[_] = match status {
            405 => &[("Allow", "GET")],
            426 => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
            _ => &[],
        };
        Self {
            status,
            sentence: sentence.into(),
            fields,
            headers: Vec::new(),
            is_head: false,
        }
    }
}

/// RFC 6455 §4.2.1, and what RFC 9112 obliges a server to refuse.
fn judge(head: &Head) -> Result<(), Refusal> {
    judge_start_line(head)?;
    judge_host(head)?;
    judge_framing(head)?;
    judge_upgrade(head)?;
    judge_key(head)?;
    let mut offered = head.tokens("Sec-WebSocket-Protocol");
    if let Some(bad) = offered.find(|it| !is_token_bytes(it)) {
        return refuse(400, format!("subprotocol {} is not a token", quote(bad)));
    }
    Ok(())
}

fn judge_start_line(head: &Head) -> Result<(), Refusal> {
    let version = head.version();
    if !version.starts_with("HTTP/1.") {
        return refuse(505, format!("{version} is not supported, HTTP/1.1 is"));
    }
    if head.method() != "GET" {
        let method = quote(head.method().as_bytes());
        return refuse(
            405,
            format!("method is {method}, but a WebSocket begins with GET"),
        );
    }
    if version == "HTTP/1.0" {
        // RFC 9110 §7.8: a server ignores the Upgrade of such a request.
        return refuse(426, "HTTP/1.0 cannot be upgraded, HTTP/1.1 can");
    }
    let target = head.target();
    let is_origin_form = target.starts_with('/');
    if target.contains('#') || !(is_origin_form || split_absolute(target).is_some()) {
        return refuse(
            400,
            format!("target {} is not a path", quote(target.as_bytes())),
        );
    }
    Ok(())
}

fn judge_host(head: &Head) -> Result<(), Refusal> {
    let host = head.only_line("Host");
    if !host.is_some_and(is_authority) {
        let lines = head.field("Host");
        let lines = lines.map_or_else(|| "none".to_owned(), |lines| quote(lines.as_bytes()));
        return refuse(400, format!("one valid Host is needed, not {lines}"));
    }
    Ok(())
}

/// A request to upgrade has no body. Whoever thinks otherwise might take frames for a second
/// request, or the body for frames.
fn judge_framing(head: &Head) -> Result<(), Refusal> {
    if head.lines("Transfer-Encoding").next().is_some() {
        return refuse(400, "Transfer-Encoding: a WebSocket request has no body");
    }
    if let Some(length) = head.lines("Content-Length").find(|length| *length != b"0") {
        let length = quote(length);
        return refuse(
            400,
            format!("Content-Length {length}: a WebSocket request has no body"),
        );
    }
    Ok(())
}

fn judge_upgrade(head: &Head) -> Result<(), Refusal> {
    if !head.has_token("Upgrade", "websocket") || !head.has_token("Connection", "Upgrade") {
        return refuse(
            426,
            "only WebSocket connections: Upgrade: websocket, Connection: Upgrade",
        );
    }
    if head.only_line("Sec-WebSocket-Version") != Some(b"13") {
        let version = head.field("Sec-WebSocket-Version");
        let version = version.map_or_else(|| "none".to_owned(), |it| quote(it.as_bytes()));
        return refuse(
            426,
            format!("Sec-WebSocket-Version is {version}, but 13 is needed"),
        );
    }
    Ok(())
}

fn judge_key(head: &Head) -> Result<(), Refusal> {
    let key = head.only_line("Sec-WebSocket-Key");
    // 16 bytes in base64. The bits that the last digit has beyond them are not looked at.
    let digits = key
        .filter(|key| key.len() == 24)
        .and_then(|key| key.strip_suffix(b"=="));
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if !digits.is_some_and(|digits| digits.iter().all(is_digit)) {
        return refuse(400, "one Sec-WebSocket-Key of 16 bytes in base64 is needed");
    }
    Ok(())
}

/// Host and the rest of a target with scheme (RFC 9112 §3.2.2). `None` if it has none.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(scheme))
    {
        return None;
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at_checked(end)?;
    is_authority(host.as_bytes()).then_some((host, rest))
}

/// The characters of host and port (RFC 3986 §3.2), without credentials.
fn is_authority(host: &[u8]) -> bool {
    !host.is_empty()
        && host
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte))
}

fn refuse<T>(status: u16, sentence: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::because(status, sentence))
}

fn malformed(error: HeadError) -> Refusal {
    let sentence = format!("request {error}");
    Refusal::because(
        match error {
            HeadError::TooLong | HeadError::TooManyFields => 431,
            HeadError::Malformed(_) => 400,
            HeadError::OutOfMemory => 503,
        },
        sentence,
    )
}

#[cfg(test)]
mod tests;
