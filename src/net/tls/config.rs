//! The settings of TLS, and what rustls makes of them.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, KeyLogFile, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_platform_verifier::Verifier as Platform;

use super::explain::Fault;
use super::once::Once;
use super::pem;
use super::provider::{provider, ticketer};
use super::verify::{Pin, Verifier};
use crate::error::{Error, Result};
use crate::net::url::Host;

/// What TLS is to do, as a client and as a server. Every value is checked when it is set.
#[derive(Clone)]
pub struct Config {
    authorities: Authorities,
    identity: Option<Arc<CertifiedKey>>,
    client_ca: Option<Arc<RootCertStore>>,
    server_name: Option<ServerName<'static>>,
    pins: Vec<Pin>,
    verify: bool,
    resumption: bool,
    key_log: bool,
    /// INVARIANT: made from the values above, and shared only by clones that have the same.
    built: Arc<Built>,
}

/// Whom a client trusts to say who a server is.
#[derive(Clone)]
struct Authorities {
    /// Those of the system.
    platform: bool,
    /// Others.
    own: Vec<CertificateDer<'static>>,
}

/// To whom a client speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The one that the application wants: identity, pins and server name are for it.
    Server,
    /// A proxy on the way.
    Proxy,
}

#[derive(Default)]
struct Built {
    client: Once<ClientConfig>,
    proxy_client: Once<ClientConfig>,
    server: Once<ServerConfig>,
}

impl Config {
    /// Trusts the certificates in `pem` and no others. Empty: the platform's alone, which is the
    /// default.
    pub fn set_ca(&mut self, pem: &str) -> Result<()> {
        let authorities = if pem.is_empty() {
            Authorities::default()
        } else {
            Authorities {
                platform: false,
                own: pem::authorities("pem", pem)?,
            }
        };
        self.edit().authorities = authorities;
        Ok(())
    }

    /// Trusts the certificates in `pem` besides those that are trusted so far.
    pub fn add_ca(&mut self, pem: &str) -> Result<()> {
        let own = pem::authorities("pem", pem)?;
        self.edit().authorities.own.extend(own);
        Ok(())
    }

    /// Sets who this end is: its certificate first, then those that lead to its authority, and the
    /// private key (PKCS#8, PKCS#1 or SEC1). Both empty: nobody, which is the default of a client.
    pub fn set_identity(&mut self, cert_pem: &str, key_pem: &str) -> Result<()> {
        let identity = if cert_pem.is_empty() && key_pem.is_empty() {
            None
        } else {
            Some(pem::identity(cert_pem, key_pem)?)
        };
        self.edit().identity = identity;
        Ok(())
    }

    /// Makes a server demand a certificate of its clients, from one of these authorities. Empty:
    /// it does not, which is the default.
    pub fn set_client_ca(&mut self, pem: &str) -> Result<()> {
        let client_ca = if pem.is_empty() {
            None
        } else {
            let certificates = pem::authorities("pem", pem)?;
            Some(Arc::new(pem::root_store("pem", &certificates)?))
        };
        self.edit().client_ca = client_ca;
        Ok(())
    }

    /// Sets the name that a client asks for and checks, in place of the URL's host. Empty: that
    /// host, which is the default.
    pub fn set_server_name(&mut self, name: &str) -> Result<()> {
        let server_name = match name {
            "" => None,
            _ => Some(parse_name(name).ok_or_else(|| {
                let sentence =
                    format!("server name {name:?} is neither a host name nor an address");
                Error::Argument(sentence.into())
            })?),
        };
        self.edit().server_name = server_name;
        Ok(())
    }

    /// Demands that the server's own key is this one, or another that was added: the SHA-256 of
    /// its SubjectPublicKeyInfo in base64, with or without `sha256//` before it.
    pub fn add_pin(&mut self, pin: &str) -> Result<()> {
        let pin = Pin::parse(pin)?;
        self.edit().pins.push(pin);
        Ok(())
    }

    /// Sets whether a client verifies certificates, which is the default. Pins are checked anyhow.
    pub fn set_verify(&mut self, on: bool) {
        self.edit().verify = on;
    }

    /// Sets whether sessions may be resumed, which is the default.
    pub fn set_resumption(&mut self, on: bool) {
        self.edit().resumption = on;
    }

    /// Sets whether keys are logged to the file that SSLKEYLOGFILE names. Default: never.
    pub fn set_key_log(&mut self, on: bool) {
        self.edit().key_log = on;
    }

    /// What the sessions of a client with `peer` share. The first call may read files; see
    /// `is_client_ready`.
    pub fn client(&self, peer: Peer) -> Result<Arc<ClientConfig>> {
        let once = self.built.client(peer);
        once.get_or_make(|| self.build_client(peer))
    }

