"""From the constructor to the last event."""

from __future__ import annotations

import socket
import unittest

import support
import wsabi
from support import DEADLINE, DeafServer, Recorder


class Lifecycle(support.TestCase):
    def test_events_come_in_order_and_close_comes_once(self) -> None:
        at_server = Recorder()
        ws, recorder = self.connect_recorded(
            self.server(**{**at_server.handlers(), "on_message": lambda ws, data: ws.send(data)})
        )
        ws.send("text")
        ws.send(b"\0binary\xff")
        self.assertEqual(recorder.wait_for("message", 2), [("text",), (b"\0binary\xff",)])
        ws.close(1000, "bye")
        self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["open", "message", "message", "close"])
        self.assertEqual(at_server.wait_for("close"), [(1000, "bye", True)])
        self.assertEqual(at_server.kinds(), ["open", "close"])

    def test_ready_state_follows_the_connection(self) -> None:
        states: list[wsabi.ReadyState] = []

        def note(ws: wsabi.WebSocket, *arguments: object) -> None:
            states.append(ws.ready_state)
            ws.close()

        ws = self.connect(self.echo_server(), on_open=note, on_close=note)
        self.assertEnds(ws)
        states.append(ws.ready_state)
        self.assertEqual(
            states,
            [wsabi.ReadyState.OPEN, wsabi.ReadyState.CLOSED, wsabi.ReadyState.CLOSED],
        )

    def test_a_socket_is_connecting_until_the_server_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            ws = self.connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/")
            self.assertIs(ws.ready_state, wsabi.ReadyState.CONNECTING)
            with self.assertRaises(wsabi.StateError):
                ws.send("too early")
            ws.abort()
            self.assertEnds(ws)

    def test_with_closes_and_waits(self) -> None:
        server = self.echo_server()
        recorder = Recorder()
        with self.connect(server, **recorder.handlers()) as ws:
            recorder.wait_for("open")
        self.assertIs(ws.ready_state, wsabi.ReadyState.CLOSED)
        self.assertEqual(recorder.of("close"), [(1000, "", True)])

    def test_closing_twice_is_fine_and_closing_later_is_too(self) -> None:
        at_server = Recorder()
        ws, recorder = self.connect_recorded(self.server(**at_server.handlers()))
        ws.close(3000, "first")
        ws.close(3001, "second")
        self.assertEnds(ws)
        ws.close()
        ws.abort()
        self.assertEqual([code for code, *_ in recorder.of("close")], [3000])
        self.assertEqual(at_server.wait_for("close"), [(3000, "first", True)])

    def test_a_close_without_a_code_is_1005_at_both_ends(self) -> None:
        at_server = Recorder()
        ws, recorder = self.connect_recorded(self.server(**at_server.handlers()))
        ws.close(None)
        self.assertEqual(recorder.wait_for("close"), [(1005, "", True)])
        self.assertEqual(at_server.wait_for("close"), [(1005, "", True)])

    def test_abort_is_a_close_that_is_not_clean(self) -> None:
        at_server = Recorder()
        ws, recorder = self.connect_recorded(self.server(**at_server.handlers()))
        ws.abort()
        self.assertEqual(recorder.wait_for("close"), [(1006, "", False)])
        self.assertEqual(at_server.wait_for("close"), [(1006, "", False)])
        [(error,)] = recorder.of("error")
        self.assertEqual(error.status, wsabi.Status.ABORTED)

    def test_a_refused_connection_is_an_error_and_a_close(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        recorder = Recorder()
        ws = self.connect(f"ws://127.0.0.1:{port}/", **recorder.handlers())
        self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["error", "close"])
        self.assertEqual(recorder.of("close"), [(1006, "", False)])
        [(error,)] = recorder.of("error")
        self.assertIsInstance(error, wsabi.ConnectError)
        self.assertEqual(error.status, wsabi.Status.CONNECT)
        self.assertEqual(error.name, "WSABI_ERR_CONNECT")
        self.assertIn(str(port), str(error))

    def test_the_connect_timeout_fires_at_a_server_that_says_nothing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            recorder = Recorder()
            url = f"ws://127.0.0.1:{silent.getsockname()[1]}/"
            ws = self.connect(url, connect_timeout=0.05, **recorder.handlers())
            self.assertEnds(ws)
        [(error,)] = recorder.of("error")
        self.assertEqual(error.status, wsabi.Status.TIMEOUT)

    def test_handlers_may_be_set_and_taken_away_later(self) -> None:
        server = self.echo_server()
        ws, recorder = self.connect_recorded(server, on_message=None)
        second = Recorder()
        ws.on_message = second.handlers()["on_message"]
        ws.send("to the second")
        second.wait_for("message")
        ws.on_message = None
        ws.on_close = None
        ws.send("to nobody")
        ws.close()
        self.assertEnds(ws)
        self.assertEqual(second.events, [("message", "to the second")])
        self.assertEqual(recorder.events, [("open",)])

    def test_facts_stay_after_the_end(self) -> None:
        at_server: list[wsabi.WebSocket] = []
        server = self.server(on_open=at_server.append, subprotocols=["chat.v2", "chat.v1"])
        ws, _ = self.connect_recorded(server, subprotocols=["chat.v1"])
        for _ in range(2):
            self.assertEqual(ws.url, support.url_of(server))
            self.assertEqual(ws.protocol, "chat.v1")
            self.assertEqual(at_server[0].protocol, "chat.v1")
            self.assertEqual(ws.buffered_amount, 0)
            ws.close()
            self.assertEnds(ws, at_server[0])

    def test_sending_after_the_end_fails(self) -> None:
        ws, _ = self.connect_recorded(self.echo_server())
        ws.close()
        with self.assertRaises(wsabi.ClosedError):
            ws.send("closing")
        self.assertEnds(ws)
        with self.assertRaises(wsabi.ClosedError) as caught:
            ws.send("closed")
        self.assertEqual(caught.exception.status, wsabi.Status.CLOSED)
        self.assertEqual(caught.exception.name, "WSABI_ERR_CLOSED")

    def test_nothing_is_called_after_release(self) -> None:
        at_server = Recorder()
        ws, recorder = self.connect_recorded(self.server(**at_server.handlers()))
        ws.release()
        self.assertEnds(ws)
        self.assertEqual(at_server.wait_for("close"), [(1006, "", False)])
        self.assertEqual(recorder.kinds(), ["open"])

    def test_use_after_release_raises_value_error(self) -> None:
        ws, _ = self.connect_recorded(self.echo_server())
        ws.release()
        for use in (
            lambda: ws.send("text"),
            lambda: ws.send(b"binary"),
            lambda: ws.buffered_amount,
            lambda: ws.url,
            lambda: ws.protocol,
        ):
            self.assertRaises(ValueError, use)
        ws.release()
        ws.close()
        ws.abort()
        self.assertIs(ws.ready_state, wsabi.ReadyState.CLOSED)

    def test_the_buffer_limit_refuses_a_message_whole(self) -> None:
        with DeafServer() as deaf:
            ws, recorder = self.connect_recorded(deaf.url, max_buffered=1 << 20)
            with self.assertRaises(wsabi.BufferFullError):
                while True:
                    ws.send(bytes(1 << 16))
            self.assertGreater(ws.buffered_amount, (1 << 20) - (1 << 16) - 1)
            with self.assertRaises(wsabi.ArgumentError):
                ws.send(bytes((1 << 20) + 1))
            ws.abort()
            self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["open", "error", "close"])


