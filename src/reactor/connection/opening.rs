//! A client's way to its server: the name, the address, the proxy, TLS.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::way::{Step, Way};
use super::{Connection, Context, Phase, Side};
use mio::Token;

use crate::defects::{contain, place};
use crate::error::{Error, Result};
use crate::net::tls::{Peer, Session};
use crate::net::{Host, Progress, Race, Stream, Transport, tls};
use crate::proto::proxy;
use crate::reactor::command::Command;

impl Connection {
    /// Begins an attempt.
    pub(super) fn set_out(&mut self, cx: &mut Context<'_>) {
        let settings = Arc::clone(&self.link.settings);
        self.connect_deadline = settings.connect_deadline(cx.now);
        let url = self.link.take_url();
        let Some(way) = self.way() else { return };
        let started = way.start(url, &settings);
        let url = way.url().as_str().into();
        self.link.facts.lock().start_over(url);
        match started {
            Ok(()) => self.go_on(cx),
            Err(error) => {
                // The settings stay as they are.
                self.is_hopeless = true;
                self.give_up(error);
            }
        }
    }

    /// Begins the way, or what a redirect has made of it.
    pub(super) fn go_on(&mut self, cx: &mut Context<'_>) {
        let settings = Arc::clone(&self.link.settings);
        let Some(way) = self.way() else { return };
        let missing = way
            .tls_peers()
            .find(|it| !settings.tls.is_client_ready(*it));
        match missing {
            Some(peer) => self.prepare(peer, cx),
            None => self.look_up(cx),
        }
    }

    /// Has the certificates that are trusted read on another thread, since they are in files.
    fn prepare(&mut self, peer: Peer, cx: &mut Context<'_>) {
        self.enter(Phase::Preparing, cx.now);
        let tls = Arc::clone(&self.link.settings.tls);
        let link = Arc::downgrade(&self.link);
        let mailbox = Arc::clone(self.link.mailbox());
        let begun = cx.resolver.run(move || {
            let result = contain(|| {
                place("read certificates");
                tls.client(peer).map(drop)
            });
            mailbox.push(Command::Prepared(link, result.flatten()));
        });
        if let Err(error) = begun {
            let sentence = format!("no thread to read certificates: {error}");
            self.give_up(Error::Resource(sentence.into()));
        }
    }

    /// The certificates have been read.
    pub fn prepared(&mut self, result: Result<()>, cx: &mut Context<'_>) {
        if !matches!(self.phase, Phase::Preparing) {
            return;
        }
        match result {
            Ok(()) => self.go_on(cx),
            Err(error) => self.give_up(error),
        }
        self.attend(cx);
    }

    fn look_up(&mut self, cx: &mut Context<'_>) {
        let Some(way) = self.way() else { return };
        #[cfg(unix)]
        if let Some(path) = way.url().unix() {
            return match mio::net::UnixStream::connect(path) {
                Ok(stream) => self.take_stream(Stream::Unix(stream), cx),
                Err(error) => {
                    let path = path.display();
                    let sentence = format!("connecting to {path} failed: {error}");
                    self.give_up(Error::no_connection(sentence, &error));
                }
            };
        }
        let (host, port) = way.next_host();
        match host {
            Host::Ip(address) => self.found(vec![SocketAddr::new(address, port)], cx),
            // RFC 6761 §6.3: localhost is this machine, whatever a resolver says.
            Host::Domain("localhost") => {
                let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
                let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                self.found(vec![v6, v4], cx);
            }
            Host::Domain(name) => {
                let name = name.to_owned();
                self.resolve(&name, port, cx);
            }
        }
    }

    fn resolve(&mut self, name: &str, port: u16, cx: &mut Context<'_>) {
        self.enter(Phase::Resolving, cx.now);
        // Weak: the resolver may take half a minute, and the application's user_data is to be
        // released when the socket has ended, on no thread of the resolver's.
        let link = Arc::downgrade(&self.link);
        let mailbox = Arc::clone(self.link.mailbox());
        self.queries = self.queries.wrapping_add(1);
        let query = self.queries;
        let begun = cx.resolver.resolve(name, port, move |result| {
            mailbox.push(Command::Resolved(link, query, result));
        });
        if let Err(error) = begun {
            let sentence = format!("no thread to resolve {name}: {error}");
            self.give_up(Error::Resource(sentence.into()));
        }
    }

    /// The resolver has answered.
    pub fn resolved(
        &mut self,
        query: u32,
        result: io::Result<Vec<SocketAddr>>,
        cx: &mut Context<'_>,
    ) {
        if query != self.queries || !matches!(self.phase, Phase::Resolving) {
            return;
        }
        self.link.facts.lock().dns += cx.now.saturating_duration_since(self.phase_began);
        match result {
            Ok(addresses) if !addresses.is_empty() => self.found(addresses, cx),
            result => {
                let why = match result.map_err(io::Error::downcast::<Error>) {
                    Err(Ok(defect)) => return self.give_up(defect),
                    Err(Err(error)) => error.to_string(),
                    Ok(_) => "it has no address".to_owned(),
                };
                let host = self.way().map(|way| way.next_host().0.to_string());
                let host = host.unwrap_or_default();
                self.give_up(Error::Dns(
                    format!("host {host} cannot be resolved: {why}").into(),
                ));
            }
        }
        self.attend(cx);
    }

    fn found(&mut self, addresses: Vec<SocketAddr>, cx: &mut Context<'_>) {
        let Some(way) = self.way() else { return };
        match way.found(addresses) {
            // That was the server. The proxy is next.
            None => self.look_up(cx),
            Some(addresses) => {
                self.enter(Phase::Connecting(Race::new(addresses, cx.now)), cx.now);
                self.race_on(Progress::Running, cx);
            }
        }
    }

