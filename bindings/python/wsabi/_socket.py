"""WebSocket: one connection, a client's or a server's."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable, Mapping
from ctypes import create_string_buffer, string_at
from typing import TYPE_CHECKING, Any

from wsabi import _ffi
from wsabi._endpoint import CloseHandler, Endpoint, ErrorHandler, MessageHandler, OpenHandler
from wsabi._errors import ClosedError, HandleError, Status
from wsabi._options import Headers, Options, text
from wsabi._runtime import Runtime, default_runtime

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack


class ReadyState(enum.IntEnum):
    """The states of a WebSocket, in the order in which it goes through them."""

    CONNECTING = _ffi.CONNECTING
    OPEN = _ffi.OPEN
    CLOSING = _ffi.CLOSING
    CLOSED = _ffi.CLOSED


class WebSocket(Endpoint):
    """One WebSocket connection, which begins when the object is made and needs no loop.

    The handlers run on a thread of the runtime, one at a time and in order: `on_open(ws)`,
    `on_message(ws, data)` with a str for text and bytes for binary, at most one
    `on_error(ws, error)`, and in the end, exactly once, `on_close(ws, code, reason, was_clean)`.
    An exception in one goes to `sys.unraisablehook`, and the connection lives on.

    They are attributes and may be changed at any time. One that is set after the constructor has
    returned can miss what has happened by then; those given to the constructor miss nothing.

    The connection keeps its object alive, so that no variable needs to. Every method may be
    called on any thread and in any handler. `with` closes the connection and waits for its end.
    """

    _released = False
    _last_facts: Mapping[int, str] = {_ffi.FACT_URL: "", _ffi.FACT_SUBPROTOCOL: ""}
    """What the facts were when the handle ended."""

    def __init__(
        self,
        url: str,
        *,
        on_open: OpenHandler = None,
        on_message: MessageHandler = None,
        on_error: ErrorHandler = None,
        on_close: CloseHandler = None,
        subprotocols: str | Iterable[str] = (),
        headers: Headers = (),
        origin: str | None = None,
        runtime: Runtime | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(runtime or default_runtime(), on_open, on_message, on_error, on_close)
        self._start(_ffi.wsabi_socket_connect, url, subprotocols, headers, origin, options)

    @classmethod
    def accepted(cls, server: Endpoint, handle: int) -> WebSocket:
        """The object for a socket that `server` has accepted, with the server's handlers."""
        ws = cls.__new__(cls)
        Endpoint.__init__(
            ws, server.runtime, server.on_open, server.on_message, server.on_error, server.on_close
        )
        ws._hand_over(lambda user_data: _ffi.wsabi_socket_set_user_data(handle, user_data))
        return ws

    def send(self, data: str | Buffer) -> None:
        """Sends a str as a text message, or anything that holds bytes as a binary one.

        Copies the data and never waits. Fails with StateError before the connection is open, with
        ClosedError once it is closing, and with BufferFullError, having sent nothing, where more
        than `max_buffered` bytes would wait.
        """
        if isinstance(data, str):
            self._call(_ffi.wsabi_socket_send_text, *text("data", data))
        else:
            payload = data if isinstance(data, bytes) else bytes(memoryview(data))
            self._call(_ffi.wsabi_socket_send_binary, payload, len(payload))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Begins the closing handshake, behind all that was sent; None sends no code.

        Does not wait, and does nothing where the end has already begun. `reason` has at most 123
        bytes of UTF-8.
        """
        if code is not None and not 0 < code < 1 << 16:
            raise _ffi.error(Status.ARGUMENT, f"close code {code} is not within 1 and 65535")
        with contextlib.suppress(HandleError):
            _ffi.wsabi_socket_close(self._handle, code or 0, *text("reason", reason))

    def abort(self) -> None:
        """Drops the connection; `on_close` follows with code 1006."""
        with contextlib.suppress(HandleError):
            _ffi.wsabi_socket_abort(self._handle)

    def release(self) -> None:
        """Drops the connection, and no handler starts any more, `on_close` included.

        Then only `close`, `abort`, `release`, `wait_closed` and `ready_state` can still be used;
        the others raise ValueError.
        """
        self._released = True
        with contextlib.suppress(HandleError):
            _ffi.wsabi_socket_release(self._handle)

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

    @property
    def url(self) -> str:
        """The URL in its normal form."""
        return self._fact(_ffi.FACT_URL)

    @property
    def protocol(self) -> str:
        """The subprotocol that was agreed on; empty if none was or until then."""
        return self._fact(_ffi.FACT_SUBPROTOCOL)

    def deliver(self, event: _ffi.Event) -> None:
        # The first one may come before the constructor has got the handle.
        self._handle = event.handle
        if event.kind == _ffi.EVENT_MESSAGE:
            if (on_message := self.on_message) is not None:
                data = string_at(event.data, event.len)
                on_message(self, data.decode() if event.type == _ffi.TEXT else data)
        elif event.kind == _ffi.EVENT_OPEN:
            if (on_open := self.on_open) is not None:
                on_open(self)
        elif event.kind == _ffi.EVENT_ERROR:
            if (on_error := self.on_error) is not None:
                on_error(self, _ffi.error(event.code, string_at(event.data, event.len).decode()))
        elif event.kind == _ffi.EVENT_CLOSE:
            self._deliver_close(event)

    def _deliver_close(self, event: _ffi.Event) -> None:
        # Another thread may release it meanwhile.
        with contextlib.suppress(ValueError):
            self._last_facts = {fact: self._fact(fact) for fact in self._last_facts}
        try:
            if (on_close := self.on_close) is not None:
                reason = string_at(event.data, event.len).decode()
                on_close(self, event.code, reason, bool(event.was_clean))
        finally:
            with contextlib.suppress(HandleError):
                _ffi.wsabi_socket_release(self._handle)

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Calls `function` with the handle, which may have ended meanwhile."""
        try:
            return function(self._handle, *arguments)
        except HandleError:
            self._refuse_released()
            raise _ffi.error(Status.CLOSED, "the connection is closed") from None

    def _fact(self, fact: int) -> str:
        size = 256
        while True:
            buffer = create_string_buffer(size)
            try:
                length = _ffi.wsabi_socket_fact(self._handle, fact, buffer, size)
            except HandleError:
                self._refuse_released()
                return self._last_facts[fact]
            if length < size:
                return buffer.raw[:length].decode()
            size = length + 1

    def _refuse_released(self) -> None:
        if self._released:
            raise ValueError("the WebSocket has been released")
