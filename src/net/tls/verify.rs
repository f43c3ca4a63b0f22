//! Who a client takes for the server that it wants.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::provider;
use crate::error::{Error, Result};

/// The SHA-256 of a public key (SubjectPublicKeyInfo), as RFC 7469 and curl pin it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// Reads the digest in base64, with or without the `sha256//` of curl.
    pub fn parse(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("sha256//").unwrap_or(text);
        let digest = BASE64.decode(digits.as_bytes()).ok();
        let digest = digest.and_then(|bytes| bytes.try_into().ok());
        digest.map(Self).ok_or_else(|| {
            Error::Argument(format!("pin {text:?} is not 32 bytes in base64").into())
        })
    }

    /// That of the key that the certificate certifies.
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let digest = provider::sha256(&key)?;
        let digest = digest.as_ref().try_into();
        digest
            .map(Self)
            .map_err(|_| rustls::Error::General("SHA-256 has another size".to_owned()))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256//{}", BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The server's key is none of those that are pinned.
#[derive(Debug)]
pub struct NotPinned {
    /// The key that the server has.
    pub presented: Pin,
}

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key {} is not pinned", self.presented)
    }
}

impl std::error::Error for NotPinned {}

/// Checks the chain, unless that is off, then the pins, and always that the server has the key of
/// its certificate.
#[derive(Debug)]
pub struct Verifier {
    chain: Option<Arc<dyn ServerCertVerifier>>,
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Without `chain`, any certificate will do; without `pins`, any key.
    pub fn new(chain: Option<Arc<dyn ServerCertVerifier>>, pins: Vec<Pin>) -> Self {
        Self {
            chain,
            pins,
            algorithms: provider::provider().signature_verification_algorithms,
        }
    }

    /// The pins are compared with the server's own key only: what else a peer sends may be there
    /// for show, without being part of the chain that was verified.
    fn verify_pin(&self, end_entity: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let presented = Pin::of(end_entity)?;
        if self.pins.contains(&presented) {
            return Ok(());
        }
        let error = OtherError(Arc::new(NotPinned { presented }));
        Err(CertificateError::Other(error).into())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        self.verify_pin(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
