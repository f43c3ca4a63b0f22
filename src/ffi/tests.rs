//! Every function with every pointer NULL and with handles that stand for nothing. Only `live`
//! and `defects` need a network, which Miri has not.

#[cfg(not(miri))]
mod defects;
#[cfg(not(miri))]
mod live;

use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use crate::ffi::compression::*;
use crate::ffi::event::{WSABI_BINARY, WSABI_TEXT, wsabi_event};
use crate::ffi::facts::*;
use crate::ffi::library::*;
use crate::ffi::limits::*;
use crate::ffi::options::*;
use crate::ffi::polling::*;
use crate::ffi::publish::*;
use crate::ffi::request::*;
use crate::ffi::runtime::*;
use crate::ffi::server::*;
use crate::ffi::settings::*;
use crate::ffi::socket::*;
use crate::ffi::status::*;
use crate::ffi::tls::*;

/// A function that takes a handle, called with good arguments otherwise.
struct Call {
    name: &'static str,
    /// What the handle has to be one of.
    kind: Kind,
    /// Returns the function's status.
    run: fn(handle: u64) -> i64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Runtime,
    Options,
    Socket,
    Server,
    Request,
}

macro_rules! calls {
    ($($kind:ident: $name:ident($handle:ident $(, $argument:expr)*);)*) => {
        [$(Call {
            name: stringify!($name),
            kind: Kind::$kind,
            #[allow(unused_unsafe, clippy::useless_conversion)]
            // SAFETY: the arguments that go with the handle are good ones.
            run: |$handle| unsafe { $name($handle $(, $argument)*) }.into(),
        }),*]
    };
}

