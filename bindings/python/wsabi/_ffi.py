"""What include/wsabi.h declares: constants, structs, and one line for each function."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from wsabi._errors import Error, error_of
from wsabi._library import load

DELIVER_ON_THREADS = 0
DELIVER_ON_POLL = 1

EVENT_OPEN = 1
EVENT_MESSAGE = 2
EVENT_ERROR = 3
EVENT_CLOSE = 4
EVENT_PING = 5
EVENT_PONG = 6
EVENT_DRAIN = 7
EVENT_RECONNECT = 8
EVENT_REQUEST = 9

TEXT = 1
BINARY = 2
PLAIN = 16

SLOW_SKIP = 0
SLOW_CLOSE = 1

CONNECTING = 0
OPEN = 1
CLOSING = 2
CLOSED = 3

FACT_URL = 1
FACT_SUBPROTOCOL = 2
FACT_EXTENSIONS = 3
FACT_PEER_ADDRESS = 4
FACT_LOCAL_ADDRESS = 5
FACT_TLS_VERSION = 6
FACT_TLS_CIPHER = 7
FACT_RESPONSE_BODY = 8


class Event(Structure):
    """wsabi_event"""

    _fields_ = [
        ("size", c_uint32),
        ("kind", c_int32),
        ("handle", c_uint64),
        ("user_data", c_void_p),
        ("data", c_void_p),
        ("len", c_size_t),
        ("type", c_int32),
        ("code", c_int32),
        ("was_clean", c_int32),
        ("reserved", c_int32),
        ("value", c_uint64),
    ]


class Message(Structure):
    """wsabi_message"""

    _fields_ = [
        ("data", c_char_p),
        ("len", c_size_t),
        ("type", c_int32),
        ("reserved", c_int32),
    ]


class Stats(Structure):
    """wsabi_stats"""

    _fields_ = [
        ("size", c_uint32),
        ("reconnects", c_uint32),
        ("bytes_sent", c_uint64),
        ("bytes_received", c_uint64),
        ("payload_sent", c_uint64),
        ("payload_received", c_uint64),
        ("messages_sent", c_uint64),
        ("messages_received", c_uint64),
        ("round_trip_ns", c_uint64),
        ("since_received_ns", c_uint64),
        ("dns_ns", c_uint64),
        ("tcp_ns", c_uint64),
        ("tls_ns", c_uint64),
        ("upgrade_ns", c_uint64),
    ]


Function = Callable[..., None]
Handler: Callable[[Function], Any] = CFUNCTYPE(None, POINTER(Event), c_void_p)
UserDataFunction: Callable[[Function], Any] = CFUNCTYPE(None, c_void_p)
LogHandler: Callable[[Function], Any] = CFUNCTYPE(
    None, c_int32, c_char_p, c_void_p, c_size_t, c_void_p
)

_library = load()


def _declare(
    name: str, restype: Any, argtypes: list[Any], errcheck: Any = None
) -> Callable[..., Any]:
    function = getattr(_library, name)
    function.restype = restype
    function.argtypes = argtypes
    if errcheck is not None:
        function.errcheck = errcheck
    return function  # type: ignore[no-any-return]


def error(status: int, sentence: str) -> Error:
    """The exception for `status`."""
    return error_of(status, wsabi_status_name(status).decode(), sentence)


def _check(result: int, _function: object, _arguments: object) -> int:
    if result < 0:
        raise error(result, wsabi_last_error().decode())
    return result


# fmt: off
wsabi_abi_version = _declare("wsabi_abi_version", c_uint32, [])
wsabi_version = _declare("wsabi_version", c_char_p, [])
wsabi_set_log_handler = _declare("wsabi_set_log_handler", c_int32, [c_int32, LogHandler, c_void_p], _check)
wsabi_set_thread_hooks = _declare("wsabi_set_thread_hooks", c_int32, [UserDataFunction, UserDataFunction, c_void_p], _check)

wsabi_status_name = _declare("wsabi_status_name", c_char_p, [c_int32])
wsabi_last_error = _declare("wsabi_last_error", c_char_p, [])

wsabi_runtime_new = _declare("wsabi_runtime_new", c_int32, [c_uint32, c_int32, POINTER(c_uint64)], _check)
wsabi_runtime_poll = _declare("wsabi_runtime_poll", c_int32, [c_uint64, c_uint32, c_int32], _check)
wsabi_runtime_next_events = _declare("wsabi_runtime_next_events", c_int32, [c_uint64, POINTER(Event), c_uint32, c_uint32, c_int32], _check)
wsabi_runtime_next_packed = _declare("wsabi_runtime_next_packed", c_int32, [c_uint64, c_void_p, c_size_t, c_int32, POINTER(c_size_t)], _check)
wsabi_runtime_next_pickled = _declare("wsabi_runtime_next_pickled", c_int32, [c_uint64, c_void_p, c_size_t, c_int32, POINTER(c_size_t)], _check)
wsabi_runtime_fd = _declare("wsabi_runtime_fd", c_int32, [c_uint64, POINTER(c_ssize_t)], _check)
wsabi_runtime_wake = _declare("wsabi_runtime_wake", c_int32, [c_uint64], _check)
wsabi_runtime_on_ready = _declare("wsabi_runtime_on_ready", c_int32, [c_uint64, UserDataFunction, c_void_p], _check)
wsabi_runtime_shutdown = _declare("wsabi_runtime_shutdown", c_int32, [c_uint64, c_int32], _check)
wsabi_runtime_free = _declare("wsabi_runtime_free", c_int32, [c_uint64], _check)

wsabi_options_new = _declare("wsabi_options_new", c_int32, [POINTER(c_uint64)], _check)
wsabi_options_clone = _declare("wsabi_options_clone", c_int32, [c_uint64, POINTER(c_uint64)], _check)
wsabi_options_free = _declare("wsabi_options_free", c_int32, [c_uint64], _check)
wsabi_options_on_open = _declare("wsabi_options_on_open", c_int32, [c_uint64, Handler], _check)
wsabi_options_on_message = _declare("wsabi_options_on_message", c_int32, [c_uint64, Handler], _check)
wsabi_options_on_error = _declare("wsabi_options_on_error", c_int32, [c_uint64, Handler], _check)
wsabi_options_on_close = _declare("wsabi_options_on_close", c_int32, [c_uint64, Handler], _check)
wsabi_options_on_event = _declare("wsabi_options_on_event", c_int32, [c_uint64, c_int32, Handler], _check)
wsabi_options_on_release = _declare("wsabi_options_on_release", c_int32, [c_uint64, UserDataFunction], _check)
wsabi_options_add_subprotocol = _declare("wsabi_options_add_subprotocol", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_add_header = _declare("wsabi_options_add_header", c_int32, [c_uint64, c_char_p, c_size_t, c_char_p, c_size_t], _check)
wsabi_options_set_origin = _declare("wsabi_options_set_origin", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_set_user_agent = _declare("wsabi_options_set_user_agent", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_set_basic_auth = _declare("wsabi_options_set_basic_auth", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_set_proxy = _declare("wsabi_options_set_proxy", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_set_max_redirects = _declare("wsabi_options_set_max_redirects", c_int32, [c_uint64, c_uint32], _check)
wsabi_options_set_reconnect = _declare("wsabi_options_set_reconnect", c_int32, [c_uint64, c_uint32, c_uint32, c_uint32], _check)
wsabi_options_set_max_message = _declare("wsabi_options_set_max_message", c_int32, [c_uint64, c_uint64], _check)
wsabi_options_set_max_buffered = _declare("wsabi_options_set_max_buffered", c_int32, [c_uint64, c_uint64], _check)
wsabi_options_set_low_water = _declare("wsabi_options_set_low_water", c_int32, [c_uint64, c_uint64], _check)
wsabi_options_set_max_frame = _declare("wsabi_options_set_max_frame", c_int32, [c_uint64, c_uint64], _check)
wsabi_options_set_connect_timeout_ms = _declare("wsabi_options_set_connect_timeout_ms", c_int32, [c_uint64, c_uint32], _check)
wsabi_options_set_close_timeout_ms = _declare("wsabi_options_set_close_timeout_ms", c_int32, [c_uint64, c_uint32], _check)
wsabi_options_set_ping_interval_ms = _declare("wsabi_options_set_ping_interval_ms", c_int32, [c_uint64, c_uint32], _check)
wsabi_options_set_pong_timeout_ms = _declare("wsabi_options_set_pong_timeout_ms", c_int32, [c_uint64, c_uint32], _check)
wsabi_options_set_idle_timeout_ms = _declare("wsabi_options_set_idle_timeout_ms", c_int32, [c_uint64, c_uint32], _check)
wsabi_options_set_compression = _declare("wsabi_options_set_compression", c_int32, [c_uint64, c_int32], _check)
wsabi_options_set_compression_min = _declare("wsabi_options_set_compression_min", c_int32, [c_uint64, c_uint64], _check)
wsabi_options_set_compression_level = _declare("wsabi_options_set_compression_level", c_int32, [c_uint64, c_int32], _check)
wsabi_options_set_compression_window = _declare("wsabi_options_set_compression_window", c_int32, [c_uint64, c_int32, c_int32], _check)
wsabi_options_set_compression_takeover = _declare("wsabi_options_set_compression_takeover", c_int32, [c_uint64, c_int32, c_int32], _check)
wsabi_options_set_max_connections = _declare("wsabi_options_set_max_connections", c_int32, [c_uint64, c_uint32], _check)
wsabi_options_set_requests = _declare("wsabi_options_set_requests", c_int32, [c_uint64, c_int32], _check)
wsabi_options_set_backlog = _declare("wsabi_options_set_backlog", c_int32, [c_uint64, c_uint32], _check)
wsabi_options_set_reuse_port = _declare("wsabi_options_set_reuse_port", c_int32, [c_uint64, c_int32], _check)

wsabi_options_set_tls_ca = _declare("wsabi_options_set_tls_ca", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_add_tls_ca = _declare("wsabi_options_add_tls_ca", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_set_tls_identity = _declare("wsabi_options_set_tls_identity", c_int32, [c_uint64, c_char_p, c_size_t, c_char_p, c_size_t], _check)
wsabi_options_set_tls_client_ca = _declare("wsabi_options_set_tls_client_ca", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_set_tls_server_name = _declare("wsabi_options_set_tls_server_name", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_add_tls_pin = _declare("wsabi_options_add_tls_pin", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_set_tls_verify_dangerously = _declare("wsabi_options_set_tls_verify_dangerously", c_int32, [c_uint64, c_int32], _check)
wsabi_options_set_tls_resumption = _declare("wsabi_options_set_tls_resumption", c_int32, [c_uint64, c_int32], _check)
wsabi_options_set_tls_key_log = _declare("wsabi_options_set_tls_key_log", c_int32, [c_uint64, c_int32], _check)

wsabi_socket_connect = _declare("wsabi_socket_connect", c_int32, [c_uint64, c_char_p, c_size_t, c_uint64, c_void_p, POINTER(c_uint64)], _check)
wsabi_socket_send_text = _declare("wsabi_socket_send_text", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_socket_send_binary = _declare("wsabi_socket_send_binary", c_int32, [c_uint64, c_void_p, c_size_t], _check)
wsabi_socket_send_many = _declare("wsabi_socket_send_many", c_int32, [c_uint64, POINTER(Message), c_uint32], _check)
wsabi_socket_send_fragment = _declare("wsabi_socket_send_fragment", c_int32, [c_uint64, c_int32, c_void_p, c_size_t, c_int32], _check)
wsabi_socket_ping = _declare("wsabi_socket_ping", c_int32, [c_uint64, c_void_p, c_size_t], _check)
wsabi_socket_close = _declare("wsabi_socket_close", c_int32, [c_uint64, c_int32, c_char_p, c_size_t], _check)
wsabi_socket_abort = _declare("wsabi_socket_abort", c_int32, [c_uint64], _check)
wsabi_socket_pause = _declare("wsabi_socket_pause", c_int32, [c_uint64], _check)
wsabi_socket_resume = _declare("wsabi_socket_resume", c_int32, [c_uint64], _check)
wsabi_socket_release = _declare("wsabi_socket_release", c_int32, [c_uint64], _check)
wsabi_socket_ready_state = _declare("wsabi_socket_ready_state", c_int32, [c_uint64], _check)
wsabi_socket_buffered_amount = _declare("wsabi_socket_buffered_amount", c_int64, [c_uint64], _check)
wsabi_socket_set_user_data = _declare("wsabi_socket_set_user_data", c_int32, [c_uint64, c_void_p], _check)
wsabi_socket_set_header = _declare("wsabi_socket_set_header", c_int32, [c_uint64, c_char_p, c_size_t, c_char_p, c_size_t], _check)
wsabi_socket_set_url = _declare("wsabi_socket_set_url", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_socket_fact = _declare("wsabi_socket_fact", c_int64, [c_uint64, c_int32, c_char_p, c_size_t], _check)
wsabi_socket_response_status = _declare("wsabi_socket_response_status", c_int32, [c_uint64], _check)
wsabi_socket_response_header = _declare("wsabi_socket_response_header", c_int64, [c_uint64, c_char_p, c_size_t, c_char_p, c_size_t], _check)
wsabi_socket_stats = _declare("wsabi_socket_stats", c_int32, [c_uint64, POINTER(Stats)], _check)

wsabi_server_listen = _declare("wsabi_server_listen", c_int32, [c_uint64, c_char_p, c_size_t, c_uint64, c_void_p, POINTER(c_uint64)], _check)
wsabi_server_port = _declare("wsabi_server_port", c_int32, [c_uint64], _check)
wsabi_server_set_tls = _declare("wsabi_server_set_tls", c_int32, [c_uint64, c_uint64], _check)
wsabi_server_close = _declare("wsabi_server_close", c_int32, [c_uint64], _check)

wsabi_request_target = _declare("wsabi_request_target", c_int64, [c_uint64, c_char_p, c_size_t], _check)
wsabi_request_header = _declare("wsabi_request_header", c_int64, [c_uint64, c_char_p, c_size_t, c_char_p, c_size_t], _check)
wsabi_request_peer_address = _declare("wsabi_request_peer_address", c_int64, [c_uint64, c_char_p, c_size_t], _check)
wsabi_request_add_header = _declare("wsabi_request_add_header", c_int32, [c_uint64, c_char_p, c_size_t, c_char_p, c_size_t], _check)
wsabi_request_accept = _declare("wsabi_request_accept", c_int32, [c_uint64, c_char_p, c_size_t, c_void_p, POINTER(c_uint64)], _check)
wsabi_request_reject = _declare("wsabi_request_reject", c_int32, [c_uint64, c_int32, c_char_p, c_size_t], _check)

wsabi_server_publish = _declare("wsabi_server_publish", c_int64, [c_uint64, c_char_p, c_size_t, c_int32, c_void_p, c_size_t], _check)
wsabi_socket_subscribe = _declare("wsabi_socket_subscribe", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_socket_unsubscribe = _declare("wsabi_socket_unsubscribe", c_int32, [c_uint64, c_char_p, c_size_t], _check)
wsabi_options_set_slow_subscribers = _declare("wsabi_options_set_slow_subscribers", c_int32, [c_uint64, c_int32], _check)
