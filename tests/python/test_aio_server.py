"""Servers of the style of asyncio: wsabi.aio.serve, on the loop of asyncio and on uvloop."""

from __future__ import annotations

import asyncio
import contextlib
import unittest
from typing import Any

import support
import wsabi
import wsabi.aio
from loops import AioTestCase, on_uvloop, without_thread

URL = "ws://127.0.0.1:0/"


async def echo(ws: wsabi.aio.Connection) -> None:
    async for message in ws:
        await ws.send(message)


def url_of(server: wsabi.aio.Server) -> str:
    return f"ws://127.0.0.1:{server.port}/"


class Serving(AioTestCase):
    def test_every_connection_has_its_handler(self) -> None:
        async def talk(url: str, number: int) -> None:
            async with wsabi.aio.connect(url) as ws:
                for index in range(20):
                    await ws.send(f"{number}:{index}")
                for index in range(20):
                    self.assertEqual(await ws.recv(), f"{number}:{index}")

        async def main() -> None:
            async with wsabi.aio.serve(echo, URL) as server:
                await asyncio.gather(*(talk(url_of(server), number) for number in range(50)))
                while server.connections:
                    await asyncio.sleep(0)

        before = support.native_threads()
        self.run_on_loop(main())
        self.assertThreadsEnd(before)

    def test_messages_of_all_lengths_come_back_to_other_clients(self) -> None:
        async def main() -> None:
            async with wsabi.aio.serve(echo, URL) as server:
                await asyncio.get_running_loop().run_in_executor(None, talk, url_of(server))

        def talk(url: str) -> None:
            with wsabi.connect(url) as ws:
                for message in (
                    "",
                    "text",
                    b"",
                    b"\0" * 70_000,
                    "\u00e4" * 300_000,
                    bytes(1 << 20),
                ):
                    ws.send(message)
                    self.assertEqual(ws.recv(support.DEADLINE), message)
            self.assertEqual((ws.close_code, ws.close_reason), (1000, ""))

        self.run_on_loop(main())

    def test_a_server_may_send_first(self) -> None:
        async def greet(ws: wsabi.aio.Connection) -> None:
            self.assertTrue(ws.peer_address.startswith("127.0.0.1:"))
            self.assertEqual(ws.protocol, "b")
            await ws.send("hello")
            self.assertGreater(await ws.ping(), 0)

        async def main() -> None:
            async with (
                wsabi.aio.serve(greet, URL, subprotocols="b") as server,
                wsabi.aio.connect(url_of(server), subprotocols=["a", "b"]) as ws,
            ):
                # The handler returns, which closes the connection.
                self.assertEqual([message async for message in ws], ["hello"])
                self.assertEqual((ws.close_code, ws.close_reason), (1000, ""))

        self.run_on_loop(main())

    def test_an_exception_in_a_handler_is_1011_and_is_reported(self) -> None:
        async def fail(ws: wsabi.aio.Connection) -> None:
            raise LookupError(await ws.recv())

        async def main() -> None:
            async with wsabi.aio.serve(fail, URL) as server:
                for number in range(2):
                    ws = await wsabi.aio.connect(url_of(server))
                    await ws.send(str(number))
                    with self.assertRaises(wsabi.ConnectionClosedError) as raised:
                        await ws.recv()
                    self.assertEqual(
                        (raised.exception.code, raised.exception.was_clean), (1011, True)
                    )

        self.run_on_loop(main())
        reported = [context["exception"] for context in self.reports()]
        self.assertEqual([str(it) for it in reported], [str(LookupError(it)) for it in "01"])
        self.unraisable.clear()

    def test_a_client_that_goes_ends_its_handler_without_a_report(self) -> None:
        ended: list[wsabi.ConnectionClosed] = []

        async def receive(ws: wsabi.aio.Connection) -> None:
            try:
                await ws.recv()
            except wsabi.ConnectionClosed as closed:
                ended.append(closed)
                raise

        async def main() -> None:
            async with wsabi.aio.serve(receive, URL) as server:
                for leave in (lambda ws: ws.close(4000, "bye"), abort):
                    await leave(await wsabi.aio.connect(url_of(server)))
                while len(ended) < 2:
                    await asyncio.sleep(0.001)

        async def abort(ws: wsabi.aio.Connection) -> None:
            ws.abort()

        self.run_on_loop(main())
        how = sorted((it.code, it.reason, it.was_clean) for it in ended)
        self.assertEqual(how, [(1006, "", False), (4000, "bye", True)])

    def test_close_says_1001_and_waits_for_the_handlers(self) -> None:
        ended = []

        async def receive(ws: wsabi.aio.Connection) -> None:
            self.assertEqual([message async for message in ws], [])
            await asyncio.sleep(0.01)
            ended.append(ws)

        async def main() -> None:
            async with wsabi.aio.serve(receive, URL) as server:
                clients = [await wsabi.aio.connect(url_of(server)) for _ in range(5)]
                while len(server.connections) < 5:
                    await asyncio.sleep(0)
            self.assertEqual(len(ended), 5)
            for ws in clients:
                with self.assertRaises(wsabi.ConnectionClosedOK):
                    await ws.recv()
                self.assertEqual(ws.close_code, 1001)
            with self.assertRaises(wsabi.ConnectError):
                await wsabi.aio.connect(url_of(server))
            server.close()
            await server.wait_closed()

        self.run_on_loop(main())

    def test_without_a_context_a_server_lives_until_its_loop_ends(self) -> None:
        async def main() -> None:
            server = await wsabi.aio.serve(echo, URL)
            self.ws = await wsabi.aio.connect(url_of(server))
            await self.ws.send("hello")
            self.assertEqual(await self.ws.recv(), "hello")

        self.run_on_loop(main())
        self.assertIs(self.ws.ready_state, wsabi.ReadyState.CLOSED)

    def test_waiting_for_the_end_can_be_cancelled(self) -> None:
        async def main() -> None:
            async with wsabi.aio.serve(echo, URL) as server:
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(server.wait_closed(), 0.01)
                async with wsabi.aio.connect(url_of(server)) as ws:
                    await ws.send("still there")
                    self.assertEqual(await ws.recv(), "still there")

        self.run_on_loop(main())

    def test_what_cannot_be_listened_at_is_refused(self) -> None:
        async def main() -> None:
            for url, kind in (
                ("http:", wsabi.UrlError),
                ("wss://127.0.0.1:0/", wsabi.ArgumentError),
            ):
                with self.assertRaises(kind):
                    await wsabi.aio.serve(echo, url)
            async with wsabi.aio.serve(echo, URL) as server:
                with self.assertRaises(wsabi.ConnectError):
                    await wsabi.aio.serve(echo, url_of(server))

        self.run_on_loop(main())

    def test_messages_are_published_to_who_subscribes(self) -> None:
        async def subscribe(ws: wsabi.aio.Connection) -> None:
            async for topic in ws:
                ws.subscribe(str(topic))
                await ws.send("done")

        async def main() -> None:
            async with wsabi.aio.serve(subscribe, URL, slow_subscribers="close") as server:
                clients = [await wsabi.aio.connect(url_of(server)) for _ in range(4)]
                for number, ws in enumerate(clients):
                    await ws.send(f"topic {number % 2}")
                    self.assertEqual(await ws.recv(), "done")
                self.assertEqual(server.publish("even", "topic 0"), 2)
                self.assertEqual(server.publish(b"all"), 4)
                for number, ws in enumerate(clients):
                    if number % 2 == 0:
                        self.assertEqual(await ws.recv(), "even")
                    self.assertEqual(await ws.recv(), b"all")
                    with self.assertRaises(wsabi.ArgumentError):
                        ws.subscribe("topic 0")

        self.run_on_loop(main())

    def test_tls(self) -> None:
        identity = support.certificate("here", "cert"), support.certificate("here", "key")

        async def main() -> None:
            url = URL.replace("ws:", "wss:")
            async with wsabi.aio.serve(echo, url, tls_identity=identity) as server:
                ca = support.certificate("here", "ca")
                at = url_of(server).replace("ws:", "wss:")
                for _ in range(2):
                    async with wsabi.aio.connect(at, tls_ca=ca) as ws:
                        await ws.send("secret")
                        self.assertEqual(await ws.recv(), "secret")
                    server.set_tls(tls_identity=identity)
                elsewhere = tuple(support.certificate("elsewhere", it) for it in ("cert", "key"))
                server.set_tls(tls_identity=elsewhere)
                with self.assertRaises(wsabi.TlsError):
                    await wsabi.aio.connect(at, tls_ca=ca)

        self.run_on_loop(main())

    def reports(self) -> list[dict[str, Any]]:
        """What the loop's exception handler was told."""
        return [it for it in self.unraisable if isinstance(it, dict)]


