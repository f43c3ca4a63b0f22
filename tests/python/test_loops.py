"""What loops of asyncio go through: several at a time, exceptions, interrupts, other processes."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest
import weakref
from pathlib import Path

import support
import wsabi
import wsabi.aio
from loops import AioTestCase, on_uvloop, without_thread
from support import Recorder

URL = "ws://127.0.0.1:0/"


async def echo(ws: wsabi.aio.Connection) -> None:
    async for message in ws:
        await ws.send(message)


class Loops(AioTestCase):
    def test_an_exception_in_the_body_goes_on_and_closes_the_connection(self) -> None:
        async def main() -> None:
            for failure in (LookupError, asyncio.CancelledError, GeneratorExit):
                with self.assertRaises(failure):
                    async with wsabi.aio.connect(url) as ws:
                        raise failure
                self.assertIs(ws.ready_state, wsabi.ReadyState.CLOSED)
                self.assertEqual(ws.close_code, 1000)

        recorder = Recorder()
        url = support.url_of(self.server(**recorder.handlers()))
        self.run_on_loop(main())
        self.assertEqual(recorder.wait_for("close", 3), 3 * [(1000, "", True)])

    def test_an_exception_in_the_body_of_a_server_closes_it(self) -> None:
        async def main() -> None:
            with self.assertRaises(LookupError):
                async with wsabi.aio.serve(echo, URL) as server:
                    ws = await wsabi.aio.connect(f"ws://127.0.0.1:{server.port}/")
                    raise LookupError
            with self.assertRaises(wsabi.ConnectionClosedOK):
                await ws.recv()
            self.assertEqual(ws.close_code, 1001)

        self.run_on_loop(main())

    def test_a_body_that_is_cancelled_from_outside_closes_its_connection(self) -> None:
        async def body() -> None:
            async with wsabi.aio.connect(url) as ws:
                connections.append(ws)
                await ws.recv()

        async def main() -> None:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(body(), 0.1)
            [ws] = connections
            self.assertEqual(ws.close_code, 1000)

        connections: list[wsabi.aio.Connection] = []
        url = support.url_of(self.echo_server())
        while not connections:
            self.run_on_loop(main())

    def test_loops_on_several_threads_have_nothing_to_do_with_each_other(self) -> None:
        async def main(number: int) -> None:
            async with wsabi.aio.serve(echo, URL) as server:
                await asyncio.gather(
                    *(talk(f"ws://127.0.0.1:{server.port}/", number) for _ in range(5))
                )

        async def talk(url: str, number: int) -> None:
            async with wsabi.aio.connect(url) as ws:
                for index in range(100):
                    await ws.send(f"{number}:{index}")
                    self.assertEqual(await ws.recv(), f"{number}:{index}")

        support.run_threads(4, lambda number: self.run_on_loop(main(number)))

    def test_what_nobody_holds_is_collected_when_it_has_ended(self) -> None:
        async def main() -> None:
            references: list[weakref.ref[object]] = []
            server = await wsabi.aio.serve(echo, URL)
            for _ in range(3):
                ws = await wsabi.aio.connect(f"ws://127.0.0.1:{server.port}/")
                references += [weakref.ref(ws), *map(weakref.ref, server.connections)]
                await ws.close()
            references.append(weakref.ref(server))
            server.close()
            await server.wait_closed()
            del ws, server
            while any(reference() is not None for reference in references):
                await asyncio.sleep(0.001)
                gc.collect()

        self.run_on_loop(main())


class Programs(unittest.TestCase):
    def test_an_interrupt_ends_a_loop_that_waits(self) -> None:
        program = SERVING + (
            "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "async def main():\n"
            "    async with wsabi.aio.serve(echo, URL) as server:\n"
            "        async with wsabi.aio.connect(f'ws://127.0.0.1:{server.port}/') as ws:\n"
            "            print('waiting', flush=True)\n"
            "            await ws.recv()\n"
            "asyncio.run(main())\n"
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

    def test_the_interpreter_may_end_while_a_server_runs_on_another_thread(self) -> None:
        for _ in range(10):
            done = support.run_script(
                SERVING
                + textwrap.dedent("""
                import contextlib, threading
                async def main():
                    async with wsabi.aio.serve(echo, URL) as server:
                        url = f"ws://127.0.0.1:{server.port}/"
                        started.set_result(url)
                        async with wsabi.aio.connect(url) as ws:
                            # Its end is that of the interpreter.
                            with contextlib.suppress(wsabi.ConnectionClosed):
                                while True:
                                    await ws.send("x")
                                    await ws.recv()
                from concurrent.futures import Future
                started = Future()
                threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
                with wsabi.connect(started.result()) as ws:
                    ws.send("hello")
                    assert ws.recv() == "hello"
                """)
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_processes_that_are_spawned_or_forked_have_loops_of_their_own(self) -> None:
        program = textwrap.dedent("""
            import asyncio, multiprocessing, sys, wsabi.aio

            async def talk(url):
                async with wsabi.aio.connect(url) as ws:
                    await ws.send("hello")
                    return await ws.recv()

            def child(url):
                print(asyncio.run(talk(url)), flush=True)

            async def echo(ws):
                async for message in ws:
                    await ws.send(message)

            async def main():
                loop = asyncio.get_running_loop()
                async with wsabi.aio.serve(echo, "ws://127.0.0.1:0/") as server:
                    url = f"ws://127.0.0.1:{server.port}/"
                    print(await talk(url), flush=True)
                    context = multiprocessing.get_context(sys.argv[1])
                    process = context.Process(target=child, args=(url,))
                    process.start()
                    await loop.run_in_executor(None, process.join)
                    print(process.exitcode, await talk(url), flush=True)

            if __name__ == "__main__":
                asyncio.run(main())
        """)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "program.py"
            path.write_text(program)
            for method in ("fork", "spawn", "forkserver"):
                with self.subTest(method):
                    done = subprocess.run(
                        [sys.executable, str(path), method],
                        env=support.environment(),
                        capture_output=True,
                        text=True,
                        timeout=support.DEADLINE,
                    )
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    self.assertEqual(done.stdout, "hello\nhello\n0 hello\n")


SERVING = """
import asyncio, wsabi, wsabi.aio

URL = "ws://127.0.0.1:0/"

async def echo(ws):
    async for message in ws:
        await ws.send(message)

"""

LoopsOnUvloop = on_uvloop(Loops)
LoopsWithoutThread = without_thread(Loops)

if __name__ == "__main__":
    unittest.main()
