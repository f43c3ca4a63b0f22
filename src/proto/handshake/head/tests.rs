use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    CONNECTION: keep-alive\r\nx:\t a b \t\r\nconnection:, Upgrade,,\r\nempty:\r\n\r\n";
const REQUEST: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: a\r\nset: a=1\r\nSet: b=\xe4\r\n\r\n";

fn read_in_pieces(mut reader: HeadReader, pieces: &[&[u8]]) -> Result<Option<Head>, HeadError> {
    for piece in pieces {
        let (consumed, head) = reader.receive(piece)?;
        assert!(consumed <= piece.len());
        if head.is_some() {
            return Ok(head);
        }
        assert_eq!(consumed, piece.len());
    }
    Ok(None)
}

fn response(bytes: &[u8]) -> Result<Option<Head>, HeadError> {
    read_in_pieces(HeadReader::of_responses(), &[bytes])
}

fn request(bytes: &[u8]) -> Result<Option<Head>, HeadError> {
    read_in_pieces(HeadReader::of_requests(), &[bytes])
}

#[test]
fn fields_are_found_in_any_letter_case_and_joined_over_lines() {
    let head = response(RESPONSE).unwrap().unwrap();
    assert_eq!(
        (head.status(), head.reason()),
        (101, &b"Switching Protocols"[..])
    );
    assert_eq!(head.version(), "HTTP/1.1");
    assert_eq!(head.field("upgrade").unwrap(), "websocket");
    assert_eq!(head.field("Connection").unwrap(), "keep-alive, , Upgrade,,");
    assert_eq!(head.field("X").unwrap(), "a b");
    assert_eq!(head.field("Empty").unwrap(), "");
    assert_eq!(head.field("Upgrad"), None);
    assert_eq!(head.field(""), None);
    assert_eq!(head.only_line("x"), Some(&b"a b"[..]));
    assert_eq!(head.only_line("connection"), None);
    assert_eq!(head.only_line("none"), None);
    assert!(
        head.tokens("Connection")
            .eq([&b"keep-alive"[..], b"Upgrade"])
    );
    assert!(head.has_token("connection", "upgrade"));
    assert!(!head.has_token("connection", "keep"));
    assert!(!head.has_token("empty", ""));
    assert_eq!(head.fields().count(), 5);

    let head = request(REQUEST).unwrap().unwrap();
    assert_eq!(
        (head.method(), head.target(), head.version()),
        ("GET", "/a?b", "HTTP/1.1")
    );
    assert_eq!(head.status(), 0);
    assert_eq!(head.field("SET").unwrap(), "a=1, b=\u{e4}");
    assert_eq!(format!("{head:?}"), r#"Head("GET /a?b HTTP/1.1")"#);
}

#[test]
fn a_value_that_is_not_utf_8_is_read_as_latin_1() {
    assert_eq!(text("\u{e4}".as_bytes()), "\u{e4}");
    assert_eq!(text(b"\xe4\xff"), "\u{e4}\u{ff}");
}

#[test]
fn a_head_may_come_in_any_pieces_and_what_follows_is_left() {
    for whole in [RESPONSE, REQUEST] {
        let reader = || {
            if whole == RESPONSE {
                HeadReader::of_responses()
            } else {
                HeadReader::of_requests()
            }
        };
        let expected = read_in_pieces(reader(), &[whole]).unwrap();
        assert!(expected.is_some());
        for at in 0..=whole.len() {
            let (a, b) = whole.split_at(at);
            assert_eq!(
                read_in_pieces(reader(), &[a, b]).unwrap(),
                expected,
                "cut at {at}"
            );
            assert_eq!(
                read_in_pieces(reader(), &[a]).unwrap().is_some(),
                at == whole.len()
            );
        }
        let bytes: Vec<_> = whole.chunks(1).collect();
        assert_eq!(read_in_pieces(reader(), &bytes).unwrap(), expected);
        let followed = [whole, &[0x81, 0, b'\n', b'\r']].concat();
        assert_eq!(
            reader().receive(&followed).unwrap(),
            (whole.len(), expected)
        );
    }
}

#[test]
fn the_heads_of_one_reader_follow_each_other() {
    let mut reader = HeadReader::of_responses();
    assert!(!reader.is_inside());
    let both = [b"HTTP/1.1 100 \r\n\r\n", RESPONSE].concat();
    let (first, head) = reader.receive(&both).unwrap();
    assert_eq!(head.unwrap().status(), 100);
    assert!(!reader.is_inside());
    assert!(
        reader
            .receive(&both[first..both.len() - 1])
            .unwrap()
            .1
            .is_none()
    );
    assert!(reader.is_inside());
    assert_eq!(reader.receive(b"\n").unwrap().1.unwrap().status(), 101);
}

#[test]
fn start_lines_are_strict() {
    for good in [
        "HTTP/1.1 101 Switching Protocols",
        "HTTP/1.1 101 ",
        "HTTP/1.1 101",
        "HTTP/1.0 999 a  b",
        "HTTP/1.1 200 \u{e4}",
    ] {
        assert!(
            response(format!("{good}\r\n\r\n").as_bytes())
                .unwrap()
                .is_some(),
            "{good:?}"
        );
    }
    for bad in [
        "",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1 10",
        "HTTP/1.1 0101",
        "HTTP/1.1 010 x",
        "HTTP/1.1 1O1 x",
        "HTTP/1.1 1010 x",
        "HTTP/1.1 101x",
        "HTTP/1.1  101 x",
        "HTTP/1.1\t101 x",
        "HTTP/1.1 +10 x",
        " HTTP/1.1 101 x",
        "HTTP/1.2 101 x",
        "HTTP/2 101 x",
        "HTTP/2.0 101 x",
        "http/1.1 101 x",
        "GET / HTTP/1.1",
        "SSH-2.0-x",
    ] {
        assert!(
            response(format!("{bad}\r\n\r\n").as_bytes()).is_err(),
            "{bad:?}"
        );
    }
    for good in ["GET / HTTP/1.1", "get * HTTP/9.9", "A http://a/?b HTTP/1.0"] {
        assert!(
            request(format!("{good}\r\n\r\n").as_bytes())
                .unwrap()
                .is_some(),
            "{good:?}"
        );
    }
    for bad in [
        "",
        "GET",
        "GET /",
        "GET / ",
        "GET  HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\u{e4} HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.10",
        "GET / HTTP/11.1",
        "GET / HTTP/a.b",
        "GET / http/1.1",
        "HTTP/1.1 101 x y",
    ] {
        assert!(
            request(format!("{bad}\r\n\r\n").as_bytes()).is_err(),
            "{bad:?}"
        );
    }
}

#[test]
fn malformed_lines_are_refused_with_a_sentence() {
    for (line, complaint) in [
        ("a b: c", "malformed line \"a b: c\""),
        (
            "Upgrade : websocket",
            "malformed line \"Upgrade : websocket\"",
        ),
        ("Upgrade\t: websocket", "malformed line"),
        ("Upgrade", "malformed line \"Upgrade\""),
        (": x", "malformed line \": x\""),
        ("\u{e4}: x", "malformed line"),
        ("a(b): x", "malformed line"),
        (" folded", "folded line"),
        ("\tfolded", "folded line"),
        ("a: b\rc: d", "CR without LF"),
        ("a: b\r", "CR without LF"),
        ("a: b\nc: d", "LF without CR"),
        ("\n", "LF without CR"),
        ("a: \0", "control character 0x00"),
        ("a\0: b", "control character 0x00"),
        ("a: \x1b", "control character 0x1b"),
        ("a: \x7f", "control character 0x7f"),
        ("a: \x0b", "control character 0x0b"),
    ] {
        let head = format!("HTTP/1.1 101 x\r\nx: y\r\n{line}\r\n\r\n");
        let sentence = response(head.as_bytes()).expect_err(line).to_string();
        assert!(sentence.contains(complaint), "{line:?}: {sentence}");
    }
}

#[test]
fn what_cannot_be_a_head_is_refused_before_its_end() {
    for bad in [
        &b"\x15\x03\x03"[..],
        b"HTTP/2",
        b"SSH-2.0",
        b"<html",
        b"HTTP/1.1 101 x\n",
    ] {
        assert!(response(bad).is_err(), "{bad:?}");
    }
    for bad in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET / HTTP/1.1\n",
        b"\n",
        b"\rG",
    ] {
        assert!(request(bad).is_err(), "{bad:?}");
    }
    for open in [&b""[..], b"H", b"HTTP/1.", b"HTTP/1.1 404"] {
        assert_eq!(response(open), Ok(None), "{open:?}");
    }
}

