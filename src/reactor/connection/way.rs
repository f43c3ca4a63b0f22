//! Where a client's connection leads, and by which steps.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::retry::Retry;
use crate::error::Result;
use crate::net::tls::Peer;
use crate::net::{Host, Proxy, ProxyChoice, Url};
use crate::proto::proxy::{Handshake, Target, Tunnel, socks5};
use crate::reactor::settings::Settings;

/// The way to one server.
pub struct Way {
    /// What the application asked for.
    wanted: Url,
    /// Where the attempt under way leads, which redirects change.
    url: Url,
    proxy: Option<Proxy>,
    /// The server's addresses, if the proxy wants one: the first is being tried.
    addresses: VecDeque<SocketAddr>,
    steps: VecDeque<Step>,
    /// How many redirects may follow.
    redirects: u32,
    pub retry: Option<Retry>,
}

/// What is to be done when there is a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin TLS.
    Secure(Peer),
    /// Have the proxy connect to the server.
    Tunnel,
    /// Ask for the upgrade.
    Ask,
}

impl Way {
    /// To `url`, as the settings say.
    pub fn new(url: Url, settings: &Settings) -> Self {
        Self {
            wanted: url.clone(),
            url,
            proxy: None,
            addresses: VecDeque::new(),
            steps: VecDeque::new(),
            redirects: 0,
            retry: settings.reconnect.map(Retry::new),
        }
    }

    /// Begins at the beginning; from here on to `url`, if there is one.
    pub fn start(&mut self, url: Option<Url>, settings: &Settings) -> Result<()> {
        if let Some(url) = url {
            self.wanted = url;
        }
        self.redirects = settings.max_redirects;
        self.lead_to(self.wanted.clone(), &settings.proxy)
    }

    /// Follows a redirect. None: it is not to be followed.
    pub fn redirect(&mut self, location: &str, settings: &Settings) -> Option<Result<()>> {
        self.redirects = self.redirects.checked_sub(1)?;
        let url = match self.url.redirect(location) {
            Ok(url) => url,
            Err(error) => return Some(Err(error)),
        };
        Some(self.lead_to(url, &settings.proxy))
    }

    fn lead_to(&mut self, url: Url, choice: &ProxyChoice) -> Result<()> {
        self.proxy = choice.proxy_for(&url)?;
        self.url = url;
        self.addresses.clear();
        self.steps.clear();
        if let Some(proxy) = &self.proxy {
            if proxy.is_tls() {
                self.steps.push_back(Step::Secure(Peer::Proxy));
            }
            self.steps.push_back(Step::Tunnel);
        }
        if self.url.is_secure() {
            self.steps.push_back(Step::Secure(Peer::Server));
        }
        self.steps.push_back(Step::Ask);
        Ok(())
    }

    /// Where the attempt under way leads.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it leads to where the application's credentials are for.
    pub fn is_home(&self) -> bool {
        self.url.has_origin_of(&self.wanted)
    }

    /// The Authorization field for the credentials of the URLs: where a redirect has led to, or,
    /// at home, what the application asked for.
    pub fn basic_auth(&self) -> Option<&str> {
        let own = self.wanted.basic_auth().filter(|_| self.is_home());
        self.url.basic_auth().or(own)
    }

    /// The proxy on the way.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Whose certificates are to be checked on the way.
    pub fn tls_peers(&self) -> impl Iterator<Item = Peer> {
        self.steps.iter().filter_map(|step| match step {
            Step::Secure(peer) => Some(*peer),
            Step::Tunnel | Step::Ask => None,
        })
    }

    /// What to look up next: the server if its address is to be told to the proxy, else the end of
    /// the connection that is to be made.
    pub fn next_host(&self) -> (Host<'_>, u16) {
        match &self.proxy {
            Some(proxy) if !self.wants_address() => (proxy.host(), proxy.port()),
            _ => (self.url.host(), self.url.port()),
        }
    }

    /// Takes the addresses of [`Self::next_host`]. Returns those to connect to, if they are.
    pub fn found(&mut self, addresses: Vec<SocketAddr>) -> Option<Vec<SocketAddr>> {
        if self.wants_address() {
            self.addresses = addresses.into();
            return None;
        }
        Some(addresses)
    }

    /// Has the proxy try the server's next address, on a new connection. False: there is none.
    pub fn try_next_address(&mut self) -> bool {
        if self.addresses.len() < 2 {
            return false;
        }
        self.addresses.pop_front();
        self.steps.push_front(Step::Tunnel);
        true
    }

    fn wants_address(&self) -> bool {
        self.addresses.is_empty() && self.proxy.as_ref().is_some_and(|it| !it.resolves_names())
    }

    /// What to do next, now that the last step is done.
    pub fn next_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// The handshake with the proxy, and its first bytes.
    pub fn tunnel(&self) -> Result<Option<(Handshake, Vec<u8>)>> {
        let Some(proxy) = &self.proxy else {
            return Ok(None);
        };
        if proxy.is_http() {
            let (tunnel, bytes) = Tunnel::new(&self.url.host_and_port(), proxy.basic_auth());
            return Ok(Some((Handshake::Connect(tunnel), bytes)));
        }
        let target = match (self.addresses.front(), self.url.host()) {
            (Some(address), _) => Target::Ip(*address),
            (None, Host::Ip(address)) => Target::Ip((address, self.url.port()).into()),
            (None, Host::Domain(name)) => Target::Domain(name, self.url.port()),
        };
        let (handshake, bytes) = socks5::Handshake::new(target, proxy.login())?;
        Ok(Some((Handshake::Socks5(handshake), bytes)))
    }

    /// The other end of the connection, for a sentence.
    pub fn peer_name(&self, peer: Peer) -> String {
        match (&self.proxy, peer) {
            (Some(proxy), Peer::Proxy) => format!("proxy {}", proxy.authority()),
            _ => self.url.authority().to_owned(),
        }
    }
}
