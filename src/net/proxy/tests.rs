use super::*;

#[test]
fn proxies_are_brought_into_their_normal_form() {
    for (text, normal) in [
        ("http://proxy", "http://proxy:80"),
        ("http://proxy/", "http://proxy:80"),
        ("https://proxy", "https://proxy:443"),
        ("socks5://proxy", "socks5://proxy:1080"),
        ("socks5h://proxy", "socks5h://proxy:1080"),
        ("SOCKS5H://Proxy.Example:80", "socks5h://proxy.example:80"),
        ("http://proxy:443", "http://proxy:443"),
        ("https://proxy:80", "https://proxy:80"),
        ("socks5://proxy:443", "socks5://proxy:443"),
        ("socks5://proxy:80/", "socks5://proxy:80"),
        (" http://proxy:3128 ", "http://proxy:3128"),
        ("http://127.0.0.1:3128", "http://127.0.0.1:3128"),
        ("socks5://0x7f.1", "socks5://127.0.0.1:1080"),
        ("http://[0:0::1]:3128", "http://[::1]:3128"),
        ("socks5://[::1]", "socks5://[::1]:1080"),
        (
            "socks5://b\u{fc}cher.example",
            "socks5://xn--bcher-kva.example:1080",
        ),
        (
            "http://b%C3%BCcher.example",
            "http://xn--bcher-kva.example:80",
        ),
        ("proxy", "http://proxy:80"),
        ("proxy:3128", "http://proxy:3128"),
        ("proxy:3128/", "http://proxy:3128"),
        ("[::1]:3128", "http://[::1]:3128"),
        ("http://@proxy", "http://proxy:80"),
        ("socks5://:@proxy", "socks5://proxy:1080"),
    ] {
        let proxy = Proxy::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(proxy.to_string(), normal, "{text:?}");
        assert_eq!((proxy.basic_auth(), proxy.login()), (None, None));
        let (_, authority) = normal.split_once("://").unwrap();
        assert_eq!(proxy.authority(), authority);
        assert!(authority.ends_with(&format!(":{}", proxy.port())));
        assert_eq!(Proxy::parse(normal), Ok(proxy));
    }
}

#[test]
fn hosts_of_proxies_are_names_or_addresses() {
    for (text, host) in [
        ("http://Proxy.example.", Host::Domain("proxy.example.")),
        ("socks5://10.0.0.1", Host::Ip([10, 0, 0, 1].into())),
        ("[::]:1", Host::Ip([0_u16; 8].into())),
    ] {
        assert_eq!(Proxy::parse(text).unwrap().host(), host, "{text:?}");
    }
}

#[test]
fn the_scheme_says_who_encrypts_and_who_resolves() {
    for (text, is_http, is_tls, resolves_names) in [
        ("http://a", true, false, true),
        ("https://a", true, true, true),
        ("socks5://a", false, false, false),
        ("socks5h://a", false, false, true),
    ] {
        let proxy = Proxy::parse(text).unwrap();
        let facts = (proxy.is_http(), proxy.is_tls(), proxy.resolves_names());
        assert_eq!(facts, (is_http, is_tls, resolves_names), "{text}");
    }
}

