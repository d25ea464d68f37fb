"""Everything that a connection writes is bounded, what it was not asked for too: who does not read is let go."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from peers.authority import TestAuthority
from stream_peers import HOST, OPTIONS, STREAMS, Peer, frame, serving, until, while_open

import sip.transport.stream_flow
from sip import TransportError
from sip.transport.layer import TransportLayer
from sip.transport.stream_flow import MAX_WRITE_BUFFER, StreamFlow

pytestmark = pytest.mark.every_loop
# What one read of the event loop may be answered with, on top of the bound.
SLACK = 512 * 1024
TIMES = 100
PING = frame(0x9, bytes(125))
FLOODS = {
    "CRLF pings": b"\r\n\r\n" * 30000,
    "requests": OPTIONS * 200,
}
FLOODS_BY_FRAMES = {
    "WebSocket pings": PING * 1000,
    "CRLF pings": frame(0x1, b"\r\n\r\n") * 5000,
    "requests": frame(0x1, OPTIONS) * 200,
    "pongs and empty frames": (frame(0xA, b"") + frame(0x9, b"")) * 15000,
}
CASES = [(one, flood) for one in ("tcp", "tls") for flood in FLOODS]
CASES += [(one, flood) for one in ("ws", "wss") for flood in FLOODS_BY_FRAMES]


def answering(layer: TransportLayer) -> None:
    """Answers every request, as a proxy or user agent does."""

    def received(message, flow):
        with contextlib.suppress(TransportError):
            flow.send(message.create_response(200).serialize())

    layer._received = received


def unsent(layer: TransportLayer) -> int:
    return sum(one._stream.get_write_buffer_size() for one in layer._flows if getattr(one, "_stream", None) is not None)


@pytest.mark.parametrize(("transport", "flood"), CASES)
async def test_who_asks_and_does_not_read_is_let_go(authority: TestAuthority, monkeypatch, transport, flood):
    monkeypatch.setattr(sip.transport.stream_flow, "MAX_WRITE_BUFFER", 128 * 1024)
    data = (FLOODS_BY_FRAMES if transport in ("ws", "wss") else FLOODS)[flood]
    async with serving(transport, authority) as (layer, port):
        answering(layer)
        peer = await Peer.connect(transport, port)
        peer.writer.transport.pause_reading()
        most = 0

        async def flood_it():
            nonlocal most
            peer.writer.write(data)
            await peer.writer.drain()
            await asyncio.sleep(0)
            most = max(most, unsent(layer))

        times = await while_open(peer, flood_it, TIMES)
        assert most <= 128 * 1024 + SLACK
        assert times < TIMES
        peer.close()
        await until(lambda: layer.connections == 0)
        assert (layer.held.total, layer.held.sources) == (0, 0)


@pytest.mark.parametrize("transport", STREAMS)
async def test_who_reads_nothing_for_long_is_let_go(authority, monkeypatch, transport):
    """Also when nothing more is written, so that nothing would find out."""
    monkeypatch.setattr(sip.transport.stream_flow, "UNREAD_TIMEOUT", 0.3)
    monkeypatch.setattr(sip.transport.stream_flow, "UNREAD_CHECK", 0.1)
    async with serving(transport, authority) as (layer, port):
        peer = await Peer.connect(transport, port)
        peer.send(OPTIONS)
        await until(lambda: layer.got)
        peer.writer.transport.pause_reading()
        flow = layer.got[0][1]
        for _ in range(30):  # within the bound of bytes, and more than TLS and the peer's end take
            flow.send(OPTIONS.replace(b"h;", b"h;x=" + b"x" * 30000 + b";"))
        assert layer.connections == 1
        await until(lambda: layer.connections == 0)
        peer.close()


@pytest.mark.parametrize("transport", STREAMS)
async def test_who_reads_late_is_not_let_go(authority, monkeypatch, transport):
    monkeypatch.setattr(sip.transport.stream_flow, "UNREAD_TIMEOUT", 5)
    async with serving(transport, authority) as (layer, port):
        answering(layer)
        peer = await Peer.connect(transport, port)
        peer.writer.transport.pause_reading()
        for _ in range(100):
            peer.send(OPTIONS * 20 if transport in ("tcp", "tls") else OPTIONS)
            await peer.writer.drain()
        peer.writer.transport.resume_reading()
        assert not await peer.ended(0.5)
        assert layer.connections == 1
        peer.close()


@pytest.mark.parametrize("transport", ["tcp", "ws"])
@pytest.mark.parametrize("bound", ["connection_bytes", "source_connection_bytes"])
async def test_the_connections_of_a_source_keep_no_more_than_its_share(transport, bound):
    """Each within its own bound, all together not."""
    most = 150_000
    async with serving(transport, **{bound: most}) as (layer, port):
        answering(layer)
        peers = [await Peer.connect(transport, port) for _ in range(12)]
        for peer in peers:
            peer.writer.transport.pause_reading()
        peak = 0

        async def flood(peer):
            nonlocal peak

            async def once():
                nonlocal peak
                peer.writer.write(frame(0x1, OPTIONS) * 200 if transport == "ws" else OPTIONS * 200)
                await peer.writer.drain()
                await asyncio.sleep(0)
                peak = max(peak, layer.held.total)

            return await while_open(peer, once, 200)

        counts = await asyncio.gather(*map(flood, peers))
        assert peak <= most + 2 * SLACK
        assert min(counts) < 200
        for peer in peers:
            peer.close()
        await until(lambda: layer.connections == 0)
        assert (layer.held.total, layer.held.sources) == (0, 0)


@pytest.mark.parametrize("transport", STREAMS)
async def test_messages_in_pieces_count_as_well(authority, transport):
    """Sixty kilobytes that never become a message, by many connections."""
    piece = OPTIONS.replace(b"Content-Length: 0", b"Content-Length: 65000") + bytes(60000)
    if transport in ("ws", "wss"):
        piece = bytes((0x01, 0x80 | 126)) + (60000).to_bytes(2, "big") + bytes(4) + bytes(60000)  # no last fragment
    async with serving(transport, authority, source_connection_bytes=300_000) as (layer, port):
        peers = [await Peer.connect(transport, port) for _ in range(10)]
        for peer in peers:
            peer.writer.write(piece)
            await peer.writer.drain()
            await asyncio.sleep(0.02)
            assert layer.held.total <= 300_000 + 65_536
        await until(lambda: layer.connections < 8)
        assert layer.held.of(HOST) <= 300_000 + 65_536
        for peer in peers:
            peer.close()
        await until(lambda: layer.connections == 0)
        assert layer.held.total == 0


class _Stream(asyncio.Transport):
    """A transport in memory that never sends anything."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5), "sockname": ("192.0.2.2", 5060)})
        self.size = 0
        self.ended = False

    def is_closing(self):
        return self.ended

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def get_write_buffer_size(self):
        return self.size

    def write(self, data):
        self.size += len(data)

    def abort(self):
        self.ended = True

    close = abort


