"""The WebSocket tutorial's client on asyncio: says who it is, prints what the server says.

PYTHONPATH=bindings/python python3 examples/python/aio_client.py ws://127.0.0.1:8080/
"""

from __future__ import annotations

import asyncio
import sys

import wsabi
import wsabi.aio


async def main(url: str) -> int:
    try:
        ws = await wsabi.aio.connect(url)
    except wsabi.UrlError as error:
        sys.exit(str(error))
    except wsabi.Error as error:
        print(f"[error] {error}")
        print("[close] Connection died")
        return 1
    print("[open] Connection established")
    print("Sending to server")
    try:
        await ws.send("John")
        while True:
            data = await ws.recv()
            print(f"[message] Data received from server: {data!s}")
    except wsabi.ConnectionClosedOK as closed:
        print(f"[close] Connection closed cleanly, code={closed.code} reason={closed.reason}")
        return 0
    except wsabi.ConnectionClosed as closed:
        if closed.__cause__ is not None:
            print(f"[error] {closed.__cause__}")
        print("[close] Connection died")
        return 1


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} URL")
# Each line appears as it happens, into a pipe as well.
sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
sys.exit(asyncio.run(main(sys.argv[1])))
