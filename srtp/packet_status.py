"""What became of one packet of a batch."""

from __future__ import annotations

import enum


class PacketStatus(enum.IntEnum):
    """The status codes of batch calls; `OK` is 0. What each of the others says, the exception of the single call
    says too."""

    OK = 0
    MALFORMED = 1
    TOO_LONG = 2
    NO_ROOM = 3
    NO_POLICY = 4
    UNKNOWN_MKI = 5
    KEY_EXPIRED = 6
    AUTHENTICATION_FAILED = 7
    REPLAYED = 8
    TOO_OLD = 9
    INDEX_REUSED = 10
    INDEX_EXHAUSTED = 11
    UNENCRYPTED = 12
    NO_MEMORY = 13
    TOO_MANY_STREAMS = 14
    UNEXPECTED_CRYPTEX = 15
