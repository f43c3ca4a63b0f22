"""The exceptions, by the status that the library gives."""

from __future__ import annotations

import builtins
import enum
from typing import Any


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
    """The runtime has been closed; or the request was answered, or its client has gone."""


class StateError(Error):
    """Not allowed now, such as a send before the connection is open."""


class ClosedError(StateError):
    """A send on a connection that is closing or closed."""


class BufferFullError(Error):
    """Nothing was sent, since more than `max_buffered` bytes would have waited."""


class ConnectError(Error):
    """The connection did not come about: no address of the host could be reached, or one of the
    classes below says why."""


class DnsError(ConnectError):
    """The host name could not be resolved."""


class ProxyError(ConnectError):
    """The proxy refused or failed."""


class TlsError(ConnectError):
    """TLS failed; the first words of the sentence say how, and stay as they are."""


class HttpError(ConnectError):
    """The server answered, but not with 101."""

    response_status = 0
    """The HTTP status of its answer."""
    response_body = ""
    """The first 64 KiB of its body."""


class HandshakeError(ConnectError):
    """The server answered with 101, but wrongly."""


class ProtocolError(Error):
    """The peer sent what must not be sent."""


class EncodingError(ProtocolError):
    """The peer sent text that is not UTF-8, or data that cannot be inflated."""


class TooBigError(ProtocolError):
    """The peer's message is larger than `max_message`."""


class TimeoutError(Error, builtins.TimeoutError):
    """A time ran out: that of an option, or of the call."""


class IoError(Error, OSError):
    """The connection was reset, or ended without a Close frame."""


class AbortedError(Error):
    """This end dropped the connection."""


class ResourceError(Error):
    """The system refused memory, threads or descriptors."""


class ForkedError(Error):
    """The connection or runtime is that of the process from which this one was forked."""


class InternalError(Error):
    """A defect of the library. Please report the sentence."""


class ConnectionClosed(ClosedError):
    """The connection has ended, in the blocking style and in that of asyncio.

    If it failed, `__cause__` is the Error that says why.
    """

    def __init__(self, code: int, reason: str, was_clean: bool) -> None:
        how = "was closed" if was_clean else "was lost"
        sentence = f"the connection {how}, with code {code}" + (reason and f": {reason}")
        super().__init__(Status.CLOSED, "WSABI_ERR_CLOSED", sentence)
        self.code = code
        """That of the peer's Close frame: 1005 if it had none, 1006 if there was no Close frame."""
        self.reason = reason
        """That of the peer's Close frame."""
        self.was_clean = was_clean
        """Whether both sides sent a Close frame."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.reason, self.was_clean)


class ConnectionClosedOK(ConnectionClosed):
    """It ended as it should: both sides sent a Close frame, and this side began, or the peer gave
    code 1000, 1001 or none."""


class ConnectionClosedError(ConnectionClosed):
    """It ended in any other way."""


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
    Status.TOO_BIG: TooBigError,
    Status.DNS: DnsError,
    Status.CONNECT: ConnectError,
    Status.PROXY: ProxyError,
    Status.TLS: TlsError,
    Status.HTTP: HttpError,
    Status.HANDSHAKE: HandshakeError,
    Status.PROTOCOL: ProtocolError,
    Status.ENCODING: EncodingError,
    Status.TIMEOUT: TimeoutError,
    Status.IO: IoError,
    Status.ABORTED: AbortedError,
    Status.RESOURCE: ResourceError,
    Status.FORKED: ForkedError,
    Status.INTERNAL: InternalError,
}
