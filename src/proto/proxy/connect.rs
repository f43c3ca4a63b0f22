//! HTTP CONNECT (RFC 9110 §9.3.6): a proxy is asked for a tunnel to the server.

use crate::error::{Error, Result};
use crate::proto::handshake::Head;
use crate::proto::handshake::head::{HeadError, HeadReader};

/// A request for a tunnel under way: give it what is received until the tunnel is there.
#[derive(Debug)]
pub struct Tunnel {
    authority: String,
    has_credentials: bool,
    reader: HeadReader,
    answer: Option<Head>,
}

impl Tunnel {
    /// A tunnel to `authority`, and the bytes of the request for it.
    ///
    /// `authority` is `host:port`, an IPv6 address in brackets, the port always there.
    /// `authorization` is the whole value of Proxy-Authorization. Both are printable: the URLs
    /// that they come from have been checked.
    pub fn new(authority: &str, authorization: Option<&str>) -> (Self, Vec<u8>) {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(value) = authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(value);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let tunnel = Self {
            authority: authority.to_owned(),
            has_credentials: authorization.is_some(),
            reader: HeadReader::of_responses(),
            answer: None,
        };
        (tunnel, request.into_bytes())
    }

    /// Takes bytes and returns how many, and whether the tunnel is there. What is left of `input`
    /// then is from the server.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, bool)> {
        let mut rest = input;
        while self.answer.is_none() {
            let (consumed, head) = self.reader.receive(rest).map_err(malformed)?;
            let Some(head) = head else {
                return Ok((input.len(), false));
            };
            rest = rest.get(consumed..).unwrap_or_default();
            // RFC 9110 §15.2: interim responses may precede the answer. A switch of protocols is
            // none of them, and was not asked for.
            if head.status() >= 200 || head.status() == 101 {
                self.answer = Some(head);
            }
        }
        // RFC 9110 §9.3.6: a successful answer ends with its head, whatever its fields say.
        if !matches!(self.status(), Some(200..=299)) {
            return Err(self.failure());
        }
        Ok((input.len().saturating_sub(rest.len()), true))
    }

    /// What is to be said when the stream ends before the tunnel is there.
    pub fn receive_eof(&mut self) -> Error {
        self.failure()
    }

    /// The status of the answer, once it is there.
    pub fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(Head::status)
    }

    /// Whether the proxy has refused the credentials, or to do without. It is to say 407 (RFC 9110
    /// §15.5.8); to wrong ones, tinyproxy says 401.
    pub fn wants_other_credentials(&self) -> bool {
        matches!(self.status(), Some(401 | 407))
    }

    fn failure(&self) -> Error {
        let authority = &self.authority;
        let Some(head) = &self.answer else {
            let when = if self.reader.is_inside() {
                "inside the head of its answer"
            } else {
                "before it answered"
            };
            let sentence = format!("the proxy ended the connection {when} to CONNECT {authority}");
            return Error::Proxy(sentence.into());
        };
        let answer = head.describe_status();
        let sentence = match (self.wants_other_credentials(), self.has_credentials) {
            (true, false) => format!("the proxy wants credentials: {answer}"),
            (true, true) => format!("the proxy refused the credentials: {answer}"),
            _ => format!("the proxy refused a tunnel to {authority}: {answer}"),
        };
        Error::Proxy(sentence.into())
    }
}

fn malformed(error: HeadError) -> Error {
    let sentence = format!("the proxy's response {error}").into();
    match error {
        HeadError::OutOfMemory => Error::Resource(sentence),
        HeadError::TooLong | HeadError::TooManyFields | HeadError::Malformed(_) => {
            Error::Proxy(sentence)
        }
    }
}

#[cfg(test)]
mod tests;
