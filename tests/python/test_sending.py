"""Sending beyond one message at a time, and being held back, in every style."""

from __future__ import annotations

import asyncio
import socket
import threading
import unittest
from collections.abc import Coroutine
from typing import Any

import support
import wsabi
import wsabi.aio
from support import DEADLINE, DeafServer, Recorder

MESSAGES: list[str | bytes] = ["text", b"bytes", "", b"", "\u00e4" * 300, bytes(70_000)]


class Handlers(support.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.at_server = Recorder()
        self.server_object = self.server(**self.at_server.handlers())

    def test_several_messages_arrive_in_order(self) -> None:
        ws, _ = self.connect_recorded(self.server_object)
        self.assertEqual(ws.send_many(MESSAGES), len(MESSAGES))
        self.assertEqual(ws.send_many(iter(MESSAGES)), len(MESSAGES))
        self.assertEqual(ws.send_many([]), 0)
        received = self.at_server.wait_for("message", 2 * len(MESSAGES))
        self.assertEqual(received, [(it,) for it in MESSAGES + MESSAGES])

    def test_what_cannot_be_sent_keeps_the_others_back(self) -> None:
        ws, _ = self.connect_recorded(self.server_object, max_buffered=1000)
        self.assertRaises(TypeError, ws.send_many, ["text", None])
        self.assertRaises(TypeError, ws.send_many, 5)
        self.assertRaises(wsabi.ArgumentError, ws.send_many, [bytes(1001), b"x"])
        self.assertEqual(ws.send_many([b"first", bytes(1001), b"last"]), 1)
        ws.close()
        self.at_server.wait_for("close")
        self.assertEqual(self.at_server.of("message"), [(b"first",)])
        self.assertRaises(wsabi.ClosedError, ws.send_many, ["late"])

    def test_pieces_become_one_message(self) -> None:
        ws, _ = self.connect_recorded(self.server_object)
        ws.send_fragment("a", False)
        self.assertRaises(wsabi.StateError, ws.send, "between")
        self.assertRaises(wsabi.StateError, ws.send_fragment, b"bytes", False)
        ws.ping(b"between")
        ws.send_fragment("\u00e4", False)
        ws.send_fragment("", True)
        ws.send_fragment(bytearray(b"whole"), True, plain=True)
        ws.send("after")
        received = self.at_server.wait_for("message", 3)
        self.assertEqual(received, [("a\u00e4",), (b"whole",), ("after",)])
        self.assertEqual(self.at_server.wait_for("ping"), [(b"between",)])

    def test_plain_messages_are_not_compressed(self) -> None:
        ws, _ = self.connect_recorded(self.server_object)
        self.assertIn("permessage-deflate", ws.extensions)
        for send in (
            lambda **plain: ws.send("x" * 10_000, **plain),
            lambda **plain: ws.send_many([b"x" * 10_000], **plain),
            lambda **plain: ws.send_fragment("x" * 10_000, True, **plain),
        ):
            sizes = []
            for plain in (False, True):
                before = ws.stats().bytes_sent
                send(plain=plain)
                support.wait_until(lambda: ws.buffered_amount == 0)
                sizes.append(ws.stats().bytes_sent - before)
            self.assertLess(sizes[0], 5_000)
            self.assertGreaterEqual(sizes[1], 10_000)

    def test_drain_comes_when_the_peer_has_read(self) -> None:
        with DeafServer() as deaf:
            ws, recorder = self.connect_recorded(
                deaf.url, low_water=1000, max_buffered=1 << 20, compression=False
            )
            deaf.request()
            with self.assertRaises(wsabi.BufferFullError):
                while True:
                    ws.send(bytes(1 << 18))
            self.assertEqual(recorder.of("drain"), [])
            with Reader(deaf.connection):
                recorder.wait_for("drain")
                support.wait_until(lambda: ws.buffered_amount <= 1000)
                ws.abort()
                recorder.wait_for("close")

    def test_nothing_comes_while_it_is_paused(self) -> None:
        paused = threading.Event()

        def pause(ws: wsabi.WebSocket, data: str | bytes) -> None:
            recorder.add("message", data)
            if data == "pause":
                ws.pause()
                paused.set()

        recorder = Recorder()
        server = self.echo_server()
        ws = self.connect(server, **{**recorder.handlers(), "on_message": pause})
        other, others = self.connect_recorded(server)
        recorder.wait_for("open")
        ws.send("pause")
        self.assertTrue(paused.wait(DEADLINE))
        ws.send("later")
        # The server has sent both before it answers this.
        other.send("done")
        others.wait_for("message")
        self.assertEqual(recorder.of("message"), [("pause",)])
        ws.resume()
        self.assertEqual(recorder.wait_for("message", 2), [("pause",), ("later",)])
        ws.close()
        recorder.wait_for("close")
        self.assertEnds(ws)
        self.assertRaises(wsabi.ClosedError, ws.pause)
        self.assertRaises(wsabi.ClosedError, ws.resume)


class Blocking(support.TestCase):
    def test_several_messages_and_pieces(self) -> None:
        with wsabi.connect(support.url_of(self.echo_server())) as ws:
            ws.send_many(MESSAGES)
            ws.send_fragment(b"pie", False)
            self.assertRaises(wsabi.StateError, ws.send, "between")
            ws.send_fragment(b"ces", True, plain=True)
            ws.send("plain", plain=True)
            received = [ws.recv(DEADLINE) for _ in range(len(MESSAGES) + 2)]
        self.assertEqual(received, [*MESSAGES, b"pieces", "plain"])
        self.assertRaises(wsabi.ConnectionClosed, ws.send_many, MESSAGES)
        self.assertRaises(wsabi.ConnectionClosed, ws.send_fragment, "x", True)

    def test_other_threads_wait_for_the_last_piece(self) -> None:
        with wsabi.connect(support.url_of(self.echo_server())) as ws:
            ws.send_fragment("a", False)
            threads = [threading.Thread(target=ws.send, args=("other",)) for _ in range(3)]
            for thread in threads:
                thread.start()
            ws.ping()
            self.assertTrue(all(thread.is_alive() for thread in threads))
            ws.send_fragment("b", True)
            self.assertEqual([ws.recv(DEADLINE) for _ in range(4)], ["ab"] + 3 * ["other"])
            for thread in threads:
                thread.join(DEADLINE)
                self.assertFalse(thread.is_alive())

    def test_many_messages_wait_for_a_peer_that_reads_slowly(self) -> None:
        with DeafServer() as deaf:
            ws = wsabi.connect(deaf.url, max_buffered=1 << 20, compression=False, close_timeout=0)
            deaf.request()
            thread = threading.Thread(target=ws.send_many, args=([bytes(1 << 18)] * 100,))
            thread.start()
            with Reader(deaf.connection):
                thread.join(DEADLINE)
                self.assertFalse(thread.is_alive())
                ws.close()
            self.assertEqual(ws.stats().messages_sent, 100)


class Asyncio(support.TestCase):
    def run_on_loop(self, main: Coroutine[Any, Any, None]) -> None:
        asyncio.run(asyncio.wait_for(main, DEADLINE))

    def test_several_messages_and_pieces(self) -> None:
        async def main() -> None:
            async with wsabi.aio.connect(url) as ws:
                await ws.send_many(MESSAGES)
                await ws.send_fragment(b"pie", False)
                with self.assertRaises(wsabi.StateError):
                    await ws.send("between")
                await ws.send_fragment(b"ces", True, plain=True)
                await ws.send("plain", plain=True)
                received = [await ws.recv() for _ in range(len(MESSAGES) + 2)]
            self.assertEqual(received, [*MESSAGES, b"pieces", "plain"])
            with self.assertRaises(wsabi.ConnectionClosed):
                await ws.send_many(MESSAGES)

        url = support.url_of(self.echo_server())
        self.run_on_loop(main())

    def test_other_tasks_wait_for_the_last_piece(self) -> None:
        async def main() -> None:
            async with wsabi.aio.connect(url) as ws:
                await ws.send_fragment("a", False)
                tasks = [asyncio.ensure_future(ws.send("other")) for _ in range(3)]
                await ws.ping()
                self.assertFalse(any(task.done() for task in tasks))
                await ws.send_fragment("b", True)
                self.assertEqual([await ws.recv() for _ in range(4)], ["ab"] + 3 * ["other"])
                await asyncio.gather(*tasks)

        url = support.url_of(self.echo_server())
        self.run_on_loop(main())


class Reader:
    """Reads whatever comes, on a thread of its own."""

    def __init__(self, connection: socket.socket | None) -> None:
        assert connection is not None
        self._connection = connection
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        try:
            while self._connection.recv(1 << 20):
                pass
        except OSError:
            pass

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)


if __name__ == "__main__":
    unittest.main()
