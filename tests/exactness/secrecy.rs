//! Whether a connection is through TLS, with a certificate made for this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::abi::{Delivery, Options, functions};
use crate::peers::Compression;
use crate::support::tls::{Authority, Identity, LOCAL};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Secrecy {
    None,
    Tls,
}

pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);
pub static IDENTITY: LazyLock<Identity> = LazyLock::new(|| AUTHORITY.issue(LOCAL));

/// The same as files, for other programs.
pub struct Files {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

pub static FILES: LazyLock<Files> = LazyLock::new(|| {
    // They are this process's own, beside that of another delivery.
    let name = format!("exactness-{:?}", Delivery::of_tests());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    Files {
        ca: write("ca.pem", &AUTHORITY.pem()),
        cert: write("cert.pem", &IDENTITY.cert),
        key: write("key.pem", &IDENTITY.key),
    }
});

/// Everything with everything.
pub fn combine(compressions: &[Compression]) -> impl Iterator<Item = (Compression, Secrecy)> {
    let secrecies = [Secrecy::None, Secrecy::Tls];
    compressions
        .iter()
        .flat_map(move |compression| secrecies.map(|secrecy| (*compression, secrecy)))
}

impl Secrecy {
    pub fn url(self, port: u16) -> String {
        match self {
            Self::None => format!("ws://127.0.0.1:{port}/"),
            Self::Tls => format!("wss://127.0.0.1:{port}/"),
        }
    }

    /// Where a server may listen.
    pub fn any(self) -> &'static str {
        match self {
            Self::None => "ws://127.0.0.1:0/",
            Self::Tls => "wss://127.0.0.1:0/",
        }
    }

    /// Settings of a client.
    pub fn trust(self, options: Options) -> Options {
        match self {
            Self::None => options,
            Self::Tls => options.set_text(functions().options_set_tls_ca, AUTHORITY.pem()),
        }
    }

    /// Settings of a server.
    pub fn be_somebody(self, options: Options) -> Options {
        match self {
            Self::None => options,
            Self::Tls => options.with_identity(&IDENTITY.cert, &IDENTITY.key),
        }
    }
}