    /// Whether `client` returns at once, since nothing has to be loaded from the system.
    pub fn is_client_ready(&self, peer: Peer) -> bool {
        let needs_platform = self.verify && self.authorities.platform;
        !needs_platform || self.built.client(peer).is_made()
    }

    /// What the sessions of a server share.
    pub fn server(&self) -> Result<Arc<ServerConfig>> {
        self.built.server.get_or_make(|| self.build_server())
    }

    /// The name to ask `host` for and to check. An address is looked for among the addresses of
    /// the certificate, and not sent to the server.
    pub fn server_name(&self, host: Host<'_>, peer: Peer) -> Result<ServerName<'static>> {
        if let (Some(name), Peer::Server) = (&self.server_name, peer) {
            return Ok(name.clone());
        }
        match host {
            Host::Ip(address) => Ok(ServerName::IpAddress(address.into())),
            Host::Domain(name) => parse_name(name).ok_or_else(|| {
                Error::Url(format!("host {name:?} cannot be the name of a certificate").into())
            }),
        }
    }

    fn edit(&mut self) -> &mut Self {
        self.built = Arc::default();
        self
    }

    fn build_client(&self, peer: Peer) -> Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.verifier(peer)?));
        let mut config = match &self.identity {
            Some(identity) if peer == Peer::Server => {
                builder.with_client_cert_resolver(resolver(identity))
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn();
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(config)
    }

    fn verifier(&self, peer: Peer) -> Result<Verifier> {
        let chain = if self.verify {
            Some(self.authorities.verifier()?)
        } else {
            log::warn!("TLS certificates are not verified: anyone may pose as the server");
            None
        };
        let pins = match peer {
            Peer::Server => self.pins.clone(),
            Peer::Proxy => Vec::new(),
        };
        Ok(Verifier::new(chain, pins))
    }

    fn build_server(&self) -> Result<ServerConfig> {
        let Some(identity) = &self.identity else {
            return Err(Error::Argument(
                "a server of wss:// needs a certificate and its private key".into(),
            ));
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(unusable)?;
        let builder = match &self.client_ca {
            Some(roots) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.clone(), provider());
                builder.with_client_cert_verifier(verifier.build().map_err(unusable)?)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(resolver(identity));
        config.alpn_protocols = alpn();
        if self.resumption {
            config.ticketer = ticketer().map_err(unusable)?;
        } else {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(config)
    }
}

impl Built {
    fn client(&self, peer: Peer) -> &Once<ClientConfig> {
        match peer {
            Peer::Server => &self.client,
            Peer::Proxy => &self.proxy_client,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            authorities: Authorities::default(),
            identity: None,
            client_ca: None,
            server_name: None,
            pins: Vec::new(),
            verify: true,
            resumption: true,
            key_log: false,
            built: Arc::default(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("platform", &self.authorities.platform)
            .field("authorities", &self.authorities.own.len())
            .field("has_identity", &self.identity.is_some())
            .field("demands_identity", &self.client_ca.is_some())
            .field("server_name", &self.server_name)
            .field("pins", &self.pins)
            .field("verify", &self.verify)
            .field("resumption", &self.resumption)
            .field("key_log", &self.key_log)
            .finish_non_exhaustive()
    }
}

impl Authorities {
    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>> {
        if self.platform {
            return Ok(Arc::new(self.platform_verifier()?));
        }
        let roots = pem::root_store("pem", &self.own)?;
        let builder = WebPkiServerVerifier::builder_with_provider(roots.into(), provider());
        Ok(builder.build().map_err(unusable)?)
    }

    fn platform_verifier(&self) -> Result<Platform> {
        #[cfg(not(target_os = "android"))]
        let verifier = Platform::new_with_extra_roots(self.own.iter().cloned(), provider());
        #[cfg(target_os = "android")]
        let verifier = {
            if !self.own.is_empty() {
                let sentence = "on Android, authorities cannot be added to those of the system";
                return Err(Fault::Failed.error(sentence));
            }
            Platform::new(provider())
        };
        verifier.map_err(|error| {
            Fault::Failed.error(&format!("no trusted certificates of the system: {error}"))
        })
    }
}

impl Default for Authorities {
    fn default() -> Self {
        Self {
            platform: true,
            own: Vec::new(),
        }
    }
}

/// RFC 6455 is an upgrade of HTTP/1.1, and of nothing else.
fn alpn() -> Vec<Vec<u8>> {
    vec![b"http/1.1".to_vec()]
}

fn resolver(identity: &Arc<CertifiedKey>) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(identity.clone()))
}

/// A DNS name, without the dot that makes it absolute (RFC 6066 §3), or an address.
fn parse_name(name: &str) -> Option<ServerName<'static>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    ServerName::try_from(name.to_owned()).ok()
}

fn unusable(error: impl fmt::Display) -> Error {
    Fault::Failed.error(&format!("these settings cannot be used: {error}"))
}

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
