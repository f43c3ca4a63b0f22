"""Both roles against the asyncio half of the package `websockets`."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import AsyncIterator
from typing import Any

import peers
import support
import websockets.asyncio.client as client
import wsabi
from peers import CLOSES, MESSAGES, asyncio_server
from support import Recorder, url_of


async def echo(peer: Any) -> None:
    async for message in peer:
        await peer.send(message)


class AsClient(support.TestCase):
    def test_every_length_comes_back_as_it_went(self) -> None:
        with asyncio_server(echo) as url:
            ws, recorder = self.connect_recorded(url)
            for message in MESSAGES:
                ws.send(message)
            self.assertEqual(
                [data for (data,) in recorder.wait_for("message", len(MESSAGES))],
                MESSAGES,
            )
            ws.close(1000, "done")
            self.assertEqual(recorder.wait_for("close"), [(1000, "done", True)])

    def test_messages_in_fragments(self) -> None:
        async def send_in_fragments(peer: Any) -> None:
            for message in MESSAGES:
                await peer.send([message[:1], message[:0], message[1:100], message[100:]])

        with asyncio_server(send_in_fragments) as url:
            _, recorder = self.connect_recorded(url)
            self.assertEqual(
                [data for (data,) in recorder.wait_for("message", len(MESSAGES))],
                MESSAGES,
            )
            recorder.wait_for("close")

    def test_messages_split_by_max_frame(self) -> None:
        pieces: list[int] = []

        async def count(peer: Any) -> None:
            for _ in range(2):
                parts = [part async for part in peer.recv_streaming()]
                pieces.append(len(parts))
                await peer.send(parts)

        messages: list[str | bytes] = [peers.text_of(1000), peers.binary_of(1000)]
        with asyncio_server(count, compression=None) as url:
            ws, recorder = self.connect_recorded(url, max_frame=7)
            for message in messages:
                ws.send(message)
            self.assertEqual([it for (it,) in recorder.wait_for("message", 2)], messages)
            recorder.wait_for("close")
        self.assertEqual(pieces, [143, 143])

    def test_pings_are_answered_with_their_payload_even_within_a_message(self) -> None:
        async def ping(peer: Any) -> None:
            for length in (0, 1, 125):
                await (await peer.ping(peers.binary_of(length)))

            async def parts() -> AsyncIterator[str]:
                yield "before "
                await (await peer.ping(b"between"))
                yield "after"

            await peer.send(parts())

        with asyncio_server(ping) as url:
            _, recorder = self.connect_recorded(url)
            self.assertEqual(recorder.wait_for("message"), [("before after",)])
            self.assertEqual(recorder.wait_for("close"), [(1000, "", True)])

    def test_keepalive_pings_a_quiet_peer(self) -> None:
        log = peers.FrameLog("< PING")
        with asyncio_server(echo, logger=log.logger, ping_interval=None) as url:
            ws, recorder = self.connect_recorded(url, ping_interval=0.01)
            for _ in range(3):
                self.assertTrue(log.seen.acquire(timeout=support.DEADLINE))
            ws.close()
            self.assertEqual(recorder.wait_for("close"), [(1000, "", True)])

    def test_codes_and_reasons_of_the_peer(self) -> None:
        closes = iter(CLOSES)

        async def close(peer: Any) -> None:
            await peer.close(*next(closes))

        with asyncio_server(close) as url:
            for code, reason in CLOSES:
                _, recorder = self.connect_recorded(url)
                self.assertEqual(recorder.wait_for("close"), [(code, reason, True)])
                self.assertEqual(recorder.kinds(), ["open", "close"])

    def test_codes_and_reasons_of_ours(self) -> None:
        at_peer = Recorder()

        async def wait(peer: Any) -> None:
            await peer.wait_closed()
            at_peer.add("close", peer.close_code, peer.close_reason)

        with asyncio_server(wait) as url:
            for number, (code, reason) in enumerate([*CLOSES, (None, "")], 1):
                ws, recorder = self.connect_recorded(url)
                ws.close(code, reason)
                seen = (code or 1005, reason)
                self.assertEqual(at_peer.wait_for("close", number)[-1], seen)
                self.assertEqual(recorder.wait_for("close"), [(*seen, True)])

    def test_a_peer_that_vanishes(self) -> None:
        async def vanish(peer: Any) -> None:
            await peer.recv()
            peer.transport.abort()

        with asyncio_server(vanish) as url:
            ws, recorder = self.connect_recorded(url)
            ws.send("vanish")
            self.assertEqual(recorder.wait_for("close"), [(1006, "", False)])
            [(error,)] = recorder.of("error")
            self.assertEqual(error.status, wsabi.Status.IO)

    def test_subprotocols(self) -> None:
        with asyncio_server(echo, subprotocols=["chat.v2", "chat.v1"]) as url:
            ws, _ = self.connect_recorded(url, subprotocols=["other", "chat.v1"])
            self.assertEqual(ws.protocol, "chat.v1")
            ws.close()
            recorder = Recorder()
            self.assertEnds(self.connect(url, subprotocols="alone", **recorder.handlers()))
            self.assertEqual(recorder.kinds(), ["error", "close"])
            self.assertIsInstance(recorder.of("error")[0][0], wsabi.ConnectError)

    def test_a_refused_upgrade_names_the_status(self) -> None:
        def refuse(peer: Any, request: Any) -> Any:
            return peer.respond(403, "not for you\n")

        recorder = Recorder()
        with asyncio_server(echo, process_request=refuse) as url:
            self.assertEnds(self.connect(url, **recorder.handlers()))
        [(error,)] = recorder.of("error")
        self.assertEqual(error.status, wsabi.Status.HTTP)
        self.assertIn("403", str(error))

    def test_a_message_over_the_limit_is_1009(self) -> None:
        at_peer = Recorder()

        async def send(peer: Any) -> None:
            await peer.send(bytes(1001))
            await peer.wait_closed()
            at_peer.add("close", peer.close_code)

        with asyncio_server(send, compression=None) as url:
            _, recorder = self.connect_recorded(url, max_message=1000)
            self.assertEqual(at_peer.wait_for("close"), [(1009,)])
            [(error,)] = recorder.wait_for("error")
            self.assertEqual(error.status, wsabi.Status.TOO_BIG)
            self.assertEqual(recorder.wait_for("close")[0][0], 1009)


class AsServer(support.TestCase):
    def test_every_length_comes_back_as_it_went(self) -> None:
        async def exchange(url: str) -> None:
            async with client.connect(url, max_size=None) as peer:
                for message in MESSAGES:
                    await peer.send(message)
                    self.assertEqual(await peer.recv(), message)

        at_server = Recorder()
        server = self.echo_server(on_close=at_server.handlers()["on_close"])
        asyncio.run(exchange(url_of(server)))
        self.assertEqual(at_server.wait_for("close"), [(1000, "", True)])

    def test_fragments_and_pings(self) -> None:
        async def exchange(url: str) -> None:
            async with client.connect(url, compression=None) as peer:

                async def parts() -> AsyncIterator[bytes]:
                    yield b"before "
                    await (await peer.ping(b"between"))
                    yield b"after"

                await peer.send(parts())
                received: list[Any] = [part async for part in peer.recv_streaming()]
                self.assertEqual(b"".join(received), b"before after")
                self.assertEqual(len(received), 3)

        asyncio.run(exchange(url_of(self.echo_server(max_frame=5))))

    def test_codes_and_reasons_both_ways(self) -> None:
        async def receive(url: str, code: int, reason: str) -> None:
            async with client.connect(url) as peer:
                await peer.send(f"{code} {reason}")
                await peer.wait_closed()
                self.assertEqual((peer.close_code, peer.close_reason), (code, reason))

        async def send(url: str, code: int, reason: str) -> None:
            peer = await client.connect(url)
            await peer.close(code, reason)

        def close(ws: wsabi.WebSocket, data: str | bytes) -> None:
            assert isinstance(data, str)
            code, _, reason = data.partition(" ")
            ws.close(int(code), reason)

        at_server = Recorder()
        server = self.server(on_message=close, on_close=at_server.handlers()["on_close"])
        for code, reason in CLOSES:
            asyncio.run(receive(url_of(server), code, reason))
            asyncio.run(send(url_of(server), code, reason))
        closes = at_server.wait_for("close", 2 * len(CLOSES))
        self.assertEqual(sorted(closes), sorted((*it, True) for it in CLOSES for _ in range(2)))

    def test_subprotocols(self) -> None:
        server = self.echo_server(subprotocols=["chat.v2", "chat.v1"])

        async def agree(offered: list[Any]) -> str | None:
            async with client.connect(url_of(server), subprotocols=offered) as peer:
                return peer.subprotocol

        self.assertEqual(asyncio.run(agree(["chat.v1", "other", "chat.v2"])), "chat.v2")
        self.assertEqual(asyncio.run(agree(["chat.v1"])), "chat.v1")
        self.assertEqual(asyncio.run(agree(["other"])), None)

    def test_a_server_that_closes_says_1001(self) -> None:
        opened = Recorder()
        server = self.server(on_open=opened.handlers()["on_open"])

        async def wait() -> int | None:
            async with client.connect(url_of(server)) as peer:
                await asyncio.to_thread(opened.wait_for, "open")
                server.close()
                await peer.wait_closed()
                return peer.close_code

        self.assertEqual(asyncio.run(wait()), 1001)
        self.assertEnds(server)
        with self.assertRaises(OSError):
            asyncio.run(wait())

    def test_many_clients_at_a_time(self) -> None:
        async def visit(url: str, number: int) -> None:
            async with client.connect(url) as peer:
                for turn in range(10):
                    await peer.send(f"{number}:{turn}")
                    self.assertEqual(await peer.recv(), f"{number}:{turn}")

        async def visit_all(url: str) -> None:
            await asyncio.gather(*(visit(url, number) for number in range(50)))

        asyncio.run(visit_all(url_of(self.echo_server())))


if __name__ == "__main__":
    unittest.main()