class Requests(AioTestCase):
    def test_a_coroutine_lets_in_whom_it_likes(self) -> None:
        async def on_request(request: wsabi.aio.Request) -> None:
            # Whom to let in may take a while to find out.
            await asyncio.sleep(0.001)
            if request.header("Authorization") == "Bearer x":
                request.add_header("X-Welcome", "yes")
                request.accept(request.subprotocols[0], user_data=request.target)
            else:
                request.reject(401, "who are you?")

        async def handler(ws: wsabi.aio.Connection) -> None:
            await ws.send(ws.user_data)
            await ws.recv()

        async def main() -> None:
            async with wsabi.aio.serve(handler, URL, on_request=on_request) as server:
                with self.assertRaises(wsabi.HttpError) as raised:
                    await wsabi.aio.connect(url_of(server))
                error = raised.exception
                self.assertEqual(
                    (error.response_status, error.response_body), (401, "who are you?")
                )
                async with wsabi.aio.connect(
                    url_of(server) + "path?query",
                    headers={"Authorization": "Bearer x"},
                    subprotocols="chat",
                ) as ws:
                    self.assertEqual(await ws.recv(), "/path?query")
                    self.assertEqual(ws.protocol, "chat")
                    self.assertEqual(ws.response_header("x-welcome"), "yes")

        self.run_on_loop(main())

    def test_an_exception_is_reported_and_refuses(self) -> None:
        async def on_request(request: wsabi.aio.Request) -> None:
            raise LookupError("a defect")

        async def main() -> None:
            async with wsabi.aio.serve(echo, URL, on_request=on_request) as server:
                with self.assertRaises(wsabi.HttpError) as raised:
                    await wsabi.aio.connect(url_of(server))
                self.assertEqual(raised.exception.response_status, 500)

        self.run_on_loop(main())
        self.assertEqual(len(self.unraisable), 1)
        self.unraisable.clear()

    def test_clients_that_leave_before_they_are_let_in_leave_nothing(self) -> None:
        requests: list[wsabi.aio.Request] = []

        async def on_request(request: wsabi.aio.Request) -> None:
            requests.append(request)
            await asyncio.sleep(0.005)
            with contextlib.suppress(wsabi.HandleError):
                request.accept()

        async def main() -> None:
            async with wsabi.aio.serve(echo, URL, on_request=on_request) as server:
                for delay in range(1, 21):
                    task = asyncio.ensure_future(self.connect_and_abort(url_of(server)))
                    while len(requests) < delay:
                        await asyncio.sleep(0)
                    await asyncio.sleep(delay / 2000)
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                await wsabi.aio.connect(url_of(server))
            self.assertEqual(server.connections, set())

        self.run_on_loop(main())

    async def connect_and_abort(self, url: str) -> None:
        (await wsabi.aio.connect(url)).abort()


ServingOnUvloop = on_uvloop(Serving)
RequestsOnUvloop = on_uvloop(Requests)
ServingWithoutThread = without_thread(Serving)
RequestsWithoutThread = without_thread(Requests)

if __name__ == "__main__":
    unittest.main()
