//! What the settings accept, and what they change.

use crate::net::tls::Peer;
use std::sync::Arc;

use rcgen::KeyPair;
use rustls::HandshakeKind;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::pair::{Authority, HOST, Identity, connect, connect_to, pem, serving, trusting};
use crate::error::{Error, Result};
use crate::net::tls::{Config, Fault, cipher_name, version_name};
use crate::net::url::Host;

/// PKCS#8, 2048 bits.
const RSA_KEY: &str = include_str!("rsa_key.pem");
/// Its pin, as openssl computes it.
const RSA_PIN: &str = "T8lyke0XPQH7p4MZzz8WbCemBVlAgRe98DmWp/+LwiY=";

#[track_caller]
fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Argument(sentence)) => sentence.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_of_a_trusted_authority_is_trusted() {
    let authority = Authority::new("one");
    let outcome = connect(&trusting(&authority), &serving(&authority.issue(&[HOST])));
    outcome.expect_success();
    let version = outcome.session.protocol_version().unwrap();
    assert_eq!(version_name(version), "TLSv1.3");
    let suite = outcome.session.negotiated_cipher_suite().unwrap();
    assert!(cipher_name(suite).starts_with("TLS_"), "{suite:?}");
}

#[test]
fn version_and_cipher_have_the_names_of_the_registries() {
    for suite in super::super::provider::provider().cipher_suites.iter() {
        let name = cipher_name(*suite);
        assert!(
            name.starts_with("TLS_") && !name.contains("TLS13"),
            "{name}"
        );
        assert!(["TLSv1.2", "TLSv1.3"].contains(&version_name(suite.version().version)));
    }
}

#[test]
fn own_authorities_replace_and_added_ones_join() {
    let [one, two, three] = ["one", "two", "three"].map(Authority::new);
    let [at_one, at_two] = [&one, &two].map(|authority| serving(&authority.issue(&[HOST])));
    let mut client = trusting(&one);
    connect(&client, &at_two).expect_fault(Fault::UnknownIssuer);
    client.add_ca(&(three.pem() + &two.pem())).unwrap();
    connect(&client, &at_one).expect_success();
    connect(&client, &at_two).expect_success();
    client.set_ca(&two.pem()).unwrap();
    connect(&client, &at_one).expect_fault(Fault::UnknownIssuer);
    connect(&client, &at_two).expect_success();
}

#[test]
fn pem_that_holds_no_certificate_is_refused() {
    let identity = Authority::new("one").issue(&[HOST]);
    let cut = &identity.cert[..identity.cert.len() / 2];
    let mut config = Config::default();
    for (pem, complaint) in [
        (" ", "pem has no certificate"),
        ("hello", "pem has no certificate"),
        (&identity.key, "pem has no certificate, but something else"),
        (cut, "pem breaks off: it has no END line"),
        (
            "-----BEGIN CERTIFICATE--\n",
            "pem has a malformed BEGIN line",
        ),
        (
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            "pem has a section that is not base64",
        ),
        (
            &(identity.cert.clone() + &super::pair::pem("CERTIFICATE", b"no DER")),
            "certificate 2 of pem is malformed",
        ),
    ] {
        assert_eq!(refusal(config.set_ca(pem)), complaint);
        assert_eq!(refusal(config.add_ca(pem)), complaint);
        assert_eq!(refusal(config.set_client_ca(pem)), complaint);
    }
    assert_eq!(refusal(config.add_ca("")), "pem has no certificate");
}

#[test]
fn keys_of_every_format_are_taken() {
    let authority = Authority::new("one");
    let rsa = KeyPair::from_pem(RSA_KEY).unwrap();
    let curve = KeyPair::generate().unwrap();
    // What PKCS#8 wraps begins behind its header, whose size depends on the key's only.
    let pkcs1 = pem("RSA PRIVATE KEY", &rsa.serialize_der()[26..]);
    let sec1 = pem("EC PRIVATE KEY", &curve.serialize_der()[29..]);
    for (pair, key) in [
        (&rsa, RSA_KEY),
        (&rsa, &pkcs1),
        (&curve, &curve.serialize_pem()),
        (&curve, &sec1),
    ] {
        let cert = authority.certify(pair, &[HOST], |_| {}).cert;
        let key = key.to_owned();
        connect(&trusting(&authority), &serving(&Identity { cert, key })).expect_success();
    }
    let Identity { cert, key } = authority.issue(&[HOST]);
    let both = key + &cert;
    Config::default().set_identity(&both, &both).unwrap();
}

