"""Hooks for the library's threads: each keeps one Python thread state as long as it lives."""

from __future__ import annotations

import ctypes
import sys
import threading
import weakref

from wsabi import _ffi


def in_handler() -> bool:
    """Whether this thread belongs to the library, so that handlers wait while it waits."""
    return _thread.stopped is not None


def leave() -> None:
    """Notes, on a thread of the library, that it will end and that no call waits for that."""
    if _thread.stopped is not None:
        _leaving.add(_thread.stopped)


def wait_for_leaving() -> None:
    """Waits until the threads that were noted have ended."""
    for stopped in list(_leaving):
        stopped.wait()


class _Thread(threading.local):
    stopped: threading.Event | None = None
    """Set when the thread ends; None on threads that are not the library's."""
    gil_state = 0


_thread = _Thread()
_leaving: weakref.WeakSet[threading.Event] = weakref.WeakSet()


# Without a state that outlives the call, ctypes makes and destroys one for every event, which costs
# several times what the event itself does. Other interpreters than CPython have no such states.
if sys.implementation.name == "cpython":

    def _keep_thread_state() -> None:
        _thread.gil_state = ctypes.pythonapi.PyGILState_Ensure()

    def _drop_thread_state() -> None:
        ctypes.pythonapi.PyGILState_Release(_thread.gil_state)

else:

    def _keep_thread_state() -> None:
        pass

    def _drop_thread_state() -> None:
        pass


@_ffi.UserDataFunction
def _start(_user_data: int | None) -> None:
    _thread.stopped = threading.Event()
    _keep_thread_state()


@_ffi.UserDataFunction
def _stop(_user_data: int | None) -> None:
    stopped = _thread.stopped
    _drop_thread_state()
    # Last: whoever waits for this takes the interpreter down.
    if stopped is not None:
        stopped.set()


_ffi.wsabi_set_thread_hooks(_start, _stop, None)
