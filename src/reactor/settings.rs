//! What a connection has to know of its options: plain values, already checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::net::{Listening, ProxyChoice, tls};
use crate::proto::{Keepalive, deflate};

/// The settings of a socket or of a server's sockets. Shared, never changed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Subprotocols, in order of preference. A client offers them, a server chooses among them.
    pub subprotocols: Vec<String>,
    /// Further header fields of the request (client) or of the response (server).
    pub headers: Vec<(String, String)>,
    /// The Origin header field of the request.
    pub origin: Option<String>,
    /// The User-Agent header field of the request, or the Server field of the response.
    pub user_agent: Option<String>,
    /// The Authorization header field of the request, unless the URL has credentials.
    pub authorization: Option<String>,
    /// Whether there is a proxy on the way, and which.
    pub proxy: ProxyChoice,
    /// What TLS does, in either role. Shared by all who have the same, and built once.
    pub tls: Arc<tls::Config>,
    /// How many redirects are followed.
    pub max_redirects: u32,
    /// How a lost connection is made anew, if at all.
    pub reconnect: Option<Reconnect>,
    /// Largest message that is received, in bytes of payload.
    pub max_message: u64,
    /// Most payload bytes that wait to be sent.
    pub max_buffered: u64,
    /// The buffered amount at which a Drain event follows a time above it.
    pub low_water: u64,
    /// Largest frame that is sent, in bytes of payload; `u64::MAX`: messages are not split.
    pub max_frame: u64,
    /// What permessage-deflate may do; none: it is neither offered nor accepted.
    pub compression: Option<deflate::Config>,
    /// From the start to the open event.
    pub connect_timeout: Option<Duration>,
    /// From the beginning of the end to the close event.
    pub close_timeout: Duration,
    /// A ping is sent after this long without a received byte.
    pub ping_interval: Option<Duration>,
    /// How long a ping may stay unanswered.
    pub pong_timeout: Option<Duration>,
    /// How long no message may pass.
    pub idle_timeout: Option<Duration>,
    /// How a server listens.
    pub listening: Listening,
    /// Most connections that a server holds at a time; 0: no limit.
    pub max_connections: u32,
    /// What happens to a subscriber that has no room for a published message.
    pub slow_subscribers: SlowSubscribers,
}

/// What happens to a subscriber that has no room for a published message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowSubscribers {
    /// It does not get the message. A Drain event tells when there is room again.
    #[default]
    Skip,
    /// It is closed with code 1008.
    Close,
}

/// How a lost connection is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The shortest time between a loss and the next attempt.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// After how many attempts in a row to give up; 0: never.
    pub tries: u32,
}

impl Settings {
    /// The watch over a connection that begins now.
    pub fn keepalive(&self, now: Instant) -> Keepalive {
        Keepalive::new(
            self.ping_interval,
            self.pong_timeout,
            self.idle_timeout,
            now,
        )
    }

    /// Until when an attempt that begins now has to have led to an open connection.
    pub fn connect_deadline(&self, now: Instant) -> Option<Instant> {
        self.connect_timeout.and_then(|it| now.checked_add(it))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            subprotocols: Vec::new(),
            headers: Vec::new(),
            origin: None,
            user_agent: None,
            authorization: None,
            proxy: ProxyChoice::Direct,
            tls: Arc::default(),
            max_redirects: 0,
            reconnect: None,
            max_message: 16 << 20,
            max_buffered: 64 << 20,
            low_water: 1 << 20,
            max_frame: u64::MAX,
            compression: Some(deflate::Config::default()),
            connect_timeout: Some(Duration::from_secs(10)),
            close_timeout: Duration::from_secs(3),
            ping_interval: Some(Duration::from_secs(20)),
            pong_timeout: Some(Duration::from_secs(20)),
            idle_timeout: None,
            listening: Listening::default(),
            max_connections: 0,
            slow_subscribers: SlowSubscribers::Skip,
        }
    }
}
