"""NTP timestamps (RFC 3550 4): 32 bits of seconds since 1900 and 32 bits of fraction."""

from __future__ import annotations

_NTP_UNIX_OFFSET = 2208988800


def ntp_time(unix_time: float) -> int:
    """Returns the 64-bit NTP timestamp of seconds since 1970."""
    return int((unix_time + _NTP_UNIX_OFFSET) * (1 << 32)) & 0xFFFFFFFFFFFFFFFF


def round_trip(arrival_ntp: int, last_sr: int, delay_since_last_sr: int) -> float | None:
    """Returns the round-trip time in seconds that a report block tells (6.4.1), None when it answers no SR.

    `arrival_ntp` is the 64-bit NTP time at which the block arrived.
    """
    if not last_sr:
        return None
    ticks = ((arrival_ntp >> 16) - last_sr - delay_since_last_sr) & 0xFFFFFFFF
    return ticks / 65536 if ticks < 1 << 31 else 0.0
