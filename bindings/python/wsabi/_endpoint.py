"""What sockets and servers share: the way from the library's events to their Python object."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from ctypes import byref, c_uint64
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union

from wsabi import _ffi, _threads
from wsabi._errors import Error
from wsabi._options import Headers, Options, template, text

if TYPE_CHECKING:
    from typing_extensions import Self

    from wsabi._runtime import Runtime
    from wsabi._socket import WebSocket

OpenHandler = Optional[Callable[["WebSocket"], object]]
MessageHandler = Optional[Callable[["WebSocket", Union[str, bytes]], object]]
ErrorHandler = Optional[Callable[["WebSocket", Error], object]]
CloseHandler = Optional[Callable[["WebSocket", int, str, bool], object]]
PingHandler = Optional[Callable[["WebSocket", bytes], object]]
PongHandler = Optional[Callable[["WebSocket", bytes, Optional[float]], object]]
DrainHandler = Optional[Callable[["WebSocket"], object]]
ReconnectHandler = Optional[Callable[["WebSocket", Error, float], object]]


class Endpoint(ABC):
    """A socket or a server. It lives at least until the library is done with it."""

    _events: tuple[int, ...] = (
        _ffi.EVENT_OPEN,
        _ffi.EVENT_MESSAGE,
        _ffi.EVENT_ERROR,
        _ffi.EVENT_CLOSE,
        _ffi.EVENT_PING,
        _ffi.EVENT_PONG,
        _ffi.EVENT_DRAIN,
        _ffi.EVENT_RECONNECT,
    )
    """What it is to be told of."""

    def __init__(
        self,
        runtime: Runtime,
        on_open: OpenHandler,
        on_message: MessageHandler,
        on_error: ErrorHandler,
        on_close: CloseHandler,
        on_ping: PingHandler,
        on_pong: PongHandler,
        on_drain: DrainHandler,
    ) -> None:
        self.on_open = on_open
        self.on_message = on_message
        self.on_error = on_error
        self.on_close = on_close
        self.on_ping = on_ping
        self.on_pong = on_pong
        self.on_drain = on_drain
        self.runtime = runtime
        self._handle = 0
        self._ended = threading.Event()

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Waits until everything is over and no handler will run any more, at most `timeout`
        seconds. Returns whether it is over.

        Not for handlers: they have to return before anything can end.
        """
        if _threads.in_handler() and not self._ended.is_set():
            raise RuntimeError("wait_closed() in a handler would wait for that handler")
        return self._ended.wait(timeout)

    @abstractmethod
    def close(self) -> None:
        """Begins the end."""

    @abstractmethod
    def deliver(self, event: _ffi.Event) -> None:
        """Takes one event. The library calls this on its own threads."""

    def end(self) -> None:
        """Takes note that no event will come any more."""
        self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if not _threads.in_handler():
            self.wait_closed()

    def _start(
        self,
        function: Callable[..., Any],
        url: str,
        subprotocols: str | Iterable[str],
        headers: Headers,
        origin: str | None,
        options: Options,
    ) -> None:
        """Calls `wsabi_socket_connect` or `wsabi_server_listen` for this object."""
        address = text("url", url)
        runtime = self.runtime.handle
        handle = c_uint64()
        with template(subprotocols, headers, origin, options) as settings:
            for kind in self._events:
                _ffi.wsabi_options_on_event(settings, kind, _on_event)
            _ffi.wsabi_options_on_release(settings, _on_release)
            self._hand_over(
                lambda user_data: function(runtime, *address, settings, user_data, byref(handle))
            )
        self._handle = handle.value

    def _hand_over(self, call: Callable[[int], object]) -> None:
        """Makes `call` with the user_data that stands for this object from then on."""
        user_data = id(self)
        endpoints[user_data] = self
        try:
            call(user_data)
        except Error:
            del endpoints[user_data]
            raise


# By user_data. An entry lasts until the library releases it, so that what it uses stays alive.
endpoints: dict[int, Endpoint] = {}


@_ffi.Handler
def _on_event(event: Any, user_data: int) -> None:
    endpoints[user_data].deliver(event.contents)


@_ffi.UserDataFunction
def _on_release(user_data: int) -> None:
    endpoints.pop(user_data).end()
