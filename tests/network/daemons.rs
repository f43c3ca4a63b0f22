//! Real proxies of Debian's packages, each with and without a password.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::abi::{ERR_PROXY, OK, Options, Runtime, Seen, functions};
use crate::missing::is_installed;
use crate::support::{Nobody, wait_until};
use crate::tls::{Identity, authority};
use crate::{expect_failure, expect_in, through};

/// A proxy that runs until the end of the test.
struct Daemon {
    child: Child,
    port: u16,
    configuration: Option<PathBuf>,
}

impl Daemon {
    /// None: the program is not installed.
    fn start(
        program: &str,
        package: &str,
        arguments: impl FnOnce(u16) -> Vec<String>,
    ) -> Option<Self> {
        if !is_installed(program, package) {
            return None;
        }
        let port = free_port();
        let child = Command::new(program)
            .args(arguments(port))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(program, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self {
            child,
            port,
            configuration: None,
        })
    }

    /// `BasicAuth user password`, or nothing.
    fn tinyproxy(password: &str) -> Option<Self> {
        let path = std::env::temp_dir().join(format!(
            "wsabi-tinyproxy-{}-{}",
            std::process::id(),
            password.len()
        ));
        let mut daemon = Self::start("tinyproxy", "tinyproxy-bin", |port| {
            let mut file = fs::File::create(&path).unwrap();
            write!(
                file,
                "Port {port}\nListen 127.0.0.1\nTimeout 60\nLogLevel Critical\n{password}\n"
            )
            .unwrap();
            vec!["-d".into(), "-c".into(), path.display().to_string()]
        })?;
        daemon.configuration = Some(path);
        Some(daemon)
    }

    fn microsocks(credentials: &[&str]) -> Option<Self> {
        Self::start("microsocks", "microsocks", |port| {
            let port = port.to_string();
            let fixed = ["-i", "127.0.0.1", "-p", &port];
            fixed
                .iter()
                .chain(credentials)
                .map(|it| (*it).to_owned())
                .collect()
        })
    }

    fn url(&self, before: &str) -> String {
        format!("{before}127.0.0.1:{}", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(path) = &self.configuration {
            let _ = fs::remove_file(path);
        }
    }
}

/// One that the system has just chosen, since the proxies cannot say which they have got.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Messages of many sizes go there and back, over ws and wss.
fn expect_echo(proxy: &str) {
    let runtime = Runtime::new();
    let (certificate, key) = Identity::of("localhost").pem();
    for scheme in ["ws", "wss"] {
        let options = Options::new().with_identity(&certificate, &key);
        let url = format!("{scheme}://127.0.0.1:0/");
        let (server, _seen) = runtime.listen_at(&url, &options, |socket, seen| {
            if let Seen::Message { data, .. } = seen {
                assert_eq!(socket.send_binary(data), OK);
            }
        });
        let options = through(proxy).set_text(functions().options_set_tls_ca, authority());
        let client = runtime.connect(&format!("{scheme}://localhost:{}/", server.port), &options);
        assert_eq!(client.seen.next(), Seen::Open, "{scheme} through {proxy}");
        for len in [0, 1, 1_000, 65_536, 1_000_000] {
            let message: Vec<u8> = (0..len)
                .map(|n: u32| (n.wrapping_mul(n) >> 8) as u8)
                .collect();
            assert_eq!(client.socket.send_binary(&message), OK);
            assert_eq!(client.seen.next(), Seen::binary(message));
        }
        assert_eq!(client.socket.close(1000, ""), OK);
        client.seen.expect(&[Seen::clean(1000, "")]);
        server.close();
    }
}

/// The proxy refuses; the sentence says this.
fn expect_refusal(proxy: &str, says: &[&str]) {
    let runtime = Runtime::new();
    let (server, _seen) = runtime.listen(&Options::new());
    let url = format!("ws://localhost:{}/", server.port);
    let client = runtime.connect(&url, &through(proxy));
    expect_in(&expect_failure(&client, ERR_PROXY), says);
}

#[test]
fn tinyproxy_lets_everybody_through() {
    let Some(proxy) = Daemon::tinyproxy("") else {
        return;
    };
    expect_echo(&proxy.url("http://"));
    let nobody = Nobody::new().url();
    let runtime = Runtime::new();
    let client = runtime.connect(&nobody, &through(&proxy.url("")));
    expect_in(
        &expect_failure(&client, ERR_PROXY),
        &["the proxy refused a tunnel", "50"],
    );
}

#[test]
fn tinyproxy_with_a_password_lets_through_who_has_it() {
    let Some(proxy) = Daemon::tinyproxy("BasicAuth user pass-word") else {
        return;
    };
    expect_echo(&proxy.url("http://user:pass-word@"));
    expect_refusal(
        &proxy.url("http://user:other@"),
        &["refused the credentials", "401"],
    );
    expect_refusal(&proxy.url("http://"), &["407"]);
}

#[test]
fn microsocks_lets_everybody_through() {
    let Some(proxy) = Daemon::microsocks(&[]) else {
        return;
    };
    expect_echo(&proxy.url("socks5h://"));
    let nobody = Nobody::new().url();
    let runtime = Runtime::new();
    let client = runtime.connect(&nobody, &through(&proxy.url("socks5://")));
    expect_in(
        &expect_failure(&client, ERR_PROXY),
        &["connection refused", "0x05"],
    );
}

#[test]
fn microsocks_with_a_password_lets_through_who_has_it() {
    let Some(proxy) = Daemon::microsocks(&["-u", "user", "-P", "pass:word"]) else {
        return;
    };
    expect_echo(&proxy.url("socks5h://user:pass%3Aword@"));
    expect_refusal(
        &proxy.url("socks5h://user:other@"),
        &["refused the credentials"],
    );
    expect_refusal(&proxy.url("socks5h://"), &["wants credentials"]);
}
