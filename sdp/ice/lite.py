"""ICE-lite (RFC 8445 2.5, 7.3): host candidates, and answers to the checks of a full agent; sans-IO.

What the peer's checks prove is where it is: its address is validated once a check from there authenticated, and
selected once it was nominated. Nothing else is learnt from them. A check can be caught and sent on from elsewhere; so
each counts for the one source that it came from first, and who is selected by a copy has to go on checking.
"""

from __future__ import annotations

import hmac
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from srtp.field_checks import check_fields

from ..errors import StunError
from .attributes import IceCandidate, IceCredentials, IceDescription
from .stun import (
    BINDING,
    MAX_USERNAME_LENGTH,
    StunAttribute,
    StunClass,
    StunMessage,
    encode_error,
    encode_xor_address,
)
from .stun_transactions import StunTransactions

Address = tuple[str, int]

MAX_VALIDATED = 64
# Three of the checks for consent that a peer makes every five seconds (RFC 7675 5.1).
SILENCE = 15.0


@dataclass(frozen=True, slots=True)
class PeerValidated:
    """A check from an address authenticated for the first time, or made it the one where media goes: `nominated`."""

    address: Address
    nominated: bool

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class StunReply:
    """What is to be sent back to where a datagram came from, and what it has shown."""

    datagram: bytes | None = None
    event: PeerValidated | None = None


class IceLite:
    """The ICE-lite agent of one component (rtcp-mux: the only one) in the controlled role.

    `addresses` are those that the socket can be reached at. `remote_ufrag` may be set when the peer's credentials
    are known; checks for other ones are refused from then on. `clock` gives seconds, from any beginning.

    The address nominated last is selected. When it has not checked for 15 seconds, the next one that does takes its
    place, nominated or not. A transaction counts for the source that it came from first; of the latest 1,024 that is
    known, and once some are forgotten, only a selected address that is silent loses its place.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        credentials: IceCredentials | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.credentials = credentials or IceCredentials.generate()
        self.candidates = tuple(
            IceCandidate.host(address, port, local_preference=65535 - index)
            for index, (address, port) in enumerate(addresses)
        )
        self.remote_ufrag: str | None = None
        self.selected: Address | None = None
        self._key = self.credentials.password.encode()
        self._clock = clock
        self._transactions = StunTransactions()
        # With the time of the last check.
        self._validated: dict[Address, float] = {}

    @property
    def description(self) -> IceDescription:
        """What our SDP says."""
        return IceDescription(self.credentials, self.candidates, lite=True)

    @property
    def validated(self) -> tuple[Address, ...]:
        """Where the peer has been shown to be, the latest last; at most 64."""
        return tuple(self._validated)

    def receive_datagram(self, data: bytes, source: Address) -> StunReply:
        """Takes a datagram of STUN; never raises for what is in it.

        Only Binding requests with a FINGERPRINT are answered (RFC 8445 7.3): with 400 when they have no
        credentials, 401 when those are not ours, 420 for attributes that would have to be understood, and 487
        when the peer wants to be controlled too.
        """
        try:
            request = StunMessage.parse(data)
        except StunError:
            return StunReply()
        binding = request.method == BINDING and request.message_class is StunClass.REQUEST
        if not binding or not request.has_fingerprint:
            return StunReply()
        username = request.attribute(StunAttribute.USERNAME)
        if username is None or not request.has_integrity or len(username) > MAX_USERNAME_LENGTH:
            return StunReply(_error(request, 400, "Bad Request"))
        if not self._is_username(username) or not request.is_authentic(self._key):
            return StunReply(_error(request, 401, "Unauthenticated"))
        return self._answer(request, source)

    def _answer(self, request: StunMessage, source: Address) -> StunReply:
        """The answer to a request that authenticated."""
        if unknown := request.unknown_attributes:
            types = struct.pack(f"!{len(unknown)}H", *unknown)
            more = (StunAttribute.UNKNOWN_ATTRIBUTES, types)
            return StunReply(_error(request, 420, "Unknown Attribute", more, key=self._key))
        if request.attribute(StunAttribute.ICE_CONTROLLED) is not None:
            return StunReply(_error(request, 487, "Role Conflict", key=self._key))
        try:
            mapped = encode_xor_address(source, request.transaction_id)
        except ValueError:
            return StunReply()
        response = StunMessage(
            StunClass.SUCCESS, BINDING, request.transaction_id, ((StunAttribute.XOR_MAPPED_ADDRESS, mapped),)
        )
        event = None
        # A copy is answered, as whose it is cannot be told, and otherwise changes nothing.
        if self._transactions.is_of(request.transaction_id, source):
            event = self._note(source, nominated=request.attribute(StunAttribute.USE_CANDIDATE) is not None)
        return StunReply(response.serialize(self._key), event)

    def _note(self, source: Address, *, nominated: bool) -> PeerValidated | None:
        now = self._clock()
        takes = source != self.selected and self._may_take_over(now, nominated=nominated)
        is_news = takes or source not in self._validated
        self._validated.pop(source, None)
        self._validated[source] = now
        if takes:
            self.selected = source
        if len(self._validated) > MAX_VALIDATED:
            del self._validated[next(one for one in self._validated if one != self.selected)]
        return PeerValidated(source, takes) if is_news else None

    def _may_take_over(self, now: float, *, nominated: bool) -> bool:
        """Whether another address than the selected one gets its place by a check."""
        if self.selected is None:
            return nominated
        silent = now - self._validated[self.selected] >= SILENCE
        return silent or (nominated and not self._transactions.forgotten)

    def _is_username(self, username: bytes) -> bool:
        ours, colon, theirs = username.partition(b":")
        if not colon or not hmac.compare_digest(ours, self.credentials.ufrag.encode()):
            return False
        return self.remote_ufrag is None or theirs == self.remote_ufrag.encode()


def _error(request: StunMessage, code: int, reason: str, *more: tuple[int, bytes], key: bytes | None = None) -> bytes:
    attributes = ((StunAttribute.ERROR_CODE, encode_error(code, reason)), *more)
    return StunMessage(StunClass.ERROR, BINDING, request.transaction_id, attributes).serialize(key)
