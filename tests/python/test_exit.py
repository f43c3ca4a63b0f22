"""The interpreter ends while connections are open: no crash, no hang, nothing on stderr.

WSABI_EXITS says how many times it ends amid traffic; 100 by default.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import unittest

import support
import wsabi

EXITS = int(os.environ.get("WSABI_EXITS", "100"))

CONNECTED = """
import sys, threading
import wsabi

def start(**handlers):
    opened = threading.Semaphore(0)
    def on_open(ws):
        ws.send("x")
        opened.release()
    def echo(ws, data):
        ws.send(data)
    server = wsabi.Server("ws://127.0.0.1:0/", on_message=echo)
    url = f"ws://127.0.0.1:{server.port}/"
    for _ in range(5):
        wsabi.WebSocket(url, **{"on_open": on_open, "on_message": echo, **handlers})
    for _ in range(5):
        opened.acquire()
    return url
"""


TRAFFIC = """
import asyncio, contextlib, sys, threading
import wsabi, wsabi.aio

url, moving = sys.argv[1], [threading.Semaphore(0) for _ in range(3)]

def echo(ws, data):
    moving[0].release()
    with contextlib.suppress(wsabi.ClosedError):
        ws.send(data)

def flood(ws):
    with contextlib.suppress(wsabi.ConnectionClosed):
        for message in ws:
            moving[1].release()
            ws.send(message)

async def loop():
    ws = await wsabi.aio.connect(url)
    with contextlib.suppress(wsabi.ConnectionClosed):
        for _ in range(8):
            await ws.send(bytes(100))
        async for message in ws:
            moving[2].release()
            await ws.send(message)

def handlers(ws):
    for _ in range(8):
        ws.send(bytes(100))

wsabi.WebSocket(url, on_open=handlers, on_message=echo)
ws = wsabi.connect(url)
handlers(ws)
threading.Thread(target=flood, args=[ws], daemon=True).start()
threading.Thread(target=asyncio.run, args=[loop()], daemon=True).start()
for style in moving:
    for _ in range(30):
        style.acquire()
"""


def echo_while_open(ws: wsabi.WebSocket, data: str | bytes) -> None:
    with contextlib.suppress(wsabi.ClosedError):
        ws.send(data)


class Exit(unittest.TestCase):
    def assertExits(
        self, source: str, *arguments: str, status: int = 0, runs: int = 5, imports: str = CONNECTED
    ) -> str:
        """Runs the program several times, since what could go wrong is a race."""
        for _ in range(runs):
            done = support.run_script(imports + source, *arguments)
            self.assertEqual((done.returncode, done.stderr), (status, ""))
        return done.stdout

    def test_amid_traffic_in_every_style_many_times(self) -> None:
        with wsabi.Server("ws://127.0.0.1:0/", on_message=echo_while_open) as server:
            self.assertExits(TRAFFIC, support.url_of(server), runs=EXITS, imports="")

    def test_with_connections_of_the_blocking_style_that_wait_on_daemon_threads(self) -> None:
        self.assertExits("""
waiting = threading.Semaphore(0)
def receive():
    ws = wsabi.connect(url)
    waiting.release()
    for message in ws:
        pass
url = start()
for _ in range(3):
    threading.Thread(target=receive, daemon=True).start()
for _ in range(3):
    waiting.acquire()
""")

    def test_with_a_loop_that_runs_on_a_daemon_thread(self) -> None:
        self.assertExits("""
import asyncio, wsabi.aio
waiting = threading.Event()
async def receive():
    ws = await wsabi.aio.connect(url)
    waiting.set()
    async for message in ws:
        pass
url = start()
threading.Thread(target=asyncio.run, args=[receive()], daemon=True).start()
waiting.wait()
""")

    def test_with_connections_of_both_that_nobody_closes(self) -> None:
        self.assertExits("""
import asyncio, wsabi.aio
url = start()
blocking = wsabi.connect(url)
loop = asyncio.new_event_loop()
async def connect():
    return await wsabi.aio.connect(url)
ws = loop.run_until_complete(connect())
loop.close()
""")

    def test_at_the_end_of_the_program(self) -> None:
        self.assertExits("start()")

    def test_by_sys_exit(self) -> None:
        self.assertExits("start(); sys.exit(3)", status=3)

    def test_on_another_thread_than_the_first(self) -> None:
        self.assertExits("thread = threading.Thread(target=start); thread.start()")

    def test_by_an_exception(self) -> None:
        done = support.run_script(CONNECTED + "start(); raise LookupError('the end')")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.endswith("LookupError: the end\n"), done.stderr)

    def test_close_handlers_still_run_and_say_1001(self) -> None:
        out = self.assertExits(
            "start(on_close=lambda ws, code, reason, was_clean: print(code, was_clean))"
        )
        self.assertEqual(out, "1001 True\n" * 5)

    def test_while_every_thread_sends(self) -> None:
        self.assertExits("""
