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
MAX_FAILING = 10000
# So long a source counts as one that has failed, and so long at most an account under attack makes it wait.
REMEMBERED = 3600.0
ACCOUNT_DELAY = 60.0


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
    for the account wherever they come from. A source that has not failed in the last hour is never held up,
    whoever else has: strangers cannot lock out an account's owner. The account's count holds up a source that has
    failed, for a minute at most since it did, and never one from which the account has answered rightly before.
    Sources are IP addresses, of IPv6 the /64, and have to be proven: by a connection, or by a nonce sent there. `now`
    is in seconds of a clock that does not go back.
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
        self._failing: OrderedDict[str, float] = OrderedDict()  # when a source failed last
        self._key = secrets.token_bytes(16)  # so that nobody can aim at a slot

    def wait(self, account: str, source: str, now: float) -> float:
        """Returns the seconds to wait; 0 when the answer may be checked now."""
        source = _network(source)
        failed = self._failing.get(source)
        # Slots are shared by chance: what others have counted there must hold up nobody who has not failed.
        if failed is None or now - failed > REMEMBERED:
            return 0.0
        waits = [self._pairs.wait(self._slot(account, source), now), self._sources.wait(self._slot(source), now)]
        if (account, source) not in self._trusted:
            left = max(0.0, failed + ACCOUNT_DELAY - now)
            waits.append(min(left, self._accounts.wait(self._slot(account), now)))
        return max(waits)

    def failed(self, account: str, source: str, now: float) -> None:
        """Counts a wrong answer."""
        source = _network(source)
        self._pairs.count(self._slot(account, source), now)
        self._sources.count(self._slot(source), now)
        self._accounts.count(self._slot(account), now)
        self._failing[source] = now
        self._failing.move_to_end(source)
        if len(self._failing) > MAX_FAILING:
            self._failing.popitem(last=False)

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