class Servers(support.TestCase):
    def test_each_connection_has_an_object_of_its_own(self) -> None:
        recorder = Recorder()
        server = self.server(on_open=lambda ws: recorder.add("open", ws))
        clients = [self.connect(server) for _ in range(3)]
        opened = [ws for (ws,) in recorder.wait_for("open", 3)]
        self.assertEqual(len({id(ws) for ws in opened}), 3)
        for number, ws in enumerate(opened):
            ws.close(4000 + number)
        self.assertEnds(*clients, *opened)

    def test_on_open_may_give_a_connection_other_handlers(self) -> None:
        recorder = Recorder()

        def on_open(ws: wsabi.WebSocket) -> None:
            ws.on_message = lambda ws, data: recorder.add("message", data)

        ws, _ = self.connect_recorded(self.server(on_open=on_open))
        ws.send("hello")
        self.assertEqual(recorder.wait_for("message"), [("hello",)])

    def test_a_closed_server_says_1001_and_listens_no_longer(self) -> None:
        server = self.echo_server()
        ws, recorder = self.connect_recorded(server)
        server.close()
        server.close()
        self.assertEqual(recorder.wait_for("close"), [(1001, "", True)])
        self.assertEnds(ws, server)
        ws = self.connect(server, **recorder.handlers())
        self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["open", "close", "error", "close"])

    def test_with_closes_a_server_and_waits(self) -> None:
        with self.echo_server() as server:
            ws, recorder = self.connect_recorded(server)
        self.assertEnds(server)
        self.assertEqual(recorder.wait_for("close"), [(1001, "", True)])
        self.assertEnds(ws)

    def test_a_port_that_is_taken_is_refused(self) -> None:
        server = self.echo_server()
        with self.assertRaises(wsabi.Error) as caught:
            wsabi.Server(support.url_of(server), runtime=self.runtime)
        self.assertIn(str(server.port), str(caught.exception))

    def test_headers_are_sent(self) -> None:
        with DeafServer() as deaf:
            ws, _ = self.connect_recorded(
                deaf.url,
                headers={"Authorization": "Bearer x"},
                origin="https://example.com",
                user_agent="test/1",
            )
            head = deaf.request()
            ws.abort()
        for line in (
            "Authorization: Bearer x",
            "Origin: https://example.com",
            "User-Agent: test/1",
        ):
            self.assertIn(line.lower(), head.lower())


