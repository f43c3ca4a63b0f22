"""Sends every message back, under wss:// only, and takes a renewed certificate while it runs.

PYTHONPATH=bindings/python python3 examples/python/tls_server.py CERT KEY [PORT]

CERT and KEY are the certificate, with what leads to its authority, and its private key: two files
in PEM. SIGHUP has them read again, for the connections that come from then on; if they cannot be
used, the server goes on with what it has. PORT 0, the default: a free one. Prints its URL on the
first line. Ends on SIGINT and SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import wsabi


def on_open(ws: wsabi.WebSocket) -> None:
    print(f"{ws.peer_address}: {ws.tls_version}, {ws.tls_cipher}")


def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
    try:
        ws.send(data)
    except wsabi.BufferFullError:
        # A client that sends without reading its echoes has filled the buffer.
        ws.close(1008, "too slow")
    except wsabi.ClosedError:
        pass


def read_identity() -> tuple[str, str]:
    """The certificate and its key, as the library takes them."""
    return Path(sys.argv[1]).read_text(), Path(sys.argv[2]).read_text()


if not 3 <= len(sys.argv) <= 4:
    sys.exit(f"usage: {sys.argv[0]} CERT KEY [PORT]")
# Each line appears as it happens, into a pipe as well.
sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
# Only sigwait below takes these.
signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)

port = sys.argv[3] if len(sys.argv) > 3 else "0"
try:
    server = wsabi.Server(
        f"wss://127.0.0.1:{port}/",
        on_open=on_open,
        on_message=on_message,
        tls_identity=read_identity(),
    )
except (OSError, wsabi.Error) as error:
    sys.exit(str(error))
print(f"wss://127.0.0.1:{server.port}/")

while signal.sigwait(signals) == signal.SIGHUP:
    try:
        server.set_tls(tls_identity=read_identity())
        print("certificate renewed")
    except (OSError, wsabi.Error) as error:
        print(error, file=sys.stderr)
