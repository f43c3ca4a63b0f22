//! HTTP/1.1 heads (RFC 9112): collected from arbitrary segments, checked once, and looked up in
//! the bytes that they came in.

use std::borrow::Cow;
use std::fmt;
use std::str;

use super::{MAX_FIELDS, MAX_HEAD, is_token_bytes, quote};

/// Collects heads, one after the other, from the bytes of a connection.
///
/// The work is linear in the bytes: each is looked at when it comes, and a head is parsed when its
/// end is there. What no head can contain is refused before that.
#[derive(Debug)]
pub struct HeadReader {
    kind: Kind,
    /// The head so far, without its end.
    bytes: Vec<u8>,
    /// The bytes of all heads so far.
    received: usize,
    scanner: Scanner,
}

impl HeadReader {
    /// A reader of requests.
    pub fn of_requests() -> Self {
        Self::new(Kind::Request)
    }

    /// A reader of responses.
    pub fn of_responses() -> Self {
        Self::new(Kind::Response)
    }

    /// Takes bytes and returns how many belong to the head, and the head once it is complete.
    ///
    /// The heads of one reader together are limited to [`MAX_HEAD`] bytes.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<Head>), HeadError> {
        let room = MAX_HEAD.saturating_sub(self.received);
        for (consumed, &byte) in (1..).zip(input.iter().take(room)) {
            if self.scanner.ends_head(byte)? {
                self.keep(input.get(..consumed).unwrap_or(input))?;
                let bytes = std::mem::take(&mut self.bytes).into_boxed_slice();
                self.scanner = Scanner::default();
                return Ok((consumed, Some(Head::parse(self.kind, bytes)?)));
            }
        }
        if input.len() >= room {
            return Err(HeadError::TooLong);
        }
        self.keep(input)?;
        Ok((input.len(), None))
    }

    /// Whether a head has begun and not ended.
    pub fn is_inside(&self) -> bool {
        !self.bytes.is_empty()
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            bytes: Vec::new(),
            received: 0,
            scanner: Scanner::default(),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), HeadError> {
        self.bytes
            .try_reserve(bytes.len())
            .map_err(|_| HeadError::OutOfMemory)?;
        self.bytes.extend_from_slice(bytes);
        self.received = self.received.saturating_add(bytes.len());
        let mut start = self.bytes.iter().zip(RESPONSE_START);
        if self.kind == Kind::Response && !start.all(|(is, should)| is == should) {
            let beginning = quote(self.bytes.get(..16).unwrap_or(&self.bytes));
            return Err(HeadError::Malformed(format!(
                "begins with {beginning}, which is no HTTP/1.1"
            )));
        }
        Ok(())
    }
}

/// A received head.
///
/// It is kept as the bytes that it came in, because a connection keeps it for its whole life and
/// is seldom asked for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// INVARIANT: a start line that `kind` allows and lines `name: value`, each ended by CR LF,
    /// then an empty line.
    bytes: Box<[u8]>,
}

impl Head {
    /// The status of a response, 0 of a request.
    pub fn status(&self) -> u16 {
        let mut parts = self.start_line().split(|byte| *byte == b' ');
        let digits = parts.nth(1).unwrap_or_default();
        str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    }

    /// The reason phrase of a response, often empty.
    pub fn reason(&self) -> &[u8] {
        self.start_line()
            .splitn(3, |byte| *byte == b' ')
            .nth(2)
            .unwrap_or_default()
    }

    /// Status and reason phrase of a response, for a sentence. What the peer wrote must not command
    /// the terminal that shows it.
    pub fn describe_status(&self) -> String {
        const LONGEST: usize = 80;
        let reason = text(self.reason().trim_ascii());
        let printable = reason.chars().filter(|it| !it.is_control());
        let reason: String = printable.take(LONGEST).collect();
        format!("{} {reason}", self.status()).trim_end().to_owned()
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// The target of a request, as it came.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// The version of a request or response, as it came: `HTTP/1.1`.
    pub fn version(&self) -> &str {
        let first = self.word(0);
        if first.starts_with("HTTP/") {
            first
        } else {
            self.word(2)
        }
    }

    /// The value of the field, in any letter case of `name`. Several lines are joined by `, `.
    pub fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut lines = self.lines(name);
        let mut value = text(lines.next()?);
        for line in lines {
            let joined = value.to_mut();
            joined.push_str(", ");
            joined.push_str(&text(line));
        }
        Some(value)
    }

    /// The value of each line of the field, without the whitespace around it.
    pub fn lines<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields()
            .filter(move |(its, _)| its.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The value of a field that has exactly one line.
    pub fn only_line(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self
            .fields()
            .filter(|(its, _)| its.eq_ignore_ascii_case(name.as_bytes()));
        let (_, value) = lines.next()?;
        lines.next().is_none().then_some(value)
    }

    /// The members of a list field, over all its lines, without the whitespace around them. Empty
    /// members are left out, as RFC 9110 §5.6.1.2 wants it.
    pub fn tokens<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.lines(name)
            .flat_map(|line| line.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|token| !token.is_empty())
    }

