"""What can go wrong in SRTP, each error with the facts of the packet it is about."""

from __future__ import annotations


class SrtpError(Exception):
    """Base of every error that this package raises for a packet, a key or a policy.

    `ssrc` and `index` are those of the packet, where it got far enough to have them.
    """

    def __init__(self, message: str, *, ssrc: int | None = None, index: int | None = None) -> None:
        facts = [] if ssrc is None else [f"SSRC 0x{ssrc:08x}"]
        facts += [] if index is None else [f"index {index}"]
        super().__init__(f"{message} ({', '.join(facts)})" if facts else message)
        self.ssrc = ssrc
        self.index = index


class PolicyError(SrtpError, ValueError):
    """A policy cannot be: wrong key length, window out of range, unknown profile or kernel."""


class NoPolicyError(SrtpError):
    """The session has no policy for the direction that was asked for."""


class ForkError(SrtpError, RuntimeError):
    """A session or a secret is used in another process than the one that made it.

    A child of fork() has the indexes of its parent: both would encrypt under one of them. It makes sessions of its
    own, or takes over an exported state, whose gap keeps the two apart.
    """


class TooManyStreamsError(NoPolicyError):
    """A bound on streams is reached: of those that received packets bring (the policy's `max_streams`, and 1,024
    without authentication), or of removed senders whose indexes have to be remembered."""


class UnexpectedCryptexError(SrtpError):
    """The header extension of an RTP packet is marked as encrypted by Cryptex (0xC0DE or 0xC2DE, RFC 9335 5) where it
    cannot be: it came under a policy without Cryptex, or is so marked before it is protected."""


class MalformedPacketError(SrtpError, ValueError):
    """The bytes are no RTP or RTCP packet, or too short for the tag that the policy asks for."""


class PacketTooLongError(MalformedPacketError):
    """The packet is, or would be when protected, longer than 65,535 bytes."""


class AuthenticationError(SrtpError):
    """The authentication tag does not match (RFC 3711 3.3): forged, damaged, or another key or ROC."""


class UnknownMkiError(AuthenticationError):
    """The packet does not carry the MKI of the policy (RFC 3711 3.1)."""


class ReplayError(SrtpError):
    """The index was received before (RFC 3711 3.3.2)."""


class PacketTooOldError(ReplayError):
    """The index lies before the replay window, so that a replay could not be told."""


class UnencryptedPacketError(SrtpError):
    """A packet is, or would be, in clear where the policy asks for encryption: SRTCP by its E flag (RFC 3711 3.4), or
    the header of an RTP packet without Cryptex (RFC 9335 5.2), or whose extension Cryptex or RFC 6904 cannot
    encrypt."""


class KeyExpiredError(SrtpError):
    """The master key's lifetime is used up, or the index lies outside of every key's <From, To> (RFC 3711 9.2,
    8.1.1)."""


class StateError(SrtpError, ValueError):
    """A saved state cannot be read: damaged, sealed with another key, or of an unknown version."""


class IndexReuseError(SrtpError):
    """Protecting would use an index, and so its keystream, a second time for other bytes (RFC 3711 9.1)."""


class IndexExhaustedError(SrtpError):
    """All 2^48 indexes (2^31 for RTCP) of the master key are used; it must be replaced (RFC 3711 9.2)."""


class BufferTooSmallError(SrtpError, ValueError):
    """An in-place buffer has no room; `needed` says how many bytes it must have."""

    def __init__(self, needed: int, capacity: int) -> None:
        super().__init__(f"the buffer holds {capacity} bytes, {needed} are needed")
        self.needed = needed
        self.capacity = capacity
