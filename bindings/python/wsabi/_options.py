"""Options: keyword arguments, which become the library's template for one socket or server."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from ctypes import byref, c_uint64
from typing import Any, Literal, TypedDict, Union

from wsabi import _ffi

Headers = Union[Mapping[str, str], Iterable[tuple[str, str]]]


class Options(TypedDict, total=False):
    """Settings that most programs leave as they are. Sizes are bytes and times seconds; 0 or None
    switches a time off."""

    user_agent: str
    """The User-Agent header; none by default."""
    basic_auth: str
    """The credentials of a client, "user:password"; none by default."""
    proxy: str
    """The proxy of a client, "scheme://user:password@host:port" with http, https, socks5 or
    socks5h, or "env" for the environment's; none by default."""
    max_redirects: int
    """How many redirects a client follows in a row, from 0, the default, to 20."""
    reconnect: tuple[float, float, int] | None
    """Makes a client connect again when the connection is lost or cannot be made: the shortest and
    the longest wait before an attempt, and how many attempts there are in a row, 0 for any number.
    None, the default: it does not."""
    max_message: int
    """The largest message that is received: 16 MiB."""
    max_buffered: int
    """How much may wait to be sent: 64 MiB."""
    low_water: int
    """When so much or less waits to be sent again, `on_drain` is called: 1 MiB."""
    max_frame: int
    """The largest frame that is sent; 0: messages are not split."""
    compression: bool
    """Whether permessage-deflate is offered or accepted: it is."""
    compression_min: int
    """Shorter messages stay uncompressed: 1 KiB."""
    compression_level: int
    """From 1, fast, to 9, small: 1."""
    compression_window: tuple[int, int]
    """The client's and the server's largest window, as powers of two from 9 to 15: 15, 15."""
    compression_takeover: tuple[bool, bool]
    """Whether the client and the server may refer to earlier messages: both may."""
    connect_timeout: float | None
    """From the start, or that of another attempt, until the connection is open: 10 s."""
    close_timeout: float
    """How long the peer may take to close: 3 s; 0: it is not waited for."""
    ping_interval: float | None
    """A ping is sent after so long without a received byte: 20 s."""
    pong_timeout: float | None
    """How long a ping may stay unanswered: 20 s."""
    idle_timeout: float | None
    """How long no message may pass: off."""
    max_connections: int
    """A server's connections at a time; 0: no limit."""
    slow_subscribers: Literal["skip", "close"]
    """What happens to one for which more than `max_buffered` would wait with a message that is
    published: "skip", the default: it does not get it, and `on_drain` says when there is room;
    "close": it is closed with code 1008."""
    backlog: int
    """How many connections may wait until a server accepts them: 4096, or the system's limit."""
    reuse_port: bool
    """Whether several servers, also of several processes, may listen on one port: they may not."""
    tls_ca: str
    """The authorities that a client trusts, in PEM: those of the system."""
    tls_extra_ca: str
    """Authorities that it trusts besides these, in PEM."""
    tls_identity: tuple[str, str]
    """The certificate of this end, with those that lead to its authority, and its private key, in
    PEM. A server of wss:// needs it."""
    tls_client_ca: str
    """The authorities of the certificates that a server demands of its clients, in PEM; it demands
    none by default."""
    tls_server_name: str
    """What the server's certificate has to be for: the host of the URL."""
    tls_pins: str | Iterable[str]
    """The keys that the server may have, as SHA-256 in base64; any by default."""
    tls_verify_dangerously: bool
    """Whether the server's certificate is verified: it is."""
    tls_resumption: bool
    """Whether sessions are resumed: they are."""
    tls_key_log: bool
    """Whether keys are appended to the file that SSLKEYLOGFILE names: they are not."""


@contextlib.contextmanager
def template(
    subprotocols: str | Iterable[str],
    headers: Headers,
    origin: str | None,
    options: Options,
) -> Iterator[int]:
    """The handle of options with these values, as long as the context lasts."""
    out = c_uint64()
    _ffi.wsabi_options_new(byref(out))
    handle = out.value
    try:
        for name in [subprotocols] if isinstance(subprotocols, str) else subprotocols:
            _ffi.wsabi_options_add_subprotocol(handle, *text("subprotocol", name))
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            name_and_length = text("header name", name)
            _ffi.wsabi_options_add_header(handle, *name_and_length, *text("header value", value))
        if origin is not None:
            _ffi.wsabi_options_set_origin(handle, *text("origin", origin))
        for key in options:
            if key not in _SETTERS:
                raise TypeError(f"there is no option {key!r}")
        # In the order of the setters: what is set comes before what is added to it.
        for key, setter in _SETTERS.items():
            if key in options:
                setter(handle, key, options[key])  # type: ignore[literal-required]
        yield handle
    finally:
        _ffi.wsabi_options_free(handle)


def text(name: str, value: str) -> tuple[bytes, int]:
    """A string as the library takes it: UTF-8 and its length."""
    if not isinstance(value, str):
        raise TypeError(f"{name} has to be a str, not {type(value).__name__}")
    encoded = value.encode()
    return encoded, len(encoded)


def number(name: str, value: int, bits: int) -> int:
    """An unsigned number; ctypes would cut off what is too large."""
    value = operator.index(value)
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name} of {value} is not within 0 and {(1 << bits) - 1}")
    return value


