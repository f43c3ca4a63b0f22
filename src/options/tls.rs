//! The options of TLS.

use std::sync::Arc;

use super::Options;
use crate::error::Result;
use crate::net::tls::Config;

impl Options {
    /// Makes a client trust the authorities in `pem` and no others. Empty: those of the system
    /// alone, which is the default.
    pub fn set_tls_ca(&mut self, pem: &str) -> Result<()> {
        self.edit_tls().set_ca(pem)
    }

    /// Makes a client trust the authorities in `pem` besides those that it trusts so far.
    pub fn add_tls_ca(&mut self, pem: &str) -> Result<()> {
        self.edit_tls().add_ca(pem)
    }

    /// Sets who this end is: its certificate, followed by those that lead to its authority, and
    /// its private key (PKCS#8, PKCS#1 or SEC1, not encrypted). A server of `wss:` needs it; a
    /// client shows it to a server that asks. Both empty: nobody, which is the default.
    pub fn set_tls_identity(&mut self, cert_pem: &str, key_pem: &str) -> Result<()> {
        self.edit_tls().set_identity(cert_pem, key_pem)
    }

    /// Makes a server demand a certificate of its clients, from one of the authorities in `pem`.
    /// Empty: it does not, which is the default.
    pub fn set_tls_client_ca(&mut self, pem: &str) -> Result<()> {
        self.edit_tls().set_client_ca(pem)
    }

    /// Sets the name that a client asks for and wants to see in the certificate, in place of the
    /// URL's host. Empty: that host, which is the default.
    pub fn set_tls_server_name(&mut self, name: &str) -> Result<()> {
        self.edit_tls().set_server_name(name)
    }

    /// Makes a client take only servers whose own key is this one, or another that was added: the
    /// SHA-256 of its SubjectPublicKeyInfo in base64, with or without `sha256//` before it. The
    /// certificate is verified all the same.
    pub fn add_tls_pin(&mut self, pin: &str) -> Result<()> {
        self.edit_tls().add_pin(pin)
    }

    /// Sets whether a client verifies the server's certificate, which is the default. Without, it
    /// talks to whoever answers, unless pins say who that may be.
    pub fn set_tls_verify_dangerously(&mut self, verify: bool) {
        self.edit_tls().set_verify(verify);
    }

    /// Sets whether sessions are resumed, which saves work when the same ends meet again. Default:
    /// they are.
    pub fn set_tls_resumption(&mut self, on: bool) {
        self.edit_tls().set_resumption(on);
    }

    /// Sets whether the keys of connections are written to the file that the environment variable
    /// SSLKEYLOGFILE names, for Wireshark and the like. Default: never.
    pub fn set_tls_key_log(&mut self, on: bool) {
        self.edit_tls().set_key_log(on);
    }

    /// What was made from the settings of TLS is dropped only by the setters of these.
    fn edit_tls(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.edit().tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_settings_leave_what_was_made_for_tls_as_it_is() {
        const IDENTITY: &str = include_str!("../../tests/certificates/identity.pem");
        let mut options = Options::new();
        options.set_tls_identity(IDENTITY, IDENTITY).unwrap();
        let made = options.settings().tls.server().unwrap();
        let is_kept =
            |options: &Options| Arc::ptr_eq(&made, &options.settings().tls.server().unwrap());
        let clone = options.clone();
        options.set_max_message(1).unwrap();
        options.set_origin("a").unwrap();
        assert!(is_kept(&options));
        assert!(options.set_tls_ca("nothing").is_err());
        assert!(is_kept(&options));
        options.set_tls_resumption(false);
        assert!(!is_kept(&options));
        assert!(is_kept(&clone));
    }
}
