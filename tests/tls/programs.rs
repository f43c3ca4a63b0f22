//! Programs of the system that speak TLS, where they are installed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::support::{PATIENCE, wait_until};

/// A directory for a test's files, which is removed with it.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tls-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and returns its path.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// The path of a file that is to be.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It is in the target directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a program, which has to succeed, to its end.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {complaint}"
    );
    output
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A program that runs until the test ends.
pub struct Program {
    child: Child,
    /// What it prints and complains of.
    lines: Receiver<String>,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let (sender, lines) = channel();
        hand_on(child.stdout.take().unwrap(), sender.clone());
        hand_on(child.stderr.take().unwrap(), sender);
        Self { child, lines }
    }

    /// Waits until it accepts connections.
    #[track_caller]
    pub fn wait_for_port(&mut self, port: u16) {
        wait_until("the program's port", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let complaints: Vec<_> = self.lines.iter().collect();
                panic!("{status}: {complaints:?}");
            }
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// The next line that contains this.
    #[track_caller]
    pub fn read_until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no {text:?} in {seen:#?}");
            };
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    /// Ends its input, and waits for its end. Returns what it printed that nobody has read.
    pub fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let lines: Vec<_> = self.lines.iter().collect();
        lines.join("\n")
    }
}

/// Sends every line on, until the program ends.
fn hand_on(output: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            // The test may have seen enough.
            let _ = lines.send(line);
        }
    });
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
