"""Hooks for the library's threads: each keeps one Python thread state as long as it lives."""

from __future__ import annotations

import ctypes
import sys
import threading

from wsabi import _ffi


def in_handler() -> bool:
    """Whether this thread belongs to the library, so that handlers wait while it waits."""
    return _thread.is_of_library


class _Thread(threading.local):
    is_of_library = False
    gil_state = 0


_thread = _Thread()


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
    _thread.is_of_library = True
    _keep_thread_state()


@_ffi.UserDataFunction
def _stop(_user_data: int | None) -> None:
    _drop_thread_state()


_ffi.wsabi_set_thread_hooks(_start, _stop, None)
