"""Several processes on one port, whose rooms meet at a Redis server."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import support
import wsabi
from test_examples import example, first_line


@support.needs("Redis", shutil.which("redis-server"))
@support.needs("the package redis", importlib.util.find_spec("redis"))
class Scaling(support.TestCase):
    def test_clients_of_different_processes_meet_in_a_room(self) -> None:
        with (
            redis_server() as redis,
            chat_server("0", redis) as (first, url),
            chat_server(str(port_of(url)), redis) as (second, _),
        ):
            # The system chooses the process by the client's port.
            members: dict[int, tuple[wsabi.WebSocket, support.Recorder]] = {}
            while members.keys() != {first.pid, second.pid}:
                ws, recorder = self.connect_recorded(url + "room")
                ((greeting,),) = recorder.wait_for("message")
                members[int(greeting.split()[1])] = ws, recorder
            _, elsewhere = self.connect_recorded(url + "elsewhere")
            elsewhere.wait_for("message")
            for number, (ws, _) in enumerate([*members.values()] * 10):
                ws.send(f"message {number}")
                for _, recorder in members.values():
                    got = recorder.wait_for("message", number + 2)[-1]
                    self.assertEqual(got, (f"message {number}",))
            self.assertEqual(len(elsewhere.of("message")), 1)

    def test_a_process_that_loses_redis_ends_and_says_so(self) -> None:
        with redis_server() as redis, chat_server("0", redis) as (server, url):
            _, recorder = self.connect_recorded(url)
            subprocess.run(
                ["redis-cli", "-s", redis.partition("unix://")[2], "shutdown", "nosave"],
                check=True,
                capture_output=True,
            )
            self.assertEqual(recorder.wait_for("close"), [(1001, "", True)])
            _, stderr = server.communicate(timeout=support.DEADLINE)
            self.assertEqual(server.returncode, 1)
            self.assertIn("Redis is lost: ", stderr)


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis server of the test's own, on a Unix socket."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "redis.sock")
        settings = {"port": "0", "unixsocket": str(path), "dir": directory, "save": ""}
        arguments = [it for name, value in settings.items() for it in (f"--{name}", value)]
        with subprocess.Popen(
            ["redis-server", *arguments], stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                for line in server.stdout:
                    if "ready to accept connections" in line.lower():
                        break
                yield f"unix://{path}"
            finally:
                server.kill()


@contextlib.contextmanager
def chat_server(port: str, redis: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with example("scaled_chat_server.py", port, redis) as server:
        yield server, first_line(server)


def port_of(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])
