//! Compiles the C programs of tests/c and the examples, links them to the library, and runs them.
//!
//! `WSABI_RUNNER` is a command to run them under, such as `valgrind -q --error-exitcode=9`;
//! `WSABI_SLOW` is how many times slower they are then: they wait longer and repeat less often.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn events_come_in_order_and_close_comes_once_and_last() {
    run("lifecycle");
}

#[test]
fn user_data_is_released_once_after_its_last_handler() {
    run("user_data");
}

#[test]
fn bad_arguments_are_refused_at_once_and_do_nothing() {
    run("null");
}

#[test]
fn everything_can_be_called_inside_every_handler() {
    run("reentry");
}

#[test]
fn threads_share_sockets_without_losing_or_mixing_messages() {
    run("threads");
}

#[test]
fn handles_that_are_not_live_are_refused_by_every_function() {
    run("handles");
}

#[test]
fn peers_that_fail_cause_one_error_and_one_close() {
    run("failure");
}

#[test]
fn a_server_outlives_hostile_strangers() {
    run("strangers");
}

#[test]
fn the_process_survives_dead_peers_signals_and_its_own_exit() {
    run("survival");
}

#[test]
fn limits_and_flow_control_hold() {
    run("limits");
}

#[test]
fn compression_shrinks_what_goes_over_the_wire_and_nothing_else() {
    run("compression");
}

#[test]
fn pings_are_sent_answered_and_missed() {
    run("keepalive");
}

#[test]
fn facts_statistics_log_and_hooks_tell_the_truth() {
    run("facts");
}

#[test]
fn a_forked_child_starts_afresh_and_its_parent_goes_on() {
    run("fork");
}

#[test]
fn a_program_can_be_cpp() {
    let program = directory("lifecycle_cpp").join("program");
    let flags = ["-std=c++11", "-x", "c++"];
    compile(
        compiler("CXX", "c++"),
        &flags,
        "tests/c/lifecycle.c",
        &program,
    );
    Running::start(&program, &[]).finish().expect_success();
}

#[test]
fn no_function_is_left_out() {
    let sources = [
        include_str!("c/handles.c"),
        include_str!("c/facts.c"),
        include_str!("c/null.c"),
        include_str!("c/pair.h"),
    ];
    for line in include_str!("symbols.txt").lines() {
        let Some(name) = line
            .split_whitespace()
            .next()
            .filter(|it| it.starts_with("wsabi_"))
        else {
            continue;
        };
        let call = format!("{name}(");
        // handles.c tries what takes a handle; the others are in the programs beside it.
        let is_called = sources.iter().any(|source| source.contains(&call));
        assert!(is_called, "no C program tries {name} with bad arguments");
    }
}

#[test]
fn no_program_is_left_out() {
    let this_file = include_str!("c_programs.rs");
    for entry in fs::read_dir(root().join("tests/c")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "c") {
            let call = format!("run({:?})", path.file_stem().unwrap());
            assert!(this_file.contains(&call), "{} has no test", path.display());
        }
    }
}

#[test]
fn the_tutorial_client_prints_what_the_browser_does() {
    let directory = directory("example_clean");
    let (server, url) = start_server("hello_server", &["0", "0.1"], &directory);
    let client = example("client", &directory);
    let outcome = Running::start(&client, &[&url]).finish();
    outcome.expect_success();
    assert_eq!(
        outcome.output,
        "[open] Connection established\n\
         Sending to server\n\
         [message] Data received from server: Hello from server, John\n\
         [close] Connection closed cleanly, code=1000 reason=Goodbye\n"
    );
    server.terminate().expect_success();
}

#[test]
fn the_tutorial_client_sees_that_the_connection_died() {
    let directory = directory("example_killed");
    let (server, url) = start_server("hello_server", &["0", "600"], &directory);
    let mut client = Running::start(&example("client", &directory), &[&url]);
    client.wait_for("Hello from server, John");
    drop(server);
    let outcome = client.finish();
    assert!(!outcome.success);
    assert!(outcome.output.contains("\n[error] "), "{}", outcome.output);
    assert!(
        outcome.output.ends_with("\n[close] Connection died\n"),
        "{}",
        outcome.output
    );
}

#[test]
fn the_tutorial_client_says_why_it_cannot_connect() {
    // Bound but not listened on: nobody else gets the port, and it refuses connections.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    let port = bound.local_addr().unwrap().as_socket().unwrap().port();
    let client = example("client", &directory("example_refused"));
    let outcome = Running::start(&client, &[&format!("ws://127.0.0.1:{port}/")]).finish();
    assert!(!outcome.success);
    assert!(outcome.output.starts_with("[error] "), "{}", outcome.output);
    assert!(
        outcome.output.ends_with("\n[close] Connection died\n"),
        "{}",
        outcome.output
    );
}

#[test]
fn the_echo_server_starts_and_ends_when_told() {
    let (server, url) = start_server("echo_server", &[], &directory("example_echo"));
    assert!(url.starts_with("ws://127.0.0.1:"), "{url}");
    server.terminate().expect_success();
}

