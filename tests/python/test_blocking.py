"""The blocking style: wsabi.connect."""

from __future__ import annotations

import gc
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import support
import wsabi


class Messages(support.TestCase):
    def test_text_and_bytes_come_back_as_they_were_sent(self) -> None:
        with self.blocking(self.echo_server()) as ws:
            for message in (
                "",
                "text",
                "Grüße, 世界",
                b"",
                b"bytes",
                bytes(1 << 20),
                "x" * 100_000,
            ):
                ws.send(message)
                self.assertEqual(ws.recv(support.DEADLINE), message)
            ws.send(bytearray(b"array"))
            ws.send(memoryview(b"-view-")[1:-1])
            self.assertEqual([ws.recv(), ws.recv()], [b"array", b"view"])

    def test_many_messages_of_different_lengths_keep_their_order(self) -> None:
        messages = [bytes([length % 256]) * (length % 300) for length in range(5000)]
        with self.blocking(self.server(on_open=lambda ws: [ws.send(it) for it in messages])) as ws:
            self.assertEqual([ws.recv(support.DEADLINE) for _ in messages], messages)

    def test_recv_waits_no_longer_than_its_timeout(self) -> None:
        with self.blocking(self.echo_server()) as ws:
            for timeout in (0, 0.01):
                with self.assertRaises(TimeoutError) as raised:
                    ws.recv(timeout)
                self.assertIsInstance(raised.exception, wsabi.TimeoutError)
            ws.send("late")
            self.assertEqual(ws.recv(support.DEADLINE), "late")

    def test_each_message_goes_to_one_of_the_threads_that_receive(self) -> None:
        received: list[list[str | bytes]] = [[], [], []]
        with self.blocking(self.echo_server()) as ws:

            def receive(number: int) -> None:
                received[number].extend(ws)

            with Threads(receive, 3):
                for number in range(1000):
                    ws.send(str(number))
                support.wait_until(lambda: sum(map(len, received)) == 1000)
                ws.close()
        self.assertEqual(
            sorted(int(it) for part in received for it in part),
            list(range(1000)),
        )

    def test_nobody_who_receives_holds_the_peer_back_and_loses_nothing(self) -> None:
        messages = [bytes([number]) * (1 << 20) for number in range(100)]
        server = self.server(
            on_open=lambda ws: [ws.send(it) for it in messages], max_buffered=1 << 28
        )
        with self.blocking(server) as ws:
            with self.assertRaises(TimeoutError):
                # The answer is behind all of them.
                ws.ping(timeout=0.3)
            self.assertLess(len(ws.messages), 30)
            self.assertEqual([ws.recv(support.DEADLINE) for _ in messages], messages)
            self.assertGreater(ws.ping(timeout=support.DEADLINE), 0)

    def test_send_waits_while_the_buffer_is_full(self) -> None:
        total = 64 << 20
        with support.DeafServer() as server:
            ws = wsabi.connect(server.url, max_buffered=1 << 20, compression=False, close_timeout=0)
            sent = threading.Event()

            def send(_number: int) -> None:
                for _ in range(total >> 16):
                    ws.send(bytes(1 << 16))
                sent.set()

            with Threads(send, 1):
                # All that is sent never fits into the buffers on the way.
                self.assertFalse(sent.wait(0.2))
                assert server.connection is not None
                left = total
                while left > 0:
                    left -= len(server.connection.recv(1 << 20))
                self.assertTrue(sent.wait(support.DEADLINE))
            ws.close()

    def test_a_ping_is_answered_while_another_thread_receives(self) -> None:
        with (
            self.blocking(self.echo_server()) as ws,
            Threads(lambda _number: list(ws), 1),
        ):
            for data in (None, b"", b"x" * 125):
                self.assertGreater(ws.ping(data, timeout=support.DEADLINE), 0)
            with self.assertRaises(wsabi.ArgumentError):
                ws.ping(b"x" * 126)
            ws.close()

    def test_keyboard_interrupts_end_a_call_that_waits(self) -> None:
        with (
            self.echo_server() as server,
            subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "import sys, wsabi\nwith wsabi.connect(sys.argv[1]) as ws:\n"
                    "    print('waiting', flush=True)\n    ws.recv()\n",
                    support.url_of(server),
                ],
                env=support.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), "waiting\n")
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=support.DEADLINE)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertTrue(stderr.endswith("KeyboardInterrupt\n"), stderr)

    def blocking(self, server: wsabi.Server) -> wsabi.Connection:
        return wsabi.connect(support.url_of(server))


