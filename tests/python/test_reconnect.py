"""Connections that are made anew, and what ends that."""

from __future__ import annotations

import socket
import unittest
from typing import Any

import support
import wsabi
from support import DEADLINE, HttpServer, Recorder

SOON = (0.001, 0.01, 0)
"""The option `reconnect`: at once, and without end."""


class Reconnect(support.TestCase):
    def test_a_server_that_goes_away_and_returns_has_its_clients_again(self) -> None:
        first = self.echo_server()
        states: list[wsabi.ReadyState] = []
        recorder = Recorder()

        def on_reconnect(ws: wsabi.WebSocket, error: wsabi.Error, delay: float) -> None:
            states.append(ws.ready_state)
            with self.assertRaises(wsabi.StateError):
                ws.send("not connected")
            recorder.add("reconnect", error, delay)

        handlers = {**recorder.handlers(), "on_reconnect": on_reconnect}
        ws = self.connect(first, reconnect=SOON, **handlers)
        recorder.wait_for("open")
        self.assertEqual(ws.stats().reconnects, 0)
        first.close()
        self.assertEnds(first)
        [(closed, _), (refused, _)] = recorder.wait_for("reconnect", 2)
        self.assertIsInstance(closed, wsabi.ClosedError)
        self.assertIn("1001", str(closed))
        self.assertEqual(refused.status, wsabi.Status.CONNECT)

        server = wsabi.Server(
            support.url_of(first),
            runtime=self.runtime,
            on_message=lambda ws, data: ws.send(data),
        )
        recorder.wait_for("open", 2)
        ws.send("here again")
        self.assertEqual(recorder.wait_for("message"), [("here again",)])
        self.assertEqual(ws.stats().reconnects, 1)
        ws.close()
        self.assertEnds(ws)
        server.close()
        self.assertEqual(set(states), {wsabi.ReadyState.CONNECTING})
        self.assertEqual(recorder.of("error"), [])
        self.assertEqual(recorder.of("close"), [(1000, "", True)])

    def test_delays_are_within_the_bounds_and_tries_are_counted(self) -> None:
        recorder = Recorder()
        ws = self.connect(nobody(), reconnect=(0.002, 0.01, 3), **recorder.client_handlers())
        self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["reconnect"] * 3 + ["error", "close"])
        for error, delay in recorder.of("reconnect"):
            self.assertEqual(error.status, wsabi.Status.CONNECT)
            self.assertGreaterEqual(delay, 0.002)
            self.assertLessEqual(delay, 0.01)

    def test_without_the_option_there_is_one_attempt(self) -> None:
        for reconnect in ({}, {"reconnect": None}):
            recorder = Recorder()
            ws = self.connect(nobody(), **reconnect, **recorder.client_handlers())
            self.assertEnds(ws)
            self.assertEqual(recorder.kinds(), ["error", "close"])

    def test_a_header_that_was_changed_is_sent_with_the_next_attempt(self) -> None:
        recorder = Recorder()

        def on_reconnect(ws: wsabi.WebSocket, error: wsabi.Error, delay: float) -> None:
            recorder.add("reconnect", error.status, ws.response_status, ws.response_body)
            ws.set_header("authorization", "Bearer fresh")

        with HttpServer((503, {}, "restarting"), (403, {"X-Why": "no"}, "go away")) as server:
            ws = self.connect(
                server.url,
                headers={"Authorization": "Bearer stale", "X-Other": "same"},
                reconnect=SOON,
                **{**recorder.handlers(), "on_reconnect": on_reconnect},
            )
            self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["reconnect", "error", "close"])
        self.assertEqual(recorder.of("reconnect"), [(wsabi.Status.HTTP, 503, "restarting")])
        tokens = [it.get_all("Authorization") for it in server.requests]
        self.assertEqual(tokens, [["Bearer stale"], ["Bearer fresh"]])
        self.assertEqual([it["X-Other"] for it in server.requests], ["same", "same"])
        self.assertEqual((ws.response_status, ws.response_body), (403, "go away"))

    def test_another_url_is_where_the_next_attempt_leads(self) -> None:
        url = support.url_of(self.echo_server())
        ws, recorder = self.connect_recorded(
            nobody(), reconnect=SOON, on_reconnect=lambda ws, *cause: ws.set_url(url)
        )
        self.assertEqual(ws.url, url)
        ws.send("found")
        self.assertEqual(recorder.wait_for("message"), [("found",)])

    def test_a_server_can_ask_for_more_time_once(self) -> None:
        recorder = Recorder()
        with HttpServer((503, {"Retry-After": "1"}, "")) as server:
            ws = self.connect(server.url, reconnect=SOON, **recorder.client_handlers())
            [(_, delay)] = recorder.wait_for("reconnect")
            self.assertGreaterEqual(delay, 1)
        # It listens no longer, and what it has said was about the attempt before.
        [_, (_, delay)] = recorder.wait_for("reconnect", 2)
        self.assertLessEqual(delay, 0.01)
        ws.close()
        self.assertEnds(ws)

    def test_closing_ends_the_wait_for_the_next_attempt(self) -> None:
        for end in (wsabi.WebSocket.close, wsabi.WebSocket.abort):
            recorder = Recorder()
            ws = self.connect(nobody(), reconnect=(600, 600, 0), **recorder.client_handlers())
            recorder.wait_for("reconnect")
            end(ws)
            self.assertEnds(ws)
            self.assertEqual(recorder.kinds(), ["reconnect", "error", "close"])
            [(error,)] = recorder.of("error")
            self.assertEqual(error.status, wsabi.Status.ABORTED)

    def test_release_in_the_handler_is_the_end(self) -> None:
        ws = self.connect(
            nobody(), reconnect=(600, 600, 0), on_reconnect=lambda ws, *cause: ws.release()
        )
        self.assertEnds(ws)

    def test_an_exception_in_the_handler_is_reported_and_ends_nothing(self) -> None:
        recorder = Recorder()

        def fail(ws: wsabi.WebSocket, *cause: Any) -> None:
            recorder.add("reconnect")
            raise LookupError

        ws = self.connect(nobody(), reconnect=(0.001, 0.002, 2), on_reconnect=fail)
        self.assertEnds(ws)
        self.runtime.close()
        self.assertEqual(len(recorder.events), 2)
        self.assertEqual([type(it) for it in self.unraisable], [LookupError] * 2)
        self.unraisable.clear()

    def test_only_a_connection_that_reconnects_can_be_changed(self) -> None:
        server = self.echo_server()
        plain, _ = self.connect_recorded(server)
        with self.assertRaises(wsabi.StateError):
            plain.set_header("X", "y")
        with self.assertRaises(wsabi.StateError):
            plain.set_url("ws://127.0.0.1:9/")

        ws, _ = self.connect_recorded(server, reconnect=SOON)
        with self.assertRaises(wsabi.ArgumentError):
            ws.set_header("X", "a\r\nInjected: b")
        with self.assertRaises(wsabi.UrlError):
            ws.set_url("gopher://127.0.0.1/")
        self.assertRaises(TypeError, ws.set_header, "X", 1)
        self.assertRaises(TypeError, ws.set_url, None)
        ws.close()
        self.assertEnds(ws)
        with self.assertRaises(wsabi.ClosedError):
            ws.set_header("X", "y")
        plain.release()
        self.assertRaises(ValueError, plain.set_url, "ws://127.0.0.1:9/")
        self.assertTrue(plain.wait_closed(DEADLINE))


def nobody() -> str:
    """A URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"ws://127.0.0.1:{listener.getsockname()[1]}/"


if __name__ == "__main__":
    unittest.main()
