"""Servers on a loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator, Iterable
from ctypes import byref, c_uint64
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional

from wsabi import _ffi
from wsabi._errors import ConnectionClosed, HandleError
from wsabi._options import Headers, Options, template, text
from wsabi._serving import BaseRequest, Listener
from wsabi.aio._connection import Connection
from wsabi.aio._hub import Hub

if TYPE_CHECKING:
    from typing_extensions import Unpack

ConnectionHandler = Callable[[Connection], Awaitable[object]]
Report = Callable[[str, Exception], object]
RequestHandler = Optional[Callable[["Request"], Awaitable[object]]]


class serve:
    """Listens at `url`, such as `ws://127.0.0.1:0/`, and runs `handler(ws)`, a coroutine function,
    for each connection. `wss://` is TLS, and needs the option `tls_identity`.

        async def echo(ws):
            async for message in ws:
                await ws.send(message)

        async with wsabi.aio.serve(echo, "ws://127.0.0.1:8080/") as server:
            await server.wait_closed()

    A connection is closed when its handler returns: with code 1000, or 1011 after an exception,
    which goes to the loop's exception handler, unless it is ConnectionClosed.

    With `on_request`, a coroutine function, only those clients are let in for which it calls
    `request.accept()`. A server that knows its users by cookies or by their network has to look at
    Origin there, since pages of any site can connect from a browser. After an exception, the client
    gets the status 500.

    `headers` are added to every response; of `subprotocols`, in order of preference, the first that
    the client offers is chosen where there is no `on_request`. `options` are those of
    `wsabi.Options`.

    `thread` is that of `connect`.

    `async with` closes the server at the end, and waits for the handlers; `await serve(...)` leaves
    that to the caller.
    """

    def __init__(
        self,
        handler: ConnectionHandler,
        url: str,
        *,
        on_request: RequestHandler = None,
        subprotocols: str | Iterable[str] = (),
        headers: Headers = (),
        thread: bool = True,
        **options: Unpack[Options],
    ) -> None:
        self._thread = bool(thread)
        self.handler = handler
        self.on_request = on_request
        self.arguments = url, subprotocols, headers, options
        self._server: Server | None = None

    def __await__(self) -> Generator[Any, None, Server]:
        return self._listen().__await__()

    async def __aenter__(self) -> Server:
        self._server = await self._listen()
        return self._server

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _listen(self) -> Server:
        return Server(await Hub.of_running_loop(self._thread), self)


class Server(Listener):
    """A server on a loop of asyncio. `serve` makes it."""

    def __init__(self, hub: Hub, how: serve) -> None:
        self.connections: set[Connection] = set()
        """Those that have not ended."""
        self._hub = hub
        self._handler = how.handler
        self._on_request = how.on_request
        self._tasks: set[asyncio.Future[None]] = set()
        self._closed: asyncio.Future[None] = hub.loop.create_future()
        self.user_data = hub.add_server(self)
        try:
            self._handle = self._listen(*how.arguments)
        except BaseException:
            hub.remove_server(self.user_data)
            raise
        self._note_port()

    def close(self) -> None:
        """Stops listening, and closes the connections with code 1001, so that handlers which wait
        for a message go on. Does not wait."""
        with contextlib.suppress(HandleError):
            _ffi.wsabi_server_close(self._handle)
        self._hub.remove_server(self.user_data)
        if not self._closed.done():
            self._closed.set_result(None)

    async def wait_closed(self) -> None:
        """Waits until `close` was called and all handlers have ended."""
        await asyncio.shield(self._closed)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def adopt(self, kind: int, handle: int, data: str) -> Connection | None:
        """Takes note of an event that belongs to no connection yet. Returns the one that it makes
        known."""
        if kind == _ffi.EVENT_OPEN:
            return self.take_in(handle)
        if kind == _ffi.EVENT_REQUEST and self._on_request is not None:
            self._run(self._ask(self._on_request, Request(self, handle, data)))
        return None

    def take_in(self, handle: int) -> Connection:
        """A connection with this handle, for the time of which its handler will run."""
        connection = Accepted(self._hub, handle, self._begin, self.connections.discard)
        self._hub.add(handle, connection)
        return connection

    def _begin(self, connection: Accepted) -> None:
        self.connections.add(connection)
        self._run(connection.run(self._handler, self._report))

    def _run(self, coroutine: Any) -> None:
        task = self._hub.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, on_request: Callable[[Request], Awaitable[object]], it: Request) -> None:
        try:
            await on_request(it)
        except Exception as error:
            with contextlib.suppress(HandleError):
                it.reject(500)
            self._report("the handler of a request has failed", error)

    def _report(self, what: str, error: Exception) -> None:
        self._hub.loop.call_exception_handler({"message": what, "exception": error})

    def _listen(
        self, url: str, subprotocols: str | Iterable[str], headers: Headers, options: Options
    ) -> int:
        out = c_uint64()
        address = text("url", url)
        with template(subprotocols, headers, None, options) as settings:
            _ffi.wsabi_options_set_requests(settings, int(self._on_request is not None))
            _ffi.wsabi_server_listen(
                self._hub.runtime, *address, settings, self.user_data, byref(out)
            )
        return out.value


class Accepted(Connection):
    """A connection of a server, which is told when it opens and when it has ended."""

    def __init__(
        self,
        hub: Hub,
        handle: int,
        opened: Callable[[Accepted], object],
        ended: Callable[[Connection], object],
    ) -> None:
        super().__init__(hub)
        self._handle = handle
        self._opened = opened
        self._ended = ended

    async def run(self, handler: ConnectionHandler, report: Report) -> None:
        """Has the handler use the connection, and closes it then."""
        code = 1001
        try:
            await handler(self)
            code = 1000
        except ConnectionClosed:
            pass
        except Exception as error:
            code = 1011
            report("the handler of a connection has failed", error)
        finally:
            self._begin_close(code, "")
        await self.close()

    def deliver(self, kind: int, code: int, was_clean: bool, value: int, data: Any) -> None:
        super().deliver(kind, code, was_clean, value, data)
        if kind == _ffi.EVENT_OPEN:
            self._opened(self)

    def _finish(self, code: int, reason: str, was_clean: bool) -> None:
        super()._finish(code, reason, was_clean)
        self._ended(self)


class Request(BaseRequest):
    __doc__ = BaseRequest.__doc__

    def __init__(self, server: Server, handle: int, target: str) -> None:
        super().__init__(handle, target)
        self._server = server

    def accept(self, subprotocol: str | None = None, user_data: Any = None) -> None:
        """Lets the client in. `subprotocol` is one of those that it offers, or None; `user_data`
        will be an attribute of the connection."""
        handle = self._accept(subprotocol, self._server.user_data)
        self._server.take_in(handle).user_data = user_data
