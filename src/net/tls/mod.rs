//! TLS: what is trusted, who this end is, the sessions, and what a failure means.

mod config;
mod explain;
mod layer;
mod once;
mod pem;
mod provider;
mod session;
mod verify;

#[cfg(test)]
mod tests;

use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite};

pub use config::{Config, Peer};
pub use explain::{Fault, explain};
pub use layer::Layer;
pub use rustls::ServerConfig;
pub use session::{Ending, Session};

/// The version, as OpenSSL and browsers write it.
pub fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "",
    }
}

/// The cipher suite's name in the registry of IANA.
pub fn cipher_name(suite: SupportedCipherSuite) -> &'static str {
    match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        suite => suite.as_str().unwrap_or(""),
    }
}
