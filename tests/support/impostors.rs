//! Clients whose certificates are none, or not theirs, or not good for it.

use std::sync::Arc;

use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, SupportedProtocolVersion};

use super::tls::{Authority, Identity, provider, trusting_client};

/// A client that shows what it likes, and signs with a real key.
pub struct Impostor {
    pub what: &'static str,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Impostor {
    /// Every kind of them, for a server that takes the clients of an authority.
    pub fn all(authority: &Authority) -> Vec<Self> {
        let friend = authority.issue(&["client"]);
        let [good, ..] = &friend.chain()[..] else {
            panic!("no certificate");
        };
        let junk = |len: u32| CertificateDer::from((0..len).map(noise).collect::<Vec<u8>>());
        // One that begins as a certificate of this length does.
        let long = [&[0x30, 0x82, 0xea, 0x60][..], &junk(60_000)].concat();
        let truncated = good[..good.len() / 2].to_vec();
        let mut impostors: Vec<Self> = [
            ("garbage", vec![junk(500)]),
            ("a byte", vec![vec![0x30].into()]),
            ("half a certificate", vec![truncated.into()]),
            ("an empty certificate", vec![Vec::new().into()]),
            ("60 KB of garbage", vec![long.clone().into()]),
            ("more than a message has room for", vec![long.into(); 2]),
            ("the authority's own", vec![authority.der()]),
        ]
        .into_iter()
        .map(|(what, chain)| Self::new(what, chain, &friend))
        .collect();
        impostors.push(Self::new(
            "somebody else's key",
            friend.chain(),
            &authority.issue(&["client"]),
        ));
        impostors.push(Self::with_a_hundred());
        let other = Authority::new();
        let identities = [
            ("self-signed", Identity::of_itself(&["client"])),
            ("another authority", other.issue(&["client"])),
            (
                "expired",
                authority.issue_with(&["client"], |it| it.not_after = date_time_ymd(2001, 1, 1)),
            ),
            (
                "not yet valid",
                authority.issue_with(&["client"], |it| it.not_before = date_time_ymd(3000, 1, 1)),
            ),
            (
                "for servers only",
                authority.issue_with(&["client"], |it| {
                    it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                }),
            ),
        ];
        impostors.extend(identities.map(|(what, it)| Self::new(what, it.chain(), &it)));
        impostors
    }

    /// Authorities of the same name, any of which may have issued any other.
    fn with_a_hundred() -> Self {
        let authorities = [const { "the same" }; 99].map(Authority::called);
        let identity = authorities[98].issue(&["client"]);
        let mut chain = identity.chain();
        chain.extend(authorities.iter().map(Authority::der));
        Self::new("a hundred certificates", chain, &identity)
    }

    fn new(what: &'static str, chain: Vec<CertificateDer<'static>>, signer: &Identity) -> Self {
        Self {
            what,
            chain,
            key: signer.key(),
        }
    }

    /// It trusts the server.
    pub fn config(
        &self,
        authority: &Authority,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let key = any_supported_type(&self.key).unwrap();
        let shown = CertifiedKey::new(self.chain.clone(), key);
        trusting_client(authority, provider(), &[version])
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
    }
}

fn noise(place: u32) -> u8 {
    (place.wrapping_mul(0x9e37_79b9) >> 24) as u8
}
