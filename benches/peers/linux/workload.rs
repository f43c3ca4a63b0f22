//! What the clients do.

use std::fmt;
use std::str::FromStr;

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// epoll, one recv for each wake-up, one send for each batch.
    Raw,
    /// This library; its handlers run on its thread.
    Wsabi,
    /// The same without threads: handlers run, and the I/O is done, inside poll.
    WsabiPoll,
    /// The same, but answers come from a thread of the application.
    WsabiThread,
    /// The same, with at most 1 MiB that waits to be sent instead of 64 MiB.
    WsabiBounded,
    /// The same, through the call that sends several messages.
    WsabiMany,
    /// The blocking client.
    Tungstenite,
}

impl Peer {
    pub const ALL: [Self; 7] = [
        Self::Raw,
        Self::Wsabi,
        Self::WsabiPoll,
        Self::WsabiThread,
        Self::WsabiBounded,
        Self::WsabiMany,
        Self::Tungstenite,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw epoll",
            Self::Wsabi => "wsabi",
            Self::WsabiPoll => "wsabi, no threads",
            Self::WsabiThread => "wsabi, own thread",
            Self::WsabiBounded => "wsabi, 1 MiB waits",
            Self::WsabiMany => "wsabi, send_many",
            Self::Tungstenite => "tungstenite",
        }
    }

    pub fn takes_part(self, workload: &Workload) -> bool {
        match self {
            Self::WsabiPoll => workload.flow != Flow::Send,
            Self::WsabiThread => workload.window == 1 && workload.len < 1 << 20,
            Self::WsabiBounded | Self::WsabiMany => workload.flow == Flow::Send,
            _ => true,
        }
    }
}

/// Who sends what when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The server sends back what it gets; so does the client, with a number of messages under way.
    Echo,
    /// The server sends as fast as it can.
    Receive,
    /// The client does, and the server says when everything has arrived.
    Send,
}

impl Flow {
    const ALL: [(Self, &str); 3] = [
        (Self::Echo, "echo"),
        (Self::Receive, "receive"),
        (Self::Send, "send"),
    ];
}

/// One thing to measure.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub flow: Flow,
    /// Bytes of payload of each message.
    pub len: usize,
    /// Messages under way at a time.
    pub window: u64,
    /// Messages that are measured.
    pub messages: u64,
    /// Whether through TLS.
    pub secure: bool,
}

/// Each takes a fraction of a second.
pub const WORKLOADS: [Workload; 20] = [
    echo(64, 1, 6_000),
    echo(64, 64, 300_000),
    echo(1 << 10, 64, 150_000),
    echo(16 << 10, 64, 16_000),
    echo(1 << 20, 1, 250),
    echo(16 << 20, 1, 14),
    flood(Flow::Receive, 64, 4_000_000),
    flood(Flow::Receive, 1 << 10, 600_000),
    flood(Flow::Receive, 16 << 10, 40_000),
    flood(Flow::Send, 64, 3_000_000),
    flood(Flow::Send, 1 << 10, 400_000),
    flood(Flow::Send, 16 << 10, 30_000),
    secure(echo(64, 1, 6_000)),
    secure(echo(64, 64, 300_000)),
    secure(echo(1 << 10, 64, 150_000)),
    secure(echo(16 << 10, 64, 16_000)),
    secure(echo(1 << 20, 1, 250)),
    secure(flood(Flow::Receive, 64, 4_000_000)),
    secure(flood(Flow::Receive, 16 << 10, 40_000)),
    secure(flood(Flow::Send, 16 << 10, 30_000)),
];

const fn secure(workload: Workload) -> Workload {
    Workload {
        secure: true,
        ..workload
    }
}

const fn echo(len: usize, window: u64, messages: u64) -> Workload {
    Workload {
        flow: Flow::Echo,
        len,
        window,
        messages,
        secure: false,
    }
}

const fn flood(flow: Flow, len: usize, messages: u64) -> Workload {
    Workload {
        flow,
        len,
        window: 0,
        messages,
        secure: false,
    }
}

impl Workload {
    /// The same with fewer messages.
    pub fn shortened(self, divisor: u64) -> Self {
        Self {
            messages: (self.messages / divisor).max(4),
            ..self
        }
    }

    /// Messages before the measured ones.
    pub fn warm_up(&self) -> u64 {
        (self.messages / 8).max(self.window).max(3)
    }

    /// Where the client connects to.
    pub fn url(&self, port: u16) -> String {
        let target = self.target();
        if self.secure {
            format!("wss://localhost:{port}{target}")
        } else {
            format!("ws://127.0.0.1:{port}{target}")
        }
    }

    /// What the client asks the server for.
    pub fn target(&self) -> String {
        let Self { len, messages, .. } = self;
        let warm_up = self.warm_up();
        match self.flow {
            Flow::Echo => "/echo".to_owned(),
            Flow::Receive => format!("/source/{len}/{}", warm_up + messages),
            Flow::Send => format!("/sink/{len}/{warm_up}/{messages}"),
        }
    }

    /// As arguments of a process.
    pub fn to_args(self) -> [String; 5] {
        let flow = Flow::ALL.iter().find(|(flow, _)| *flow == self.flow);
        let flow = flow.map_or("", |(_, name)| *name);
        [
            flow.to_owned(),
            self.len.to_string(),
            self.window.to_string(),
            self.messages.to_string(),
            self.secure.to_string(),
        ]
    }

    pub fn from_args(args: &[String]) -> Option<Self> {
        let [flow, len, window, messages, secure] = args else {
            return None;
        };
        let (flow, _) = *Flow::ALL.iter().find(|(_, name)| name == flow)?;
        Some(Self {
            flow,
            len: len.parse().ok()?,
            window: window.parse().ok()?,
            messages: messages.parse().ok()?,
            secure: secure.parse().ok()?,
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = match self.len {
            len if len >= 1 << 20 => format!("{} MiB", len >> 20),
            len if len >= 1 << 10 => format!("{} KiB", len >> 10),
            len => format!("{len} B"),
        };
        if self.secure {
            f.write_str("wss, ")?;
        }
        match (self.flow, self.window) {
            (Flow::Echo, 1) => write!(f, "round trip, {len}"),
            (Flow::Echo, window) => write!(f, "echo, {len}, {window} messages under way"),
            (Flow::Receive, _) => write!(f, "receive flood, {len}"),
            (Flow::Send, _) => write!(f, "send flood, {len}"),
        }
    }
}

impl FromStr for Peer {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|it| it.name() == name).ok_or(())
    }
}
