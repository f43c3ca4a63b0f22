//! Names and addresses: a name server that says what the test makes it say, and addresses that
//! swallow what is sent to them (RFC 8305).

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::abi::{
    Client, Delivery, ERR_ABORTED, ERR_CONNECT, ERR_DNS, ERR_TIMEOUT, FACT_PEER_ADDRESS, OK,
    Options, Runtime, Seen, functions,
};
use crate::namespace::{add_black_hole, is_inside, replace_file};
use crate::support::{accepting_response, read_head};
use crate::{Within, expect_failure, expect_in};

/// What the name server answers a question for addresses of a kind.
#[derive(Clone)]
enum Answer {
    Addresses(Vec<Ipv4Addr>),
    V6(std::net::Ipv6Addr),
    NoSuchName,
}

/// Answers questions by `script`, which is given the name and returns what and how late.
fn serve_names(script: fn(&str) -> Option<(Answer, Duration)>) {
    replace_file(
        "/etc/resolv.conf",
        "nameserver 127.0.0.1\noptions timeout:30 attempts:1\n",
    );
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut question) {
            let question = question[..len].to_vec();
            let (name, end) = name_in(&question);
            let Some((answer, delay)) = script(&name) else {
                continue;
            };
            let socket = socket.try_clone().unwrap();
            thread::spawn(move || {
                thread::sleep(delay);
                socket
                    .send_to(&reply(&question, end, &answer), from)
                    .unwrap();
            });
        }
    });
}

/// The name of the question, and where the question ends (RFC 1035 section 4.1.2).
fn name_in(question: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while question[at] > 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
        at = end;
    }
    (labels.join("."), at + 5)
}

fn reply(question: &[u8], end: usize, answer: &Answer) -> Vec<u8> {
    const A: u8 = 1;
    const AAAA: u8 = 28;
    let kind = question[end - 3];
    let records: Vec<Vec<u8>> = match answer {
        Answer::Addresses(list) if kind == A => {
            list.iter().map(|it| it.octets().to_vec()).collect()
        }
        Answer::V6(it) if kind == AAAA => vec![it.octets().to_vec()],
        _ => Vec::new(),
    };
    let code = if matches!(answer, Answer::NoSuchName) {
        3
    } else {
        0
    };
    let mut reply = question[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    reply.extend(&question[12..end]);
    for record in records {
        reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 1, 0, record.len() as u8]);
        reply.extend(record);
    }
    reply
}

const SOON: Duration = Duration::ZERO;

/// Accepts the upgrade on the next connection, and returns the request.
fn accept(listener: &TcpListener) -> (std::net::TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    let request = read_head(&mut stream);
    stream.write_all(&accepting_response(&request)).unwrap();
    (stream, request)
}

fn is_alone(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_err()
}

fn within(milliseconds: u32) -> Options {
    Options::new().set(functions().options_set_connect_timeout_ms, milliseconds)
}

#[test]
fn a_family_that_is_dead_costs_localhost_nothing() {
    let runtime = Runtime::new();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            println!("skipped: {address} cannot be had");
            continue;
        };
        let url = format!("ws://localhost:{}/", listener.local_addr().unwrap().port());
        let time = Within::ms(250);
        let client = runtime.connect(&url, &Options::new());
        let _stream = accept(&listener);
        assert_eq!(client.seen.next(), Seen::Open);
        time.check();
    }
}

#[test]
fn a_black_hole_in_one_family_costs_the_stagger() {
    if !is_inside("names::a_black_hole_in_one_family_costs_the_stagger") {
        return;
    }
    add_black_hole();
    replace_file("/etc/hosts", "2001:db8::2 dual.test\n127.0.0.1 dual.test\n");
    let runtime = Runtime::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://dual.test:{}/", listener.local_addr().unwrap().port());
    for _ in 0..3 {
        let begin = Instant::now();
        let client = runtime.connect(&url, &Options::new());
        let _stream = accept(&listener);
        assert_eq!(client.seen.next(), Seen::Open);
        let took = begin.elapsed();
        println!("{took:?}");
        assert!(
            took >= Duration::from_millis(240),
            "IPv6 is tried first: {took:?}"
        );
        assert!(took < Duration::from_millis(400), "{took:?}");
        assert_eq!(
            client.socket.fact(FACT_PEER_ADDRESS),
            listener.local_addr().unwrap().to_string()
        );
        client.socket.release();
    }
}

#[test]
fn addresses_that_swallow_everything_cost_the_connect_timeout() {
    if !is_inside("names::addresses_that_swallow_everything_cost_the_connect_timeout") {
        return;
    }
    add_black_hole();
    let runtime = Runtime::new();
    for url in ["ws://10.9.9.2/", "ws://[2001:db8::2]/"] {
        let time = Within::ms(800);
        let client = runtime.connect(url, &within(300));
        let sentence = expect_failure(&client, ERR_TIMEOUT);
        expect_in(&sentence, &["300 ms", "while the address did not answer"]);
        time.check();
    }
    // And one to which there is no way fails at once.
    let time = Within::ms(500);
    let client = runtime.connect("ws://192.0.2.1/", &Options::new());
    expect_in(&expect_failure(&client, ERR_CONNECT), &["192.0.2.1:80"]);
    time.check();
}

