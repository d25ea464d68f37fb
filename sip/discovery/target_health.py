"""Which targets failed lately, so that others are tried before them (RFC 3263 4.3), sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import SipParseError
from ..message.grammar import parse_number
from ..message.message import Response
from .target import Target

AVOIDED_FOR = 30.0
# What a 503 may ask for by Retry-After: who answers must not banish a target for days.
LONGEST_AVOIDED = 600.0
MAX_AVOIDED = 1000


class TargetHealth:
    """Remembers failures for a while; `clock` returns seconds of any steady clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._avoided: dict[Target, float] = {}

    def __len__(self) -> int:
        return len(self._avoided)

    def failed(self, target: Target, *, retry_after: float | None = None) -> None:
        """Has a target tried last for 30 s, or as long as its 503 asked for, 10 minutes at most."""
        now = self._clock()
        self._forget(now)
        self._avoided.pop(target, None)
        seconds = AVOIDED_FOR if retry_after is None else min(retry_after, LONGEST_AVOIDED)
        self._avoided[target] = now + seconds
        if len(self._avoided) > MAX_AVOIDED:
            del self._avoided[next(iter(self._avoided))]

    def recovered(self, target: Target) -> None:
        """Forgets the failures of a target that has answered."""
        self._avoided.pop(target, None)

    def avoids(self, target: Target) -> bool:
        """Whether a target failed lately."""
        until = self._avoided.get(target)
        return until is not None and until > self._clock()

    def order(self, targets: Sequence[Target]) -> list[Target]:
        """Returns the targets with those that failed lately behind the others, the order kept otherwise."""
        if not self._avoided:
            return list(targets)
        self._forget(self._clock())
        return sorted(targets, key=lambda target: target in self._avoided)

    def _forget(self, now: float) -> None:
        for target in [target for target, until in self._avoided.items() if until <= now]:
            del self._avoided[target]


def retry_after(response: Response) -> float | None:
    """Returns the seconds of a Retry-After, whose comment and parameters do not matter here (RFC 3261 20.33)."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        number = value.partition(";")[0].partition("(")[0].strip()
        return float(parse_number(number, (1 << 32) - 1, "Retry-After"))
    except SipParseError:
        return LONGEST_AVOIDED if value.strip()[:1].isdigit() else None
