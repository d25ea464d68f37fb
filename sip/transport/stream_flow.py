"""A TCP or TLS connection that carries SIP (RFC 3261 18.3), on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from ..errors import StreamFramingError, TlsVerificationError, TransportError
from ..message.message import Message
from ..message.stream_parser import KeepAlive, StreamParser
from ..source import source_of
from .flow import Flow, via_host
from .tls import VerifiedChain, VerifiedPeer, verify_identity

if TYPE_CHECKING:
    from .layer import TransportLayer
    from .tls_accept import TlsHandshake

# Of one connection, for what its peer does not read. Above the high-water mark it waits here, where it is counted,
# instead of under TLS, where nobody can see it; and the peer has half a minute to read on.
MAX_WRITE_BUFFER = 1 << 20
HIGH_WATER = 16384
UNREAD_CHECK = 1.0
UNREAD_TIMEOUT = 30.0
# What a connection may always keep, however much those of its source do together.
ALWAYS_ALLOWED = 4096
# Seconds for what was written before a connection is closed.
CLOSE_TIMEOUT = 30.0
# Seconds from a message's first byte to its last: who sends it drop by drop must not hold a connection for ever.
MESSAGE_TIMEOUT = 30.0
# An idle peer is asked after a minute whether it is there; what it does not acknowledge in half a minute ends it.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))


class FlowWatcher(Protocol):
    """Who keeps a connection alive, and so hears of all that comes by it, and of its end."""

    def heard(self) -> None:
        """Something came."""

    def lost(self) -> None:
        """The connection has ended."""


class StreamFlow(asyncio.Protocol, Flow):
    """A TCP or TLS connection. `expected_name` is what the server's certificate must prove, None if we serve."""

    def __init__(
        self, layer: TransportLayer, transport: str, expected_name: str | None, *, accepted: bool = False
    ) -> None:
        self._layer = layer
        self.accepted = accepted
        self._expected_name = expected_name
        self._parser = StreamParser(layer.limits)
        self._stream: asyncio.Transport | None = None
        self._local = ("", 0)
        self.transport = transport
        self.remote = ("", 0)
        self.peer = None
        self.failure: TransportError | None = None
        self.last_used = time.monotonic()
        self.watcher: FlowWatcher | None = None
        self._chain: VerifiedChain | None = None
        self._context: ssl.SSLContext | None = None
        self.alias: tuple[str, int] | None = None  # the address that it serves beside its own (RFC 5923)
        self.handshake: TlsHandshake | None = None  # that held our place before
        self._source = ""
        self._held = 0  # bytes that are counted as kept for the peer
        self._waiting: deque[bytes] = deque()  # what is written when the peer reads on
        self._waiting_bytes = 0
        self._unread: asyncio.TimerHandle | None = None  # runs while the peer does not read
        self._unread_since = 0.0
        self._first: asyncio.TimerHandle | None = None  # runs until the first message is there
        self._slow: asyncio.TimerHandle | None = None  # runs while a message is not all there
        self._closing: asyncio.TimerHandle | None = None
        self._heard = 0.0  # when, by the clock of the event loop, anything came

    @property
    def closed(self) -> bool:
        return self._stream is None or self._stream.is_closing()

    @property
    def local(self) -> tuple[str, int]:
        return self._local

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every event loop's transports are derived from asyncio's.
        transport = self._stream = cast("asyncio.Transport", transport)
        remote = transport.get_extra_info("peername")
        if remote is None:
            self.failure = TransportError("the connection was lost at once")
            transport.abort()
            return
        self.remote = remote[:2]
        self._source = source_of(self.remote[0])
        self._local = transport.get_extra_info("sockname")[:2]
        notice_dead_peers(transport.get_extra_info("socket"))
        if self.secure:
            try:
                self.peer = self._verify(transport.get_extra_info("ssl_object"))
            except TlsVerificationError as error:
                self.failure = error
                transport.abort()
                return
        if not self._layer.admit(self, instead_of=self.handshake):
            self.failure = TransportError("too many connections", target=via_host(self.remote))
            transport.abort()
            return
        self.handshake = None
        transport.set_write_buffer_limits(high=HIGH_WATER)
        if self.accepted:
            self._first = asyncio.get_running_loop().call_later(self._layer.first_message, self.abort)
            if self.certificate is not None:
                self.prove()

    def prove(self) -> None:
        if self.accepted:
            self._layer.proven(self)

    def _verify(self, connection: ssl.SSLObject) -> VerifiedPeer:
        """Runs right after the handshake, before any SIP byte goes either way."""
        protocol, cipher = connection.version() or "", (connection.cipher() or ("",))[0]
        certificate = self.certificate = connection.getpeercert(binary_form=True) or None
        self._chain, self._context = VerifiedChain.of(connection), connection.context
        if self._expected_name is None:
            return VerifiedPeer(protocol, cipher)
        if not certificate:
            raise TlsVerificationError("the server showed no certificate", expected=self._expected_name)
        identity, kind = verify_identity(certificate, self._expected_name, allow_wildcards=self._layer.allow_wildcards)
        return VerifiedPeer(protocol, cipher, identity, kind)

    def stands(self) -> bool:
        if self._chain is None or self._context is None:
            return False
        return self._chain.holds(time.time(), self._layer.authorities_now(self._context, accepted=self.accepted))

    async def ready(self) -> None:
        """Waits until messages can be sent; raises TransportError when it does not come to that."""

    def data_received(self, data: bytes) -> None:
        if self.failure is not None:
            return
        self.last_used = time.monotonic()
        self._heard = asyncio.get_running_loop().time()
        if self.watcher is not None:
            self.watcher.heard()
        try:
            messages = self._parser.feed(data)
        except StreamFramingError as error:
            self._take(error.parsed)
            self._layer.malformed(error, self)
            self.close()
            self._hurry(begun=False)
            return
        self._hurry(begun=self._parser.partial, anew=bool(messages))
        if not self._keeps_within():
            self.abort()
            return
        self._take(messages)

    def _heard_whole(self) -> None:
        """A whole message came."""
        if self._first is not None:
            self._first.cancel()
            self._first = None

    def _hurry(self, *, begun: bool, anew: bool = False) -> None:
        """Gives a message that has begun its time, counted `anew` when it is another one than before."""
        if self._slow is not None and (anew or not begun):
            self._slow.cancel()
            self._slow = None
        if begun and self._slow is None:
            self._slow = asyncio.get_running_loop().call_later(MESSAGE_TIMEOUT, self.abort)

    def _take(self, messages: list[Message | KeepAlive]) -> None:
        for message in messages:
            if isinstance(message, KeepAlive):
                if self.watcher is not None:
                    continue  # two answers to pings of ours look like a ping
                with contextlib.suppress(TransportError):
                    self.send(b"\r\n")
            else:
                self._heard_whole()
                self._layer.received_by_connection(message, self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hurry(begun=False)
        for timer in (self._first, self._unread, self._closing):
            if timer is not None:
                timer.cancel()
        self._waiting.clear()
        self._layer.held.change(self._source, -self._held)
        self._held = self._waiting_bytes = 0
        self._layer.forget(self)
        if self.watcher is not None:
            self.watcher.lost()

    def send(self, data: bytes) -> None:
        self.last_used = time.monotonic()
        self._write(data)

    # What is kept for the peer.

    def _write(self, data: bytes) -> None:
        """Writes anything at all: nothing else does, so that nothing goes by the bounds."""
        if self._stream is None or self._stream.is_closing():
            raise TransportError("the connection is closed", target=via_host(self.remote))
        if not self._keeps_within():
            # A peer that does not read must not make us keep what it does not take.
            self.abort()
            raise TransportError("the peer does not read", target=via_host(self.remote))
        if self._unread is None:
            self._stream.write(data)
        else:
            self._waiting.append(data)
            self._waiting_bytes += len(data)

    def _keeps_within(self) -> bool:
        """Counts what is kept for the peer: what it does not read, and what is not a whole message yet."""
        unsent = 0 if self._stream is None else self._stream.get_write_buffer_size()
        unsent += self._waiting_bytes
        held = unsent + self._partial_bytes()
        if held != self._held:
            self._layer.held.change(self._source, held - self._held)
            self._held = held
        if unsent > MAX_WRITE_BUFFER:
            return False
        return held <= ALWAYS_ALLOWED or not self._layer.held.over(self._source)

    def _partial_bytes(self) -> int:
        return self._parser.held

    def pause_writing(self) -> None:
        self._unread_since = asyncio.get_running_loop().time()
        self._check_reading()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        self._write_waiting()
        self._keeps_within()

    def _write_waiting(self, *, all_of_it: bool = False) -> None:
        while self._waiting and self._stream is not None and (all_of_it or self._unread is None):
            data = self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._stream.write(data)

    def _check_reading(self) -> None:
        """Also finds what TLS itself writes, which we are not asked for."""
        loop = asyncio.get_running_loop()
        if self._keeps_within() and loop.time() - self._unread_since < UNREAD_TIMEOUT:
            self._unread = loop.call_later(UNREAD_CHECK, self._check_reading)
        else:
            self._unread = None
            self.abort()

    def distrust(self, since: float) -> None:
        if self._heard <= since:
            self.abort()

    def close(self) -> None:
        if self._stream is not None and not self._stream.is_closing():
            self._write_waiting(all_of_it=True)
            self._stream.close()
            self._closing = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self.abort)

    def abort(self) -> None:
        if self._stream is not None:
            self._stream.abort()


def notice_dead_peers(connection: socket.socket | None) -> None:
    """Has the system end a connection whose peer is gone without a word: half-open, it would stand for hours."""
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in _KEEP_ALIVE:
        # Not every system has them all.
        option = getattr(socket, name, None)
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, seconds)