const CALLS: &[Call] = &calls! {
    Runtime: wsabi_runtime_poll(handle, 0, 0);
    Runtime: wsabi_runtime_next_events(handle, null_mut(), size_of::<wsabi_event>() as u32, 0, 0);
    Runtime: wsabi_runtime_next_packed(handle, null_mut(), 0, 0, &mut 0);
    Runtime: wsabi_runtime_next_pickled(handle, null_mut(), 0, 0, &mut 0);
    Runtime: wsabi_runtime_fd(handle, &mut 0);
    Runtime: wsabi_runtime_wake(handle);
    Runtime: wsabi_runtime_on_ready(handle, None, null_mut());
    Runtime: wsabi_runtime_shutdown(handle, 0);
    Runtime: wsabi_runtime_free(handle);
    Runtime: wsabi_socket_connect(handle, URL.as_ptr(), URL.count_bytes(), 0, null_mut(), &mut 0);
    Runtime: wsabi_server_listen(handle, URL.as_ptr(), URL.count_bytes(), 0, null_mut(), &mut 0);

    Options: wsabi_options_clone(handle, &mut 0);
    Options: wsabi_options_free(handle);
    Options: wsabi_options_on_open(handle, Some(ignore));
    Options: wsabi_options_on_message(handle, Some(ignore));
    Options: wsabi_options_on_error(handle, Some(ignore));
    Options: wsabi_options_on_close(handle, Some(ignore));
    Options: wsabi_options_on_event(handle, 0, Some(ignore));
    Options: wsabi_options_on_release(handle, None);
    Options: wsabi_options_add_subprotocol(handle, c"chat".as_ptr(), 4);
    Options: wsabi_options_add_header(handle, c"A".as_ptr(), 1, c"b".as_ptr(), 1);
    Options: wsabi_options_set_origin(handle, c"a".as_ptr(), 1);
    Options: wsabi_options_set_user_agent(handle, c"a".as_ptr(), 1);
    Options: wsabi_options_set_max_message(handle, 1);
    Options: wsabi_options_set_max_buffered(handle, 1);
    Options: wsabi_options_set_low_water(handle, 1);
    Options: wsabi_options_set_max_frame(handle, 1);
    Options: wsabi_options_set_connect_timeout_ms(handle, 1);
    Options: wsabi_options_set_close_timeout_ms(handle, 1);
    Options: wsabi_options_set_ping_interval_ms(handle, 1);
    Options: wsabi_options_set_pong_timeout_ms(handle, 1);
    Options: wsabi_options_set_idle_timeout_ms(handle, 1);
    Options: wsabi_options_set_compression(handle, 1);
    Options: wsabi_options_set_compression_min(handle, 1);
    Options: wsabi_options_set_compression_level(handle, 1);
    Options: wsabi_options_set_compression_window(handle, 15, 15);
    Options: wsabi_options_set_compression_takeover(handle, 1, 1);
    Options: wsabi_options_set_max_connections(handle, 1);
    Options: wsabi_options_set_requests(handle, 1);
    Options: wsabi_options_set_backlog(handle, 1);
    Options: wsabi_options_set_reuse_port(handle, 0);
    Options: wsabi_options_set_basic_auth(handle, c"a:b".as_ptr(), 3);
    Options: wsabi_options_set_proxy(handle, c"a".as_ptr(), 1);
    Options: wsabi_options_set_max_redirects(handle, 1);
    Options: wsabi_options_set_reconnect(handle, 1, 2, 3);
    Options: wsabi_options_set_slow_subscribers(handle, WSABI_SLOW_CLOSE);
    Options: wsabi_options_set_tls_ca(handle, IDENTITY.as_ptr().cast(), IDENTITY.len());
    Options: wsabi_options_add_tls_ca(handle, IDENTITY.as_ptr().cast(), IDENTITY.len());
    Options: wsabi_options_set_tls_identity(
        handle,
        IDENTITY.as_ptr().cast(),
        IDENTITY.len(),
        IDENTITY.as_ptr().cast(),
        IDENTITY.len()
    );
    Options: wsabi_options_set_tls_client_ca(handle, IDENTITY.as_ptr().cast(), IDENTITY.len());
    Options: wsabi_options_set_tls_server_name(handle, c"a".as_ptr(), 1);
    Options: wsabi_options_add_tls_pin(handle, PIN.as_ptr(), PIN.count_bytes());
    Options: wsabi_options_set_tls_verify_dangerously(handle, 1);
    Options: wsabi_options_set_tls_resumption(handle, 1);
    Options: wsabi_options_set_tls_key_log(handle, 0);
    Options: wsabi_options_set_compression(handle, 1);
    Options: wsabi_options_set_compression_min(handle, 1);
    Options: wsabi_options_set_compression_level(handle, 1);
    Options: wsabi_options_set_compression_window(handle, 15, 15);
    Options: wsabi_options_set_compression_takeover(handle, 1, 1);

    Socket: wsabi_socket_send_text(handle, c"a".as_ptr(), 1);
    Socket: wsabi_socket_send_binary(handle, null(), 0);
    Socket: wsabi_socket_send_many(handle, null(), 0);
    Socket: wsabi_socket_send_fragment(handle, WSABI_TEXT, null(), 0, 1);
    Socket: wsabi_socket_ping(handle, null(), 0);
    Socket: wsabi_socket_close(handle, 1000, null(), 0);
    Socket: wsabi_socket_abort(handle);
    Socket: wsabi_socket_pause(handle);
    Socket: wsabi_socket_resume(handle);
    Socket: wsabi_socket_release(handle);
    Socket: wsabi_socket_set_user_data(handle, null_mut());
    Socket: wsabi_socket_set_header(handle, c"a".as_ptr(), 1, c"b".as_ptr(), 1);
    Socket: wsabi_socket_set_url(handle, c"ws://a/".as_ptr(), 7);
    Socket: wsabi_socket_ready_state(handle);
    Socket: wsabi_socket_buffered_amount(handle);
    Socket: wsabi_socket_fact(handle, WSABI_FACT_URL, null_mut(), 0);
    Socket: wsabi_socket_response_status(handle);
    Socket: wsabi_socket_response_header(handle, c"a".as_ptr(), 1, null_mut(), 0);
    Socket: wsabi_socket_stats(handle, &mut empty_stats());
    Socket: wsabi_socket_subscribe(handle, c"a".as_ptr(), 1);
    Socket: wsabi_socket_unsubscribe(handle, c"a".as_ptr(), 1);

    Server: wsabi_server_port(handle);
    Server: wsabi_server_set_tls(handle, 0);
    Server: wsabi_server_publish(handle, null(), 0, WSABI_TEXT, null(), 0);
    Server: wsabi_server_close(handle);

    Request: wsabi_request_target(handle, null_mut(), 0);
    Request: wsabi_request_header(handle, c"a".as_ptr(), 1, null_mut(), 0);
    Request: wsabi_request_peer_address(handle, null_mut(), 0);
    Request: wsabi_request_add_header(handle, c"a".as_ptr(), 1, c"b".as_ptr(), 1);
    Request: wsabi_request_accept(handle, null(), 0, null_mut(), &mut 0);
    Request: wsabi_request_reject(handle, 403, null(), 0);
};

