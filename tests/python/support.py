"""What the tests share: a recorder of events, a test case that looks for leaks, child processes.

PYTHONPATH=bindings/python python3 -m unittest discover tests/python

WSABI_CERTIFICATES names a directory in which "here" and "elsewhere" hold what
examples/certificate.rs makes, for this machine and for elsewhere.example. The tests of TLS are
skipped without it.
"""

from __future__ import annotations

import base64
import faulthandler
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable
from concurrent.futures import Future
from email.message import Message
from pathlib import Path
from typing import Any

import wsabi
from wsabi import _endpoint

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "bindings" / "python"

DEADLINE = 60.0
"""Seconds after which something that has to happen counts as missing."""

LENGTHS = (0, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20)
"""Where the form of a frame header changes, and some large ones."""


def needs(name: str, is_installed: object) -> Callable[[type], type]:
    """Leaves a class of tests out where something is not installed, unless WSABI_NO_SKIP is set:
    then that is a failure."""
    if not is_installed and "WSABI_NO_SKIP" in os.environ:
        raise AssertionError(f"{name} is not installed, and WSABI_NO_SKIP is set")
    return unittest.skipUnless(is_installed, f"{name} is not installed")


class Recorder:
    """Handlers that write down what they are called with, one tuple for each call."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._changed = threading.Condition()

    def handlers(self) -> dict[str, Any]:
        return {
            "on_open": lambda ws: self.add("open"),
            "on_message": lambda ws, data: self.add("message", data),
            "on_error": lambda ws, error: self.add("error", error),
            "on_close": lambda ws, *close: self.add("close", *close),
            "on_ping": lambda ws, data: self.add("ping", data),
            "on_pong": lambda ws, *pong: self.add("pong", *pong),
            "on_drain": lambda ws: self.add("drain"),
        }

    def client_handlers(self) -> dict[str, Any]:
        """With the one that only clients have."""
        return {
            **self.handlers(),
            "on_reconnect": lambda ws, *cause: self.add("reconnect", *cause),
        }

    def add(self, *event: Any) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, kind: str, count: int = 1) -> list[tuple[Any, ...]]:
        """The arguments of the first `count` events of this kind, when they have come."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.of(kind)) >= count, DEADLINE):
                raise AssertionError(f"{kind!r} is missing among {self.kinds()}")
            return self.of(kind)[:count]

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [tuple(arguments) for it, *arguments in self.events if it == kind]

    def kinds(self) -> list[str]:
        return [kind for kind, *_ in self.events]


class TestCase(unittest.TestCase):
    """A runtime of its own for every test, and a look at what is left when it has ended."""

    def setUp(self) -> None:
        # A call that hangs shows where, and does not hang whoever runs the tests.
        faulthandler.dump_traceback_later(4 * DEADLINE, exit=True)
        self.addCleanup(faulthandler.cancel_dump_traceback_later)
        self.unraisable: list[object] = []
        hook = sys.unraisablehook
        sys.unraisablehook = lambda it: self.unraisable.append(it.exc_value)
        self.addCleanup(setattr, sys, "unraisablehook", hook)
        self.runtime = wsabi.Runtime()
        self.addCleanup(self._look_for_leaks)

    def _look_for_leaks(self) -> None:
        self.runtime.close()
        self.assertEqual(_endpoint.endpoints, {})
        self.assertEqual(self.unraisable, [])

    def server(self, **arguments: Any) -> wsabi.Server:
        """A server on a free port."""
        arguments.setdefault("runtime", self.runtime)
        return wsabi.Server("ws://127.0.0.1:0/", **arguments)

    def echo_server(self, **arguments: Any) -> wsabi.Server:
        """A server that sends every message back."""
        return self.server(on_message=lambda ws, data: ws.send(data), **arguments)

    def connect(self, server: wsabi.Server | str, **arguments: Any) -> wsabi.WebSocket:
        """A client of `server`."""
        arguments.setdefault("runtime", self.runtime)
        return wsabi.WebSocket(server if isinstance(server, str) else url_of(server), **arguments)

    def connect_recorded(
        self, server: wsabi.Server | str, **arguments: Any
    ) -> tuple[wsabi.WebSocket, Recorder]:
        """An open client of `server`, and what its handlers see."""
        recorder = Recorder()
        ws = self.connect(server, **{**recorder.handlers(), **arguments})
        recorder.wait_for("open")
        return ws, recorder

    def assertEnds(self, *endpoints: wsabi.WebSocket | wsabi.Server) -> None:
        for endpoint in endpoints:
            self.assertTrue(endpoint.wait_closed(DEADLINE), f"{endpoint!r} does not end")

    def assertThreadsEnd(self, before: set[str]) -> None:
        """No thread is left that was not there before."""
        deadline = time.monotonic() + DEADLINE
        while left := native_threads() - before:
            self.assertLess(time.monotonic(), deadline, f"{len(left)} threads are left")
            os.sched_yield()


class DeafServer:
    """A TCP server that answers one upgrade, and from then on neither reads nor writes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._head: Future[str] = Future()
        self._thread = threading.Thread(target=self._accept)
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.connection: socket.socket | None = None

    def request(self) -> str:
        """The head of the request, once it has come."""
        return self._head.result(DEADLINE)

    def _accept(self) -> None:
        self.connection, _ = self._listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.connection.recv(4096)
        key = next(line for line in head.split(b"\r\n") if line.lower().startswith(KEY_FIELD))
        digest = hashlib.sha1(key[len(KEY_FIELD) :].strip() + GUID).digest()
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        self._head.set_result(head.decode())

    def __enter__(self) -> DeafServer:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listener.close()
        self._thread.join(DEADLINE)
        if self.connection is not None:
            self.connection.close()


class HttpServer:
    """Answers one request after the other as it is told, and writes them down."""

    def __init__(self, *answers: tuple[int, dict[str, str], str]) -> None:
        remaining = list(answers)
        self.requests: list[Message] = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.headers)
                status, headers, text = remaining.pop(0)
                body = text.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"ws://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._thread.join(DEADLINE)
        self._server.server_close()


KEY_FIELD = b"sec-websocket-key:"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def certificate(place: str, what: str) -> str:
    """The text of "ca", "cert" or "key" of "here" or "elsewhere"."""
    return Path(certificate_file(place, what)).read_text()


def certificate_file(place: str, what: str) -> str:
    """The path of the same."""
    directory = os.environ.get("WSABI_CERTIFICATES")
    if directory is None:
        raise unittest.SkipTest("WSABI_CERTIFICATES is not set")
    return str(Path(directory) / place / f"{what}.pem")


def url_of(server: wsabi.Server) -> str:
    return f"ws://127.0.0.1:{server.port}/"


def native_threads() -> set[str]:
    """The threads of this process, the library's included. One that was joined may be among them
    for a moment still."""
    return set(os.listdir("/proc/self/task"))


def run_threads(count: int, body: Callable[[int], object]) -> None:
    """Runs `body(0)`, `body(1)` ... each on a thread, and raises the first exception of one."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            body(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    if failures:
        raise failures[0]


def wait_until(is_so: Callable[[], bool]) -> None:
    """Looks again and again, for what nobody tells of."""
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError("it does not come")
        time.sleep(0.001)


def environment() -> dict[str, str]:
    """For a child process that uses the same package and library."""
    return {**os.environ, "PYTHONPATH": str(PACKAGE)}


def run_script(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", source, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
