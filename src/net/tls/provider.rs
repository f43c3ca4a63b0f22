//! The cryptography below TLS: one of two, chosen when the library is built.

use std::sync::Arc;

#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as chosen;
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
use rustls::crypto::ring as chosen;
use rustls::crypto::{CryptoProvider, hash};
use rustls::server::ProducesTickets;

#[cfg(all(feature = "ring", feature = "aws-lc-rs"))]
compile_error!("one of the features ring and aws-lc-rs is enough: use --no-default-features");
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
compile_error!("TLS needs one of the features ring and aws-lc-rs");

/// Cipher suites, key exchanges and signatures. The default of the process is never asked: it
/// belongs to the application.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(chosen::default_provider())
}

/// Makes the tickets of a server, under keys that change every few hours.
pub fn ticketer() -> Result<Arc<dyn ProducesTickets>, rustls::Error> {
    chosen::Ticketer::new()
}

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Result<hash::Output, rustls::Error> {
    let suite = chosen::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
    let suite = suite.ok_or_else(|| rustls::Error::General("there is no SHA-256".to_owned()))?;
    Ok(suite.common.hash_provider.hash(bytes))
}
