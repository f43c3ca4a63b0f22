//! What each failure is called.

use crate::net::tls::Peer;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConnection, PeerIncompatible, ServerConfig, ServerConnection,
};

use super::pair::{Authority, HOST, Identity, connect, feed, join, sentence, serving, trusting};
use crate::net::tls::provider::provider;
use crate::net::tls::{Config, Fault, pem};

fn name() -> ServerName<'static> {
    ServerName::try_from(HOST).unwrap()
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    let authority = Authority::new("one");
    let expired = authority.issue_with(&[HOST], |params| {
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let outcome = connect(&trusting(&authority), &serving(&expired));
    let sentence = outcome.expect_fault(Fault::Expired);
    assert!(sentence.starts_with("certificate expired: that of a.example ended "));
    assert!(sentence.ends_with(" days ago"), "{sentence}");
    outcome.expect_server_fault(Fault::OwnRefused);

    let early = authority.issue_with(&[HOST], |params| {
        params.not_before = date_time_ymd(3000, 1, 1);
    });
    let sentence =
        connect(&trusting(&authority), &serving(&early)).expect_fault(Fault::NotYetValid);
    assert!(
        sentence.contains("begins in") && sentence.ends_with(" days"),
        "{sentence}"
    );
}

#[test]
fn a_certificate_for_another_host_is_refused_with_its_names() {
    let authority = Authority::new("one");
    for (names, expected) in [
        (
            &["b.example"][..],
            "it is for b.example, and not for a.example",
        ),
        (
            &["*.a.example", "127.0.0.1"],
            "it is for *.a.example, 127.0.0.1, and not for a.example",
        ),
        (
            &["1.x", "2.x", "3.x", "4.x", "5.x", "6.x"],
            "it is for 1.x, 2.x, 3.x, 4.x, 5.x, others, and not for a.example",
        ),
    ] {
        let outcome = connect(&trusting(&authority), &serving(&authority.issue(names)));
        let sentence = outcome.expect_fault(Fault::WrongHost);
        assert_eq!(
            sentence,
            format!("certificate for another host: {expected}")
        );
    }
}

#[test]
fn a_common_name_is_not_looked_at() {
    let authority = Authority::new("one");
    let identity = authority.issue_with(&[], |params| {
        params.distinguished_name.push(DnType::CommonName, HOST);
    });
    let outcome = connect(&trusting(&authority), &serving(&identity));
    let sentence = outcome.expect_fault(Fault::WrongHost);
    assert!(
        sentence.ends_with("it is for no host at all, and not for a.example"),
        "{sentence}"
    );
}

#[test]
fn a_certificate_that_nobody_trusted_has_issued_is_refused() {
    let client = trusting(&Authority::new("one"));
    let stranger = Authority::new("two").issue(&[HOST]);
    connect(&client, &serving(&stranger)).expect_fault(Fault::UnknownIssuer);
    // Of the same name, but with another key.
    let impostor = Authority::new("one").issue(&[HOST]);
    connect(&client, &serving(&impostor)).expect_fault(Fault::Refused);

    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([HOST.to_owned()]).unwrap();
    let itself = Identity {
        cert: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    };
    connect(&client, &serving(&itself)).expect_fault(Fault::UnknownIssuer);
    let mut client = client;
    client.add_ca(&itself.cert).unwrap();
    connect(&client, &serving(&itself)).expect_success();
}

#[test]
fn a_certificate_for_another_purpose_is_refused() {
    let authority = Authority::new("one");
    let identity = authority.issue_with(&[HOST], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    });
    connect(&trusting(&authority), &serving(&identity)).expect_fault(Fault::Refused);
}

#[test]
fn a_server_without_the_key_of_its_certificate_is_refused_even_without_verification() {
    let authority = Authority::new("one");
    let [mine, other] = [HOST, HOST].map(|name| authority.issue(&[name]));
    let mine = pem::identity(&mine.cert, &mine.key).unwrap();
    let other = pem::identity(&other.cert, &other.key).unwrap();
    let thief = CertifiedKey::new(mine.cert.clone(), other.key.clone());
    let server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(thief)));
    let mut client = Config::default();
    client.set_verify(false);
    let outcome = join(
        client.client(Peer::Server).unwrap(),
        name(),
        Arc::new(server),
    );
    outcome.expect_fault(Fault::Refused);
}

#[test]
fn a_peer_that_speaks_no_tls_is_told_apart() {
    let authority = Authority::new("one");
    let config = trusting(&authority).client(Peer::Server).unwrap();
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        &[0xFF; 99],
    ] {
        let mut client = ClientConnection::new(config.clone(), name()).unwrap();
        let error = feed(&mut client, bytes).unwrap_err();
        let sentence = sentence(&error, Fault::NotTls);
        assert_eq!(sentence, "not TLS: a.example has sent something else");
    }
    let config = serving(&authority.issue(&[HOST])).server().unwrap();
    let mut server = ServerConnection::new(config).unwrap();
    let error = feed(&mut server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap_err();
    sentence(&error, Fault::NotTls);
}

