//! The declarations of include/wsabi.h that the tests use, loaded from the shared library that
//! was built together with them.

use std::ffi::{c_char, c_void};
use std::sync::OnceLock;

use super::built::library;

/// `wsabi_event`.
#[repr(C)]
pub struct RawEvent {
    pub size: u32,
    pub kind: i32,
    pub handle: u64,
    pub user_data: *mut c_void,
    pub data: *const u8,
    pub len: usize,
    pub message_type: i32,
    pub code: i32,
    pub was_clean: i32,
    pub reserved: i32,
    pub value: u64,
}

/// `wsabi_message`.
#[repr(C)]
pub struct RawMessage {
    pub data: *const c_void,
    pub len: usize,
    pub message_type: i32,
    pub reserved: i32,
}

/// `wsabi_stats`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub size: u32,
    pub reconnects: u32,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub payload_sent: u64,
    pub payload_received: u64,
    pub messages_sent: u64,
    pub messages_received: u64,
    pub round_trip_ns: u64,
    pub since_received_ns: u64,
    pub dns_ns: u64,
    pub tcp_ns: u64,
    pub tls_ns: u64,
    pub upgrade_ns: u64,
}

pub type LogHandler = unsafe extern "C" fn(i32, *const c_char, *const c_char, usize, *mut c_void);
pub type SetText = unsafe extern "C" fn(u64, *const u8, usize) -> i32;
pub type Handler = unsafe extern "C" fn(*const RawEvent, *mut c_void);
pub type Release = unsafe extern "C" fn(*mut c_void);

macro_rules! functions {
    ($($name:ident: $type:ty;)*) => {
        /// The functions, named without their prefix. Those of numbers alone are safe to call:
        /// any number is answered with a status.
        pub struct Functions {
            $(pub $name: $type,)*
        }

        impl Functions {
            fn load(library: &'static libloading::Library) -> Self {
                Self {
                    // SAFETY: the header declares them so.
                    $($name: *unsafe { library.get(concat!("wsabi_", stringify!($name))) }
                        .expect(stringify!($name)),)*
                }
            }
        }
    };
}

