"""Server: accepts WebSocket connections."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from ctypes import string_at
from typing import TYPE_CHECKING, Any, Optional

from wsabi import _ffi
from wsabi._endpoint import (
    CloseHandler,
    DrainHandler,
    Endpoint,
    ErrorHandler,
    MessageHandler,
    OpenHandler,
    PingHandler,
    PongHandler,
)
from wsabi._errors import HandleError
from wsabi._options import Headers, Options
from wsabi._runtime import Runtime, default_runtime
from wsabi._serving import BaseRequest, Listener
from wsabi._socket import WebSocket

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Server(Listener, Endpoint):
    """Listens at `url`, such as `ws://127.0.0.1:0/`, and makes a WebSocket of every connection.
    `wss://` is TLS, and needs the option `tls_identity`.

    Each begins with the handlers that the server has at that time, and its `on_open` may give it
    others. `port` is the port that it listens on. `headers` are added to every response.

    With `on_request(request)` only those clients are let in for which `request.accept()` is called,
    in that handler or later. A server that knows its users by cookies or by their network has to
    look at Origin there, since pages of any site can connect from a browser. If it raises, the
    client gets the status 500. Without it, of `subprotocols`, in order of preference, the first
    that the client offers is chosen.

    The server lives until `close`, without a variable that holds it. `with` closes it and waits.
    """

    def __init__(
        self,
        url: str,
        *,
        on_request: RequestHandler = None,
        on_open: OpenHandler = None,
        on_message: MessageHandler = None,
        on_error: ErrorHandler = None,
        on_close: CloseHandler = None,
        on_ping: PingHandler = None,
        on_pong: PongHandler = None,
        on_drain: DrainHandler = None,
        subprotocols: str | Iterable[str] = (),
        headers: Headers = (),
        runtime: Runtime | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            runtime or default_runtime(),
            on_open,
            on_message,
            on_error,
            on_close,
            on_ping,
            on_pong,
            on_drain,
        )
        self._on_request = on_request
        if on_request is not None:
            self._events = (*self._events, _ffi.EVENT_REQUEST)
        self._start(_ffi.wsabi_server_listen, url, subprotocols, headers, None, options)
        self._note_port()

    def close(self) -> None:
        """Stops listening, and closes the connections with code 1001. Does not wait."""
        with contextlib.suppress(HandleError):
            _ffi.wsabi_server_close(self._handle)

    def deliver(self, event: _ffi.Event) -> None:
        # Besides requests, only a connection that has no object yet comes here: the next events go
        # to its own.
        handle: int = event.handle
        if event.kind == _ffi.EVENT_REQUEST:
            self._ask(Request(self, handle, string_at(event.data, event.len).decode()))
            return

        def take(number: int) -> int:
            _ffi.wsabi_socket_set_user_data(handle, number)
            return handle

        WebSocket.accepted(self, take).deliver(event)

    def _ask(self, request: Request) -> None:
        try:
            if self._on_request is not None:
                self._on_request(request)
        except BaseException:
            with contextlib.suppress(HandleError):
                request.reject(500)
            raise


class Request(BaseRequest):
    __doc__ = BaseRequest.__doc__

    def __init__(self, server: Server, handle: int, target: str) -> None:
        super().__init__(handle, target)
        self._server = server

    def accept(self, subprotocol: str | None = None, user_data: Any = None) -> WebSocket:
        """Lets the client in. `subprotocol` is one of those that it offers, or None; `user_data`
        becomes an attribute of the WebSocket, which has the handlers of the server. It is open when
        its `on_open` is called."""
        return WebSocket.accepted(
            self._server, lambda number: self._accept(subprotocol, number), user_data
        )


RequestHandler = Optional[Callable[[Request], object]]
