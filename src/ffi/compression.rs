//! Compression: permessage-deflate (RFC 7692), which both ends have to want.

use crate::ffi::guard::guard;
use crate::ffi::input;
use crate::ffi::options::wsabi_options;
use crate::ffi::settings::{change, set};

/// Sets whether permessage-deflate (RFC 7692) is offered, or accepted by a
/// server: 1, the default, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression(options: wsabi_options, on: i32) -> i32 {
    guard(|| {
        let on = input::flag("on", on)?;
        set(options, |settings| settings.set_compression(on))
    })
}

/// Sets the size in bytes below which messages are sent uncompressed, since
/// short ones hardly shrink. Default: 1024. Messages that are sent in pieces
/// are compressed unless the first piece is the whole message.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression_min(options: wsabi_options, bytes: u64) -> i32 {
    guard(|| set(options, |settings| settings.set_compression_min(bytes)))
}

/// Sets how hard the compressor tries, from 1 to 9. Default: 1, which takes
/// a sixth of the time of 6, for a third more bytes.
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression_level(options: wsabi_options, level: i32) -> i32 {
    guard(|| change(options, |settings| settings.set_compression_level(level)))
}

/// Sets how far back the client's and the server's compressor may refer at
/// most, each as a power of two in bytes, from 9 to 15. Default: 15 and 15.
/// Smaller windows take less memory and compress less (RFC 7692 section
/// 7.1.2).
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression_window(
    options: wsabi_options,
    client_bits: i32,
    server_bits: i32,
) -> i32 {
    guard(|| {
        change(options, |settings| {
            settings.set_compression_window(client_bits, server_bits)
        })
    })
}

/// Sets whether the client's and the server's compressor may refer to
/// earlier messages, each 1, the default, or 0: an idle connection then
/// keeps no memory for compression, and messages that are alike compress
/// less (RFC 7692 section 7.1.1).
#[unsafe(no_mangle)]
pub extern "C" fn wsabi_options_set_compression_takeover(
    options: wsabi_options,
    client: i32,
    server: i32,
) -> i32 {
    guard(|| {
        let client = input::flag("client", client)?;
        let server = input::flag("server", server)?;
        set(options, |settings| {
            settings.set_compression_takeover(client, server);
        })
    })
}
