use super::*;
use crate::proto::handshake::{MAX_FIELDS, MAX_HEAD};

fn tunnel() -> Tunnel {
    Tunnel::new("a.example:443", None).0
}

/// Gives the pieces one after the other, until the tunnel is there.
fn receive(tunnel: &mut Tunnel, pieces: &[&[u8]]) -> Result<(usize, bool)> {
    let mut total = 0;
    for piece in pieces {
        let (consumed, is_done) = tunnel.receive(piece)?;
        total += consumed;
        if is_done {
            return Ok((total, true));
        }
        assert_eq!(consumed, piece.len());
    }
    Ok((total, false))
}

fn refusal(answer: &[u8]) -> String {
    match tunnel().receive(answer) {
        Err(Error::Proxy(sentence)) => sentence.into_owned(),
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(answer)),
    }
}

#[test]
fn the_request_has_the_authority_twice_and_nothing_that_is_not_needed() {
    let (_, request) = Tunnel::new("[::1]:80", None);
    assert_eq!(
        request,
        b"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"
    );
    let (tunnel, request) = Tunnel::new("a.example:443", Some("Basic dTpw"));
    let text = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\
                Proxy-Authorization: Basic dTpw\r\n\r\n";
    assert_eq!(String::from_utf8(request).unwrap(), text);
    assert!(!format!("{tunnel:?}").contains("dTpw"));
}

#[test]
fn every_2xx_opens_the_tunnel_and_ends_with_its_head_wherever_it_is_cut() {
    for head in [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200 OK\r\nVia: x\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 200 \r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 299 x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 \r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let sent = [head.as_bytes(), b"\x16\x03\x01 of the server\r\n\r\n"].concat();
        for cut in 0..=sent.len() {
            let mut tunnel = tunnel();
            let (front, back) = sent.split_at(cut);
            let done = receive(&mut tunnel, &[front, back]);
            assert_eq!(done, Ok((head.len(), true)), "{head:?} cut at {cut}");
            assert!(matches!(tunnel.status(), Some(200..=299)));
            assert_eq!(tunnel.receive(b"more"), Ok((0, true)));
        }
        let mut tunnel = tunnel();
        let bytes: Vec<&[u8]> = sent.chunks(1).collect();
        assert_eq!(receive(&mut tunnel, &bytes), Ok((head.len(), true)));
    }
}

#[test]
fn every_other_status_is_a_refusal_that_says_what_was_answered() {
    for (answer, sentence) in [
        (
            "407 Proxy Authentication Required",
            "the proxy wants credentials: 407 Proxy Authentication Required",
        ),
        (
            "403 Forbidden",
            "the proxy refused a tunnel to a.example:443: 403 Forbidden",
        ),
        ("502 ", "the proxy refused a tunnel to a.example:443: 502"),
        ("302", "the proxy refused a tunnel to a.example:443: 302"),
        (
            "101 Switching Protocols",
            "the proxy refused a tunnel to a.example:443: 101 Switching Protocols",
        ),
        (
            "999 \u{1f4a5}",
            "the proxy refused a tunnel to a.example:443: 999 \u{1f4a5}",
        ),
    ] {
        let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(refusal(head.as_bytes()), sentence);
        for cut in 0..head.len() {
            let (front, back) = head.as_bytes().split_at(cut);
            let mut tunnel = tunnel();
            assert_eq!(tunnel.receive(front), Ok((cut, false)), "{head:?}");
            assert_eq!(tunnel.status(), None);
            let error = tunnel.receive(back).unwrap_err();
            assert_eq!(error, Error::Proxy(sentence.into()));
            assert_eq!(tunnel.status(), answer[..3].parse().ok());
            assert_eq!(tunnel.receive(b"HTTP/1.1 200\r\n\r\n"), Err(error));
        }
    }
}

#[test]
fn credentials_that_were_sent_are_refused_and_not_wanted() {
    let (mut tunnel, _) = Tunnel::new("a:1", Some("Basic dTpw"));
    let answer = b"HTTP/1.1 407 Authenticate\r\nProxy-Authenticate: Basic realm=x\r\n\r\n";
    let sentence = "the proxy refused the credentials: 407 Authenticate";
    assert_eq!(tunnel.receive(answer), Err(Error::Proxy(sentence.into())));
    assert_eq!(tunnel.status(), Some(407));
}

#[test]
fn a_reason_phrase_is_printable_and_short() {
    let sentence = refusal(b"HTTP/1.1 500 a\xc2\x9bb\xff\tc\r\n\r\n");
    assert!(sentence.ends_with(": 500 a\u{c2}b\u{ff}c"), "{sentence:?}");
    let long = format!("HTTP/1.1 500 {}\r\n\r\n", "x".repeat(10_000));
    assert!(refusal(long.as_bytes()).len() < 200);
}

#[test]
fn what_is_no_answer_is_refused_as_soon_as_it_shows() {
    for (bytes, complaint) in [
        (&b"\x05\xff"[..], "control character"),
        (b"SSH-2.0-x", "no HTTP/1.1"),
        (b"HTTP/2 200\r\n", "no HTTP/1.1"),
        (b"\r\n", "no HTTP/1.1"),
        (b"HTTP/1.1 200 OK\n", "LF without CR"),
        (b"HTTP/1.1 200 OK\rx", "CR without LF"),
        (b"HTTP/1.1 200 OK\r\n folded", "folded"),
        (b"HTTP/1.1 200 OK\r\nx: \0", "control character"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "malformed first line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "malformed first line"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed line"),
    ] {
        let sentence = refusal(bytes);
        assert!(sentence.starts_with("the proxy's response "), "{sentence}");
        assert!(sentence.contains(complaint), "{sentence}");
        let mut tunnel = tunnel();
        let drip: Vec<&[u8]> = bytes.chunks(1).collect();
        assert!(matches!(receive(&mut tunnel, &drip), Err(Error::Proxy(_))));
    }
}

#[test]
fn heads_are_limited_together_in_bytes_and_each_in_fields() {
    let mut drip = tunnel();
    let byte_by_byte = b"HTTP/1.1 200 OK\r\nx: "
        .iter()
        .chain(std::iter::repeat(&b'y'));
    let mut count = 0;
    let error = byte_by_byte
        .map(|byte| drip.receive(&[*byte]).inspect(|_| count += 1))
        .find_map(Result::err)
        .unwrap();
    assert!(error.to_string().contains("over the limit of 16384 bytes"));
    assert_eq!(count, MAX_HEAD - 1);

    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_HEAD);
    assert!(refusal(interim.as_bytes()).contains("over the limit of 16384 bytes"));

    let fields = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(count));
    let most = fields(MAX_FIELDS);
    assert_eq!(tunnel().receive(most.as_bytes()), Ok((most.len(), true)));
    assert!(refusal(fields(MAX_FIELDS + 1).as_bytes()).contains("limit of 100 fields"));
}

#[test]
fn the_end_of_the_stream_says_how_far_the_answer_came() {
    for (received, when) in [
        (&b""[..], "before it answered"),
        (b"HTTP/1.1 2", "inside the head of its answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "before it answered"),
    ] {
        let mut tunnel = tunnel();
        tunnel.receive(received).unwrap();
        let sentence = format!("the proxy ended the connection {when} to CONNECT a.example:443");
        assert_eq!(tunnel.receive_eof(), Error::Proxy(sentence.into()));
    }
}
