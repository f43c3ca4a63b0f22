//! What handles stand for, with the functions that take them.

use super::delivery::{Delivery, Pump};
use super::events::{Recorder, record, release};
use super::functions::{RawMessage, SetText, Stats, functions};
use super::{BINARY, Events, OK, Seen, expect_ok};

/// A runtime of its own, which ends with the test.
pub struct Runtime(u64, Option<Pump>);

impl Runtime {
    pub fn new() -> Self {
        Self::with_threads(1)
    }

    /// With so many threads, unless it is to have none.
    pub fn with_threads(threads: u32) -> Self {
        let delivery = Delivery::of_tests();
        let threads = threads * delivery.threads();
        let on_poll = i32::from(delivery.is_polled());
        let mut handle = 0;
        // SAFETY: the result is written to `handle`.
        expect_ok(unsafe { (functions().runtime_new)(threads, on_poll, &raw mut handle) });
        Self(handle, Pump::start(handle, delivery))
    }

    /// One that does nothing, since it has no threads and nobody polls it.
    pub fn at_rest() -> Self {
        let mut handle = 0;
        // SAFETY: the result is written to `handle`.
        expect_ok(unsafe { (functions().runtime_new)(0, 1, &raw mut handle) });
        Self(handle, None)
    }

    /// Connects, and waits for nothing.
    #[track_caller]
    pub fn connect(&self, url: &str, options: &Options) -> Client {
        self.connect_with(url, options, |_, _| {})
    }

    /// The same, with something to do in every handler.
    #[track_caller]
    pub fn connect_with(
        &self,
        url: &str,
        options: &Options,
        hook: impl FnMut(Socket, &Seen) + Send + 'static,
    ) -> Client {
        let (result, seen) = self.try_connect(url.as_bytes(), options, hook);
        let socket = result.unwrap_or_else(|status| panic!("{url}: status {status}"));
        Client { socket, seen }
    }

    /// The status of a call that fails, and then nothing is seen.
    pub fn try_connect(
        &self,
        url: &[u8],
        options: &Options,
        hook: impl FnMut(Socket, &Seen) + Send + 'static,
    ) -> (Result<Socket, i32>, Events) {
        let (recorder, seen) = Recorder::new(hook);
        let mut handle = 0;
        // SAFETY: `url` lives during the call; `recorder` is given back to `release`.
        let status = unsafe {
            (functions().socket_connect)(
                self.0,
                url.as_ptr(),
                url.len(),
                options.0,
                recorder.cast(),
                &raw mut handle,
            )
        };
        if status == OK {
            return (Ok(Socket(handle)), seen);
        }
        assert_eq!(handle, 0, "nothing is written by a call that fails");
        // SAFETY: a call that fails has taken nothing.
        drop(unsafe { Box::from_raw(recorder) });
        (Err(status), seen)
    }

    /// A server on a port that the system chooses, and what the handlers of its sockets are told.
    pub fn listen(&self, options: &Options) -> (Server, Events) {
        self.listen_with(options, |_, _| {})
    }

    /// The same, with something to do in every handler.
    pub fn listen_with(
        &self,
        options: &Options,
        hook: impl FnMut(Socket, &Seen) + Send + 'static,
    ) -> (Server, Events) {
        self.listen_at("ws://127.0.0.1:0/", options, hook)
    }

    /// The same, at a URL.
    pub fn listen_at(
        &self,
        url: &str,
        options: &Options,
        hook: impl FnMut(Socket, &Seen) + Send + 'static,
    ) -> (Server, Events) {
        let (recorder, seen) = Recorder::new(hook);
        let mut handle = 0;
        // SAFETY: `url` lives during the call; `recorder` is given back to `release`.
        expect_ok(unsafe {
            (functions().server_listen)(
                self.0,
                url.as_ptr(),
                url.len(),
                options.0,
                recorder.cast(),
                &raw mut handle,
            )
        });
        let port = u16::try_from((functions().server_port)(handle)).unwrap();
        (Server { handle, port }, seen)
    }

    /// Ends it now, and not with the test.
    pub fn free(&self) -> i32 {
        self.1.as_ref().map_or_else(
            || (functions().runtime_free)(self.0),
            |pump| pump.free(self.0),
        )
    }

    /// The status of a listen that fails.
    pub fn refuse_listen(&self, url: &str, options: &Options) -> i32 {
        let mut handle = 0;
        let user_data = std::ptr::null_mut();
        let listen = functions().server_listen;
        // SAFETY: `url` lives during the call; no handler is called after a failure.
        let status = unsafe {
            listen(
                self.0,
                url.as_ptr(),
                url.len(),
                options.0,
                user_data,
                &raw mut handle,
            )
        };
        assert_eq!(handle, 0, "{url}");
        status
    }

    /// Closes every socket with 1001.
    pub fn shutdown(&self, timeout_ms: i32) -> i32 {
        (functions().runtime_shutdown)(self.0, timeout_ms)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // It may have been freed by the test.
        self.free();
    }
}

