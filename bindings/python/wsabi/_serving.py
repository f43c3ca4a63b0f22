"""What servers of both styles share."""

from __future__ import annotations

from ctypes import byref, c_uint64
from typing import TYPE_CHECKING, Any

from wsabi import _ffi
from wsabi._base import Socket, message, text_of
from wsabi._options import Options, template, text

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Listener:
    """A server of the library."""

    _handle = 0
    port = 0
    """The port that it listens on; 0 for a Unix socket."""

    def _note_port(self) -> None:
        self.port = _ffi.wsabi_server_port(self._handle)

    def set_tls(
        self,
        *,
        tls_identity: tuple[str, str],
        tls_client_ca: str = "",
        tls_resumption: bool = True,
        tls_key_log: bool = False,
    ) -> None:
        """Gives a server of `wss://` another identity, such as a renewed certificate, for the
        connections that come from now on; and what else TLS does there, as in the options."""
        options: Options = {
            "tls_identity": tls_identity,
            "tls_client_ca": tls_client_ca,
            "tls_resumption": tls_resumption,
            "tls_key_log": tls_key_log,
        }
        with template((), (), None, options) as settings:
            _ffi.wsabi_server_set_tls(self._handle, settings)

    def publish(self, data: str | Buffer, topic: str | None = None, *, plain: bool = False) -> int:
        """Sends a message to every WebSocket that subscribes to `topic`, or, without one, to every
        open WebSocket of the server. Returns how many took it.

        It is framed and compressed once for all, and never waits. One for which more than
        `max_buffered` bytes would wait does not get it: see the option `slow_subscribers`.
        """
        payload, length, type_, _ = message(data, plain)
        to = (None, 0) if topic is None else text("topic", topic)
        return int(_ffi.wsabi_server_publish(self._handle, *to, type_, payload, length))


class Subscriber(Socket):
    """A socket that may be a server's."""

    def subscribe(self, topic: str) -> None:
        """Has a server's WebSocket get what `Server.publish` sends to `topic`, which has 1 to 255
        bytes, until it closes. Subscribing twice changes nothing.

        Fails with StateError before the connection is open, or with more than 1024 topics, with
        ClosedError once it is closing, and with ArgumentError where it is a client's.
        """
        self._call(_ffi.wsabi_socket_subscribe, *text("topic", topic))

    def unsubscribe(self, topic: str) -> None:
        """Ends a subscription, if there is one."""
        self._call(_ffi.wsabi_socket_unsubscribe, *text("topic", topic))


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
