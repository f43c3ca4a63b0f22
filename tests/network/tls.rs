//! Certificates, and a TLS that the tests speak themselves.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The end of a connection that TLS protects.
pub type Secured<S> = StreamOwned<ServerConnection, S>;

/// A certificate and its key.
pub struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// The authority of all certificates here, as PEM.
pub fn authority() -> String {
    issuer().pem()
}

fn issuer() -> &'static CertifiedIssuer<'static, KeyPair> {
    static ISSUER: OnceLock<CertifiedIssuer<'static, KeyPair>> = OnceLock::new();
    ISSUER.get_or_init(|| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    })
}

impl Identity {
    /// One for a name or an address.
    pub fn of(name: &str) -> Self {
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer()).unwrap();
        Self { certificate, key }
    }

    /// As the options of a server take it.
    pub fn pem(&self) -> (String, String) {
        (self.certificate.pem(), self.key.serialize_pem())
    }

    /// What a client pins.
    pub fn pin(&self) -> String {
        use rcgen::PublicKeyData;
        let digest = digest(&self.key.subject_public_key_info());
        format!("sha256//{}", data_encoding::BASE64.encode(&digest))
    }

    /// Begins TLS in the role of the server.
    pub fn secure<S: Read + Write>(&self, stream: S) -> Secured<S> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.der().clone()], key)
            .unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        StreamOwned::new(connection, stream)
    }
}

/// SHA-256, by the provider of TLS.
fn digest(bytes: &[u8]) -> Vec<u8> {
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().unwrap().common.hash_provider;
    hash.hash(bytes).as_ref().to_vec()
}
