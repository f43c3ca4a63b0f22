//! nginx, which terminates TLS in front of a server of the library.

use std::process::Command;

use crate::abi::{FACT_TLS_VERSION, OK, Options, Runtime, Seen, functions};
use crate::ends::{expect_refusal, trusting};
use crate::missing::is_installed;
use crate::programs::{Directory, Program, free_port};
use crate::support::tls::{Authority, LOCAL};

/// nginx with one version of TLS, in front of a port.
fn nginx(
    directory: &Directory,
    authority: &Authority,
    versions: &str,
    port: u16,
) -> (Program, u16) {
    let identity = authority.issue(LOCAL);
    let cert = directory.write("cert.pem", &identity.cert);
    let key = directory.write("key.pem", &identity.key);
    let own = free_port();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {};\n", directory.file(kind)))
        .collect();
    let config = format!(
        "daemon off;
        master_process off;
        pid {pid};
        error_log stderr;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            {temporary}
            server {{
                listen 127.0.0.1:{own} ssl;
                server_name localhost;
                ssl_certificate {cert};
                ssl_certificate_key {key};
                ssl_protocols {versions};
                location / {{
                    proxy_pass http://127.0.0.1:{port};
                    proxy_http_version 1.1;
                    proxy_set_header Host $http_host;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection upgrade;
                }}
            }}
        }}",
        pid = directory.file("pid"),
    );
    let config = directory.write("nginx.conf", &config);
    let mut command = Command::new("nginx");
    command
        .args(["-e", "stderr", "-c", &config, "-p"])
        .arg(directory.path());
    let mut program = Program::start(&mut command);
    program.wait_for_port(own);
    (program, own)
}

#[test]
fn our_client_speaks_through_nginx_to_our_server() {
    if !is_installed("nginx", "nginx") {
        return;
    }
    for version in ["TLSv1.2", "TLSv1.3"] {
        let runtime = Runtime::new();
        let (server, served) = runtime.listen_with(&Options::new(), |socket, seen| {
            if let Seen::Message { data, .. } = seen {
                assert_eq!(socket.send_binary(data), OK);
            }
        });
        let directory = Directory::new();
        let authority = Authority::new();
        let (_nginx, port) = nginx(&directory, &authority, version, server.port);
        let url = format!("wss://localhost:{port}/");
        // The second time, the session is resumed.
        let options = trusting(&authority);
        for _ in 0..2 {
            let client = runtime.connect(&url, &options);
            assert_eq!(client.seen.next(), Seen::Open);
            assert_eq!(client.socket.fact(FACT_TLS_VERSION), version);
            for len in [0, 1, 125, 16_384, 70_000, 1 << 20] {
                let data: Vec<u8> = (0..len).map(|place: u32| (place * 7) as u8).collect();
                assert_eq!(client.socket.send_binary(&data), OK);
                let answer = client.seen.next();
                assert!(answer == Seen::binary(data), "{len}");
            }
            assert_eq!(client.socket.close(1000, "done"), OK);
            client.seen.expect(&[Seen::clean(1000, "")]);
            let seen = served.until_close();
            assert_eq!(seen.last(), Some(&Seen::clean(1000, "done")));
        }
    }
}

#[test]
fn nginx_with_a_certificate_that_is_not_trusted_is_left() {
    if !is_installed("nginx", "nginx") {
        return;
    }
    let runtime = Runtime::new();
    let (server, served) = runtime.listen(&Options::new());
    let directory = Directory::new();
    let (_nginx, port) = nginx(
        &directory,
        &Authority::new(),
        "TLSv1.2 TLSv1.3",
        server.port,
    );
    let url = format!("wss://localhost:{port}/");
    let sentence = expect_refusal(&runtime.connect(&url, &trusting(&Authority::new())));
    assert!(
        sentence.starts_with("certificate of unknown issuer: "),
        "{sentence}"
    );
    assert_eq!(served.so_far(), []);
}

#[test]
fn an_answer_of_nginx_in_place_of_the_server_is_a_refusal() {
    if !is_installed("nginx", "nginx") {
        return;
    }
    let directory = Directory::new();
    let authority = Authority::new();
    // Nobody is behind it: 502.
    let (_nginx, port) = nginx(&directory, &authority, "TLSv1.3", free_port());
    let runtime = Runtime::new();
    let url = format!("wss://localhost:{port}/");
    let options = trusting(&authority).set(functions().options_set_connect_timeout_ms, 20_000);
    let client = runtime.connect(&url, &options);
    let (status, close) = client.seen.expect_failure();
    assert_eq!((status, close.code), (crate::abi::ERR_HTTP, 1006));
    assert_eq!(client.socket.response_status(), 502);
}
