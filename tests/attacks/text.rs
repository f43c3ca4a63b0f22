//! D: text that is not UTF-8.

use crate::abi::{ERR_ARGUMENT, ERR_ENCODING, OK, Options, Runtime, Seen, TEXT};
use crate::support::RawServer;
use crate::support::wire::{self, CONTINUATION, FIN, Peer, frame};
use crate::target::{Target, roles};
use crate::victim::Received;

const BAD: [&[u8]; 14] = [
    b"\xff",
    b"\xfe",
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xe2\x28\xa1",
    b"\xce\xba\xe1\xbd",
];

#[test]
fn d_text_that_is_not_utf_8_fails_whole_and_in_fragments() {
    for role in roles() {
        let mut target = Target::new(role, "");
        for bad in BAD {
            let bytewise: Vec<u8> = bad
                .iter()
                .flat_map(|it| frame(CONTINUATION, &[*it]))
                .collect();
            for frames in [
                frame(FIN | wire::TEXT, bad),
                [frame(wire::TEXT, b"good "), bytewise, frame(FIN, b"")].concat(),
            ] {
                let peer = target.peer();
                target.fails(peer, &frames, ERR_ENCODING, 1007);
            }
        }
        // One bad text, cut at every byte.
        let text = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
        for cut in 0..=text.len() {
            let frames = [frame(wire::TEXT, &text[..cut]), frame(FIN, &text[cut..])].concat();
            let peer = target.peer();
            target.fails(peer, &frames, ERR_ENCODING, 1007);
        }
        // Refused when it is seen, though frame and message go on.
        for unfinished in [
            &b"\x01\x7e\x10\x00ab\xff"[..],
            b"\x81\x7d\xed\xa0",
            b"\x01\x02\xc3\x28",
        ] {
            let peer = target.peer();
            target.fails(peer, unfinished, ERR_ENCODING, 1007);
        }
        target.victim.expect_bounded(0);
    }
}

#[test]
fn d_every_character_is_delivered() {
    let text = "\0\u{1}\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffd}\u{fffe}\u{ffff}\u{10000}\
                \u{1fffe}\u{10ffff}\u{feff}\0";
    for role in roles() {
        let mut target = Target::new(role, "");
        let mut peer = target.peer();
        for byte in text.bytes() {
            peer.send(&frame(wire::TEXT, b""));
            peer.send(&[frame(CONTINUATION, &[byte]), frame(FIN, b"")].concat());
            if !byte.is_ascii() {
                break;
            }
        }
        drop(peer);
        // A character that ends with its message.
        target.victim.expect_failure(ERR_ENCODING, 1007);

        let mut peer = target.peer();
        peer.send(&frame(FIN | wire::TEXT, text.as_bytes()));
        peer.send(&frame(wire::TEXT, b""));
        for byte in text.bytes() {
            peer.send(&frame(CONTINUATION, &[byte]));
        }
        peer.send(&[frame(FIN, b""), wire::close(1000, b"")].concat());
        drop(peer.end());
        let expected = Received::of([text.as_bytes(); 2]);
        assert_eq!(target.victim.expect_clean(1000), expected);
    }
}

#[test]
fn d_the_application_cannot_send_what_is_not_utf_8() {
    let (runtime, server) = (Runtime::new(), RawServer::new());
    let client = runtime.connect(&server.url(), &Options::new());
    let (stream, response) = server.accept();
    let mut peer = Peer::new(stream, false);
    peer.send_raw(&response);
    assert_eq!(client.seen.next(), Seen::Open);
    for bad in BAD {
        assert_eq!(client.socket.send_text(bad), ERR_ARGUMENT);
        assert_eq!(client.socket.send_many(&[(TEXT, bad)]), ERR_ARGUMENT);
        assert_eq!(client.socket.send_fragment(TEXT, bad, true), ERR_ARGUMENT);
    }
    assert_eq!(client.socket.send_text("nothing came before"), OK);
    assert_eq!(peer.read_frame().payload, b"nothing came before");
}
