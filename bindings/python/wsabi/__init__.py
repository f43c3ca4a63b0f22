"""WebSocket client and server. There are three styles; this one has no loop to write, since
connections run on the library's threads and call handlers:

    import wsabi

    with wsabi.Server("ws://127.0.0.1:0/", on_message=lambda ws, data: ws.send(data)) as server:
        with wsabi.WebSocket(
            f"ws://127.0.0.1:{server.port}/",
            on_open=lambda ws: ws.send("hello"),
            on_message=lambda ws, data: (print(data), ws.close()),
        ) as ws:
            ws.wait_closed()

The blocking style, for clients:

    with wsabi.connect("ws://127.0.0.1:8080/") as ws:
        ws.send("hello")
        print(ws.recv(timeout=5))

And asyncio, for clients and servers: see `wsabi.aio`.

The library is found by the environment variable WSABI_LIBRARY, beside this package, in the
checkout's target/release, or by the system, in this order.
"""

from __future__ import annotations

from wsabi import _ffi
from wsabi._base import ReadyState, Stats
from wsabi._connection import Connection, connect
from wsabi._errors import (
    AbortedError,
    ArgumentError,
    BufferFullError,
    ClosedError,
    ConnectError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    DnsError,
    EncodingError,
    Error,
    ForkedError,
    HandleError,
    HandshakeError,
    HttpError,
    InternalError,
    IoError,
    ProtocolError,
    ProxyError,
    ResourceError,
    StateError,
    Status,
    TimeoutError,
    TlsError,
    TooBigError,
    UrlError,
)
from wsabi._options import Options
from wsabi._runtime import Runtime, default_runtime
from wsabi._server import Request, Server
from wsabi._socket import WebSocket

__all__ = [
    "AbortedError",
    "ArgumentError",
    "BufferFullError",
    "ClosedError",
    "ConnectError",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "DnsError",
    "EncodingError",
    "Error",
    "ForkedError",
    "HandleError",
    "HandshakeError",
    "HttpError",
    "InternalError",
    "IoError",
    "Options",
    "ProtocolError",
    "ProxyError",
    "ReadyState",
    "Request",
    "ResourceError",
    "Runtime",
    "Server",
    "StateError",
    "Stats",
    "Status",
    "TimeoutError",
    "TlsError",
    "TooBigError",
    "UrlError",
    "WebSocket",
    "connect",
    "default_runtime",
]

__version__: str = _ffi.wsabi_version().decode()
