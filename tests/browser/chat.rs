//! People in the tabs of a browser chat through examples/chat.html with the servers beside it.

use std::fs;
use std::path::Path;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::chromium::{Chromium, Page};
use crate::programs::{Running, compile_c, directory, root, start_python};
use crate::{IDENTITY, start_browser};

#[test]
fn people_chat_through_the_page_with_the_server_in_c() {
    let Some(browser) = start_browser() else {
        return;
    };
    let directory = directory("chat_c");
    let program = directory.join("chat_server");
    compile_c("examples/c/chat_server.c", &program);
    let server = Running::start(&program, &[]);
    converse(&browser, server, &directory);
}

#[test]
fn people_chat_through_the_page_with_the_server_in_python_over_tls() {
    let Some(browser) = start_browser() else {
        return;
    };
    let directory = directory("chat_python");
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let cert = write("cert.pem", &IDENTITY.cert);
    let key = write("key.pem", &IDENTITY.key);
    let server = start_python("chat_server.py", &["0", &cert, &key]);
    converse(&browser, server, &directory);
}

/// Ann and Bob are in one room, and Carl is in another. Pictures of it are left in the directory.
fn converse(browser: &Chromium, mut server: Running, directory: &Path) {
    server.wait_for("\n");
    let url = server.output.trim_end().trim_end_matches('/').to_owned();
    let ann = Person::come(browser, "");
    ann.take_picture(&directory.join("join.png"));
    ann.enter(&url, "caf\u{e9}", "Ann");
    ann.wait_for("Ann has joined");
    let bob = Person::come(browser, "");
    bob.enter(&url, "caf\u{e9}", "Bob \u{1f600}");
    // A link can fill the form.
    let carl = Person::come(browser, &format!("?server={url}&room=kitchen&name=Carl"));
    carl.press_enter("name");
    carl.wait_for("Carl has joined");

    ann.wait_for("Bob \u{1f600} has joined");
    ann.say("Hello, Bob! Gr\u{fc}\u{df}e \u{1f44b}");
    bob.wait_for("Gr\u{fc}\u{df}e \u{1f44b}");
    bob.say("Hi Ann. How was your trip?");
    carl.say("Nobody here but me.");
    carl.wait_for("Nobody here but me.");
    bob.say("<img src=x onerror=\"document.title='gone'\"> is text");
    ann.wait_for("is text");
    ann.say("Long, but the mountains were worth every hour of it. I have brought you something.");
    bob.wait_for("worth every hour");
    bob.say("Then I shall put the kettle on.");
    ann.wait_for("the kettle");
    assert_eq!(ann.page.evaluate("document.title"), "Chat");
    for (person, foreign) in [(&ann, "Carl"), (&bob, "Nobody"), (&carl, "Ann")] {
        let seen = person.text();
        assert!(!seen.contains(foreign), "{seen}");
    }
    let own = "[...document.querySelectorAll('.own .bubble > p')].map((it) => it.textContent)";
    let own = bob.page.evaluate(own);
    assert_eq!(own[0], "Hi Ann. How was your trip?");
    ann.take_picture(&directory.join("chat.png"));
    bob.leave_light();
    bob.take_picture(&directory.join("chat_dark.png"));

    bob.page
        .evaluate("document.getElementById('leave').click()");
    bob.wait_for("You have left.");
    ann.wait_for("Bob \u{1f600} has left");
    bob.press_enter("name");
    ann.wait_for("Bob \u{1f600} has left\nBob \u{1f600} has joined");
    bob.page.close();
    ann.wait_for("has joined\nBob \u{1f600} has left");

    server.terminate().expect_success();
    ann.wait_for("The server has closed the connection: 1001.");
    ann.press_enter("name");
    ann.wait_for("cannot be reached");
}

/// Who has the page open.
struct Person<'a> {
    page: Page<'a>,
}

impl<'a> Person<'a> {
    fn come(browser: &'a Chromium, query: &str) -> Self {
        let path = root().join("examples/chat.html");
        let page = browser.open_page(&format!("file://{}{query}", path.display()));
        let size = json!({ "width": 860, "height": 720, "deviceScaleFactor": 1, "mobile": false });
        page.call("Emulation.setDeviceMetricsOverride", size);
        // Each tab behaves as the one in front.
        let enabled = json!({ "enabled": true });
        page.call("Emulation.setFocusEmulationEnabled", enabled);
        Self { page }
    }

    /// Fills the form, and sends it off.
    fn enter(&self, server: &str, room: &str, name: &str) {
        for (field, text) in [("server", server), ("room", room), ("name", name)] {
            self.type_into(field, text);
        }
        self.press_enter("name");
    }

    fn say(&self, text: &str) {
        self.type_into("text", text);
        self.press_enter("text");
    }

    /// Types over what a field has.
    fn type_into(&self, field: &str, text: &str) {
        self.page.evaluate(&format!(
            "document.querySelector('[name={field}]').select()"
        ));
        self.page.call("Input.insertText", json!({ "text": text }));
    }

    fn press_enter(&self, field: &str) {
        self.page
            .evaluate(&format!("document.querySelector('[name={field}]').focus()"));
        for kind in ["keyDown", "keyUp"] {
            let key = json!({ "type": kind, "key": "Enter", "code": "Enter", "text": "\r",
                "windowsVirtualKeyCode": 13 });
            self.page.call("Input.dispatchKeyEvent", key);
        }
    }

    /// Waits until a text is on the page.
    fn wait_for(&self, text: &str) {
        let text = Value::from(text);
        self.page.evaluate(&format!(
            "new Promise((resolve) => {{
                const look = () => document.body.innerText.includes({text}) && resolve(true);
                const everything =
                    {{ subtree: true, childList: true, characterData: true, attributes: true }};
                new MutationObserver(look).observe(document.body, everything);
                look();
            }})"
        ));
    }

    /// What is on the page.
    fn text(&self) -> String {
        let text = self.page.evaluate("document.body.innerText");
        text.as_str().unwrap().to_owned()
    }

    /// Prefers dark colours from now on.
    fn leave_light(&self) {
        let feature = json!({ "name": "prefers-color-scheme", "value": "dark" });
        let features = json!({ "features": [feature] });
        self.page.call("Emulation.setEmulatedMedia", features);
    }

    fn take_picture(&self, path: &Path) {
        let picture = self.page.call("Page.captureScreenshot", json!({}));
        let picture = BASE64.decode(picture["data"].as_str().unwrap().as_bytes());
        fs::write(path, picture.unwrap()).unwrap();
    }
}
