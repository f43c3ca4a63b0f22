"""What is known of a socket and can be done with it, whichever way its events take."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, create_string_buffer, sizeof
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from wsabi import _ffi
from wsabi._errors import ClosedError, Error, HandleError, HttpError, Status
from wsabi._options import text

if TYPE_CHECKING:
    from typing_extensions import Buffer


class ReadyState(enum.IntEnum):
    """The states of a WebSocket, in the order in which it goes through them. One that reconnects
    begins anew."""

    CONNECTING = _ffi.CONNECTING
    OPEN = _ffi.OPEN
    CLOSING = _ffi.CLOSING
    CLOSED = _ffi.CLOSED


MessageTuple = tuple[bytes, int, int, int]


class Stats(NamedTuple):
    """Figures of one WebSocket. Times are in seconds, sizes in bytes. What is counted is counted
    over all its connections; `dns`, `tcp`, `tls` and `upgrade` are of the latest attempt."""

    reconnects: int
    """How often the connection was established anew."""
    bytes_sent: int
    """On the wire, handshakes and frames included."""
    bytes_received: int
    """On the wire, handshakes and frames included."""
    payload_sent: int
    """Of the messages that were sent."""
    payload_received: int
    """Of the messages that were received."""
    messages_sent: int
    messages_received: int
    round_trip: float | None
    """Of the latest ping; None before its answer."""
    since_received: float | None
    """Since the last byte was received; None if there was none."""
    dns: float
    """For name resolution."""
    tcp: float
    """For the TCP connection, that of a proxy to the server included."""
    tls: float
    """For the handshakes of TLS."""
    upgrade: float
    """For the handshake of WebSocket."""


class Socket:
    """A socket of the library. Every method may be called on any thread."""

    _handle = 0
    _released = False
    _last_facts: Mapping[int, str] = dict.fromkeys(
        (
            _ffi.FACT_URL,
            _ffi.FACT_SUBPROTOCOL,
            _ffi.FACT_EXTENSIONS,
            _ffi.FACT_PEER_ADDRESS,
            _ffi.FACT_LOCAL_ADDRESS,
            _ffi.FACT_TLS_VERSION,
            _ffi.FACT_TLS_CIPHER,
            _ffi.FACT_RESPONSE_BODY,
        ),
        "",
    )
    """What the facts were when the handle ended; so with the next two."""
    _last_status = 0
    _last_stats = Stats(0, 0, 0, 0, 0, 0, 0, None, None, 0.0, 0.0, 0.0, 0.0)

    @property
    def ready_state(self) -> ReadyState:
        """How far the connection is."""
        try:
            return ReadyState(_ffi.wsabi_socket_ready_state(self._handle))
        except HandleError:
            return ReadyState.CLOSED

    @property
    def buffered_amount(self) -> int:
        """Bytes of payload that were sent and that the system has not taken yet."""
        try:
            return int(self._call(_ffi.wsabi_socket_buffered_amount))
        except ClosedError:
            return 0

    def stats(self) -> Stats:
        """What was counted and measured. After the end: until then."""
        stats = _ffi.Stats(size=sizeof(_ffi.Stats))
        try:
            _ffi.wsabi_socket_stats(self._handle, byref(stats))
        except HandleError:
            self._refuse_released()
            return self._last_stats
        return _stats_of(stats)

    @property
    def url(self) -> str:
        """The URL in its normal form; after a redirect, the one that it led to."""
        return self._fact(_ffi.FACT_URL)

    @property
    def protocol(self) -> str:
        """The subprotocol that was agreed on; empty if none was or until then."""
        return self._fact(_ffi.FACT_SUBPROTOCOL)

    @property
    def extensions(self) -> str:
        """The extensions that were agreed on, as in Sec-WebSocket-Extensions; empty if none."""
        return self._fact(_ffi.FACT_EXTENSIONS)

    @property
    def peer_address(self) -> str:
        """The address and port of the peer, such as "[::1]:9001", or of the proxy on the way."""
        return self._fact(_ffi.FACT_PEER_ADDRESS)

    @property
    def local_address(self) -> str:
        """The address and port of this end."""
        return self._fact(_ffi.FACT_LOCAL_ADDRESS)

    @property
    def tls_version(self) -> str:
        """The version of TLS, "TLSv1.2" or "TLSv1.3"; empty without TLS, and before it is there."""
        return self._fact(_ffi.FACT_TLS_VERSION)

    @property
    def tls_cipher(self) -> str:
        """The cipher suite of TLS, such as "TLS_AES_128_GCM_SHA256"; empty without TLS."""
        return self._fact(_ffi.FACT_TLS_CIPHER)

    @property
    def response_status(self) -> int:
        """The HTTP status of the server's answer: 101, or another one if it refused; 0 before an
        answer, and for a server's connection."""
        try:
            return int(_ffi.wsabi_socket_response_status(self._handle))
        except HandleError:
            self._refuse_released()
            return self._last_status

    def response_header(self, name: str) -> str:
        """A header field of the server's answer, by its name in any letter case; empty if there is
        none.

        Fails with StateError before an answer, and when `on_close` has returned.
        """
        name_and_length = text("header name", name)
        return text_of(
            lambda *room: self._call(_ffi.wsabi_socket_response_header, *name_and_length, *room)
        )

    @property
    def response_body(self) -> str:
        """The first 64 KiB of the body of an answer that refused; empty if there is none."""
        return self._fact(_ffi.FACT_RESPONSE_BODY)

    def abort(self) -> None:
        """Drops the connection, which then ends with code 1006."""
        with contextlib.suppress(HandleError):
            _ffi.wsabi_socket_abort(self._handle)

    def set_header(self, name: str, value: str) -> None:
        """Has the requests of the next attempts to connect say this, in place of what they have
        said under this name: a fresh token, for example. Best called in `on_reconnect`.

        Fails with StateError where the WebSocket does not reconnect.
        """
        name_and_length = text("header name", name)
        self._call(_ffi.wsabi_socket_set_header, *name_and_length, *text("header value", value))

    def set_url(self, url: str) -> None:
        """Has the next attempts to connect lead to another URL. Best called in `on_reconnect`.

        Fails with StateError where the WebSocket does not reconnect.
        """
        self._call(_ffi.wsabi_socket_set_url, *text("url", url))

    def _send(self, data: str | Buffer, plain: bool) -> None:
        if plain:
            self._send_many([message(data, plain)])
            return
        if isinstance(data, str):
            payload, function = data.encode(), _ffi.wsabi_socket_send_text
        else:
            payload = data if isinstance(data, bytes) else bytes(memoryview(data))
            function = _ffi.wsabi_socket_send_binary
        try:
            function(self._handle, payload, len(payload))
        except HandleError:
            self._refuse_ended()

    def _send_many(self, messages: Sequence[MessageTuple]) -> int:
        array = (_ffi.Message * len(messages))(*messages)  # type: ignore[misc]
        return int(self._call(_ffi.wsabi_socket_send_many, array, len(messages)))

    def _send_fragment(self, data: str | Buffer, fin: bool, plain: bool) -> None:
        payload, length, type_, _ = message(data, plain)
        self._call(_ffi.wsabi_socket_send_fragment, type_, payload, length, int(bool(fin)))

    def _ping(self, data: Buffer) -> None:
        payload = bytes(memoryview(data))
        self._call(_ffi.wsabi_socket_ping, payload, len(payload))

    def _close(self, code: int | None, reason: str) -> None:
        if code is not None and not 0 < code < 1 << 16:
            raise _ffi.error(Status.ARGUMENT, f"close code {code} is not within 1 and 65535")
        with contextlib.suppress(HandleError):
            _ffi.wsabi_socket_close(self._handle, code or 0, *text("reason", reason))

    def _release(self) -> None:
        with contextlib.suppress(HandleError):
            _ffi.wsabi_socket_release(self._handle)

    def _note_facts(self) -> None:
        """Keeps what is known, since the handle is about to end."""
        # Another thread may release it meanwhile.
        with contextlib.suppress(ValueError):
            self._last_facts = {fact: self._fact(fact) for fact in self._last_facts}
            self._last_status = self.response_status
            self._last_stats = self.stats()

    def _error_of(self, code: int, sentence: str) -> Error:
        """The reason that an event gives."""
        error = _ffi.error(code, sentence)
        if isinstance(error, HttpError):
            with contextlib.suppress(ValueError):
                error.response_status = self.response_status
                error.response_body = self.response_body
        return error

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Calls `function` with the handle, which may have ended meanwhile."""
        try:
            return function(self._handle, *arguments)
        except HandleError:
            self._refuse_ended()

    def _fact(self, fact: int) -> str:
        try:
            return text_of(lambda *room: _ffi.wsabi_socket_fact(self._handle, fact, *room))
        except HandleError:
            self._refuse_released()
            return self._last_facts[fact]

    def _refuse_ended(self) -> NoReturn:
        self._refuse_released()
        raise _ffi.error(Status.CLOSED, "the connection is closed") from None

    def _refuse_released(self) -> None:
        if self._released:
            raise ValueError("the WebSocket has been released")


def message(data: str | Buffer, plain: bool) -> MessageTuple:
    """A message as the fields of `wsabi_message`."""
    if isinstance(data, str):
        payload, type_ = data.encode(), _ffi.TEXT
    else:
        payload, type_ = bytes(memoryview(data)), _ffi.BINARY
    return payload, len(payload), type_ | (_ffi.PLAIN if plain else 0), 0


def text_of(write: Callable[..., int]) -> str:
    """What `write` writes into a buffer, which is made as large as it says."""
    size = 256
    while True:
        buffer = create_string_buffer(size)
        length = write(buffer, size)
        if length < size:
            return buffer.raw[:length].decode()
        size = length + 1


def seconds(nanoseconds: int) -> float | None:
    """A time as the library gives it, where 0 means that it is not known."""
    return nanoseconds / 1e9 if nanoseconds else None


def _stats_of(stats: _ffi.Stats) -> Stats:
    return Stats(
        reconnects=stats.reconnects,
        bytes_sent=stats.bytes_sent,
        bytes_received=stats.bytes_received,
        payload_sent=stats.payload_sent,
        payload_received=stats.payload_received,
        messages_sent=stats.messages_sent,
        messages_received=stats.messages_received,
        round_trip=seconds(stats.round_trip_ns),
        since_received=seconds(stats.since_received_ns),
        dns=stats.dns_ns / 1e9,
        tcp=stats.tcp_ns / 1e9,
        tls=stats.tls_ns / 1e9,
        upgrade=stats.upgrade_ns / 1e9,
    )
