//! Certificates made on the spot, and a TLS that is not the library's.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, ConfigBuilder, ConnectionCommon, RootCertStore,
    ServerConfig, ServerConnection, SideData, StreamOwned, SupportedProtocolVersion,
};

/// The ends of a connection.
pub type ServerStream = StreamOwned<ServerConnection, TcpStream>;
pub type ClientStream = StreamOwned<ClientConnection, TcpStream>;

pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A certificate and its private key, both in PEM.
#[derive(Clone)]
pub struct Identity {
    pub cert: String,
    pub key: String,
}

impl Identity {
    /// Signed with its own key.
    pub fn of_itself(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        Self {
            cert: params(names).self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// What a client pins.
    pub fn pin(&self) -> String {
        use rcgen::PublicKeyData;
        let key = KeyPair::from_pem(&self.key).unwrap();
        let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let sha256 = suite.tls13().unwrap().common.hash_provider;
        let digest = sha256.hash(&key.subject_public_key_info());
        data_encoding::BASE64.encode(digest.as_ref())
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes());
        chain.map(Result::unwrap).collect()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// Who issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        // Each has a name of its own.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::called(&format!("authority {number}"))
    }

    pub(super) fn called(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// Its private key, in PEM.
    pub fn key_pem(&self) -> String {
        self.0.key().serialize_pem()
    }

    /// A certificate for names and addresses.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    /// The same, changed before it is signed.
    pub fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Identity {
            cert: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// For this machine, which is what most tests want.
pub const LOCAL: &[&str] = &["localhost", "127.0.0.1"];

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

/// A server that is somebody.
pub fn server_config(
    identity: &Identity,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain(), identity.key())
        .unwrap()
}

/// A client that trusts one authority, and may be somebody itself.
pub fn client_config(
    authority: &Authority,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let builder = trusting_client(authority, provider(), versions);
    match identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain(), identity.key())
            .unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// A client that knows a single suite, of TLS 1.2.
pub fn client_config_of_tls12(authority: &Authority, suite: CipherSuite) -> ClientConfig {
    let mut provider = CryptoProvider::clone(&provider());
    provider.cipher_suites.retain(|it| it.suite() == suite);
    trusting_client(authority, provider.into(), &[&TLS12]).with_no_client_auth()
}

/// A client of which is not yet known who it is.
pub(super) fn trusting_client(
    authority: &Authority,
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.pem().as_bytes());
    roots.add(certificate.unwrap()).unwrap();
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
}

/// A server's end, before the handshake.
pub fn serve(stream: TcpStream, config: impl Into<Arc<ServerConfig>>) -> ServerStream {
    StreamOwned::new(ServerConnection::new(config.into()).unwrap(), stream)
}

/// A client's end, before the handshake.
pub fn ask(stream: TcpStream, config: impl Into<Arc<ClientConfig>>) -> ClientStream {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(config.into(), name).unwrap(), stream)
}

/// Lets the handshake take place, and says what there is to say after it.
pub fn shake_hands<C, S>(stream: &mut StreamOwned<C, TcpStream>) -> io::Result<()>
where
    C: std::ops::DerefMut<Target = ConnectionCommon<S>>,
    S: SideData,
{
    while stream.conn.is_handshaking() || stream.conn.wants_write() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(())
}

/// Tells the other end that nothing more comes.
pub fn end<C, S>(stream: &mut StreamOwned<C, TcpStream>)
where
    C: std::ops::DerefMut<Target = ConnectionCommon<S>>,
    S: SideData,
{
    stream.conn.send_close_notify();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock).unwrap();
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
