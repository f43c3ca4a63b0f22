//! The servers do the same in C and in Python.
#![cfg(target_os = "linux")]

#[path = "../examples/certificate.rs"]
mod certificate;
mod programs;
mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::Receiver;

use programs::{Running, compile_c, directory, start_python};
use support::wire::{FIN, Peer, TEXT};
use support::{NARROW, REQUEST, Seen, Threads, next, read_head};
use wsabi::{Options, Socket};

#[derive(Clone, Copy, Debug)]
enum Language {
    C,
    Python,
}

const LANGUAGES: [Language; 2] = [Language::C, Language::Python];

/// Starts a server, and returns it with the URL that is its first line.
fn start(
    language: Language,
    name: &str,
    arguments: &[&str],
    directory: &Path,
) -> (Running, String) {
    let mut server = match language {
        Language::C => {
            let program = directory.join(name);
            compile_c(&format!("examples/c/{name}.c"), &program);
            Running::start(&program, arguments)
        }
        Language::Python => start_python(&format!("{name}.py"), arguments),
    };
    server.wait_for("\n");
    let url = server.output.lines().next().unwrap().to_owned();
    (server, url)
}

/// A client of the chat server.
struct Guest {
    socket: Socket,
    seen: Receiver<Seen>,
}

impl Guest {
    fn come(threads: &Threads, url: &str, room: &str) -> Self {
        let (socket, seen) = threads.connect(&format!("{url}{room}"), &Options::new());
        assert_eq!(next(&seen), Seen::Open);
        Self { socket, seen }
    }

    /// Comes, and says who it is.
    fn enter(threads: &Threads, url: &str, room: &str, name: &str) -> Self {
        let guest = Self::come(threads, url, room);
        guest.say(name);
        guest.expect(&format!("{name} has joined"));
        guest
    }

    fn say(&self, text: &str) {
        self.socket.send_text(text).unwrap();
    }

    #[track_caller]
    fn expect(&self, text: &str) {
        assert_eq!(next(&self.seen), Seen::text(text));
    }

    /// The same, where a notice may come first. Whether it has.
    #[track_caller]
    fn expect_amid(&self, notice: &str, text: &str) -> bool {
        let mut seen = next(&self.seen);
        let is_first = seen == Seen::text(notice);
        if is_first {
            seen = next(&self.seen);
        }
        assert!(seen == Seen::text(text), "{seen:?}");
        is_first
    }

    /// Is sent away.
    #[track_caller]
    fn expect_close(&self, code: u16, reason: &str) {
        let seen = next(&self.seen);
        let Seen::Close(was_code, was_reason, _) = &seen else {
            panic!("{seen:?}");
        };
        assert_eq!((*was_code, was_reason.as_str()), (code, reason));
    }
}

#[test]
fn guests_of_a_room_hear_each_other_and_nobody_else() {
    for language in LANGUAGES {
        let directory = directory(&format!("chat_rooms_{language:?}"));
        let (server, url) = start(language, "chat_server", &[], &directory);
        let threads = Threads::new(1);
        let ann = Guest::enter(&threads, &url, "lobby?from=here", "Ann");
        let bob = Guest::enter(&threads, &url, "lobby", "Bj\u{f6}rn");
        ann.expect("Bj\u{f6}rn has joined");
        let carl = Guest::enter(&threads, &url, "kitchen", "Carl");
        ann.say("Hello,\nBj\u{f6}rn!");
        for guest in [&ann, &bob] {
            guest.expect("Ann\nHello,\nBj\u{f6}rn!");
        }
        // Carl's are the only messages in his room.
        carl.say("Hello?");
        carl.expect("Carl\nHello?");
        carl.socket.close(Some(1000), "").unwrap();
        carl.expect_close(1000, "");
        bob.socket.close(Some(1000), "").unwrap();
        bob.expect_close(1000, "");
        ann.expect("Bj\u{f6}rn has left");
        server.terminate().expect_success();
        ann.expect_close(1001, "");
    }
}

