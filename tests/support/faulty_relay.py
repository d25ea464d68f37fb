"""A TCP relay on loopback that resets connections in the middle of a message, or goes deaf."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: close() sends RST


class FaultyRelay:
    """Carries bytes to `port` on loopback. `reset_after` bytes from the client both sides are reset; `deaf`: it
    takes everything and passes nothing on.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.port = 0
        self.reset_after: int | None = None
        self.deaf = False
        self.connections = 0
        self.carried = 0  # bytes from clients
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        back = asyncio.ensure_future(self._carry(server_reader, writer))
        try:
            await self._carry(reader, server_writer, (writer, server_writer))
            await back
        finally:
            back.cancel()
            for one in (writer, server_writer):
                one.close()
            await asyncio.gather(back, return_exceptions=True)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, ...] = (),
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if both:
                    self.carried += len(data)
                    if self.reset_after is not None and len(data) > self.reset_after:
                        writer.write(data[: self.reset_after])
                        await asyncio.sleep(0.02)
                        self.reset_after = None
                        for one in both:
                            one.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                            one.transport.abort()
                        return
                    if self.reset_after is not None:
                        self.reset_after -= len(data)
                if not self.deaf:
                    writer.write(data)
        with contextlib.suppress(ConnectionError, OSError):
            writer.write_eof() if writer.can_write_eof() else None

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def faulty_relay(port: int) -> AsyncIterator[FaultyRelay]:
    """Runs a relay to a port of loopback on a free one."""
    relay = FaultyRelay(port)
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.close()
        await server.wait_closed()
