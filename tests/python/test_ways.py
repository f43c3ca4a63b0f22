"""The way to a server: proxies, redirects, refusals; and what is known when it is there."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
import unittest
from typing import Any
from unittest import mock

import support
import wsabi
from support import DEADLINE, DeafServer, HttpServer, Recorder, certificate


class ConnectProxy:
    """An HTTP proxy that knows CONNECT, for as many connections as are made. They lead to where the
    client wants, or all to the port `destination` of this machine."""

    def __init__(self, credentials: str | None = None, destination: int | None = None) -> None:
        self._destination = destination
        self._wanted = credentials and "Basic " + base64.b64encode(credentials.encode()).decode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.heads: list[list[str]] = []

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        lines = head.decode().split("\r\n")
        self.heads.append(lines)
        if self._wanted is not None and f"Proxy-Authorization: {self._wanted}" not in lines:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            client.close()
            return
        host, _, port = lines[0].split(" ")[1].rpartition(":")
        if self._destination is not None:
            host, port = "127.0.0.1", str(self._destination)
        server = socket.create_connection((host, int(port)))
        self._sockets.append(server)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._start(self._pump, client, server)
        self._pump(server, client)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> ConnectProxy:
        self._threads[0].start()
        return self

    def __exit__(self, *_exception: object) -> None:
        # Wakes the thread that accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for it in list(self._sockets):
            with contextlib.suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(DEADLINE)
        for it in self._sockets:
            it.close()


class Proxies(support.TestCase):
    def test_messages_go_through_a_proxy(self) -> None:
        server = self.echo_server()
        with ConnectProxy() as proxy:
            ws, recorder = self.connect_recorded(server, proxy=f"http://{proxy.address}")
            ws.send("through the proxy")
            self.assertEqual(recorder.wait_for("message"), [("through the proxy",)])
            self.assertEqual(ws.peer_address, proxy.address)
            ws.close()
            self.assertEnds(ws)
        [head] = proxy.heads
        self.assertEqual(head[0], f"CONNECT 127.0.0.1:{server.port} HTTP/1.1")

    def test_tls_goes_through_a_proxy_and_is_the_servers(self) -> None:
        server = wsabi.Server(
            "wss://127.0.0.1:0/",
            runtime=self.runtime,
            tls_identity=(certificate("here", "cert"), certificate("here", "key")),
            on_message=lambda ws, data: ws.send(data),
        )
        with ConnectProxy() as proxy:
            ws, recorder = self.connect_recorded(
                f"wss://localhost:{server.port}/",
                proxy=proxy.address,
                tls_ca=certificate("here", "ca"),
            )
            ws.send("secret")
            self.assertEqual(recorder.wait_for("message"), [("secret",)])
            self.assertEqual(ws.tls_version, "TLSv1.3")
            ws.close()
            self.assertEnds(ws)
        self.assertEqual(proxy.heads[0][0], f"CONNECT localhost:{server.port} HTTP/1.1")

    def test_a_proxy_may_demand_a_password(self) -> None:
        server = self.echo_server()
        with ConnectProxy("user:pass word") as proxy:
            for login in ("", "user:wrong@"):
                recorder = Recorder()
                ws = self.connect(
                    server,
                    proxy=f"http://{login}{proxy.address}",
                    reconnect=(0.001, 0.002, 0),
                    **recorder.client_handlers(),
                )
                self.assertEnds(ws)
                self.assertEqual(recorder.kinds(), ["error", "close"])
                [(error,)] = recorder.of("error")
                self.assertEqual(error.status, wsabi.Status.PROXY)
                self.assertIn("407", str(error))
                self.assertNotIn("wrong", str(error))
            ws, _ = self.connect_recorded(server, proxy=f"http://user:pass%20word@{proxy.address}")
            ws.close()
            self.assertEnds(ws)

    def test_the_environment_may_name_the_proxy(self) -> None:
        server = self.echo_server()
        with (
            ConnectProxy(destination=server.port) as proxy,
            mock.patch.dict(os.environ, {"http_proxy": proxy.address, "no_proxy": ""}),
        ):
            ws, _ = self.connect_recorded("ws://far.example/", proxy="env")
            self.assertEqual(ws.peer_address, proxy.address)
            ws.close()
            self.assertEnds(ws)
        self.assertEqual([head[0] for head in proxy.heads], ["CONNECT far.example:80 HTTP/1.1"])


class Redirects(support.TestCase):
    def test_a_redirect_is_followed_where_that_is_allowed(self) -> None:
        end = support.url_of(self.echo_server())
        with HttpServer((307, {"Location": end.replace("ws://", "http://")}, "")) as server:
            ws, recorder = self.connect_recorded(server.url, max_redirects=1)
        self.assertEqual(ws.url, end)
        ws.send("arrived")
        self.assertEqual(recorder.wait_for("message"), [("arrived",)])

    def test_a_redirect_is_a_refusal_otherwise(self) -> None:
        answer = (302, {"Location": "/again"}, "")
        for allowed in (0, 2):
            recorder = Recorder()
            with HttpServer(*[answer] * 3) as server:
                ws = self.connect(server.url, max_redirects=allowed, **recorder.handlers())
                self.assertEnds(ws)
            self.assertEqual(len(server.requests), allowed + 1)
            self.assertEqual(recorder.kinds(), ["error", "close"])
            [(error,)] = recorder.of("error")
            self.assertEqual(error.status, wsabi.Status.HTTP)
            self.assertEqual(ws.response_status, 302)

    def test_credentials_do_not_go_to_another_origin(self) -> None:
        secrets = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Other": "c"}
        with DeafServer() as end, HttpServer((301, {"Location": end.url}, "")) as server:
            ws, _ = self.connect_recorded(server.url, headers=secrets, max_redirects=1)
            head = end.request().lower()
            ws.abort()
        self.assertEqual(server.requests[0]["Authorization"], "Bearer x")
        self.assertIn("x-other: c", head)
        self.assertNotIn("authorization", head)
        self.assertNotIn("cookie", head)


class Answers(support.TestCase):
    def test_a_refusal_has_its_status_headers_and_body(self) -> None:
        recorder = Recorder()

        def on_error(ws: wsabi.WebSocket, error: wsabi.Error) -> None:
            recorder.add("error", error.status, ws.response_header("www-authenticate"))
            recorder.add("missing", ws.response_header("X-Missing"))

        long = "realm " + "x" * 1000
        answer = (401, {"WWW-Authenticate": long}, "who are you? \u20ac")
        with HttpServer(answer) as server:
            ws = self.connect(server.url, on_error=on_error, reconnect=(0.001, 0.001, 0))
            self.assertEnds(ws)
        self.assertEqual(recorder.of("error"), [(wsabi.Status.HTTP, long)])
        self.assertEqual(recorder.of("missing"), [("",)])
        self.assertEqual((ws.response_status, ws.response_body), (401, "who are you? \u20ac"))
        with self.assertRaises(wsabi.ClosedError):
            ws.response_header("WWW-Authenticate")

    def test_before_an_answer_there_is_nothing_to_know(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            ws = self.connect(f"ws://127.0.0.1:{silent.getsockname()[1]}/")
            self.assertEqual((ws.response_status, ws.response_body), (0, ""))
            with self.assertRaises(wsabi.StateError):
                ws.response_header("Date")
            ws.release()
            self.assertEnds(ws)
        for use in (
            lambda: ws.response_status,
            lambda: ws.response_header("Date"),
            lambda: ws.peer_address,
            lambda: ws.stats(),
            lambda: ws.ping(),
        ):
            self.assertRaises(ValueError, use)

    def test_an_accepted_upgrade_has_its_answer(self) -> None:
        server = self.server(headers={"X-Served-By": "test"})
        ws, _ = self.connect_recorded(server)
        self.assertEqual(ws.response_status, 101)
        self.assertEqual(ws.response_header("x-served-by"), "test")
        self.assertTrue(ws.extensions.startswith("permessage-deflate"), ws.extensions)
        self.assertEqual(ws.peer_address, f"127.0.0.1:{server.port}")


class Figures(support.TestCase):
    def test_stats_count_and_stay_after_the_end(self) -> None:
        ws, recorder = self.connect_recorded(self.echo_server(), compression=False)
        ws.send("four")
        recorder.wait_for("message")
        for _ in range(2):
            stats = ws.stats()
            self.assertEqual((stats.messages_sent, stats.messages_received), (1, 1))
            self.assertEqual((stats.payload_sent, stats.payload_received), (4, 4))
            self.assertGreater(stats.bytes_sent, 100)
            self.assertGreater(stats.bytes_received, 100)
            self.assertEqual((stats.reconnects, stats.tls, stats.round_trip), (0, 0.0, None))
            assert stats.since_received is not None
            self.assertLess(stats.since_received, DEADLINE)
            self.assertGreater(stats.tcp, 0)
            self.assertGreater(stats.upgrade, 0)
            self.assertLess(stats.tcp + stats.upgrade, DEADLINE)
            ws.close()
            self.assertEnds(ws)

    def test_a_ping_is_answered_and_timed(self) -> None:
        at_server = Recorder()
        ws, recorder = self.connect_recorded(self.server(**at_server.handlers()))
        for data in (b"are you there?", bytearray(b""), memoryview(b"x" * 125)):
            ws.ping(data)
        ws.ping()
        expected = [b"are you there?", b"", b"x" * 125, b""]
        self.assertEqual([data for (data,) in at_server.wait_for("ping", 4)], expected)
        # Pongs may stand for several pings at once: the last answers the last.
        recorder.wait_for("pong")
        ws.ping(b"last")
        while (pong := recorder.of("pong")[-1])[0] != b"last":
            recorder.wait_for("pong", len(recorder.of("pong")) + 1)
        self.assertGreater(pong[1], 0)
        self.assertLess(pong[1], DEADLINE)
        self.assertIsNotNone(ws.stats().round_trip)

    def test_what_is_no_ping(self) -> None:
        ws, _ = self.connect_recorded(self.echo_server())
        self.assertRaises(wsabi.ArgumentError, ws.ping, bytes(126))
        self.assertRaises(TypeError, ws.ping, "text")
        ws.close()
        self.assertRaises(wsabi.ClosedError, ws.ping)
        self.assertEnds(ws)
        self.assertRaises(wsabi.ClosedError, ws.ping)


if __name__ == "__main__":
    unittest.main()
