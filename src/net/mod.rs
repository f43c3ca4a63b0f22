//! Non-blocking bytes: names, addresses, connections. Knows no WebSocket and no events.

mod cookie;
mod listen;
pub mod proxy;
mod resolve;
mod tcp;
pub mod tls;
mod transport;
mod url;

pub use listen::{Accepting, Listening};
pub use proxy::{Proxy, ProxyChoice};
pub use resolve::Resolver;
pub use tcp::{Progress, Race};
pub use transport::{SHORT_READ_MEANS_EMPTY, Stream, Transport};
pub use url::{Host, Url};
