//! OpenSSL at the other end: keys and versions that rustls does not have.

use std::io::Write;
use std::process::Command;

use crate::abi::{OK, Runtime, Seen, functions};
use crate::ends::{Served, expect_refusal, secure, trusting, upgrade};
use crate::missing::is_installed;
use crate::programs::{Directory, Program, run};
use crate::support::tls::{Authority, Identity, LOCAL};
use crate::support::wire::{self, FIN, TEXT, frame};
use crate::support::{REQUEST, accepting_response, read_head, wait_until};

/// `openssl s_server` with one certificate.
fn server(directory: &Directory, identity: &Identity, arguments: &[&str]) -> (Program, u16) {
    let cert = directory.write("cert.pem", &identity.cert);
    let key = directory.write("key.pem", &identity.key);
    let mut command = Command::new("openssl");
    command.args([
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-cert",
        &cert,
        "-key",
        &key,
    ]);
    let mut program = Program::start(command.args(arguments));
    let line = program.read_until("ACCEPT ");
    let (_, port) = line.trim().rsplit_once(':').unwrap();
    (program, port.parse().unwrap())
}

/// What a client of the library says of it.
#[track_caller]
fn refusal(authority: &Authority, identity: &Identity, arguments: &[&str]) -> String {
    let directory = Directory::new();
    let (_program, port) = server(&directory, identity, arguments);
    let runtime = Runtime::new();
    let url = format!("wss://localhost:{port}/");
    expect_refusal(&runtime.connect(&url, &trusting(authority)))
}

/// So old that even OpenSSL has to be asked for it.
const WEAK: &str = "DEFAULT:@SECLEVEL=0";

#[test]
fn g_a_server_of_an_old_version_is_refused() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let authority = Authority::new();
    let identity = authority.issue(LOCAL);
    for version in ["-tls1_1", "-tls1"] {
        let sentence = refusal(&authority, &identity, &[version, "-cipher", WEAK]);
        assert!(sentence.starts_with("nothing in common: "), "{sentence}");
    }
}

#[test]
fn g_a_server_with_old_ciphers_only_is_refused() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let authority = Authority::new();
    let identity = authority.issue(LOCAL);
    for cipher in ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"] {
        let sentence = refusal(&authority, &identity, &["-tls1_2", "-cipher", cipher]);
        // handshake_failure says no more.
        assert!(sentence.contains("handshake_failure (40)"), "{sentence}");
    }
}

#[test]
fn g_a_key_of_1024_bits_is_refused() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let authority = Authority::new();
    let identity = weak_identity(&authority, 1024);
    for version in ["-tls1_3", "-tls1_2"] {
        let sentence = refusal(&authority, &identity, &[version, "-cipher", WEAK]);
        assert!(sentence.starts_with("certificate "), "{sentence}");
    }
    // It is the length that makes the difference.
    let identity = weak_identity(&authority, 2048);
    converse(&authority, &identity, "-tls1_3");
    converse(&authority, &identity, "-tls1_2");
}

/// A certificate for an RSA key of so many bits.
fn weak_identity(authority: &Authority, bits: u32) -> Identity {
    let directory = Directory::new();
    let ca = directory.write("ca.pem", &authority.pem());
    let ca_key = directory.write("ca_key.pem", &authority.key_pem());
    let extensions = directory.write("extensions", "subjectAltName=DNS:localhost\n");
    let [key, request, cert] = ["key", "request", "cert"].map(|name| directory.file(name));
    let rsa = format!("rsa:{bits}");
    run(
        "openssl",
        &[
            "req", "-newkey", &rsa, "-nodes", "-keyout", &key, "-out", &request, "-subj",
            "/CN=weak",
        ],
    );
    run(
        "openssl",
        &[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-out",
            &cert,
            "-extfile",
            &extensions,
            "-days",
            "2",
        ],
    );
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    Identity {
        cert: read(&cert),
        key: read(&key),
    }
}

#[test]
fn openssl_serves_our_client() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let authority = Authority::new();
    let identity = authority.issue(LOCAL);
    for version in ["-tls1_3", "-tls1_2"] {
        converse(&authority, &identity, version);
    }
}