class End(support.TestCase):
    def test_what_came_before_a_close_is_received_and_then_iteration_ends(self) -> None:
        def farewell(ws: wsabi.WebSocket) -> None:
            ws.send("one")
            ws.send("two")
            ws.close(1000, "that is all")

        ws = wsabi.connect(support.url_of(self.server(on_open=farewell)))
        self.assertEqual(list(ws), ["one", "two"])
        for call in (ws.recv, ws.ping, lambda: ws.send("x")):
            with self.assertRaises(wsabi.ConnectionClosedOK) as raised:
                call()
            closed = raised.exception
            self.assertEqual(
                (closed.code, closed.reason, closed.was_clean), (1000, "that is all", True)
            )
        ws.close()
        ws.close()
        self.assertEqual((ws.close_code, ws.close_reason), (1000, "that is all"))
        self.assertEqual(ws.ready_state, wsabi.ReadyState.CLOSED)
        self.assertEqual(ws.stats().messages_received, 2)

    def test_a_code_of_failure_and_a_lost_connection_are_errors(self) -> None:
        server = self.server(on_message=lambda ws, data: ws.close(1011, "a defect"))
        ws = wsabi.connect(support.url_of(server))
        ws.send("x")
        with self.assertRaises(wsabi.ConnectionClosedError) as raised:
            list(ws)
        self.assertEqual((raised.exception.code, raised.exception.was_clean), (1011, True))
        self.assertIsNone(raised.exception.__cause__)

        server = self.server(on_message=lambda ws, data: ws.abort())
        ws = wsabi.connect(support.url_of(server))
        ws.send("x")
        with self.assertRaises(wsabi.ConnectionClosedError) as raised:
            ws.recv()
        self.assertEqual((raised.exception.code, raised.exception.was_clean), (1006, False))
        self.assertIsInstance(raised.exception.__cause__, wsabi.IoError)

    def test_a_close_of_our_own_gives_code_and_reason_and_is_no_error(self) -> None:
        closes = support.Recorder()
        server = self.server(on_close=lambda ws, *close: closes.add("close", *close))
        ws = wsabi.connect(support.url_of(server))
        ws.close(3001, "enough")
        self.assertEqual(closes.wait_for("close"), [(3001, "enough", True)])
        self.assertEqual(list(ws), [])
        for code, reason in ((999, ""), (1 << 40, ""), (1000, "x" * 124)):
            with (
                self.subTest(code=code),
                wsabi.connect(support.url_of(server)) as ws,
                self.assertRaises(wsabi.ArgumentError),
            ):
                ws.close(code, reason)

    def test_a_close_on_another_thread_ends_whoever_waits(self) -> None:
        with (
            wsabi.connect(support.url_of(self.echo_server())) as ws,
            Threads(lambda _number: self.assertEqual(list(ws), []), 3),
        ):
            ws.close()

    def test_abort_ends_whoever_waits_with_an_error(self) -> None:
        ws = wsabi.connect(support.url_of(self.echo_server()))
        ws.abort()
        with self.assertRaises(wsabi.ConnectionClosedError) as raised:
            ws.recv()
        self.assertIsInstance(raised.exception.__cause__, wsabi.AbortedError)

    def test_a_peer_that_does_not_close_is_waited_for_no_longer_than_said(self) -> None:
        with support.DeafServer() as server:
            began = time.monotonic()
            with wsabi.connect(server.url, close_timeout=0.05):
                pass
            self.assertLess(time.monotonic() - began, support.DEADLINE / 2)

    def test_threads_end_with_their_connections_and_with_objects_that_nobody_holds(self) -> None:
        url = support.url_of(self.echo_server())
        before = support.native_threads()
        connections = [wsabi.connect(url) for _ in range(5)]
        self.assertEqual(len(support.native_threads() - before), 5)
        connections[0].close()
        connections.clear()
        gc.collect()
        self.assertThreadsEnd(before)

    def test_a_connection_that_is_lost_is_made_anew_if_that_is_wanted(self) -> None:
        count = 0

        def greet(ws: wsabi.WebSocket) -> None:
            nonlocal count
            count += 1
            ws.send(f"hello {count}")

        def drop(ws: wsabi.WebSocket, data: str | bytes) -> None:
            if data == "drop":
                ws.close(1012)
            else:
                ws.send(data)

        server = self.server(on_open=greet, on_message=drop)
        with wsabi.connect(support.url_of(server), reconnect=(0.01, 0.1, 0)) as ws:
            for number in range(1, 4):
                self.assertEqual(ws.recv(support.DEADLINE), f"hello {number}")
                ws.send("drop")
            self.assertEqual(ws.recv(support.DEADLINE), "hello 4")
            ws.send("still here")
            self.assertEqual(ws.recv(support.DEADLINE), "still here")
            self.assertEqual(ws.stats().reconnects, 3)


