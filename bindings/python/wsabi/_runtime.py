"""Runtime: the library's threads, which run connections and their handlers."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import weakref
from ctypes import byref, c_ssize_t, c_uint64
from types import TracebackType

from wsabi import _endpoint, _ffi, _options, _threads
from wsabi._errors import Error


class Runtime:
    """Threads that run connections and call their handlers.

    Most programs need none of their own: sockets and servers that are made without one share
    `default_runtime()`. All of them end by themselves when the interpreter does.
    """

    def __init__(self, threads: int = 1) -> None:
        count = _options.number("threads", threads, bits=32)
        with _lock:
            self.handle = _new(count, _ffi.DELIVER_ON_THREADS)
            self._end = weakref.finalize(self, _end, self.handle, 0)
            self._end.atexit = False
            _runtimes.add(self)

    def close(self, timeout: float = 1.0) -> None:
        """Closes every connection with code 1001, waits for that at most `timeout` seconds, drops
        those that are left (`on_close` gets 1006), and ends the threads. No handler runs after.

        Inside a handler it does not wait: it drops all connections, without events for those that
        run on the same thread, and the running handler is the last.
        """
        milliseconds = _options.milliseconds("timeout", timeout)
        if self._end.detach() is not None:
            _end(self.handle, milliseconds)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return not self._end.alive

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def default_runtime() -> Runtime:
    """The process's runtime, made when it is first needed."""
    global _default
    with _lock:
        if _default is None or _default.closed:
            _default = Runtime()
        return _default


class Poller:
    """A runtime whose events wait to be taken.

    With a thread of its own, pings are answered and messages leave while nobody asks for events.
    That thread runs no Python.
    """

    def __init__(self, thread: bool = True) -> None:
        with _lock:
            self.handle = _new(int(thread), _ffi.DELIVER_ON_POLL)
            self._end = weakref.finalize(self, _free, self.handle)
            self._end.atexit = False
            _pollers.add(self)

    def descriptor(self) -> int:
        """What is readable while events wait."""
        out = c_ssize_t()
        _ffi.wsabi_runtime_fd(self.handle, byref(out))
        return out.value

    def shutdown(self, timeout: float) -> None:
        """Closes every connection with code 1001, and waits for that at most `timeout` seconds."""
        with contextlib.suppress(Error):
            _ffi.wsabi_runtime_shutdown(self.handle, round(timeout * 1000))

    def wake(self) -> None:
        """Has whoever waits for events look up."""
        with contextlib.suppress(Error):
            _ffi.wsabi_runtime_wake(self.handle)

    def close(self) -> None:
        """Drops the connections that are left, and ends the thread."""
        self._end()


def _new(threads: int, delivery: int) -> int:
    """A new runtime of the library."""
    if _is_exiting:
        raise RuntimeError("there is no new runtime while the interpreter ends")
    handle = c_uint64()
    _ffi.wsabi_runtime_new(threads, delivery, byref(handle))
    return handle.value


def _end(handle: int, timeout_ms: int) -> None:
    """Ends a runtime whose threads run handlers."""
    _threads.leave()
    # Refused in the child of a fork.
    with contextlib.suppress(Error):
        _ffi.wsabi_runtime_shutdown(handle, timeout_ms)
    _free(handle)


def _free(handle: int) -> None:
    with contextlib.suppress(Error):
        _ffi.wsabi_runtime_free(handle)


def _close_all() -> None:
    """At exit: a handler that ran later, while the interpreter is taken down, would crash it.

    Pollers are not ended. They call nobody, and other threads may be about to ask them.
    """
    global _is_exiting
    with _lock:
        _is_exiting = True
        runtimes, pollers = list(_runtimes), list(_pollers)
    for poller in pollers:
        poller.shutdown(0)
    for runtime in runtimes:
        runtime.close()
    deadline = time.monotonic() + 1
    for poller in pollers:
        poller.shutdown(max(deadline - time.monotonic(), 0))
    _threads.wait_for_leaving()


def _forget_in_child() -> None:
    """After a fork: the threads are the parent's, and so are the connections."""
    global _default, _lock
    _default = None
    _lock = threading.RLock()
    _runtimes.clear()
    _pollers.clear()
    _endpoint.endpoints.clear()


_default: Runtime | None = None
_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()
_pollers: weakref.WeakSet[Poller] = weakref.WeakSet()
_is_exiting = False
_lock = threading.RLock()

atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
