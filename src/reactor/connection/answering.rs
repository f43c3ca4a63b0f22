//! A server's side of the opening handshake.

use std::sync::Arc;
use std::time::Instant;

use super::{Connection, Context, Phase, Side};
use crate::error::{Error, Result};
use crate::net::tls::{self, Peer, Session};
use crate::proto::deflate::{self, Agreed};
use crate::proto::handshake::{Refusal, Upgrade};
use crate::reactor::listener::Welcome;
use crate::reactor::request::Acceptance;
use crate::reactor::settings::Settings;

/// What is said of extensions: what was agreed on, and how the response names it.
pub(super) type Extensions = Option<(Agreed, String)>;

impl Connection {
    /// What comes next on a connection that was accepted.
    pub(super) fn step_server(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let Side::Server(accepted) = &self.side else {
            return Ok(());
        };
        let is_secure = self.transport.as_ref().is_some_and(|it| it.is_secure());
        match accepted.acceptor.entrance.tls() {
            Some(config) if !is_secure => {
                let session =
                    Session::server(config).map_err(|error| tls::explain(&error, "this end"))?;
                self.begin_tls(session, Peer::Server, cx);
            }
            _ => {
                let awaiting = Phase::Awaiting(Box::default());
                self.enter(awaiting, cx.now);
            }
        }
        Ok(())
    }

    /// Takes the request: the first `len` bytes of the shared buffer.
    pub(super) fn receive_request(&mut self, len: usize, cx: &mut Context<'_>) {
        let Phase::Awaiting(server) = &mut self.phase else {
            return;
        };
        match server.receive(&cx.buffer[..len]) {
            Ok((_, None)) => {}
            Ok((used, Some(upgrade))) => self.answer(upgrade, used, len, cx),
            Err(refusal) => self.refuse(&refusal, cx.now),
        }
    }

    /// Answers a valid upgrade request, or has the application answer it.
    fn answer(&mut self, upgrade: Upgrade, used: usize, len: usize, cx: &mut Context<'_>) {
        let Side::Server(accepted) = &self.side else {
            return;
        };
        let acceptor = Arc::clone(&accepted.acceptor);
        if accepted.seat.is_none() {
            let sentence = "the server has no place for a further connection";
            return self.refuse(&Refusal::because(503, sentence), cx.now);
        }
        let extensions = match agree(&upgrade, &self.link.settings) {
            Ok(extensions) => extensions,
            Err(refusal) => return self.refuse(&refusal, cx.now),
        };
        match &acceptor.welcome {
            Welcome::Ask(ask) => {
                let behind = &cx.buffer[used..len];
                self.consult(&**ask, upgrade, extensions, behind, cx.now);
            }
            Welcome::Accept(new_handler) => {
                let subprotocol = upgrade.choose_subprotocol(&self.link.settings.subprotocols);
                let subprotocol = subprotocol.map(str::to_owned);
                // It is made before the client is answered: nobody is let in who cannot be told of.
                let handler = new_handler(&self.link);
                self.outlet.attach(Arc::clone(&handler));
                let acceptance = Acceptance {
                    subprotocol,
                    headers: Vec::new(),
                    handler,
                };
                self.accept(&upgrade, extensions, &acceptance, used, len, cx);
            }
        }
    }

    /// Opens the socket for which the outlet has the handler. What the shared buffer holds from
    /// `used` to `len` may be frames.
    pub(super) fn accept(
        &mut self,
        upgrade: &Upgrade,
        extensions: Extensions,
        acceptance: &Acceptance,
        used: usize,
        len: usize,
        cx: &mut Context<'_>,
    ) {
        let Side::Server(accepted) = &self.side else {
            return;
        };
        let scheme = accepted.acceptor.scheme;
        let settings = &self.link.settings;
        let (agreed, extensions) = extensions.unzip();
        let extensions = extensions.as_deref();
        let subprotocol = acceptance.subprotocol.as_deref();
        let headers = settings.headers.iter().chain(&acceptance.headers);
        let server = settings.user_agent.as_deref();
        let response = upgrade.accept(subprotocol, extensions, headers, server);
        {
            let mut facts = self.link.facts.lock();
            let (host, target) = (upgrade.host(), upgrade.target());
            facts.url = format!("{scheme}://{host}{target}").into();
            facts.subprotocol = subprotocol.unwrap_or_default().into();
            facts.extensions = extensions.unwrap_or_default().into();
        }
        if let Err(error) = self.link.send_raw(&response) {
            return self.give_up(error);
        }
        self.open(agreed, used, len, cx);
    }

    /// Tells whoever speaks no TLS to a server of wss so, in the plain HTTP that it is most likely
    /// to understand.
    pub(super) fn answer_plainly(&self) {
        let Some(transport) = self.transport.as_ref() else {
            return;
        };
        if matches!(
            (&self.side, &self.phase),
            (Side::Server(_), Phase::Securing(_))
        ) {
            let sentence = "this port speaks TLS: wss:// or https://";
            // What the system does not take at once is lost with the connection.
            let _ = transport.write(&Refusal::malformed(sentence).response());
        }
    }

    /// Notes why somebody who came never got to be a socket, of which no handler hears.
    pub(super) fn note_loss(&self, error: &Error) {
        if matches!(self.side, Side::Server(_)) && !self.is_established() {
            let address = self.link.facts.lock().peer_address.clone();
            log::debug!("a connection from {address} never opened: {error}");
        }
    }

    /// Answers a request that is not for us, and leaves.
    pub(super) fn refuse(&mut self, refusal: &Refusal, now: Instant) {
        log::debug!(
            "an upgrade request is refused with status {}",
            refusal.status
        );
        if let Err(error) = self.link.send_raw(&refusal.response()) {
            return self.give_up(error);
        }
        self.closing.failed(None, now);
        self.phase = Phase::Leaving;
    }
}

fn agree(upgrade: &Upgrade, settings: &Settings) -> Result<Extensions, Refusal> {
    let (Some(config), Some(offers)) = (&settings.compression, upgrade.extensions()) else {
        return Ok(None);
    };
    deflate::accept(config, &offers).map_err(Refusal::malformed)
}