#[test]
fn guests_who_break_the_rules_have_to_leave() {
    for language in LANGUAGES {
        let directory = directory(&format!("chat_rules_{language:?}"));
        let (server, url) = start(language, "chat_server", &[], &directory);
        let threads = Threads::new(1);
        let ann = Guest::enter(&threads, &url, "lobby", "Ann");
        let too_long = "\u{e9}".repeat(61);
        for name in [
            "",
            "a\nb",
            "a\rb",
            "a\tb",
            "a\0b",
            "\0",
            "a\x1b[31m",
            "a\x7f",
            &too_long,
        ] {
            let guest = Guest::come(&threads, &url, "lobby");
            guest.say(name);
            guest.expect_close(1008, "not a name");
        }
        let nameless = Guest::come(&threads, &url, "lobby");
        nameless.socket.send_binary(b"Bob").unwrap();
        nameless.expect_close(1003, "text only");
        let guest = Guest::come(&threads, &url, &"x".repeat(255));
        guest.expect_close(1008, "no such room");
        // None of them was announced, as they had no name.
        let longest = "\u{e9}".repeat(60);
        let guest = Guest::enter(&threads, &url, "lobby", &longest);
        ann.expect(&format!("{longest} has joined"));
        guest.say(&"x".repeat(4001));
        guest.expect_close(1009, "");
        ann.expect(&format!("{longest} has left"));
        let longest = "x".repeat(4000);
        ann.say(&longest);
        ann.expect(&format!("Ann\n{longest}"));
        server.terminate().expect_success();
    }
}

#[test]
fn names_and_words_of_every_kind_arrive_whole() {
    for language in LANGUAGES {
        let directory = directory(&format!("chat_words_{language:?}"));
        let (server, url) = start(language, "chat_server", &[], &directory);
        let threads = Threads::new(1);
        // Whether it can be printed does not matter: spaces of no width, and what joins a family.
        for name in [
            " ",
            "a b",
            "\u{a0}\u{200b}",
            "\u{1f468}\u{200d}\u{1f469}",
            "\u{202e}",
            "%s%n",
        ] {
            let room = format!("lobby?{}", "q".repeat(2_000));
            let guest = Guest::enter(&threads, &url, &room, name);
            for text in ["", "\0", "one\0two", "\n\n", "%s%n", "\u{10ffff}\u{7f}"] {
                guest.say(text);
                guest.expect(&format!("{name}\n{text}"));
            }
            guest.socket.close(Some(1000), "").unwrap();
            guest.expect_close(1000, "");
        }
        server.terminate().expect_success();
    }
}

#[test]
fn a_guest_who_does_not_read_has_to_leave_and_holds_up_nobody() {
    for language in LANGUAGES {
        let directory = directory(&format!("chat_slow_{language:?}"));
        let (server, url) = start(language, "chat_server", &[], &directory);
        let threads = Threads::new(1);
        let ann = Guest::enter(&threads, &url, "path", "Ann");
        let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
        let mut slow = dial_narrow(port.parse().unwrap());
        slow.send_frame(FIN | TEXT, b"Slow");
        ann.expect("Slow has joined");
        // More than may wait for him, and than the system keeps for a connection.
        let mut is_gone = false;
        for round in 0..4_000 {
            let text = format!("{round} {}", "x".repeat(3_990));
            ann.say(&text);
            is_gone |= ann.expect_amid("Slow has left", &format!("Ann\n{text}"));
            if is_gone {
                break;
            }
        }
        if !is_gone {
            ann.expect("Slow has left");
        }
        server.terminate().expect_success();
    }
}

/// A guest of the room "path" that has hardly any room for what it receives, and is not read.
fn dial_narrow(port: u16) -> Peer {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.unwrap();
    socket.set_recv_buffer_size(NARROW).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    socket.connect(&address.into()).unwrap();
    let mut peer = Peer::new(socket.into(), true);
    peer.send_raw(REQUEST);
    read_head(&mut peer.stream);
    peer
}

