//! A client's upgrade: the request, the answer, and the redirects that it asks for.

use std::sync::Arc;

use super::{Connection, Context, Phase, Side, retry};
use crate::error::{Error, Result};
use crate::proto::{deflate, handshake};

impl Connection {
    /// Asks for the upgrade.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let settings = Arc::clone(&self.link.settings);
        let changed = self.link.changed_headers();
        let Some(way) = self.way() else { return Ok(()) };
        let is_home = way.is_home();
        let headers: Vec<(String, String)> = settings
            .headers
            .iter()
            .filter(|(name, _)| !changed.iter().any(|it| it.0.eq_ignore_ascii_case(name)))
            .chain(&changed)
            .filter(|(name, _)| is_home || !is_credential(name))
            .cloned()
            .collect();
        let own = settings.authorization.as_deref().filter(|_| is_home);
        let url = way.url();
        let (client, request) = handshake::Client::new(&handshake::Request {
            host: url.authority(),
            target: url.target(),
            authorization: way.basic_auth().or(own),
            origin: settings.origin.as_deref(),
            user_agent: settings.user_agent.as_deref(),
            subprotocols: &settings.subprotocols,
            headers: &headers,
            extensions: settings.compression.as_ref().map(deflate::offer).as_deref(),
        })?;
        self.link.send_raw(&request)?;
        self.enter(Phase::Asking(Box::new(client)), cx.now);
        Ok(())
    }

    /// Takes what the server answers: the first `len` bytes of the shared buffer.
    pub(super) fn receive_answer(&mut self, len: usize, cx: &mut Context<'_>) {
        let Phase::Asking(client) = &mut self.phase else {
            return;
        };
        let result = client.receive(&cx.buffer[..len]);
        if client.response().is_some() && self.redirected(cx) {
            return;
        }
        match result {
            Ok((_, None)) => {}
            Ok((used, Some(accepted))) => {
                self.keep_response();
                self.accepted(accepted, used, len, cx);
            }
            Err(error) => {
                self.keep_response();
                self.give_up(error);
            }
        }
    }

    /// Follows the redirect that the response asks for, if it does and we may.
    fn redirected(&mut self, cx: &mut Context<'_>) -> bool {
        let Phase::Asking(client) = &self.phase else {
            return false;
        };
        let Some(head) = client.response() else {
            return false;
        };
        if !matches!(head.status(), 301 | 302 | 303 | 307 | 308) {
            return false;
        }
        let Some(location) = head.field("Location").map(std::borrow::Cow::into_owned) else {
            return false;
        };
        let settings = Arc::clone(&self.link.settings);
        let Some(followed) = self.way().and_then(|it| it.redirect(&location, &settings)) else {
            return false;
        };
        self.keep_response();
        match followed {
            Err(error) => {
                let sentence = format!("a redirect is not followed: {error}");
                self.give_up(Error::Http(sentence.into()));
            }
            Ok(()) => {
                self.disconnect();
                if let Some(way) = self.way() {
                    let url = way.url().as_str().into();
                    self.link.facts.lock().url = url;
                }
                self.go_on(cx);
            }
        }
        true
    }

    /// The server has accepted the upgrade.
    fn accepted(
        &mut self,
        accepted: handshake::Accepted,
        used: usize,
        len: usize,
        cx: &mut Context<'_>,
    ) {
        let config = self.link.settings.compression.clone().unwrap_or_default();
        let agreed = match deflate::confirm(&config, &accepted.extensions) {
            Ok(agreed) => agreed,
            Err(sentence) => return self.give_up(Error::Handshake(sentence)),
        };
        {
            let mut facts = self.link.facts.lock();
            facts.subprotocol = accepted.subprotocol.unwrap_or_default().into();
            facts.extensions = accepted.extensions.into();
        }
        if let Side::Client(way) = &mut self.side {
            // Only a lost connection needs it again.
            way.take_if(|way| way.retry.is_none());
        }
        self.open(agreed, used, len, cx);
    }

    /// Moves the response to where the application can see it.
    pub(super) fn keep_response(&mut self) {
        if !matches!(self.phase, Phase::Asking(_)) {
            return;
        }
        let Phase::Asking(client) = std::mem::replace(&mut self.phase, Phase::Leaving) else {
            return;
        };
        let (head, body) = client.into_response();
        let status = head.as_ref().map_or(0, handshake::Head::status);
        self.is_hopeless = status > 101 && retry::is_permanent_status(status);
        let mut facts = self.link.facts.lock();
        facts.response = head;
        facts.response_body = body;
    }
}

/// Whether a field is for one origin only.
fn is_credential(name: &str) -> bool {
    ["Authorization", "Cookie"]
        .iter()
        .any(|it| name.eq_ignore_ascii_case(it))
}
