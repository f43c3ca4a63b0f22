"""Measures the styles of the binding, and other packages where they are installed (picows,
websockets, aiohttp): what a received message of 64 bytes costs, and what a message there and back.

    make shared
    PYTHONPATH=bindings/python python3 benches/python/styles.py [ROUNDS]

CPU is that of this process, threads of the library included, in microseconds. The server is a
process of its own, and is the same for all. The best of ROUNDS rounds counts, 3 by default, and in
each round everything has its turn, so that they share the weather.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Callable

import wsabi
import wsabi.aio

FLOOD = 200_000
ECHOES = 5_000
PAYLOAD = b"x" * 64


class Meter:
    """CPU and wall time since `start`, for each of `count` messages, in microseconds."""

    def __init__(self, count: int) -> None:
        self._count = count

    def start(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        self.cpu = (time.process_time() - self._cpu) * 1e6 / self._count
        self.wall = (time.perf_counter() - self._wall) * 1e6 / self._count


def blocking_flood(url: str, meter: Meter) -> None:
    with wsabi.connect(url) as ws:
        ws.recv()
        meter.start()
        for _ in range(FLOOD):
            ws.recv()
        meter.stop()


def blocking_echo(url: str, meter: Meter) -> None:
    with wsabi.connect(url) as ws:
        meter.start()
        for _ in range(ECHOES):
            ws.send(PAYLOAD)
            ws.recv()
        meter.stop()


def blocking_iteration_flood(url: str, meter: Meter) -> None:
    with wsabi.connect(url) as ws:
        ws.recv()
        meter.start()
        for _ in zip(range(FLOOD), ws):
            pass
        meter.stop()


def handlers_flood(url: str, meter: Meter) -> None:
    left = FLOOD + 1
    done = threading.Event()

    def on_message(_ws: wsabi.WebSocket, _data: str | bytes) -> None:
        nonlocal left
        if left == FLOOD + 1:
            meter.start()
        left -= 1
        if left == 0:
            meter.stop()
            done.set()

    with wsabi.WebSocket(url, on_message=on_message):
        done.wait()


def handlers_echo(url: str, meter: Meter) -> None:
    left = ECHOES
    done = threading.Event()

    def on_open(ws: wsabi.WebSocket) -> None:
        meter.start()
        ws.send(PAYLOAD)

    def on_message(ws: wsabi.WebSocket, _data: str | bytes) -> None:
        nonlocal left
        left -= 1
        if left:
            ws.send(PAYLOAD)
        else:
            meter.stop()
            done.set()

    with wsabi.WebSocket(url, on_open=on_open, on_message=on_message):
        done.wait()


async def aio_flood(url: str, meter: Meter, thread: bool = True) -> None:
    async with wsabi.aio.connect(url, thread=thread) as ws:
        await ws.recv()
        meter.start()
        left = FLOOD
        async for _ in ws:
            left -= 1
            if not left:
                break
        meter.stop()


async def aio_echo(url: str, meter: Meter, thread: bool = True) -> None:
    async with wsabi.aio.connect(url, thread=thread) as ws:
        meter.start()
        for _ in range(ECHOES):
            await ws.send(PAYLOAD)
            await ws.recv()
        meter.stop()


JOBS: list[tuple[str, Callable[[str, Meter], object], Callable[[str, Meter], object]]] = [
    ("wsabi, handlers", handlers_flood, handlers_echo),
    ("wsabi.connect, recv", blocking_flood, blocking_echo),
    ("wsabi.connect, for", blocking_iteration_flood, blocking_echo),
    ("wsabi.aio", aio_flood, aio_echo),
    (
        "wsabi.aio, thread=False",
        lambda url, meter: aio_flood(url, meter, thread=False),
        lambda url, meter: aio_echo(url, meter, thread=False),
    ),
]

try:
    import picows

    class Listener(picows.WSListener):  # type: ignore[misc]
        def __init__(self, meter: Meter, count: int, is_echo: bool) -> None:
            self._meter, self._left, self._is_echo = meter, count, is_echo

        def on_ws_connected(self, transport: picows.WSTransport) -> None:
            if self._is_echo:
                self._meter.start()
                transport.send(picows.WSMsgType.BINARY, PAYLOAD)

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            frame.get_payload_as_bytes()
            if not self._is_echo and self._left == FLOOD + 1:
                self._meter.start()
            self._left -= 1
            if not self._left:
                self._meter.stop()
                transport.disconnect()
            elif self._is_echo:
                transport.send(picows.WSMsgType.BINARY, PAYLOAD)

    async def picows_run(url: str, meter: Meter, count: int, is_echo: bool) -> None:
        transport, _ = await picows.ws_connect(lambda: Listener(meter, count, is_echo), url)
        await transport.wait_disconnected()

    JOBS.append(
        (
            "picows",
            lambda url, meter: picows_run(url, meter, FLOOD + 1, False),
            lambda url, meter: picows_run(url, meter, ECHOES, True),
        )
    )
except ImportError:
    pass

try:
    import websockets.asyncio.client
    import websockets.sync.client

    async def websockets_flood(url: str, meter: Meter) -> None:
        async with websockets.asyncio.client.connect(url, compression=None) as ws:
            await ws.recv()
            meter.start()
            for _ in range(FLOOD):
                await ws.recv()
            meter.stop()

    async def websockets_echo(url: str, meter: Meter) -> None:
        async with websockets.asyncio.client.connect(url, compression=None) as ws:
            meter.start()
            for _ in range(ECHOES):
                await ws.send(PAYLOAD)
                await ws.recv()
            meter.stop()

    def websockets_sync_flood(url: str, meter: Meter) -> None:
        with websockets.sync.client.connect(url, compression=None) as ws:
            ws.recv()
            meter.start()
            for _ in range(FLOOD):
                ws.recv()
            meter.stop()

    def websockets_sync_echo(url: str, meter: Meter) -> None:
        with websockets.sync.client.connect(url, compression=None) as ws:
            meter.start()
            for _ in range(ECHOES):
                ws.send(PAYLOAD)
                ws.recv()
            meter.stop()

    JOBS.append(("websockets.asyncio", websockets_flood, websockets_echo))
    JOBS.append(("websockets.sync", websockets_sync_flood, websockets_sync_echo))
except ImportError:
    pass

try:
    import aiohttp

    async def aiohttp_flood(url: str, meter: Meter) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
            await ws.receive()
            meter.start()
            for _ in range(FLOOD):
                await ws.receive()
            meter.stop()

    async def aiohttp_echo(url: str, meter: Meter) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as ws:
            meter.start()
            for _ in range(ECHOES):
                await ws.send_bytes(PAYLOAD)
                await ws.receive()
            meter.stop()

    JOBS.append(("aiohttp", aiohttp_flood, aiohttp_echo))
except ImportError:
    pass


def main(rounds: int) -> None:
    port_out, port_in = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(port_in,), daemon=True)
    server.start()
    url = f"ws://127.0.0.1:{port_out.recv()}"
    best: dict[tuple[str, str], Meter] = {}
    for _ in range(rounds):
        for name, flood, echo in JOBS:
            for job, what, count in ((flood, "flood", FLOOD), (echo, "echo", ECHOES)):
                meter = Meter(count)
                running = job(f"{url}/{what}", meter)
                if asyncio.iscoroutine(running):
                    asyncio.run(running)
                if (name, what) not in best or meter.cpu < best[name, what].cpu:
                    best[name, what] = meter
    server.kill()
    print(f"{'64 bytes, us a message':24} {'flood cpu':>9} {'wall':>6} {'echo cpu':>9} {'wall':>6}")
    for name, _, _ in JOBS:
        flood_meter, echo_meter = best[name, "flood"], best[name, "echo"]
        print(
            f"{name:24} {flood_meter.cpu:9.2f} {flood_meter.wall:6.2f}"
            f" {echo_meter.cpu:9.1f} {echo_meter.wall:6.1f}"
        )


def serve(port: multiprocessing.connection.Connection) -> None:
    """A server that knows two paths: /flood sends as fast as it can, /echo sends back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    key = next(value for name, value in fields.items() if name.lower() == b"sec-websocket-key")
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )
    try:
        if b"/flood" in head.split(b"\r\n")[0]:
            frames = (b"\x82\x40" + PAYLOAD) * 1000
            for _ in range(FLOOD // 1000 + 1):
                connection.sendall(frames)
        echo(connection)
    except OSError:
        pass
    finally:
        connection.close()


def echo(connection: socket.socket) -> None:
    """Sends frames of 64 bytes back until a Close frame comes."""
    received = b""
    while data := connection.recv(65536):
        received += data
        while len(received) >= 70 and received[0] == 0x82:
            mask = int.from_bytes(received[2:6] * 16, "big")
            payload = int.from_bytes(received[6:70], "big") ^ mask
            connection.sendall(b"\x82\x40" + payload.to_bytes(64, "big"))
            received = received[70:]
        if received[:1] == b"\x88":
            connection.sendall(b"\x88\x02\x03\xe8")
            return


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
