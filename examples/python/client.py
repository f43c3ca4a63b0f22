"""The WebSocket tutorial's client: says who it is, prints what the server says.

PYTHONPATH=bindings/python python3 examples/python/client.py ws://127.0.0.1:8080/
PYTHONPATH=bindings/python python3 examples/python/client.py wss://example.org/
PYTHONPATH=bindings/python python3 examples/python/client.py wss://127.0.0.1:8080/ ca.pem

A server of wss:// has to have a certificate from an authority that the system trusts or, if a file
in PEM is given, from one in that file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import wsabi


def on_open(ws: wsabi.WebSocket) -> None:
    print("[open] Connection established")
    print("Sending to server")
    ws.send("John")


def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
    print(f"[message] Data received from server: {data!s}")


def on_error(ws: wsabi.WebSocket, error: wsabi.Error) -> None:
    print(f"[error] {error}")


def on_close(ws: wsabi.WebSocket, code: int, reason: str, was_clean: bool) -> None:
    global exit_status
    if was_clean:
        print(f"[close] Connection closed cleanly, code={code} reason={reason}")
        exit_status = 0
    else:
        print("[close] Connection died")


exit_status = 1

if not 2 <= len(sys.argv) <= 3:
    sys.exit(f"usage: {sys.argv[0]} URL [CA]")
# Each line appears as it happens, into a pipe as well.
sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]

options = wsabi.Options()
try:
    if len(sys.argv) == 3:
        options["tls_ca"] = Path(sys.argv[2]).read_text()
    ws = wsabi.WebSocket(
        sys.argv[1],
        on_open=on_open,
        on_message=on_message,
        on_error=on_error,
        on_close=on_close,
        **options,
    )
except (OSError, wsabi.Error) as error:
    sys.exit(str(error))
ws.wait_closed()
sys.exit(exit_status)