#[test]
fn credentials_have_the_form_that_the_proxy_wants() {
    type Login<'a> = Option<(&'a [u8], &'a [u8])>;
    let long = "x".repeat(255);
    let longest = format!("socks5://{long}:{long}@a");
    let longest_login: Login<'_> = Some((long.as_bytes(), long.as_bytes()));
    for (text, basic, login) in [
        ("http://u:p@a", Some("Basic dTpw"), None),
        ("u:p@a:80", Some("Basic dTpw"), None),
        ("https://u@a", Some("Basic dTo="), None),
        ("https://:p@a", Some("Basic OnA="), None),
        ("http://a%C3%A4:%40:b@a", Some("Basic YcOkOkA6Yg=="), None),
        ("socks5://u:p@a", None, Some((&b"u"[..], &b"p"[..]))),
        ("socks5h://u%3A:p%ff@a", None, Some((b"u:", b"p\xff"))),
        ("socks5://:p@a", None, Some((b"", b"p"))),
        ("socks5://u@a", None, Some((b"u", b""))),
        (&longest, None, longest_login),
    ] {
        let proxy = Proxy::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!((proxy.basic_auth(), proxy.login()), (basic, login));
        let shown = format!("{proxy} {proxy:?} {} {:?}", proxy.authority(), proxy.host());
        assert!(!shown.contains('@') && !shown.contains('u'), "{shown}");
    }
    for bad in ["http://u%3A:p@a", "http://u:p%00@a", "https://u%0d%0a@a"] {
        assert!(Proxy::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_no_proxy_is_refused_with_a_sentence_that_names_it() {
    for (text, complaint) in [
        ("", "empty host"),
        (" ", "empty host"),
        ("/", "empty host"),
        ("http://", "empty host"),
        ("socks5:///", "empty host"),
        (":3128", "empty host"),
        ("socks4://a", "does not begin with"),
        ("socks://a", "does not begin with"),
        ("ws://a", "does not begin with"),
        ("://a", "does not begin with"),
        ("ht tp://a", "does not begin with"),
        ("http:a", "port"),
        ("socks5:\\\\a", "port"),
        ("http:\\\\a", "port"),
        ("http://a:65536", "port"),
        ("http://a:x", "port"),
        ("http://a b", "not valid"),
        ("socks5://a<b", "not valid"),
        ("socks5://a%00b", "not valid"),
        ("socks5://1.2.3.256", "IPv4"),
        ("http://[::1", "IPv6"),
        ("http://[::1%25eth0]", "IPv6"),
        ("http://a/b", "more than a host"),
        ("http://a//", "more than a host"),
        ("http://a?", "more than a host"),
        ("http://a/?b", "more than a host"),
        ("http://a#", "more than a host"),
        ("a/b", "more than a host"),
        ("http://a\r\n", "control"),
        ("http://a\0", "control"),
        ("\thttp://a", "control"),
    ] {
        let error = Proxy::parse(text).expect_err(text);
        assert!(matches!(error, Error::Url(_)), "{text:?}: {error:?}");
        let sentence = error.to_string();
        assert!(sentence.contains(complaint), "{text:?}: {sentence}");
        let named = format!("proxy {text:?} ");
        assert!(sentence.starts_with(&named), "{text:?}: {sentence}");
    }
}

#[test]
fn sentences_about_proxies_never_name_credentials() {
    let long = "secret".repeat(50);
    let too_long = format!("socks5://{long}:x@a");
    for text in [
        "socks4://alice:secret@a",
        "alice:secret@a b",
        "http://alice:secret@a/b",
        "http://alice:secret@a:99999",
        "http://alice:secret@x@a:99999",
        "http://alice:sec/ret@a",
        "http://ali%3Ace:secret@a",
        "http://alice:secret%0d@a",
        "http://alice:secret\r\n@a",
        "alice:se://cret@a",
        "socks5://alice:secret@",
        &too_long,
    ] {
        let sentence = Proxy::parse(text).expect_err(text).to_string();
        for part in ["alice", "cret", "sec", "ali%"] {
            assert!(!sentence.contains(part), "{text:?}: {sentence}");
        }
        assert!(sentence.contains("***@"), "{text:?}: {sentence}");
    }
}

#[test]
fn a_choice_is_none_the_environment_or_a_proxy() {
    let url = Url::parse("ws://localhost/").unwrap();
    let unix = Url::parse("ws+unix:///a").unwrap();
    assert!(matches!(ProxyChoice::default(), ProxyChoice::Direct));
    let direct = ProxyChoice::parse("").unwrap();
    assert_eq!(direct.proxy_for(&url), Ok(None));
    let environment = ProxyChoice::parse("env").unwrap();
    assert!(matches!(environment, ProxyChoice::Environment(_)));
    assert_eq!(environment.proxy_for(&url), Ok(None));
    let fixed = ProxyChoice::parse("proxy:3128").unwrap();
    let proxy = Proxy::parse("http://proxy:3128").unwrap();
    assert_eq!(fixed.proxy_for(&url), Ok(Some(proxy)));
    assert_eq!(fixed.proxy_for(&unix), Ok(None));
    assert!(matches!(ProxyChoice::parse("a b"), Err(Error::Url(_))));
}
