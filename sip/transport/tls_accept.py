"""A connection that a peer opened for TLS, until its handshake is done.

It counts among the connections from its first moment: who opens many and never speaks is limited like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layer import TransportLayer
    from .stream_flow import StreamFlow

HANDSHAKE_TIMEOUT = 10.0


class TlsHandshake:
    """Runs the server's side of a handshake, in bounded time, and hands the connection and its place over to a flow."""

    accepted = True

    def __init__(
        self,
        layer: TransportLayer,
        connection: socket.socket,
        remote: tuple[str, int],
        context: ssl.SSLContext,
        make_flow: Callable[[], StreamFlow],
    ) -> None:
        self._layer = layer
        self._socket = connection
        self._context = context
        self._make_flow = make_flow
        self._task: asyncio.Task[None] | None = None
        self.remote = remote
        self.last_used = time.monotonic()

    def start(self) -> None:
        """Begins, or closes the connection when there is no place for it."""
        if self._layer.admit(self):
            self._task = asyncio.ensure_future(self._handshake())
        else:
            self._socket.close()

    async def _handshake(self) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._flow, self._socket, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
            )
        except (OSError, ssl.SSLError):
            return  # the connection is closed by that
        finally:
            self._layer.release(self)

    def _flow(self) -> StreamFlow:
        flow = self._make_flow()
        flow.handshake = self
        return flow

    def close(self) -> None:
        """Ends it at once: there is nobody yet to take leave of."""
        self.abort()

    def abort(self) -> None:
        """Ends it at once."""
        # The event loop hears of that as of an end that the peer made, however far it has come.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
