use super::*;

const LOGIN: Option<(&[u8], &[u8])> = Some((b"user", b"pass"));
const TARGET: Target<'_> = Target::Domain("a.example", 443);

fn handshake(credentials: Option<(&[u8], &[u8])>) -> Handshake {
    Handshake::new(TARGET, credentials).unwrap().0
}

/// A handshake that waits for the reply.
fn requested() -> Handshake {
    let mut handshake = handshake(None);
    let (consumed, step) = handshake.receive(&[5, 0]).unwrap();
    assert_eq!((consumed, step), (2, Step::Send(handshake.request.clone())));
    handshake
}

/// All that the handshake sends, and how many bytes it takes, when the input comes in `pieces`.
fn run(handshake: &mut Handshake, pieces: &[&[u8]]) -> Result<(usize, Vec<Vec<u8>>, bool)> {
    let mut sent = Vec::new();
    let mut total = 0;
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (consumed, step) = handshake.receive(rest)?;
            total += consumed;
            rest = &rest[consumed..];
            match step {
                Step::More => assert!(rest.is_empty()),
                Step::Send(bytes) => sent.push(bytes),
                Step::Done => return Ok((total, sent, true)),
            }
        }
    }
    Ok((total, sent, false))
}

fn refusal(handshake: &mut Handshake, input: &[u8]) -> String {
    match handshake.receive(input) {
        Err(Error::Proxy(sentence)) => {
            assert_eq!(
                handshake.receive(&[0]),
                Err(Error::Proxy(sentence.clone())),
                "after a refusal there is nothing but it"
            );
            sentence.into_owned()
        }
        other => panic!("{input:?}: {other:?}"),
    }
}

#[test]
fn methods_are_offered_as_there_are_credentials() {
    let (_, greeting) = Handshake::new(TARGET, None).unwrap();
    assert_eq!(greeting, [5, 1, 0]);
    let (handshake, greeting) = Handshake::new(TARGET, LOGIN).unwrap();
    assert_eq!(greeting, [5, 2, 0, 2]);
    let debug = format!("{handshake:?}");
    assert!(!debug.contains("117"), "{debug} shows the credentials");
}

#[test]
fn the_request_names_the_target_by_its_type() {
    for (target, request) in [
        (
            Target::Ip("127.0.0.1:80".parse().unwrap()),
            &[5, 1, 0, 1, 127, 0, 0, 1, 0, 80][..],
        ),
        (
            Target::Ip("[::1]:443".parse().unwrap()),
            &[
                5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 187,
            ],
        ),
        (
            Target::Domain("ab.c", 9001),
            b"\x05\x01\x00\x03\x04ab.c\x23\x29",
        ),
    ] {
        let (mut handshake, _) = Handshake::new(target, None).unwrap();
        let step = Step::Send(request.to_vec());
        assert_eq!(handshake.receive(&[5, 0]), Ok((2, step)), "{target}");
    }
}

#[test]
fn every_bound_address_ends_the_handshake_wherever_it_is_cut() {
    for bound in [
        &[1, 127, 0, 0, 1][..],
        &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[3, 0],
        b"\x03\x07proxy.x",
        &[&[3, 255][..], &[b'x'; 255]].concat(),
    ] {
        let reply = [&[5, 0, 0][..], bound, &[0, 80]].concat();
        for (credentials, answers) in [
            (None, &[5, 0][..]),
            (LOGIN, &[5, 0]),
            (LOGIN, &[5, 2, 1, 0]),
        ] {
            let sent = [answers, &reply, b"\x05\x01 of the server"].concat();
            let len = answers.len() + reply.len();
            let login = b"\x01\x04user\x04pass".to_vec();
            let request = b"\x05\x01\x00\x03\x09a.example\x01\xbb".to_vec();
            let expected = match answers.len() {
                2 => vec![request],
                _ => vec![login, request],
            };
            for cut in 0..=sent.len() {
                let (front, back) = sent.split_at(cut);
                let mut handshake = handshake(credentials);
                let done = run(&mut handshake, &[front, back]);
                assert_eq!(done, Ok((len, expected.clone(), true)), "cut at {cut}");
                assert_eq!(handshake.receive(b"more"), Ok((0, Step::Done)));
            }
            let bytes: Vec<&[u8]> = sent.chunks(1).collect();
            let done = run(&mut handshake(credentials), &bytes);
            assert_eq!(done, Ok((len, expected, true)));
        }
    }
}

