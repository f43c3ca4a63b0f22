"""Peers of the package `websockets`, and the messages that are exchanged with them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import unittest
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import support

try:
    import websockets.asyncio.server
    import websockets.sync.server
except ImportError as missing:
    support.needs("the package websockets", False)
    raise unittest.SkipTest("the package websockets is not installed") from missing

CLOSES = [
    (1000, ""),
    (1000, "bye"),
    (1001, "going"),
    (1002, "\u00e4" * 61 + "x"),
    (1003, "x" * 123),
    (1007, ""),
    (1008, "policy"),
    (1009, "too big"),
    (1010, "extension"),
    (1011, "\U0001f600"),
    (1012, "restart"),
    (1013, "later"),
    (1014, "gateway"),
    (3000, "registered"),
    (4999, "private"),
]
"""Every code that may be sent, and reasons up to the longest."""


def text_of(length: int) -> str:
    """A text of so many bytes, with characters of one to four bytes."""
    return "a\u00e4\u20ac\U0001f600" * (length // 10) + "x" * (length % 10)


def binary_of(length: int) -> bytes:
    """So many bytes, always the same."""
    return random.Random(length).randbytes(length)


MESSAGES: list[str | bytes] = [
    message for length in support.LENGTHS for message in (text_of(length), binary_of(length))
]


class Loop:
    """An asyncio loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The result of the coroutine, which runs on the loop."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(support.DEADLINE)

    def __enter__(self) -> Loop:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(support.DEADLINE)
        self._loop.close()


@contextlib.contextmanager
def asyncio_server(handler: Callable[[Any], Awaitable[None]], **arguments: Any) -> Iterator[str]:
    """The URL of a server that runs `handler` for each connection."""

    async def start() -> Any:
        return await websockets.asyncio.server.serve(
            handler, "127.0.0.1", 0, **{"max_size": None, **arguments}
        )

    async def stop(server: Any) -> None:
        server.close()
        await server.wait_closed()

    with Loop() as loop:
        server = loop.run(start())
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            loop.run(stop(server))


@contextlib.contextmanager
def sync_server(handler: Callable[[Any], None], **arguments: Any) -> Iterator[str]:
    """The same with a server that has a thread for each connection."""
    with websockets.sync.server.serve(
        handler, "127.0.0.1", 0, **{"max_size": None, **arguments}
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join(support.DEADLINE)


class FrameLog(logging.Handler):
    """Counts what a peer's log says, such as the frames that came in."""

    def __init__(self, text: str) -> None:
        super().__init__(logging.DEBUG)
        self.text = text
        self.seen = threading.Semaphore(0)
        self.logger = logging.Logger("peer", logging.DEBUG)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if self.text in record.getMessage():
            self.seen.release()
