"""WebSocket connections that run on their own threads and call handlers.

    import wsabi

    with wsabi.Server("ws://127.0.0.1:0/", on_message=lambda ws, data: ws.send(data)) as server:
        with wsabi.WebSocket(
            f"ws://127.0.0.1:{server.port}/",
            on_open=lambda ws: ws.send("hello"),
            on_message=lambda ws, data: (print(data), ws.close()),
        ) as ws:
            ws.wait_closed()

The library is found by the environment variable WSABI_LIBRARY, beside this package, in the
checkout's target/release, or by the system, in this order.
"""

from __future__ import annotations

from wsabi import _ffi
from wsabi._errors import (
    ArgumentError,
    BufferFullError,
    ClosedError,
    ConnectError,
    Error,
    HandleError,
    ProtocolError,
    StateError,
    Status,
    UrlError,
)
from wsabi._options import Options
from wsabi._runtime import Runtime, default_runtime
from wsabi._server import Server
from wsabi._socket import ReadyState, WebSocket

__all__ = [
    "ArgumentError",
    "BufferFullError",
    "ClosedError",
    "ConnectError",
    "Error",
    "HandleError",
    "Options",
    "ProtocolError",
    "ReadyState",
    "Runtime",
    "Server",
    "StateError",
    "Status",
    "UrlError",
    "WebSocket",
    "default_runtime",
]

__version__: str = _ffi.wsabi_version().decode()
