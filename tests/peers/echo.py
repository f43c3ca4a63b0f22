"""Sends every message back through the package websockets, in random pieces and with pings
between them.

usage: echo.py server SEED COMPRESSION [CERT KEY]
       echo.py client SEED COMPRESSION URL [CA]

SEED is of the random numbers; COMPRESSION is "deflate" or "none" or, for a client, the window of
the server and whether that may refer to earlier messages, such as "15,true". A server prints its
port, and ends after its first connection. With files in PEM, everything is through TLS.
"""

import asyncio
import random
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


class Echo:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.done = asyncio.Event()

    async def run(self, connection):
        try:
            async for message in connection:
                if self.random.random() < 0.5:
                    await connection.send(message)
                else:
                    await connection.send(self.pieces(connection, message))
        except ConnectionClosed:
            pass
        finally:
            self.done.set()

    async def pieces(self, connection, message):
        """Cuts a message, which may be empty, into at least one piece."""
        count = self.random.randint(1, 6)
        cuts = sorted(self.random.randint(0, len(message)) for _ in range(count))
        for start, end in zip([0, *cuts], [*cuts, len(message)]):
            yield message[start:end]
            if self.random.random() < 0.3:
                await connection.ping()


def extensions(demand):
    window, takeover = demand.split(",")
    return [
        ClientPerMessageDeflateFactory(
            server_no_context_takeover=takeover == "false",
            server_max_window_bits=None if window == "15" else int(window),
            client_max_window_bits=True,
        )
    ]


async def main():
    role, seed, compression = sys.argv[1:4]
    echo = Echo(int(seed))
    settings = {
        "compression": "deflate" if compression == "deflate" else None,
        "max_size": None,
        "ping_interval": None,
        "open_timeout": 30,
    }
    if role == "client":
        url, *ca = sys.argv[4:]
        if "," in compression:
            settings["extensions"] = extensions(compression)
        if ca:
            settings["ssl"] = ssl.create_default_context(cafile=ca[0])
        async with connect(url, **settings) as connection:
            await echo.run(connection)
        return
    if identity := sys.argv[4:]:
        settings["ssl"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        settings["ssl"].load_cert_chain(*identity)
    async with serve(echo.run, "127.0.0.1", 0, **settings) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await echo.done.wait()


asyncio.run(main())
