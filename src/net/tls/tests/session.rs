//! Sessions with peers that keep the rules.

use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};

use super::ends::{
    CASES, Ends, Ours, Role, Theirs, Version, count_records, noise, our_client, our_server,
    our_trusting_client, their_server,
};
use super::pair::{Authority, trusting};
use crate::net::tls::{Ending, Fault, explain};

#[test]
fn records_may_be_cut_anywhere() {
    for (role, version) in CASES {
        for pieces in [1, 2, 3, 5, 7, 64, 1460, usize::MAX] {
            let mut ends = Ends::new(role, version);
            ends.talk_in(pieces);
            assert!(ends.ours.layer.is_established(), "{role:?} {pieces}");
            for len in [1, 700, 16_384, 40_000] {
                let data = noise(len);
                let records = ends.theirs.say(&data);
                ends.ours.give_in(pieces, &records);
                ends.ours.expect(&data);
                let records = ends.ours.say(&data);
                ends.theirs.give(&records).unwrap();
                ends.theirs.expect(&data);
            }
            assert_eq!((ends.ours.kept(), ends.ours.ending.clone()), (0, None));
        }
    }
}

#[test]
fn payloads_of_every_size_arrive() {
    const SIZES: [usize; 12] = [
        1,
        2,
        255,
        256,
        16_383,
        16_384,
        16_385,
        32_768,
        65_535,
        131_072,
        131_089,
        1 << 20,
    ];
    for (role, version) in CASES {
        let mut ends = Ends::new(role, version).established();
        for size in SIZES {
            let data = noise(size);
            let records = ends.ours.say(&data);
            assert_eq!(count_records(&records), size.div_ceil(16_384));
            ends.theirs.give(&records).unwrap();
            ends.theirs.expect(&data);
            let records = ends.theirs.say(&data);
            ends.ours.give(&records);
            ends.ours.expect(&data);
        }
    }
}

#[test]
fn nothing_is_said_before_the_handshake_is_over() {
    for (role, version) in CASES {
        let mut ends = Ends::new(role, version);
        let (mut bytes, mut spare) = Default::default();
        crate::proto::Buffer::append(&mut bytes, b"early").unwrap();
        ends.ours.layer.seal(&mut bytes, &mut spare).unwrap_err();
        ends.ours.layer.close();
        ends.talk();
        let records = ends.ours.say(b"now");
        ends.theirs.give(&records).unwrap();
        ends.theirs.expect(b"now");
    }
}

#[test]
fn data_may_be_sent_in_the_middle_of_a_ticket_that_is_cut_into_records() {
    for pieces in [1, 2, 11, 33] {
        let mut ends = Ends::with_server(&TLS13, |config| config.max_fragment_size = Some(32));
        // All but the tickets, which follow the client's last message.
        while ends.theirs.connection.is_handshaking() {
            let said = ends.ours.take();
            ends.theirs.give(&said).unwrap();
            if ends.theirs.connection.is_handshaking() {
                let answer = ends.theirs.take();
                ends.ours.give(&answer);
            }
        }
        let tickets = ends.theirs.take();
        assert!(count_records(&tickets) > 4, "the tickets are cut");
        let mut sent = Vec::new();
        for (number, piece) in tickets.chunks(pieces).enumerate() {
            ends.ours.give(piece);
            let data = number.to_be_bytes();
            let records = ends.ours.say(&data);
            ends.theirs.give(&records).unwrap();
            sent.extend(data);
        }
        ends.theirs.expect(&sent);
        let records = ends.theirs.say(b"after the tickets");
        ends.ours.give(&records);
        ends.ours.expect(b"after the tickets");
        assert_eq!(ends.ours.ending, None);
    }
}

#[test]
fn a_key_update_is_answered_in_front_of_the_next_data() {
    for role in [Role::Client, Role::Server] {
        let mut ends = Ends::new(role, &TLS13).established();
        for round in 0..50u8 {
            ends.theirs.connection.refresh_traffic_keys().unwrap();
            let records = ends.theirs.say(&[round]);
            ends.ours.give(&records);
            ends.ours.expect(&[round]);
            assert!(ends.ours.take().is_empty(), "it can wait");
            let records = ends.ours.say(b"data");
            assert_eq!(count_records(&records), 2);
            ends.theirs.give(&records).unwrap();
            ends.theirs.expect(b"data");
            let records = ends.ours.say(b"more");
            assert_eq!(count_records(&records), 1);
            ends.theirs.give(&records).unwrap();
            ends.theirs.expect(b"more");
        }
    }
}