/// Options whose handlers record.
pub struct Options(u64);

impl Options {
    pub fn new() -> Self {
        let mut handle = 0;
        // SAFETY: the result is written to `handle`; `record` and `release` are what they have to
        // be for the user_data that `Runtime` gives.
        unsafe {
            expect_ok((functions().options_new)(&raw mut handle));
            expect_ok((functions().options_on_event)(handle, 0, Some(record)));
            expect_ok((functions().options_on_release)(handle, Some(release)));
        }
        Self(handle)
    }

    /// Of a server that asks about each request.
    pub fn asking(self) -> Self {
        const REQUEST: i32 = 9;
        // SAFETY: `record` is what it has to be, as above.
        expect_ok(unsafe { (functions().options_on_event)(self.0, REQUEST, Some(record)) });
        self
    }

    /// Gives a number to one of the functions that set one.
    pub fn set<N>(self, setter: extern "C" fn(u64, N) -> i32, number: N) -> Self {
        expect_ok(setter(self.0, number));
        self
    }

    /// The same, which may fail.
    pub fn try_set<N>(&self, setter: extern "C" fn(u64, N) -> i32, number: N) -> i32 {
        setter(self.0, number)
    }

    /// The same for those that set a number for the client and one for the server.
    pub fn set_both<N>(self, setter: extern "C" fn(u64, N, N) -> i32, numbers: (N, N)) -> Self {
        expect_ok(setter(self.0, numbers.0, numbers.1));
        self
    }

    /// Gives a text to one of the functions that set one.
    #[track_caller]
    pub fn set_text(self, setter: SetText, text: impl AsRef<[u8]>) -> Self {
        expect_ok(self.try_set_text(setter, text));
        self
    }

    /// The same, which may fail.
    pub fn try_set_text(&self, setter: SetText, text: impl AsRef<[u8]>) -> i32 {
        let text = text.as_ref();
        // SAFETY: `text` lives during the call.
        unsafe { setter(self.0, text.as_ptr(), text.len()) }
    }

    /// Reconnects: the shortest and the longest wait in milliseconds, and the tries.
    #[track_caller]
    pub fn reconnecting(self, min: u32, max: u32, tries: u32) -> Self {
        expect_ok(self.try_reconnecting(min, max, tries));
        self
    }

    /// The same, which may fail.
    pub fn try_reconnecting(&self, min: u32, max: u32, tries: u32) -> i32 {
        (functions().options_set_reconnect)(self.0, min, max, tries)
    }

    /// With one more header field.
    #[track_caller]
    pub fn with_header(self, name: &str, value: &str) -> Self {
        expect_ok(self.add_header(name.as_bytes(), value.as_bytes()));
        self
    }

    /// With a certificate and its key.
    #[track_caller]
    pub fn with_identity(self, certificate: &str, key: &str) -> Self {
        let set = functions().options_set_tls_identity;
        // SAFETY: both texts live during the call.
        expect_ok(unsafe {
            set(
                self.0,
                certificate.as_ptr(),
                certificate.len(),
                key.as_ptr(),
                key.len(),
            )
        });
        self
    }

    /// Offers subprotocols, in order.
    pub fn offering(self, names: &[&str]) -> Self {
        for name in names {
            expect_ok(self.add_subprotocol(name.as_bytes()));
        }
        self
    }

    pub fn add_subprotocol(&self, name: &[u8]) -> i32 {
        // SAFETY: `name` lives during the call.
        unsafe { (functions().options_add_subprotocol)(self.0, name.as_ptr(), name.len()) }
    }

    pub fn add_header(&self, name: &[u8], value: &[u8]) -> i32 {
        let add = functions().options_add_header;
        // SAFETY: `name` and `value` live during the call.
        unsafe {
            add(
                self.0,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        }
    }

    pub fn set_origin(&self, origin: &[u8]) -> i32 {
        // SAFETY: `origin` lives during the call.
        unsafe { (functions().options_set_origin)(self.0, origin.as_ptr(), origin.len()) }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        (functions().options_free)(self.0);
    }
}

/// A client's socket and what its handlers were told.
pub struct Client {
    pub socket: Socket,
    pub seen: Events,
}

/// A server, until it is closed or its runtime ends.
#[derive(Clone, Copy)]
pub struct Server {
    handle: u64,
    pub port: u16,
}

impl Server {
    pub fn close(&self) -> i32 {
        (functions().server_close)(self.handle)
    }

    /// Publishes to a topic; to the empty one, to everybody. Returns how many took it.
    pub fn publish(&self, topic: &str, message_type: i32, data: &[u8]) -> i64 {
        let (topic, topic_len) = match topic {
            "" => (std::ptr::null(), 0),
            topic => (topic.as_ptr(), topic.len()),
        };
        let publish = functions().server_publish;
        // SAFETY: `topic` and `data` live during the call.
        unsafe {
            publish(
                self.handle,
                topic,
                topic_len,
                message_type,
                data.as_ptr(),
                data.len(),
            )
        }
    }

