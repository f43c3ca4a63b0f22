//! Which servers a client takes.

use rcgen::{DnType, ExtendedKeyUsagePurpose, date_time_ymd};

use crate::abi::{ERR_ARGUMENT, ERR_TLS, Options, Runtime, functions};
use crate::ends::{TlsServer, expect_open, refusal, trusting};
use crate::support::tls::{Authority, Identity, LOCAL, VERSIONS, server_config};

#[test]
fn g_a_certificate_that_is_no_longer_valid_is_refused() {
    let authority = Authority::new();
    let identity =
        authority.issue_with(LOCAL, |params| params.not_after = date_time_ymd(2001, 1, 1));
    let sentence = refusal(
        TlsServer::new(&identity),
        "localhost",
        &trusting(&authority),
    );
    assert!(sentence.starts_with("certificate expired: "), "{sentence}");
}

#[test]
fn g_a_certificate_that_is_not_yet_valid_is_refused() {
    let authority = Authority::new();
    let identity = authority.issue_with(LOCAL, |params| {
        params.not_before = date_time_ymd(3000, 1, 1);
    });
    let sentence = refusal(
        TlsServer::new(&identity),
        "localhost",
        &trusting(&authority),
    );
    assert!(
        sentence.starts_with("certificate not yet valid: "),
        "{sentence}"
    );
}

#[test]
fn g_a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    for names in [
        &["example.com"][..],
        &["*.localhost"],
        &["127.0.0.1"],
        &["localhost.com"],
    ] {
        let server = TlsServer::new(&authority.issue(names));
        let sentence = refusal(server, "localhost", &trusting(&authority));
        assert!(
            sentence.starts_with("certificate for another host: "),
            "{sentence}"
        );
    }
}

#[test]
fn g_a_certificate_that_is_signed_with_its_own_key_is_refused() {
    let authority = Authority::new();
    let identity = Identity::of_itself(LOCAL);
    let sentence = refusal(
        TlsServer::new(&identity),
        "localhost",
        &trusting(&authority),
    );
    assert!(
        sentence.starts_with("certificate of unknown issuer: "),
        "{sentence}"
    );
}

#[test]
fn g_a_certificate_of_an_unknown_authority_is_refused() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let server = TlsServer::new(&unknown.issue(LOCAL));
    let sentence = refusal(server, "localhost", &trusting(&known));
    assert!(
        sentence.starts_with("certificate of unknown issuer: "),
        "{sentence}"
    );
}

#[test]
fn g_a_certificate_with_a_common_name_only_is_refused() {
    let authority = Authority::new();
    let identity = authority.issue_with(&[], |params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "localhost");
    });
    let sentence = refusal(
        TlsServer::new(&identity),
        "localhost",
        &trusting(&authority),
    );
    assert!(
        sentence.starts_with("certificate for another host: "),
        "{sentence}"
    );
}

#[test]
fn g_an_address_has_to_be_in_the_certificate_as_an_address() {
    let authority = Authority::new();
    let server = TlsServer::new(&authority.issue(&["localhost"]));
    let sentence = refusal(server, "127.0.0.1", &trusting(&authority));
    assert!(
        sentence.starts_with("certificate for another host: "),
        "{sentence}"
    );
    // As a name it would not count, either.
    let identity = authority.issue_with(&[], |params| {
        let name = "127.0.0.1".try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::DnsName(name));
    });
    let sentence = refusal(
        TlsServer::new(&identity),
        "127.0.0.1",
        &trusting(&authority),
    );
    assert!(sentence.starts_with("certificate "), "{sentence}");
    let server = TlsServer::new(&authority.issue(&["127.0.0.1"]));
    expect_open(&server, "127.0.0.1", &trusting(&authority));
}

