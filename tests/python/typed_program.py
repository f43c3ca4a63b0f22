"""A program in all styles, which test_types.py has mypy check: what it gets has the types that it
expects, and what is wrong is refused. It is not run."""

from __future__ import annotations

from typing import Union

import wsabi
import wsabi.aio
from typing_extensions import assert_type


def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
    ws.send(data)
    ws.send(memoryview(b"view"), plain=True)
    ws.send(5)  # type: ignore[arg-type]
    assert_type(ws.send_many(["text", b"bytes"]), int)
    ws.send_fragment("text", fin=True)
    assert_type(ws.stats().round_trip, Union[float, None])
    assert_type(ws.ready_state, wsabi.ReadyState)
    assert_type(ws.response_header("name"), str)


def on_close(ws: wsabi.WebSocket, code: int, reason: str, was_clean: bool) -> None:
    ws.close(code, reason)


def on_drain(ws: wsabi.WebSocket) -> None:
    ws.resume()


def handlers(options: wsabi.Options) -> None:
    with wsabi.Server(
        "ws://127.0.0.1:0/",
        on_request=lambda request: assert_type(request.accept(), wsabi.WebSocket),
        on_message=on_message,
        **options,
    ) as server:
        assert_type(server.port, int)
        with wsabi.WebSocket(
            "ws://127.0.0.1/", on_message=on_message, on_close=on_close, on_drain=on_drain
        ) as ws:
            assert_type(ws.wait_closed(timeout=1), bool)
    wsabi.WebSocket("ws://127.0.0.1/", on_close=on_message)  # type: ignore[arg-type]
    wsabi.WebSocket("ws://127.0.0.1/", on_drain=None, low_water="1")  # type: ignore[arg-type]
    wsabi.WebSocket("ws://127.0.0.1/", no_such_option=1)  # type: ignore[call-arg]


def blocking() -> None:
    with wsabi.connect("ws://127.0.0.1/", headers={"a": "b"}, reconnect=(0.5, 30, 0)) as ws:
        assert_type(ws, wsabi.Connection)
        ws.send("text")
        ws.send_many(["text"], plain=True)
        assert_type(ws.recv(timeout=1), Union[str, bytes])
        assert_type(ws.ping(), float)
        for message in ws:
            assert_type(message, Union[str, bytes])
    try:
        ws.send(b"bytes")
    except wsabi.ConnectionClosed as closed:
        assert_type(closed.code, int)
        assert_type(closed.reason, str)
        assert_type(closed.was_clean, bool)


async def asyncio_style() -> None:
    async with wsabi.aio.connect("ws://127.0.0.1/", subprotocols="chat") as ws:
        assert_type(ws, wsabi.aio.Connection)
        await ws.send(bytearray(b"bytes"))
        assert_type(await ws.recv(), Union[str, bytes])
        assert_type(await ws.ping(), float)
        async for message in ws:
            assert_type(message, Union[str, bytes])
    ws = await wsabi.aio.connect("ws://127.0.0.1/")
    assert_type(ws.close_code, Union[int, None])


async def handler(ws: wsabi.aio.Connection) -> None:
    async for message in ws:
        await ws.send(message)


async def on_request(request: wsabi.aio.Request) -> None:
    request.accept(request.subprotocols[0], user_data=request.target)


async def asyncio_server() -> None:
    async with wsabi.aio.serve(
        handler, "ws://127.0.0.1:0/", on_request=on_request, max_connections=5
    ) as server:
        assert_type(server.port, int)
        assert_type(server.connections, set[wsabi.aio.Connection])
        await server.wait_closed()
    await wsabi.aio.serve(on_request, "ws://127.0.0.1:0/")  # type: ignore[arg-type]
