"""A connection that a peer opened for TLS, until its handshake is done.

It counts among the connections from its first moment: who opens many and never speaks is limited like any other.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .stream_flow import StreamFlow
    from .transport import TransportLayer

HANDSHAKE_TIMEOUT = 10.0


class TlsHandshake(asyncio.Protocol):
    """Runs the server's side of a handshake, in bounded time, and hands the connection over to a flow."""

    accepted = True

    def __init__(self, layer: TransportLayer, context: ssl.SSLContext, make_flow: Callable[[], StreamFlow]) -> None:
        self._layer = layer
        self._context = context
        self._make_flow = make_flow
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._early = bytearray()
        self._ended = False
        self.remote = ("", 0)
        self.last_used = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        remote = transport.get_extra_info("peername")
        if remote is None:
            transport.abort()
            return
        self._transport, self.remote = transport, remote[:2]
        if not self._layer.admit(self):
            transport.abort()
            return
        transport.pause_reading()
        self._task = asyncio.ensure_future(self._handshake(transport))

    async def _handshake(self, transport: asyncio.Transport) -> None:
        try:
            stream = await asyncio.get_running_loop().start_tls(
                transport, self, self._context, server_side=True, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
            )
        except (OSError, ssl.SSLError):
            stream = None
        finally:
            self._layer.release(self)
        if stream is None or self._ended:
            transport.abort()
            return
        flow = self._make_flow()
        stream.set_protocol(flow)
        flow.connection_made(stream)
        if self._early:
            flow.data_received(bytes(self._early))

    def data_received(self, data: bytes) -> None:
        # What came in one piece with the end of the handshake; the flow takes over in the same turn of the loop.
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True

    def close(self) -> None:
        """Ends it at once: there is nobody yet to take leave of."""
        self.abort()

    def abort(self) -> None:
        """Ends it at once."""
        if self._transport is not None:
            self._transport.abort()