#[test]
fn an_identity_that_does_not_fit_together_is_refused_without_telling_the_key() {
    let authority = Authority::new("one");
    let Identity { cert, key } = authority.issue(&[HOST]);
    let other = authority.issue(&[HOST]).key;
    let two = key.clone() + &other;
    let malformed = pem("PRIVATE KEY", b"no key");
    let encrypted = pem("ENCRYPTED PRIVATE KEY", b"secret");
    let broken = key.replace("-----END", "!----END");
    let mut config = Config::default();
    config.set_identity(&cert, &key).unwrap();
    for (cert, key, complaint) in [
        (&*cert, &*other, "does not belong to the first certificate"),
        (&cert, "", "key_pem has no private key"),
        ("", &key, "cert_pem has no certificate"),
        (&cert, &cert, "key_pem has no private key"),
        (
            &key,
            &key,
            "cert_pem has no certificate, but something else",
        ),
        (&cert, &two, "key_pem has more than one private key"),
        (&cert, &malformed, "malformed or of an unsupported type"),
        (&cert, &encrypted, "encrypted private key: decrypt it first"),
        (&cert, &broken, "key_pem"),
        (&malformed, &key, "cert_pem has no certificate"),
    ] {
        let sentence = refusal(config.set_identity(cert, key));
        assert!(sentence.contains(complaint), "{complaint}: {sentence}");
    }
    assert!(
        config.server().is_ok(),
        "a refused identity changes nothing"
    );
    let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let secret = format!("{:?}", &der.secret_der()[40..48]);
    let debug = format!("{config:?} {:?}", config.server());
    assert!(!debug.contains(secret.trim_matches(['[', ']'])), "{debug}");
    config.set_identity("", "").unwrap();
    let none = refusal(config.server().map(|_| ()));
    assert_eq!(
        none,
        "a server of wss:// needs a certificate and its private key"
    );
}

#[test]
fn a_server_that_demands_certificates_takes_those_of_its_authority_only() {
    let [one, two] = ["one", "two"].map(Authority::new);
    let mut server = serving(&one.issue(&[HOST]));
    server.set_client_ca(&two.pem()).unwrap();
    let mut client = trusting(&one);
    let without = connect(&client, &server);
    without.expect_server_fault(Fault::NoCertificate);
    without.expect_fault(Fault::CertificateDemanded);
    let stranger = one.issue(&["client"]);
    client.set_identity(&stranger.cert, &stranger.key).unwrap();
    let refused = connect(&client, &server);
    refused.expect_server_fault(Fault::UnknownIssuer);
    refused.expect_fault(Fault::OwnRefused);
    let known = two.issue(&["client"]);
    client.set_identity(&known.cert, &known.key).unwrap();
    connect(&client, &server).expect_success();
    server.set_client_ca("").unwrap();
    client.set_identity("", "").unwrap();
    connect(&client, &server).expect_success();
}

#[test]
fn a_server_name_takes_the_place_of_the_host() {
    let authority = Authority::new("one");
    let server = serving(&authority.issue(&["b.example"]));
    let mut client = trusting(&authority);
    connect(&client, &server).expect_fault(Fault::WrongHost);
    client.set_server_name("b.example").unwrap();
    connect(&client, &server).expect_success();
    for bad in [
        "a b",
        "https://a/",
        "a:443",
        "b\u{fc}cher.example",
        "-",
        "a..b",
        ".",
    ] {
        let sentence = refusal(client.set_server_name(bad));
        assert!(sentence.contains(&format!("{bad:?}")), "{sentence}");
    }
    connect(&client, &server).expect_success();
    client.set_server_name("").unwrap();
    connect(&client, &server).expect_fault(Fault::WrongHost);
}

#[test]
fn names_may_end_with_a_dot_and_addresses_have_to_be_certified_as_such() {
    let authority = Authority::new("one");
    let client = trusting(&authority);
    let server = serving(&authority.issue(&[HOST, "127.0.0.1", "::1"]));
    connect_to(Host::Domain("a.example."), &client, &server).expect_success();
    for address in ["127.0.0.1", "::1"] {
        let host = Host::Ip(address.parse().unwrap());
        connect_to(host, &client, &server).expect_success();
    }
    let host = Host::Ip("127.0.0.2".parse().unwrap());
    connect_to(host, &client, &server).expect_fault(Fault::WrongHost);
    let error = client
        .server_name(Host::Domain("a!b"), Peer::Server)
        .unwrap_err();
    assert!(matches!(error, Error::Url(_)), "{error:?}");
}

