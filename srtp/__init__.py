"""SRTP and SRTCP (RFC 3711): sessions that protect and unprotect packets, and the policies they follow.

Knows nothing of SDP, keys' origin or sockets: bytes in, bytes out.
"""

from .errors import (
    AuthenticationError,
    BufferTooSmallError,
    IndexExhaustedError,
    IndexReuseError,
    MalformedPacketError,
    NoPolicyError,
    PacketTooLongError,
    PacketTooOldError,
    PolicyError,
    ReplayError,
    SrtpError,
    UnencryptedPacketError,
    UnknownMkiError,
)
from .policy import Policy
from .profile import Profile
from .secret import SecretBytes
from .session import Session, available_kernels
from .state import Direction, DirectionState, PacketCounters, ReplayState, StreamState

__all__ = [
    "AuthenticationError",
    "BufferTooSmallError",
    "Direction",
    "DirectionState",
    "IndexExhaustedError",
    "IndexReuseError",
    "MalformedPacketError",
    "NoPolicyError",
    "PacketCounters",
    "PacketTooLongError",
    "PacketTooOldError",
    "Policy",
    "PolicyError",
    "Profile",
    "ReplayError",
    "ReplayState",
    "SecretBytes",
    "Session",
    "SrtpError",
    "StreamState",
    "UnencryptedPacketError",
    "UnknownMkiError",
    "available_kernels",
]
