"""The edge to the network: SIP over UDP, TCP, TLS and WebSocket by asyncio (RFC 3261 18, RFC 7118)."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from srtp.field_checks import as_flag

from ..discovery.target import SECURE_TRANSPORTS, Target, transport_name
from ..errors import MissingExtraError, SipParseError, TlsVerificationError, TransportError
from ..message.message import Message, Request
from ..message.parser import DEFAULT_LIMITS, Limits, parse_message
from ..transaction.load_limits import USER_AGENT_LIMITS, HeldBytes
from .connection_places import ConnectionPlaces
from .connection_reuse import ConnectionReuse
from .descriptors import allowed_connections
from .flow import Flow as Flow
from .flow import LocalAddress as LocalAddress
from .flow import via_host as via_host
from .keep_alive import answer_binding
from .stream_flow import StreamFlow
from .stream_listener import StreamListener
from .tls_accept import TlsHandshake
from .websocket_settings import WebSocketSettings

if TYPE_CHECKING:
    from .websocket_flow import WebSocketFlow

CONNECT_TIMEOUT = 10.0
MAX_CONNECTIONS = 1000
MAX_DATAGRAM = 65507
UDP_RECEIVE_BUFFER = 4 << 20
DATAGRAMS_PER_TURN = 32
KNOWN_UDP_FLOWS = 1024
ERROR_REPLIES_PER_SECOND = 50
# Seconds between two lines of the log that say that no connections can be accepted.
LOG_INTERVAL = 60.0
WILDCARDS = frozenset(("0.0.0.0", "::"))  # noqa: S104  # compared, not bound


_LOG = logging.getLogger(__name__)
Received = Callable[[Message, Flow], None]
Malformed = Callable[[SipParseError, Flow], None]
Lost = Callable[[Flow], None]


class UdpFlow(Flow):
    """The way to one address over a UDP socket."""

    transport = "udp"

    def __init__(self, socket: UdpListener, remote: tuple[str, int]) -> None:
        self._socket = socket
        self.remote = remote

    @property
    def closed(self) -> bool:
        return self._socket.closed

    @property
    def local(self) -> tuple[str, int]:
        return self._socket.local

    def towards(self, remote: tuple[str, int]) -> UdpFlow:
        """Returns the way to another address over the same socket."""
        return UdpFlow(self._socket, remote)

    def send(self, data: bytes) -> None:
        if len(data) > MAX_DATAGRAM:
            raise TransportError(
                f"a message of {len(data)} bytes does not fit a datagram", target=via_host(self.remote)
            )
        self._socket.send(data, self.remote)


class UdpListener:
    """One UDP socket; every datagram is a message of its own.

    Read by itself rather than by asyncio's transport: that takes one datagram for each turn of the loop.
    """

    def __init__(self, layer: TransportLayer, host: str, port: int) -> None:
        self._layer = layer
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            # What comes while we are busy waits here; the system gives as much of it as it may.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_RECEIVE_BUFFER)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.local: tuple[str, int] = self._socket.getsockname()[:2]
        self.closed = False
        self._flows: dict[tuple[str, int], UdpFlow] = {}
        self._loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                data, address = self._socket.recvfrom(MAX_DATAGRAM + 1)
            except OSError:
                # Nothing more; or an ICMP error, which says nothing of the other peers of this socket.
                return
            self._received(data, address[:2])
            if self.closed:
                return

    def _received(self, data: bytes, address: tuple[str, int]) -> None:
        if not data.strip(b"\r\n\0"):
            return  # a keep-alive
        flow = self.flow(address)
        if data[0] < 2:
            self._layer.stun(data, flow)
            return
        try:
            message = parse_message(data, limits=self._layer.limits)
        except SipParseError as error:
            self._layer.malformed(error, flow)
            return
        self._layer.received(message, flow)

    def flow(self, remote: tuple[str, int]) -> UdpFlow:
        """Returns the way to an address, the same one for the same address where that is met often."""
        flow = self._flows.get(remote)
        if flow is None:
            if len(self._flows) >= KNOWN_UDP_FLOWS:
                self._flows.clear()
            flow = self._flows[remote] = UdpFlow(self, remote)
        return flow

    def send(self, data: bytes, remote: tuple[str, int]) -> None:
        if self.closed:
            raise TransportError("the socket is closed", target=via_host(remote))
        try:
            self._socket.sendto(data, remote)
        except BlockingIOError:
            return  # as if it had been lost on the way: transactions send it again
        except OSError as error:
            raise TransportError(reason_of(error), target=via_host(remote)) from None

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket)
            self._socket.close()


class TransportLayer:
    """All sockets of one endpoint. `received` and `malformed` get what comes in, with the flow it came by; `lost`
    gets each connection that ended.

    A connection is used again only as sip.connection_reuse says. `tls_client` is used for outgoing TLS; without it TLS
    targets are refused. No more than `max_connections` are open at once, and no more than the process's descriptors
    allow (sip.descriptors); of those that peers opened no more than `max_source_connections` from one source, and
    sip.connection_places says which have to make room. A peer has `first_message` seconds for its first message; what
    connections keep is bounded by `connection_bytes` and, of one source, `source_connection_bytes`.
    """

    def __init__(
        self,
        *,
        received: Received,
        malformed: Malformed,
        lost: Lost,
        tls_client: ssl.SSLContext | None = None,
        allow_wildcards: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        max_connections: int = MAX_CONNECTIONS,
        max_source_connections: int | None = None,
        connection_bytes: int = USER_AGENT_LIMITS.connection_bytes,
        source_connection_bytes: int = USER_AGENT_LIMITS.source_connection_bytes,
        first_message: float = USER_AGENT_LIMITS.first_message,
        websocket: WebSocketSettings | None = None,
    ) -> None:
        self._received = received
        self._malformed = malformed
        self._lost = lost
        self._tls_client = tls_client
        self._tls_server: ssl.SSLContext | None = None  # for all listeners, instead of those they began with
        self._authorities: dict[int, frozenset[bytes]] = {}  # of the contexts that came later
        self.allow_wildcards = as_flag(allow_wildcards, "allow_wildcards")
        self.limits = limits
        self.first_message = first_message
        self.held = HeldBytes(connection_bytes, source_connection_bytes)  # by connections
        self._flows = ConnectionPlaces(allowed_connections(max_connections), max_source_connections)
        self._websocket = websocket or WebSocketSettings()
        self._has_websocket = importlib.util.find_spec("websockets") is not None
        self._udp: list[UdpListener] = []
        self._servers: list[StreamListener] = []
        self._closed = False
        self._reuse = ConnectionReuse()
        self._opening: dict[Target, asyncio.Future[StreamFlow]] = {}
        self.listening: list[LocalAddress] = []
        # Who takes the STUN messages of a UDP flow, by its remote end.
        self.stun_keepers: dict[tuple[str, int], Callable[[bytes], None]] = {}
        self._replies_since = 0.0
        self._replies = 0
        self._logged_at: float | None = None

    @property
    def supported(self) -> tuple[str, ...]:
        """The transports that requests can go by, the preferred one first."""
        own = ("udp", "tcp") if self._tls_client is None else ("tls", "tcp", "udp")
        return own + tuple(one for one in ("wss", "ws") if self._has_websocket and (one == "ws" or "tls" in own))

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._flows)

    @property
    def max_connections(self) -> int:
        """How many connections there may be, by the settings and the process's descriptors."""
        return self._flows.most

    async def listen(
        self, transport: str, host: str, port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> LocalAddress:
        """Listens on a numeric address (port 0: any free one) and returns it; raises OSError as bind() does.

        Raises ValueError for a transport that there is not and for an empty host, which to bind() is all addresses;
        TransportError after close(), for a secure transport without a context, and for another one with it: who gives a
        certificate does not want to be heard in the clear.
        """
        transport = transport_name(transport)
        if not isinstance(host, str) or not host:
            raise ValueError(f"the host is {host!r}, it must be an address; 0.0.0.0 and :: are all of this machine")
        if not isinstance(port, int) or not 0 <= port <= 65535:
            raise ValueError(f"the port is {port!r}, it must be a number from 0 (any free one) to 65535")
        if self._closed:
            raise TransportError("closed, and listens no more: make another one")
        if transport in SECURE_TRANSPORTS and tls is None:
            raise TransportError("listening on TLS needs a context with a certificate")
        if transport not in SECURE_TRANSPORTS and tls is not None:
            raise TransportError(f"{transport} has no TLS, and a TLS context was given; listen on tls or wss")
        if transport == "udp":
            listener = UdpListener(self, host, port)
            self._udp.append(listener)
            address = LocalAddress("udp", *listener.local)
        else:
            server = self._stream_listener(transport, host, port, tls)
            self._servers.append(server)
            address = LocalAddress(transport, *server.local)
        self.listening.append(address)
        return address

    def replace_tls(self, *, client: ssl.SSLContext, server: ssl.SSLContext) -> None:
        """Has connections from now on use other contexts, both ways; those that stand go on.

        What their peers have proven counts on where the new contexts have its authority too.
        """
        self._tls_client, self._tls_server = client, server
        self._authorities = {id(one): frozenset(one.get_ca_certs(binary_form=True)) for one in (client, server)}

    def authorities_now(self, context: ssl.SSLContext, *, accepted: bool) -> frozenset[bytes] | None:
        """Returns the authorities (DER) that connections are verified by now; None where `context` still does it."""
        current = self._tls_server if accepted else self._tls_client
        return None if current is None or current is context else self._authorities[id(current)]

    def _stream_listener(self, transport: str, host: str, port: int, tls: ssl.SSLContext | None) -> StreamListener:
        websocket = self._websocket_flow() if transport in ("ws", "wss") else None

        def make() -> StreamFlow:
            if websocket is not None:
                return websocket(self, transport, self._websocket)
            return StreamFlow(self, transport, None, accepted=True)

        if tls is None:
            return StreamListener(self, host, port, make)
        context = tls
        return StreamListener(self, host, port, make, lambda: self._tls_server or context)

    def cannot_accept(self, error: OSError) -> None:
        """Says, once in a while, that connections cannot be accepted, and gives back what a silent one holds."""
        now = time.monotonic()
        if self._logged_at is None or now - self._logged_at >= LOG_INTERVAL:
            self._logged_at = now
            _LOG.warning("no connection can be accepted for now: %s (%d are open)", reason_of(error), len(self._flows))
        self._flows.shed_silent()

    async def flow_to(self, target: Target) -> Flow:
        """Returns a flow to a target, opening a connection where none is open.

        Raises TransportError when it cannot be reached, TlsVerificationError when it does not prove its name.
        """
        if target.transport == "udp":
            return await self._udp_flow(target)
        flow = self.open_flow(target)
        if flow is not None:
            return flow
        pending = self._opening.get(target)
        if pending is None:
            pending = self._opening[target] = asyncio.ensure_future(self._connect(target))
            pending.add_done_callback(lambda done: self._opened_or_failed(target, done))
        return await asyncio.shield(pending)

    def open_flow(self, target: Target) -> Flow | None:
        """Returns the open connection to a target, None when there is none."""
        return self._reuse.find(target)

    def _opened_or_failed(self, target: Target, done: asyncio.Future[StreamFlow]) -> None:
        self._opening.pop(target, None)
        if not done.cancelled() and done.exception() is None:
            self._reuse.opened(target, done.result())

    async def _connect(self, target: Target) -> StreamFlow:
        tls = None
        if target.secure:
            if self._tls_client is None:
                raise TransportError("no TLS context for outgoing connections", target=str(target))
            tls = self._tls_client
        loop = asyncio.get_running_loop()
        name = target.name if target.secure else None
        websocket = self._websocket_flow() if target.transport in ("ws", "wss") else None

        def make() -> StreamFlow:
            if websocket is not None:
                return websocket(self, target.transport, self._websocket, target)
            return StreamFlow(self, target.transport, name)

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, flow = await loop.create_connection(
                    make,
                    target.host,
                    target.port,
                    ssl=tls,
                    server_hostname=target.name if tls is not None else None,
                )
                await self._ready(flow)
        except TimeoutError:
            raise TransportError(f"no connection in {CONNECT_TIMEOUT:g} s", target=str(target)) from None
        except ssl.SSLCertVerificationError as error:
            reason = f"the certificate is not trusted: {error.verify_message}"
            raise TlsVerificationError(reason, expected=target.name) from None
        except (OSError, ssl.SSLError) as error:
            raise TransportError(reason_of(error), target=str(target)) from None
        return flow

    @staticmethod
    async def _ready(flow: StreamFlow) -> None:
        if flow.failure is not None:
            raise flow.failure
        try:
            await flow.ready()
        except BaseException:
            flow.abort()
            raise

    @staticmethod
    def _websocket_flow() -> type[WebSocketFlow]:
        try:
            from .websocket_flow import WebSocketFlow
        except ImportError:
            raise TransportError(str(MissingExtraError("WebSocket", extra="websocket"))) from None
        return WebSocketFlow

    async def _udp_flow(self, target: Target) -> Flow:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=2)
        except OSError as error:
            raise TransportError(reason_of(error), target=str(target)) from None
        address = str(found[0][4][0]), int(found[0][4][1])
        flow = self.udp_flow(address)
        if flow is None:
            try:
                await self.listen("udp", "::" if ":" in address[0] else "0.0.0.0")  # noqa: S104  # any interface
            except OSError as error:
                raise TransportError(reason_of(error), target=str(target)) from None
            flow = self.udp_flow(address)
        assert flow is not None
        return flow

    def udp_flow(self, remote: tuple[str, int]) -> UdpFlow | None:
        """Returns the flow to an address over the UDP socket of its family, None when there is no such socket."""
        for listener in self._udp:
            if (":" in listener.local[0]) == (":" in remote[0]):
                return listener.flow(remote)
        return None

    def stun(self, data: bytes, flow: UdpFlow) -> None:
        """Answers a Binding request, and passes on what may answer one of ours (RFC 5626 8)."""
        answer = answer_binding(data, flow.remote)
        if answer is not None:
            with contextlib.suppress(TransportError):
                flow.send(answer)
        elif (keeper := self.stun_keepers.get(flow.remote)) is not None:
            keeper(data)

    def received(self, message: Message, flow: Flow) -> None:
        """Passes a message on; a mistake of ours in it costs the message, and not the connection that others share."""
        try:
            self._received(message, flow)
        except Exception:
            _LOG.exception("an error in taking a message")

    def received_by_connection(self, message: Message, flow: StreamFlow) -> None:
        """Passes on what came by a TCP or TLS connection, which its peer may want to be used again."""
        if flow.accepted:
            self._flows.heard(flow)
            if flow.certificate is not None and isinstance(message, Request):
                self._reuse.received(message.top_via, flow)
        self.received(message, flow)

    def malformed(self, error: SipParseError, flow: Flow) -> None:
        """Passes on what may be answered, at a bounded rate: garbage must not make us a reflector."""
        if error.request is None:
            return
        now = time.monotonic()
        if now - self._replies_since >= 1.0:
            self._replies_since, self._replies = now, 0
        self._replies += 1
        if self._replies <= ERROR_REPLIES_PER_SECOND:
            self._malformed(error, flow)

    def admit(self, flow: StreamFlow | TlsHandshake, *, instead_of: TlsHandshake | None = None) -> bool:
        """Counts a new connection, `instead_of` the handshake that it comes of; False when there are too many."""
        return not self._closed and self._flows.take(flow, instead_of=instead_of)

    def release(self, flow: StreamFlow | TlsHandshake) -> None:
        """Takes a connection off the count."""
        self._flows.release(flow)

    def proven(self, flow: StreamFlow) -> None:
        """Takes note that a peer has proven who it is: its connection does not have to make room for others."""
        self._flows.proven(flow)

    def forget(self, flow: StreamFlow) -> None:
        """Takes a connection that has ended off the books and reports its loss."""
        self.release(flow)
        self._lost(flow)
        self._reuse.forget(flow)

    async def close(self) -> None:
        """Closes every socket and connection."""
        for pending in list(self._opening.values()):
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, TransportError):
                await pending
        self._closed = True
        for server in self._servers:
            server.close()
        for flow in self._flows:
            flow.close()
        for listener in self._udp:
            listener.close()
        for _ in range(20):
            if not self._flows:
                break
            await asyncio.sleep(0.05)
        for flow in self._flows:
            flow.abort()
        self._servers.clear()
        # One more turn of the loop, in which transports call connection_lost().
        await asyncio.sleep(0)


