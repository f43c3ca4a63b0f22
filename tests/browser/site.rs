//! A web site of one page, so that the browser's page has an origin.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::support::read_head;

/// Serves the page until the process ends, and returns its origin.
pub fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        // A browser connects before it knows what to ask for: one thread each.
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(|| answer(stream));
        }
    });
    format!("http://localhost:{port}")
}

fn answer(mut stream: TcpStream) {
    let mut first = [0];
    if !stream.peek(&mut first).is_ok_and(|len| len > 0) {
        return;
    }
    let (status, body) = if read_head(&mut stream).starts_with("GET / ") {
        let script = include_str!("page.js");
        let head = "<!doctype html><meta charset=\"utf-8\"><title>wsabi</title>";
        ("200 OK", format!("{head}<script>{script}</script>"))
    } else {
        ("404 Not Found", String::new())
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    // The browser may have changed its mind.
    let _ = stream.write_all((head + &body).as_bytes());
}
