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

    crypto_suite: str | None
    packets_sent: int
    octets_sent: int
    packets_received: int
    octets_received: int
    expected: int
    lost: int
    late: int
    concealed: int
    jitter: float
    round_trip: float | None
    remote_loss: float | None
    rtcp_sent: int
    rtcp_received: int
    authenticated: int
    rtcp_authenticated: int
    authentication_failures: int
    replays: int
    malformed: int
    foreign: int
    unexpected: int
    overflowed: int