/// Where nothing listens.
const URL: &CStr = c"ws://127.0.0.1:1/";

/// A certificate and its private key.
const IDENTITY: &str = include_str!("../../tests/certificates/identity.pem");

const PIN: &CStr = c"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Those that take no handle.
const WITHOUT_HANDLE: [&str; 8] = [
    "wsabi_abi_version",
    "wsabi_version",
    "wsabi_set_log_handler",
    "wsabi_set_thread_hooks",
    "wsabi_status_name",
    "wsabi_last_error",
    "wsabi_runtime_new",
    "wsabi_options_new",
];

unsafe extern "C-unwind" fn ignore(_event: *const wsabi_event, _user_data: *mut c_void) {}

fn empty_stats() -> wsabi_stats {
    // SAFETY: integers may be zero.
    let stats: wsabi_stats = unsafe { std::mem::zeroed() };
    wsabi_stats {
        size: size_of::<wsabi_stats>() as u32,
        ..stats
    }
}

fn last_error() -> String {
    // SAFETY: the pointer is never NULL, and NUL-terminated.
    unsafe { CStr::from_ptr(wsabi_last_error()) }
        .to_str()
        .unwrap()
        .to_owned()
}

fn new_options() -> wsabi_options {
    let mut options = 0;
    // SAFETY: `options` can be written to.
    assert_eq!(unsafe { wsabi_options_new(&mut options) }, WSABI_OK);
    options
}

#[test]
fn the_tests_below_know_every_function() {
    let known: HashSet<_> = CALLS
        .iter()
        .map(|call| call.name)
        .chain(WITHOUT_HANDLE)
        .collect();
    let exported: HashSet<_> = include_str!("../../tests/symbols.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(known, exported);
}

#[test]
fn handles_that_stand_for_nothing_are_refused_by_every_function() {
    let ended = new_options();
    assert_eq!(wsabi_options_free(ended), WSABI_OK);
    let living = new_options();
    let kinds = 53 - 3;
    let odd = [
        ended,
        1,
        2,
        5,
        0xFFFF_FFFF,
        (1 << 53) - 1,
        1 << 53,
        1 << 63,
        u64::MAX,
    ];
    let of_each_kind =
        (0..8).flat_map(|kind| [0, 1, 63, 64, 0xFF_FFFF].map(|low| kind << kinds | 1 << 49 | low));
    // Miri takes a tenth of a second for each call.
    let step = if cfg!(miri) { 7 } else { 1 };
    for call in CALLS {
        for handle in odd.into_iter().chain(of_each_kind.clone()).step_by(step) {
            assert_eq!(
                (call.run)(handle),
                WSABI_ERR_HANDLE.into(),
                "{}({handle})",
                call.name
            );
            assert!(
                last_error().contains(&handle.to_string()),
                "{}: {}",
                call.name,
                last_error()
            );
        }
        if call.kind != Kind::Options {
            assert_eq!((call.run)(living), WSABI_ERR_HANDLE.into(), "{}", call.name);
        }
        if call.kind != Kind::Runtime && call.name != "wsabi_options_clone" {
            assert_eq!((call.run)(0), WSABI_ERR_HANDLE.into(), "{}", call.name);
            assert!(last_error().ends_with("is 0"), "{}", last_error());
        }
    }
    assert_eq!(wsabi_options_set_low_water(living, 1), WSABI_OK);
    assert_eq!(wsabi_options_free(living), WSABI_OK);
}

#[test]
fn handles_have_at_most_53_bits_and_are_not_used_twice() {
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let options = new_options();
        assert!(options > 0 && options < 1 << 53);
        assert!(seen.insert(options));
        assert_eq!(wsabi_options_free(options), WSABI_OK);
        assert_eq!(wsabi_options_free(options), WSABI_ERR_HANDLE);
    }
}

