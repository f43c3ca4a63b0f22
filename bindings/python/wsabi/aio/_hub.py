"""The connections and servers of one loop, and what takes their events."""

from __future__ import annotations

import asyncio
import itertools
import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from wsabi._errors import HandleError
from wsabi._pickled import Pickled
from wsabi._runtime import Poller

if TYPE_CHECKING:
    from wsabi._stream import Stream
    from wsabi.aio._connection import Connection
    from wsabi.aio._server import Server


class Hub:
    """The connections and servers of one loop that share a thread of the library, or those that
    have none."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: bool) -> None:
        self.loop = loop
        self._key = id(loop), thread
        self._poller = Poller(thread)
        self.runtime = self._poller.handle
        self._pickled = Pickled(self.runtime, self._adopt)
        self._descriptor = self._poller.descriptor()
        self._connections: dict[int, Connection] = {}
        """By their handles."""
        self._servers: dict[int, Server] = {}
        """By their user_data, which their events have."""
        self._numbers = itertools.count(1)
        self._ended: asyncio.Future[None] | None = None
        """Waits until there is no connection any more."""
        self._lifetime = self._live()

    @staticmethod
    async def of_running_loop(thread: bool) -> Hub:
        """That of the running loop, made when it is first needed."""
        loop = asyncio.get_running_loop()
        hub = _hubs.get((id(loop), thread))
        if hub is None or hub.loop is not loop:
            hub = Hub(loop, thread)
            loop.add_reader(hub._descriptor, hub._take)
            _hubs[hub._key] = hub
            # The loop will close this generator before it ends.
            await hub._lifetime.__anext__()
        return hub

    def add(self, handle: int, connection: Connection) -> None:
        """Takes in a connection, before its events are taken."""
        self._connections[handle] = connection

    def remove(self, handle: int) -> None:
        """Takes out a connection that has no events any more."""
        self._connections.pop(handle, None)
        if not self._connections and self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def add_server(self, server: Server) -> int:
        """Takes in a server. Returns its user_data."""
        number = next(self._numbers)
        self._servers[number] = server
        return number

    def remove_server(self, user_data: int) -> None:
        """Takes out a server, of which no connection is taken in any more."""
        self._servers.pop(user_data, None)

    def _adopt(self, kind: int, handle: int, user_data: int, data: str) -> Stream | None:
        """The connection of an event that comes over none that is known: that of a server."""
        server = self._servers.get(user_data)
        return None if server is None else server.adopt(kind, handle, data)

    def _take(self) -> None:
        try:
            self._pickled.deliver(self._connections, 0)
        except HandleError:
            # The interpreter ends.
            self.loop.remove_reader(self._descriptor)

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._close()

    async def _close(self) -> None:
        _hubs.pop(self._key, None)
        # Servers are closed, too.
        self._poller.shutdown(0)
        if self._connections:
            self._ended = self.loop.create_future()
            await asyncio.wait([self._ended], timeout=_FAREWELL)
        self.loop.remove_reader(self._descriptor)
        for connection in list(self._connections.values()):
            connection.lose("the event loop ends")
        self._poller.close()


# Seconds that connections may take to close when their loop ends.
_FAREWELL = 1.0
# By the number of the loop. A hub lives as long as its loop watches it.
_hubs: weakref.WeakValueDictionary[tuple[int, bool], Hub] = weakref.WeakValueDictionary()
