"""What a session can tell of itself: plain values without keys."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .field_checks import check_fields


class Direction(enum.Enum):
    """Which way packets go: `OUTBOUND` is protected, `INBOUND` unprotected."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


@dataclass(frozen=True, slots=True)
class PacketCounters:
    """How packets fared: `processed` were protected or authenticated, each of the others was refused for its
    reason; `refused` are those refused for any reason not named here (index used twice, no policy)."""

    processed: int
    malformed: int
    authentication_failures: int
    replays: int
    too_old: int
    unknown_mki: int
    key_expired: int
    refused: int


@dataclass(frozen=True, slots=True)
class ReplayState:
    """The indexes one stream has used: `top` is the highest, `window` has bit i set for `top - i`.

    `started` is false, and the other values mean nothing, before the first packet.
    """

    started: bool
    top: int
    window: int

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class StreamState:
    """One SSRC in one direction: its rollover counter, the replay lists of RTP and RTCP, its counters."""

    ssrc: int
    roc: int
    rtp_replay: ReplayState
    rtcp_replay: ReplayState
    rtp: PacketCounters
    rtcp: PacketCounters


@dataclass(frozen=True, slots=True)
class DirectionState:
    """All streams of a direction by ascending SSRC, and the counters over all of them, which also count the
    packets that belong to no stream."""

    streams: tuple[StreamState, ...]
    rtp: PacketCounters
    rtcp: PacketCounters


class KeyEventKind(enum.Enum):
    """What happened to a master key: the soft limit of a lifetime was reached; its hard limit was, so that the key is
    of no more use; or the overlap of a rekey ended and the key before it was wiped."""

    SOFT_LIMIT = "soft limit"
    HARD_LIMIT = "hard limit"
    OVERLAP_ENDED = "overlap ended"


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """Something that Session.events() tells of a master key.

    `ssrc` is None for the policy of any SSRC. `rtcp` says whose lifetime it is, and `used` how many packets it has
    had; both mean nothing for OVERLAP_ENDED, where `mki` is that of the key that stays.
    """

    kind: KeyEventKind
    direction: Direction
    ssrc: int | None
    mki: bytes
    rtcp: bool = False
    used: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