#[test]
fn null_is_refused_by_every_function_that_needs_a_pointer() {
    let options = new_options();
    let text = c"ws://a/".as_ptr();
    let nothing = null::<c_char>();
    let mut handle = 7;
    let out = &raw mut handle;
    // SAFETY: pointers are NULL, which is allowed, or good.
    let refused = unsafe {
        [
            ("runtime_out", wsabi_runtime_new(1, 0, null_mut()).into()),
            ("fd_out", wsabi_runtime_fd(0, null_mut()).into()),
            (
                "bytes_out",
                wsabi_runtime_next_packed(0, null_mut(), 0, 0, null_mut()).into(),
            ),
            (
                "bytes_out",
                wsabi_runtime_next_pickled(0, null_mut(), 0, 0, null_mut()).into(),
            ),
            ("options_out", wsabi_options_new(null_mut()).into()),
            (
                "options_out",
                wsabi_options_clone(options, null_mut()).into(),
            ),
            (
                "name",
                wsabi_options_add_subprotocol(options, nothing, 1).into(),
            ),
            (
                "name",
                wsabi_options_add_subprotocol(options, nothing, usize::MAX).into(),
            ),
            (
                "name",
                wsabi_options_add_header(options, nothing, 1, text, 1).into(),
            ),
            (
                "value",
                wsabi_options_add_header(options, text, 1, nothing, 1).into(),
            ),
            ("text", wsabi_options_set_origin(options, nothing, 1).into()),
            (
                "text",
                wsabi_options_set_user_agent(options, nothing, 1).into(),
            ),
            (
                "credentials",
                wsabi_options_set_basic_auth(options, nothing, 1).into(),
            ),
            ("proxy", wsabi_options_set_proxy(options, nothing, 1).into()),
            ("pem", wsabi_options_set_tls_ca(options, nothing, 1).into()),
            ("pem", wsabi_options_add_tls_ca(options, nothing, 1).into()),
            (
                "cert_pem",
                wsabi_options_set_tls_identity(options, nothing, 1, text, 1).into(),
            ),
            (
                "key_pem",
                wsabi_options_set_tls_identity(options, text, 1, nothing, 1).into(),
            ),
            (
                "pem",
                wsabi_options_set_tls_client_ca(options, nothing, 1).into(),
            ),
            (
                "name",
                wsabi_options_set_tls_server_name(options, nothing, 1).into(),
            ),
            ("pin", wsabi_options_add_tls_pin(options, nothing, 1).into()),
            (
                "url",
                wsabi_socket_connect(0, nothing, 1, options, null_mut(), out).into(),
            ),
            (
                "socket_out",
                wsabi_socket_connect(0, text, 7, 0, null_mut(), null_mut()).into(),
            ),
            ("text", wsabi_socket_send_text(1, nothing, 1).into()),
            (
                "text",
                wsabi_socket_send_text(1, nothing, WSABI_NUL_TERMINATED).into(),
            ),
            ("data", wsabi_socket_send_binary(1, null(), 1).into()),
            ("messages", wsabi_socket_send_many(1, null(), 1).into()),
            (
                "data",
                wsabi_socket_send_fragment(1, WSABI_TEXT, null(), 1, 1).into(),
            ),
            (
                "data",
                wsabi_socket_send_fragment(1, WSABI_BINARY, null(), 1, 1).into(),
            ),
            ("data", wsabi_socket_ping(1, null(), 1).into()),
            ("reason", wsabi_socket_close(1, 1000, nothing, 1).into()),
            ("buf", wsabi_socket_fact(1, WSABI_FACT_URL, null_mut(), 1)),
            (
                "name",
                wsabi_socket_response_header(1, nothing, 1, null_mut(), 0),
            ),
            (
                "buf",
                wsabi_socket_response_header(1, text, 1, null_mut(), 1),
            ),
            ("stats", wsabi_socket_stats(1, null_mut()).into()),
            (
                "url",
                wsabi_server_listen(0, nothing, 1, options, null_mut(), out).into(),
            ),
            (
                "server_out",
                wsabi_server_listen(0, text, 7, 0, null_mut(), null_mut()).into(),
            ),
            ("buf", wsabi_request_target(1, null_mut(), 1)),
            ("name", wsabi_request_header(1, nothing, 1, null_mut(), 0)),
            ("buf", wsabi_request_header(1, text, 1, null_mut(), 1)),
            ("buf", wsabi_request_peer_address(1, null_mut(), 1)),
            (
                "name",
                wsabi_request_add_header(1, nothing, 1, text, 1).into(),
            ),
            (
                "value",
                wsabi_request_add_header(1, text, 1, nothing, 1).into(),
            ),
            (
                "subprotocol",
                wsabi_request_accept(1, nothing, 1, null_mut(), out).into(),
            ),
            (
                "socket_out",
                wsabi_request_accept(1, nothing, 0, null_mut(), null_mut()).into(),
            ),
            ("body", wsabi_request_reject(1, 403, nothing, 1).into()),
        ]
    };
    for (parameter, status) in refused {
        assert_eq!(status, i64::from(WSABI_ERR_ARGUMENT), "{parameter}");
    }
    // SAFETY: as above.
    unsafe {
        assert_eq!(wsabi_socket_send_text(1, nothing, 1), WSABI_ERR_ARGUMENT);
        assert_eq!(last_error(), "text is NULL");
        assert_eq!(wsabi_runtime_new(1, 0, null_mut()), WSABI_ERR_ARGUMENT);
        assert_eq!(last_error(), "runtime_out is NULL");
        assert_eq!(wsabi_options_set_origin(options, nothing, 0), WSABI_OK);
        assert_eq!(wsabi_set_log_handler(0, None, null_mut()), WSABI_OK);
        assert_eq!(wsabi_set_thread_hooks(None, None, null_mut()), WSABI_OK);
        for kind in 0..=9 {
            assert_eq!(wsabi_options_on_event(options, kind, None), WSABI_OK);
        }
        assert_eq!(wsabi_options_on_open(options, None), WSABI_OK);
        assert_eq!(wsabi_options_on_release(options, None), WSABI_OK);
    }
    assert_eq!(handle, 7, "out parameters are written on success only");
    assert_eq!(wsabi_options_free(options), WSABI_OK);
}

