"""A full ICE agent (RFC 8445) for one component, by aioice: needs `securertc[ice]`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import aioice

from rtp.udp import Address
from sdp.demultiplexing import DatagramKind, kind_of
from sdp.ice_attributes import IceCandidate, IceCredentials, IceDescription
from srtp.field_checks import as_flag

from .errors import IceError

_COMPONENT = 1


class IceAgent:
    """Finds a path to the peer and carries the media's datagrams on it; a `MediaPath` with RTCP on the same one.

    gather(), put `description` into the SDP, then connect() with the peer's. The offerer is `controlling`; who
    meets an ICE-lite peer becomes it (RFC 8445 6.1.1). `stun_server` and `turn_server` are host and port.
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
        self._connection = aioice.Connection(
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
        self.on_selected: Callable[[Address], None] = _unnoticed
        self.dropped = 0

    async def gather(self) -> IceDescription:
        """Gathers candidates and returns what our SDP says; raises IceError when there are none."""
        try:
            await self._connection.gather_candidates()
        except OSError as error:
            raise IceError(f"no candidates could be gathered: {error}") from error
        for protocol in self._connection._protocols:
            self._guard(protocol)
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

    def _pair(self) -> Any:
        return self._connection._nominated.get(_COMPONENT)

    def _guard(self, protocol: Any) -> None:
        """Takes data from the selected pair's other end only.

        aioice hands on what anybody sends to its sockets, without saying whence: a ClientHello of a stranger would be
        taken for the peer's (CVE-2023-51443). So the datagrams are looked at before it has them.
        """
        to_aioice = protocol.datagram_received

        def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
            if kind_of(data) is DatagramKind.STUN:
                to_aioice(data, address)
                return
            pair = self._pair()
            source = (address[0], address[1])
            if pair is not None and pair.protocol is protocol and source == tuple(pair.remote_addr[:2]):
                self._received(data, source)
            else:
                self.dropped += 1

        protocol.datagram_received = datagram_received


def _unheard(_: bytes, __: Address) -> None:
    """Before attach()."""


def _unnoticed(_: Address) -> None:
    """When nobody wants to know."""
