"""A full ICE agent (RFC 8445) for one component, by aioice: needs `securertc[ice]`."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Callable, Iterable
from typing import Any, Self

from ..errors import MissingExtraError

try:
    import aioice
except ModuleNotFoundError:
    raise MissingExtraError("IceAgent", extra="ice") from None

from rtp.demultiplexing import DatagramKind, kind_of
from rtp.udp import Address
from sdp.errors import StunError
from sdp.ice import (
    BINDING,
    MAX_USERNAME_LENGTH,
    IceCandidate,
    IceCredentials,
    IceDescription,
    StunAttribute,
    StunClass,
    StunMessage,
    StunTransactions,
)
from srtp.field_checks import as_flag

from ..errors import IceError

_COMPONENT = 1
# As many as an agent checks pairs (RFC 8445 6.1.2.5): what is kept of each is a pair, and a check of ours.
MAX_SOURCES = 100
_LENGTHS: dict[int, int] = {
    StunAttribute.PRIORITY: 4,
    StunAttribute.ICE_CONTROLLED: 8,
    StunAttribute.ICE_CONTROLLING: 8,
}
CONSENT_LOST = "the peer no longer consents to be sent to: it answers no checks (RFC 7675)"


class IceAgent:
    """Finds a path to the peer and carries the media's datagrams on it; a `MediaPath` with RTCP on the same one.

    gather(), put `description` into the SDP, then connect() with the peer's. The offerer is `controlling`; who
    meets an ICE-lite peer becomes it (RFC 8445 6.1.1). `stun_server` and `turn_server` are host and port.

    When the peer no longer consents to be sent to (RFC 7675), or the socket of the selected pair is gone, `lost` says
    why, `on_lost` is called, and nothing is sent any more. `dropped` counts the datagrams that were nobody's: of STUN,
    only checks that authenticate and answers that were asked for reach aioice, each from one source of 100 at most.
    """

    def __init__(
        self,
        *,
        controlling: bool,
        stun_server: Address | None = None,
        turn_server: Address | None = None,
        turn_username: str | None = None,
        turn_password: str | None = None,
    ) -> None:
        credentials = IceCredentials.generate()
        self._connection = _Connection(
            self,
            ice_controlling=as_flag(controlling, "controlling"),
            stun_server=stun_server,
            turn_server=turn_server,
            turn_username=turn_username,
            turn_password=turn_password,
            local_username=credentials.ufrag,
            local_password=credentials.password,
        )
        self._credentials = credentials
        self._received: Callable[[bytes, Address], None] = _unheard
        self._selected: Address | None = None
        self._closing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._transactions = StunTransactions()
        self._sources: set[Address] = set()
        self.lost: str | None = None
        self.on_lost: Callable[[str], None] = _unnoticed
        self.on_selected: Callable[[Address], None] = _unnoticed
        self.dropped = 0

    async def gather(self) -> IceDescription:
        """Gathers candidates and returns what our SDP says; raises IceError when there are none."""
        try:
            await self._connection.gather_candidates()
        except OSError as error:
            raise IceError(f"no candidates could be gathered: {error}") from error
        if not self.description.candidates:
            raise IceError("there are no candidates")
        return self.description

    @property
    def description(self) -> IceDescription:
        """What our SDP says."""
        parsed = (IceCandidate.parse(candidate.to_sdp()) for candidate in self._connection.local_candidates)
        return IceDescription(self._credentials, tuple(one for one in parsed if one is not None))

    @property
    def local_address(self) -> Address:
        """The default candidate, for the c= and m= lines; raises IceError before gather()."""
        candidate = self._connection.get_default_candidate(_COMPONENT)
        if candidate is None:
            raise IceError("no candidates were gathered")
        return candidate.host, candidate.port

    @property
    def validated(self) -> tuple[Address, ...]:
        """Where the peer has been shown to be: the selected address, once there is one."""
        return () if self._selected is None else (self._selected,)

    @property
    def selected(self) -> Address | None:
        """Where the selected pair's other end is."""
        return self._selected

    async def connect(self, remote: IceDescription) -> Address:
        """Checks the peer's candidates until a pair is nominated; returns its other end.

        Raises IceError when no pair works.
        """
        connection = self._connection
        connection.remote_username, connection.remote_password = remote.credentials.ufrag, remote.credentials.password
        connection.remote_is_lite = remote.lite
        if remote.lite:
            connection.ice_controlling = True
        for candidate in remote.candidates:
            # aioice raises for what it cannot use, as TCP or names that cannot be found: others may do.
            with contextlib.suppress(ValueError, OSError):
                await connection.add_remote_candidate(aioice.Candidate.from_sdp(candidate.serialize()))
        await connection.add_remote_candidate(None)
        try:
            await connection.connect()
        except (ConnectionError, OSError) as error:
            raise IceError(f"no path to the peer: {error}") from error
        pair = self._pair()
        if pair is None:
            raise IceError("no path to the peer")
        self._watching = asyncio.ensure_future(self._watch())
        self._selected = pair.remote_addr[0], pair.remote_addr[1]
        self.on_selected(self._selected)
        return self._selected

    def attach(self, received: Callable[[bytes, Address], None]) -> None:
        """Says who gets the datagrams that are not ICE's own."""
        self._received = received

    def send(self, data: bytes | bytearray | memoryview, address: Address) -> None:
        """Sends a datagram on the selected pair, wherever it is for; does nothing without one."""
        pair = self._pair()
        if pair is not None and self._closing is None:
            pair.protocol.transport.sendto(bytes(data), pair.remote_addr)

    def close(self) -> None:
        """Ends the agent in the background; wait_closed() waits for it."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._connection.close())

    async def wait_closed(self) -> None:
        """Closes the agent and waits until its sockets are."""
        self.close()
        assert self._closing is not None
        await asyncio.shield(self._closing)

    async def _watch(self) -> None:
        """Waits for aioice to close itself, as it does when no check has been answered for half a minute."""
        await self._connection.get_event()
        self._path_lost(CONSENT_LOST)

    def _path_lost(self, reason: str) -> None:
        if self._closing is None and self.lost is None:
            self.lost = reason
            self.on_lost(reason)

    def _pair(self) -> Any:
        return self._connection._nominated.get(_COMPONENT)

    def _guard(self, protocol: Any) -> None:
        """Lets aioice have what is the peer's only, and has the data of the selected pair's other end.

        aioice hands on what anybody sends to its sockets, without saying whence: a ClientHello of a stranger would be
        taken for the peer's (CVE-2023-51443). What it cannot read as STUN it keeps for ever, or raises into the event
        loop. So the datagrams are looked at before it has them.
        """
        to_aioice = protocol.datagram_received

        def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
            source = (address[0], address[1])
            pair = self._pair()
            if kind_of(data) is DatagramKind.STUN:
                if self._is_wanted(data, source, protocol.transactions):
                    self._hand_over(to_aioice, data, source)
                else:
                    self.dropped += 1
            elif pair is not None and pair.protocol is protocol and source == tuple(pair.remote_addr[:2]):
                self._received(data, source)
            else:
                self.dropped += 1

        protocol.datagram_received = datagram_received
        # A relay's other side: what its server sends is parsed by aioice too.
        relay = getattr(getattr(protocol, "transport", None), "_TurnTransport__inner_protocol", None)
        if relay is not None:
            self._guard_relay(relay)

    def _guard_relay(self, relay: Any) -> None:
        to_aioice = relay.datagram_received

        def datagram_received(data: bytes, address: Address) -> None:
            if kind_of(data) is DatagramKind.STUN and not _is_stun(data):
                self.dropped += 1
            else:
                self._hand_over(to_aioice, data, address)

        relay.datagram_received = datagram_received

    def _hand_over(self, to_aioice: Callable[[bytes, Address], None], data: bytes, source: Address) -> None:
        """Gives aioice a datagram, which is dropped if one of its attributes is not what aioice reads there."""
        try:
            to_aioice(data, source)
        except (struct.error, ValueError, LookupError):
            self.dropped += 1

    def _is_wanted(self, data: bytes, source: Address, ours: dict[bytes, Any]) -> bool:
        """Whether a datagram is an answer that was asked for, or a check of the peer's and no copy of one."""
        try:
            message = StunMessage.parse(data)
        except StunError:
            return False
        if message.message_class in (StunClass.SUCCESS, StunClass.ERROR):
            return message.transaction_id in ours
        username = message.attribute(StunAttribute.USERNAME)
        if message.message_class is not StunClass.REQUEST or message.method != BINDING or username is None:
            return False
        wrong = any(len(value) != _LENGTHS.get(kind, len(value)) for kind, value in message.attributes)
        for_us = username.startswith(self._credentials.ufrag.encode() + b":") and len(username) <= MAX_USERNAME_LENGTH
        if wrong or not for_us or not message.is_authentic(self._credentials.password.encode()):
            return False
        return self._transactions.is_of(message.transaction_id, source) and self._has_room_for(source)

    def _has_room_for(self, source: Address) -> bool:
        if source not in self._sources and len(self._sources) < MAX_SOURCES:
            self._sources.add(source)
        return source in self._sources


