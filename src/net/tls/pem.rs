//! Certificates and keys in PEM (RFC 7468).

use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

use super::provider::provider;
use crate::error::{Error, Result, Sentence};

/// The certificates in `text`, each of which can be trusted. Other sections are passed over.
pub fn authorities(name: &str, text: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = certificates(name, text)?;
    root_store(name, &certificates)?;
    Ok(certificates)
}

/// A store that trusts each of the certificates.
pub fn root_store(name: &str, certificates: &[CertificateDer<'static>]) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        let added = store.add(certificate.clone());
        added.map_err(|_| malformed(name, index))?;
    }
    Ok(store)
}

/// A certificate, those that lead to its authority, and its private key.
pub fn identity(cert_pem: &str, key_pem: &str) -> Result<Arc<CertifiedKey>> {
    let chain = certificates("cert_pem", cert_pem)?;
    let key = private_key(key_pem)?;
    let provider = provider();
    let Ok(key) = provider.key_provider.load_private_key(key) else {
        return wrong("key_pem has a private key that is malformed or of an unsupported type");
    };
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(Arc::new(identity))
        }
        Err(rustls::Error::InconsistentKeys(_)) => {
            wrong("the private key of key_pem does not belong to the first certificate of cert_pem")
        }
        Err(_) => Err(malformed("cert_pem", 0)),
    }
}

fn certificates(name: &str, text: &str) -> Result<Vec<CertificateDer<'static>>> {
    let sections = sections(name, text)?;
    let is_empty = sections.is_empty();
    let certificates: Vec<_> = sections
        .into_iter()
        .filter_map(|(kind, der)| CertificateDer::from_pem(kind, der))
        .collect();
    if certificates.is_empty() {
        return wrong(format!(
            "{name} has no certificate{}",
            if is_empty { "" } else { ", but something else" }
        ));
    }
    Ok(certificates)
}

fn private_key(text: &str) -> Result<PrivateKeyDer<'static>> {
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("4,ENCRYPTED") {
        return wrong("key_pem has an encrypted private key: decrypt it first");
    }
    let mut keys = sections("key_pem", text)?
        .into_iter()
        .filter_map(|(kind, der)| PrivateKeyDer::from_pem(kind, der));
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => wrong("key_pem has more than one private key"),
        (None, _) => wrong("key_pem has no private key"),
    }
}

/// What is between the lines that begin and end something known. Errors say nothing of the
/// contents, which may be secret.
fn sections(name: &str, text: &str) -> Result<Vec<(SectionKind, Vec<u8>)>> {
    let sections = PemObject::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>();
    sections.or_else(|error| {
        wrong(match error {
            pem::Error::MissingSectionEnd { .. } => {
                format!("{name} breaks off: it has no END line")
            }
            pem::Error::IllegalSectionStart { .. } => format!("{name} has a malformed BEGIN line"),
            pem::Error::Base64Decode(_) => format!("{name} has a section that is not base64"),
            _ => format!("{name} is not PEM"),
        })
    })
}

fn malformed(name: &str, index: usize) -> Error {
    Error::Argument(format!("certificate {} of {name} is malformed", index + 1).into())
}

fn wrong<T>(sentence: impl Into<Sentence>) -> Result<T> {
    Err(Error::Argument(sentence.into()))
}
