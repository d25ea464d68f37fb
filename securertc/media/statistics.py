"""What a media stream has counted, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """One moment of a stream. Counts are of RTP packets unless they say otherwise.

    `lost` of `expected` never arrived; `late` ones came too late to be played, `concealed` frames were played
    as silence. `jitter` and `round_trip` are in seconds (the latter None until the peer answered a report),
    `remote_loss` is the share of our packets, 0 to 1, that the peer last reported as lost.

    Dropped: `authentication_failures`, `replays` (twice, or too old), `malformed`, `foreign` (from an address
    that was not signalled, without SRTP), `unexpected` (of a payload type that was not agreed, or our SSRC).
    """

    crypto_suite: str | None = None
    packets_sent: int = 0
    octets_sent: int = 0
    packets_received: int = 0
    octets_received: int = 0
    expected: int = 0
    lost: int = 0
    late: int = 0
    concealed: int = 0
    jitter: float = 0.0
    round_trip: float | None = None
    remote_loss: float | None = None
    rtcp_sent: int = 0
    rtcp_received: int = 0
    authenticated: int = 0
    rtcp_authenticated: int = 0
    authentication_failures: int = 0
    replays: int = 0
    malformed: int = 0
    foreign: int = 0
    unexpected: int = 0
    overflowed: int = 0
