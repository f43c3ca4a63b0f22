//! Sessions with peers that keep the letter of the rules, and mean harm.

use rustls::{ContentType, Error, InvalidMessage};

use super::ends::{Ours, Role, count_records, noise};
use super::forger::{Forger, NEW_SESSION_TICKET, client_with_record_of_tls12, ticket};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// No peer may send more than this before it fails.
const MOST: usize = 512 << 10;
/// Nor may more than this be kept of it.
const MOST_KEPT: usize = 128 << 10;

/// Gives what `next` makes until the end, which has to come soon and be a failure.
#[track_caller]
fn expect_end(ours: &mut Ours, pieces: usize, mut next: impl FnMut() -> Vec<u8>) -> Error {
    let mut sent = 0;
    while ours.ending.is_none() {
        let bytes = next();
        sent += bytes.len();
        ours.give_in(pieces, &bytes);
        assert!(sent < MOST, "{sent} bytes were taken");
        assert!(ours.kept() < MOST_KEPT, "{} bytes are kept", ours.kept());
    }
    let error = ours.expect_failure();
    // At the most an alert.
    assert!(count_records(&ours.take()) <= 1);
    assert!(ours.say(b"nothing more").is_empty());
    error
}

#[test]
fn tickets_without_end_are_too_many() {
    for pieces in [100, 100_000] {
        let (mut ours, _, mut forger) = Forger::new(Role::Client);
        let records = forger.handshake(NEW_SESSION_TICKET, &ticket());
        ours.give(&records);
        assert_eq!(ours.ending, None, "one is welcome");
        expect_end(&mut ours, pieces, || {
            forger.handshake(NEW_SESSION_TICKET, &ticket())
        });
    }
}

#[test]
fn a_ticket_to_a_server_is_a_violation() {
    let (mut ours, _, mut forger) = Forger::new(Role::Server);
    ours.give(&forger.handshake(NEW_SESSION_TICKET, &ticket()));
    ours.expect_failure();
}

#[test]
fn empty_records_without_end_are_too_many() {
    for role in ROLES {
        let (mut ours, _, mut forger) = Forger::new(role);
        expect_end(&mut ours, 1_000, || forger.data(b""));
    }
}

#[test]
fn key_updates_without_end_are_too_many() {
    for role in ROLES {
        for pieces in [1, 5] {
            let (mut ours, _, mut forger) = Forger::new(role);
            expect_end(&mut ours, 1_000, || forger.key_update(pieces));
            // They may be sent with empty data between them.
            let (mut ours, _, mut forger) = Forger::new(role);
            expect_end(&mut ours, 1_000, || {
                [forger.key_update(pieces), forger.data(b"")].concat()
            });
        }
    }
}

#[test]
fn a_message_in_tens_of_thousands_of_records_is_not_waited_for() {
    for role in ROLES {
        for pieces in [1_000, 100_000] {
            let (mut ours, _, mut forger) = Forger::new(role);
            let mut message = vec![NEW_SESSION_TICKET, 0, 0xea, 0x60];
            message.extend(noise(60_000));
            let mut bytes = message.iter();
            expect_end(&mut ours, pieces, || {
                let byte = bytes.next().unwrap();
                forger.record(ContentType::Handshake, &[*byte])
            });
        }
    }
}

#[test]
fn a_message_longer_than_any_is_refused_by_its_header() {
    for role in ROLES {
        let (mut ours, _, mut forger) = Forger::new(role);
        let header = [NEW_SESSION_TICKET, 1, 0, 0];
        ours.give(&forger.record(ContentType::Handshake, &header));
        ours.expect_failure();
    }
}

#[test]
fn a_key_update_may_be_cut_into_records_while_data_is_sent() {
    for role in ROLES {
        let (mut ours, mut theirs, mut forger) = Forger::new(role);
        let mut sent = Vec::new();
        for round in 0..20u8 {
            let records = forger.key_update(1);
            assert_eq!(count_records(&records), 5);
            for (place, byte) in records.iter().enumerate() {
                ours.give(&[*byte]);
                let data = [round, place as u8];
                let records = ours.say(&data);
                theirs.give(&records).unwrap();
                sent.extend(data);
            }
            let data = noise(1_000);
            ours.give_in(1 + usize::from(round), &forger.data(&data));
            ours.expect(&data);
        }
        assert_eq!(ours.ending, None);
        theirs.expect(&sent);
    }
}

#[test]
fn many_key_updates_in_one_read_are_answered_by_one() {
    for role in ROLES {
        let (mut ours, mut theirs, mut forger) = Forger::new(role);
        let records: Vec<_> = (0..10).map(|_| forger.key_update(5)).collect();
        ours.give(&records.concat());
        let records = ours.say(b"data");
        assert_eq!(count_records(&records), 2);
        theirs.give(&records).unwrap();
        theirs.expect(b"data");
    }
}

#[test]
fn messages_and_data_may_not_be_mixed() {
    for role in ROLES {
        let (mut ours, _, mut forger) = Forger::new(role);
        let mut records = forger.record(ContentType::Handshake, &[NEW_SESSION_TICKET, 0]);
        records.extend(forger.data(b"data"));
        ours.give(&records);
        ours.expect_failure();
        ours.expect(b"");
    }
}

#[test]
fn what_is_no_record_of_data_is_a_violation() {
    for role in ROLES {
        for kind in [
            ContentType::ChangeCipherSpec,
            ContentType::Heartbeat,
            ContentType::Unknown(0),
            ContentType::Unknown(99),
        ] {
            let (mut ours, _, mut forger) = Forger::new(role);
            let good = forger.data(b"good");
            let records = [good, forger.record(kind, b"data")].concat();
            ours.give(&records);
            ours.expect(b"good");
            ours.expect_failure();
        }
    }
}

#[test]
fn a_record_that_is_too_long_is_refused_by_its_header() {
    for role in ROLES {
        let (mut ours, _, _) = Forger::new(role);
        ours.give(&[23, 3, 3, 0xff, 0xff]);
        assert_eq!(
            ours.expect_failure(),
            Error::InvalidMessage(InvalidMessage::MessageTooLarge)
        );
    }
}

#[test]
fn data_that_comes_slowly_is_no_waste() {
    for role in ROLES {
        let (mut ours, _, mut forger) = Forger::new(role);
        for len in [16_384, 16_384, 1_000] {
            let data = noise(len);
            ours.give_in(1, &forger.data(&data));
            ours.expect(&data);
        }
    }
}

#[test]
fn a_server_that_asks_twice_for_another_handshake_is_left() {
    // Two empty messages, HelloRequest (RFC 5246 §7.4.1.1), the first of which is answered.
    let (mut ours, record) = client_with_record_of_tls12(ContentType::Handshake, &[0; 8]);
    ours.give_in(3, &record);
    ours.say(b"data");
    ours.expect_failure();

    let (mut ours, record) = client_with_record_of_tls12(ContentType::Handshake, &[0; 4]);
    ours.give(&record);
    assert_eq!(ours.ending, None, "it may ask once");
    assert_eq!(count_records(&ours.say(b"data")), 2);
}
