//! What the documents say is so: README.md's examples print what it says, CHANGELOG.md names every
//! function, and links lead to files.
#![cfg(target_os = "linux")]

mod built;
#[path = "../examples/certificate.rs"]
mod certificate;
mod support;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use built::library;
use support::{PATIENCE, Threads};
use wsabi::{Event, Options, Server};

const README: &str = include_str!("../README.md");
const CHANGELOG: &str = include_str!("../CHANGELOG.md");
const SYMBOLS: &str = include_str!("symbols.txt");

/// The URL in the examples.
const EXAMPLE_URL: &str = "ws://127.0.0.1:8080/";

#[test]
fn the_c_example_of_the_readme_prints_what_it_says() {
    let folder = scratch("c");
    let (_threads, _server, url) = greeter();
    let source = folder.join("hello.c");
    fs::write(&source, block("c").replace(EXAMPLE_URL, &url)).unwrap();
    let program = folder.join("hello");
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut words = compiler.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .arg(format!("-I{}", root().join("include").display()))
        .arg("-o")
        .args([&program, &source, &library()])
        .arg("-Wl,-rpath,$ORIGIN")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    // Into a pipe, it would print nothing before its end. Nor may it have a buffer at all: exit
    // writes that without a lock, again if the handler has just written it.
    let mut command = Command::new("stdbuf");
    command.arg("--output=0").arg(&program);
    assert_eq!(printed(command), block("text"));
}

#[test]
fn the_python_examples_of_the_readme_print_what_it_says() {
    let (_, section) = README.split_once("\n## In Python\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let examples = section.split("```python\n").skip(1);
    let examples: Vec<&str> = examples.filter_map(|it| it.split("```").next()).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let (_threads, _server, url) = greeter();
        let mut command = Command::new("python3");
        command
            .args(["-u", "-c", &example.replace(EXAMPLE_URL, &url)])
            .env("PYTHONPATH", root().join("bindings/python"))
            .env("WSABI_LIBRARY", library());
        assert_eq!(printed(command), block("text"));
    }
}

#[test]
fn the_example_with_tls_of_the_readme_prints_what_it_says() {
    let folder = scratch("tls");
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    certificate::make(&folder, names.to_vec()).unwrap();
    let (_, section) = README.split_once("\n## With TLS\n").unwrap();
    let mut command = Command::new("python3");
    command
        .args(["-u", "-c", block_of(section, "python")])
        .current_dir(&folder)
        .env("PYTHONPATH", root().join("bindings/python"))
        .env("WSABI_LIBRARY", library());
    assert_eq!(printed(command), block_of(section, "text"));
}

#[test]
fn the_changelog_names_every_function() {
    let names = SYMBOLS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next());
    for name in names {
        assert!(CHANGELOG.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn links_lead_to_files() {
    let mut links = 0;
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let targets = text.split("](").skip(1);
        for target in targets.filter_map(|rest| rest.split_once(')')) {
            let file = target.0.split('#').next().unwrap_or_default();
            if !file.contains("://") {
                links += 1;
                assert!(root().join(file).exists(), "{}: {file}", path.display());
            }
        }
    }
    assert!(links > 5, "only {links} links were found");
}

/// The first block of README.md that is marked as being in `language`.
fn block(language: &str) -> &'static str {
    block_of(README, language)
}

fn block_of(text: &'static str, language: &str) -> &'static str {
    let (_, behind) = text
        .split_once(&format!("```{language}\n"))
        .unwrap_or_else(|| panic!("README.md has no block in {language}"));
    behind.split_once("```").map_or(behind, |(block, _)| block)
}

/// A server as the examples expect it, which does not let them wait before it closes.
fn greeter() -> (Threads, Server, String) {
    let threads = Threads::new(1);
    let options = Options::new();
    let server = Server::listen(&threads.0, "ws://127.0.0.1:0/", &options, |socket| {
        let socket = socket.clone();
        Arc::new(move |event: Event<'_>| {
            if let Event::Message { payload, .. } = event {
                let name = String::from_utf8_lossy(payload.as_bytes());
                let greeting = format!("Hello from server, {name}");
                socket.send_text(&greeting).unwrap();
                socket.close(Some(1000), "").unwrap();
            }
        })
    })
    .unwrap();
    let url = format!("ws://127.0.0.1:{}/", server.port());
    (threads, server, url)
}

/// What a program prints. Its input ends once it has printed the close event.
fn printed(mut command: Command) -> String {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = Killed(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
    let output = BufReader::new(child.0.stdout.take().unwrap());
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // The test may have given up.
            let _ = sender.send(line);
        }
    });
    let mut input = child.0.stdin.take();
    let mut printed = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                if line.starts_with("close:") {
                    drop(input.take());
                }
                printed += &line;
                printed.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("still running, after:\n{printed}"),
        }
    }
    assert!(child.0.wait().unwrap().success(), "after:\n{printed}");
    printed
}

/// A program that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of its own, in which programs find the library under the name that they look for.
fn scratch(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("documents")
        .join(test);
    // What an earlier run has left may be of another version.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let soname = match env!("CARGO_PKG_VERSION_MAJOR") {
        "0" => format!("libwsabi.so.0.{}", env!("CARGO_PKG_VERSION_MINOR")),
        major => format!("libwsabi.so.{major}"),
    };
    std::os::unix::fs::symlink(library(), folder.join(soname)).unwrap();
    folder
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
