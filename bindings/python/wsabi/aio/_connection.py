"""Connections on a loop: what `connect` gives, and what a server has."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from wsabi._base import message
from wsabi._errors import BufferFullError, ClosedError, ConnectionClosedOK, StateError
from wsabi._options import Headers, Options
from wsabi._serving import Subscriber
from wsabi._stream import Stream
from wsabi.aio._hub import Hub

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self, Unpack

T = TypeVar("T")


class connect:
    """Connects to `url`, such as `wss://example.org/`.

    `async with connect(url) as ws` closes the connection at the end; `ws = await connect(url)`
    leaves that to the caller. Both raise the error for which it failed, such as TlsError or
    TimeoutError; UrlError for a URL that cannot be used.

    `options` are those of `wsabi.Options`; how long it may take is `connect_timeout`, 10 seconds by
    default. With `reconnect` it tries again until the connection is made, or the attempts are used
    up.

    With `thread=False` the loop itself does what otherwise a thread of the library does, on Linux
    only. That takes less time, mostly where messages go back and forth; but pings are answered, and
    what the system did not take at once is sent, only while the loop is not busy.
    """

    def __init__(
        self,
        url: str,
        *,
        subprotocols: str | Iterable[str] = (),
        headers: Headers = (),
        origin: str | None = None,
        thread: bool = True,
        **options: Unpack[Options],
    ) -> None:
        self._thread = bool(thread)
        self._arguments = url, subprotocols, headers, origin, options
        self._connection: Connection | None = None

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._connect().__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self._connect()
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _connect(self) -> Connection:
        connection = Connection(await Hub.of_running_loop(self._thread))
        await connection.open(*self._arguments)
        return connection


class Connection(Stream, Subscriber):
    """A connection on a loop of asyncio. `connect` makes it, and `serve` does for each client.

    Several tasks may use it at a time; where several receive, each message goes to one of them.
    Whatever waits can be cancelled: no message is lost by that, and one whose `send` was cancelled
    has not been sent. Pings of the peer are answered, and messages leave, whatever the loop does
    meanwhile; but once 1 MiB of messages wait to be received, the peer is held back.

    With the option `reconnect`, methods wait while a lost connection is made anew, and messages
    that had not left are lost.

    The loop keeps the connection until it has ended. When the loop ends, in `asyncio.run`, those
    that are left are closed with code 1001.
    """

    user_data: Any = None
    """What the server's `on_request` has given to `Request.accept`."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub
        self._receivers: deque[asyncio.Future[None]] = deque()
        """Those who wait for a message."""
        self._watchers: deque[asyncio.Future[None]] = deque()
        """Those who wait for anything else."""

    async def open(
        self,
        url: str,
        subprotocols: str | Iterable[str],
        headers: Headers,
        origin: str | None,
        options: Options,
    ) -> None:
        """What `connect` does."""
        self._start(self._hub.runtime, url, subprotocols, headers, origin, options)
        self._hub.add(self._handle, self)
        try:
            await self._until(lambda: self._has_opened or self._end is not None)
        except BaseException:
            self._hub.remove(self._handle)
            self._release()
            raise
        if not self._has_opened:
            raise self._error or self._closed()

    async def send(self, data: str | Buffer, *, plain: bool = False) -> None:
        """Sends a str as a text message, or anything that holds bytes as a binary one. `plain`
        keeps it uncompressed: for a secret next to text that others choose.

        Copies the data. Waits while more than `max_buffered` bytes would wait to be sent, or
        another task is between two fragments, and does not let other tasks run otherwise. Raises
        ConnectionClosed once the connection is closing, and ArgumentError for a message that is
        larger than `max_buffered`.
        """
        try:
            self._send(data, plain)
        except (BufferFullError, StateError):
            await self._patiently(lambda: self._send(data, plain))

    async def send_many(self, messages: Iterable[str | Buffer], *, plain: bool = False) -> None:
        """Sends several messages in order, which costs less than one `send` for each. Waits and
        raises as `send` does, having sent those before; so where it is cancelled."""
        left = [message(data, plain) for data in messages]
        await self._patiently(lambda: self._try_many(left))

    async def send_fragment(self, data: str | Buffer, fin: bool, *, plain: bool = False) -> None:
        """Sends a piece of a message, for one that is made little by little: all pieces are str, or
        all hold bytes. `fin` says whether it is the last. Until then messages of other tasks wait,
        and `send` in this one raises StateError. `plain` counts with the first piece. Waits and
        raises as `send` does otherwise. One task at a time may send fragments.
        """
        author = asyncio.current_task()
        await self._patiently(lambda: self._try_fragment(data, fin, plain, author))
        if fin:
            _wake(self._watchers, len(self._watchers))

    async def recv(self) -> str | bytes:
        """Returns the next message, a str for text and bytes for binary, when it has come.

        Raises ConnectionClosed when the connection has ended and all messages have been received.
        """
        while not self.messages:
            if self._end is not None:
                raise self._closed()
            self._go_on()
            waiter = self._waiter(self._receivers)
            try:
                await waiter
            except BaseException:
                self._give_up(waiter, self._receivers)
                raise
        return self.messages.popleft()

    def __aiter__(self) -> Self:
        """The messages until the connection ends. Raises ConnectionClosedError if it does not end
        as it should; see ConnectionClosedOK."""
        return self

    async def __anext__(self) -> str | bytes:
        if self.messages:
            return self.messages.popleft()
        try:
            return await self.recv()
        except ConnectionClosedOK:
            raise StopAsyncIteration from None

    async def ping(self, data: Buffer | None = None) -> float:
        """Sends a ping, waits for its answer, and returns how many seconds that took.

        `data` has at most 125 bytes; None: some that no other ping has. The answer comes behind
        the messages that the peer sent before.

        Pings that show whether the peer is there go out by themselves: see the option
        `ping_interval`.
        """
        ping = await self._patiently(lambda: self._begin_ping(data))
        try:
            await self._until(ping.is_done)
        finally:
            self._forget_ping(ping)
        if ping.round_trip is None:
            raise self._lost_ping()
        return ping.round_trip

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Closes the connection, behind all that was sent, and waits until the peer has agreed, at
        most `close_timeout`, 3 seconds by default. If that is cancelled, the end goes on.

        None sends no code; `reason` has at most 123 bytes of UTF-8. Messages that have not been
        received are dropped. Once the connection has ended, this does nothing.
        """
        self._begin_close(code, reason)
        await self._until(lambda: self._end is not None)

    def take(self, messages: list[str | bytes], size: int) -> None:
        super().take(messages, size)
        if self._receivers:
            _wake(self._receivers, len(messages))

    def deliver(self, kind: int, code: int, was_clean: bool, value: int, data: Any) -> None:
        super().deliver(kind, code, was_clean, value, data)
        _wake(self._watchers, len(self._watchers))

    def _finish(self, code: int, reason: str, was_clean: bool) -> None:
        super()._finish(code, reason, was_clean)
        self._hub.remove(self._handle)
        _wake(self._receivers, len(self._receivers))
        _wake(self._watchers, len(self._watchers))

    async def _patiently(self, call: Callable[[], T]) -> T:
        """Makes `call`, again and again where it is refused for now."""
        while True:
            turns = self._turns
            try:
                return call()
            except ClosedError:
                await self._until(lambda: self._end is not None)
                raise self._closed() from self._error
            except (BufferFullError, StateError) as error:
                if isinstance(error, StateError) and self._author is asyncio.current_task():
                    raise
                await self._until(self._has_turned_since(turns))

    async def _until(self, is_ready: Callable[[], object]) -> None:
        while not is_ready():
            waiter = self._waiter(self._watchers)
            try:
                await waiter
            except BaseException:
                self._give_up(waiter, self._watchers)
                raise

    def _waiter(self, waiters: deque[asyncio.Future[None]]) -> asyncio.Future[None]:
        waiter = self._hub.loop.create_future()
        waiters.append(waiter)
        return waiter

    def _give_up(self, waiter: asyncio.Future[None], waiters: deque[asyncio.Future[None]]) -> None:
        if waiter in waiters:
            waiters.remove(waiter)
        elif self.messages:
            # It was this one's turn.
            _wake(self._receivers, 1)


def _wake(waiters: deque[asyncio.Future[None]], count: int) -> None:
    """Has the first `count` of them go on."""
    while count > 0 and waiters:
        waiter = waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)
            count -= 1