#[test]
fn a_head_has_at_most_the_limit_of_bytes_however_they_come() {
    let start = "HTTP/1.1 101 x\r\nx: ";
    let longest = MAX_HEAD - start.len() - "\r\n\r\n".len();
    for (len, fits) in [(longest, true), (longest + 1, false), (longest * 20, false)] {
        let head = format!("{start}{}\r\n\r\n", "y".repeat(len));
        for size in [head.len(), 1000, 1] {
            let pieces: Vec<_> = head.as_bytes().chunks(size).collect();
            let result = read_in_pieces(HeadReader::of_responses(), &pieces);
            match fits {
                true => assert!(result.unwrap().is_some()),
                false => assert_eq!(result, Err(HeadError::TooLong)),
            }
        }
    }
    let unended = format!("{start}{}", "y".repeat(MAX_HEAD - start.len()));
    assert_eq!(response(unended.as_bytes()), Err(HeadError::TooLong));
    let mut reader = HeadReader::of_responses();
    let endless = "HTTP/1.1 100 \r\n\r\n".repeat(MAX_HEAD);
    let mut rest = endless.as_bytes();
    let error = loop {
        match reader.receive(rest) {
            Ok((consumed, _)) => rest = &rest[consumed..],
            Err(error) => break error,
        }
    };
    assert_eq!(error, HeadError::TooLong);
    assert!(endless.len() - rest.len() <= MAX_HEAD);
}

