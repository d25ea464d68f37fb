from typing_extensions import Buffer

from .policy import Policy
from .state import Direction, DirectionState

def available_kernels() -> tuple[str, ...]:
    """Returns the names of the kernel tables that this CPU can run, best first."""

class Session:
    """SRTP and SRTCP of one RTP session: any number of SSRCs in each direction (RFC 3711).

    `outbound` protects, `inbound` unprotects; one of them may be None, and its operations then raise
    NoPolicyError. `kernels` forces a kernel table by name; without it the environment variable SRTP_KERNELS
    does, or the best of the CPU is taken.

    Streams bind late: an inbound SSRC exists only after its first authenticated packet, and nothing from a
    packet that failed changes any state but the counters.

    Raises PolicyError when both policies are None or the kernels are not to be had on this CPU.
    """

    outbound_policy: Policy | None
    inbound_policy: Policy | None

    def __init__(self, outbound: Policy | None, inbound: Policy | None, *, kernels: str | None = None) -> None: ...
    @property
    def kernels(self) -> str:
        """The name of the kernel table in use."""

    def protect(self, packet: Buffer) -> bytes:
        """Returns the SRTP packet for an RTP packet of at most 65,535 bytes less MKI and tag (RFC 3711 3.3).

        Raises MalformedPacketError when it is no RTP packet, PacketTooLongError when it is too long,
        IndexReuseError when its index was used for other bytes or lies before the window, and
        IndexExhaustedError after 2^48 packets.
        """

    def unprotect(self, packet: Buffer) -> bytes:
        """Returns the RTP packet in an SRTP packet (RFC 3711 3.3).

        Raises MalformedPacketError when it cannot be one, ReplayError or PacketTooOldError by the replay
        window, UnknownMkiError when it carries another MKI, and AuthenticationError when its tag is wrong.
        """

    def protect_rtcp(self, packet: Buffer) -> bytes:
        """Returns the SRTCP packet for a compound RTCP packet (RFC 3711 3.4); errors as of protect()."""

    def unprotect_rtcp(self, packet: Buffer) -> bytes:
        """Returns the compound RTCP packet in an SRTCP packet (RFC 3711 3.4).

        Raises what unprotect() raises, and UnencryptedPacketError when the authenticated packet's E flag is
        not what the policy's profile does.
        """

    def protect_into(self, buffer: Buffer, length: int) -> int:
        """Protects the RTP packet in the first `length` bytes of a writable buffer, in place.

        Returns the SRTP packet's length. Raises what protect() raises, BufferTooSmallError when the buffer
        has no room for MKI and tag, and BufferError when it is read-only. After an error the buffer is as it
        was.
        """

    def unprotect_into(self, buffer: Buffer, length: int) -> int:
        """Unprotects in place like protect_into(); returns the RTP packet's length."""

    def protect_rtcp_into(self, buffer: Buffer, length: int) -> int:
        """Protects RTCP in place like protect_into(); returns the SRTCP packet's length."""

    def unprotect_rtcp_into(self, buffer: Buffer, length: int) -> int:
        """Unprotects RTCP in place like protect_into(); returns the RTCP packet's length."""

    def roc(self, ssrc: int, direction: Direction) -> int | None:
        """Returns the rollover counter of an SSRC (RFC 3711 3.3.1), or None when there is no such stream."""

    def set_roc(self, ssrc: int, direction: Direction, roc: int) -> None:
        """Sets the rollover counter of an SSRC, 0 to 2^32 - 1, before or after its first packet.

        Set afterwards it empties the replay window. Raises IndexReuseError when it would lower a sender's
        ROC, because indexes would be used again.
        """

    def remove_stream(self, ssrc: int, direction: Direction) -> bool:
        """Forgets a stream, as after its BYE; returns whether there was one.

        A sender must not use the SSRC again under the same master key: its indexes would start anew.
        """

    def state(self, direction: Direction) -> DirectionState:
        """Returns counters and the state of all streams of a direction as values without keys."""
