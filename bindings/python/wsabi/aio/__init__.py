"""WebSocket connections for asyncio.

    import asyncio
    import wsabi.aio

    async def main():
        async with wsabi.aio.connect("ws://127.0.0.1:8080/") as ws:
            await ws.send("John")
            async for message in ws:
                print(message)

    asyncio.run(main())

A server runs a coroutine for each connection:

    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    async with wsabi.aio.serve(echo, "ws://127.0.0.1:8080/") as server:
        await server.wait_closed()

The loop watches a descriptor of the library: no thread runs Python. It can be any loop that has
`add_reader`, such as that of asyncio on Linux and macOS, and uvloop. Objects belong to the loop on
which they were made, and to its thread.
"""

from __future__ import annotations

from wsabi.aio._connection import Connection, connect
from wsabi.aio._server import Request, Server, serve

__all__ = ["Connection", "Request", "Server", "connect", "serve"]