class Failures(support.TestCase):
    def test_connecting_raises_the_exception_of_the_status(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for url, kind, word in (
            (f"ws://127.0.0.1:{port}/", wsabi.ConnectError, str(port)),
            (f"ws://{'a' * 64}.test/", wsabi.DnsError, "aaaa"),
            ("gopher://127.0.0.1/", wsabi.UrlError, "gopher"),
            (f"wss://127.0.0.1:{self.server().port}/", wsabi.TlsError, "not TLS"),
        ):
            with self.subTest(url=url), self.assertRaisesRegex(kind, word) as raised:
                wsabi.connect(url)
            self.assertIs(type(raised.exception), kind)

    def test_an_answer_that_refuses_is_in_the_exception(self) -> None:
        with (
            support.HttpServer((403, {}, "not you")) as server,
            self.assertRaises(wsabi.HttpError) as raised,
        ):
            wsabi.connect(server.url)
        self.assertEqual(raised.exception.response_status, 403)
        self.assertEqual(raised.exception.response_body, "not you")

    def test_a_server_that_says_nothing_is_a_timeout(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"ws://127.0.0.1:{silent.getsockname()[1]}/"
            with self.assertRaises(TimeoutError) as raised:
                wsabi.connect(url, connect_timeout=0.05)
        self.assertIs(type(raised.exception), wsabi.TimeoutError)

    def test_failures_leave_no_thread(self) -> None:
        before = support.native_threads()
        for url in ("ws://127.0.0.1:1/", "gopher://x/"):
            for _ in range(3):
                with self.assertRaises(wsabi.Error):
                    wsabi.connect(url)
        gc.collect()
        self.assertThreadsEnd(before)


class Threads:
    """Runs `body(0)`, `body(1)` ... each on a thread. The context ends when they have."""

    def __init__(self, body: object, count: int) -> None:
        self._runner = threading.Thread(target=self._run, args=(body, count))
        self._failure: BaseException | None = None

    def _run(self, body: object, count: int) -> None:
        try:
            support.run_threads(count, body)  # type: ignore[arg-type]
        except BaseException as failure:
            self._failure = failure

    def __enter__(self) -> None:
        self._runner.start()

    def __exit__(self, kind: object, *_exception: object) -> None:
        self._runner.join(support.DEADLINE)
        if kind is None and self._failure is not None:
            raise self._failure


if __name__ == "__main__":
    unittest.main()
