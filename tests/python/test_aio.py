"""The style of asyncio: wsabi.aio.connect, on the loop of asyncio and on uvloop if it is there."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import unittest
from typing import Any

import support
import wsabi
import wsabi.aio
from loops import AioTestCase, on_uvloop, without_thread


class Messages(AioTestCase):
    def test_text_and_bytes_come_back_as_they_were_sent(self) -> None:
        async def main() -> None:
            async with wsabi.aio.connect(url) as ws:
                for message in ("", "text", "Grüße, 世界", b"", b"bytes", bytes(1 << 20)):
                    await ws.send(message)
                    self.assertEqual(await ws.recv(), message)
                await ws.send(bytearray(b"array"))
                self.assertEqual(await ws.recv(), b"array")

        url = support.url_of(self.echo_server())
        self.run_on_loop(main())

    def test_many_connections_share_a_loop_and_a_thread(self) -> None:
        async def talk(number: int) -> None:
            async with wsabi.aio.connect(url) as ws:
                for index in range(20):
                    await ws.send(f"{number}:{index}")
                for index in range(20):
                    self.assertEqual(await ws.recv(), f"{number}:{index}")

        async def main() -> None:
            await talk(-1)
            self.assertEqual(len(support.native_threads() - before), self.threads)
            await asyncio.gather(*map(talk, range(50)))
            self.assertEqual(len(support.native_threads() - before), self.threads)

        url = support.url_of(self.echo_server())
        before = support.native_threads()
        self.run_on_loop(main())
        self.assertThreadsEnd(before)

    def test_each_message_goes_to_one_of_the_tasks_that_receive(self) -> None:
        async def main() -> None:
            async def receive() -> list[str | bytes]:
                return [message async for message in ws]

            async with wsabi.aio.connect(url) as ws:
                tasks = [asyncio.ensure_future(receive()) for _ in range(3)]
                for number in range(1000):
                    await ws.send(str(number))
                await ws.send("close")
                received = await asyncio.gather(*tasks)
            self.assertEqual(sorted(int(it) for part in received for it in part), list(range(1000)))

        def echo(ws: wsabi.WebSocket, data: str | bytes) -> None:
            if data == "close":
                ws.close()
            else:
                ws.send(data)

        url = support.url_of(self.server(on_message=echo))
        self.run_on_loop(main())

    def test_nobody_who_receives_holds_the_peer_back_and_loses_nothing(self) -> None:
        async def main() -> None:
            async with wsabi.aio.connect(url) as ws, wsabi.aio.connect(other) as free:
                with self.assertRaises(asyncio.TimeoutError):
                    # The answer is behind all of them.
                    await asyncio.wait_for(ws.ping(), 0.3)
                self.assertLess(len(ws.messages), 30)
                self.assertGreater(await free.ping(), 0)
                self.assertEqual([await ws.recv() for _ in messages], messages)
                self.assertGreater(await ws.ping(), 0)

        messages = [bytes([number]) * (1 << 20) for number in range(100)]
        server = self.server(
            on_open=lambda ws: [ws.send(it) for it in messages], max_buffered=1 << 28
        )
        url, other = support.url_of(server), support.url_of(self.server())
        self.run_on_loop(main())

    def test_send_waits_while_the_buffer_is_full_and_the_loop_goes_on(self) -> None:
        total = 64 << 20

        async def main(server: support.DeafServer) -> None:
            async def send() -> None:
                for _ in range(total >> 16):
                    await ws.send(bytes(1 << 16))

            ws = await wsabi.aio.connect(
                server.url, max_buffered=1 << 20, compression=False, close_timeout=0
            )
            sending = asyncio.ensure_future(send())
            done, _ = await asyncio.wait([sending], timeout=0.2)
            # All that is sent never fits into the buffers on the way.
            self.assertEqual(done, set())
            assert server.connection is not None
            server.connection.setblocking(False)
            left = total
            while left > 0:
                left -= len(await asyncio.get_running_loop().sock_recv(server.connection, 1 << 20))
            await sending
            await ws.close()

        with support.DeafServer() as server:
            self.run_on_loop(main(server))

    def test_pings_give_the_time_until_their_answers(self) -> None:
        async def main() -> None:
            async with wsabi.aio.connect(url) as ws:
                times = await asyncio.gather(
                    ws.ping(), ws.ping(b"same"), ws.ping(b"same"), ws.ping()
                )
                self.assertGreater(min(times), 0)
                with self.assertRaises(wsabi.ArgumentError):
                    await ws.ping(b"x" * 126)
                await asyncio.sleep(0)
                pending = asyncio.ensure_future(ws.ping())
                ws.abort()
                with self.assertRaises(wsabi.ClosedError):
                    while True:
                        await pending
                        pending = asyncio.ensure_future(ws.ping())

        url = support.url_of(self.server())
        self.run_on_loop(main())


class End(AioTestCase):
    def test_what_came_before_a_close_is_received_and_then_iteration_ends(self) -> None:
        async def main() -> None:
            ws = await wsabi.aio.connect(url)
            self.assertEqual([message async for message in ws], ["one", "two"])
            for call in (ws.recv, ws.ping, lambda: ws.send("x")):
                with self.assertRaises(wsabi.ConnectionClosedOK) as raised:
                    await call()
                closed = raised.exception
                self.assertEqual(
                    (closed.code, closed.reason, closed.was_clean), (1000, "that is all", True)
                )
            await ws.close()

        def farewell(ws: wsabi.WebSocket) -> None:
            ws.send("one")
            ws.send("two")
            ws.close(1000, "that is all")

        url = support.url_of(self.server(on_open=farewell))
        self.run_on_loop(main())

    def test_a_code_of_failure_and_a_lost_connection_are_errors(self) -> None:
        async def main() -> None:
            for word, code, was_clean in (("close", 1011, True), ("abort", 1006, False)):
                ws = await wsabi.aio.connect(url)
                await ws.send(word)
                with self.assertRaises(wsabi.ConnectionClosedError) as raised:
                    async for _ in ws:
                        pass
                closed = raised.exception
                self.assertEqual((closed.code, closed.was_clean), (code, was_clean))
                self.assertEqual(closed.__cause__ is None, was_clean)

        url = support.url_of(
            self.server(
                on_message=lambda ws, data: ws.close(1011) if data == "close" else ws.abort()
            )
        )
        self.run_on_loop(main())

    def test_a_close_gives_code_and_reason_and_ends_whoever_waits(self) -> None:
        async def main() -> None:
            ws = await wsabi.aio.connect(url)

            async def receive() -> list[str | bytes]:
                return [message async for message in ws]

            waiting = [asyncio.ensure_future(receive()) for _ in range(3)]
            await asyncio.sleep(0)
            await ws.close(3001, "enough")
            self.assertEqual(await asyncio.gather(*waiting), [[], [], []])

        closes = support.Recorder()
        server = self.server(on_close=lambda ws, *close: closes.add("close", *close))
        url = support.url_of(server)
        self.run_on_loop(main())
        self.assertEqual(closes.wait_for("close"), [(3001, "enough", True)])

    def test_connecting_raises_the_exception_of_the_status(self) -> None:
        async def main() -> None:
            for url, kind in urls.items():
                with self.subTest(url=url), self.assertRaises(kind) as raised:
                    await wsabi.aio.connect(url, connect_timeout=0.2)
                self.assertIs(type(raised.exception), kind)

        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            support.HttpServer((403, {}, "not you")) as server,
        ):
            urls: dict[str, type[wsabi.Error]] = {
                "ws://127.0.0.1:1/": wsabi.ConnectError,
                f"ws://{'a' * 64}.test/": wsabi.DnsError,
                "gopher://127.0.0.1/": wsabi.UrlError,
                server.url: wsabi.HttpError,
                f"ws://127.0.0.1:{silent.getsockname()[1]}/": wsabi.TimeoutError,
            }
            self.run_on_loop(main())

    def test_a_loop_that_ends_closes_what_is_left_with_1001(self) -> None:
        async def main() -> None:
            for _ in range(5):
                kept.append(await wsabi.aio.connect(url))

        kept: list[wsabi.aio.Connection] = []
        closes = support.Recorder()
        server = self.server(on_close=lambda ws, *close: closes.add("close", *close))
        url = support.url_of(server)
        before = support.native_threads()
        self.run_on_loop(main())
        self.assertEqual(closes.wait_for("close", 5), [(1001, "", True)] * 5)
        self.assertThreadsEnd(before)
        self.assertEqual({ws.ready_state for ws in kept}, {wsabi.ReadyState.CLOSED})

    def test_a_peer_that_does_not_answer_holds_the_end_of_the_loop_up_for_a_second(self) -> None:
        async def main(url: str) -> None:
            kept.append(await wsabi.aio.connect(url))

        kept: list[wsabi.aio.Connection] = []
        with support.DeafServer() as server:
            self.run_on_loop(main(server.url))
        self.assertEqual(kept[0].ready_state, wsabi.ReadyState.CLOSED)

    def test_loops_that_are_closed_without_a_word_leave_nothing(self) -> None:
        async def main() -> None:
            ws = await wsabi.aio.connect(url)
            await ws.send("x")
            await ws.recv()

        url = support.url_of(self.echo_server())
        before = support.native_threads()
        for _ in range(3):
            loop = self.new_loop()
            loop.run_until_complete(main())
            loop.close()
        del loop
        gc.collect()
        self.assertThreadsEnd(before)

    def test_a_connection_that_is_lost_is_made_anew_if_that_is_wanted(self) -> None:
        async def main() -> None:
            async with wsabi.aio.connect(url, reconnect=(0.01, 0.1, 0)) as ws:
                for number in range(1, 4):
                    self.assertEqual(await ws.recv(), f"hello {number}")
                    await ws.send("drop")
                self.assertEqual(await ws.recv(), "hello 4")
                await ws.send("still here")
                self.assertEqual(await ws.recv(), "still here")

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

        url = support.url_of(self.server(on_open=greet, on_message=drop))
        self.run_on_loop(main())


class Cancellation(AioTestCase):
    def test_no_message_is_lost_by_a_recv_that_is_cancelled(self) -> None:
        async def main() -> None:
            received: list[str | bytes] = []
            async with wsabi.aio.connect(url) as ws:
                turns = 0
                while len(received) < 500:
                    task = asyncio.ensure_future(ws.recv())
                    if await cancelled_after(turns % 5, task):
                        turns += 1
                    else:
                        received.append(task.result())
                        turns += 1
            self.assertEqual(received, [str(number) for number in range(500)])

        def count(ws: wsabi.WebSocket) -> None:
            for number in range(500):
                ws.send(str(number))

        url = support.url_of(self.server(on_open=count))
        self.run_on_loop(main())

    def test_the_turn_of_a_recv_that_is_cancelled_goes_to_the_next(self) -> None:
        async def main() -> None:
            async with wsabi.aio.connect(url) as ws:
                first = asyncio.ensure_future(ws.recv())
                second = asyncio.ensure_future(ws.recv())
                await asyncio.sleep(0)
                await ws.send("x")
                while not ws.messages:
                    await asyncio.sleep(0)
                first.cancel()
                self.assertEqual(await second, "x")

        url = support.url_of(self.echo_server())
        self.run_on_loop(main())

    def test_connecting_can_be_cancelled_at_any_moment(self) -> None:
        async def main() -> None:
            for turns in range(30):
                task = asyncio.ensure_future(wsabi.aio.connect(url).__aenter__())
                if not await cancelled_after(turns, task):
                    await task.result().close()
            async with wsabi.aio.connect(url) as ws:
                self.assertEqual(len(ws._hub._connections), 1)
                await ws.ping()

        url = support.url_of(self.server())
        self.run_on_loop(main())
        self.assertEqual(self.unraisable, [])

    def test_a_send_that_is_cancelled_has_sent_nothing(self) -> None:
        async def main(server: support.DeafServer) -> None:
            ws = await wsabi.aio.connect(
                server.url, max_buffered=1 << 20, compression=False, close_timeout=0
            )
            with self.assertRaises(asyncio.TimeoutError):
                while True:
                    await asyncio.wait_for(ws.send(bytes(1 << 19)), 0.05)
            before = ws.buffered_amount
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.send(bytes(1 << 19)), 0.05)
            self.assertLessEqual(ws.buffered_amount, before)
            await ws.close()

        with support.DeafServer() as server:
            self.run_on_loop(main(server))

    def test_a_ping_and_a_close_can_be_cancelled(self) -> None:
        async def main(server: support.DeafServer) -> None:
            ws = await wsabi.aio.connect(server.url, close_timeout=0.1)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.ping(), 0.01)
            self.assertEqual(ws._pings, [])
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.close(), 0.01)
            with self.assertRaises(wsabi.ConnectionClosedError):
                await ws.recv()
            self.assertEqual(ws.ready_state, wsabi.ReadyState.CLOSED)

        with support.DeafServer() as server:
            self.run_on_loop(main(server))


async def cancelled_after(turns: int, task: asyncio.Future[Any]) -> bool:
    """Cancels `task` after so many turns of the loop. Returns whether it was not done before."""
    for _ in range(turns):
        await asyncio.sleep(0)
    is_cancelled = task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return is_cancelled


MessagesOnUvloop = on_uvloop(Messages)
EndOnUvloop = on_uvloop(End)
CancellationOnUvloop = on_uvloop(Cancellation)
MessagesWithoutThread = without_thread(Messages)
EndWithoutThread = without_thread(End)
CancellationWithoutThread = without_thread(Cancellation)


if __name__ == "__main__":
    unittest.main()
