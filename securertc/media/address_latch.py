"""Where media under SRTP goes: where the peer's authentic packets come from, and not where a copy of one does."""

from __future__ import annotations

from rtp.udp import Address

STREAK = 3
MAX_SOURCES = 64
_MODULUS = 1 << 16


class AddressLatch:
    """The address that one side sends to, beginning with the one that was signalled.

    A packet proves who made it, and not who sent it: a copy that outruns it comes from elsewhere. So what counts is
    where the stream goes on. The very first packet moves the address at once, as the signalled one may be behind a
    NAT; the signalled address has it back with its next packet, and any other address takes it by three in a row
    with none from the present one between. Who outruns single packets so draws media away for three at most.

    An address that is `proven`, as ICE's checks do it, stays (RFC 8445 12.1).
    """

    def __init__(self, signalled: Address, *, proven: bool = False) -> None:
        self.signalled = signalled
        self.address = signalled
        self.proven = proven
        self._heard = False
        self._candidate: Address | None = None
        self._streak = 0

    @classmethod
    def going_on(cls, former: AddressLatch, signalled: Address, *, proven: bool) -> AddressLatch:
        """Returns the latch for another agreement: the former one, unless that signals another address."""
        return former if (former.signalled, former.proven) == (signalled, proven) else cls(signalled, proven=proven)

    def heard(self, source: Address) -> None:
        """Says that a packet of the peer's came from here which authenticated and was newer than all before."""
        first, self._heard = not self._heard, True
        if source == self.address or self.proven:
            self._streak = 0
            return
        self._streak = self._streak + 1 if source == self._candidate else 1
        self._candidate = source
        if first or source == self.signalled or self._streak >= STREAK:
            self.address, self._streak = source, 0


class NewestNumbers:
    """Whether RTP packets are newer than all before of their SSRC: what was held back moves nothing."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}

    def is_newer(self, ssrc: int, sequence_number: int) -> bool:
        """Whether this is the newest one, which it is from then on; of the latest 64 SSRCs that is known."""
        newest = self._newest.pop(ssrc, None)
        newer = newest is None or 0 < (sequence_number - newest) % _MODULUS < _MODULUS // 2
        self._newest[ssrc] = sequence_number if newer or newest is None else newest
        if len(self._newest) > MAX_SOURCES:
            del self._newest[next(iter(self._newest))]
        return newer
