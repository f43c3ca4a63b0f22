//! This program, started again as a server or as one client.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::channel::Certificates;
use super::meter::Sample;
use super::workload::{Peer, Workload};

/// The arguments that make a client of this program.
pub const CLIENT: &str = "as-client";
/// The arguments that make a server of it.
pub const SERVER: &str = "as-server";
/// The arguments that make it hold idle connections.
pub const IDLE: &str = "as-idle";

/// A server, which ends with this value.
pub struct Server<'a> {
    port: u16,
    certificates: &'a Certificates,
    child: Child,
    input: Option<ChildStdin>,
}

impl<'a> Server<'a> {
    pub fn start(certificates: &'a Certificates) -> Result<Self, String> {
        let mut child = this_program(certificates)
            .arg(SERVER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the server does not start: {error}"))?;
        let input = child.stdin.take();
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        let port = line.trim().parse().map_err(|_| "the server has no port")?;
        Ok(Self {
            port,
            certificates,
            child,
            input,
        })
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Runs a client to its end.
pub fn measure(peer: Peer, workload: &Workload, server: &Server<'_>) -> Result<Sample, String> {
    let mut command = this_program(server.certificates);
    command.args(client_args(peer, workload, server.port));
    output(command)?.trim().parse()
}

/// How many system calls a client makes for each message, if strace can tell: the difference of
/// two runs, so that those of the beginning and the end do not count.
pub fn system_calls(peer: Peer, workload: &Workload, server: &Server<'_>) -> Option<f64> {
    let longer = Workload {
        messages: workload.messages * 3,
        ..*workload
    };
    let [few, many] = [workload, &longer].map(|it| count_system_calls(peer, it, server));
    let messages = longer.messages + longer.warm_up() - workload.messages - workload.warm_up();
    Some((many? as f64 - few? as f64).max(0.0) / messages as f64)
}

fn count_system_calls(peer: Peer, workload: &Workload, server: &Server<'_>) -> Option<u64> {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-U", "calls,name"]);
    command.arg(std::env::current_exe().ok()?);
    command.args(client_args(peer, workload, server.port));
    let (name, value) = server.certificates.variable();
    command.env(name, value);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut report = String::new();
    child.stderr.take()?.read_to_string(&mut report).ok()?;
    if !child.wait().ok()?.success() {
        return None;
    }
    let total = report
        .lines()
        .find(|line| line.trim_end().ends_with(" total"))?;
    total.split_whitespace().next()?.parse().ok()
}

/// Bytes of the heap and of resident memory that one idle connection takes.
pub fn idle_memory(
    peer: Peer,
    connections: usize,
    server: &Server<'_>,
) -> Result<(u64, u64), String> {
    let mut command = this_program(server.certificates);
    command.args([
        IDLE,
        peer.name(),
        &connections.to_string(),
        &server.port.to_string(),
    ]);
    let output = output(command)?;
    let numbers = output.trim().split_once(' ');
    numbers
        .and_then(|(heap, resident)| Some((heap.parse().ok()?, resident.parse().ok()?)))
        .ok_or_else(|| format!("no figures: {output:?}"))
}

fn client_args(peer: Peer, workload: &Workload, port: u16) -> Vec<String> {
    let mut args = vec![CLIENT.to_owned(), peer.name().to_owned(), port.to_string()];
    args.extend(workload.to_args());
    args
}

fn this_program(certificates: &Certificates) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    let (name, value) = certificates.variable();
    let mut command = Command::new(program);
    command.env(name, value);
    command
}

fn output(mut command: Command) -> Result<String, String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("a client does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
