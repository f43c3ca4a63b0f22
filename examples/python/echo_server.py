"""Sends every message back.

PYTHONPATH=bindings/python python3 examples/python/echo_server.py [PORT [CERT KEY]]

PORT 0, the default: a free one. Speaks TLS, under wss://, if there are a certificate and its
private key: two files in PEM. Prints its URL on the first line. Ends on SIGINT and SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import wsabi


def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
    try:
        ws.send(data)
    except wsabi.BufferFullError:
        # A client that sends without reading its echoes has filled the buffer.
        ws.close(1008, "too slow")
    except wsabi.ClosedError:
        pass


# Only sigwait below takes these.
signals = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)

port = sys.argv[1] if len(sys.argv) > 1 else "0"
scheme = "ws"
options = wsabi.Options()
try:
    if len(sys.argv) > 3:
        cert, key = (Path(it).read_text() for it in sys.argv[2:4])
        options["tls_identity"] = cert, key
        scheme = "wss"
    server = wsabi.Server(f"{scheme}://127.0.0.1:{port}/", on_message=on_message, **options)
except (OSError, wsabi.Error) as error:
    sys.exit(str(error))
print(f"{scheme}://127.0.0.1:{server.port}/", flush=True)

signal.sigwait(signals)
