//! What the fuzz targets check: each function takes any bytes, and panics if the library does
//! something wrong with them. The tests replay the corpus.

mod deflate;
mod differential;
mod extensions;
mod frames;
mod handshake;
mod inflate;
mod input;
mod proxy;
mod reading;
mod reference;
#[cfg(test)]
mod tests;
mod url;

pub use deflate::deflate;
pub use differential::differential;
pub use extensions::extensions;
pub use frames::frames;
pub use handshake::{handshake_client, handshake_server};
pub use inflate::inflate;
pub use proxy::{proxy_connect, proxy_socks5, proxy_url};
pub use url::url;