#[test]
fn a_key_update_that_was_not_answered_goes_out_with_close_notify() {
    for role in [Role::Client, Role::Server] {
        let mut ends = Ends::new(role, &TLS13).established();
        ends.theirs.connection.refresh_traffic_keys().unwrap();
        let records = ends.theirs.take();
        ends.ours.give(&records);
        let records = ends.ours.close();
        assert_eq!(count_records(&records), 2);
        ends.theirs.give(&records).unwrap();
        let state = ends.theirs.connection.process_new_packets().unwrap();
        assert!(state.peer_has_closed());
    }
}

#[test]
fn the_end_of_one_direction_leaves_the_other() {
    for (role, version) in CASES {
        let mut ends = Ends::new(role, version).established();
        let mut records = ends.ours.say(b"the last");
        records.extend(ends.ours.close());
        assert!(ends.ours.close().is_empty(), "it is told once");
        assert!(ends.ours.say(b"nothing more").is_empty());
        ends.theirs.give(&records).unwrap();
        ends.theirs.expect(b"the last");
        let state = ends.theirs.connection.process_new_packets().unwrap();
        assert!(state.peer_has_closed());
        let records = ends.theirs.say(b"still here");
        ends.ours.give(&records);
        ends.ours.expect(b"still here");
        let records = ends.theirs.close();
        ends.ours.give(&records);
        assert_eq!(ends.ours.ending, Some(Ending::CloseNotify));
    }
}

#[test]
fn what_follows_close_notify_is_not_looked_at() {
    for (role, version) in CASES {
        for pieces in [1, 9, usize::MAX] {
            let mut ends = Ends::new(role, version).established();
            let mut records = ends.theirs.say(b"before");
            records.extend(ends.theirs.close());
            records.extend(b"\x17\x03\x03\x00\x05noise, which would be a violation");
            ends.ours.give_in(pieces, &records);
            ends.ours.expect(b"before");
            assert_eq!(ends.ours.ending, Some(Ending::CloseNotify));
            assert_eq!(ends.ours.kept(), 0);
            let records = ends.ours.say(b"an answer");
            ends.theirs.give(&records).unwrap();
            ends.theirs.expect(b"an answer");
            let records = ends.ours.close();
            ends.theirs.give(&records).unwrap();
            assert!(ends.ours.say(b"nothing more").is_empty());
        }
    }
}

#[test]
fn a_changed_byte_ends_the_connection_with_an_alert() {
    for (role, version) in CASES {
        let len = Ends::new(role, version)
            .established()
            .theirs
            .say(b"data")
            .len();
        for place in (5..len).step_by(3) {
            let mut ends = Ends::new(role, version).established();
            let mut records = ends.theirs.say(b"good");
            let mut bad = ends.theirs.say(b"data");
            bad[place] ^= 1;
            records.extend(bad);
            let good = ends.theirs.say(b"never to be seen");
            ends.ours.give(&records);
            ends.ours.expect(b"good");
            let error = ends.ours.expect_failure();
            assert_eq!(error, rustls::Error::DecryptError);
            assert_eq!(Fault::of(&error), Fault::Violation);
            ends.ours.give(&good);
            ends.ours.expect(b"");
            let alert = ends.ours.take();
            assert_eq!(count_records(&alert), 1);
            let received = ends.theirs.give(&alert).unwrap_err();
            let expected = AlertDescription::BadRecordMac;
            assert_eq!(received, rustls::Error::AlertReceived(expected));
            assert!(ends.ours.say(b"nothing more").is_empty());
            assert!(ends.ours.close().is_empty());
        }
    }
}

#[test]
fn a_server_that_is_not_trusted_is_told_why() {
    for version in [&TLS13, &TLS12] {
        let mut ends = Ends::with_server(version, |_| {});
        ends.ours = Ours::new(our_client(&trusting(&Authority::new("two"))));
        let said = ends.ours.take();
        ends.theirs.give(&said).unwrap();
        let answer = ends.theirs.take();
        ends.ours.give_in(7, &answer);
        let fault = Fault::of(&ends.ours.expect_failure());
        assert_eq!(fault, Fault::UnknownIssuer);
        let alert = ends.ours.take();
        let received = ends.theirs.give(&alert).unwrap_err();
        let expected = AlertDescription::UnknownCA;
        assert_eq!(received, rustls::Error::AlertReceived(expected));
    }
}

