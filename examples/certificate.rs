//! Makes an authority and a certificate of a server, for development and tests.
//!
//!     cargo run --example certificate DIRECTORY [NAME...]
//!
//! Writes `ca.pem`, which clients are to trust, and `cert.pem` and `key.pem`, the server's identity,
//! into the directory, which has to be there. Without names or addresses, the certificate is for
//! this machine: localhost, 127.0.0.1 and ::1. The key of the authority is forgotten, so that it
//! can issue nothing else.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::{env, process};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

/// The machine itself, as its programs call it.
const THIS_MACHINE: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[allow(dead_code, reason = "the tests call only what is below")]
fn main() {
    let mut arguments = env::args().skip(1);
    let Some(directory) = arguments.next() else {
        eprintln!("usage: certificate DIRECTORY [NAME...]");
        process::exit(2);
    };
    let mut names: Vec<String> = arguments.collect();
    if names.is_empty() {
        names = THIS_MACHINE.map(str::to_owned).to_vec();
    }
    if let Err(error) = make(Path::new(&directory), names) {
        eprintln!("{directory}: {error}");
        process::exit(1);
    }
}

/// Makes the three files, with a certificate for `names`.
pub fn make(directory: &Path, names: Vec<String>) -> Result<(), Box<dyn Error>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    // Another one has another name, so that it is known as such.
    let name = format!("wsabi development authority {}", hexadecimal(&key));
    params.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(params, key)?;

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let certificate = params.signed_by(&key, &authority)?;

    write(&directory.join("ca.pem"), &authority.pem(), 0o644)?;
    write(&directory.join("cert.pem"), &certificate.pem(), 0o644)?;
    // For nobody else's eyes, from the beginning.
    write(&directory.join("key.pem"), &key.serialize_pem(), 0o600)?;
    Ok(())
}

/// Some digits of the public key.
fn hexadecimal(key: &KeyPair) -> String {
    let digits = key.public_key_raw().iter().rev().take(8);
    digits.map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a file, which must not be there: an old one could have other permissions.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)?.write_all(text.as_bytes())
}
