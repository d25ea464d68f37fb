"""Slows down those who guess passwords, by account and by source, in a fixed amount of memory; sans-IO."""

from __future__ import annotations

import ipaddress
import secrets
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

from srtp.field_checks import check_fields

SLOTS = 8192
MAX_TRUSTED = 10000


@dataclass(frozen=True, slots=True)
class GuessRate:
    """`burst` wrong answers are free, and one more each `period` seconds."""

    burst: int
    period: float

    def __post_init__(self) -> None:
        check_fields(self)


class _Rates:
    """Wrong answers counted in slots, which keys share by chance; what is counted is forgiven with time."""

    def __init__(self, rate: GuessRate) -> None:
        self._rate = rate
        # When all that was counted in a slot will be forgiven.
        self._forgiven = array("d", bytes(8 * SLOTS))

    def wait(self, slot: int, now: float) -> float:
        return max(0.0, self._forgiven[slot] - now - (self._rate.burst - 1) * self._rate.period)

    def count(self, slot: int, now: float) -> None:
        self._forgiven[slot] = max(self._forgiven[slot], now) + self._rate.period


class GuessLimit:
    """Says how long an answer for an account, from a source, has to wait before it is looked at.

    Wrong answers count three times: for the account from that source, for the source whatever the account, and
    for the account wherever they come from. The last does not hold up a source from which the account has
    answered rightly before, so that strangers cannot lock out its owner. Sources are IP addresses, of IPv6 the
    /64. `now` is in seconds of a clock that does not go back.
    """

    def __init__(
        self,
        *,
        pair: GuessRate = GuessRate(5, 10.0),  # a frozen value
        source: GuessRate = GuessRate(50, 1.0),
        account: GuessRate = GuessRate(100, 10.0),
    ) -> None:
        self._pairs, self._sources, self._accounts = _Rates(pair), _Rates(source), _Rates(account)
        self._trusted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._key = secrets.token_bytes(16)  # so that nobody can aim at a slot

    def wait(self, account: str, source: str, now: float) -> float:
        """Returns the seconds to wait; 0 when the answer may be checked now."""
        source = _network(source)
        waits = [self._pairs.wait(self._slot(account, source), now), self._sources.wait(self._slot(source), now)]
        if (account, source) not in self._trusted:
            waits.append(self._accounts.wait(self._slot(account), now))
        return max(waits)

    def failed(self, account: str, source: str, now: float) -> None:
        """Counts a wrong answer."""
        source = _network(source)
        self._pairs.count(self._slot(account, source), now)
        self._sources.count(self._slot(source), now)
        self._accounts.count(self._slot(account), now)

    def succeeded(self, account: str, source: str) -> None:
        """Remembers the source as one of the account's owner; what was counted goes with time only."""
        source = _network(source)
        self._trusted[account, source] = None
        self._trusted.move_to_end((account, source))
        if len(self._trusted) > MAX_TRUSTED:
            self._trusted.popitem(last=False)

    def _slot(self, *parts: str) -> int:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest(), "big") % SLOTS


def _network(source: str) -> str:
    try:
        address = ipaddress.ip_address(source.partition("%")[0].strip("[]"))
    except ValueError:
        return source
    if address.version == 6:
        mapped = address.ipv4_mapped
        return str(mapped) if mapped is not None else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
