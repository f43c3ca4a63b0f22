//! What the documents say is so: README.md's examples print what it says, those of the others work,
//! CHANGELOG.md names every function, and links lead to files.
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
const BINDING: &str = include_str!("../bindings/python/README.md");
const SCALING: &str = include_str!("../docs/scaling.md");
const CHANGELOG: &str = include_str!("../CHANGELOG.md");
const HEADER: &str = include_str!("../include/wsabi.h");
const SYMBOLS: &str = include_str!("symbols.txt");

/// Names of the environment, which are no constants.
const VARIABLES: [&str; 9] = [
    "WSABI_BLESS",
    "WSABI_DELIVERY",
    "WSABI_EXITS",
    "WSABI_LIBRARY",
    "WSABI_LONG",
    "WSABI_NO_SKIP",
    "WSABI_RUNNER",
    "WSABI_SEED",
    "WSABI_SLOW",
];

/// The URL in the examples.
const EXAMPLE_URL: &str = "ws://127.0.0.1:8080/";

#[test]
fn the_c_example_of_the_readme_prints_what_it_says() {
    let (_threads, _server, url) = greeter(Parting::AfterMessage);
    let program = compile("c", &block("c").replace(EXAMPLE_URL, &url));

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
    let examples = blocks_of(section, "python");
    assert_eq!(examples.len(), 3);
    for example in examples {
        let (_threads, _server, url) = greeter(Parting::AfterMessage);
        let command = python(&example.replace(EXAMPLE_URL, &url));
        assert_eq!(printed(command), block("text"));
    }
}

/// In place of the end of a server in an example: somebody comes, and hears what he has said.
const GUEST: &str = "
with wsabi.connect(f'ws://127.0.0.1:{server.port}/') as guest:
    guest.send('John')
    print(guest.recv(timeout=60))
";

/// The same where a loop runs the server.
const AIO_GUEST: &str = "async with wsabi.aio.connect(f'ws://127.0.0.1:{server.port}/') as guest:
        await guest.send('John')
        print(await guest.recv())";

#[test]
fn the_examples_of_the_binding_work() {
    let [handlers, server, blocking, aio, aio_server] = blocks_of(BINDING, "python")[..] else {
        panic!("these examples were there");
    };
    let any_port = "ws://127.0.0.1:0/";
    assert!(aio_server.contains("await server.wait_closed()"));
    for (example, parting, expected) in [
        (
            handlers.to_owned(),
            Parting::AfterMessage,
            "Hello from server, John\n1000 \n",
        ),
        (
            format!("import wsabi\n{server}{GUEST}").replace(EXAMPLE_URL, any_port),
            Parting::AfterMessage,
            "John\n",
        ),
        (
            format!("import wsabi\n{blocking}"),
            Parting::AfterPing,
            "Hello from server, John\nround trip in seconds: ",
        ),
        (
            in_a_loop(aio),
            Parting::AfterPing,
            "Hello from server, John\nround trip in seconds: ",
        ),
        (
            in_a_loop(
                &aio_server
                    .replace(EXAMPLE_URL, any_port)
                    .replace("await server.wait_closed()", AIO_GUEST),
            ),
            Parting::AfterMessage,
            "John\n",
        ),
    ] {
        let (_threads, _server, url) = greeter(parting);
        let printed = printed(python(&example.replace(EXAMPLE_URL, &url)));
        assert!(printed.starts_with(expected), "{example}\n{printed}");
    }
}

/// What stands in a coroutine, where examples leave that out.
fn in_a_loop(example: &str) -> String {
    let body = example.replace('\n', "\n    ");
    format!(
        "import asyncio\nimport wsabi.aio\n\nasync def main():\n    {body}\nasyncio.run(main())\n"
    )
}

#[test]
fn the_example_of_how_to_scale_compiles() {
    let example = block_of(SCALING, "c");
    compile(
        "scaling",
        &format!(
            "#include <wsabi.h>\nint main(void) {{ wsabi_options options = WSABI_DEFAULT_OPTIONS;\n\
             wsabi_server server; {example} return wsabi_server_close(server); }}\n"
        ),
    );
}