#[test]
fn numbers_out_of_range_are_refused() {
    let options = new_options();
    let mut out = 0;
    // SAFETY: all pointers are good.
    unsafe {
        for (threads, delivery) in [(0, 0), (65, 0), (u32::MAX, 0), (65, 1), (1, 2), (1, -1)] {
            assert_eq!(
                wsabi_runtime_new(threads, delivery, &mut out),
                WSABI_ERR_ARGUMENT
            );
        }
        for kind in [-1, 10, 11, i32::MIN, i32::MAX] {
            assert_eq!(
                wsabi_options_on_event(options, kind, None),
                WSABI_ERR_ARGUMENT
            );
        }
        for level in [-1, 6, i32::MIN] {
            assert_eq!(
                wsabi_set_log_handler(level, None, null_mut()),
                WSABI_ERR_ARGUMENT
            );
        }
        for r#type in [0, 3, 16, -1] {
            let status = wsabi_socket_send_fragment(1, r#type, null(), 0, 1);
            assert_eq!(status, WSABI_ERR_ARGUMENT);
        }
        assert_eq!(
            wsabi_socket_send_fragment(1, WSABI_TEXT, null(), 0, 2),
            WSABI_ERR_ARGUMENT
        );
        assert_eq!(
            wsabi_socket_send_many(1, null(), u32::MAX),
            WSABI_ERR_ARGUMENT
        );
        for code in [-1, 65_536, i32::MIN] {
            assert_eq!(wsabi_socket_close(1, code, null(), 0), WSABI_ERR_ARGUMENT);
        }
        for fact in [0, 9, -1] {
            let status = wsabi_socket_fact(1, fact, null_mut(), 0);
            assert_eq!(status, WSABI_ERR_ARGUMENT.into());
        }
        for size in [0, 3, 103] {
            let mut stats = wsabi_stats {
                size,
                ..empty_stats()
            };
            assert_eq!(wsabi_socket_stats(1, &mut stats), WSABI_ERR_ARGUMENT);
        }
    }
    assert_eq!(
        wsabi_runtime_free(WSABI_DEFAULT_RUNTIME),
        WSABI_ERR_ARGUMENT
    );
    assert_eq!(
        wsabi_options_set_max_message(options, 0),
        WSABI_ERR_ARGUMENT
    );
    assert_eq!(
        wsabi_options_set_max_buffered(options, 0),
        WSABI_ERR_ARGUMENT
    );
    let refused = [
        wsabi_options_set_compression(options, 2),
        wsabi_options_set_compression_level(options, 0),
        wsabi_options_set_compression_level(options, 10),
        wsabi_options_set_compression_window(options, 8, 15),
        wsabi_options_set_compression_window(options, 15, 16),
        wsabi_options_set_compression_takeover(options, -1, 1),
        wsabi_options_set_compression_takeover(options, 1, 2),
        wsabi_options_set_max_redirects(options, 21),
        wsabi_options_set_reconnect(options, 0, 1, 0),
        wsabi_options_set_reconnect(options, 2, 1, 0),
        wsabi_options_set_tls_verify_dangerously(options, 2),
        wsabi_options_set_tls_resumption(options, -1),
        wsabi_options_set_tls_key_log(options, 2),
    ];
    assert_eq!(refused, [WSABI_ERR_ARGUMENT; 13]);
    assert_eq!(out, 0);
    assert_eq!(wsabi_options_free(options), WSABI_OK);
}

