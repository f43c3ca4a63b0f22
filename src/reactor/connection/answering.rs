//! A server's side of the opening handshake.

use std::sync::Arc;

use super::{Connection, Context, Phase, Side};
use crate::error::Result;
use crate::net::tls::{self, Peer, Session};
use crate::proto::deflate::{self, Agreed};
use crate::proto::handshake::{self, Refusal};
use crate::reactor::settings::Settings;

impl Connection {
    /// What comes next on a connection that was accepted.
    pub(super) fn step_server(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let Side::Server(accepted) = &self.side else {
            return Ok(());
        };
        let is_secure = self.transport.as_ref().is_some_and(|it| it.is_secure());
        match &accepted.acceptor.tls {
            Some(config) if !is_secure => {
                let session = Session::server(Arc::clone(config))
                    .map_err(|error| tls::explain(&error, "this end"))?;
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
            Ok((used, Some(upgrade))) => self.answer(&upgrade, used, len, cx),
            Err(refusal) => self.refuse(&refusal, cx),
        }
    }

    /// Answers a valid upgrade request.
    pub(super) fn answer(
        &mut self,
        upgrade: &handshake::Upgrade,
        used: usize,
        len: usize,
        cx: &mut Context<'_>,
    ) {
        let Side::Server(accepted) = &self.side else {
            return;
        };
        let acceptor = Arc::clone(&accepted.acceptor);
        if accepted.seat.is_none() {
            let sentence = "the server has no place for a further connection";
            return match Refusal::new(503, sentence) {
                Ok(refusal) => self.refuse(&refusal, cx),
                Err(error) => self.give_up(error),
            };
        }
        let settings = &self.link.settings;
        let subprotocol = upgrade.choose_subprotocol(&settings.subprotocols);
        let user_agent = settings.user_agent.as_deref();
        let agreed = match agree(upgrade, settings) {
            Ok(agreed) => agreed,
            Err(refusal) => return self.refuse(&refusal, cx),
        };
        let (agreed, extensions) = agreed.unzip();
        let extensions = extensions.as_deref();
        let response = upgrade.accept(subprotocol, extensions, &settings.headers, user_agent);
        {
            let mut facts = self.link.facts.lock();
            let (scheme, host, target) = (acceptor.scheme, upgrade.host(), upgrade.target());
            facts.url = format!("{scheme}://{host}{target}").into();
            facts.subprotocol = subprotocol.unwrap_or_default().into();
            facts.extensions = extensions.unwrap_or_default().into();
        }
        if let Err(error) = self.link.send_raw(&response) {
            return self.give_up(error);
        }
        self.outlet.attach(acceptor.handler(&self.link));
        self.open(agreed, used, len, cx);
    }

    /// Answers a request that is not for us, and leaves.
    pub(super) fn refuse(&mut self, refusal: &Refusal, cx: &mut Context<'_>) {
        log::debug!(
            "an upgrade request is refused with status {}",
            refusal.status
        );
        if let Err(error) = self.link.send_raw(&refusal.response()) {
            return self.give_up(error);
        }
        self.closing.failed(None, cx.now);
        self.phase = Phase::Leaving;
    }
}

/// The extensions of a server's connection, and how the response names them.
fn agree(
    upgrade: &handshake::Upgrade,
    settings: &Settings,
) -> Result<Option<(Agreed, String)>, Refusal> {
    let (Some(config), Some(offers)) = (&settings.compression, upgrade.extensions()) else {
        return Ok(None);
    };
    deflate::accept(config, &offers).map_err(Refusal::malformed)
}
