"""A WebSocket connection that carries SIP (RFC 7118), on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from ..errors import SipParseError, TransportError, WebSocketError
from ..message.parser import parse_message
from .flow import via_host
from .stream_flow import StreamFlow
from .tls_accept import HANDSHAKE_TIMEOUT
from .websocket import SipWebSocket
from .websocket_settings import WebSocketSettings

if TYPE_CHECKING:
    from ..discovery.target import Target
    from .layer import TransportLayer


class WebSocketFlow(StreamFlow):
    """A WS or WSS connection: to `target`, whose name a WSS server has to prove, or accepted where that is None.

    It carries messages once `opened` is done.
    """

    def __init__(
        self, layer: TransportLayer, transport: str, settings: WebSocketSettings, target: Target | None = None
    ) -> None:
        name = target.name if target is not None and transport == "wss" else None
        super().__init__(layer, transport, name, accepted=target is None)
        self._settings = settings
        if target is None:
            self._socket = SipWebSocket.server(settings, layer.limits)
        else:
            secure = transport == "wss"
            self._socket = SipWebSocket.client(target.name, target.port, settings, layer.limits, secure=secure)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.opened: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.failure is None:
            self._timer = self._loop.call_later(HANDSHAKE_TIMEOUT, self.abort)
            with contextlib.suppress(TransportError):
                self._flush()

    async def ready(self) -> None:
        await asyncio.shield(self.opened)

    def data_received(self, data: bytes) -> None:
        if self.failure is not None or self.closed:
            return
        self.last_used, self._heard = time.monotonic(), self._loop.time()
        if self.watcher is not None:
            self.watcher.heard()
        try:
            messages = self._socket.receive(data)
        except WebSocketError:
            self.abort()
            return
        self._hurry(begun=self._socket.partial, anew=bool(messages))
        if not self._keeps_within():
            self.abort()
            return
        try:
            self._flush()  # pongs too, and what else the library answers by itself
        except TransportError:
            return  # the peer does not read: it is not heard either
        if self._socket.opened and not self.opened.done():
            self.opened.set_result(None)
            self._set_timer(0.0)
        for message in messages:
            self._take_message(message)
        if self._socket.ended:
            self.close()

    def _take_message(self, data: bytes) -> None:
        if not data.strip(b"\r\n"):
            if data == b"\r\n\r\n":
                with contextlib.suppress(TransportError):
                    self.send(b"\r\n")  # the pong of RFC 5626 3.5.1
            return
        try:
            message = parse_message(data, limits=self._layer.limits)
        except SipParseError as error:
            self._layer.malformed(error, self)
            return
        self._heard_whole()
        self._layer.received_by_connection(message, self)

    def send(self, data: bytes) -> None:
        if not self._socket.opened or self._socket.ended:
            raise TransportError("the WebSocket is not open", target=via_host(self.remote))
        if self.closed:
            raise TransportError("the connection is closed", target=via_host(self.remote))
        self.last_used = time.monotonic()
        self._socket.send(data)
        self._flush()

    def close(self) -> None:
        if not self.closed:
            self._socket.close()
            with contextlib.suppress(TransportError):
                self._flush()
        super().close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.opened.done():
            reason = self._socket.failure or "the connection was lost in the opening handshake"
            self.opened.set_exception(self.failure or TransportError(reason, target=via_host(self.remote)))
            self.opened.exception()  # an accepted connection is awaited by nobody
        super().connection_lost(exc)

    def _flush(self) -> None:
        data = self._socket.data_to_send()
        if data and not self.closed:
            self._write(data)

    def _partial_bytes(self) -> int:
        return self._socket.held

    # Keep-alive (RFC 7118 6).

    def _set_timer(self, pinged_at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._settings.ping_interval > 0:
            self._timer = self._loop.call_later(self._settings.ping_interval, self._keep_alive, pinged_at)

    def _keep_alive(self, pinged_at: float) -> None:
        if self._heard < pinged_at:
            self.abort()  # not even a pong in all the time
            return
        if not self.closed and not self._socket.ended:
            self._socket.ping()
            with contextlib.suppress(TransportError):
                self._flush()
            self._set_timer(self._loop.time())
