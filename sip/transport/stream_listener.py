"""A listening TCP socket, whose connections are carried by asyncio and accepted by ourselves.

asyncio's own server writes a traceback for each connection that waits when descriptors run out, many times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from .tls_accept import TlsHandshake

if TYPE_CHECKING:
    from .layer import TransportLayer
    from .stream_flow import StreamFlow

BACKLOG = 512
ACCEPTS_PER_TURN = 64
# Seconds until accepting is tried again after it failed.
ACCEPT_RETRY = 1.0


class StreamListener:
    """One listening socket; `make` makes the flow of each connection, after a TLS handshake where there is a `context`.

    `context` is asked for each connection. Raises OSError as bind() does.
    """

    def __init__(
        self,
        layer: TransportLayer,
        host: str,
        port: int,
        make: Callable[[], StreamFlow],
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._layer = layer
        self._make = make
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ":" in host:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self.local: tuple[str, int] = self._socket.getsockname()[:2]
        self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                connection, remote = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            connection.setblocking(False)
            if self._context is not None:
                TlsHandshake(self._layer, connection, remote[:2], self._context(), self._make).start()
            else:
                task = self._loop.create_task(self._carry(connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _carry(self, connection: socket.socket) -> None:
        # What is wrong with a connection, its flow hears.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(self._make, connection)

    def _pause(self, error: OSError) -> None:
        """Leaves connections waiting for a while: no more descriptors, or whatever else it is."""
        self._layer.cannot_accept(error)
        self._loop.remove_reader(self._socket)
        self._retry = self._loop.call_later(ACCEPT_RETRY, self._resume)

    def _resume(self) -> None:
        self._retry = None
        self._loop.add_reader(self._socket, self._readable)
        self._readable()

    def close(self) -> None:
        """Listens no more; the connections that were accepted stand."""
        if self._retry is not None:
            self._retry.cancel()
        else:
            self._loop.remove_reader(self._socket)
        self._socket.close()
