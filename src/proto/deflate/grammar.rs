//! The grammar of Sec-WebSocket-Extensions (RFC 6455 §9.1), read in one pass from left to right.

use std::borrow::Cow;

use crate::error::Sentence;
use crate::proto::handshake::{is_token, quote};

/// Reads a list of extensions: a call of `extension`, then `param` until it gives `None`.
pub struct Scanner<'a> {
    rest: &'a str,
}

/// A parameter as it was written, without quotes.
pub struct Param<'a> {
    pub name: &'a str,
    pub value: Option<Cow<'a, str>>,
}

impl<'a> Scanner<'a> {
    pub fn new(header: &'a str) -> Self {
        Self { rest: header }
    }

    /// The name of the next extension.
    pub fn extension(&mut self) -> Result<Option<&'a str>, Sentence> {
        // RFC 2616 §2.1, which RFC 6455 refers to: elements of a list may be empty.
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.token().map(Some)
    }

    /// The next parameter of the extension at hand.
    pub fn param(&mut self) -> Result<Option<Param<'a>>, Sentence> {
        if !self.skip(';') {
            return if self.rest.is_empty() || self.rest.starts_with(',') {
                Ok(None)
            } else {
                Err(self.malformed())
            };
        }
        let name = self.token()?;
        let value = self.skip('=').then(|| self.value()).transpose()?;
        Ok(Some(Param { name, value }))
    }

    fn value(&mut self) -> Result<Cow<'a, str>, Sentence> {
        if self.rest.starts_with('"') {
            self.quoted().map(Cow::Owned)
        } else {
            self.token().map(Cow::Borrowed)
        }
    }

    fn token(&mut self) -> Result<&'a str, Sentence> {
        let end = self
            .rest
            .find(|c| !is_token_char(c))
            .unwrap_or(self.rest.len());
        match self.rest.split_at_checked(end) {
            Some((token, rest)) if !token.is_empty() => {
                self.rest = rest;
                Ok(token)
            }
            _ => Err(self.malformed()),
        }
    }

    fn quoted(&mut self) -> Result<String, Sentence> {
        let mut value = String::new();
        let mut chars = self.rest.chars();
        chars.next();
        loop {
            match chars.next() {
                Some('"') => break,
                Some('\\') => value.extend(chars.next()),
                Some(c) => value.push(c),
                None => return Err(self.malformed()),
            }
        }
        // RFC 6455 §9.1: after unescaping, a quoted value is a token too.
        if !is_token(&value) {
            return Err(self.malformed());
        }
        self.rest = chars.as_str();
        Ok(value)
    }

    /// Skips `separator` and the white space around it; false if it does not come next.
    fn skip(&mut self, separator: char) -> bool {
        self.rest = self.rest.trim_start_matches(WHITE);
        let Some(rest) = self.rest.strip_prefix(separator) else {
            return false;
        };
        self.rest = rest.trim_start_matches(WHITE);
        true
    }

    fn malformed(&self) -> Sentence {
        if self.rest.is_empty() {
            return "extensions end in the middle of one".into();
        }
        format!(
            "extensions are malformed at {}",
            quote(self.rest.as_bytes())
        )
        .into()
    }
}

fn is_token_char(c: char) -> bool {
    is_token(c.encode_utf8(&mut [0; 4]))
}

const WHITE: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn read(header: &str) -> Result<String, Sentence> {
        let mut scanner = Scanner::new(header);
        let mut out = String::new();
        while let Some(name) = scanner.extension()? {
            out += &format!("[{name}]");
            while let Some(param) = scanner.param()? {
                out += &format!("{}:{};", param.name, param.value.as_deref().unwrap_or("-"));
            }
        }
        Ok(out)
    }

    #[test]
    fn lists_parameters_and_quoted_values_are_read() {
        for (header, expected) in [
            ("", ""),
            (" , ,\t,", ""),
            ("a", "[a]"),
            ("a,b", "[a][b]"),
            (" a ,, b ,", "[a][b]"),
            ("a;b", "[a]b:-;"),
            ("a ; b = c ; d", "[a]b:c;d:-;"),
            ("a;b=\"10\"", "[a]b:10;"),
            ("a;b=\"1\\0\" , c", "[a]b:10;[c]"),
            ("a;b=\"\\\"\",c", "error"),
            ("foo, bar; baz=2", "[foo][bar]baz:2;"),
            ("a\t;\tb\t=\tc\t,\td", "[a]b:c;[d]"),
        ] {
            assert_eq!(
                read(header).unwrap_or("error".into()),
                expected,
                "{header:?}"
            );
        }
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_an_error() {
        for header in [
            ";",
            "=",
            "\"a\"",
            "a;",
            "a;;b",
            "a;=b",
            "a;b=",
            "a;b=;c",
            "a;b=c d",
            "a b",
            "a=b",
            "a;b=\"",
            "a;b=\"c",
            "a;b=\"c\\",
            "a;b=\"\"",
            "a;b=\"c d\"",
            "a;b=\"c,d\"",
            "a;b=\"c\"d",
            "a/b",
            "a;b=\u{e4}",
            "\u{e4}",
            "a\0",
            "a\r\nb",
            "a;b=\"\u{e4}\"",
            "a;b=c=d",
            "(a)",
            "a;b={1}",
        ] {
            assert!(read(header).is_err(), "{header:?}");
        }
    }

    #[test]
    fn every_cut_of_a_header_ends_without_a_panic() {
        let header = "a ; b = \"\\1\\\u{e4}0\" ; c=\u{1f600} , d\t;e=\"f\",";
        for (cut, _) in header.char_indices() {
            let _ = read(&header[..cut]);
            let _ = read(&header[cut..]);
        }
    }

    #[test]
    fn hostile_headers_are_read_in_linear_time() {
        for unit in [
            ",",
            ", ",
            "a,",
            "a;b,",
            "a;b=\"c\",",
            "a;b=\"\\c\";",
            "a;b;",
            " ",
            "\"",
            "\\",
            ";",
            "=",
            "a",
        ] {
            let header = unit.repeat((128 << 10) / unit.len());
            for header in [
                header.clone(),
                format!("a;b=\"{header}"),
                format!("a;b{header}"),
            ] {
                let start = Instant::now();
                let _ = read(&header);
                // Quadratic work on 128 KiB takes minutes.
                assert!(start.elapsed() < Duration::from_secs(20), "{unit:?}");
            }
        }
    }

    #[test]
    fn a_sentence_quotes_no_more_than_it_can_bear() {
        let sentence = read(&format!("a {}", "\u{1f600}".repeat(10_000))).unwrap_err();
        assert!(sentence.len() < 200, "{sentence}");
    }
}
