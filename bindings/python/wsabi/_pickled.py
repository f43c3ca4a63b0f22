"""Takes the events of a polled runtime, as many as there are with each call into the library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ctypes import addressof, byref, c_char, c_size_t
from pickle import loads
from typing import TYPE_CHECKING, Any, Optional

from wsabi import _ffi

if TYPE_CHECKING:
    from wsabi._stream import Stream

Adopt = Callable[[int, int, int, Any], Optional["Stream"]]


class Pickled:
    """A buffer for the events of one runtime. One thread at a time may use it."""

    def __init__(self, runtime: int, adopt: Adopt = lambda *_: None) -> None:
        self._runtime = runtime
        self._adopt = adopt
        self._buffer = (c_char * _CAPACITY)()
        self._address = addressof(self._buffer)
        self._view = memoryview(self._buffer)
        self._size = c_size_t()
        self._size_out = byref(self._size)

    def deliver(self, streams: Mapping[int, Stream], timeout_ms: int) -> None:
        """Hands each event that waits to the stream of its handle, or else to the one that `adopt`
        knows for its kind, handle, user_data and data. Waits `timeout_ms` milliseconds for the
        first, or for ever with -1."""
        count = _ffi.wsabi_runtime_next_pickled(
            self._runtime, self._address, _CAPACITY, timeout_ms, self._size_out
        )
        size = self._size.value
        if count:
            self._deliver(streams, self._view[:size])
        elif size > _CAPACITY:
            large = bytearray(size)
            count = _ffi.wsabi_runtime_next_pickled(
                self._runtime, addressof(c_char.from_buffer(large)), size, 0, self._size_out
            )
            if count:
                self._deliver(streams, memoryview(large))

    def _deliver(self, streams: Mapping[int, Stream], events: memoryview) -> None:
        # It is the library that has pickled them, into nothing but lists, tuples, int, bool, str
        # and bytes, whatever a peer may send.
        for kind, handle, user_data, data, value, code, was_clean in loads(events):
            stream = streams.get(handle) or self._adopt(kind, handle, user_data, data)
            if stream is None:
                continue
            if kind == _ffi.EVENT_MESSAGE:
                stream.take(data, value)
            else:
                stream.deliver(kind, code, was_clean, value, data)


# Larger events come alone, through a buffer of their own.
_CAPACITY = 64 << 10