def milliseconds(name: str, seconds: float | None) -> int:
    """A time as the library takes it. A positive one never becomes 0, which would mean off."""
    if seconds is None:
        return 0
    if not 0 <= seconds <= _MAX_SECONDS:
        raise ValueError(f"{name} of {seconds} seconds is not within 0 and {_MAX_SECONDS}")
    return max(round(seconds * 1000), 1 if seconds else 0)


def _set_text(function: Callable[..., Any]) -> Callable[[int, str, Any], None]:
    return lambda handle, name, value: function(handle, *text(name, value))


def _set_two_texts(function: Callable[..., Any]) -> Callable[[int, str, Any], None]:
    def set_two_texts(handle: int, name: str, value: Any) -> None:
        first, second = value
        function(handle, *text(name, first), *text(name, second))

    return set_two_texts


def _add_texts(function: Callable[..., Any]) -> Callable[[int, str, Any], None]:
    """One text, or several."""

    def add_texts(handle: int, name: str, value: Any) -> None:
        for it in [value] if isinstance(value, str) else value:
            function(handle, *text(name, it))

    return add_texts


def _set_number(function: Callable[..., Any], bits: int = 64) -> Callable[[int, str, Any], None]:
    return lambda handle, name, value: function(handle, number(name, value, bits))


def _set_flag(function: Callable[..., Any]) -> Callable[[int, str, Any], None]:
    return lambda handle, name, value: function(handle, int(bool(value)))


def _set_pair(function: Callable[..., Any]) -> Callable[[int, str, Any], None]:
    """For the client's and the server's side."""

    def set_pair(handle: int, name: str, value: Any) -> None:
        client, server = value
        function(handle, number(name, client, 31), number(name, server, 31))

    return set_pair


def _set_time(function: Callable[..., Any]) -> Callable[[int, str, Any], None]:
    return lambda handle, name, value: function(handle, milliseconds(name, value))


def _set_reconnect(handle: int, name: str, value: tuple[float, float, int] | None) -> None:
    first, longest, tries = value or (0, 0, 0)
    times = milliseconds(name, first), milliseconds(name, longest)
    _ffi.wsabi_options_set_reconnect(handle, *times, number(name, tries, 32))


def _set_slow_subscribers(handle: int, name: str, value: str) -> None:
    policies = {"skip": _ffi.SLOW_SKIP, "close": _ffi.SLOW_CLOSE}
    if value not in policies:
        raise ValueError(f"{name} is {value!r}, neither 'skip' nor 'close'")
    _ffi.wsabi_options_set_slow_subscribers(handle, policies[value])


# 24 days: in milliseconds it fits an int32_t.
_MAX_SECONDS = 24 * 24 * 3600

_SETTERS: dict[str, Callable[[int, str, Any], None]] = {
    "user_agent": _set_text(_ffi.wsabi_options_set_user_agent),
    "basic_auth": _set_text(_ffi.wsabi_options_set_basic_auth),
    "proxy": _set_text(_ffi.wsabi_options_set_proxy),
    "max_redirects": _set_number(_ffi.wsabi_options_set_max_redirects, bits=32),
    "reconnect": _set_reconnect,
    "max_message": _set_number(_ffi.wsabi_options_set_max_message),
    "max_buffered": _set_number(_ffi.wsabi_options_set_max_buffered),
    "low_water": _set_number(_ffi.wsabi_options_set_low_water),
    "max_frame": _set_number(_ffi.wsabi_options_set_max_frame),
    "compression": _set_flag(_ffi.wsabi_options_set_compression),
    "compression_min": _set_number(_ffi.wsabi_options_set_compression_min),
    "compression_level": _set_number(_ffi.wsabi_options_set_compression_level, bits=31),
    "compression_window": _set_pair(_ffi.wsabi_options_set_compression_window),
    "compression_takeover": _set_pair(_ffi.wsabi_options_set_compression_takeover),
    "connect_timeout": _set_time(_ffi.wsabi_options_set_connect_timeout_ms),
    "close_timeout": _set_time(_ffi.wsabi_options_set_close_timeout_ms),
    "ping_interval": _set_time(_ffi.wsabi_options_set_ping_interval_ms),
    "pong_timeout": _set_time(_ffi.wsabi_options_set_pong_timeout_ms),
    "idle_timeout": _set_time(_ffi.wsabi_options_set_idle_timeout_ms),
    "max_connections": _set_number(_ffi.wsabi_options_set_max_connections, bits=32),
    "slow_subscribers": _set_slow_subscribers,
    "backlog": _set_number(_ffi.wsabi_options_set_backlog, bits=32),
    "reuse_port": _set_flag(_ffi.wsabi_options_set_reuse_port),
    "tls_ca": _set_text(_ffi.wsabi_options_set_tls_ca),
    "tls_extra_ca": _set_text(_ffi.wsabi_options_add_tls_ca),
    "tls_identity": _set_two_texts(_ffi.wsabi_options_set_tls_identity),
    "tls_client_ca": _set_text(_ffi.wsabi_options_set_tls_client_ca),
    "tls_server_name": _set_text(_ffi.wsabi_options_set_tls_server_name),
    "tls_pins": _add_texts(_ffi.wsabi_options_add_tls_pin),
    "tls_verify_dangerously": _set_flag(_ffi.wsabi_options_set_tls_verify_dangerously),
    "tls_resumption": _set_flag(_ffi.wsabi_options_set_tls_resumption),
    "tls_key_log": _set_flag(_ffi.wsabi_options_set_tls_key_log),
}