#[test]
fn a_name_server_may_know_nothing_or_much_or_say_nothing() {
    if !is_inside("names::a_name_server_may_know_nothing_or_much_or_say_nothing") {
        return;
    }
    serve_names(|name| match name {
        "many.test" => {
            // A message has room for no more; the last is the one that answers.
            let dead = (2..29).map(|n| Ipv4Addr::new(127, 0, 1, n));
            let all = dead.chain([Ipv4Addr::LOCALHOST]).collect();
            Some((Answer::Addresses(all), SOON))
        }
        "six.test" => Some((Answer::V6(std::net::Ipv6Addr::LOCALHOST), SOON)),
        "none.test" => Some((Answer::Addresses(Vec::new()), SOON)),
        "silent.test" => None,
        _ => Some((Answer::NoSuchName, SOON)),
    });
    let runtime = Runtime::new();
    let client = runtime.connect("ws://unknown.test/", &Options::new());
    expect_in(&expect_failure(&client, ERR_DNS), &["unknown.test"]);
    let client = runtime.connect("ws://none.test/", &Options::new());
    expect_in(&expect_failure(&client, ERR_DNS), &["none.test"]);
    for (name, address) in [("many.test", "127.0.0.1:0"), ("six.test", "[::1]:0")] {
        let listener = TcpListener::bind(address).unwrap();
        let url = format!("ws://{name}:{}/", listener.local_addr().unwrap().port());
        let client = runtime.connect(&url, &Options::new());
        let (_stream, request) = accept(&listener);
        expect_in(&request, &[&format!("\r\nHost: {name}:")]);
        assert_eq!(client.seen.next(), Seen::Open);
        assert!(client.socket.stats().dns_ns > 0);
    }
    let time = Within::ms(800);
    let client = runtime.connect("ws://silent.test/", &within(300));
    let sentence = expect_failure(&client, ERR_TIMEOUT);
    expect_in(&sentence, &["300 ms", "while the name was resolved"]);
    time.check();
}

#[test]
fn a_socket_ends_at_once_while_its_name_is_looked_up() {
    if !is_inside("names::a_socket_ends_at_once_while_its_name_is_looked_up") {
        return;
    }
    // It answers when everything is over.
    serve_names(|_| Some((Answer::NoSuchName, Duration::from_millis(1_500))));
    let ends: [fn(&Runtime, &Client); 5] = [
        |_, client| assert_eq!(client.socket.close(1000, ""), OK),
        |_, client| assert_eq!(client.socket.abort(), OK),
        |_, client| assert_eq!(client.socket.release(), OK),
        |runtime, _| assert_eq!(runtime.free(), OK),
        |runtime, _| assert_eq!(runtime.shutdown(10_000), OK),
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let runtime = Runtime::new();
        let options = Options::new().reconnecting(1, 1, 0);
        let client = runtime.connect(&format!("ws://slow{n}.test/"), &options);
        // The question is on its way.
        assert_eq!(client.seen.comes_within(Duration::from_millis(50)), None);
        let time = Within::ms(500);
        end(&runtime, &client);
        // Nobody is told of a release, nor with polling of the end of the runtime.
        if n < 2 || n == 3 && !Delivery::of_tests().is_polled() || n == 4 {
            expect_failure(&client, ERR_ABORTED);
            client.socket.release();
        }
        assert_eq!(client.seen.next(), Seen::Released);
        time.check();
    }
    // The late answers find nobody.
    thread::sleep(Duration::from_millis(1_600));
}

#[test]
fn a_late_answer_is_not_taken_for_one_about_another_name() {
    if !is_inside("names::a_late_answer_is_not_taken_for_one_about_another_name") {
        return;
    }
    serve_names(|name| {
        let (last, delay) = if name == "old.test" {
            (1, 3_000)
        } else {
            (2, 1_000)
        };
        let answer = Answer::Addresses(vec![Ipv4Addr::new(127, 0, 0, last)]);
        Some((answer, Duration::from_millis(delay)))
    });
    let old = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = old.local_addr().unwrap().port();
    let new = TcpListener::bind(("127.0.0.2", port)).unwrap();
    let runtime = Runtime::new();
    // Time to poll for RECONNECT, which says where the next attempt leads.
    let options = within(2_000).reconnecting(500, 500, 0);
    let client = runtime.connect_with(
        &format!("ws://old.test:{port}/"),
        &options,
        move |socket, seen| {
            if matches!(seen, Seen::Reconnect { .. }) {
                assert_eq!(socket.set_url(&format!("ws://new.test:{port}/")), OK);
            }
        },
    );
    assert_eq!(client.seen.next().status(), Some(ERR_TIMEOUT));
    // The address of old.test comes while new.test is looked up.
    let (_stream, request) = accept(&new);
    expect_in(&request, &["\r\nHost: new.test:"]);
    assert_eq!(client.seen.next(), Seen::Open);
    assert!(is_alone(&old));
}