/// Compiles and runs tests/c/`name`.c, which has to succeed.
fn run(name: &str) {
    let program = directory(name).join("program");
    compile_c(&format!("tests/c/{name}.c"), &program);
    Running::start(&program, &[]).finish().expect_success();
}

/// Compiles examples/c/`name`.c.
fn example(name: &str, directory: &Path) -> PathBuf {
    let program = directory.join(name);
    compile_c(&format!("examples/c/{name}.c"), &program);
    program
}

/// Starts an example that prints its URL on its first line.
fn start_server(name: &str, arguments: &[&str], directory: &Path) -> (Running, String) {
    let mut server = Running::start(&example(name, directory), arguments);
    server.wait_for("\n");
    let url = server.output.trim_end().to_owned();
    (server, url)
}

fn compile_c(source: &str, program: &Path) {
    compile(compiler("CC", "cc"), &["-std=c99"], source, program);
}

fn compile(mut compiler: Command, flags: &[&str], source: &str, program: &Path) {
    let output = compiler
        .args("-Wall -Wextra -Wpedantic -Werror -g -pthread".split(' '))
        .args(flags)
        .arg("-I")
        .arg(root().join("include"))
        .arg("-o")
        .arg(program)
        .arg(root().join(source))
        .args(["-x", "none"])
        .arg(library())
        .arg("-Wl,-rpath,$ORIGIN")
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{source}:\n{messages}");
}

/// The command in an environment variable, which may have arguments, or the default one.
fn compiler(variable: &str, default: &str) -> Command {
    let words = words(variable);
    let mut command = Command::new(words.first().map_or(default, String::as_str));
    command.args(words.iter().skip(1));
    command
}

/// The library that cargo has built for this test: `cargo test` does not renew the one in
/// target/<profile>.
fn library() -> PathBuf {
    env::current_exe().unwrap().with_file_name("libwsabi.so")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An own directory of one test for what it compiles. It has the library as well, under the name
/// by which programs look for it.
fn directory(test: &str) -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c_programs");
    let directory = parent.join(test);
    // What an earlier run has left may be of another version.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    symlink(library(), directory.join(soname())).unwrap();
    directory
}

/// As build.rs has it: while the major version is 0, the minor one belongs to the name.
fn soname() -> String {
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    let minor = env!("CARGO_PKG_VERSION_MINOR");
    match major {
        "0" => format!("libwsabi.so.0.{minor}"),
        _ => format!("libwsabi.so.{major}"),
    }
}

/// The words of an environment variable, none if it is not set.
fn words(variable: &str) -> Vec<String> {
    let value = env::var(variable).unwrap_or_default();
    value.split_whitespace().map(str::to_owned).collect()
}

/// A program that is killed when this is dropped, or at its deadline.
struct Running {
    child: Child,
    lines: Receiver<Line>,
    /// What it has written so far.
    output: String,
    errors: String,
    deadline: Instant,
}

struct Outcome {
    success: bool,
    status: String,
    output: String,
    errors: String,
}

enum Line {
    Output(String),
    Error(String),
}

impl Running {
    fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut command = words("WSABI_RUNNER");
        command.push(program.display().to_string());
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        read_lines(child.stdout.take().unwrap(), Line::Output, sender.clone());
        read_lines(child.stderr.take().unwrap(), Line::Error, sender);
        let slowness = env::var("WSABI_SLOW").map_or(1, |it| it.parse().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60) * slowness;
        Self {
            child,
            lines,
            output: String::new(),
            errors: String::new(),
            deadline,
        }
    }

    /// Waits until it has written `text`.
    fn wait_for(&mut self, text: &str) {
        while !self.output.contains(text) {
            let is_running = self.take_line();
            assert!(is_running, "no {text:?}:\n{}{}", self.output, self.errors);
        }
    }

    /// Asks it to end, and waits for that.
    fn terminate(self) -> Outcome {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        self.finish()
    }

    /// Waits for its end.
    fn finish(mut self) -> Outcome {
        while self.take_line() {}
        let status = self.child.wait().unwrap();
        Outcome {
            success: status.success(),
            status: status.to_string(),
            output: std::mem::take(&mut self.output),
            errors: std::mem::take(&mut self.errors),
        }
    }

    /// Waits for the next line; false at the end.
    fn take_line(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(Line::Output(line)) => self.output += &line,
            Ok(Line::Error(line)) => self.errors += &line,
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                panic!("still running:\n{}{}", self.output, self.errors);
            }
        }
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    fn expect_success(&self) {
        assert!(
            self.success,
            "{}:\n{}{}",
            self.status, self.output, self.errors
        );
    }
}

fn read_lines(from: impl Read + Send + 'static, kind: fn(String) -> Line, to: Sender<Line>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            if to.send(kind(text)).is_err() {
                break;
            }
            line.clear();
        }
    });
}
