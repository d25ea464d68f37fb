"""Timestamps in NTP's format, and whether they are near enough to now (RFC 3830 4.2.8, 5.4, 6.6)."""

from __future__ import annotations

_UNIX_EPOCH = 2_208_988_800  # seconds from 1900-01-01 to 1970-01-01
_ERA = 1 << 32


def ntp_timestamp(now: float) -> bytes:
    """Returns the 64-bit NTP timestamp of `now`, seconds since 1970 in UTC; it wraps every 136 years."""
    ticks = round((now + _UNIX_EPOCH) * _ERA)
    return (ticks % (1 << 64)).to_bytes(8)


def ntp_time(value: bytes, now: float) -> float:
    """Returns the seconds since 1970 of a 64-bit timestamp, or of its first 32 bits.

    Of the times 136 years apart that the bytes stand for, it is the one nearest to `now`.
    """
    seconds = int.from_bytes(value[:4]) + int.from_bytes(value[4:8].ljust(4, b"\0")) / _ERA - _UNIX_EPOCH
    return seconds + round((now - seconds) / _ERA) * _ERA


def is_later(value: bytes, other: bytes) -> bool:
    """Whether a 64-bit timestamp is later than another, by less than half of the 136 years in which they wrap."""
    return 0 < (int.from_bytes(value) - int.from_bytes(other)) % (1 << 64) < 1 << 63