#[test]
fn a_received_alert_ends_the_connection_without_one() {
    for (role, version) in CASES {
        let mut ends = Ends::new(role, version).established();
        ends.theirs
            .give(b"\x17\x03\x03\x00\x14twenty bytes of nil.")
            .unwrap_err();
        let alert = ends.theirs.take();
        ends.ours.give(&alert);
        let error = ends.ours.expect_failure();
        let sentence = explain(&error, "a.example").to_string();
        assert_eq!(
            sentence,
            "alert received: bad_record_mac (20) from a.example"
        );
        assert!(ends.ours.take().is_empty());
    }
}

#[test]
fn tls_inside_of_tls_may_be_cut_anywhere() {
    for version in [&TLS13, &TLS12] {
        for pieces in [1, 3, 97, 1460, usize::MAX] {
            let mut tunnel = Tunnel::new(version, pieces);
            for len in [1, 16_384, 40_000, 1 << 20] {
                let len = if pieces < 10 { len.min(20_000) } else { len };
                let data = noise(len);
                let records = tunnel.ours.say(&data);
                tunnel.hear(&records);
                tunnel.inner.expect(&data);
                let records = tunnel.inner.say(&data);
                let records = tunnel.outer.say(&records);
                tunnel.ours.give_in(pieces, &records);
                tunnel.ours.expect(&data);
            }
        }
    }
}

#[test]
fn the_end_of_the_outer_tls_is_the_end_of_the_inner() {
    let mut tunnel = Tunnel::new(&TLS13, usize::MAX);
    let records = tunnel.inner.say(b"the last");
    let mut records = tunnel.outer.say(&records);
    records.extend(tunnel.outer.close());
    tunnel.ours.give(&records);
    tunnel.ours.expect(b"the last");
    assert_eq!(tunnel.ours.ending, Some(Ending::CloseNotify));
}

#[test]
fn a_failure_of_the_inner_tls_is_told_through_the_outer() {
    let mut tunnel = Tunnel::new(&TLS13, usize::MAX);
    let mut bad = tunnel.inner.say(b"data");
    bad[9] ^= 1;
    let records = tunnel.outer.say(&bad);
    tunnel.ours.give(&records);
    assert_eq!(tunnel.ours.expect_failure(), rustls::Error::DecryptError);
    let alert = tunnel.ours.take();
    tunnel.outer.give(&alert).unwrap();
    let error = tunnel.inner.give(&tunnel.outer.received).unwrap_err();
    let expected = AlertDescription::BadRecordMac;
    assert_eq!(error, rustls::Error::AlertReceived(expected));
}

/// A client of the library behind a proxy that wants TLS, as the server does inside.
struct Tunnel {
    ours: Ours,
    outer: Theirs,
    inner: Theirs,
}

impl Tunnel {
    fn new(version: Version, pieces: usize) -> Self {
        let mut ends = Ends::with_server(version, |_| {});
        ends.talk_in(pieces);
        let config = their_server(version, |_| {});
        let mut tunnel = Self {
            ours: ends.ours,
            outer: ends.theirs,
            inner: Theirs::new(rustls::ServerConnection::new(config).unwrap()),
        };
        tunnel.ours.layer.add(our_trusting_client());
        assert!(!tunnel.ours.layer.is_established());
        loop {
            let said = tunnel.ours.take();
            tunnel.hear(&said);
            let answer = tunnel.inner.take();
            if said.is_empty() && answer.is_empty() {
                break;
            }
            let records = tunnel.outer.say(&answer);
            tunnel.ours.give_in(pieces, &records);
        }
        assert!(tunnel.ours.layer.is_established());
        tunnel
    }

    fn hear(&mut self, records: &[u8]) {
        self.outer.give(records).unwrap();
        let bytes = std::mem::take(&mut self.outer.received);
        self.inner.give(&bytes).unwrap();
    }
}

#[test]
fn two_ends_of_the_library_understand_each_other() {
    let mut client = Ours::new(our_trusting_client());
    let mut server = Ours::new(our_server());
    loop {
        let (said, answer) = (client.take(), server.take());
        server.give(&said);
        client.give(&answer);
        if said.is_empty() && answer.is_empty() {
            break;
        }
    }
    let data = noise(1 << 20);
    for _ in 0..2 {
        let records = client.say(&data);
        server.give(&records);
        server.expect(&data);
        std::mem::swap(&mut client, &mut server);
    }
}
