"""Servers that look at each request before they let a client in."""

from __future__ import annotations

import socket
import threading
import unittest
from typing import Any

import support
import wsabi
from support import DEADLINE, Recorder


class Requests(support.TestCase):
    def refusal(self, server: wsabi.Server, **arguments: Any) -> wsabi.HttpError:
        """Why a client of `server` is not let in."""
        recorder = Recorder()
        ws = self.connect(server, **recorder.handlers(), **arguments)
        self.assertEnds(ws)
        self.assertEqual(recorder.kinds(), ["error", "close"])
        [(error,)] = recorder.of("error")
        self.assertIsInstance(error, wsabi.HttpError)
        return error  # type: ignore[no-any-return]

    def test_a_handler_sees_what_is_asked_and_lets_in_whom_it_likes(self) -> None:
        seen = []

        def on_request(request: wsabi.Request) -> None:
            seen.append((request.target, request.header("ORIGIN"), request.header("X-None")))
            self.assertEqual(request.subprotocols, ["a", "b"])
            self.assertTrue(request.peer_address.startswith("127.0.0.1:"))
            request.add_header("Set-Cookie", "a=b")
            ws = request.accept("b", user_data={"name": "John"})
            self.assertIsNot(ws.ready_state, wsabi.ReadyState.CLOSED)
            accepted.append(ws)

        accepted: list[wsabi.WebSocket] = []
        server = self.server(
            on_request=on_request,
            on_open=lambda ws: ws.send(f"{ws.user_data['name']}, {ws is accepted[0]}"),
        )
        ws, recorder = self.connect_recorded(
            f"ws://127.0.0.1:{server.port}/path?query",
            origin="https://example.org",
            subprotocols=["a", "b"],
        )
        self.assertEqual(recorder.wait_for("message"), [("John, True",)])
        self.assertEqual(ws.protocol, "b")
        self.assertEqual(ws.response_header("set-cookie"), "a=b")
        self.assertEqual(seen, [("/path?query", "https://example.org", "")])

    def test_a_refusal_has_its_status_and_its_text(self) -> None:
        server = self.server(on_request=lambda request: request.reject(401, "who are you?"))
        error = self.refusal(server)
        self.assertEqual((error.response_status, error.response_body), (401, "who are you?"))

    def test_an_answer_may_come_later_and_on_another_thread(self) -> None:
        recorder = Recorder()
        server = self.echo_server(on_request=lambda request: recorder.add("request", request))
        ws, at_client = self.connect_recorded_later(server)
        [(request,)] = recorder.wait_for("request")
        thread = threading.Thread(target=request.accept)
        thread.start()
        thread.join(DEADLINE)
        at_client.wait_for("open")
        ws.send("hello")
        self.assertEqual(at_client.wait_for("message"), [("hello",)])

    def connect_recorded_later(self, server: wsabi.Server) -> tuple[wsabi.WebSocket, Recorder]:
        recorder = Recorder()
        return self.connect(server, **recorder.handlers()), recorder

    def test_an_exception_is_reported_and_refuses(self) -> None:
        def on_request(request: wsabi.Request) -> None:
            raise LookupError("a defect")

        self.assertEqual(self.refusal(self.server(on_request=on_request)).response_status, 500)
        self.assertEqual([type(it) for it in self.unraisable], [LookupError])
        self.unraisable.clear()

    def test_an_answer_is_given_once_and_to_a_client_that_waits(self) -> None:
        recorder = Recorder()
        server = self.server(on_request=lambda request: recorder.add("request", request))
        _, at_client = self.connect_recorded_later(server)
        [(request,)] = recorder.wait_for("request")
        self.assertRaises(wsabi.ArgumentError, request.accept, "not offered")
        self.assertRaises(wsabi.ArgumentError, request.reject, 200)
        self.assertRaises(TypeError, request.reject, 403, b"bytes")
        request.accept()
        at_client.wait_for("open")
        self.assertRaises(wsabi.HandleError, request.accept)
        self.assertRaises(wsabi.HandleError, request.reject)
        self.assertRaises(wsabi.HandleError, request.header, "Origin")
        self.assertEqual(request.target, "/")

        with socket.create_connection(("127.0.0.1", server.port)) as gone:
            gone.sendall(
                b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            _, (late,) = recorder.wait_for("request", 2)
        support.wait_until(lambda: is_over(late))
        self.assertRaises(wsabi.HandleError, late.accept)

    def test_a_request_that_nobody_answers_is_refused_in_time(self) -> None:
        server = self.server(on_request=lambda request: None, connect_timeout=0.05)
        self.assertEqual(self.refusal(server).response_status, 503)


def is_over(request: wsabi.Request) -> bool:
    try:
        request.header("Origin")
    except wsabi.HandleError:
        return True
    return False


if __name__ == "__main__":
    unittest.main()
