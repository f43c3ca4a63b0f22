"""Connection: the blocking style."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from wsabi import _ffi
from wsabi._base import message
from wsabi._errors import (
    BufferFullError,
    ClosedError,
    ConnectionClosedOK,
    HandleError,
    StateError,
    Status,
)
from wsabi._options import Headers, Options
from wsabi._pickled import Pickled
from wsabi._runtime import Poller
from wsabi._stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self, Unpack

T = TypeVar("T")


def connect(
    url: str,
    *,
    subprotocols: str | Iterable[str] = (),
    headers: Headers = (),
    origin: str | None = None,
    **options: Unpack[Options],
) -> Connection:
    """Connects to `url`, such as `wss://example.org/`, and waits until that is done.

        with wsabi.connect("ws://127.0.0.1:8080/") as ws:
            ws.send("John")
            for message in ws:
                print(message)

    Raises the error for which it failed, such as TlsError or TimeoutError; UrlError for a URL that
    cannot be used. `options` are those of `wsabi.Options`; how long it may take is
    `connect_timeout`, 10 seconds by default. With `reconnect` it tries again until the connection
    is made, or the attempts are used up.
    """
    return Connection(url, subprotocols, headers, origin, options)


class Connection(Stream):
    """A connection whose methods wait. `connect` makes it; `with` closes it.

    Every method may be called on any thread. Where several threads receive, each message goes to
    one of them. Pings of the peer are answered, and messages leave, whatever the program does
    meanwhile; but once 1 MiB of messages wait to be received, the peer is held back.

    With the option `reconnect`, methods wait while a lost connection is made anew, and messages
    that had not left are lost.
    """

    def __init__(
        self,
        url: str,
        subprotocols: str | Iterable[str],
        headers: Headers,
        origin: str | None,
        options: Options,
    ) -> None:
        super().__init__()
        self._taking = threading.Lock()
        """Held by the thread that takes events, one of those that wait."""
        self._changed = threading.Condition()
        self._followers = 0
        """How many others wait, for what that one does."""
        self._poller = Poller()
        self._pickled = Pickled(self._poller.handle)
        _connections.add(self)
        try:
            self._start(self._poller.handle, url, subprotocols, headers, origin, options)
            self._until(lambda: self._has_opened or self._end is not None)
        except BaseException:
            self._poller.close()
            raise
        if not self._has_opened:
            raise self._error or self._closed()

    def send(self, data: str | Buffer, *, plain: bool = False) -> None:
        """Sends a str as a text message, or anything that holds bytes as a binary one. `plain`
        keeps it uncompressed: for a secret next to text that others choose.

        Copies the data. Waits while more than `max_buffered` bytes would wait to be sent, or
        another thread is between two fragments. Raises ConnectionClosed once the connection is
        closing, and ArgumentError for a message that is larger than `max_buffered`.
        """
        try:
            self._send(data, plain)
        except (BufferFullError, StateError):
            self._patiently(lambda: self._send(data, plain))

    def send_many(self, messages: Iterable[str | Buffer], *, plain: bool = False) -> None:
        """Sends several messages in order, which costs less than one `send` for each. Waits and
        raises as `send` does, having sent those before."""
        left = [message(data, plain) for data in messages]
        self._patiently(lambda: self._try_many(left))

    def send_fragment(self, data: str | Buffer, fin: bool, *, plain: bool = False) -> None:
        """Sends a piece of a message, for one that is made little by little: all pieces are str, or
        all hold bytes. `fin` says whether it is the last. Until then messages of other threads
        wait, and `send` on this one raises StateError. `plain` counts with the first piece. Waits
        and raises as `send` does otherwise. One thread at a time may send fragments.
        """
        author = threading.get_ident()
        self._patiently(lambda: self._try_fragment(data, fin, plain, author))
        if fin:
            self._poller.wake()

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Returns the next message, a str for text and bytes for binary, when it has come.

        Raises TimeoutError where that takes longer than `timeout` seconds, and ConnectionClosed
        when the connection has ended and all messages have been received.
        """
        try:
            return self.messages.popleft()
        except IndexError:
            pass
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self._wait_for_message(deadline)
            try:
                return self.messages.popleft()
            except IndexError:
                # Another thread was faster.
                continue

    def __iter__(self) -> Self:
        """The messages until the connection ends. Raises ConnectionClosedError if it does not end
        as it should; see ConnectionClosedOK."""
        return self

    def __next__(self) -> str | bytes:
        try:
            return self.messages.popleft()
        except IndexError:
            pass
        try:
            return self.recv()
        except ConnectionClosedOK:
            raise StopIteration from None

    def ping(self, data: Buffer | None = None, timeout: float | None = None) -> float:
        """Sends a ping, waits for its answer, and returns how many seconds that took.

        `data` has at most 125 bytes; None: some that no other ping has. The answer comes behind
        the messages that the peer sent before. Raises TimeoutError after `timeout` seconds.

        Pings that show whether the peer is there go out by themselves: see the option
        `ping_interval`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        ping = self._patiently(lambda: self._begin_ping(data), deadline)
        try:
            self._until(ping.is_done, deadline)
        finally:
            self._forget_ping(ping)
        if ping.round_trip is None:
            raise self._lost_ping()
        return ping.round_trip

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Closes the connection, behind all that was sent, and waits until the peer has agreed, at
        most `close_timeout`, 3 seconds by default.

        None sends no code; `reason` has at most 123 bytes of UTF-8. Messages that have not been
        received are dropped. Once the connection has ended, this does nothing.
        """
        self._begin_close(code, reason)
        self._until(lambda: self._end is not None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def after_fork(self) -> None:
        """In the child of a fork: forgets what threads of the parent were doing."""
        self._taking = threading.Lock()
        self._changed = threading.Condition()
        self._followers = 0

    def _wait_for_message(self, deadline: float | None) -> None:
        # In this order: the end comes behind all messages.
        if self._end is not None and not self.messages:
            raise self._closed()
        self._go_on()
        self._until(lambda: self.messages or self._end is not None, deadline)

    def _patiently(self, call: Callable[[], T], deadline: float | None = None) -> T:
        """Makes `call`, again and again where it is refused for now."""
        while True:
            turns = self._turns
            try:
                return call()
            except ClosedError:
                self._until(lambda: self._end is not None, deadline)
                raise self._closed() from self._error
            except (BufferFullError, StateError) as error:
                if isinstance(error, StateError) and self._author == threading.get_ident():
                    raise
                self._until(self._has_turned_since(turns), deadline)

    def _until(self, is_ready: Callable[[], object], deadline: float | None = None) -> None:
        """Waits until `is_ready`. One of the threads that wait takes the events for all."""
        is_late = False
        while not is_ready():
            if is_late:
                raise _ffi.error(Status.TIMEOUT, "the time for the call ran out")
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            is_late = left == 0
            if not self._take(left):
                with self._changed:
                    self._followers += 1
                    try:
                        # The one who takes events looks for followers when it has stopped.
                        if self._taking.locked() and not is_ready():
                            self._changed.wait(left)
                    finally:
                        self._followers -= 1

    def _take(self, seconds: float | None) -> bool:
        """Waits for events and takes them, unless another thread does so."""
        if not self._taking.acquire(blocking=False):
            return False
        try:
            if threading.current_thread() is threading.main_thread():
                # Signals are only handled between calls, Ctrl-C among them.
                seconds = _LONGEST_WAIT if seconds is None else min(seconds, _LONGEST_WAIT)
            milliseconds = -1 if seconds is None else min(-int(-seconds * 1000 // 1), 1 << 30)
            try:
                self._pickled.deliver({self._handle: self}, milliseconds)
            except HandleError:
                self.lose("the interpreter ends")
            if self._end is not None:
                self._poller.close()
        finally:
            self._taking.release()
            if self._followers:
                with self._changed:
                    self._changed.notify_all()
        return True


def _after_fork() -> None:
    for connection in list(_connections):
        connection.after_fork()


_LONGEST_WAIT = 0.1
_connections: weakref.WeakSet[Connection] = weakref.WeakSet()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
