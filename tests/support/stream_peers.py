"""Peers over TCP, TLS and WebSocket that do what no library would: stay silent, never read, send pings for ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from peers.authority import TestAuthority

from sip import server_context
from sip.transport.layer import TransportLayer

HOST = "127.0.0.1"
STREAMS = ("tcp", "tls", "ws", "wss")
OPTIONS = (
    b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
)


@contextlib.asynccontextmanager
async def serving(
    transport: str, authority: TestAuthority | None = None, **options: Any
) -> AsyncIterator[tuple[TransportLayer, int]]:
    """A transport layer that listens, with what came in as `got`, and its port."""
    got: list[Any] = []
    layer = TransportLayer(
        received=lambda message, flow: got.append((message, flow)),
        malformed=lambda *_: None,
        lost=lambda _: None,
        **options,
    )
    layer.got = got  # type: ignore[attr-defined]
    try:
        tls = None
        if transport in ("tls", "wss"):
            assert authority is not None
            tls = server_context(authority.issue("alice"))
        address = await layer.listen(transport, HOST, tls=tls)
        server = layer._servers[0]
        listening = getattr(server, "_socket", None) or server.sockets[0]
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # or the system would take megabytes first
        yield layer, address.port
    finally:
        await layer.close()
        assert layer.connections == 0


class Peer:
    """A connection of somebody else's; over WebSocket its opening handshake is done."""

    def __init__(self, transport: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.websocket = transport in ("ws", "wss")
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, transport: str, port: int, *, opened: bool = True) -> Peer:
        context = None
        if transport in ("tls", "wss"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        own = socket.socket()
        own.setblocking(False)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        await asyncio.get_running_loop().sock_connect(own, (HOST, port))
        reader, writer = await asyncio.open_connection(
            sock=own, ssl=context, server_hostname=None if context is None else "localhost"
        )
        peer = cls(transport, reader, writer)
        if peer.websocket and opened:
            writer.write(_UPGRADE)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert answer.startswith(b"HTTP/1.1 101"), answer
        return peer

    def send(self, data: bytes) -> None:
        """Sends SIP, in a text frame over WebSocket."""
        self.writer.write(frame(0x1, data) if self.websocket else data)

    async def ended(self, seconds: float = 5) -> bool:
        """Whether the other side ends the connection in that time."""
        try:
            async with asyncio.timeout(seconds):
                with contextlib.suppress(OSError):
                    while await self.reader.read(65536):
                        pass
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.writer.transport.abort()


def frame(opcode: int, payload: bytes) -> bytes:
    """A WebSocket frame of a client, masked by zeros."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    return bytes((0x80 | opcode,)) + length + bytes(4) + payload


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    for _ in range(int(seconds * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not in {seconds} seconds")


async def while_open(peer: Peer, work: Callable[[], Awaitable[None]], times: int) -> int:
    """Does something again and again until the connection ends; returns how often."""
    for count in range(times):
        try:
            async with asyncio.timeout(10):
                await work()
        except (OSError, ssl.SSLError):
            return count
    return times