#[test]
fn a_pin_is_compared_with_the_servers_own_key() {
    let authority = Authority::new("one");
    let rsa = KeyPair::from_pem(RSA_KEY).unwrap();
    let server = serving(&authority.certify(&rsa, &[HOST], |_| {}));
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let mut client = trusting(&authority);
    client.add_pin(other).unwrap();
    let sentence = connect(&client, &server).expect_fault(Fault::NotPinned);
    assert_eq!(
        sentence,
        format!("certificate not pinned: the key of {HOST} is sha256//{RSA_PIN}")
    );
    client.add_pin(&format!("sha256//{RSA_PIN}")).unwrap();
    connect(&client, &server).expect_success();

    // A key that the peer only mentions, behind its own, is not its key.
    let chain = authority.issue(&[HOST]);
    let cert = chain.cert + &authority.certify(&rsa, &[HOST], |_| {}).cert;
    let liar = serving(&Identity { cert, ..chain });
    let mut client = trusting(&authority);
    connect(&client, &liar).expect_success();
    client.add_pin(RSA_PIN).unwrap();
    connect(&client, &liar).expect_fault(Fault::NotPinned);
}

#[test]
fn a_pin_has_32_bytes_in_base64() {
    let mut config = Config::default();
    for bad in [
        "",
        "AAAA",
        "sha256//",
        "sha1//AAAA",
        &RSA_PIN[1..],
        &RSA_PIN[..43],
        "!",
    ] {
        let sentence = refusal(config.add_pin(bad));
        assert_eq!(sentence, format!("pin {bad:?} is not 32 bytes in base64"));
    }
    refusal(config.add_pin(&format!("{RSA_PIN}{RSA_PIN}")));
}

#[test]
fn without_verification_pins_and_signatures_are_still_checked() {
    let authority = Authority::new("one");
    let identity = authority.issue_with(&["b.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    let server = serving(&identity);
    let mut client = Config::default();
    client.set_verify(false);
    assert!(client.is_client_ready(Peer::Server));
    connect(&client, &server).expect_success();
    client.add_pin(RSA_PIN).unwrap();
    connect(&client, &server).expect_fault(Fault::NotPinned);
}

#[test]
fn sessions_are_resumed_unless_that_is_off() {
    let authority = Authority::new("one");
    let server = serving(&authority.issue(&[HOST]));
    let client = trusting(&authority);
    let kind = |client: &Config, server: &Config| {
        let outcome = connect(client, server);
        outcome.expect_success();
        outcome.kind
    };
    assert_eq!(kind(&client, &server), Some(HandshakeKind::Full));
    assert_eq!(kind(&client, &server), Some(HandshakeKind::Resumed));
    assert_eq!(kind(&client.clone(), &server), Some(HandshakeKind::Resumed));
    let (mut deaf, mut mute) = (client.clone(), server.clone());
    deaf.set_resumption(false);
    mute.set_resumption(false);
    for (client, server) in [(&deaf, &server), (&client, &mute), (&deaf, &mute)] {
        assert_eq!(kind(client, server), Some(HandshakeKind::Full));
        assert_eq!(kind(client, server), Some(HandshakeKind::Full));
    }
}

#[test]
fn what_was_built_is_shared_until_something_changes() {
    let authority = Authority::new("one");
    let identity = authority.issue(&[HOST]);
    let mut config = trusting(&authority);
    config.set_identity(&identity.cert, &identity.key).unwrap();
    let clone = config.clone();
    let (client, server) = (
        config.client(Peer::Server).unwrap(),
        config.server().unwrap(),
    );
    assert!(Arc::ptr_eq(&client, &clone.client(Peer::Server).unwrap()));
    assert!(Arc::ptr_eq(&server, &clone.server().unwrap()));
    let changes: [fn(&mut Config, &Authority) -> Result<()>; 10] = [
        |config, authority| config.set_ca(&authority.pem()),
        |config, authority| config.add_ca(&authority.pem()),
        |config, authority| config.set_client_ca(&authority.pem()),
        |config, authority| {
            let identity = authority.issue(&[HOST]);
            config.set_identity(&identity.cert, &identity.key)
        },
        |config, _| config.set_server_name(HOST),
        |config, _| config.add_pin(RSA_PIN),
        |config, _| {
            config.set_verify(false);
            Ok(())
        },
        |config, _| {
            config.set_resumption(false);
            Ok(())
        },
        |config, _| {
            config.set_key_log(true);
            Ok(())
        },
        |config, _| config.set_ca(""),
    ];
    for change in changes {
        let mut changed = clone.clone();
        change(&mut changed, &authority).unwrap();
        assert!(!Arc::ptr_eq(&server, &changed.server().unwrap()));
    }
    assert!(Arc::ptr_eq(&client, &config.client(Peer::Server).unwrap()));
}