/// A WebSocket server is played through the pipes of the program.
fn converse(authority: &Authority, identity: &Identity, version: &str) {
    let directory = Directory::new();
    let (mut program, port) = server(&directory, identity, &[version]);
    let runtime = Runtime::new();
    let url = format!("wss://localhost:{port}/");
    let client = runtime.connect(&url, &trusting(authority));
    let key = program.read_until("Sec-WebSocket-Key: ");
    program.write(&accepting_response(&key));
    program.write(&frame(FIN | TEXT, b"through a pipe"));
    assert_eq!(client.seen.next(), Seen::Open);
    assert_eq!(client.seen.next(), Seen::text("through a pipe"));
    program.write(&wire::close(1000, b"done"));
    // At the end of its input it ends TLS and TCP.
    program.finish();
    client.seen.expect(&[Seen::clean(1000, "done")]);
}

/// `openssl s_client`, connected to a server of the library.
fn client(served: &Served, directory: &Directory, arguments: &[&str]) -> Program {
    let ca = directory.write("ca.pem", &served.authority.pem());
    let address = format!("127.0.0.1:{}", served.port);
    let mut command = Command::new("openssl");
    command.args([
        "s_client",
        "-connect",
        &address,
        "-servername",
        "localhost",
        "-CAfile",
        &ca,
        "-verify_return_error",
        "-verify_hostname",
        "localhost",
    ]);
    Program::start(command.args(arguments))
}

#[test]
fn g_a_client_of_an_old_version_is_refused() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let served = Served::new();
    let directory = Directory::new();
    for version in ["-tls1_1", "-tls1"] {
        let output = client(&served, &directory, &[version, "-cipher", WEAK]).finish();
        assert!(output.contains(" alert "), "{output}");
        assert!(output.contains("New, (NONE)"), "{output}");
    }
    let _peer = upgrade(served.port, served.client_config());
    assert_eq!(served.seen.next(), Seen::Open);
}

#[test]
fn our_server_serves_openssl_and_resumes_its_sessions() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    for version in ["-tls1_3", "-tls1_2"] {
        let served = Served::new();
        let directory = Directory::new();
        let session = directory.file("session.pem");
        for (option, expected) in [("-sess_out", "New, TLSv1."), ("-sess_in", "Reused, TLSv1.")] {
            let mut program = client(&served, &directory, &[version, option, &session]);
            program.read_until(expected);
            program.write(REQUEST);
            program.read_until("101 Switching Protocols");
            let (socket, open) = served.seen.next_of();
            assert_eq!(open, Seen::Open);
            assert_eq!(socket.send_text("to OpenSSL\n"), OK);
            program.read_until("to OpenSSL");
            drop(program);
            served.seen.expect_failure();
        }
    }
}

#[test]
fn g_renegotiation_is_refused() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    // Whoever comes next is let in only if the connection has ended.
    let served = Served::with(|options, _| options.set(functions().options_set_max_connections, 1));
    let directory = Directory::new();
    for is_open in [false, true] {
        let mut program = client(&served, &directory, &["-tls1_2"]);
        program.read_until("New, TLSv1.2");
        if is_open {
            program.write(REQUEST);
            program.read_until("101 Switching Protocols");
            assert_eq!(served.seen.next(), Seen::Open);
        }
        // The command of s_client, whose input goes on.
        program.write(b"R\n");
        program.read_until("RENEGOTIATING");
        program.read_until("no renegotiation");
        if is_open {
            served.seen.expect_failure();
        }
        let mut next = None;
        wait_until("the end of the connection", || {
            let mut stream = secure(served.port, served.client_config()).unwrap();
            stream.write_all(REQUEST).unwrap();
            let is_in = read_head(&mut stream).starts_with("HTTP/1.1 101 ");
            next = is_in.then_some(stream);
            is_in
        });
        assert_eq!(served.seen.next(), Seen::Open);
        drop(next);
        served.seen.expect_failure();
    }
}

#[test]
fn a_key_update_of_openssl_is_answered() {
    if !is_installed("openssl", "openssl") {
        return;
    }
    let served = Served::new();
    let directory = Directory::new();
    let mut program = client(&served, &directory, &["-tls1_3"]);
    program.read_until("New, TLSv1.3");
    // K asks for an update of both directions, k updates its own.
    program.write(b"K\n");
    program.read_until("KEYUPDATE");
    program.write(b"k\n");
    program.read_until("KEYUPDATE");
    program.write(REQUEST);
    program.read_until("101 Switching Protocols");
    let (socket, _) = served.seen.next_of();
    assert_eq!(socket.send_text("to OpenSSL\n"), OK);
    program.read_until("to OpenSSL");
}