#[test]
fn g_a_certificate_for_another_purpose_is_refused() {
    let authority = Authority::new();
    let identity = authority.issue_with(LOCAL, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let sentence = refusal(
        TlsServer::new(&identity),
        "localhost",
        &trusting(&authority),
    );
    assert!(sentence.starts_with("certificate refused: "), "{sentence}");
}

#[test]
fn g_an_authority_that_may_not_issue_is_refused() {
    let authority = Authority::new();
    let server = authority.issue(LOCAL);
    // The certificate of a server, which is trusted as it is, makes no authority of it.
    let pretender = Identity::of_itself(LOCAL);
    let options = Options::new().set_text(functions().options_set_tls_ca, &server.cert);
    let sentence = refusal(TlsServer::new(&pretender), "localhost", &options);
    assert!(sentence.starts_with("certificate "), "{sentence}");
}

#[test]
fn g_without_settings_certificates_are_verified() {
    let server = TlsServer::new(&Identity::of_itself(LOCAL));
    refusal(server, "localhost", &Options::new());
    let server = TlsServer::new(&Authority::new().issue(LOCAL));
    refusal(server, "localhost", &Options::new());
}

#[test]
fn g_only_the_switch_with_that_name_turns_verification_off() {
    let verify = functions().options_set_tls_verify_dangerously;
    let identity = Authority::new().issue_with(&["example.com"], |params| {
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let server = TlsServer::new(&identity);
    expect_open(&server, "localhost", &Options::new().set(verify, 0));
    refusal(
        server,
        "localhost",
        &Options::new().set(verify, 0).set(verify, 1),
    );
    let server = TlsServer::new(&identity);
    let options = Options::new()
        .set(functions().options_set_tls_resumption, 0)
        .set_text(functions().options_set_tls_ca, "")
        .set_text(functions().options_set_tls_server_name, "example.com")
        .set_text(functions().options_add_tls_pin, identity.pin());
    refusal(server, "localhost", &options);
    for number in [-1, 2, i32::MIN, i32::MAX] {
        let options = Options::new();
        assert_eq!(options.try_set(verify, number), ERR_ARGUMENT);
        refusal(TlsServer::new(&identity), "localhost", &options);
    }
}

#[test]
fn g_a_key_that_is_not_pinned_is_refused_also_without_verification() {
    let authority = Authority::new();
    let [one, two] = [LOCAL; 2].map(|names| authority.issue(names));
    let pin = functions().options_add_tls_pin;
    let verify = functions().options_set_tls_verify_dangerously;
    for options in [trusting(&authority), Options::new().set(verify, 0)] {
        let options = options.set_text(pin, format!("sha256//{}", one.pin()));
        expect_open(&TlsServer::new(&one), "localhost", &options);
        let sentence = refusal(TlsServer::new(&two), "localhost", &options);
        assert!(
            sentence.starts_with("certificate not pinned: "),
            "{sentence}"
        );
        let options = options.set_text(pin, two.pin());
        expect_open(&TlsServer::new(&two), "localhost", &options);
        expect_open(&TlsServer::new(&one), "localhost", &options);
    }
    // A pin does not take the place of verification.
    let itself = Identity::of_itself(LOCAL);
    let options = trusting(&authority).set_text(pin, itself.pin());
    refusal(TlsServer::new(&itself), "localhost", &options);
}

#[test]
fn an_authority_that_is_added_is_trusted_besides_the_others() {
    let [one, two] = [Authority::new(), Authority::new()];
    let add = functions().options_add_tls_ca;
    let options = trusting(&one).set_text(add, two.pem());
    for authority in [&one, &two] {
        expect_open(
            &TlsServer::new(&authority.issue(LOCAL)),
            "localhost",
            &options,
        );
        let options = Options::new().set_text(add, authority.pem());
        expect_open(
            &TlsServer::new(&authority.issue(LOCAL)),
            "localhost",
            &options,
        );
    }
}

#[test]
fn g_names_are_told_to_the_server_and_addresses_are_not() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost", "127.0.0.1", "example.com", "127.0.0.2"]);
    let set = functions().options_set_tls_server_name;
    for (host, name, expected) in [
        ("localhost", "", Some("localhost")),
        ("127.0.0.1", "", None),
        ("127.0.0.1", "example.com", Some("example.com")),
        ("localhost", "127.0.0.2", None),
    ] {
        let options = trusting(&authority).set_text(set, name);
        let server = TlsServer::new(&identity);
        let peer = expect_open(&server, host, &options);
        assert_eq!(peer.stream.conn.server_name(), expected, "{host} {name}");
    }
}

#[test]
fn both_versions_of_tls_are_spoken_with_alpn() {
    let authority = Authority::new();
    let identity = authority.issue(LOCAL);
    for version in VERSIONS {
        let mut config = server_config(&identity, &[version]);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let server = TlsServer::with(config);
        let peer = expect_open(&server, "localhost", &trusting(&authority));
        assert_eq!(peer.stream.conn.protocol_version(), Some(version.version));
        assert_eq!(peer.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        // One that knows no ALPN is taken at its word.
        let server = TlsServer::with(server_config(&identity, &[version]));
        let peer = expect_open(&server, "localhost", &trusting(&authority));
        assert_eq!(peer.stream.conn.alpn_protocol(), None);
    }
}

#[test]
fn g_a_server_that_speaks_http2_only_is_left() {
    let authority = Authority::new();
    let identity = authority.issue(LOCAL);
    for version in VERSIONS {
        let mut config = server_config(&identity, &[version]);
        config.alpn_protocols = vec![b"h2".to_vec()];
        let sentence = refusal(TlsServer::with(config), "localhost", &trusting(&authority));
        assert!(sentence.starts_with("no HTTP/1.1: "), "{sentence}");
    }
}

#[test]
fn a_bad_certificate_is_no_reason_to_try_again() {
    let reconnecting = Options::new().reconnecting(1, 10, 5);
    let server = TlsServer::new(&Identity::of_itself(LOCAL));
    refusal(server, "localhost", &reconnecting);
}

#[test]
fn the_sentence_of_a_refusal_names_host_and_port() {
    let authority = Authority::new();
    let server = TlsServer::new(&Identity::of_itself(LOCAL));
    let port = server.port();
    let runtime = Runtime::new();
    let client = runtime.connect(&server.url(), &trusting(&authority));
    server.take_one().join().unwrap().unwrap_err();
    let seen = client.seen.until_close();
    assert_eq!(seen[0].status(), Some(ERR_TLS));
    assert!(
        format!("{seen:?}").contains(&format!("localhost:{port}")),
        "{seen:?}"
    );
}
