"""A UDP relay on loopback that drops every n-th packet, counted over both directions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any


class LossyRelay(asyncio.DatagramProtocol):
    """Carries datagrams between one client and `server`; whoever is not the server is the client."""

    def __init__(self, server: int, every: int) -> None:
        self._server = ("127.0.0.1", server)
        self._every = every
        self._client: tuple[str, int] | None = None
        self._transport: Any = None
        self.packets = 0
        self.dropped = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if address != self._server:
            self._client = address
        self.packets += 1
        if self.packets % self._every == 0:
            self.dropped += 1
        else:
            self._transport.sendto(data, self._client if address == self._server else self._server)


@contextlib.asynccontextmanager
async def lossy_relay(server: int, every: int) -> AsyncIterator[tuple[LossyRelay, int]]:
    """Runs a relay to a port of loopback; yields it and its own port."""
    transport, relay = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: LossyRelay(server, every), local_addr=("127.0.0.1", 0)
    )
    try:
        yield relay, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
