"""The WebSocket tutorial's server: answers a name with a greeting, and closes the connection some
seconds later.

PYTHONPATH=bindings/python python3 examples/python/hello_server.py [PORT [SECONDS [CERT KEY]]]

Default: a free port, 5 seconds. Speaks TLS, under wss://, if there are a certificate and its
private key: two files in PEM. Prints its URL on the first line. Ends on SIGINT and SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import wsabi

LONGEST_NAME = 200


def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
    if not isinstance(data, str):
        return
    ws.send(f"Hello from server, {data}")
    farewell = threading.Timer(seconds, ws.close, (1000, "Goodbye"))
    farewell.daemon = True
    farewell.start()


# Only sigwait below takes these.
signals = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)

port = sys.argv[1] if len(sys.argv) > 1 else "0"
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
scheme = "ws"
options = wsabi.Options(max_message=LONGEST_NAME)
try:
    if len(sys.argv) > 4:
        cert, key = (Path(it).read_text() for it in sys.argv[3:5])
        options["tls_identity"] = cert, key
        scheme = "wss"
    server = wsabi.Server(f"{scheme}://127.0.0.1:{port}/", on_message=on_message, **options)
except (OSError, wsabi.Error) as error:
    sys.exit(str(error))
print(f"{scheme}://127.0.0.1:{server.port}/", flush=True)

signal.sigwait(signals)