def local_host_of(flow: Flow) -> str:
    """Returns the address of ours that a flow's peer sees, also where the socket is bound to all of them."""
    host = flow.local[0]
    return local_address_towards(*flow.remote) if host in WILDCARDS else host


def local_address_towards(host: str, port: int) -> str:
    """Returns the address of ours that packets to `host` leave from; raises TransportError without a way to it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)  # a UDP socket sends nothing by this
            return str(probe.getsockname()[0])
    except OSError as error:
        raise TransportError(reason_of(error), target=via_host((host, port))) from None


_WORDS: dict[type[OSError], str] = {
    TimeoutError: "no connection in time",
    ConnectionResetError: "the peer closed the connection",
    ConnectionAbortedError: "the connection was aborted",
    ConnectionRefusedError: "the connection was refused",
    BrokenPipeError: "the peer closed the connection",
}


def reason_of(error: OSError) -> str:
    """Returns what the system says of an error, without its number and what asyncio puts around it."""
    if isinstance(error, socket.gaierror):
        return f"the name is not resolved: {error.strerror}"
    if isinstance(error, ssl.SSLError) or error.errno is None or error.errno <= 0:
        return str(error) or _WORDS.get(type(error), f"{type(error).__name__} without a reason")
    return os.strerror(error.errno)
