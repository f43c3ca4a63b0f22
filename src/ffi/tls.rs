//! TLS: whom a client trusts, and who this end is.
//!
//! wss:// is TLS 1.2 or 1.3. Without any of these settings a client takes a
//! server whose certificate is for the host of the URL, is valid today, and
//! comes from an authority that the system trusts. These are loaded when
//! they are first needed, and kept; if there are none, connecting fails. A
//! server needs wsabi_options_set_tls_identity.
//!
//! pem is text with certificates between BEGIN and END lines (RFC 7468), as
//! files for OpenSSL have it; other parts are passed over. It is looked
//! through and copied at once: what is malformed, or not there, gives
//! WSABI_ERR_ARGUMENT.

use std::ffi::c_char;

use crate::ffi::guard::guard;
use crate::ffi::input;
use crate::ffi::options::wsabi_options;
use crate::ffi::settings::{change, set_text};
use crate::options::Options;

/// Makes a client trust the authorities in pem and no others, neither those
/// of the system nor those that were added before. Empty: those of the
/// system alone, which is the default.
///
/// # Safety
///
/// `len` says how much can be read at `pem`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_set_tls_ca(
    options: wsabi_options,
    pem: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "pem", pem, len, Options::set_tls_ca) }
}

/// Makes a client trust the authorities in pem besides those that it trusts
/// so far: those of the system, unless wsabi_options_set_tls_ca has replaced
/// them.
///
/// # Safety
///
/// `len` says how much can be read at `pem`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_add_tls_ca(
    options: wsabi_options,
    pem: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "pem", pem, len, Options::add_tls_ca) }
}

/// Sets who this end is. A server of wss:// has to be somebody; a client is
/// asked for it by some servers only. Both texts empty: nobody, which is the
/// default.
///
/// - cert_pem: the certificate, followed by those that lead from it to its
///   authority, which itself may be left out.
/// - key_pem: the private key of the first certificate, as PKCS#8, PKCS#1 or
///   SEC1: RSA of 2048 bits or more, ECDSA, or Ed25519. Not encrypted. It is
///   never logged.
///
/// WSABI_ERR_ARGUMENT also if the two do not belong together.
///
/// # Safety
///
/// `cert_len` and `key_len` say how much can be read at `cert_pem` and `key_pem`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_set_tls_identity(
    options: wsabi_options,
    cert_pem: *const c_char,
    cert_len: usize,
    key_pem: *const c_char,
    key_len: usize,
) -> i32 {
    guard(|| {
        // SAFETY: by contract of this function.
        let cert_pem = unsafe { input::setting("cert_pem", cert_pem, cert_len) }?;
        // SAFETY: as above.
        let key_pem = unsafe { input::setting("key_pem", key_pem, key_len) }?;
        change(options, |settings| {
            settings.set_tls_identity(cert_pem, key_pem)
        })
    })
}

/// Makes a server demand a certificate of its clients, from one of the
/// authorities in pem. Clients without one never get to OPEN. Empty: it does
/// not, which is the default.
///
/// # Safety
///
/// `len` says how much can be read at `pem`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_set_tls_client_ca(
    options: wsabi_options,
    pem: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "pem", pem, len, Options::set_tls_client_ca) }
}

/// Sets the name or address that a client asks the server for and that the
/// certificate has to be for, in place of the host of the URL. Empty: that
/// host, which is the default.
///
/// WSABI_ERR_ARGUMENT: neither a host name, in its ASCII form, nor an
/// address.
///
/// # Safety
///
/// `len` says how much can be read at `name`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_set_tls_server_name(
    options: wsabi_options,
    name: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "name", name, len, Options::set_tls_server_name) }
}

/// Makes a client take only servers whose own key is this one, or another
/// that was added; the certificate is verified all the same. Keys of
/// authorities cannot be pinned.
///
/// - pin: the SHA-256 of the key (SubjectPublicKeyInfo) in base64, with or
///   without "sha256//" before it, as for curl.
///
/// WSABI_ERR_ARGUMENT: not 32 bytes in base64.
///
/// # Safety
///
/// `len` says how much can be read at `pin`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wsabi_options_add_tls_pin(
    options: wsabi_options,
    pin: *const c_char,
    len: usize,
) -> i32 {
    // SAFETY: by contract of this function.
    unsafe { set_text(options, "pin", pin, len, Options::add_tls_pin) }
}

/// Sets whether a client verifies the certificate of the server: 1, the
/// default, or 0, with which anybody can pose as the server, and a warning
/// is logged. Pins are checked also then.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_tls_verify_dangerously(
    options: wsabi_options,
    verify: i32,
) -> i32 {
    guard(|| {
        let verify = input::flag("verify", verify)?;
        change(options, |settings| {
            settings.set_tls_verify_dangerously(verify);
            Ok(())
        })
    })
}

/// Sets whether sessions are resumed, which saves computation when the same
/// ends meet again: 1, the default, or 0. A client remembers sessions for as
/// long as the options, or sockets made with them, live; a server gives them
/// to its clients to keep, encrypted.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_tls_resumption(options: wsabi_options, on: i32) -> i32 {
    guard(|| {
        let on = input::flag("on", on)?;
        change(options, |settings| {
            settings.set_tls_resumption(on);
            Ok(())
        })
    })
}

/// Sets whether the keys of every connection are appended to the file that
/// the environment variable SSLKEYLOGFILE names, so that Wireshark and the
/// like can read what was sent: 1, or 0, the default. Whoever has that file
/// can read it, too.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_tls_key_log(options: wsabi_options, on: i32) -> i32 {
    guard(|| {
        let on = input::flag("on", on)?;
        change(options, |settings| {
            settings.set_tls_key_log(on);
            Ok(())
        })
    })
}