opened = threading.Semaphore(0)

def flood(ws):
    try:
        while True:
            try:
                ws.send(bytes(1000))
            except wsabi.BufferFullError:
                pass
    except wsabi.ClosedError:
        pass

url = start()
for _ in range(2):
    ws = wsabi.WebSocket(url, on_open=lambda ws: opened.release(), max_buffered=1 << 18)
    opened.acquire()
    threading.Thread(target=flood, args=[ws], daemon=True).start()
""")

    def test_with_a_connection_that_is_not_open_yet(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            self.assertExits(f"ws = wsabi.WebSocket('ws://127.0.0.1:{port}/')")

    def test_with_a_name_that_is_being_resolved(self) -> None:
        # A label of 64 characters fails in the resolver, without the network.
        self.assertExits(f"ws = wsabi.WebSocket('ws://{'a' * 64}.test/')")

    def test_with_an_object_in_a_cycle_and_one_in_a_module(self) -> None:
        self.assertExits("""
class Holder:
    def __init__(self, url):
        self.ws = wsabi.WebSocket(url, on_message=self.on_message)
        sys.modules["held"] = self
    def on_message(self, ws, data):
        pass
    def __del__(self):
        self.ws.close()
        self.ws.release()
Holder(start())
""")

    def test_nothing_new_begins_while_the_interpreter_ends(self) -> None:
        out = self.assertExits("""
class Late:
    def __del__(self):
        try:
            wsabi.WebSocket(url)
        except RuntimeError as error:
            print(error)

url = start()
late = Late()
""")
        self.assertIn("interpreter ends", out)

    def test_after_the_runtime_was_closed(self) -> None:
        self.assertExits("start(); wsabi.default_runtime().close()")

    def test_while_a_handler_runs_that_has_closed_its_runtime(self) -> None:
        self.assertExits("""
closed = threading.Event()
def close(ws):
    wsabi.default_runtime().close()
    closed.set()
    for _ in range(10**6):
        pass
url = start()
wsabi.WebSocket(url, on_open=close)
closed.wait()
""")

    def test_without_a_connection(self) -> None:
        self.assertExits("")

    def test_by_an_interrupt_while_waiting(self) -> None:
        # A job in the background of a shell is started with the signal ignored.
        program = CONNECTED + (
            "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "with wsabi.WebSocket(start()) as ws:\n    print('waiting', flush=True)\n"
            "    ws.wait_closed()\n"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program],
            env=support.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.readline(), "waiting\n")
            process.send_signal(signal.SIGINT)
            try:
                _, stderr = process.communicate(timeout=support.DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertTrue(stderr.endswith("KeyboardInterrupt\n"), stderr)


class Fork(unittest.TestCase):
    def test_a_child_has_a_runtime_of_its_own_and_leaves_its_parents_alone(
        self,
    ) -> None:
        done = support.run_script(
            CONNECTED
            + """
import os, warnings
warnings.simplefilter("ignore")

url = start()
received = threading.Event()
ws = wsabi.WebSocket(url, on_message=lambda ws, data: received.set())
opened = threading.Event()
ws.on_open = lambda ws: opened.set()
if ws.ready_state < wsabi.ReadyState.OPEN:
    opened.wait()
child = os.fork()
if child == 0:
    try:
        ws.send("from the child")
    except wsabi.Error as error:
        print(error.name)
    answered = threading.Event()
    with wsabi.WebSocket(
        url, on_open=lambda ws: ws.send("x"), on_message=lambda ws, data: answered.set()
    ):
        print(answered.wait(), flush=True)
    sys.exit(7)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
ws.send("from the parent")
print(received.wait())
"""
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "WSABI_ERR_FORKED\nTrue\n7\nTrue\n")

    def test_connections_of_the_other_styles_are_the_parents_too(self) -> None:
        done = support.run_script(
            CONNECTED
            + """
import asyncio, multiprocessing, wsabi.aio

async def connect():
    return await wsabi.aio.connect(url)

async def child_loop():
    async with wsabi.aio.connect(url) as own:
        await own.send("y")
        print(await own.recv(), flush=True)

def child():
    for call in (lambda: ws.send("x"), ws.recv, ws.ping):
        try:
            call()
        except wsabi.ForkedError as error:
            print(error.name, flush=True)
    with wsabi.connect(url) as own:
        own.send("y")
        print(own.recv(), flush=True)
    asyncio.run(child_loop())

url = start()
ws = wsabi.connect(url)
receiver = threading.Thread(target=lambda: print(list(ws)))
receiver.start()
loop = asyncio.new_event_loop()
other = loop.run_until_complete(connect())
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
print(process.exitcode)
ws.close()
receiver.join()
loop.close()
"""
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "WSABI_ERR_FORKED\n" * 3 + "y\ny\n0\n[]\n")


if __name__ == "__main__":
    unittest.main()
