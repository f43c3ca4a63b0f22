use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::from_lookup(|name| {
        let found = variables.iter().find(|(its, _)| *its == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

/// The proxy for a URL, as text, or nothing.
fn proxy(variables: &[(&str, &str)], url: &str) -> String {
    let proxy = environment(variables).proxy_for(&Url::parse(url).unwrap());
    proxy
        .unwrap()
        .map_or_else(String::new, |proxy| proxy.to_string())
}

/// Whether no_proxy excepts the URL.
fn is_direct(no_proxy: &str, url: &str) -> bool {
    let variables = [("all_proxy", "p"), ("no_proxy", no_proxy)];
    proxy(&variables, url).is_empty()
}

#[test]
fn variables_have_their_order_for_each_scheme() {
    let secure = [
        "wss_proxy",
        "WSS_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    let plain = [
        "ws_proxy",
        "WS_PROXY",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    let value = |name: &str| {
        let is_lower = name.starts_with(char::is_lowercase);
        let case = if is_lower { "lower" } else { "upper" };
        format!("http://{}.{case}:1", name.to_ascii_lowercase())
    };
    for (url, names, others) in [
        ("wss://a.example/", secure, plain),
        ("https://a.example/", secure, plain),
        ("ws://a.example/", plain, secure),
        ("http://a.example:443/", plain, secure),
    ] {
        for (i, first) in names.iter().enumerate() {
            let set: Vec<_> = names[i..].iter().map(|name| (*name, value(name))).collect();
            let mut set: Vec<_> = set
                .iter()
                .map(|(name, text)| (*name, text.as_str()))
                .collect();
            assert_eq!(proxy(&set, url), value(first), "{url} {set:?}");
            // Empty ones are as good as none.
            set.extend(names[..i].iter().map(|name| (*name, " ")));
            assert_eq!(proxy(&set, url), value(first), "{url} {set:?}");
        }
        let set: Vec<_> = others[..4].iter().map(|name| (*name, "http://x")).collect();
        assert_eq!(proxy(&set, url), "", "{url}");
        assert_eq!(proxy(&[], url), "", "{url}");
    }
}

#[test]
fn http_proxy_in_upper_case_is_not_believed_in_a_cgi_program() {
    let upper = ("HTTP_PROXY", "evil");
    let url = "ws://a.example/";
    for method in ["GET", ""] {
        let cgi = ("REQUEST_METHOD", method);
        assert_eq!(proxy(&[upper], url), "http://evil:80");
        assert_eq!(proxy(&[cgi, upper], url), "");
        assert_eq!(proxy(&[cgi, upper, ("ALL_PROXY", "a")], url), "http://a:80");
        assert_eq!(
            proxy(&[cgi, upper, ("http_proxy", "b")], url),
            "http://b:80"
        );
        let secure = ("HTTPS_PROXY", "c");
        assert_eq!(proxy(&[cgi, secure], "wss://a.example/"), "http://c:80");
    }
}

#[test]
fn what_is_on_this_machine_is_reached_directly() {
    for url in [
        "ws://localhost:9001/",
        "ws://LOCALHOST./",
        "ws://a.localhost/",
        "ws://127.0.0.1/",
        "ws://127.255.0.9/",
        "ws://[::1]/",
        "ws://[::ffff:127.0.0.1]/",
        "ws+unix:///run/a.sock",
    ] {
        assert!(is_direct("", url), "{url}");
    }
    for url in [
        "ws://notlocalhost/",
        "ws://localhost.example/",
        "ws://128.0.0.1/",
        "ws://[::2]/",
    ] {
        assert!(!is_direct("", url), "{url}");
    }
}

#[test]
fn no_proxy_names_domains_addresses_and_networks() {
    for (entry, inside, outside) in [
        ("*", &["a.example", "10.0.0.1", "[fd00::1]:81"][..], &[][..]),
        (
            "a.example",
            &["a.example", "A.Example.", "b.a.example", "c.b.a.example:81"],
            &["xa.example", "example", "a.example.org", "b.example"],
        ),
        (".a.example", &["a.example", "b.a.example"], &["xa.example"]),
        ("*.a.example", &["b.a.example"], &["xa.example"]),
        ("A.EXAMPLE.", &["a.example", "a.example."], &[]),
        (
            "b\u{fc}cher.example",
            &["xn--bcher-kva.example", "B\u{dc}CHER.example"],
            &[],
        ),
        ("a_b", &["a_b", "x.a_b"], &["ab"]),
        (
            "a.example:81",
            &["a.example:81", "b.a.example:81"],
            &["a.example", "a.example:82"],
        ),
        ("a.example:80", &["a.example"], &["a.example:81"]),
        (
            "10.1.2.3",
            &["10.1.2.3", "10.1.2.3:81", "[::ffff:10.1.2.3]"],
            &["10.1.2.4", "x.10.1.2.3.example"],
        ),
        ("10.1.2.3:81", &["10.1.2.3:81"], &["10.1.2.3"]),
        ("fd00::1", &["[fd00:0::1]", "[fd00::1]:81"], &["[fd00::2]"]),
        ("[fd00::1]", &["[fd00::1]", "[fd00::1]:81"], &["[fd00::2]"]),
        ("[fd00::1]:81", &["[fd00::1]:81"], &["[fd00::1]"]),
        ("::ffff:10.1.2.3", &["10.1.2.3"], &["10.1.2.4"]),
        (
            "10.1.2.3/8",
            &["10.0.0.0", "10.255.255.255:81", "[::ffff:10.9.9.9]"],
            &["11.0.0.0", "9.255.255.255", "[a00::]", "10.example"],
        ),
        ("10.1.2.3/32", &["10.1.2.3"], &["10.1.2.2"]),
        ("10.1.2.2/31", &["10.1.2.3"], &["10.1.2.4"]),
        ("0.0.0.0/0", &["1.2.3.4"], &["[fd00::1]", "a.example"]),
        ("fd00::/9", &["[fd7f::]"], &["[fd80::]", "253.0.0.1"]),
        ("::/0", &["[fd00::1]"], &["1.2.3.4"]),
        ("fd00::1/128", &["[fd00::1]"], &["[fd00::]"]),
    ] {
        for (places, expected) in [(inside, true), (outside, false)] {
            for place in places {
                let url = format!("ws://{place}/");
                assert_eq!(is_direct(entry, &url), expected, "{entry:?} {url}");
            }
        }
    }
}

#[test]
fn no_proxy_is_a_list_and_what_names_no_place_has_no_effect() {
    for list in ["a,b", "a b", " ,a , b,", "x:\tb,,a", "10.0.0.0/33 a,b:80"] {
        assert!(
            is_direct(list, "ws://a/") && is_direct(list, "ws://b/"),
            "{list:?}"
        );
        assert!(!is_direct(list, "ws://c/"), "{list:?}");
    }
    for entry in [
        "",
        ",",
        ".",
        "..",
        "*.",
        "**",
        "*a",
        ":80",
        "a:",
        "a:x",
        "a:65536",
        "[]",
        "[::1",
        "::x",
        "/",
        "/run/a.sock",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/33",
        "::/129",
        "a/8",
        "<local>",
        "1.2.3.256",
        "\u{fffd}",
        "http://a/",
    ] {
        for url in ["ws://a/", "ws://10.0.0.0/", "ws://[::]/", "ws://a.b./"] {
            assert!(!is_direct(entry, url), "{entry:?} {url}");
        }
    }
}

#[test]
fn no_proxy_is_read_in_lower_case_first() {
    let all = ("all_proxy", "p");
    let (lower, upper) = (("no_proxy", "a"), ("NO_PROXY", "b"));
    assert_eq!(proxy(&[all, lower, upper], "ws://a/"), "");
    assert_eq!(proxy(&[all, lower, upper], "ws://b/"), "http://p:80");
    assert_eq!(proxy(&[all, upper], "ws://b/"), "");
    assert_eq!(proxy(&[all, ("no_proxy", ""), upper], "ws://b/"), "");
}

#[test]
fn a_value_that_is_no_proxy_is_an_error_that_names_the_variable_without_credentials() {
    for (name, url) in [
        ("HTTPS_PROXY", "wss://a.example/"),
        ("ws_proxy", "ws://a.example/"),
    ] {
        let environment = environment(&[(name, "socks4://alice:secret@a"), ("ALL_PROXY", "b")]);
        let error = environment
            .proxy_for(&Url::parse(url).unwrap())
            .unwrap_err();
        let sentence = format!(
            "environment variable {name}: proxy \"socks4://***@a\" does not begin with http://, \
             https://, socks5:// or socks5h://"
        );
        assert_eq!(error, Error::Proxy(sentence.into()));
        let debug = format!("{environment:?}");
        assert!(debug.contains(name) && !debug.contains("secret"), "{debug}");
    }
    let direct = [("all_proxy", "a b"), ("no_proxy", "c")];
    assert_eq!(proxy(&direct, "ws://c/"), "", "it is not needed here");
}

/// Runs itself once more: the environment of a process with threads cannot be changed safely.
#[test]
fn the_environment_of_the_process_is_read() {
    const NAME: &str = "net::proxy::environment::tests::the_environment_of_the_process_is_read";
    const IS_CHILD: &str = "WSABI_TEST_IS_CHILD";
    if env::var_os(IS_CHILD).is_some() {
        let environment = Environment::read();
        let proxy_for = |url| environment.proxy_for(&Url::parse(url).unwrap());
        assert_eq!(proxy_for("wss://a.example/"), Proxy::parse("p:1").map(Some));
        assert!(matches!(proxy_for("ws://a.example/"), Err(Error::Proxy(_))));
        return;
    }
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env_clear()
        .envs([(IS_CHILD, "1"), ("ALL_PROXY", "p:1")])
        .env("http_proxy", OsStr::from_bytes(b"not-utf-8\xff"))
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}