async def test_what_tls_writes_by_itself_counts(monkeypatch):
    """Answers to key updates go by no write of ours: found out as long as the peer does not read."""
    monkeypatch.setattr(sip.transport.stream_flow, "UNREAD_CHECK", 0.01)
    async with serving("tcp") as (layer, _):
        flow, stream = StreamFlow(layer, "tcp", None, accepted=True), _Stream()
        flow.connection_made(stream)
        stream.size = 20_000
        flow.pause_writing()
        assert (layer.held.total, stream.ended) == (20_000, False)
        stream.size = MAX_WRITE_BUFFER + 1
        await until(lambda: stream.ended)
        flow.connection_lost(None)
        assert layer.held.total == 0


async def test_a_peer_that_reads_again_is_asked_no_more():
    async with serving("tcp") as (layer, _):
        flow, stream = StreamFlow(layer, "tcp", None, accepted=True), _Stream()
        flow.connection_made(stream)
        flow.send(bytes(20_000))
        flow.pause_writing()
        stream.size = 100
        flow.resume_writing()
        assert (layer.held.total, flow._unread) == (100, None)
        flow.connection_lost(None)
        assert layer.held.total == 0


async def test_a_closing_connection_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(sip.transport.stream_flow, "CLOSE_TIMEOUT", 0.05)

    class Lingering(_Stream):
        def close(self):
            self.closing = True

    async with serving("tcp") as (layer, _):
        flow, stream = StreamFlow(layer, "tcp", None, accepted=True), Lingering()
        flow.connection_made(stream)
        flow.close()
        assert not stream.ended
        await until(lambda: stream.ended)
        flow.connection_lost(None)
