//! Certificates made on the spot, and two ends joined by buffers.

use crate::net::tls::Peer;
use std::sync::Arc;

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, HandshakeKind, ServerConfig, ServerConnection,
};

use crate::net::tls::{Config, Fault, explain};
use crate::net::url::Host;

/// The name that most tests ask for.
pub const HOST: &str = "a.example";

/// A certificate and its private key, both in PEM.
pub struct Identity {
    pub cert: String,
    pub key: String,
}

/// Who issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = rcgen::DnType::CommonName;
        params.distinguished_name.push(key, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
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
        self.certify(&KeyPair::generate().unwrap(), names, change)
    }

    /// A certificate for a key that is there.
    pub fn certify(
        &self,
        key: &KeyPair,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        Identity {
            cert: params.signed_by(key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A client that trusts this authority alone.
pub fn trusting(authority: &Authority) -> Config {
    let mut config = Config::default();
    config.set_ca(&authority.pem()).unwrap();
    config
}

/// A server that is somebody.
pub fn serving(identity: &Identity) -> Config {
    let mut config = Config::default();
    config.set_identity(&identity.cert, &identity.key).unwrap();
    config
}

/// How a handshake ended at each end.
#[derive(Debug)]
pub struct Outcome {
    pub client: Result<(), rustls::Error>,
    pub server: Result<(), rustls::Error>,
    /// The client's, if the handshake was complete.
    pub kind: Option<HandshakeKind>,
    pub session: ClientConnection,
}

impl Outcome {
    #[track_caller]
    pub fn expect_success(&self) {
        assert_eq!((&self.client, &self.server), (&Ok(()), &Ok(())));
        assert_eq!(self.session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }

    /// The sentence for the client's failure, after a look at its kind.
    #[track_caller]
    pub fn expect_fault(&self, fault: Fault) -> String {
        sentence(self.client.as_ref().unwrap_err(), fault)
    }

    #[track_caller]
    pub fn expect_server_fault(&self, fault: Fault) -> String {
        sentence(self.server.as_ref().unwrap_err(), fault)
    }
}

#[track_caller]
pub fn sentence(error: &rustls::Error, fault: Fault) -> String {
    let sentence = explain(error, HOST).to_string();
    assert_eq!(Fault::of(error), fault, "{sentence}");
    assert!(
        sentence.starts_with(&format!("{}: ", fault.words())),
        "{sentence}"
    );
    sentence
}

/// Connects to `HOST`.
pub fn connect(client: &Config, server: &Config) -> Outcome {
    connect_to(Host::Domain(HOST), client, server)
}

pub fn connect_to(host: Host<'_>, client: &Config, server: &Config) -> Outcome {
    let name = client.server_name(host, Peer::Server).unwrap();
    join(
        client.client(Peer::Server).unwrap(),
        name,
        server.server().unwrap(),
    )
}

/// Lets two ends talk until neither has anything to say.
pub fn join(
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
    server: Arc<ServerConfig>,
) -> Outcome {
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    let mut outcomes = (Ok(()), Ok(()));
    loop {
        let said = hand_over(&mut client, &mut server, &mut outcomes.1);
        let answered = hand_over(&mut server, &mut client, &mut outcomes.0);
        if !said && !answered {
            break;
        }
    }
    let is_complete = !client.is_handshaking() && outcomes.0.is_ok();
    Outcome {
        client: outcomes.0,
        server: outcomes.1,
        kind: client.handshake_kind().filter(|_| is_complete),
        session: client,
    }
}

/// Whether there was anything to hand over. The first failure of the receiver stays.
fn hand_over<A, B>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
    outcome: &mut Result<(), rustls::Error>,
) -> bool {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    if !bytes.is_empty() && outcome.is_ok() {
        *outcome = feed(to, &bytes);
    }
    !bytes.is_empty()
}

/// Gives an end bytes of its peer.
pub fn feed<T>(end: &mut ConnectionCommon<T>, mut bytes: &[u8]) -> Result<(), rustls::Error> {
    while !bytes.is_empty() {
        end.read_tls(&mut bytes).unwrap();
        end.process_new_packets()?;
    }
    Ok(())
}

/// A section of PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let body = BASE64.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