functions! {
    set_log_handler: unsafe extern "C" fn(i32, Option<LogHandler>, *mut c_void) -> i32;
    last_error: extern "C" fn() -> *const c_char;
    status_name: extern "C" fn(i32) -> *const c_char;
    runtime_new: unsafe extern "C" fn(u32, i32, *mut u64) -> i32;
    runtime_poll: extern "C" fn(u64, u32, i32) -> i32;
    runtime_next_events: unsafe extern "C" fn(u64, *mut RawEvent, u32, u32, i32) -> i32;
    runtime_shutdown: extern "C" fn(u64, i32) -> i32;
    runtime_free: extern "C" fn(u64) -> i32;
    options_new: unsafe extern "C" fn(*mut u64) -> i32;
    options_free: extern "C" fn(u64) -> i32;
    options_on_event: unsafe extern "C" fn(u64, i32, Option<Handler>) -> i32;
    options_on_release: unsafe extern "C" fn(u64, Option<Release>) -> i32;
    options_add_subprotocol: unsafe extern "C" fn(u64, *const u8, usize) -> i32;
    options_add_header:
        unsafe extern "C" fn(u64, *const u8, usize, *const u8, usize) -> i32;
    options_set_origin: unsafe extern "C" fn(u64, *const u8, usize) -> i32;
    options_set_basic_auth: SetText;
    options_set_proxy: SetText;
    options_set_max_redirects: extern "C" fn(u64, u32) -> i32;
    options_set_reconnect: extern "C" fn(u64, u32, u32, u32) -> i32;
    options_set_tls_ca: SetText;
    options_set_tls_identity:
        unsafe extern "C" fn(u64, *const u8, usize, *const u8, usize) -> i32;
    options_set_tls_server_name: SetText;
    options_add_tls_pin: SetText;
    options_add_tls_ca: SetText;
    options_set_tls_client_ca: SetText;
    options_set_tls_verify_dangerously: extern "C" fn(u64, i32) -> i32;
    options_set_tls_resumption: extern "C" fn(u64, i32) -> i32;
    options_set_max_connections: extern "C" fn(u64, u32) -> i32;
    options_set_backlog: extern "C" fn(u64, u32) -> i32;
    options_set_reuse_port: extern "C" fn(u64, i32) -> i32;
    options_set_max_message: extern "C" fn(u64, u64) -> i32;
    options_set_max_buffered: extern "C" fn(u64, u64) -> i32;
    options_set_max_frame: extern "C" fn(u64, u64) -> i32;
    options_set_connect_timeout_ms: extern "C" fn(u64, u32) -> i32;
    options_set_close_timeout_ms: extern "C" fn(u64, u32) -> i32;
    options_set_ping_interval_ms: extern "C" fn(u64, u32) -> i32;
    options_set_pong_timeout_ms: extern "C" fn(u64, u32) -> i32;
    options_set_idle_timeout_ms: extern "C" fn(u64, u32) -> i32;
    options_set_slow_subscribers: extern "C" fn(u64, i32) -> i32;
    options_set_compression: extern "C" fn(u64, i32) -> i32;
    options_set_compression_min: extern "C" fn(u64, u64) -> i32;
    options_set_compression_level: extern "C" fn(u64, i32) -> i32;
    options_set_compression_window: extern "C" fn(u64, i32, i32) -> i32;
    options_set_compression_takeover: extern "C" fn(u64, i32, i32) -> i32;
    socket_connect:
        unsafe extern "C" fn(u64, *const u8, usize, u64, *mut c_void, *mut u64) -> i32;
    socket_send_text: unsafe extern "C" fn(u64, *const u8, usize) -> i32;
    socket_send_binary: unsafe extern "C" fn(u64, *const u8, usize) -> i32;
    socket_send_many: unsafe extern "C" fn(u64, *const RawMessage, u32) -> i32;
    socket_send_fragment: unsafe extern "C" fn(u64, i32, *const u8, usize, i32) -> i32;
    socket_ping: unsafe extern "C" fn(u64, *const u8, usize) -> i32;
    socket_close: unsafe extern "C" fn(u64, i32, *const u8, usize) -> i32;
    socket_abort: extern "C" fn(u64) -> i32;
    socket_pause: extern "C" fn(u64) -> i32;
    socket_resume: extern "C" fn(u64) -> i32;
    socket_release: extern "C" fn(u64) -> i32;
    socket_set_header:
        unsafe extern "C" fn(u64, *const u8, usize, *const u8, usize) -> i32;
    socket_set_url: SetText;
    socket_subscribe: SetText;
    socket_ready_state: extern "C" fn(u64) -> i32;
    socket_buffered_amount: extern "C" fn(u64) -> i64;
    socket_fact: unsafe extern "C" fn(u64, i32, *mut u8, usize) -> i64;
    socket_response_status: extern "C" fn(u64) -> i32;
    socket_response_header:
        unsafe extern "C" fn(u64, *const u8, usize, *mut u8, usize) -> i64;
    socket_stats: unsafe extern "C" fn(u64, *mut Stats) -> i32;
    server_listen:
        unsafe extern "C" fn(u64, *const u8, usize, u64, *mut c_void, *mut u64) -> i32;
    server_port: extern "C" fn(u64) -> i32;
    server_set_tls: extern "C" fn(u64, u64) -> i32;
    server_close: extern "C" fn(u64) -> i32;
    server_publish:
        unsafe extern "C" fn(u64, *const u8, usize, i32, *const u8, usize) -> i64;
    request_target: unsafe extern "C" fn(u64, *mut u8, usize) -> i64;
    request_header:
        unsafe extern "C" fn(u64, *const u8, usize, *mut u8, usize) -> i64;
    request_peer_address: unsafe extern "C" fn(u64, *mut u8, usize) -> i64;
    request_add_header:
        unsafe extern "C" fn(u64, *const u8, usize, *const u8, usize) -> i32;
    request_accept:
        unsafe extern "C" fn(u64, *const u8, usize, *mut c_void, *mut u64) -> i32;
    request_reject: unsafe extern "C" fn(u64, i32, *const u8, usize) -> i32;
}

/// The functions of the library, loaded at the first call and kept for ever.
pub fn functions() -> &'static Functions {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let path = library();
        // SAFETY: the library's initialisers do nothing.
        let library = unsafe { libloading::Library::new(&path) };
        let library = library.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Functions::load(Box::leak(Box::new(library)))
    })
}
