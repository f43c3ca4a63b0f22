"""Takes the events of a polled runtime, as many as there are with each call into the library."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import addressof, byref, c_char, c_size_t
from struct import Struct
from typing import TYPE_CHECKING

from wsabi import _ffi

if TYPE_CHECKING:
    from wsabi._stream import Stream


class Packed:
    """A buffer for the events of one runtime. One thread at a time may use it."""

    def __init__(self, runtime: int) -> None:
        self._runtime = runtime
        self._buffer = (c_char * _CAPACITY)()
        self._address = addressof(self._buffer)
        self._view = memoryview(self._buffer).cast("B")
        self._size = c_size_t()
        self._size_out = byref(self._size)

    def deliver(self, streams: Mapping[int, Stream], timeout_ms: int) -> None:
        """Hands each event that waits to the stream of its user_data, if there still is one. Waits
        `timeout_ms` milliseconds for the first, or for ever with -1."""
        count = _ffi.wsabi_runtime_next_packed(
            self._runtime, self._address, _CAPACITY, timeout_ms, self._size_out
        )
        size = self._size.value
        if count:
            # One copy, of which the payloads are slices.
            _deliver(streams, self._view[:size].tobytes(), count)
        elif size > _CAPACITY:
            large = bytearray(size)
            count = _ffi.wsabi_runtime_next_packed(
                self._runtime, addressof(c_char.from_buffer(large)), size, 0, self._size_out
            )
            _deliver(streams, memoryview(large), count)


def _deliver(streams: Mapping[int, Stream], events: bytes | memoryview, count: int) -> None:
    unpack = _HEADER.unpack_from
    header_size, message, text = _HEADER.size, _ffi.EVENT_MESSAGE, _ffi.TEXT
    stream: Stream | None = None
    last_user_data = None
    at = 0
    for _ in range(count):
        kind, type_, code, was_clean, _handle, user_data, value, length = unpack(events, at)
        start = at + header_size
        at = start + (length + 7 & ~7)
        if user_data != last_user_data:
            if stream is not None:
                stream.rest()
            last_user_data = user_data
            stream = streams.get(user_data)
        if stream is None:
            continue
        data = events[start : start + length]
        if kind == message:
            stream.held += length
            stream.messages.append(str(data, "utf-8") if type_ == text else bytes(data))
        else:
            stream.deliver(kind, code, bool(was_clean), value, bytes(data))
    if stream is not None:
        stream.rest()


# Larger events come alone, through a buffer of their own.
_CAPACITY = 64 << 10
# kind, type, code, was_clean, handle, user_data, value, len
_HEADER = Struct("=iiiiQQQQ")
