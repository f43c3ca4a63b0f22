//! Proxies: how they are written, and what they answer.

use super::handshake::check_sentence;
use super::input::Input;
use crate::error::Error;
use crate::net::Url;
use crate::net::proxy::{Environment, Proxy};
use crate::proto::proxy::{Step, Target, Tunnel, socks5};

/// What an HTTP proxy answers means the same however it is cut, and only a 2xx opens the tunnel.
pub fn proxy_connect(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let (whole, cut) = (connect(input.uncut()), connect(input));
    assert_eq!(whole.status, cut.status);
    match (&whole.result, &cut.result) {
        (Ok(is_done), Ok(cut_is_done)) => {
            assert_eq!((is_done, whole.used), (cut_is_done, cut.used));
            if *is_done {
                check_tunnel(&input.bytes[..whole.used], whole.status);
            } else {
                assert_eq!((whole.used, whole.status), (input.bytes.len(), None));
            }
        }
        (Err(error), Err(cut_error)) => {
            assert!(!matches!(whole.status, Some(200..=299)));
            for error in [error, cut_error] {
                assert!(matches!(error, Error::Proxy(_)), "{error:?}");
                check_sentence(&error.to_string());
                assert!(error.to_string().len() < 500, "{error}");
            }
        }
        _ => panic!("{:?}, but {:?}", whole.result, cut.result),
    }
}

/// What a SOCKS5 proxy answers means the same however it is cut, and the handshake ends where a
/// simpler parser of the whole says.
pub fn proxy_socks5(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let whole = socks5(input.uncut());
    assert_eq!(whole, socks5(input));
    let end = socks5_end(input.bytes, input.has(0));
    match whole {
        Ok((used, sent, is_done)) => {
            assert_eq!(is_done.then_some(used), end);
            assert!(is_done || used == input.bytes.len());
            assert!(sent.len() <= if input.has(0) { 2 } else { 1 });
        }
        Err(error) => {
            assert!(matches!(error, Error::Proxy(_)), "{error:?}");
            assert_eq!(end, None);
            check_sentence(&error.to_string());
        }
    }
}

/// A proxy is the same when it is parsed again, the environment gives it to the URLs that it is
/// for, and its credentials are in no text. The input has a line each of proxy, no_proxy and URL;
/// `$` in the first stands for credentials.
pub fn proxy_url(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if text.contains(SECRET) {
        return;
    }
    let mut lines = text.splitn(3, '\n');
    let value = lines
        .next()
        .unwrap_or("")
        .replace('$', &format!("user:{SECRET}@"));
    let no_proxy = lines.next().unwrap_or("");
    let parsed = Proxy::parse(&value);
    match &parsed {
        Ok(proxy) => check_proxy(proxy),
        Err(error) => check_secrecy(&error.to_string()),
    }
    let Ok(url) = Url::parse(lines.next().unwrap_or("wss://a.example/")) else {
        return;
    };
    let environment = Environment::from_lookup(|name| match name {
        "all_proxy" => Some(value.clone()),
        "no_proxy" => Some(no_proxy.to_owned()),
        _ => None,
    });
    check_secrecy(&format!("{environment:?}"));
    match environment.proxy_for(&url) {
        Ok(None) => {}
        Ok(proxy) => assert_eq!(proxy, parsed.ok()),
        Err(error) => {
            assert!(parsed.is_err());
            check_secrecy(&error.to_string());
        }
    }
}

struct Connected {
    used: usize,
    status: Option<u16>,
    /// Whether the tunnel is there.
    result: Result<bool, Error>,
}

fn connect(input: Input<'_>) -> Connected {
    let credentials = input.has(0).then_some("Basic dTpw");
    let (mut tunnel, _) = Tunnel::new("a.example:443", credentials);
    let mut used = 0;
    let mut result = Ok(false);
    for segment in input.segments(input.bytes) {
        result = tunnel.receive(segment).map(|(consumed, is_done)| {
            used += consumed;
            is_done
        });
        if result != Ok(false) {
            break;
        }
    }
    Connected {
        used,
        status: tunnel.status(),
        result,
    }
}

/// httparse reads the same heads, and the last one alone is the answer.
fn check_tunnel(mut heads: &[u8], status: Option<u16>) {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut response = httparse::Response::new(&mut fields);
        let len = response.parse(heads).unwrap().unwrap();
        heads = &heads[len..];
        match response.code.unwrap() {
            code @ 200..=299 => {
                assert_eq!(Some(code), status);
                assert!(heads.is_empty(), "the head ends elsewhere");
                return;
            }
            code => assert!((100..200).contains(&code) && code != 101),
        }
    }
}

type Greeted = Result<(usize, Vec<Vec<u8>>, bool), Error>;

fn socks5(input: Input<'_>) -> Greeted {
    let login: Option<(&[u8], &[u8])> = input.has(0).then_some((b"user", b"pass"));
    let target = if input.has(1) {
        Target::Domain("a.example", 443)
    } else {
        Target::Ip(([127, 0, 0, 1], 80).into())
    };
    let (mut handshake, _) = socks5::Handshake::new(target, login)?;
    let mut sent = Vec::new();
    let mut used = 0;
    for mut segment in input.segments(input.bytes) {
        while !segment.is_empty() {
            let (consumed, step) = handshake.receive(segment)?;
            used += consumed;
            segment = &segment[consumed..];
            match step {
                Step::More => assert!(segment.is_empty()),
                Step::Send(bytes) => sent.push(bytes),
                Step::Done => return Ok((used, sent, true)),
            }
        }
    }
    Ok((used, sent, false))
}

/// How long the proxy's side of a handshake is that succeeds.
fn socks5_end(bytes: &[u8], has_login: bool) -> Option<usize> {
    let reply = match bytes {
        [5, 0, reply @ ..] => reply,
        [5, 2, 1, 0, reply @ ..] if has_login => reply,
        _ => return None,
    };
    let len = match reply {
        [5, 0, 0, 1, ..] => 4 + 4 + 2,
        [5, 0, 0, 3, len, ..] => 4 + 1 + usize::from(*len) + 2,
        [5, 0, 0, 4, ..] => 4 + 16 + 2,
        _ => return None,
    };
    (reply.len() >= len).then_some(bytes.len() - reply.len() + len)
}

fn check_proxy(proxy: &Proxy) {
    let text = proxy.to_string();
    check_secrecy(&text);
    check_secrecy(&format!(
        "{proxy:?} {} {:?}",
        proxy.authority(),
        proxy.host()
    ));
    let again = Proxy::parse(&text).unwrap();
    assert_eq!(again.to_string(), text);
    assert_eq!((again.basic_auth(), again.login()), (None, None));
    assert_eq!(
        (again.to_string(), again.host(), again.port()),
        (proxy.to_string(), proxy.host(), proxy.port())
    );
    let basic = proxy.basic_auth().unwrap_or("Basic ");
    assert!(basic.starts_with("Basic ") && !basic.contains(char::is_control));
    if let Some(login) = proxy.login() {
        socks5::Handshake::new(Target::Domain("a", 80), Some(login)).unwrap();
    }
}

/// What people are shown has no credentials, nor what commands a terminal.
fn check_secrecy(sentence: &str) {
    check_sentence(sentence);
    assert!(!sentence.contains(SECRET), "{sentence}");
}

/// In upper case, so that no host is equal to it.
const SECRET: &str = "S3CRET";
