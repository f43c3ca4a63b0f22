//! The heads of the opening handshake, in both roles.

use std::mem::discriminant;

use tungstenite::handshake::derive_accept_key;

use super::input::Input;
use crate::error::Error;
use crate::proto::handshake::client::Accepted;
use crate::proto::handshake::{Client, Refusal, Request, Server, Upgrade};

/// What a server answers means the same however it is cut, and only a right answer is accepted.
/// `$` in the input stands for the accept key, which nobody can know before the request.
pub fn handshake_client(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let subprotocols = ["chat", "chat.v2"].map(str::to_owned);
    let request = Request {
        host: "localhost",
        target: "/",
        subprotocols: if input.has(0) { &subprotocols } else { &[] },
        extensions: input.has(1).then_some("permessage-deflate"),
        ..Request::default()
    };
    let whole = Answered::new(&request, input.uncut());
    let cut = Answered::new(&request, input);
    match (&whole.result, &cut.result) {
        (Ok(accepted), Ok(cut_accepted)) => {
            assert_eq!(whole.used, cut.used);
            assert_eq!(whole.agreed(accepted), cut.agreed(cut_accepted));
            match accepted {
                None => assert_eq!(whole.used, whole.response.len()),
                Some(accepted) => check_accepted(accepted, &whole, &request),
            }
        }
        (Err(error), Err(cut_error)) => {
            assert_eq!(discriminant(error), discriminant(cut_error));
            check_sentence(&error.to_string());
        }
        _ => panic!("{whole:?}, but {cut:?}"),
    }
}

/// What a client asks means the same however it is cut, and the answer is well-formed.
pub fn handshake_server(data: &[u8]) {
    let Some(input) = Input::parse(data) else {
        return;
    };
    let whole = ask(input.uncut());
    let cut = ask(input);
    match (&whole, &cut) {
        (Ok(None), Ok(None)) => {}
        (Ok(Some((used, upgrade))), Ok(Some((cut_used, cut_upgrade)))) => {
            assert_eq!(used, cut_used);
            assert_eq!(upgrade.target(), cut_upgrade.target());
            check_upgrade(upgrade);
        }
        (Err(refusal), Err(cut_refusal)) => {
            assert_eq!(refusal.status, cut_refusal.status);
            check_refusal(refusal);
        }
        _ => panic!("{whole:?}, but {cut:?}"),
    }
}

/// A client whose request was answered.
#[derive(Debug)]
struct Answered {
    accept_key: String,
    response: Vec<u8>,
    /// How many bytes of the response were taken.
    used: usize,
    result: Result<Option<Accepted>, Error>,
}

impl Answered {
    fn new(request: &Request<'_>, input: Input<'_>) -> Self {
        let (mut client, bytes) = Client::new(request).unwrap();
        let accept_key = derive_accept_key(key(&bytes));
        let mut response = Vec::new();
        for (i, piece) in input.bytes.split(|byte| *byte == b'$').enumerate() {
            if i > 0 {
                response.extend_from_slice(accept_key.as_bytes());
            }
            response.extend_from_slice(piece);
        }
        let mut used = 0;
        let mut result = Ok(None);
        for segment in input.segments(&response) {
            result = client.receive(segment).map(|(consumed, accepted)| {
                used += consumed;
                accepted
            });
            if !matches!(result, Ok(None)) {
                break;
            }
        }
        Self {
            accept_key,
            response,
            used,
            result,
        }
    }

    /// What was agreed on, without what differs from client to client.
    fn agreed(&self, accepted: &Option<Accepted>) -> Option<Accepted> {
        accepted.as_ref().map(|accepted| Accepted {
            extensions: accepted.extensions.replace(&self.accept_key, "$"),
            ..accepted.clone()
        })
    }
}

/// The value of the field with the key in our own request.
fn key(request: &[u8]) -> &[u8] {
    let request = str::from_utf8(request).unwrap();
    let (_, rest) = request.split_once("Sec-WebSocket-Key: ").unwrap();
    rest.split_once("\r\n").unwrap().0.as_bytes()
}

/// httparse reads the same heads, and the last one is as it has to be.
fn check_accepted(accepted: &Accepted, answered: &Answered, request: &Request<'_>) {
    let mut rest = &answered.response[..answered.used];
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut response = httparse::Response::new(&mut fields);
        let len = response.parse(rest).unwrap().unwrap();
        rest = &rest[len..];
        if response.code != Some(101) {
            continue;
        }
        assert!(rest.is_empty(), "the head ends elsewhere");
        let field = |name: &str| {
            let mut fields = response.headers.iter();
            let field = fields.find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| field.value.trim_ascii())
        };
        let accept_key = field("Sec-WebSocket-Accept").unwrap();
        assert_eq!(accept_key, answered.accept_key.as_bytes());
        let subprotocol = accepted.subprotocol.as_deref();
        assert_eq!(
            field("Sec-WebSocket-Protocol"),
            subprotocol.map(str::as_bytes)
        );
        let offered = request.subprotocols;
        let chosen = offered.iter().any(|it| Some(it.as_str()) == subprotocol);
        assert!(chosen || offered.is_empty());
        assert!(accepted.extensions.is_empty() || request.extensions.is_some());
        return;
    }
}

type Asked = Result<Option<(usize, Upgrade)>, Refusal>;

fn ask(input: Input<'_>) -> Asked {
    let mut server = Server::new();
    let mut used = 0;
    for segment in input.segments(input.bytes) {
        let (consumed, upgrade) = server.receive(segment)?;
        used += consumed;
        if let Some(upgrade) = upgrade {
            return Ok(Some((used, upgrade)));
        }
        assert_eq!(consumed, segment.len());
    }
    Ok(None)
}

fn check_upgrade(upgrade: &Upgrade) {
    let is_printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(upgrade.target().starts_with('/') && is_printable(&upgrade.target()));
    assert!(!upgrade.host().is_empty() && is_printable(&upgrade.host()));
    let supported = ["chat".to_owned()];
    let subprotocol = upgrade.choose_subprotocol(&supported);
    let offered = upgrade.subprotocols().any(|it| it == "chat");
    assert_eq!(subprotocol.is_some(), offered);

    let response = upgrade.accept(subprotocol, None, &[], None);
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Response::new(&mut fields);
    assert_eq!(parsed.parse(&response).unwrap().unwrap(), response.len());
    assert_eq!(parsed.code, Some(101));
}

fn check_refusal(refusal: &Refusal) {
    assert!(matches!(refusal.status, 400..600));
    check_sentence(&refusal.sentence);
    let response = refusal.response();
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut parsed = httparse::Response::new(&mut fields);
    let body = parsed.parse(&response).unwrap().unwrap();
    assert_eq!(parsed.code, Some(refusal.status));
    assert_eq!(&response[body..], refusal.sentence.as_bytes());
}

/// What the peer wrote must not command a terminal, nor forge a line of a log.
pub fn check_sentence(sentence: &str) {
    assert!(!sentence.contains(char::is_control), "{sentence:?}");
}
