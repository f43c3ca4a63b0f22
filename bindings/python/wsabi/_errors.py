"""The exceptions, by the status that the library gives."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """What can go wrong: `Error.status` is one of these. Later versions may add others."""

    ARGUMENT = -1
    HANDLE = -2
    STATE = -3
    CLOSED = -4
    URL = -5
    BUFFER_FULL = -6
    TOO_BIG = -7
    DNS = -10
    CONNECT = -11
    PROXY = -12
    TLS = -13
    HTTP = -14
    HANDSHAKE = -15
    PROTOCOL = -16
    ENCODING = -17
    TIMEOUT = -18
    IO = -19
    ABORTED = -20
    RESOURCE = -21
    FORKED = -22
    INTERNAL = -99


class Error(Exception):
    """A call that the library refused, or the reason why a connection failed.

    `status` is a `Status` or, from a later version of the library, an unknown number; `name` is
    its name in C, and `str(error)` a sentence that says what was wrong.
    """

    def __init__(self, status: int, name: str, sentence: str) -> None:
        super().__init__(status, name, sentence)
        self.status = status
        self.name = name
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class ArgumentError(Error, ValueError):
    """An argument is out of range or not allowed."""


class UrlError(ArgumentError):
    """The URL cannot be used."""


class HandleError(Error, ValueError):
    """The runtime has been closed."""


class StateError(Error):
    """Not allowed now, such as a send before the connection is open."""


class ClosedError(StateError):
    """A send on a connection that is closing or closed."""


class BufferFullError(Error):
    """Nothing was sent, since more than `max_buffered` bytes would have waited."""


class ConnectError(Error):
    """The connection did not come about: DNS, CONNECT, PROXY, TLS, HTTP or HANDSHAKE."""


class ProtocolError(Error):
    """The peer sent what must not be sent: PROTOCOL, ENCODING or TOO_BIG."""


def error_of(status: int, name: str, sentence: str) -> Error:
    """The exception of the class that `status` has."""
    return _CLASSES.get(status, Error)(status, name, sentence)


_CLASSES: dict[int, type[Error]] = {
    Status.ARGUMENT: ArgumentError,
    Status.HANDLE: HandleError,
    Status.STATE: StateError,
    Status.CLOSED: ClosedError,
    Status.URL: UrlError,
    Status.BUFFER_FULL: BufferFullError,
    Status.TOO_BIG: ProtocolError,
    Status.DNS: ConnectError,
    Status.CONNECT: ConnectError,
    Status.PROXY: ConnectError,
    Status.TLS: ConnectError,
    Status.HTTP: ConnectError,
    Status.HANDSHAKE: ConnectError,
    Status.PROTOCOL: ProtocolError,
    Status.ENCODING: ProtocolError,
}
