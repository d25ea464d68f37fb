"""SRTP and SRTCP (RFC 3711): sessions that protect and unprotect packets, and the policies they follow.

Knows nothing of SDP, keys' origin or sockets: bytes in, bytes out.
"""

from .diagnosis import Cause, Diagnosis
from .errors import (
    AuthenticationError,
    BufferTooSmallError,
    ForkError,
    IndexExhaustedError,
    IndexReuseError,
    KeyExpiredError,
    MalformedPacketError,
    NoPolicyError,
    PacketTooLongError,
    PacketTooOldError,
    PolicyError,
    ReplayError,
    SrtpError,
    StateError,
    TooManyStreamsError,
    UnencryptedPacketError,
    UnexpectedCryptexError,
    UnknownMkiError,
)
from .fanout import FanoutTarget
from .master_key import MasterKey
from .packet_batch import PacketBatch
from .packet_status import PacketStatus
from .policy import Cryptex, Policy, RocCarrying
from .profile import Cipher, Profile
from .secret import SecretBytes
from .session import Session, available_kernels, protect_fanout
from .state import Direction, DirectionState, KeyEvent, KeyEventKind, PacketCounters, ReplayState, StreamState

__all__ = [
    "AuthenticationError",
    "BufferTooSmallError",
    "Cause",
    "Cipher",
    "Cryptex",
    "Diagnosis",
    "Direction",
    "DirectionState",
    "FanoutTarget",
    "ForkError",
    "IndexExhaustedError",
    "IndexReuseError",
    "KeyEvent",
    "KeyEventKind",
    "KeyExpiredError",
    "MalformedPacketError",
    "MasterKey",
    "NoPolicyError",
    "PacketBatch",
    "PacketCounters",
    "PacketStatus",
    "PacketTooLongError",
    "PacketTooOldError",
    "Policy",
    "PolicyError",
    "Profile",
    "ReplayError",
    "ReplayState",
    "RocCarrying",
    "SecretBytes",
    "Session",
    "SrtpError",
    "StateError",
    "StreamState",
    "TooManyStreamsError",
    "UnencryptedPacketError",
    "UnexpectedCryptexError",
    "UnknownMkiError",
    "available_kernels",
    "protect_fanout",
]
