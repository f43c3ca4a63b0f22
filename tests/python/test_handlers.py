"""Handlers: exceptions, calls from inside, many threads, and objects that nobody holds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import unittest
import weakref
from typing import Any

import support
import wsabi
import wsabi.aio
from support import DEADLINE, Recorder


class Exceptions(support.TestCase):
    def test_an_exception_is_reported_and_the_connection_lives_on(self) -> None:
        recorder = Recorder()

        def fail_first(ws: wsabi.WebSocket, data: str | bytes) -> None:
            recorder.add("message", data)
            if data == "fail":
                raise LookupError(data)

        ws, _ = self.connect_recorded(self.echo_server(), on_message=fail_first)
        ws.send("fail")
        ws.send("live on")
        self.assertEqual(recorder.wait_for("message", 2), [("fail",), ("live on",)])
        self.assertReported(LookupError)
        ws.close()
        self.assertEnds(ws)

    def test_every_handler_may_raise_and_close_still_comes(self) -> None:
        recorder = Recorder()

        def fail(ws: wsabi.WebSocket, *arguments: object) -> None:
            recorder.add("failed")
            raise LookupError

        server = self.echo_server(on_open=fail, on_close=fail)
        ws = self.connect(server, on_open=fail, on_message=fail, on_error=fail, on_close=fail)
        recorder.wait_for("failed", 2)
        ws.send("fail")
        recorder.wait_for("failed", 3)
        ws.abort()
        self.assertEnds(ws)
        recorder.wait_for("failed", 6)
        self.runtime.close()
        self.assertReported(*[LookupError] * 6)

    def test_not_even_an_exit_ends_the_thread(self) -> None:
        recorder = Recorder()

        def leave(ws: wsabi.WebSocket, data: str | bytes) -> None:
            recorder.add("message")
            raise SystemExit if len(recorder.events) == 1 else KeyboardInterrupt

        ws, _ = self.connect_recorded(self.echo_server(), on_message=leave)
        for count in (1, 2):
            ws.send("leave")
            recorder.wait_for("message", count)
        ws.close()
        self.assertEnds(ws)
        self.assertReported(SystemExit, KeyboardInterrupt)

    def assertReported(self, *kinds: type[BaseException]) -> None:
        # An exception is reported after its handler has written down that it ran.
        self.runtime.close()
        self.assertEqual([type(it) for it in self.unraisable], list(kinds))
        self.unraisable.clear()


class Reentry(support.TestCase):
    def test_every_method_may_be_called_in_a_handler(self) -> None:
        recorder = Recorder()

        def on_message(ws: wsabi.WebSocket, data: Any) -> None:
            if len(data) < 100:
                ws.send(data + data[:1])
            else:
                recorder.add(
                    "facts",
                    ws.url,
                    ws.protocol,
                    ws.ready_state,
                    ws.buffered_amount >= 0,
                )
                ws.close(4000, "enough")

        server = self.echo_server()
        ws, events = self.connect_recorded(server, on_message=on_message)
        ws.send("x")
        url = support.url_of(server)
        self.assertEqual(recorder.wait_for("facts"), [(url, "", wsabi.ReadyState.OPEN, True)])
        [(code, _, was_clean)] = events.wait_for("close")
        self.assertEqual((code, was_clean), (4000, True))

    def test_release_in_each_handler_is_the_end(self) -> None:
        server = self.echo_server(on_open=lambda ws: ws.send("hello"))
        for name in ("on_open", "on_message", "on_close"):
            recorder = Recorder()

            def release(ws: wsabi.WebSocket, *arguments: object, it: Recorder = recorder) -> None:
                it.add("released")
                ws.release()

            handlers = {**recorder.handlers(), name: release}
            ws = self.connect(server, **handlers)
            if name == "on_close":
                recorder.wait_for("message")
                ws.close()
            self.assertEnds(ws)
            self.assertEqual(recorder.kinds()[-1], "released")

    def test_abort_in_a_handler_brings_the_close(self) -> None:
        recorder = Recorder()
        handlers = {**recorder.handlers(), "on_open": lambda ws: ws.abort()}
        ws = self.connect(self.echo_server(), **handlers)
        self.assertEnds(ws)
        self.assertEqual(recorder.of("close"), [(1006, "", False)])

    def test_waiting_in_a_handler_is_refused(self) -> None:
        recorder = Recorder()

        def on_open(ws: wsabi.WebSocket) -> None:
            try:
                ws.wait_closed()
            except RuntimeError as error:
                recorder.add("refused", str(error))
            with ws:
                pass

        ws = self.connect(self.echo_server(), on_open=on_open)
        self.assertEnds(ws)
        [(sentence,)] = recorder.of("refused")
        self.assertIn("handler", sentence)

    def test_a_handler_may_connect_and_listen(self) -> None:
        recorder = Recorder()
        second = recorder.handlers()

        def on_open(ws: wsabi.WebSocket) -> None:
            inner = self.echo_server()
            self.connect(inner, **second)
            ws.close()

        ws = self.connect(self.echo_server(), on_open=on_open)
        recorder.wait_for("open")
        self.assertEnds(ws)


class Threads(support.TestCase):
    def test_many_threads_send_on_one_socket(self) -> None:
        at_server = Recorder()
        ws, _ = self.connect_recorded(self.server(**at_server.handlers()))

        def send(thread: int) -> None:
            for number in range(500):
                ws.send(f"{thread}:{number}")

        support.run_threads(8, send)
        messages = [data for (data,) in at_server.wait_for("message", 8 * 500)]
        for thread in range(8):
            self.assertEqual(
                [it for it in messages if it.startswith(f"{thread}:")],
                [f"{thread}:{number}" for number in range(500)],
            )

    def test_a_close_among_senders_ends_them(self) -> None:
        at_server = Recorder()
        ws, recorder = self.connect_recorded(self.server(**at_server.handlers()))
        sent = threading.Semaphore(0)

        def send(thread: int) -> None:
            if thread == 0:
                for _ in range(100):
                    sent.acquire(timeout=DEADLINE)
                ws.close()
                return
            with self.assertRaises(wsabi.ClosedError):
                while True:
                    ws.send("x")
                    sent.release()

        support.run_threads(4, send)
        self.assertEqual(recorder.wait_for("close"), [(1000, "", True)])
        self.assertEqual(at_server.wait_for("close"), [(1000, "", True)])

    def test_threads_connect_and_leave_at_the_same_time(self) -> None:
        server = self.echo_server()

        def visit(thread: int) -> None:
            for number in range(20):
                recorder = Recorder()
                with self.connect(server, **recorder.handlers()) as ws:
                    recorder.wait_for("open")
                    ws.send(f"{thread}:{number}")
                    self.assertEqual(recorder.wait_for("message"), [(f"{thread}:{number}",)])

        support.run_threads(4, visit)

    def test_handlers_of_one_socket_never_overlap(self) -> None:
        inside = threading.Lock()
        overlaps: list[str] = []
        recorder = Recorder()
        runtime = wsabi.Runtime(threads=4)
        self.addCleanup(runtime.close)

        def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
            if not inside.acquire(blocking=False):
                overlaps.append("message")
            os.sched_yield()
            recorder.add("message")
            inside.release()

        ws, _ = self.connect_recorded(
            self.echo_server(runtime=runtime), runtime=runtime, on_message=on_message
        )

        def send(thread: int) -> None:
            for _ in range(250):
                ws.send("x")

        support.run_threads(4, send)
        recorder.wait_for("message", 1000)
        self.assertEqual(overlaps, [])

    def test_the_thread_state_is_kept_between_events(self) -> None:
        local = threading.local()
        values: list[int] = []
        recorder = Recorder()

        def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
            local.count = getattr(local, "count", 0) + 1
            values.append(local.count)
            recorder.add("message")

        ws, _ = self.connect_recorded(self.echo_server(), on_message=on_message)
        for _ in range(3):
            ws.send("x")
        recorder.wait_for("message", 3)
        self.assertEqual(values, [1, 2, 3])


class Garbage(support.TestCase):
    def test_objects_that_nobody_holds_work_to_their_end_and_then_go(self) -> None:
        recorder = Recorder()
        objects: list[weakref.ref[wsabi.WebSocket]] = []

        def on_message(ws: wsabi.WebSocket, data: Any) -> None:
            if len(data) % 50 == 0:
                recorder.add("fifty")
            if len(data) < 200:
                ws.send(data + data[:1])
            else:
                ws.close()

        server = self.echo_server()
        for _ in range(20):
            objects.append(
                weakref.ref(
                    self.connect(
                        server,
                        on_open=lambda ws: ws.send("x"),
                        on_message=on_message,
                        on_close=lambda ws, *close: recorder.add("close", *close),
                    )
                )
            )
        # A collection holds the interpreter: a loop of nothing else would starve the handlers.
        for collection in range(1, 21):
            recorder.wait_for("fifty", collection * 4)
            gc.collect()
        recorder.wait_for("close", 20)
        self.assertEqual(recorder.of("close"), [(1000, "", True)] * 20)
        self.runtime.close()
        gc.collect()
        self.assertEqual([it() for it in objects], [None] * 20)

    def test_nothing_grows_with_the_number_of_connections(self) -> None:
        server = self.echo_server()

        def visit() -> None:
            ws, recorder = self.connect_recorded(server)
            ws.send("hello")
            recorder.wait_for("message")
            ws.close()
            self.assertEnds(ws)

        def count() -> tuple[int, int]:
            gc.collect()
            sockets = sum(isinstance(it, wsabi.WebSocket) for it in gc.get_objects())
            return sockets, len(os.listdir("/proc/self/fd"))

        visit()
        threads = support.native_threads()
        before = count()
        for _ in range(100):
            visit()
        # The server's end of the last connection may still be on its way.
        after = count()
        self.assertLessEqual(after[0], before[0] + 1)
        self.assertLessEqual(after[1], before[1] + 1)
        self.assertThreadsEnd(threads)

    def test_garbage_is_collected_under_load_in_every_style(self) -> None:
        def make_garbage(ws: wsabi.WebSocket | wsabi.Connection | wsabi.aio.Connection) -> None:
            cycle: list[object] = [ws]
            cycle.append(cycle)

        def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
            make_garbage(ws)
            moved.release()
            with contextlib.suppress(wsabi.ClosedError):
                ws.send(data)

        def in_blocking_style() -> None:
            with wsabi.connect(url) as ws:
                for number in range(2000):
                    make_garbage(ws)
                    ws.send(str(number))
                    self.assertEqual(ws.recv(), str(number))

        async def in_asyncio() -> None:
            async with wsabi.aio.connect(url) as ws:
                for number in range(2000):
                    make_garbage(ws)
                    await ws.send(str(number))
                    self.assertEqual(await ws.recv(), str(number))

        moved = threading.Semaphore(0)
        url = support.url_of(self.echo_server())
        self.connect(url, on_open=lambda ws: ws.send("x"), on_message=on_message)
        styles = (in_blocking_style, lambda: asyncio.run(in_asyncio()))
        thresholds = gc.get_threshold()
        gc.set_threshold(5, 2, 2)
        try:
            support.run_threads(2, lambda number: styles[number]())
            for _ in range(1000):
                moved.acquire()
        finally:
            gc.set_threshold(*thresholds)

    def test_a_runtime_that_nobody_holds_ends(self) -> None:
        threads = support.native_threads()
        ended = weakref.ref(wsabi.Runtime(threads=2))
        gc.collect()
        self.assertIsNone(ended())
        self.assertThreadsEnd(threads)

    def test_a_runtime_may_go_with_its_last_connection(self) -> None:
        server = self.echo_server()
        ended = threading.Event()

        def connect() -> None:
            runtime = wsabi.Runtime()
            weakref.finalize(runtime, ended.set)
            self.connect(server, runtime=runtime, on_open=lambda ws: ws.close())

        connect()
        self.assertTrue(ended.wait(DEADLINE))


if __name__ == "__main__":
    unittest.main()