class _Connection(aioice.Connection):
    """aioice's, whose sockets are guarded as soon as they are there, and which keeps nobody's data."""

    def __init__(self, agent: IceAgent, **settings: Any) -> None:
        super().__init__(**settings)
        self._protocols = _Guarded(agent._guard)
        self._agent = agent

    def data_received(self, data: bytes, component: int) -> None:
        """Drops it: the selected pair's data has been taken before, and all else is a stranger's."""
        self._agent.dropped += 1

    def protocol_lost(self, protocol: Any) -> None:
        if any(pair.protocol is protocol for pair in self._nominated.values()):
            self._agent._path_lost("the socket or the relay of the path to the peer was closed")
        super().protocol_lost(protocol)


class _Guarded(list[Any]):
    """A list that has something done to all that is put into it, one by one or by +=."""

    def __init__(self, guard: Callable[[Any], None]) -> None:
        super().__init__()
        self._guard = guard

    def append(self, protocol: Any) -> None:
        self._guard(protocol)
        super().append(protocol)

    def __iadd__(self, protocols: Iterable[Any]) -> Self:  # type: ignore[misc]  # list has __add__ for other lists
        for protocol in protocols:
            self.append(protocol)
        return self


def _is_stun(data: bytes) -> bool:
    try:
        StunMessage.parse(data)
    except StunError:
        return False
    return True


def _unheard(_: bytes, __: Address) -> None:
    """Before attach()."""


def _unnoticed(_: object) -> None:
    """When nobody wants to know."""
