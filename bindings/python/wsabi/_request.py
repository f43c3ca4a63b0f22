"""What both kinds of servers know of a request."""

from __future__ import annotations

from ctypes import byref, c_uint64
from typing import Any

from wsabi import _ffi
from wsabi._base import text_of
from wsabi._options import text


class BaseRequest:
    """A client asks for a WebSocket. It waits until `accept` or `reject` is called, at once or
    later, once, on any thread; then, and when the client has gone, everything but `target` raises
    HandleError. After `connect_timeout`, 10 seconds by default, it gets the HTTP status 503.
    """

    def __init__(self, handle: int, target: str) -> None:
        self._handle = handle
        self.target = target
        """Path and query, such as "/chat?room=1"."""

    @property
    def peer_address(self) -> str:
        """The address and port of the client, such as "[::1]:9001"."""
        return text_of(lambda *room: _ffi.wsabi_request_peer_address(self._handle, *room))

    @property
    def subprotocols(self) -> list[str]:
        """Those that the client offers, the one that it likes best first."""
        offer = self.header("Sec-WebSocket-Protocol").split(",")
        return [name for name in map(str.strip, offer) if name]

    def header(self, name: str) -> str:
        """A header field, by its name in any letter case; empty if there is none. Browsers always
        say where a page comes from in Origin, and nobody else can be relied on to."""
        name_and_length = text("header name", name)
        return text_of(
            lambda *room: _ffi.wsabi_request_header(self._handle, *name_and_length, *room)
        )

    def add_header(self, name: str, value: str) -> None:
        """Adds a field to the answer, whichever it will be."""
        name_and_length = text("header name", name)
        _ffi.wsabi_request_add_header(self._handle, *name_and_length, *text("header value", value))

    def reject(self, status: int = 403, body: str = "") -> None:
        """Refuses with an HTTP status, from 300 to 599 but 304, and a text for a person."""
        _ffi.wsabi_request_reject(self._handle, status, *text("body", body))

    def _accept(self, subprotocol: str | None, user_data: Any) -> int:
        """Returns the handle of the connection."""
        out = c_uint64()
        chosen = text("subprotocol", subprotocol or "")
        _ffi.wsabi_request_accept(self._handle, *chosen, user_data, byref(out))
        return out.value