#[test]
fn bad_text_is_refused_with_its_offset() {
    let options = new_options();
    let text = c"ab\xffc".as_ptr();
    // SAFETY: `text` has four bytes and a NUL.
    unsafe {
        assert_eq!(
            wsabi_options_set_origin(options, text, 4),
            WSABI_ERR_ARGUMENT
        );
        assert_eq!(last_error(), "text is not UTF-8: the byte at offset 2");
        assert_eq!(
            wsabi_options_set_origin(options, c"ab".as_ptr(), 3),
            WSABI_ERR_ARGUMENT
        );
        assert_eq!(last_error(), "text has a NUL at offset 2");
        assert_eq!(
            wsabi_options_set_origin(options, c"a\r\nb".as_ptr(), WSABI_NUL_TERMINATED),
            WSABI_ERR_ARGUMENT
        );
        assert_eq!(
            wsabi_socket_send_text(1, text, WSABI_NUL_TERMINATED),
            WSABI_ERR_ARGUMENT
        );
        assert_eq!(wsabi_socket_close(1, 1000, text, 4), WSABI_ERR_ARGUMENT);
    }
    assert_eq!(wsabi_options_free(options), WSABI_OK);
}

#[test]
fn the_default_options_can_be_cloned() {
    let mut clone = 0;
    // SAFETY: `clone` can be written to.
    let status = unsafe { wsabi_options_clone(WSABI_DEFAULT_OPTIONS, &mut clone) };
    assert_eq!(status, WSABI_OK);
    assert_eq!(wsabi_options_set_low_water(clone, 1), WSABI_OK);
    assert_eq!(wsabi_options_free(clone), WSABI_OK);
}

#[test]
fn options_share_what_the_default_ones_have_loaded_for_tls() {
    let tls = |options| snapshot(options).unwrap().settings.settings().tls.clone();
    let options = new_options();
    assert_eq!(wsabi_options_set_max_message(options, 1), WSABI_OK);
    assert!(Arc::ptr_eq(&tls(WSABI_DEFAULT_OPTIONS), &tls(options)));
    assert_eq!(wsabi_options_set_tls_resumption(options, 0), WSABI_OK);
    assert!(!Arc::ptr_eq(&tls(WSABI_DEFAULT_OPTIONS), &tls(options)));
    assert_eq!(wsabi_options_free(options), WSABI_OK);
}

#[test]
fn every_status_has_its_name() {
    let name = |status| {
        // SAFETY: never NULL, and NUL-terminated.
        unsafe { CStr::from_ptr(wsabi_status_name(status)) }
            .to_str()
            .unwrap()
    };
    let names: HashSet<_> = (-100..=1).map(name).collect();
    assert_eq!(names.len(), 23, "22 statuses and the unknown one");
    assert_eq!(name(WSABI_OK), "WSABI_OK");
    assert_eq!(name(WSABI_ERR_FORKED), "WSABI_ERR_FORKED");
    assert_eq!(name(i32::MIN), "unknown status");
}

#[test]
fn the_version_is_that_of_the_package() {
    // SAFETY: never NULL, and NUL-terminated.
    let version = unsafe { CStr::from_ptr(wsabi_version()) };
    assert_eq!(version.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
    assert_eq!(wsabi_abi_version(), WSABI_ABI_VERSION);
}