#[test]
fn a_greeting_has_the_whole_name_if_that_is_not_too_long() {
    for language in LANGUAGES {
        let directory = directory(&format!("hello_{language:?}"));
        let (server, url) = start(language, "hello_server", &["0", "0.05"], &directory);
        let threads = Threads::new(1);
        let greet = |name: &str| {
            let guest = Guest::come(&threads, &url, "");
            guest.socket.send_binary(b"no name").unwrap();
            guest.say(name);
            guest
        };
        for name in ["John", "", "J\u{f6}rn\0\n%s", "x".repeat(200).as_str()] {
            let guest = greet(name);
            guest.expect(&format!("Hello from server, {name}"));
            guest.expect_close(1000, "Goodbye");
        }
        greet(&"x".repeat(201)).expect_close(1009, "");
        server.terminate().expect_success();
    }
}

#[test]
fn an_echo_server_sends_text_and_binary_back_as_they_came() {
    for language in LANGUAGES {
        let directory = directory(&format!("echo_{language:?}"));
        let (server, url) = start(language, "echo_server", &[], &directory);
        let threads = Threads::new(1);
        let (socket, seen) = threads.connect(&url, &Options::new());
        assert_eq!(next(&seen), Seen::Open);
        for len in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
            let bytes: Vec<u8> = (0..len)
                .map(|at: usize| (at * 31 + at / 256) as u8)
                .collect();
            socket.send_binary(&bytes).unwrap();
            assert!(next(&seen) == Seen::binary(bytes), "{len}");
            let text = "\0\u{e9}".repeat(len / 3);
            socket.send_text(&text).unwrap();
            assert!(next(&seen) == Seen::text(text), "{len}");
        }
        socket.close(Some(1000), "").unwrap();
        assert_eq!(next(&seen), Seen::Close(1000, String::new(), true));
        server.terminate().expect_success();
    }
}

#[test]
fn a_tls_server_takes_a_renewed_certificate_while_it_runs() {
    for language in LANGUAGES {
        let directory = directory(&format!("tls_{language:?}"));
        let [old, new] = ["old", "new"].map(|name| {
            let made = directory.join(name);
            fs::create_dir(&made).unwrap();
            certificate::make(&made, vec!["127.0.0.1".to_owned()]).unwrap();
            made
        });
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
        let install = |from: &Path| {
            for file in [&cert, &key] {
                fs::copy(from.join(file.file_name().unwrap()), file).unwrap();
            }
        };
        install(&old);
        let [cert, key] = [&cert, &key].map(|path| path.display().to_string());
        let (mut server, url) = start(language, "tls_server", &[&cert, &key], &directory);
        let threads = Threads::new(1);
        let connect = |ca: &Path| {
            let mut options = Options::new();
            let ca = fs::read_to_string(ca.join("ca.pem")).unwrap();
            options.set_tls_ca(&ca).unwrap();
            threads.connect(&url, &options)
        };
        let echo = |(socket, seen): &(Socket, Receiver<Seen>)| {
            socket.send_text("again").unwrap();
            assert_eq!(next(seen), Seen::text("again"));
        };
        let early = connect(&old);
        assert_eq!(next(&early.1), Seen::Open);
        echo(&early);
        server.wait_for(": TLSv1.3, TLS_");

        install(&new);
        server.signal("HUP");
        server.wait_for("certificate renewed");
        assert!(matches!(next(&connect(&old).1), Seen::Error(_)));
        let late = connect(&new);
        assert_eq!(next(&late.1), Seen::Open);

        fs::write(&cert, "no certificate").unwrap();
        server.signal("HUP");
        server.wait_for_complaint("certificate");
        let last = connect(&new);
        assert_eq!(next(&last.1), Seen::Open);
        for socket in [&early, &late, &last] {
            echo(socket);
        }
        server.terminate().expect_success();
    }
}
