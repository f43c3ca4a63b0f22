//! Headless Chromium, told what to do through its DevTools protocol, which is JSON over a WebSocket:
//! the library's client talks to Chromium's own server.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::abi::{self, Client, Options, Runtime, Seen, functions};
use crate::missing;

/// How long a test waits for anything: a browser is large, and the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// By the names that it has here and there.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Without what would look for hosts that a test has no business with, and without the cache of pages
/// that were left, which keeps their sockets open for ten minutes.
const SWITCHES: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-back-forward-cache",
    "--no-proxy-server",
    "--remote-debugging-port=0",
];

/// Ends the browser together with the test, whatever becomes of it: then this reads the end of its
/// standard input.
const WATCH: &str = "\"$@\" & browser=$!; read -r _; kill -KILL $browser; wait $browser";

/// A browser, until it is dropped.
pub struct Chromium {
    watch: Child,
    profile: PathBuf,
    devtools: Client,
    calls: Cell<u64>,
    _runtime: Runtime,
}

impl Chromium {
    /// Starts one that takes certificates with this pin, whoever has issued them. None, after a word
    /// about it, where it is not installed.
    pub fn start(pin: &str) -> Option<Self> {
        let Some(program) = PROGRAMS.iter().find(|program| missing::is_in_path(program)) else {
            missing::skip("chromium is not installed (Debian: chromium)");
            return None;
        };
        let profile = fresh_profile();
        let mut watch = Command::new("sh")
            .args(["-c", WATCH, "sh", program])
            .args(SWITCHES)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--ignore-certificate-errors-spki-list={pin}"))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let url = devtools_url(watch.stderr.take().unwrap());
        let runtime = Runtime::new();
        let options = Options::new().set(functions().options_set_max_message, 64 << 20);
        let devtools = runtime.connect(&url, &options);
        assert_eq!(devtools.seen.next(), Seen::Open);
        Some(Self {
            watch,
            profile,
            devtools,
            calls: Cell::new(0),
            _runtime: runtime,
        })
    }

    /// Its name and version.
    pub fn version(&self) -> String {
        let version = self.call(None, "Browser.getVersion", json!({}));
        version["product"].as_str().unwrap().to_owned()
    }

    /// A page in a tab of its own, loaded.
    pub fn open_page(&self, url: &str) -> Page<'_> {
        let created = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let target = created["targetId"].as_str().unwrap().to_owned();
        let parameters = json!({ "targetId": target, "flatten": true });
        let attached = self.call(None, "Target.attachToTarget", parameters);
        let page = Page {
            browser: self,
            session: attached["sessionId"].as_str().unwrap().to_owned(),
            target,
        };
        page.go(url);
        page
    }

    /// Calls a method of the protocol, and waits for its result.
    fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.calls.set(self.calls.get() + 1);
        let id = self.calls.get();
        let mut request = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        abi::expect_ok(self.devtools.socket.send_text(request.to_string()));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.devtools.seen.comes_within(left) {
                Some(Seen::Message { data, .. }) => {
                    let mut answer: Value = serde_json::from_slice(&data).unwrap();
                    if answer["id"] == id {
                        assert!(answer.get("error").is_none(), "{method}: {answer}");
                        return answer["result"].take();
                    }
                }
                Some(Seen::Ping(_) | Seen::Pong(_) | Seen::Drain) => {}
                Some(seen) => panic!("{method}: {seen:?}"),
                None => panic!("{method}: no answer to {request}"),
            }
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let _ = self.watch.wait();
        // Its last processes may still write there.
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir_all(&self.profile).is_err() && Instant::now() < deadline {
            thread::yield_now();
        }
    }
}

/// A page in a tab.
pub struct Page<'a> {
    browser: &'a Chromium,
    session: String,
    target: String,
}

impl Page<'_> {
    /// Leads it to a URL, and waits until that is loaded.
    pub fn go(&self, url: &str) {
        let went = self.call("Page.navigate", json!({ "url": url }));
        assert!(went.get("errorText").is_none(), "{url}: {went}");
        let loaded = "document.readyState === 'complete' || \
            new Promise((resolve) => addEventListener('load', () => resolve(true)))";
        assert_eq!(self.evaluate(loaded), true);
    }

    /// Evaluates JavaScript in it. The value of a promise is waited for.
    pub fn evaluate(&self, expression: &str) -> Value {
        let parameters = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
        });
        let mut evaluated = self.call("Runtime.evaluate", parameters);
        let thrown = &evaluated["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        evaluated["result"]["value"].take()
    }

    /// Calls one of its functions, with an array of arguments.
    pub fn run(&self, function: &str, arguments: Value) -> Value {
        self.evaluate(&format!("{function}(...{arguments})"))
    }

    /// Calls a method of the protocol for it.
    pub fn call(&self, method: &str, parameters: Value) -> Value {
        self.browser.call(Some(&self.session), method, parameters)
    }

    /// Closes its tab.
    pub fn close(self) {
        let parameters = json!({ "targetId": self.target });
        self.browser.call(None, "Target.closeTarget", parameters);
    }
}

/// A new empty directory.
fn fresh_profile() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("chromium-{}-{number}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// It says so on its standard error, amid other things. What comes later is read and dropped.
fn devtools_url(errors: ChildStderr) -> String {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            // Once the test has seen enough, it listens no more.
            let _ = sender.send(line);
        }
    });
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(line) = lines.recv_timeout(left) else {
            panic!("chromium has not started: {seen:#?}");
        };
        if let Some(url) = line.strip_prefix("DevTools listening on ") {
            return url.to_owned();
        }
        seen.push(line);
    }
}
