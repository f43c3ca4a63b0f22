"""The examples print what the tutorial's page shows, whatever happens to the server."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import unittest
from collections.abc import Iterator

import support
import wsabi

EXAMPLES = support.CHECKOUT / "examples" / "python"
CLIENTS = ("client.py", "aio_client.py")


class Examples(unittest.TestCase):
    def test_the_clients_print_what_the_tutorial_shows(self) -> None:
        for client in CLIENTS:
            with self.subTest(client=client), example("hello_server.py", "0", "0.05") as server:
                done = self.run_client(first_line(server), client=client)
                self.assertEqual(
                    done.stdout,
                    "[open] Connection established\n"
                    "Sending to server\n"
                    "[message] Data received from server: Hello from server, John\n"
                    "[close] Connection closed cleanly, code=1000 reason=Goodbye\n",
                )
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_everything_works_over_tls_too(self) -> None:
        ca, cert, key = (support.certificate_file("here", it) for it in ("ca", "cert", "key"))
        with example("hello_server.py", "0", "0.05", cert, key) as server:
            url = first_line(server)
            self.assertTrue(url.startswith("wss://"), url)
            done = self.run_client(url, ca)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("Hello from server, John\n[close] Connection closed cleanly", done.stdout)
            done = self.run_client(url, support.certificate_file("elsewhere", "ca"))
        self.assertTrue(
            done.stdout.startswith("[error] certificate of unknown issuer"), done.stdout
        )
        self.assertEqual(done.returncode, 1)
        with example("echo_server.py", "0", cert, key) as server:
            recorder = support.Recorder()
            ca = support.certificate("here", "ca")
            with wsabi.WebSocket(first_line(server), tls_ca=ca, **recorder.handlers()) as ws:
                recorder.wait_for("open")
                ws.send("text")
                self.assertEqual(recorder.wait_for("message"), [("text",)])

    def test_files_that_are_no_certificates_are_named(self) -> None:
        done = self.run_client("wss://127.0.0.1:9/", "/nowhere.pem")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("/nowhere.pem", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_a_server_that_is_killed_is_a_connection_that_died(self) -> None:
        for name in CLIENTS:
            with (
                self.subTest(client=name),
                example("hello_server.py") as server,
                example(name, first_line(server)) as client,
            ):
                assert client.stdout is not None
                lines = [client.stdout.readline() for _ in range(3)]
                self.assertIn("Hello from server, John", lines[2])
                server.kill()
                rest, stderr = client.communicate(timeout=support.DEADLINE)
                self.assertRegex(rest, r"\A(\[error\] .+\n)?\[close\] Connection died\n\Z")
                self.assertEqual((client.returncode, stderr), (1, ""))

    def test_where_nothing_listens_the_clients_say_why(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for client in CLIENTS:
            with self.subTest(client=client):
                done = self.run_client(f"ws://127.0.0.1:{port}/", client=client)
                died = rf"\A\[error\] .*{port}.*\n\[close\] Connection died\n\Z"
                self.assertRegex(done.stdout, died)
                self.assertEqual((done.returncode, done.stderr), (1, ""))

    def test_an_invalid_url_is_a_sentence_and_not_a_traceback(self) -> None:
        for client in CLIENTS:
            with self.subTest(client=client):
                done = self.run_client("gopher://127.0.0.1/", client=client)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_the_echo_server_sends_back(self) -> None:
        with example("echo_server.py") as server:
            recorder = support.Recorder()
            with wsabi.WebSocket(first_line(server), **recorder.handlers()) as ws:
                recorder.wait_for("open")
                ws.send("text")
                ws.send(b"binary")
                self.assertEqual(recorder.wait_for("message", 2), [("text",), (b"binary",)])

    def test_servers_end_cleanly_by_a_signal(self) -> None:
        for name in ("echo_server.py", "hello_server.py", "chat_server.py"):
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(name=name, signal=number), example(name) as server:
                    recorder = support.Recorder()
                    ws = wsabi.WebSocket(first_line(server), **recorder.handlers())
                    recorder.wait_for("open")
                    server.send_signal(number)
                    self.assertEqual(recorder.wait_for("close"), [(1001, "", True)])
                    self.assertTrue(ws.wait_closed(support.DEADLINE))
                    _, stderr = server.communicate(timeout=support.DEADLINE)
                    self.assertEqual((server.returncode, stderr), (0, ""))

    def run_client(
        self, *arguments: str, client: str = "client.py"
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(EXAMPLES / client), *arguments],
            env=support.environment(),
            capture_output=True,
            text=True,
            timeout=support.DEADLINE,
        )


@contextlib.contextmanager
def example(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running example, which is killed when the context ends."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env=support.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return server.stdout.readline().strip()


if __name__ == "__main__":
    unittest.main()
