from collections.abc import Iterable
from typing import Self

from typing_extensions import Buffer

from .diagnosis import Diagnosis
from .fanout import FanoutTarget
from .master_key import MasterKey
from .packet_batch import PacketBatch
from .packet_status import PacketStatus
from .policy import Policy
from .saved_values import SavedDirection
from .state import Direction, DirectionState, KeyEvent

def available_kernels() -> tuple[str, ...]:
    """Returns the names of the kernel tables that this CPU can run, best first."""

def protect_fanout(packet: Buffer, targets: Iterable[FanoutTarget]) -> list[bytes | PacketStatus]:
    """Protects one RTP packet for many recipients, each by the outbound policy of its session.

    Returns, in the order of the targets, the SRTP packets, or the status of those that were refused. Raises
    MalformedPacketError when the packet is too short for an RTP header.
    """

class Session:
    """SRTP and SRTCP of one RTP session: any number of SSRCs in each direction (RFC 3711).

    `outbound` protects, `inbound` unprotects packets of any SSRC; where one is None only the SSRCs that
    add_policy() names have a policy, and the packets of others raise NoPolicyError. `kernels` forces a kernel table
    by name; without it the environment variable SRTP_KERNELS does, or the best of the CPU is taken.

    Streams bind late: an inbound SSRC exists only after its first authenticated packet, and nothing from a
    packet that failed changes any state but the counters.

    Several threads may use one session. Each direction has a lock, held for the time of one packet or one batch;
    only batches release the GIL.

    Raises PolicyError when the kernels are not to be had on this CPU.
    """

    def __init__(self, outbound: Policy | None, inbound: Policy | None, *, kernels: str | None = None) -> None: ...
    @property
    def kernels(self) -> str:
        """The name of the kernel table in use."""

    @property
    def outbound_policy(self) -> Policy | None:
        """The policy of packets of any SSRC that are sent, with its master keys as they are now."""

    @property
    def inbound_policy(self) -> Policy | None:
        """The policy of packets of any SSRC that are received, with its master keys as they are now."""

    def policy(self, direction: Direction, ssrc: int | None = None) -> Policy | None:
        """Returns the policy of an SSRC, or of any SSRC; None when there is none."""

    def protect(self, packet: Buffer) -> bytes:
        """Returns the SRTP packet for an RTP packet of at most 65,535 bytes less MKI and tag (RFC 3711 3.3).

        Raises MalformedPacketError when it is no RTP packet, PacketTooLongError when it is too long,
        IndexReuseError when its index was used for other bytes or lies before the window, KeyExpiredError when
        the lifetime of the master key is used up, UnencryptedPacketError when Cryptex is required and its header
        extension cannot be encrypted by it, and IndexExhaustedError after 2^48 packets.
        """

    def unprotect(self, packet: Buffer) -> bytes:
        """Returns the RTP packet in an SRTP packet (RFC 3711 3.3).

        Raises MalformedPacketError when it cannot be one, ReplayError or PacketTooOldError by the replay
        window, UnknownMkiError when it carries another MKI, KeyExpiredError when the lifetime of its key is used up,
        AuthenticationError when its tag is wrong, UnencryptedPacketError when its header had to be encrypted by
        Cryptex and is not, and IndexExhaustedError when its index would lie after the last of 2^48.
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

    def protect_batch(self, batch: PacketBatch, count: int | None = None) -> int:
        """Protects the RTP packets of a batch in place, or its first `count`, without holding the GIL.

        Order and rules are those of one protect() a packet. Returns how many were protected; `batch.statuses` says
        what became of each, and `batch.lengths` how long each is now. A packet that was refused stays as it was.
        Raises NoPolicyError when the direction has no policy at all, ValueError when the batch has fewer packets.
        """

    def unprotect_batch(self, batch: PacketBatch, count: int | None = None) -> int:
        """Unprotects the SRTP packets of a batch in place, like protect_batch()."""

    def protect_list(self, packets: Iterable[Buffer]) -> list[bytes | PacketStatus]:
        """Returns the SRTP packets of RTP packets, with a status in the place of each that was refused."""

    def unprotect_list(self, packets: Iterable[Buffer]) -> list[bytes | PacketStatus]:
        """Returns the RTP packets of SRTP packets, with a status in the place of each that was refused."""

    def add_policy(self, ssrc: int, direction: Direction, policy: Policy) -> None:
        """Gives one SSRC a policy of its own, instead of that of any SSRC.

        A sender begins after what the policy's keys have protected of the SSRC before, if it was removed; under other
        keys it begins anew. Raises PolicyError when the SSRC has a stream already: remove_stream() ends that.
        """

    def update_policy(self, direction: Direction, policy: Policy, *, ssrc: int | None = None) -> None:
        """Puts a policy in the place of that of an SSRC, or of any SSRC, while streams run: Cryptex, windows, extension
        IDs, profile and keys may change.

        ROC, indexes, replay lists and counters of the streams stay, and keys that stay keep the packets that they have
        had. What lies before a replay list that has grown counts as received. When the keys are the same ones in the
        same order, the one that protects stays too, and so does an overlap; otherwise the first one protects, and keys
        that are gone are wiped at once: rekey() and add_key() make before they break. A packet protected before a
        change is not the same after it, so that allow_repeat_tx gives it no second time.

        Raises NoPolicyError when there is no such policy, TypeError when `policy` is none, and IndexReuseError, with
        nothing changed, when a key has protected later packets of a stream's SSRC before.
        """

    def add_key(self, direction: Direction, key: MasterKey, *, ssrc: int | None = None) -> None:
        """Adds a master key to the policy of an SSRC, or of any SSRC; it is accepted at once.

        Raises PolicyError when its lengths do not fit, or when its MKI or its range of indexes does not tell it
        from the others, NoPolicyError when there is no such policy, and IndexReuseError when it has protected later
        packets of a sender's SSRC before.
        """

    def remove_key(self, direction: Direction, mki: bytes, *, ssrc: int | None = None) -> None:
        """Wipes the master key of an MKI.

        Raises UnknownMkiError when there is none, and PolicyError when it is the one that protects, or the last.
        """

    def switch_key(self, mki: bytes, *, ssrc: int | None = None) -> None:
        """Protects packets with the master key of another MKI from now on.

        Raises UnknownMkiError when there is none.
        """

    def rekey(self, direction: Direction, key: MasterKey, *, overlap: int = 0, ssrc: int | None = None) -> None:
        """Replaces the master key of a policy without MKI; ROC, indexes and streams stay.

        What is sent uses the new key at once, and the old one is wiped. What is received is tried with the new key
        first, and with the old one until `overlap` packets have come under the new; then the old one is wiped and
        there is an event. A sender that is to begin with low numbers under the new key is removed first.

        Raises PolicyError when the policy has MKIs or several keys, and IndexReuseError when the key has protected
        later packets of a sender's SSRC before.
        """

    def events(self) -> tuple[KeyEvent, ...]:
        """Returns what happened to master keys since the last call: limits reached, overlaps ended."""

    def diagnose(self, packet: Buffer, *, rtcp: bool = False) -> Diagnosis:
        """Returns why a received packet does not authenticate; for troubleshooting, it may try thousands of
        ROCs and keys.

        It is ACCEPTED exactly when unprotect() would take it. Changes nothing, not even counters.
        """

    def export_state(self, sealing_key: Buffer) -> bytes:
        """Returns policies with their keys, indexes, replay windows and lifetimes, sealed by AES-256-GCM under a key
        of 32 bytes.

        Raises StateError when the key has another length.
        """

    @classmethod
    def import_state(cls, data: Buffer, sealing_key: Buffer, *, gap: int = ..., kernels: str | None = None) -> Self:
        """Returns a session of an exported state.

        Senders go on `gap` packets (4,096 unless told) after the exported index, of RTP and of RTCP, and refuse those
        before: what was sent after the export is so never encrypted twice. The application moves its sequence numbers
        on by as much. A sender whose next RTP packet could have had any number of its ROC, because none had gone out or
        set_roc() was called, cannot go on under that ROC, unless `gap` is 0: nothing was sent since. Streams, policies
        and keys that came after the export are not in it, so export again when one does; and one export is good for one
        import, once its session has ended.

        Raises StateError when the data is damaged, of another version, or sealed with another key, or when a sender is
        less than the gap before its last index.
        """

    def _shorten_rtcp_tags(self) -> None: ...
    def _saved(self, direction: Direction) -> SavedDirection | None: ...
    def _restore(self, saved: SavedDirection, gap: int) -> None: ...
    def roc(self, ssrc: int, direction: Direction) -> int | None:
        """Returns the rollover counter of an SSRC (RFC 3711 3.3.1), or None when there is no such stream."""

    def rtcp_index(self, ssrc: int, direction: Direction) -> int | None:
        """Returns the highest SRTCP index (RFC 3711 3.4) that an SSRC has sent or brought; None when there is none."""

    def set_roc(self, ssrc: int, direction: Direction, roc: int) -> None:
        """Sets the rollover counter of an SSRC, 0 to 2^32 - 1, before or after its first packet: the next packet has
        exactly that ROC, whatever its sequence number; from there it is estimated again (RFC 3711 3.3.1).

        A receiver's next packet is the next authentic one, and its replay list stays, unless the ROC is lower than that
        of packets received: then it is empty. A sender refuses indexes that it used. Raises IndexReuseError when
        packets of a sender went out under a higher ROC, and ValueError when it has more than 32 bits.
        """

    def remove_stream(self, ssrc: int, direction: Direction) -> bool:
        """Forgets a stream, as after its BYE, and the SSRC's own policy; returns whether there was one.

        Of a receiver everything is forgotten: recorded packets of it are accepted again, as long as its key is. Of a
        sender it is kept how far it has used its indexes under each of its keys, whatever policy brings a key back, so
        that none is used twice; under another key its numbers may begin anew. Of one that went through more than 16
        keys, that is kept for all keys there are. Raises TooManyStreamsError, and removes nothing, when 65,536 of these
        marks are kept.
        """

    def state(self, direction: Direction) -> DirectionState:
        """Returns counters and the state of all streams of a direction as values without keys."""
