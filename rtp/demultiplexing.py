"""What a datagram on a port of media is, by its first byte (RFC 7983 7, RFC 9443) and RTCP's types (RFC 5761 4)."""

from __future__ import annotations

import enum


class DatagramKind(enum.Enum):
    """The protocol of a datagram; UNKNOWN ones are to be dropped."""

    STUN = "stun"
    ZRTP = "zrtp"
    DTLS = "dtls"
    TURN_CHANNEL = "turn-channel"
    QUIC = "quic"
    RTP = "rtp"
    RTCP = "rtcp"
    UNKNOWN = "unknown"


# The last first byte of each range of RFC 7983 as updated by RFC 9443 4.
_RANGES = (
    (3, DatagramKind.STUN),
    (15, DatagramKind.UNKNOWN),
    (19, DatagramKind.ZRTP),
    (63, DatagramKind.DTLS),
    (79, DatagramKind.TURN_CHANNEL),
    (127, DatagramKind.QUIC),
    (191, DatagramKind.RTP),
    (255, DatagramKind.QUIC),
)
_BY_FIRST_BYTE = tuple(next(kind for last, kind in _RANGES if byte <= last) for byte in range(256))


def kind_of(datagram: bytes | bytearray | memoryview) -> DatagramKind:
    """Returns the kind of a datagram. It is what the sender claims: each protocol still checks its own.

    DTLS begins at 20. RTP and RTCP share one port when a=rtcp-mux was agreed on; second bytes of 192 to 223 are
    RTCP packet types. Too short for that, and empty datagrams, are UNKNOWN.
    """
    if not datagram:
        return DatagramKind.UNKNOWN
    kind = _BY_FIRST_BYTE[datagram[0]]
    if kind is DatagramKind.RTP:
        if len(datagram) < 2:
            return DatagramKind.UNKNOWN
        return DatagramKind.RTCP if 192 <= datagram[1] <= 223 else DatagramKind.RTP
    return kind