    pub fn set_tls(&self, options: &Options) -> i32 {
        (functions().server_set_tls)(self.handle, options.0)
    }
}

/// The handle of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket(pub u64);

impl Socket {
    pub fn send_text(self, text: impl AsRef<[u8]>) -> i32 {
        let text = text.as_ref();
        // SAFETY: `text` lives during the call.
        unsafe { (functions().socket_send_text)(self.0, text.as_ptr(), text.len()) }
    }

    pub fn send_binary(self, data: &[u8]) -> i32 {
        // SAFETY: `data` lives during the call.
        unsafe { (functions().socket_send_binary)(self.0, data.as_ptr(), data.len()) }
    }

    /// Each message is a type, with flags, and a payload.
    pub fn send_many(self, messages: &[(i32, &[u8])]) -> i32 {
        let messages: Vec<RawMessage> = messages
            .iter()
            .map(|(message_type, data)| RawMessage {
                data: data.as_ptr().cast(),
                len: data.len(),
                message_type: *message_type,
                reserved: 0,
            })
            .collect();
        let count = u32::try_from(messages.len()).unwrap();
        // SAFETY: the messages and their payloads live during the call.
        unsafe { (functions().socket_send_many)(self.0, messages.as_ptr(), count) }
    }

    pub fn send_fragment(self, message_type: i32, data: &[u8], fin: bool) -> i32 {
        let send = functions().socket_send_fragment;
        // SAFETY: `data` lives during the call.
        unsafe { send(self.0, message_type, data.as_ptr(), data.len(), fin.into()) }
    }

    pub fn ping(self, data: &[u8]) -> i32 {
        // SAFETY: `data` lives during the call.
        unsafe { (functions().socket_ping)(self.0, data.as_ptr(), data.len()) }
    }

    pub fn close(self, code: i32, reason: impl AsRef<[u8]>) -> i32 {
        let reason = reason.as_ref();
        // SAFETY: `reason` lives during the call.
        unsafe { (functions().socket_close)(self.0, code, reason.as_ptr(), reason.len()) }
    }

    pub fn abort(self) -> i32 {
        (functions().socket_abort)(self.0)
    }

    pub fn pause(self) -> i32 {
        (functions().socket_pause)(self.0)
    }

    pub fn resume(self) -> i32 {
        (functions().socket_resume)(self.0)
    }

    pub fn release(self) -> i32 {
        (functions().socket_release)(self.0)
    }

    pub fn set_header(self, name: &str, value: &str) -> i32 {
        let set = functions().socket_set_header;
        // SAFETY: `name` and `value` live during the call.
        unsafe {
            set(
                self.0,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        }
    }

    pub fn subscribe(self, topic: &str) -> i32 {
        // SAFETY: `topic` lives during the call.
        unsafe { (functions().socket_subscribe)(self.0, topic.as_ptr(), topic.len()) }
    }

    pub fn set_url(self, url: &str) -> i32 {
        // SAFETY: `url` lives during the call.
        unsafe { (functions().socket_set_url)(self.0, url.as_ptr(), url.len()) }
    }

    pub fn stats(self) -> Stats {
        let mut stats = Stats {
            size: size_of::<Stats>() as u32,
            ..Stats::default()
        };
        // SAFETY: the result is written to `stats`.
        expect_ok(unsafe { (functions().socket_stats)(self.0, &raw mut stats) });
        stats
    }

    pub fn ready_state(self) -> i32 {
        (functions().socket_ready_state)(self.0)
    }

    pub fn buffered_amount(self) -> i64 {
        (functions().socket_buffered_amount)(self.0)
    }

    pub fn fact(self, fact: i32) -> String {
        read_text(|buf, cap| {
            // SAFETY: there are `cap` bytes at `buf`.
            unsafe { (functions().socket_fact)(self.0, fact, buf, cap) }
        })
    }

    pub fn response_status(self) -> i32 {
        (functions().socket_response_status)(self.0)
    }

    pub fn response_header(self, name: &str) -> String {
        read_text(|buf, cap| {
            let read = functions().socket_response_header;
            // SAFETY: `name` lives during the call, and there are `cap` bytes at `buf`.
            unsafe { read(self.0, name.as_ptr(), name.len(), buf, cap) }
        })
    }
}

/// Reads a text whose length the first call returns.
pub(super) fn read_text(mut read: impl FnMut(*mut u8, usize) -> i64) -> String {
    let mut text = vec![0; 1 << 16];
    let len = read(text.as_mut_ptr(), text.len());
    text.truncate(usize::try_from(len).unwrap_or_else(|_| panic!("status {len}")));
    String::from_utf8(text).unwrap()
}