#[test]
fn alerts_are_named() {
    let config = trusting(&Authority::new("one"))
        .client(Peer::Server)
        .unwrap();
    for (alert, fault, text) in [
        (
            40,
            Fault::Alert,
            "alert received: handshake_failure (40) from a.example",
        ),
        (
            80,
            Fault::Alert,
            "alert received: internal_error (80) from a.example",
        ),
        (
            99,
            Fault::Alert,
            "alert received: unknown (99) from a.example",
        ),
        (
            48,
            Fault::OwnRefused,
            "own certificate refused: unknown_ca (48) from a.example",
        ),
        (
            70,
            Fault::NothingInCommon,
            "nothing in common: protocol_version (70) from a.example",
        ),
        (
            116,
            Fault::CertificateDemanded,
            "certificate demanded: certificate_required (116) from a.example",
        ),
    ] {
        let mut client = ClientConnection::new(config.clone(), name()).unwrap();
        let fatal = [21, 3, 3, 0, 2, 2, alert];
        let error = feed(&mut client, &fatal).unwrap_err();
        assert_eq!(sentence(&error, fault), text);
    }
}

#[test]
fn only_http_1_1_is_spoken_and_only_tls_1_2_and_1_3() {
    let authority = Authority::new("one");
    let server = serving(&authority.issue(&[HOST]));
    let client = trusting(&authority);

    let mut other = (*client.client(Peer::Server).unwrap()).clone();
    other.alpn_protocols = vec![b"h2".to_vec()];
    let outcome = join(Arc::new(other), name(), server.server().unwrap());
    outcome.expect_server_fault(Fault::NoProtocol);
    outcome.expect_fault(Fault::NoProtocol);

    let mut other = (*server.server().unwrap()).clone();
    other.alpn_protocols = vec![b"h2".to_vec()];
    let outcome = join(
        client.client(Peer::Server).unwrap(),
        name(),
        Arc::new(other),
    );
    outcome.expect_fault(Fault::NoProtocol);

    for version in [&TLS12, &TLS13] {
        let identity = authority.issue(&[HOST]);
        let other = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(
                pem::identity(&identity.cert, &identity.key).unwrap(),
            )));
        let outcome = join(
            client.client(Peer::Server).unwrap(),
            name(),
            Arc::new(other),
        );
        assert_eq!((&outcome.client, &outcome.server), (&Ok(()), &Ok(())));
        assert_eq!(outcome.session.protocol_version(), Some(version.version));
        assert_eq!(outcome.session.alpn_protocol(), None);
    }
}

#[test]
fn ends_without_a_common_cipher_have_nothing_in_common() {
    let authority = Authority::new("one");
    let mut limited = CryptoProvider::clone(&provider());
    // The key of the certificate is none for RSA.
    limited
        .cipher_suites
        .retain(|suite| super::super::cipher_name(*suite).contains("ECDHE_RSA"));
    let identity = authority.issue(&[HOST]);
    let server = ServerConfig::builder_with_provider(Arc::new(limited))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(
            pem::identity(&identity.cert, &identity.key).unwrap(),
        )));
    let outcome = join(
        trusting(&authority).client(Peer::Server).unwrap(),
        name(),
        Arc::new(server),
    );
    outcome.expect_server_fault(Fault::NothingInCommon);
    outcome.expect_fault(Fault::Alert);
    let error = PeerIncompatible::ServerDoesNotSupportTls12Or13.into();
    sentence(&error, Fault::NothingInCommon);
}

#[test]
fn what_needs_other_authorities_than_these_has_its_words_too() {
    for (error, fault) in [
        (CertificateError::Revoked, Fault::Revoked),
        (CertificateError::BadEncoding, Fault::Refused),
        (CertificateError::UnknownRevocationStatus, Fault::Refused),
        (CertificateError::Expired, Fault::Expired),
        (CertificateError::NotValidYet, Fault::NotYetValid),
        (CertificateError::NotValidForName, Fault::WrongHost),
    ] {
        let sentence = sentence(&error.into(), fault);
        assert!(sentence.contains(HOST), "{sentence}");
    }
    sentence(&rustls::Error::DecryptError, Fault::Violation);
    sentence(&rustls::Error::FailedToGetRandomBytes, Fault::Failed);
    let error = Fault::Truncated.error("a.example closed the connection without saying so");
    assert!(error.to_string().starts_with("truncated: "));
}

#[test]
fn certificates_and_settings_are_permanent_and_accidents_are_not() {
    for fault in Fault::ALL {
        let is_accident = matches!(
            fault,
            Fault::Alert | Fault::Truncated | Fault::Violation | Fault::Failed
        );
        assert_eq!(fault.is_permanent(), !is_accident, "{fault:?}");
    }
}

#[test]
fn the_manual_lists_the_words_of_every_kind() {
    let manual = include_str!("../../../ffi/status.rs");
    for fault in Fault::ALL {
        let words = format!("\"{}:\"", fault.words());
        assert!(manual.contains(&words), "{words}");
    }
}
