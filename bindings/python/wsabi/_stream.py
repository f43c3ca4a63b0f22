"""What the blocking style and that of asyncio share: what has come over a connection, and waits
until the application asks for it."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from ctypes import byref, c_uint64
from typing import TYPE_CHECKING, Any

from wsabi import _ffi
from wsabi._base import MessageTuple, Socket
from wsabi._errors import (
    ClosedError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    Error,
    Status,
)
from wsabi._options import Headers, Options, template, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Buffer


class Stream(Socket):
    """One connection, and what has come over it. Whoever takes events calls `deliver`."""

    def __init__(self) -> None:
        self.messages: deque[str | bytes] = deque()
        self.held = 0
        """Bytes of the messages that have come since there was none."""
        self._is_paused = False
        self._has_opened = False
        self._turns = 0
        """How often something has happened after which a refused send may be tried again."""
        self._author: object = None
        """Who has sent a fragment, and has yet to send the last one."""
        self._pings: list[Ping] = []
        self._error: Error | None = None
        self._end: tuple[int, str, bool] | None = None
        self._has_closed = False

    @property
    def close_code(self) -> int | None:
        """The code of the peer's Close frame: 1005 if it had none, 1006 if there was no Close
        frame; None before the end."""
        return None if self._end is None else self._end[0]

    @property
    def close_reason(self) -> str | None:
        """The reason in the peer's Close frame; None before the end."""
        return None if self._end is None else self._end[1]

    def _start(
        self,
        runtime: int,
        url: str,
        subprotocols: str | Iterable[str],
        headers: Headers,
        origin: str | None,
        options: Options,
    ) -> None:
        """Begins to connect."""
        address = text("url", url)
        handle = c_uint64()
        with template(subprotocols, headers, origin, options) as settings:
            _ffi.wsabi_socket_connect(runtime, *address, settings, None, byref(handle))
        self._handle = handle.value

    def take(self, messages: list[str | bytes], size: int) -> None:
        """Takes messages, which have so many bytes together."""
        self.held += size
        self.messages.extend(messages)
        if self.held > _MOST_HELD and not self._is_paused:
            self._is_paused = True
            with contextlib.suppress(Error):
                _ffi.wsabi_socket_pause(self._handle)

    def deliver(self, kind: int, code: int, was_clean: bool, value: int, data: Any) -> None:
        """Takes note of an event that is not a message."""
        if kind == _ffi.EVENT_OPEN:
            self._has_opened = True
            self._turns += 1
        elif kind == _ffi.EVENT_DRAIN:
            self._turns += 1
        elif kind == _ffi.EVENT_PONG:
            self._answer(data, value)
        elif kind == _ffi.EVENT_RECONNECT:
            self._author = None
            self._fail_pings()
        elif kind == _ffi.EVENT_ERROR:
            self._error = self._error_of(code, data)
        elif kind == _ffi.EVENT_CLOSE:
            self._note_facts()
            self._release()
            self._finish(code, data, was_clean)

    def lose(self, why: str) -> None:
        """Takes note that the runtime has ended, without events."""
        if self._end is None:
            self._error = self._error or _ffi.error(Status.ABORTED, why)
            self._finish(1006, "", False)

    def _finish(self, code: int, reason: str, was_clean: bool) -> None:
        self._end = code, reason, was_clean
        self._turns += 1
        if self._has_closed:
            self.messages.clear()
        self._fail_pings()

    def _try_many(self, messages: list[MessageTuple]) -> None:
        """Sends them, and takes them out of the list when they were taken."""
        while messages:
            del messages[: self._send_many(messages)]

    def _try_fragment(self, data: str | Buffer, fin: bool, plain: bool, author: object) -> None:
        self._send_fragment(data, fin, plain)
        self._author = None if fin else author
        if fin:
            # Other messages can be sent again.
            self._turns += 1

    def _has_turned_since(self, turns: int) -> Callable[[], bool]:
        """Whether what was refused then may be tried again."""
        return lambda: self._turns != turns

    def _go_on(self) -> None:
        """Has the library read again, since all messages were taken, or will be dropped."""
        self.held = 0
        if self._is_paused:
            self._is_paused = False
            with contextlib.suppress(Error):
                _ffi.wsabi_socket_resume(self._handle)

    def _begin_close(self, code: int | None, reason: str) -> None:
        self._close(code, reason)
        if self._end is None:
            self._has_closed = True
            self.messages.clear()
            self._go_on()

    def _begin_ping(self, data: Buffer | None) -> Ping:
        payload = b"%d" % next(_numbers) if data is None else bytes(memoryview(data))
        ping = Ping(payload)
        self._pings.append(ping)
        try:
            self._ping(payload)
        except BaseException:
            self._forget_ping(ping)
            raise
        return ping

    def _answer(self, payload: bytes, nanoseconds: int) -> None:
        """A pong answers its ping, and those before it (RFC 6455 section 5.5.3)."""
        now = time.monotonic()
        # Other threads may append to the list, but only its beginning is looked at.
        for index, ping in enumerate(self._pings):
            if ping.payload == payload:
                for earlier in self._pings[:index]:
                    earlier.round_trip = now - earlier.sent
                ping.round_trip = nanoseconds / 1e9 if nanoseconds else now - ping.sent
                del self._pings[: index + 1]
                return

    def _fail_pings(self) -> None:
        while self._pings:
            self._pings.pop().is_lost = True

    def _forget_ping(self, ping: Ping) -> None:
        """Nobody waits for its answer any more."""
        with contextlib.suppress(ValueError):
            self._pings.remove(ping)

    def _closed(self) -> ConnectionClosed:
        """What to raise now that the connection has ended."""
        code, reason, was_clean = self._end or (1006, "", False)
        is_ok = was_clean and (self._has_closed or code in _GOOD_CODES)
        kind = ConnectionClosedOK if is_ok else ConnectionClosedError
        closed = kind(code, reason, was_clean)
        closed.__cause__ = self._error
        return closed

    def _lost_ping(self) -> Error:
        """What to raise for a ping that will not be answered."""
        if self._end is not None:
            return self._closed()
        return ClosedError(Status.CLOSED, "WSABI_ERR_CLOSED", "the connection was lost")


class Ping:
    """A ping that was sent."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.sent = time.monotonic()
        self.round_trip: float | None = None
        self.is_lost = False

    def is_done(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.is_lost or self.round_trip is not None


# When so many bytes of messages wait, the peer is held back.
_MOST_HELD = 1 << 20
_GOOD_CODES = (1000, 1001, 1005)
_numbers = itertools.count(1)