class Runtimes(support.TestCase):
    def test_closing_a_runtime_says_1001_to_both_ends_and_ends_all(self) -> None:
        at_server = Recorder()
        server = self.server(**at_server.handlers())
        ws, recorder = self.connect_recorded(server)
        self.runtime.close()
        self.assertTrue(self.runtime.closed)
        self.assertEqual([code for code, *_ in recorder.of("close")], [1001])
        self.assertEqual([code for code, *_ in at_server.of("close")], [1001])
        self.assertTrue(ws.wait_closed(0))
        self.assertTrue(server.wait_closed(0))
        with self.assertRaises(wsabi.HandleError):
            self.connect(server)
        self.runtime.close()

    def test_a_peer_that_does_not_answer_is_waited_for_no_longer_than_said(
        self,
    ) -> None:
        with DeafServer() as deaf:
            ws, recorder = self.connect_recorded(deaf.url, close_timeout=DEADLINE)
            self.runtime.close(timeout=0.01)
            self.assertTrue(ws.wait_closed(0))
        self.assertEqual(recorder.kinds(), ["open", "error", "close"])
        self.assertEqual(recorder.of("close"), [(1006, "", False)])

    def test_a_runtime_lives_as_long_as_its_connections(self) -> None:
        server = self.echo_server()
        recorder = Recorder()
        ws = self.connect(server, runtime=wsabi.Runtime(), **recorder.handlers())
        recorder.wait_for("open")
        ws.send("still there")
        recorder.wait_for("message")
        ws.close()
        self.assertEnds(ws)

    def test_a_handler_may_close_its_runtime(self) -> None:
        runtime = wsabi.Runtime()
        recorder = Recorder()
        ws = self.connect(
            self.echo_server(),
            runtime=runtime,
            on_open=lambda ws: runtime.close(),
            on_close=recorder.handlers()["on_close"],
        )
        self.assertEnds(ws)
        self.assertEqual(recorder.events, [])

    def test_the_default_runtime_is_replaced_once_it_is_closed(self) -> None:
        first = wsabi.default_runtime()
        self.assertIs(wsabi.default_runtime(), first)
        first.close()
        self.assertIsNot(wsabi.default_runtime(), first)
        with (
            wsabi.Server("ws://127.0.0.1:0/") as server,
            wsabi.WebSocket(support.url_of(server)),
        ):
            pass
        wsabi.default_runtime().close()

    def test_threads_end_with_their_runtime(self) -> None:
        before = support.native_threads()
        with wsabi.Runtime(threads=3) as runtime:
            self.assertGreaterEqual(len(support.native_threads() - before), 3)
            self.assertFalse(runtime.closed)
        self.assertThreadsEnd(before)


if __name__ == "__main__":
    unittest.main()
