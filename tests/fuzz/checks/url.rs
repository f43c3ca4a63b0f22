//! URLs.

use crate::net::{Host, Url};
use crate::proto::handshake::{Client, MAX_HEAD, Request, Server};

/// A URL is the same when it is parsed again, and a server reads it out of the request.
pub fn url(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            let sentence = error.to_string();
            assert!(!sentence.contains(char::is_control), "{sentence:?}");
            return;
        }
    };
    let again = Url::parse(url.as_str()).unwrap();
    assert_eq!(facts(&again), facts(&url));
    assert_eq!(again.basic_auth(), None, "credentials remain");
    assert_ne!(url.host(), Host::Domain(""));

    let (_, request) = Client::new(&Request {
        host: url.authority(),
        target: url.target(),
        authorization: url.basic_auth(),
        ..Request::default()
    })
    .unwrap();
    // Characters that the URL standard allows in a host, but RFC 3986 does not.
    let is_odd = url.authority().contains(['"', '`', '{', '}']);
    if request.len() <= MAX_HEAD && !is_odd {
        let (used, upgrade) = Server::new().receive(&request).unwrap();
        let upgrade = upgrade.unwrap();
        assert_eq!(used, request.len());
        assert_eq!(upgrade.host(), url.authority());
        assert_eq!(upgrade.target(), url.target());
    }
}

fn facts(url: &Url) -> impl PartialEq + std::fmt::Debug {
    (
        url.as_str().to_owned(),
        url.is_secure(),
        url.authority().to_owned(),
        url.port(),
        url.target().to_owned(),
        url.unix().map(ToOwned::to_owned),
    )
}
