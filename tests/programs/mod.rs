//! Compiles C programs, links them to the library that cargo has built for this test, and runs them.
//!
//! `WSABI_RUNNER` is a command to run them under, such as `valgrind -q --error-exitcode=9`;
//! `WSABI_SLOW` is how many times slower they are then: they wait longer and repeat less often.
//! With `WSABI_LONG=1` those that play at random, or count, do so for minutes. `WSABI_DELIVERY` is how
//! their runtimes deliver, `threads`, `poll`, `next_events` or `none`; without it, they run in each way.
#![allow(dead_code, reason = "each test program uses a part of it")]

#[path = "../built/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "a test may use both who have it")]
mod built;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

pub use built::library;

pub fn compile_c(source: &str, program: &Path) {
    compile(compiler("CC", "cc"), &["-std=c99"], source, program);
}

/// Compiles a program, and links it to the library.
pub fn compile(compiler: Command, flags: &[&str], source: &str, program: &Path) {
    let library = library().display().to_string();
    let with_library = ["-x", "none", &library, "-Wl,-rpath,$ORIGIN"];
    link(compiler, flags, source, &with_library, program);
}

/// Compiles a program that has to find the library itself.
pub fn compile_alone(compiler: Command, flags: &[&str], source: &str, program: &Path) {
    link(compiler, flags, source, &[], program);
}

fn link(mut compiler: Command, flags: &[&str], source: &str, with: &[&str], program: &Path) {
    let output = compiler
        .args("-Wall -Wextra -Wpedantic -Werror -g -pthread".split(' '))
        .args(flags)
        .arg("-I")
        .arg(root().join("include"))
        .arg("-o")
        .arg(program)
        .arg(root().join(source))
        .args(with)
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{source}:\n{messages}");
}

/// The command in an environment variable, which may have arguments, or the default one.
pub fn compiler(variable: &str, default: &str) -> Command {
    let words = words(variable);
    let mut command = Command::new(words.first().map_or(default, String::as_str));
    command.args(words.iter().skip(1));
    command
}

/// Compiles `source`, and runs it with the arguments; it has to succeed.
pub fn run(source: &str, directory: &Path, arguments: &[&str]) {
    let program = directory.join("program");
    compile_c(source, &program);
    Running::start(&program, arguments)
        .finish()
        .expect_success();
}

/// Runs a program in every way to deliver, or in the one that `WSABI_DELIVERY` asks for, but for those
/// that `differs` has a reason against; it has to succeed.
pub fn run_in_every_delivery(program: &Path, differs: impl Fn(&str) -> Option<&'static str>) {
    run_in_every_delivery_with(program, &[], differs);
}

/// The same with these environment variables.
pub fn run_in_every_delivery_with(
    program: &Path,
    variables: &[(&str, &str)],
    differs: impl Fn(&str) -> Option<&'static str>,
) {
    const VARIABLE: &str = "WSABI_DELIVERY";
    let asked_for = env::var(VARIABLE).ok();
    let is_asked_for = |it: &&str| asked_for.as_ref().is_none_or(|name| name == it);
    let ways = ["threads", "poll", "next_events", "none"].into_iter();
    for way in ways.filter(is_asked_for) {
        if let Some(reason) = differs(way) {
            println!("not for {way}: {reason}");
            continue;
        }
        println!("{VARIABLE}={way}");
        Running::start_with(program, &[], &[variables, &[(VARIABLE, way)]].concat())
            .finish()
            .expect_success();
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Starts an example in Python, with the binding and the library of this build.
pub fn start_python(example: &str, arguments: &[&str]) -> Running {
    let script = root().join("examples/python").join(example);
    let script = script.display().to_string();
    let package = root().join("bindings/python").display().to_string();
    let library = library().display().to_string();
    Running::start_with(
        Path::new("python3"),
        &[&[script.as_str()], arguments].concat(),
        &[("PYTHONPATH", &package), ("WSABI_LIBRARY", &library)],
    )
}

/// An own directory of one test for what it compiles. It has the library as well, under the name
/// by which programs look for it.
pub fn directory(test: &str) -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
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

/// Whether the long form of a test was asked for.
pub fn is_long() -> bool {
    env::var_os("WSABI_LONG").is_some()
}

/// The words of an environment variable, none if it is not set.
fn words(variable: &str) -> Vec<String> {
    let value = env::var(variable).unwrap_or_default();
    value.split_whitespace().map(str::to_owned).collect()
}

/// A program that is killed when this is dropped, or at its deadline.
pub struct Running {
    child: Child,
    lines: Receiver<Line>,
    /// What it has written so far.
    pub output: String,
    pub errors: String,
    deadline: Instant,
}

pub struct Outcome {
    pub success: bool,
    pub status: String,
    pub output: String,
    pub errors: String,
}

enum Line {
    Output(String),
    Error(String),
}

impl Running {
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        Self::start_with(program, arguments, &[])
    }

    /// With more variables in its environment.
    pub fn start_with(program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let slowness = env::var("WSABI_SLOW").map_or(1, |it| it.parse().unwrap());
        Self::start_under(
            words("WSABI_RUNNER"),
            slowness,
            program,
            arguments,
            variables,
        )
    }

    /// Under a command, which makes it so many times slower.
    pub fn start_under(
        mut command: Vec<String>,
        slowness: u32,
        program: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        command.push(program.display().to_string());
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .args(arguments)
            .env("WSABI_SLOW", slowness.to_string())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        read_lines(child.stdout.take().unwrap(), Line::Output, sender.clone());
        read_lines(child.stderr.take().unwrap(), Line::Error, sender);
        let patience = Duration::from_secs(if is_long() { 3600 } else { 60 });
        let deadline = Instant::now() + patience * slowness;
        Self {
            child,
            lines,
            output: String::new(),
            errors: String::new(),
            deadline,
        }
    }

    /// Waits until it has written `text`.
    pub fn wait_for(&mut self, text: &str) {
        while !self.output.contains(text) {
            let is_running = self.take_line();
            assert!(is_running, "no {text:?}:\n{}{}", self.output, self.errors);
        }
    }

    /// Waits until it has complained of `text`.
    pub fn wait_for_complaint(&mut self, text: &str) {
        while !self.errors.contains(text) {
            let is_running = self.take_line();
            assert!(is_running, "no {text:?}:\n{}{}", self.output, self.errors);
        }
    }

    /// Sends it a signal, such as "TERM".
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.unwrap().success());
    }

    /// Asks it to end, and waits for that.
    pub fn terminate(self) -> Outcome {
        self.signal("TERM");
        self.finish()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Outcome {
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
    pub fn expect_success(&self) {
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
