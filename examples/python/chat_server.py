"""Chat with rooms: what a guest says reaches everyone in its room.

PYTHONPATH=bindings/python python3 examples/python/chat_server.py [PORT [CERT KEY]]

The path of the URL is the room, as in ws://127.0.0.1:8080/lobby. The first message of a guest is
its name, of at most 120 bytes and without control characters, and every other one goes to the room:
the name, a line break, and what was said. A message without a line break is a notice of the server.
examples/chat.html is a page for it.

PORT 0, the default: a free one. Speaks TLS, under wss://, if there are a certificate and its
private key: two files in PEM. Prints its URL on the first line. Ends on SIGINT and SIGTERM.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import wsabi

LONGEST_ROOM = 255
LONGEST_NAME = 120
LONGEST_TEXT = 4000


class Guest:
    """The handlers of one connection."""

    def __init__(self, ws: wsabi.WebSocket) -> None:
        self.room = urlsplit(ws.url).path
        self.name = ""
        ws.on_message = self.on_message
        ws.on_close = self.on_close

    def on_message(self, ws: wsabi.WebSocket, data: str | bytes) -> None:
        if not isinstance(data, str):
            ws.close(1003, "text only")
        elif self.name:
            self.tell_room(f"{self.name}\n{data}")
        elif not is_name(data):
            ws.close(1008, "not a name")
        else:
            self.name = data
            ws.subscribe(self.room)
            self.tell_room(f"{self.name} has joined")

    def on_close(self, ws: wsabi.WebSocket, code: int, reason: str, was_clean: bool) -> None:
        # By now the socket has left its topics.
        if self.name:
            self.tell_room(f"{self.name} has left")

    def tell_room(self, text: str) -> None:
        """Says something to everyone in the room, the guest included."""
        server.publish(text, self.room)


def is_name(text: str) -> bool:
    return 0 < len(text.encode()) <= LONGEST_NAME and not re.search("[\0-\x1f\x7f]", text)


def on_open(ws: wsabi.WebSocket) -> None:
    # A guest may come before there is a server to speak with.
    started.wait()
    guest = Guest(ws)
    if not 0 < len(guest.room.encode()) <= LONGEST_ROOM:
        ws.close(1008, "no such room")


# Only sigwait below takes these.
signals = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)

started = threading.Event()
port = sys.argv[1] if len(sys.argv) > 1 else "0"
scheme = "ws"
options = wsabi.Options(
    max_message=LONGEST_TEXT,
    # Who does not read what others say has to leave.
    max_buffered=1 << 20,
    slow_subscribers="close",
)
try:
    if len(sys.argv) > 3:
        cert, key = (Path(it).read_text() for it in sys.argv[2:4])
        options["tls_identity"] = cert, key
        scheme = "wss"
    server = wsabi.Server(f"{scheme}://127.0.0.1:{port}/", on_open=on_open, **options)
except (OSError, wsabi.Error) as error:
    sys.exit(str(error))
started.set()
print(f"{scheme}://127.0.0.1:{server.port}/", flush=True)

signal.sigwait(signals)