#[test]
fn a_head_has_at_most_the_limit_of_fields() {
    for (fields, fits) in [(0, true), (MAX_FIELDS, true), (MAX_FIELDS + 1, false)] {
        let head = format!("HTTP/1.1 101 x\r\n{}\r\n", "a: b\r\n".repeat(fields));
        match response(head.as_bytes()) {
            Ok(head) => assert!(fits && head.unwrap().fields().count() == fields),
            Err(error) => assert!(!fits && error == HeadError::TooManyFields),
        }
    }
}

#[test]
fn damaged_heads_read_the_same_in_any_pieces_and_as_another_parser_reads_them() {
    const BYTES: &[u8] = b"\r\n\t :,\0\x7f\x80aH/1.?\"";
    let mut rng = StdRng::seed_from_u64(1);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut head = RESPONSE.to_vec();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..head.len());
            let byte = BYTES[rng.random_range(0..BYTES.len())];
            match rng.random_range(0..3) {
                0 => head[at] = byte,
                1 => head.insert(at, byte),
                _ => drop(head.remove(at)),
            }
        }
        let whole = response(&head);
        let (a, b) = head.split_at(rng.random_range(0..=head.len()));
        let cut = read_in_pieces(HeadReader::of_responses(), &[a, b]);
        match (&whole, &cut) {
            (Ok(whole), Ok(cut)) => assert_eq!(whole, cut, "{head:?}"),
            (Err(_), Err(_)) => {}
            _ => panic!("{head:?}: {whole:?}, but in pieces {cut:?}"),
        }
        if let Ok(Some(ours)) = whole {
            accepted += 1;
            let mut room = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut theirs = httparse::Response::new(&mut room);
            assert!(theirs.parse(&head).unwrap().is_complete());
            assert_eq!(theirs.code, Some(ours.status()));
            let theirs = theirs
                .headers
                .iter()
                .map(|it| (it.name.as_bytes(), it.value));
            assert!(ours.fields().eq(theirs), "{head:?}");
        }
    }
    assert!(accepted > 1000, "{accepted}");
}
