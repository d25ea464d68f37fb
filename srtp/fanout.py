"""One packet to many recipients."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .session import Session


class FanoutTarget(NamedTuple):
    """One recipient of protect_fanout(): the session whose outbound policy protects its copy, and what its RTP header
    says instead of the original's; None leaves a field as it is.

    `ssrc` and `timestamp` have 32 bits, `sequence_number` 16, `payload_type` 7; higher bits are cut off.
    """

    session: Session
    ssrc: int | None = None
    sequence_number: int | None = None
    timestamp: int | None = None
    payload_type: int | None = None
