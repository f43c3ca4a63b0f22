//! Handles and user_data over real connections on the loopback interface.

use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::ffi::event::*;

/// What an application remembers of an event.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) kind: i32,
    pub(super) handle: u64,
    pub(super) code: i32,
    pub(super) data: Vec<u8>,
}

/// An application: what it does in its handler, and how often it got its user_data back.
pub(super) struct App {
    act: Box<dyn Fn(&wsabi_event) + Send + Sync>,
    events: Mutex<Sender<Seen>>,
    seen: Mutex<Receiver<Seen>>,
    releases: AtomicUsize,
    released: Mutex<Sender<()>>,
    is_released: Mutex<Receiver<()>>,
}

const DEADLINE: Duration = Duration::from_secs(20);

impl App {
    /// Lives for ever: a thread of the library that nobody joins may still return from its handler
    /// when the test is over.
    pub(super) fn new(act: impl Fn(&wsabi_event) + Send + Sync + 'static) -> &'static Self {
        static ALL: Mutex<Vec<&App>> = Mutex::new(Vec::new());
        let (events, seen) = mpsc::channel();
        let (released, is_released) = mpsc::channel();
        let app = Box::leak(Box::new(Self {
            act: Box::new(act),
            events: Mutex::new(events),
            seen: Mutex::new(seen),
            releases: AtomicUsize::new(0),
            released: Mutex::new(released),
            is_released: Mutex::new(is_released),
        }));
        ALL.lock().push(app);
        app
    }

    fn user_data(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    pub(super) fn next(&self) -> Seen {
        let seen = self.seen.lock().recv_timeout(DEADLINE);
        seen.expect("an event comes")
    }

    pub(super) fn next_of(&self, kind: i32) -> Seen {
        let seen = self.next();
        assert_eq!(seen.kind, kind, "{seen:?}");
        seen
    }

    fn wait_for_release(&self) {
        let released = self.is_released.lock().recv_timeout(DEADLINE);
        released.expect("user_data is given back");
    }

    fn releases(&self) -> usize {
        self.releases.load(Ordering::SeqCst)
    }
}

unsafe extern "C-unwind" fn tell(event: *const wsabi_event, user_data: *mut c_void) {
    // SAFETY: by contract of handlers; the tests hand over apps, which live for ever.
    let (event, app) = unsafe { (&*event, &*user_data.cast::<App>()) };
    // SAFETY: data has len bytes.
    let data = unsafe { slice::from_raw_parts(event.data, event.len) }.to_vec();
    (app.act)(event);
    let (kind, handle, code) = (event.kind, event.handle, event.code);
    let _ = app.events.lock().send(Seen {
        kind,
        handle,
        code,
        data,
    });
}

unsafe extern "C-unwind" fn release(user_data: *mut c_void) {
    // SAFETY: as in `tell`.
    let app = unsafe { &*user_data.cast::<App>() };
    app.releases.fetch_add(1, Ordering::SeqCst);
    let _ = app.released.lock().send(());
}

/// A runtime of its own, with options that tell an app everything.
pub(super) struct Host {
    pub(super) runtime: wsabi_runtime,
    pub(super) options: wsabi_options,
}

impl Host {
    pub(super) fn new() -> Self {
        let mut runtime = 0;
        let options = new_options();
        // SAFETY: the pointers are good, and the functions can be called as their types say.
        unsafe {
            assert_eq!(
                wsabi_runtime_new(2, WSABI_DELIVER_ON_THREADS, &mut runtime),
                WSABI_OK
            );
            assert_eq!(wsabi_options_on_event(options, 0, Some(tell)), WSABI_OK);
            assert_eq!(wsabi_options_on_release(options, Some(release)), WSABI_OK);
        }
        Self { runtime, options }
    }

    pub(super) fn connect(&self, url: &str, app: &App) -> Result<wsabi_socket, i32> {
        let mut socket = 0;
        let (text, len) = (url.as_ptr().cast(), url.len());
        let user_data = app.user_data();
        // SAFETY: the pointers are good; the app lives for ever.
        let status = unsafe {
            wsabi_socket_connect(
                self.runtime,
                text,
                len,
                self.options,
                user_data,
                &mut socket,
            )
        };
        if status == WSABI_OK {
            Ok(socket)
        } else {
            Err(status)
        }
    }

    /// A server on a free port, and its URL.
    pub(super) fn listen(&self, app: &App) -> (wsabi_server, String) {
        let mut server = 0;
        let url = c"ws://127.0.0.1:0/".as_ptr();
        let (len, user_data) = (WSABI_NUL_TERMINATED, app.user_data());
        // SAFETY: the pointers are good; the app lives for ever.
        let status = unsafe {
            wsabi_server_listen(self.runtime, url, len, self.options, user_data, &mut server)
        };
        assert_eq!(status, WSABI_OK, "{}", last_error());
        let port = wsabi_server_port(server);
        assert!(port > 0);
        (server, format!("ws://127.0.0.1:{port}/"))
    }

    pub(super) fn free(self) {
        assert_eq!(wsabi_runtime_free(self.runtime), WSABI_OK);
        assert_eq!(wsabi_runtime_free(self.runtime), WSABI_ERR_HANDLE);
        assert_eq!(wsabi_options_free(self.options), WSABI_OK);
    }
}

pub(super) fn send(socket: wsabi_socket, text: &str) -> i32 {
    // SAFETY: the text can be read.
    unsafe { wsabi_socket_send_text(socket, text.as_ptr().cast(), text.len()) }
}

pub(super) fn close(socket: wsabi_socket) -> i32 {
    // SAFETY: NULL is no bytes.
    unsafe { wsabi_socket_close(socket, 1000, null(), 0) }
}

fn fact(socket: wsabi_socket, fact: i32) -> String {
    let mut buf = [0_u8; 100];
    // SAFETY: `buf` has room for its length.
    let len = unsafe { wsabi_socket_fact(socket, fact, buf.as_mut_ptr().cast(), buf.len()) };
    String::from_utf8(buf[..usize::try_from(len).unwrap()].to_vec()).unwrap()
}

#[test]
fn both_ends_hear_of_everything_in_order_and_get_their_user_data_back() {
    let server_app = App::new(|event| {
        if event.kind == WSABI_EVENT_MESSAGE {
            assert_eq!(send(event.handle, "welcome"), WSABI_OK);
        }
    });
    let client_app = App::new(|event| {
        if event.kind == WSABI_EVENT_OPEN {
            assert_eq!(send(event.handle, "hello"), WSABI_OK);
        }
    });
    let host = Host::new();
    let (server, url) = host.listen(server_app);
    let client = host.connect(&url, client_app).unwrap();
    assert_eq!(client_app.next_of(WSABI_EVENT_OPEN).handle, client);
    assert_eq!(client_app.next_of(WSABI_EVENT_MESSAGE).data, b"welcome");
    assert_eq!(wsabi_socket_ready_state(client), WSABI_OPEN);
    assert_eq!(wsabi_socket_buffered_amount(client), 0);
    assert_eq!(wsabi_socket_response_status(client), 101);
    assert_eq!(fact(client, WSABI_FACT_URL), url);
    assert_eq!(close(client), WSABI_OK);
    assert_eq!(client_app.next_of(WSABI_EVENT_CLOSE).code, 1000);
    assert_eq!(wsabi_socket_ready_state(client), WSABI_CLOSED);
    assert_eq!(send(client, "late"), WSABI_ERR_CLOSED);

    let accepted = server_app.next_of(WSABI_EVENT_OPEN).handle;
    assert_ne!(accepted, client);
    assert_eq!(server_app.next_of(WSABI_EVENT_MESSAGE).data, b"hello");
    assert_eq!(server_app.next_of(WSABI_EVENT_CLOSE).code, 1000);

    assert_eq!(client_app.releases(), 0, "the handle lives");
    assert_eq!(wsabi_socket_release(client), WSABI_OK);
    client_app.wait_for_release();
    assert_eq!(wsabi_socket_release(client), WSABI_ERR_HANDLE);

    assert_eq!(server_app.releases(), 0, "the server listens");
    assert_eq!(wsabi_server_close(server), WSABI_OK);
    server_app.wait_for_release();
    assert_eq!(wsabi_server_close(server), WSABI_ERR_HANDLE);
    assert_eq!(wsabi_socket_ready_state(accepted), WSABI_ERR_HANDLE);
    host.free();
    assert_eq!((client_app.releases(), server_app.releases()), (1, 1));
}

#[test]
fn the_handle_of_an_accepted_socket_lives_through_its_close_handler() {
    let server_app = App::new(|event| {
        if event.kind == WSABI_EVENT_CLOSE {
            assert_eq!(wsabi_socket_ready_state(event.handle), WSABI_CLOSED);
        }
    });
    let client_app = App::new(|event| {
        if event.kind == WSABI_EVENT_OPEN {
            assert_eq!(close(event.handle), WSABI_OK);
        }
    });
    let host = Host::new();
    let (_, url) = host.listen(server_app);
    host.connect(&url, client_app).unwrap();
    client_app.next_of(WSABI_EVENT_OPEN);
    client_app.next_of(WSABI_EVENT_CLOSE);
    server_app.next_of(WSABI_EVENT_OPEN);
    let accepted = server_app.next_of(WSABI_EVENT_CLOSE).handle;
    host.free();
    assert_eq!(wsabi_socket_ready_state(accepted), WSABI_ERR_HANDLE);
    assert_eq!((client_app.releases(), server_app.releases()), (1, 1));
}

#[test]
fn a_call_that_fails_takes_nothing() {
    let app = App::new(|_| ());
    let host = Host::new();
    for url in ["", "ws:", "ftp://a/", "ws://a/#b", "ws://127.0.0.1:0/"] {
        assert_eq!(host.connect(url, app), Err(WSABI_ERR_URL), "{url}");
    }
    let (server, url) = host.listen(app);
    let mut second = 7;
    let (text, len) = (url.as_ptr().cast(), url.len());
    // SAFETY: the pointers are good; the app lives for ever.
    let status = unsafe {
        wsabi_server_listen(
            host.runtime,
            text,
            len,
            host.options,
            app.user_data(),
            &mut second,
        )
    };
    assert_eq!(
        (status, second),
        (WSABI_ERR_CONNECT, 7),
        "the port is taken"
    );
    assert_eq!(app.releases(), 0);
    assert_eq!(wsabi_server_close(server), WSABI_OK);
    app.wait_for_release();
    host.free();
    assert_eq!(app.releases(), 1, "only the server took its user_data");
}

#[test]
fn a_connection_that_fails_has_a_handle_until_it_is_released() {
    let app = App::new(|_| ());
    let host = Host::new();
    let socket = host.connect("ws://127.0.0.1:1/", app).unwrap();
    let error = app.next_of(WSABI_EVENT_ERROR);
    assert_eq!((error.code, error.handle), (WSABI_ERR_CONNECT, socket));
    assert!(!error.data.is_empty());
    assert_eq!(app.next_of(WSABI_EVENT_CLOSE).code, 1006);
    assert_eq!(wsabi_socket_ready_state(socket), WSABI_CLOSED);
    assert_eq!(wsabi_socket_release(socket), WSABI_OK);
    app.wait_for_release();
    host.free();
    assert_eq!(app.releases(), 1);
}

#[test]
fn a_socket_can_be_released_in_its_own_handler() {
    let server_app = App::new(|_| ());
    let client_app = App::new(|event| {
        assert_eq!(event.kind, WSABI_EVENT_OPEN, "nothing follows");
        assert_eq!(wsabi_socket_release(event.handle), WSABI_OK);
        assert_eq!(send(event.handle, "late"), WSABI_ERR_HANDLE);
        // SAFETY: by contract of handlers.
        let app = unsafe { &*event.user_data.cast::<App>() };
        assert_eq!(app.releases(), 0, "this handler still uses it");
    });
    let host = Host::new();
    let (_, url) = host.listen(server_app);
    host.connect(&url, client_app).unwrap();
    client_app.next_of(WSABI_EVENT_OPEN);
    client_app.wait_for_release();
    server_app.next_of(WSABI_EVENT_OPEN);
    assert_eq!(server_app.next_of(WSABI_EVENT_ERROR).code, WSABI_ERR_IO);
    assert_eq!(server_app.next_of(WSABI_EVENT_CLOSE).code, 1006);
    host.free();
    assert_eq!((client_app.releases(), server_app.releases()), (1, 1));
}

#[test]
fn an_accepted_socket_can_get_its_own_user_data() {
    let own = App::new(|_| ());
    let server_app = App::new(move |event| {
        if event.kind == WSABI_EVENT_OPEN {
            // SAFETY: apps live for ever.
            let status = unsafe { wsabi_socket_set_user_data(event.handle, own.user_data()) };
            assert_eq!(status, WSABI_OK);
        }
    });
    let client_app = App::new(|_| ());
    let host = Host::new();
    let (_, url) = host.listen(server_app);
    let client = host.connect(&url, client_app).unwrap();
    client_app.next_of(WSABI_EVENT_OPEN);
    assert_eq!(send(client, "for the second"), WSABI_OK);
    server_app.next_of(WSABI_EVENT_OPEN);
    own.next_of(WSABI_EVENT_MESSAGE);
    host.free();
    assert_eq!((own.releases(), server_app.releases()), (1, 1));
}

#[test]
fn the_end_of_a_runtime_ends_the_handles_of_its_sockets_and_servers_only() {
    let app = App::new(|_| ());
    let (host, other) = (Host::new(), Host::new());
    let (server, url) = host.listen(app);
    let other_app = App::new(|_| ());
    let inside = host.connect(&url, app).unwrap();
    let outside = other.connect(&url, other_app).unwrap();
    other_app.next_of(WSABI_EVENT_OPEN);
    host.free();
    assert_eq!(wsabi_socket_ready_state(inside), WSABI_ERR_HANDLE);
    assert_eq!(wsabi_server_port(server), WSABI_ERR_HANDLE);
    assert_eq!(app.releases(), 2, "of the server and of its client");
    while other_app.next().kind != WSABI_EVENT_CLOSE {}
    assert_eq!(wsabi_socket_ready_state(outside), WSABI_CLOSED);
    other.free();
    assert_eq!(wsabi_socket_ready_state(outside), WSABI_ERR_HANDLE);
    assert_eq!(other_app.releases(), 1);
}

#[test]
fn a_runtime_can_be_freed_in_a_handler() {
    let host = Host::new();
    let runtime = host.runtime;
    let server_app = App::new(|_| ());
    let app = App::new(move |event| {
        if event.kind == WSABI_EVENT_OPEN {
            assert_eq!(wsabi_runtime_free(runtime), WSABI_OK);
            assert_eq!(wsabi_socket_ready_state(event.handle), WSABI_ERR_HANDLE);
        }
    });
    let (_, url) = host.listen(server_app);
    host.connect(&url, app).unwrap();
    app.next_of(WSABI_EVENT_OPEN);
    app.wait_for_release();
    server_app.wait_for_release();
    assert!(app.seen.lock().try_recv().is_err(), "no event follows");
    assert_eq!(wsabi_runtime_free(runtime), WSABI_ERR_HANDLE);
    assert_eq!(wsabi_options_free(host.options), WSABI_OK);
    assert_eq!((app.releases(), server_app.releases()), (1, 1));
}

#[test]
fn shutdown_closes_with_1001_and_reports_what_is_left() {
    let app = App::new(|_| ());
    let host = Host::new();
    let (_, url) = host.listen(app);
    let client_app = App::new(|_| ());
    host.connect(&url, client_app).unwrap();
    client_app.next_of(WSABI_EVENT_OPEN);
    assert_eq!(wsabi_runtime_shutdown(host.runtime, -2), WSABI_ERR_ARGUMENT);
    assert_eq!(wsabi_runtime_shutdown(host.runtime, 20_000), WSABI_OK);
    assert_eq!(client_app.next_of(WSABI_EVENT_CLOSE).code, 1001);
    assert_eq!(wsabi_runtime_shutdown(host.runtime, 0), WSABI_OK);
    host.free();
}

#[test]
fn many_messages_stop_at_the_first_that_is_refused() {
    let app = App::new(|_| ());
    let server_app = App::new(|_| ());
    let host = Host::new();
    let (_, url) = host.listen(server_app);
    let client = host.connect(&url, app).unwrap();
    app.next_of(WSABI_EVENT_OPEN);
    let message = |data: &'static [u8], r#type| wsabi_message {
        data: data.as_ptr().cast(),
        len: data.len(),
        r#type,
        reserved: 0,
    };
    let messages = [
        message(b"first", WSABI_TEXT),
        message(b"second", WSABI_BINARY | WSABI_PLAIN),
        wsabi_message {
            len: WSABI_NUL_TERMINATED,
            ..message(b"third\0", WSABI_TEXT)
        },
        message(b"\xff", WSABI_TEXT),
        wsabi_message {
            reserved: 1,
            ..message(b"", WSABI_TEXT)
        },
    ];
    // SAFETY: the messages name bytes that can be read.
    unsafe {
        assert_eq!(wsabi_socket_send_many(client, messages.as_ptr(), 5), 3);
        for bad in &messages[3..] {
            assert_eq!(wsabi_socket_send_many(client, bad, 1), WSABI_ERR_ARGUMENT);
        }
    }
    server_app.next_of(WSABI_EVENT_OPEN);
    for expected in [&b"first"[..], b"second", b"third"] {
        assert_eq!(server_app.next_of(WSABI_EVENT_MESSAGE).data, expected);
    }
    host.free();
}

#[test]
fn stats_and_headers_are_read_as_c_does() {
    let app = App::new(|_| ());
    let server_app = App::new(|_| ());
    let host = Host::new();
    let (_, url) = host.listen(server_app);
    let client = host.connect(&url, app).unwrap();
    app.next_of(WSABI_EVENT_OPEN);
    let mut stats = wsabi_stats {
        size: 4096,
        ..empty_stats()
    };
    let mut buf = [0_u8; 100];
    // SAFETY: no more than the library's own size is written; `buf` has room for its length.
    unsafe {
        assert_eq!(wsabi_socket_stats(client, &mut stats), WSABI_OK);
        let name = c"UPGRADE".as_ptr();
        let (room, cap) = (buf.as_mut_ptr().cast(), buf.len());
        assert_eq!(wsabi_socket_response_header(client, name, 7, room, cap), 9);
        let absent = c"x-absent".as_ptr();
        assert_eq!(
            wsabi_socket_response_header(client, absent, 8, room, cap),
            0
        );
    }
    assert_eq!(stats.size, 104);
    assert!(stats.bytes_sent > 0 && stats.bytes_received > 0 && stats.upgrade_ns > 0);
    host.free();
}
