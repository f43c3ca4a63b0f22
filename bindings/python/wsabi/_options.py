"""Options: keyword arguments, which become the library's template for one socket or server."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from ctypes import byref, c_uint64
from typing import Any, TypedDict, Union

from wsabi import _ffi

Headers = Union[Mapping[str, str], Iterable[tuple[str, str]]]


class Options(TypedDict, total=False):
    """Settings that most programs leave as they are. Sizes are bytes and times seconds; 0 or None
    switches a time off."""

    user_agent: str
    """The User-Agent header; none by default."""
    max_message: int
    """The largest message that is received: 16 MiB."""
    max_buffered: int
    """How much may wait to be sent: 64 MiB."""
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
    """From the start until the connection is open: 10 s."""
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
        for key, setting in options.items():
            if key not in _SETTERS:
                raise TypeError(f"there is no option {key!r}")
            _SETTERS[key](handle, key, setting)
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


# 24 days: in milliseconds it fits an int32_t.
_MAX_SECONDS = 24 * 24 * 3600

_SETTERS: dict[str, Callable[[int, str, Any], None]] = {
    "user_agent": _set_text(_ffi.wsabi_options_set_user_agent),
    "max_message": _set_number(_ffi.wsabi_options_set_max_message),
    "max_buffered": _set_number(_ffi.wsabi_options_set_max_buffered),
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
}
