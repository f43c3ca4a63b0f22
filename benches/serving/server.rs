//! The server, which sends everything back, and says what it has used so far.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use wsabi::{Delivery, Event, Options, Runtime, Server};

use super::support::tls::Identity;
use super::sys::cpu_seconds;

/// The argument that starts it.
pub const ROLE: &str = "as-server";

/// How it learns who it is.
const CERTIFICATE: &str = "WSABI_BENCH_CERTIFICATE";
const KEY: &str = "WSABI_BENCH_KEY";

/// What it has used.
#[derive(Clone, Copy)]
pub struct Used {
    pub cpu_seconds: f64,
    /// Memory of its own.
    pub bytes: f64,
}

/// What the other process knows of it.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub port: u16,
}

impl Process {
    pub fn start(url: &str, identity: &Identity) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args([ROLE, url])
            .env(CERTIFICATE, &identity.cert)
            .env(KEY, &identity.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let mut process = Self {
            input: child.stdin.take().ok_or_else(missing)?,
            output: BufReader::new(child.stdout.take().ok_or_else(missing)?),
            child,
            port: 0,
        };
        process.port = process.read_line()?.parse().map_err(io::Error::other)?;
        Ok(process)
    }

    pub fn used(&mut self) -> Result<Used, Box<dyn Error>> {
        self.input.write_all(b"\n")?;
        let line = self.read_line()?;
        let (cpu_seconds, bytes) = line.split_once(' ').ok_or("two figures are needed")?;
        Ok(Used {
            cpu_seconds: cpu_seconds.parse()?,
            bytes: bytes.parse()?,
        })
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its process.
pub fn run(url: &str) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new(1, Delivery::Threads)?;
    let mut options = Options::new();
    // The clients do not answer pings.
    options.set_ping_interval(Duration::ZERO);
    options.set_tls_identity(&env::var(CERTIFICATE)?, &env::var(KEY)?)?;
    let server = Server::listen(&runtime, url, &options, |socket| {
        let socket = socket.clone();
        Arc::new(move |event: Event<'_>| {
            if let Event::Message { payload, .. } = event {
                // A client that has gone needs no echo.
                let _ = socket.send_binary(payload.as_bytes());
            }
        })
    })?;
    println!("{}", server.port());
    for _ in io::stdin().lines() {
        println!("{} {}", cpu_seconds(), private_bytes());
    }
    runtime.free();
    Ok(())
}

/// What would be free without this process.
fn private_bytes() -> u64 {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kilobytes = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.sum::<u64>() << 10
}
