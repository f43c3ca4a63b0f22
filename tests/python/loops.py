"""Tests on loops of asyncio, and of uvloop if it is there."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import sys
import unittest
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

import support
import wsabi.aio

uvloop: Any = None
with contextlib.suppress(ImportError):
    uvloop = importlib.import_module("uvloop")


class AioTestCase(support.TestCase):
    threads = 1
    """How many threads of the library a loop has."""
    new_loop: Callable[[], asyncio.AbstractEventLoop] = staticmethod(asyncio.new_event_loop)

    def run_on_loop(self, main: Coroutine[Any, Any, None]) -> None:
        """Runs `main` on a loop, as `asyncio.run` does."""
        loop = self.new_loop()
        loop.set_exception_handler(lambda _loop, context: self.unraisable.append(context))
        try:
            loop.run_until_complete(asyncio.wait_for(main, support.DEADLINE))
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def on_uvloop(kind: type[AioTestCase]) -> type[AioTestCase]:
    """The same tests on uvloop."""
    name = f"{kind.__name__}OnUvloop"
    body = {"new_loop": staticmethod(lambda: uvloop.new_event_loop()), "__module__": __name__}
    return support.needs("uvloop", uvloop)(type(name, (kind,), body))


def without_thread(kind: type[AioTestCase]) -> type[AioTestCase]:
    """The same tests with loops that do what otherwise a thread of the library does."""

    def setUp(self: AioTestCase) -> None:
        kind.setUp(self)
        for name in ("connect", "serve"):
            function = functools.partial(getattr(wsabi.aio, name), thread=False)
            patch = mock.patch.object(wsabi.aio, name, function)
            patch.start()
            self.addCleanup(patch.stop)

    name = f"{kind.__name__}WithoutThread"
    body = {"setUp": setUp, "threads": 0, "__module__": __name__}
    return unittest.skipIf(sys.platform != "linux", "only on Linux")(type(name, (kind,), body))