    /// Whether a list field has this member, in any letter case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name)
            .any(|it| it.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// All fields in their order: the name as it came, and the value without the whitespace around.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.bytes
            .split(|byte| *byte == b'\n')
            .skip(1)
            .filter_map(|line| {
                let mut parts = line.splitn(2, |byte| *byte == b':');
                Some((parts.next()?, parts.next()?.trim_ascii()))
            })
    }

    fn parse(kind: Kind, bytes: Box<[u8]>) -> Result<Self, HeadError> {
        let head = Self { bytes };
        let line = head.start_line();
        let valid = match kind {
            Kind::Request => is_request_line(line),
            Kind::Response => is_status_line(line),
        };
        if !valid {
            let line = quote(line);
            return Err(HeadError::Malformed(format!(
                "has the malformed first line {line}"
            )));
        }
        head.check_fields()?;
        Ok(head)
    }

    fn check_fields(&self) -> Result<(), HeadError> {
        let start = self.start_line().len().saturating_add(b"\r\n".len());
        let fields = self.bytes.get(start..).unwrap_or_default();
        let mut room = [httparse::EMPTY_HEADER; MAX_FIELDS];
        match httparse::parse_headers(fields, &mut room) {
            Ok(httparse::Status::Complete((len, _))) if len == fields.len() => Ok(()),
            Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
            _ => {
                let mut lines = fields
                    .split(|byte| *byte == b'\n')
                    .map(<[u8]>::trim_ascii_end);
                let line = quote(lines.find(|line| !is_field_line(line)).unwrap_or_default());
                Err(HeadError::Malformed(format!(
                    "has the malformed line {line}"
                )))
            }
        }
    }

    fn start_line(&self) -> &[u8] {
        let line = self
            .bytes
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    fn word(&self, number: usize) -> &str {
        let word = self
            .start_line()
            .split(|byte| *byte == b' ')
            .nth(number)
            .unwrap_or_default();
        str::from_utf8(word).unwrap_or_default()
    }
}

impl fmt::Debug for Head {
    /// Without the fields: they may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Head")
            .field(&String::from_utf8_lossy(self.start_line()))
            .finish()
    }
}

/// Why a head was refused. The sentence continues "request " or "response ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The end did not come in time.
    #[error("head is over the limit of {MAX_HEAD} bytes")]
    TooLong,
    /// There are too many fields.
    #[error("head is over the limit of {MAX_FIELDS} fields")]
    TooManyFields,
    /// It is not HTTP/1.1, or a line of it is not.
    #[error("head {0}")]
    Malformed(String),
    /// The system refused the memory for it.
    #[error("head found no memory")]
    OutOfMemory,
}

/// The text of a field value: UTF-8, or else ISO 8859-1, as HTTP once meant it.
pub fn text(value: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => value.iter().copied().map(char::from).collect(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

const RESPONSE_START: &[u8] = b"HTTP/1.";

/// Finds the empty line, and on the way refuses what makes parsers disagree about where it is.
#[derive(Debug, Default)]
struct Scanner {
    previous: u8,
    /// Not before a first line: an empty one there is no end, but makes the head malformed.
    line_is_empty: bool,
}

impl Scanner {
    fn ends_head(&mut self, byte: u8) -> Result<bool, HeadError> {
        let previous = std::mem::replace(&mut self.previous, byte);
        let complaint = match byte {
            _ if previous == b'\r' && byte != b'\n' => "has a CR without LF",
            b'\r' => return Ok(false),
            b'\n' if previous == b'\r' => {
                return Ok(std::mem::replace(&mut self.line_is_empty, true));
            }
            b'\n' => "has a line that ends in LF without CR",
            b' ' | b'\t' if self.line_is_empty => "has a folded line",
            b'\t' | b' '..=0x7e | 0x80.. => {
                self.line_is_empty = false;
                return Ok(false);
            }
            _ => {
                return Err(HeadError::Malformed(format!(
                    "has the control character {byte:#04x}"
                )));
            }
        };
        Err(HeadError::Malformed(complaint.to_owned()))
    }
}

/// RFC 9112 §3: one space each between method, target and version.
fn is_request_line(line: &[u8]) -> bool {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    is_token_bytes(method)
        && !target.is_empty()
        && target.iter().all(u8::is_ascii_graphic)
        && matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// RFC 9112 §4. The space in front of an empty reason phrase may be missing.
fn is_status_line(line: &[u8]) -> bool {
    let Some([b'0' | b'1', b' ', a, b, c, reason @ ..]) = line.strip_prefix(RESPONSE_START) else {
        return false;
    };
    matches!(a, b'1'..=b'9')
        && b.is_ascii_digit()
        && c.is_ascii_digit()
        && matches!(reason, [] | [b' ', ..])
}

fn is_field_line(line: &[u8]) -> bool {
    line.splitn(2, |byte| *byte == b':')
        .next()
        .is_some_and(is_token_bytes)
        && line.contains(&b':')
}

#[cfg(test)]
mod tests;
