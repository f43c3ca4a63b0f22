"""WebSocket: one connection, a client's or a server's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ctypes import string_at
from typing import TYPE_CHECKING, Any

from wsabi import _ffi
from wsabi._base import message, seconds
from wsabi._endpoint import (
    CloseHandler,
    DrainHandler,
    Endpoint,
    ErrorHandler,
    MessageHandler,
    OpenHandler,
    PingHandler,
    PongHandler,
    ReconnectHandler,
)
from wsabi._options import Headers, Options
from wsabi._runtime import Runtime, default_runtime
from wsabi._serving import Subscriber

if TYPE_CHECKING:
    from typing_extensions import Buffer, Unpack


class WebSocket(Subscriber, Endpoint):
    """One WebSocket connection, which begins when the object is made and needs no loop.

    The handlers run on a thread of the runtime, one at a time and in order: `on_open(ws)`,
    `on_message(ws, data)` with a str for text and bytes for binary, at most one
    `on_error(ws, error)`, and in the end, exactly once, `on_close(ws, code, reason, was_clean)`.
    An exception in one goes to `sys.unraisablehook`, and the connection lives on.

    Four more are for those who ask:

    - `on_ping(ws, data)`: a ping has come, and has been answered.
    - `on_pong(ws, data, round_trip)`, with the seconds since the ping that it answers, or None
      where it answers none.
    - `on_drain(ws)`: what waits to be sent has fallen to `low_water`, 1 MiB by default, or so far
      that the message fits for which `send` raised BufferFullError.
    - `on_reconnect(ws, error, delay)`, with the option `reconnect`: the connection was lost, or
      could not be made, because of `error`, and is tried again in `delay` seconds. It takes the
      place of `on_error` and `on_close`; `on_open` follows, or `on_reconnect` once more, or in the
      end these two.

    They are attributes and may be changed at any time. One that is set after the constructor has
    returned can miss what has happened by then; those given to the constructor miss nothing.

    The connection keeps its object alive, so that no variable needs to. Every method may be
    called on any thread and in any handler. `with` closes the connection and waits for its end.
    """

    user_data: Any = None
    """For you. In the connections of a server: what `on_request` has given to `Request.accept`."""

    def __init__(
        self,
        url: str,
        *,
        on_open: OpenHandler = None,
        on_message: MessageHandler = None,
        on_error: ErrorHandler = None,
        on_close: CloseHandler = None,
        on_ping: PingHandler = None,
        on_pong: PongHandler = None,
        on_drain: DrainHandler = None,
        on_reconnect: ReconnectHandler = None,
        subprotocols: str | Iterable[str] = (),
        headers: Headers = (),
        origin: str | None = None,
        runtime: Runtime | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            runtime or default_runtime(),
            on_open,
            on_message,
            on_error,
            on_close,
            on_ping,
            on_pong,
            on_drain,
        )
        self.on_reconnect = on_reconnect
        self._start(_ffi.wsabi_socket_connect, url, subprotocols, headers, origin, options)

    @classmethod
    def accepted(
        cls, server: Endpoint, take: Callable[[int], int], user_data: object = None
    ) -> WebSocket:
        """The object for a socket of `server`, with the server's handlers. `take` gives the library
        what stands for the object, and returns the handle."""
        ws = cls.__new__(cls)
        Endpoint.__init__(
            ws,
            server.runtime,
            server.on_open,
            server.on_message,
            server.on_error,
            server.on_close,
            server.on_ping,
            server.on_pong,
            server.on_drain,
        )
        ws.on_reconnect = None
        ws.user_data = user_data

        def hand_over(number: int) -> None:
            ws._handle = take(number)

        ws._hand_over(hand_over)
        return ws

    def send(self, data: str | Buffer, *, plain: bool = False) -> None:
        """Sends a str as a text message, or anything that holds bytes as a binary one. `plain`
        keeps it uncompressed: for a secret next to text that others choose.

        Copies the data and never waits. Fails with StateError before the connection is open and
        between fragments, with ClosedError once it is closing, and with BufferFullError, having
        sent nothing, where more than `max_buffered` bytes would wait.
        """
        self._send(data, plain)

    def send_many(self, messages: Iterable[str | Buffer], *, plain: bool = False) -> int:
        """Sends several messages in order, which costs less than one `send` for each, and returns
        how many were taken. Where that is not all of them, the next one was refused.

        Fails as `send` does where the first is refused.
        """
        return self._send_many([message(data, plain) for data in messages])

    def send_fragment(self, data: str | Buffer, fin: bool, *, plain: bool = False) -> None:
        """Sends a piece of a message, for one that is made little by little: all pieces are str, or
        all hold bytes. `fin` says whether it is the last; until then no other message can be sent,
        but pings can. `plain` counts with the first piece. Fails as `send` does.
        """
        self._send_fragment(data, fin, plain)

    def pause(self) -> None:
        """Stops reading, so that the peer is held back: no message comes after the handler that is
        running. Meanwhile pings are not answered either, and the end of the connection is not
        noticed. Fails with ClosedError once it has ended."""
        self._call(_ffi.wsabi_socket_pause)

    def resume(self) -> None:
        """Reads on after `pause`. Fails with ClosedError once the connection has ended."""
        self._call(_ffi.wsabi_socket_resume)

    def ping(self, data: Buffer = b"") -> None:
        """Sends a ping with at most 125 bytes; `on_pong` gets the answer. Fails as `send` does.

        Pings that show whether the peer is there go out by themselves: see the option
        `ping_interval`.
        """
        self._ping(data)

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Begins the closing handshake, behind all that was sent; None sends no code.

        Does not wait, and does nothing where the end has already begun. `reason` has at most 123
        bytes of UTF-8.
        """
        self._close(code, reason)

    def release(self) -> None:
        """Drops the connection, and no handler starts any more, `on_close` included.

        Then only `close`, `abort`, `release`, `wait_closed` and `ready_state` can still be used;
        the others raise ValueError.
        """
        self._released = True
        self._release()

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
                on_error(self, self._error_of(event.code, _text_of(event)))
        elif event.kind == _ffi.EVENT_PING:
            if (on_ping := self.on_ping) is not None:
                on_ping(self, string_at(event.data, event.len))
        elif event.kind == _ffi.EVENT_PONG:
            if (on_pong := self.on_pong) is not None:
                on_pong(self, string_at(event.data, event.len), seconds(event.value))
        elif event.kind == _ffi.EVENT_DRAIN:
            if (on_drain := self.on_drain) is not None:
                on_drain(self)
        elif event.kind == _ffi.EVENT_RECONNECT:
            if (on_reconnect := self.on_reconnect) is not None:
                error = self._error_of(event.code, _text_of(event))
                on_reconnect(self, error, event.value / 1000)
        elif event.kind == _ffi.EVENT_CLOSE:
            self._deliver_close(event)

    def _deliver_close(self, event: _ffi.Event) -> None:
        self._note_facts()
        try:
            if (on_close := self.on_close) is not None:
                on_close(self, event.code, _text_of(event), bool(event.was_clean))
        finally:
            self._release()


def _text_of(event: _ffi.Event) -> str:
    return string_at(event.data, event.len).decode()
