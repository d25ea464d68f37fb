"""A TCP or TLS connection that carries SIP (RFC 3261 18.3), on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from typing import TYPE_CHECKING, Protocol

from .errors import StreamFramingError, TlsVerificationError, TransportError
from .flow import Flow, via_host
from .message import Message
from .stream_parser import KeepAlive, StreamParser
from .tls import VerifiedPeer, verify_identity

if TYPE_CHECKING:
    from .transport import TransportLayer

MAX_WRITE_BUFFER = 1 << 20
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
        self.alias: tuple[str, int] | None = None  # the address that it serves beside its own (RFC 5923)
        self._slow: asyncio.TimerHandle | None = None  # runs while a message is not all there
        self._heard = 0.0  # when, by the clock of the event loop, anything came

    @property
    def closed(self) -> bool:
        return self._stream is None or self._stream.is_closing()

    @property
    def local(self) -> tuple[str, int]:
        return self._local

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._stream = transport
        remote = transport.get_extra_info("peername")
        if remote is None:
            self.failure = TransportError("the connection was lost at once")
            transport.abort()
            return
        self.remote = remote[:2]
        self._local = transport.get_extra_info("sockname")[:2]
        notice_dead_peers(transport.get_extra_info("socket"))
        if self.secure:
            try:
                self.peer = self._verify(transport.get_extra_info("ssl_object"))
            except TlsVerificationError as error:
                self.failure = error
                transport.abort()
                return
        if not self._layer.admit(self):
            self.failure = TransportError("too many connections", target=via_host(self.remote))
            transport.abort()

    def _verify(self, connection: ssl.SSLObject) -> VerifiedPeer:
        """Runs right after the handshake, before any SIP byte goes either way."""
        protocol, cipher = connection.version() or "", (connection.cipher() or ("",))[0]
        certificate = self.certificate = connection.getpeercert(binary_form=True) or None
        if self._expected_name is None:
            return VerifiedPeer(protocol, cipher)
        if not certificate:
            raise TlsVerificationError("the server showed no certificate", expected=self._expected_name)
        identity, kind = verify_identity(certificate, self._expected_name, allow_wildcards=self._layer.allow_wildcards)
        return VerifiedPeer(protocol, cipher, identity, kind)

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
        self._take(messages)

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
                self._layer.received_by_connection(message, self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hurry(begun=False)
        self._layer.forget(self)
        if self.watcher is not None:
            self.watcher.lost()

    def send(self, data: bytes) -> None:
        self._check_writable()
        assert self._stream is not None
        self.last_used = time.monotonic()
        self._stream.write(data)

    def _check_writable(self) -> None:
        if self._stream is None or self._stream.is_closing():
            raise TransportError("the connection is closed", target=via_host(self.remote))
        if self._stream.get_write_buffer_size() > MAX_WRITE_BUFFER:
            # A peer that does not read must not make us keep what it does not take.
            self.abort()
            raise TransportError("the peer does not read", target=via_host(self.remote))

    def distrust(self, since: float) -> None:
        if self._heard <= since:
            self.abort()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

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