    pub(super) fn race_on(&mut self, progress: Progress, cx: &mut Context<'_>) {
        let Phase::Connecting(race) = &mut self.phase else {
            return;
        };
        let progress = match progress {
            Progress::Running => race.advance(cx.now, |stream| {
                let token = cx.tokens.next(cx.slot);
                let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
                cx.registry.register(stream, token, interest)?;
                Ok(token)
            }),
            progress => progress,
        };
        match progress {
            Progress::Running => {}
            Progress::Won(stream, token) => self.connected(Stream::Tcp(stream), token, cx),
            Progress::Lost(address, error) => {
                let sentence = format!("connecting to {address} failed: {error}");
                self.give_up(Error::no_connection(sentence, &error));
            }
        }
    }

    /// Takes a stream that nobody watches yet.
    pub(super) fn take_stream(&mut self, mut stream: Stream, cx: &mut Context<'_>) {
        let token = cx.tokens.next(cx.slot);
        if let Err(error) = stream.register(cx.registry, token) {
            let sentence = format!("the system watches no further socket: {error}");
            return self.give_up(Error::Resource(sentence.into()));
        }
        self.connected(stream, token, cx);
    }

    /// Bytes can flow.
    fn connected(&mut self, stream: Stream, token: Token, cx: &mut Context<'_>) {
        self.token = Some(token);
        let transport = Arc::new(Transport::new(stream));
        {
            let mut facts = self.link.facts.lock();
            facts.tcp = cx.now.saturating_duration_since(self.phase_began);
            facts.peer_address = transport.peer_address().into();
            facts.local_address = transport.local_address().into();
        }
        self.transport = Some(Arc::clone(&transport));
        self.link.connected(transport);
        // What arrived before the registration is not announced again on every system.
        self.readable = true;
        self.step(cx);
    }

    /// What comes next, now that the last step is done.
    pub(super) fn step(&mut self, cx: &mut Context<'_>) {
        let result = match &mut self.side {
            Side::Server(_) => self.step_server(cx),
            Side::Client(None) => return,
            Side::Client(Some(way)) => match way.next_step() {
                Some(Step::Secure(peer)) => self.secure(peer, cx),
                Some(Step::Tunnel) => self.tunnel(cx),
                Some(Step::Ask) => self.ask(cx),
                None => return,
            },
        };
        if let Err(error) = result {
            self.give_up(error);
        }
    }

    fn secure(&mut self, peer: Peer, cx: &mut Context<'_>) -> Result<()> {
        let settings = Arc::clone(&self.link.settings);
        let Some(way) = self.way() else { return Ok(()) };
        let host = match (peer, way.proxy()) {
            (Peer::Proxy, Some(proxy)) => proxy.host(),
            _ => way.url().host(),
        };
        let name = settings.tls.server_name(host, peer)?;
        let session = Session::client(settings.tls.client(peer)?, name)
            .map_err(|error| tls::explain(&error, &way.peer_name(peer)))?;
        self.begin_tls(session, peer, cx);
        Ok(())
    }

    pub(super) fn begin_tls(&mut self, session: Session, peer: Peer, cx: &mut Context<'_>) {
        if let Some(transport) = &self.transport {
            transport.secure(session);
        }
        self.enter(Phase::Securing(peer), cx.now);
    }

    /// A handshake of TLS is over.
    pub(super) fn secured(&mut self, cx: &mut Context<'_>) {
        {
            let mut facts = self.link.facts.lock();
            facts.tls += cx.now.saturating_duration_since(self.phase_began);
            if let Some(names) = self.transport.as_ref().and_then(|it| it.tls_names()) {
                (facts.tls_version, facts.tls_cipher) = names;
            }
        }
        self.step(cx);
    }

    fn tunnel(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let Some(way) = self.way() else { return Ok(()) };
        if let Some((handshake, bytes)) = way.tunnel()? {
            self.link.send_raw(&bytes)?;
            self.enter(Phase::Tunneling(Box::new(handshake)), cx.now);
        }
        Ok(())
    }

    /// Takes what a proxy says: the first `len` bytes of the shared buffer.
    pub(super) fn receive_from_proxy(&mut self, len: usize, cx: &mut Context<'_>) {
        let mut start = 0;
        while let Phase::Tunneling(handshake) = &mut self.phase {
            let result = handshake.receive(&cx.buffer[start..len]);
            let is_hopeless = handshake.wants_other_credentials();
            let is_refused = handshake.is_refused();
            match result {
                Ok((_, proxy::Step::More)) => return,
                Ok((used, proxy::Step::Send(bytes))) => {
                    start += used;
                    if let Err(error) = self.link.send_raw(&bytes) {
                        return self.give_up(error);
                    }
                }
                Ok((used, proxy::Step::Done)) if start + used == len => {
                    let waited = cx.now.saturating_duration_since(self.phase_began);
                    self.link.facts.lock().tcp += waited;
                    return self.step(cx);
                }
                Ok((_, proxy::Step::Done)) => {
                    // Nobody has asked the server for anything.
                    let sentence = "the proxy sent more than its answer";
                    return self.give_up(Error::Proxy(sentence.into()));
                }
                Err(error) => {
                    if is_refused && self.way().is_some_and(Way::try_next_address) {
                        // RFC 1928 §6: the proxy closes this connection.
                        self.disconnect();
                        return self.look_up(cx);
                    }
                    self.is_hopeless = is_hopeless;
                    return self.give_up(error);
                }
            }
        }
    }

    pub(super) fn way(&mut self) -> Option<&mut Way> {
        match &mut self.side {
            Side::Client(way) => way.as_deref_mut(),
            Side::Server(_) => None,
        }
    }
}
