"""Which timestamps are near enough, and which messages were here before, in bounded memory (RFC 3830 5.4)."""

from __future__ import annotations

import hashlib

from ..errors import MikeyRefusedError
from .code_points import ErrorNumber, TimestampType
from .payloads import T
from .timestamp import ntp_time

_NTP = (TimestampType.NTP_UTC, TimestampType.NTP)


class ReplayCache:
    """Remembers the authenticated messages whose timestamps are still allowed.

    `max_skew` is in seconds; `capacity` is how many messages are kept, some 100 bytes each. As the cache fills,
    the allowed skew decreases with what is left of it, down to nothing when it is full: then everything is
    refused until remembered messages are too old to come again. One cache serves all peers of a host.
    """

    def __init__(self, capacity: int = 4096, max_skew: float = 300.0) -> None:
        self.capacity = capacity
        self.max_skew = max_skew
        self._seen: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def allowed_skew(self, now: float) -> float:
        """The skew that is allowed now, in seconds; forgets messages that are too old to be accepted again."""
        if self._seen and min(self._seen.values()) < now - self.max_skew:
            self._seen = {digest: time for digest, time in self._seen.items() if time >= now - self.max_skew}
        return self.max_skew * (1 - len(self._seen) / self.capacity)

    def check(self, authenticated: bytes, timestamp: T, now: float) -> None:
        """Checks a message before it is authenticated; `authenticated` are its bytes without MAC or signature.

        Raises MikeyRefusedError (INVALID_TS) when the timestamp is no NTP time or beyond the skew, or the
        message was remembered. Changes nothing that the message says.
        """
        if timestamp.ts_type not in _NTP:
            raise MikeyRefusedError(ErrorNumber.INVALID_TS, "the timestamp is no 64-bit NTP time")
        skew = self.allowed_skew(now)
        if not abs(ntp_time(timestamp.value, now) - now) < skew:
            raise MikeyRefusedError(ErrorNumber.INVALID_TS, f"the timestamp is not within {skew:.0f} seconds of now")
        if _digest(authenticated) in self._seen:
            raise MikeyRefusedError(ErrorNumber.INVALID_TS, "the message was received before")

    def remember(self, authenticated: bytes, timestamp: T, now: float) -> None:
        """Remembers a message that was authenticated, or that we sent ourselves."""
        if len(self._seen) < self.capacity:
            self._seen[_digest(authenticated)] = ntp_time(timestamp.value, now)


def _digest(authenticated: bytes) -> bytes:
    return hashlib.sha256(authenticated).digest()