#[test]
fn every_reply_code_has_its_sentence() {
    for (code, why) in [
        (1, "general failure (SOCKS reply 0x01)"),
        (2, "its rules forbid it (SOCKS reply 0x02)"),
        (3, "network unreachable (SOCKS reply 0x03)"),
        (4, "host unreachable (SOCKS reply 0x04)"),
        (5, "connection refused (SOCKS reply 0x05)"),
        (6, "TTL expired (SOCKS reply 0x06)"),
        (7, "it does not know CONNECT (SOCKS reply 0x07)"),
        (
            8,
            "it does not know this type of address (SOCKS reply 0x08)",
        ),
        (9, "unknown reason (SOCKS reply 0x09)"),
        (255, "unknown reason (SOCKS reply 0xff)"),
    ] {
        let sentence = format!("the proxy cannot connect to a.example:443: {why}");
        assert_eq!(refusal(&mut requested(), &[5, code]), sentence);
        let whole = [5, code, 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(refusal(&mut requested(), &whole), sentence);
    }
    for code in 1..=255 {
        refusal(&mut requested(), &[5, code]);
    }
    let address = Target::Ip("[::1]:80".parse().unwrap());
    let (mut handshake, _) = Handshake::new(address, None).unwrap();
    handshake.receive(&[5, 0]).unwrap();
    let sentence = refusal(&mut handshake, &[5, 4]);
    assert!(sentence.contains("connect to [::1]:80: "), "{sentence}");
}

#[test]
fn every_method_but_those_offered_is_refused() {
    for method in 1..=255 {
        let sentence = refusal(&mut handshake(None), &[5, method]);
        let is_wanted = sentence.contains("wants credentials");
        assert_eq!(is_wanted, method == 0xff, "{sentence}");
        if method != 2 {
            refusal(&mut handshake(LOGIN), &[5, method]);
        }
    }
    let neither = refusal(&mut handshake(LOGIN), &[5, 0xff]);
    assert!(neither.contains("neither user and password"), "{neither}");
    let other = refusal(&mut handshake(LOGIN), &[5, 1]);
    assert!(other.contains("authentication 0x01"), "{other}");
}

#[test]
fn every_status_but_zero_refuses_the_credentials() {
    for status in 1..=255 {
        let mut handshake = handshake(LOGIN);
        handshake.receive(&[5, 2]).unwrap();
        let sentence = refusal(&mut handshake, &[1, status]);
        assert!(sentence.contains("refused the credentials"), "{sentence}");
    }
}

#[test]
fn a_wrong_version_is_refused_at_its_byte() {
    for version in (0..=255).filter(|version| *version != 5) {
        for mut handshake in [handshake(None), requested()] {
            let sentence = refusal(&mut handshake, &[version]);
            assert!(sentence.contains("instead of SOCKS5"), "{sentence}");
        }
    }
    for version in (0..=255).filter(|version| *version != 1) {
        let mut handshake = handshake(LOGIN);
        handshake.receive(&[5, 2]).unwrap();
        let sentence = refusal(&mut handshake, &[version]);
        assert!(sentence.contains("instead of 0x01"), "{sentence}");
    }
}

#[test]
fn a_reply_with_a_wrong_field_is_refused_at_its_byte() {
    for byte in 1..=255 {
        let sentence = refusal(&mut requested(), &[5, 0, byte]);
        assert!(sentence.contains("0x00"), "{sentence}");
    }
    for kind in (0..=255).filter(|kind| ![1, 3, 4].contains(kind)) {
        let sentence = refusal(&mut requested(), &[5, 0, 0, kind]);
        assert!(sentence.contains("unknown type"), "{sentence}");
    }
}

#[test]
fn what_does_not_fit_into_its_length_byte_is_refused_at_once() {
    let name = "n".repeat(256);
    let long = [b'x'; 256];
    for (target, credentials, complaint) in [
        (Target::Domain(&name, 1), None, "host name of 256 bytes"),
        (Target::Domain("", 1), None, "host name of 0 bytes"),
        (
            TARGET,
            Some((&long[..], &b""[..])),
            "user name of 256 bytes",
        ),
        (TARGET, Some((b"", &long)), "password of 256 bytes"),
    ] {
        let error = Handshake::new(target, credentials).unwrap_err();
        assert!(matches!(error, Error::Proxy(_)), "{error:?}");
        let sentence = error.to_string();
        assert!(sentence.contains(complaint), "{sentence}");
        assert!(!sentence.contains("xx"), "{sentence}");
    }
    let longest = Some((&long[1..], &long[1..]));
    let (mut handshake, _) = Handshake::new(Target::Domain(&name[1..], 1), longest).unwrap();
    let (_, Step::Send(login)) = handshake.receive(&[5, 2]).unwrap() else {
        panic!("no credentials are sent");
    };
    assert_eq!(login.len(), 3 + 255 + 255);
    let (_, Step::Send(request)) = handshake.receive(&[1, 0]).unwrap() else {
        panic!("no request is sent");
    };
    assert_eq!(request.len(), 5 + 255 + 2);
}

#[test]
fn the_end_of_the_stream_says_how_far_the_handshake_came() {
    for (received, when) in [
        (&[][..], "before it chose a method"),
        (&[5], "inside a SOCKS message"),
        (&[5, 2], "instead of accepting the credentials"),
        (&[5, 2, 1], "inside a SOCKS message"),
        (&[5, 2, 1, 0], "before it answered the request"),
        (&[5, 2, 1, 0, 5, 0, 0, 3, 9], "inside a SOCKS message"),
    ] {
        let mut handshake = handshake(LOGIN);
        run(&mut handshake, &[received]).unwrap();
        let error = handshake.receive_eof();
        assert!(matches!(error, Error::Proxy(_)), "{error:?}");
        let sentence = error.to_string();
        assert!(sentence.contains(when), "{sentence}");
        assert!(sentence.ends_with("to a.example:443"), "{sentence}");
    }
}
