"""What wsabi_runtime_next_pickled writes."""

from __future__ import annotations

import ctypes
import pickle
import pickletools
import unittest
from collections.abc import Iterator
from typing import Any

import support
from support import DEADLINE
from wsabi import _ffi, _options
from wsabi._runtime import Poller

SAFE = {
    *("PROTO", "STOP", "MARK", "LIST", "TUPLE"),
    *("BININT", "LONG1", "NEWTRUE", "NEWFALSE"),
    *("SHORT_BINBYTES", "BINBYTES", "SHORT_BINUNICODE", "BINUNICODE"),
}
USER_DATA = (1 << 64) - 2


class Pickles(support.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.poller = Poller()
        self.addCleanup(self.poller.close)
        self.buffer = (ctypes.c_char * (1 << 20))()

    def connect_polled(self, url: str) -> int:
        """The handle of a client whose events wait to be taken."""
        handle = ctypes.c_uint64()
        with _options.template((), (), None, {}) as options:
            address = _options.text("url", url)
            _ffi.wsabi_socket_connect(
                self.poller.handle, *address, options, USER_DATA, ctypes.byref(handle)
            )
        return handle.value

    def next_pickle(self, size: int) -> tuple[int, bytes, int]:
        """How many events were written into a buffer of this size; they; and how many bytes they
        have, or would have."""
        out = ctypes.c_size_t()
        count = _ffi.wsabi_runtime_next_pickled(
            self.poller.handle, self.buffer, size, int(DEADLINE * 1000), ctypes.byref(out)
        )
        return count, self.buffer[: out.value] if count else b"", out.value

    def events(self) -> Iterator[tuple[Any, ...]]:
        """Every event up to CLOSE."""
        while True:
            count, batch, _ = self.next_pickle(len(self.buffer))
            self.assertGreater(count, 0)
            self.assertLessEqual({code.name for code, _, _ in pickletools.genops(batch)}, SAFE)
            events = pickle.loads(batch)
            messages = [it for it in events if it[0] == _ffi.EVENT_MESSAGE]
            self.assertEqual(
                count, len(events) - len(messages) + sum(len(it[3]) for it in messages)
            )
            yield from events
            if events[-1][0] == _ffi.EVENT_CLOSE:
                return

    def test_every_event_is_what_it_is(self) -> None:
        messages: list[str | bytes] = [
            *("", "a\u20ac\U0001f600", "\0", "x" * 255, "x" * 256, "x" * 70_000),
            *(b"", b"\xff\0", b"x" * 255, b"x" * 256, b"x" * 70_000),
            # As a pickle, these would run programs.
            *(b"cos\nsystem\n(S'false'\ntR.", "cos\nsystem\n(S'false'\ntR."),
        ]

        def talk(ws: Any) -> None:
            ws.ping(b"ping")
            ws.send_many(messages)
            ws.close(4000, "gr\u00fc\u00dfe")

        handle = self.connect_polled(support.url_of(self.server(on_open=talk)))
        received: list[str | bytes] = []
        others = []
        for kind, socket, user_data, data, value, code, was_clean in self.events():
            self.assertEqual((socket, user_data), (handle, USER_DATA))
            if kind == _ffi.EVENT_MESSAGE:
                self.assertEqual((code, was_clean), (0, False))
                self.assertEqual(value, sum(len(as_bytes(it)) for it in data))
                received += data
            else:
                others.append((kind, data, value, code, was_clean))
        self.assertEqual(received, messages)
        self.assertEqual(
            others,
            [
                (_ffi.EVENT_OPEN, b"", 0, 0, False),
                (_ffi.EVENT_PING, b"ping", 0, 0, False),
                (_ffi.EVENT_CLOSE, "gr\u00fc\u00dfe", 0, 4000, True),
            ],
        )

    def test_a_failure_has_its_sentence(self) -> None:
        self.connect_polled("ws://127.0.0.1:1/")
        error, close = self.events()
        self.assertEqual((error[0], error[5]), (_ffi.EVENT_ERROR, -11))
        self.assertIsInstance(error[3], str)
        self.assertEqual(close[3:], ("", 0, 1006, False))

    def test_what_does_not_fit_waits_and_says_how_much_it_needs(self) -> None:
        self.connect_polled(
            support.url_of(self.server(on_open=lambda ws: (ws.send(b"x" * 1000), ws.close())))
        )
        self.assertEqual(self.next_pickle(100)[0], 1)
        for size in (0, 4, 5, 100, 1000):
            count, _, needed = self.next_pickle(size)
            self.assertEqual(count, 0)
            self.assertGreater(needed, 1000)
        count, batch, written = self.next_pickle(needed)
        self.assertEqual(count, 1)
        self.assertLessEqual(written, needed)
        [(kind, _, _, data, value, _, _)] = pickle.loads(batch)
        self.assertEqual((kind, data, value), (_ffi.EVENT_MESSAGE, [b"x" * 1000], 1000))


def as_bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


if __name__ == "__main__":
    unittest.main()
