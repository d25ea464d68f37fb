"""A network in memory under a clock in memory: an event loop on which hours pass in milliseconds.

Datagrams are lost, doubled and overtake each other as `Faults` say, by a seeded generator; streams are reset after
as many bytes as a test wants. The code under test is what runs on real sockets: only asyncio's edge is replaced.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import selectors
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from sip.transport import layer as sip_transport
from sip.transport.layer import TransportLayer, UdpListener

Address = tuple[str, int]
LATENCY = 0.01
# A run that takes longer than that, in its own time, hangs.
FOREVER = 24 * 3600.0


@dataclass
class Faults:
    """What happens to datagrams: `loss` and `duplication` are probabilities, `jitter` the seconds one may be late."""

    loss: float = 0.0
    duplication: float = 0.0
    jitter: float = 0.0


class _ClockSelector(selectors.SelectSelector):
    """Waits by putting the clock forward."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        if timeout > 0:
            self.loop.pass_time(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is its own, with `network` instead of TCP."""

    def __init__(self, network: Network) -> None:
        selector = _ClockSelector()
        selector.loop = self
        self._now = 1000.0
        self.network = network
        super().__init__(selector)

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float) -> None:
        """Puts the clock forward, by any time: a machine that was asleep wakes up to that."""
        self._now += seconds

    async def getaddrinfo(self, host: Any, port: Any, *, type: int = 0, **more: Any) -> Any:
        if not isinstance(host, str) or not host.replace(".", "").isdigit():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, type, 0, "", (host, port))]

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **more: Any) -> Any:
        assert more.get("ssl") is None
        return await self.network.connect(factory, (host, port))


class VirtualListener:
    """What listens on an address of the network, in the place of a StreamListener."""

    def __init__(self, layer: TransportLayer, host: str, port: int, make: Any, context: Any = None) -> None:
        assert context is None
        self._network = asyncio.get_running_loop().network  # type: ignore[attr-defined]  # a VirtualLoop
        self.factory = make
        self.local = (host, port or self._network.free_port())
        self._network.servers[self.local] = self

    def close(self) -> None:
        self._network.servers.pop(self.local, None)


class VirtualStream(asyncio.Transport):
    """One end of a connection; `reset_after` bytes that it sent both ends are reset, the rest never arrives."""

    def __init__(self, network: Network, local: Address, remote: Address) -> None:
        super().__init__({"peername": remote, "sockname": local})
        self._network = network
        self.protocol: Any = None
        self.other: VirtualStream
        self.reset_after: int | None = None
        self.silent = False  # what is sent vanishes, and nobody hears of it: a half-open connection
        self._ended = False
        network.streams.add(self)

    def is_closing(self) -> bool:
        return self._ended

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass  # everything is sent at once

    def write(self, data: Any) -> None:
        if self._ended or self.silent:
            return
        if self.reset_after is not None:
            passing, self.reset_after = bytes(data[: self.reset_after]), self.reset_after - len(data)
            self._network.later(LATENCY, self.other.arrived, passing)
            if self.reset_after <= 0:
                self.reset_after = 0
                self._network.later(LATENCY, self.reset)
            return
        self._network.later(LATENCY, self.other.arrived, bytes(data))

    def arrived(self, data: bytes) -> None:
        if not self._ended and data:
            self.protocol.data_received(data)

    def reset(self) -> None:
        """Ends both ends at once, as RST does."""
        for end in (self, self.other):
            end.ended(ConnectionResetError("reset by the network"))

    def ended(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._network.streams.discard(self)
            self._network.later(0, self.protocol.connection_lost, error)

    def close(self) -> None:
        if not self._ended and not self.silent:
            self._network.later(LATENCY, self.other.ended, None)
        self.ended(None)

    abort = close


class VirtualUdp(UdpListener):
    """A UDP socket of the network, in the place of a UdpListener's real one."""

    def __init__(self, layer: TransportLayer, host: str, port: int) -> None:
        network = asyncio.get_running_loop().network  # type: ignore[attr-defined]  # a VirtualLoop
        self._layer = layer
        self._network = network
        self.local = (host, port or network.free_port())
        self.closed = False
        self._flows = {}
        network.sockets[self.local] = self

    def send(self, data: bytes, remote: Address) -> None:
        assert not self.closed
        self._network.send(data, self.local, remote)

    def arrived(self, data: bytes, source: Address) -> None:
        if not self.closed:
            self._received(data, source)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            del self._network.sockets[self.local]


@dataclass
class Network:
    """Where all addresses live; `drops` may lose what it wants besides, by the data, the source and the destination."""

    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    drops: Callable[[bytes, Address, Address], bool] | None = None
    on_connect: Callable[[VirtualStream], None] | None = None  # gets the end of who connects

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.sockets: dict[Address, VirtualUdp] = {}
        self.servers: dict[Address, VirtualListener] = {}
        self.streams: set[VirtualStream] = set()
        self.lost = self.doubled = self.sent = 0
        self._ports = itertools.count(20000)

    def free_port(self) -> int:
        return next(self._ports)

    def later(self, seconds: float, what: Callable[..., None], *arguments: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, what, *arguments)

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        """Carries a datagram, or does not."""
        self.sent += 1
        chance, faults = self.random.random, self.faults
        if chance() < faults.loss or (self.drops is not None and self.drops(data, source, destination)):
            self.lost += 1
            return
        copies = 2 if chance() < faults.duplication else 1
        self.doubled += copies - 1
        for _ in range(copies):
            self.later(LATENCY + chance() * faults.jitter, self._arrive, data, source, destination)

    def _arrive(self, data: bytes, source: Address, destination: Address) -> None:
        receiver = self.sockets.get(destination)
        if receiver is not None:
            receiver.arrived(data, source)

    async def connect(self, factory: Any, address: Address) -> tuple[VirtualStream, Any]:
        await asyncio.sleep(LATENCY)
        server = self.servers.get(address)
        if server is None:
            raise ConnectionRefusedError(111, "Connection refused")
        local = (f"10.1.0.{self.random.randrange(1, 255)}", self.free_port())
        ours, theirs = VirtualStream(self, local, address), VirtualStream(self, address, local)
        ours.other, theirs.other = theirs, ours
        theirs.protocol, ours.protocol = server.factory(), factory()
        if self.on_connect is not None:
            self.on_connect(ours)
        theirs.protocol.connection_made(theirs)
        ours.protocol.connection_made(ours)
        return ours, ours.protocol

    def nothing_left(self) -> None:
        """Checks that all that was opened on the network is closed."""
        assert not self.sockets
        assert not self.servers
        assert not self.streams


def run(network: Network, script: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Runs a script on a network of its own and checks that no task and no address is left of it."""
    loop = VirtualLoop(network)
    unexpected: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: unexpected.append(context))
    real = sip_transport.UdpListener, sip_transport.StreamListener
    sip_transport.UdpListener, sip_transport.StreamListener = VirtualUdp, VirtualListener  # type: ignore[misc]
    try:

        async def bounded() -> Any:
            async with asyncio.timeout(FOREVER):
                result = await script()
            await asyncio.sleep(1)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, left
            return result

        result = loop.run_until_complete(bounded())
        network.nothing_left()
        waiting = [one for one in loop._scheduled if not one.cancelled()]  # type: ignore[attr-defined]
        assert len(waiting) <= 1, waiting  # that of `bounded` itself
        assert not unexpected, unexpected
        return result
    finally:
        sip_transport.UdpListener, sip_transport.StreamListener = real  # type: ignore[misc]
        loop.close()
