"""A chat whose rooms span processes and machines: what is said in one goes to all through Redis.

PYTHONPATH=bindings/python python3 examples/python/scaled_chat_server.py PORT REDIS_URL

Needs a Redis server, and its client for Python: `pip install redis`. Start it once for each
processor, with the same PORT, which they share. The room is the path of the URL, and what one of
its members sends, all of them get. Prints its URL on the first line. Ends on SIGINT and SIGTERM,
and when Redis is lost, so that whoever started it can start it anew.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import redis

import wsabi

CHANNEL = "chat:"

# Handlers do not wait for Redis: that would hold up other connections.
outgoing: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()


def on_open(ws: wsabi.WebSocket) -> None:
    ws.subscribe(room(ws))
    ws.send(f"process {os.getpid()} at your service")


def on_message(ws: wsabi.WebSocket, data: str | bytes) -> None:
    if isinstance(data, bytes):
        ws.close(1003, "text only")
    else:
        outgoing.put((CHANNEL + room(ws), data))


def room(ws: wsabi.WebSocket) -> str:
    return urlsplit(ws.url).path


def publish() -> None:
    """Takes to Redis what members here say, in one round trip whatever has come meanwhile."""
    while True:
        pipeline = broker.pipeline(transaction=False)
        pipeline.publish(*outgoing.get())
        while not outgoing.empty():
            pipeline.publish(*outgoing.get())
        pipeline.execute()


def deliver() -> None:
    """Gives to the members here what members anywhere say."""
    for message in subscription.listen():
        if message["type"] == "pmessage":
            topic = message["channel"].decode().removeprefix(CHANNEL)
            server.publish(message["data"].decode(), topic=topic)


def run(work: Callable[[], None]) -> None:
    """Runs `work`, which ends only if Redis is lost: then so does the process."""
    try:
        work()
    except redis.RedisError as error:
        lost.append(str(error))
        os.kill(os.getpid(), signal.SIGTERM)


# Only sigwait below takes these.
signals = {signal.SIGINT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)

port, redis_url = sys.argv[1:3]
lost: list[str] = []
try:
    broker = redis.Redis.from_url(redis_url)
    subscription = broker.pubsub()  # type: ignore[no-untyped-call]
    subscription.psubscribe(CHANNEL + "*")
    server = wsabi.Server(
        f"ws://127.0.0.1:{port}/",
        on_open=on_open,
        on_message=on_message,
        reuse_port=True,
        slow_subscribers="close",
    )
except (redis.RedisError, wsabi.Error) as error:
    sys.exit(str(error))
for work in publish, deliver:
    threading.Thread(target=run, args=(work,), daemon=True).start()
print(f"ws://127.0.0.1:{server.port}/", flush=True)

signal.sigwait(signals)
if lost:
    sys.exit(f"Redis is lost: {lost[0]}")