#[test]
fn the_example_with_tls_of_the_readme_prints_what_it_says() {
    let folder = scratch("tls");
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    certificate::make(&folder, names.to_vec()).unwrap();
    let (_, section) = README.split_once("\n## With TLS\n").unwrap();
    let mut command = python(block_of(section, "python"));
    command.current_dir(&folder);
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
    for (path, text) in documents() {
        let targets = text.split("](").skip(1);
        for target in targets.filter_map(|rest| rest.split_once(')')) {
            let file = target.0.split('#').next().unwrap_or_default();
            if !file.contains("://") {
                links += 1;
                let target = path.parent().unwrap().join(file);
                assert!(target.exists(), "{}: {file}", path.display());
            }
        }
    }
    assert!(links > 15, "only {links} links were found");
}

#[test]
fn files_and_functions_that_are_named_are_there() {
    let (mut files, mut names) = (0, 0);
    for (path, text) in documents() {
        for word in text.split(|it: char| it.is_whitespace() || "`()|,;".contains(it)) {
            let first = word.split('/').next().unwrap_or_default();
            if word.contains('/') && ["src", "tests", "bindings", "benches"].contains(&first) {
                files += 1;
                let file = word.trim_end_matches(['.', ':']);
                assert!(root().join(file).exists(), "{}: {file}", path.display());
            }
        }
        for word in text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_') {
            let is_name = word.starts_with("wsabi_") || word.starts_with("WSABI_");
            if is_name && !word.ends_with('_') && !VARIABLES.contains(&word) {
                names += 1;
                assert!(has_word(HEADER, word), "{}: {word}", path.display());
            }
        }
    }
    assert!(files > 60 && names > 100, "{files} files, {names} names");
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_')
        .any(|it| it == word)
}

/// All of them, with their paths.
fn documents() -> Vec<(PathBuf, String)> {
    let folders = [".", "docs", "bindings/python"].map(|it| root().join(it));
    let entries = folders.iter().flat_map(|it| fs::read_dir(it).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    let documents: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(documents.len() > 6);
    documents
}

/// The first block of README.md that is marked as being in `language`.
fn block(language: &str) -> &'static str {
    block_of(README, language)
}

fn block_of(text: &'static str, language: &str) -> &'static str {
    let blocks = blocks_of(text, language);
    let first = blocks.into_iter().next();
    first.unwrap_or_else(|| panic!("there is no block in {language}"))
}

/// All blocks that are marked so.
fn blocks_of<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let mark = format!("```{language}\n");
    let starts = text.match_indices(&mark).map(|(at, _)| at + mark.len());
    starts
        .filter_map(|start| text[start..].split("```").next())
        .collect()
}

/// Compiles a program in C, in a folder of this name.
fn compile(name: &str, text: &str) -> PathBuf {
    let folder = scratch(name);
    let source = folder.join("program.c");
    fs::write(&source, text).unwrap();
    let program = folder.join("program");
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
    program
}

/// Python with the binding.
fn python(program: &str) -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-u", "-c", program])
        .env("PYTHONPATH", root().join("bindings/python"))
        .env("WSABI_LIBRARY", library());
    command
}

/// When the server of an example closes.
#[derive(Clone, Copy, PartialEq)]
enum Parting {
    AfterMessage,
    AfterPing,
}

/// A server as the examples expect it, which does not let them wait before it closes.
fn greeter(parting: Parting) -> (Threads, Server, String) {
    let threads = Threads::new(1);
    let options = Options::new();
    let server = Server::listen(&threads.0, "ws://127.0.0.1:0/", &options, move |socket| {
        let socket = socket.clone();
        Arc::new(move |event: Event<'_>| {
            let said = match event {
                Event::Message { payload, .. } => {
                    let name = String::from_utf8_lossy(payload.as_bytes());
                    let greeting = format!("Hello from server, {name}");
                    socket.send_text(&greeting).unwrap();
                    Parting::AfterMessage
                }
                Event::Ping(_) => Parting::AfterPing,
                _ => return,
            };
            if said == parting {
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
