//! The store of the system, in a process of its own: SSL_CERT_FILE says where it is.

use crate::net::tls::Peer;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::pair::{Authority, HOST, Identity, connect, serving};
use crate::error::Error;
use crate::net::tls::{Config, Fault};

/// In a run that the function below began: the folder with the store.
fn store() -> Option<PathBuf> {
    env::var_os(STORE).map(PathBuf::from)
}

/// Runs a test of this file in a process of its own, with `ca.pem` in `folder` as the store.
fn run_with_store(test: &str, folder: &Path) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("net::tls::tests::platform::{test}")])
        .env(STORE, folder)
        .env("SSL_CERT_FILE", folder.join("ca.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}

const STORE: &str = "WSABI_TEST_STORE";

#[test]
fn without_a_store_nothing_is_trusted() {
    if store().is_none() {
        let nowhere = Path::new("/nonexistent");
        return run_with_store("without_a_store_nothing_is_trusted", nowhere);
    }
    let authority = Authority::new("one");
    let mut config = Config::default();
    for _ in 0..2 {
        assert!(!config.is_client_ready(Peer::Server));
        let error = config.client(Peer::Server).unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error:?}");
        let sentence = error.to_string();
        assert!(
            sentence.starts_with("TLS failed: no trusted certificates"),
            "{sentence}"
        );
    }
    config.add_ca(&authority.pem()).unwrap();
    connect(&config, &serving(&authority.issue(&[HOST]))).expect_success();
    config.set_ca("").unwrap();
    assert!(config.client(Peer::Server).is_err());
}

#[test]
fn the_systems_authorities_are_trusted_by_default_and_besides_added_ones() {
    let Some(folder) = store() else {
        let folder = env::temp_dir().join(format!("wsabi-store-{}", std::process::id()));
        let authority = Authority::new("system");
        let identity = authority.issue(&[HOST]);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
        fs::write(folder.join("cert.pem"), identity.cert).unwrap();
        fs::write(folder.join("key.pem"), identity.key).unwrap();
        let test = "the_systems_authorities_are_trusted_by_default_and_besides_added_ones";
        run_with_store(test, &folder);
        return fs::remove_dir_all(folder).unwrap();
    };
    let [cert, key] =
        ["cert.pem", "key.pem"].map(|name| fs::read_to_string(folder.join(name)).unwrap());
    let (server, other) = (serving(&Identity { cert, key }), Authority::new("other"));
    let mut config = Config::default();
    assert!(!config.is_client_ready(Peer::Server));
    connect(&config, &server).expect_success();
    assert!(config.is_client_ready(Peer::Server) && config.clone().is_client_ready(Peer::Server));
    config.add_ca(&other.pem()).unwrap();
    assert!(!config.is_client_ready(Peer::Server));
    connect(&config, &server).expect_success();
    connect(&config, &serving(&other.issue(&[HOST]))).expect_success();
    config.set_ca(&other.pem()).unwrap();
    assert!(config.is_client_ready(Peer::Server));
    connect(&config, &server).expect_fault(Fault::UnknownIssuer);
}
