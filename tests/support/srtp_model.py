"""SRTP and SRTCP (RFC 3711) once more, slowly, over `cryptography`: what tests hold a srtp.Session against.

Shares nothing with the engine, and says things another way where there is one: the index is the candidate nearest to
the highest one, the replay list a set. An outcome is a packet, or the class of the error that the session must raise.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from srtp import (
    AuthenticationError,
    IndexExhaustedError,
    IndexReuseError,
    MalformedPacketError,
    PacketTooOldError,
    Policy,
    ReplayError,
    SrtpError,
    UnencryptedPacketError,
    UnknownMkiError,
)

MAX_ROC = 0xFFFFFFFF
MAX_RTCP_INDEX = 0x7FFFFFFF
RTP_LABELS, RTCP_LABELS = (0, 1, 2), (3, 4, 5)

Outcome = bytes | type[SrtpError]


def counter_mode(key: bytes, block: int, data: bytes) -> bytes:
    """Returns `data` encrypted by AES in counter mode from the counter `block`."""
    return Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(16))).encryptor().update(data)


class Transform:
    """Encryption and authentication of RTP or RTCP under one master key (RFC 3711 4.1, 4.2, 4.3)."""

    def __init__(self, policy: Policy, labels: tuple[int, int, int], tag_length: int) -> None:
        salt = int.from_bytes(bytes(policy.master_salt))
        key = bytes(policy.master_key)
        self._key, self._auth, session_salt = (
            counter_mode(key, (salt ^ label << 48) << 16, bytes(length))
            for label, length in zip(labels, (16, 20, 14), strict=True)
        )
        self._salt = int.from_bytes(session_salt) << 16
        self._encrypts = policy.profile.encrypts
        self._tag_length = tag_length

    def crypt(self, ssrc: int, index: int, data: bytes) -> bytes:
        """Returns `data` encrypted, or decrypted, which is the same."""
        return counter_mode(self._key, self._salt ^ ssrc << 64 ^ index << 16, data) if self._encrypts else data

    def tag(self, data: bytes) -> bytes:
        """Returns the authentication tag of `data`."""
        return hmac.digest(self._auth, data, "sha1")[: self._tag_length]


def rtp_header_length(packet: bytes) -> int | None:
    """Returns how much of a packet SRTP leaves in clear, None when it is no RTP packet (RFC 3550 5.1)."""
    if len(packet) < 12 or packet[0] >> 6 != 2:
        return None
    length = 12 + 4 * (packet[0] & 15)
    if packet[0] & 16:
        words = packet[length + 2 : length + 4]
        if len(words) < 2:
            return None
        length += 4 + 4 * int.from_bytes(words)
    return length if length <= len(packet) else None


def is_rtcp(packet: bytes) -> bool:
    """Returns whether a packet can be compound RTCP (RFC 3550 6.4, RFC 5761 4)."""
    if len(packet) < 8 or packet[0] >> 6 != 2 or not 192 <= packet[1] <= 223:
        return False
    return 4 + 4 * int.from_bytes(packet[2:4]) <= len(packet)


@dataclass
class Window:
    """A replay list: `used` holds what was sent or received by index since `top` was last set."""

    size: int
    top: int = 0
    started: bool = False
    used: dict[int, bytes] = field(default_factory=dict)

    def refusal(self, index: int) -> type[SrtpError] | None:
        """Returns why a receiver must not take an index (RFC 3711 3.3.2)."""
        if not self.started:
            return None
        if index <= self.top - self.size:
            return PacketTooOldError
        return ReplayError if index in self.used else None

    def commit(self, index: int, packet: bytes) -> None:
        self.top = max(self.top, index) if self.started else index
        self.started = True
        self.used[index] = packet

    def bits(self) -> int:
        """Returns the list as srtp.ReplayState.window has it."""
        return sum(1 << self.top - index for index in self.used if self.top - index < self.size)


@dataclass
class Stream:
    """One SSRC in one direction."""

    rtp: Window
    rtcp: Window
    initial_roc: int = 0

    @property
    def roc(self) -> int:
        return self.rtp.top >> 16 if self.rtp.started else self.initial_roc

    def index_of(self, sequence: int) -> int:
        """Returns the estimated index (RFC 3711 3.3.1): of the three candidates the nearest to the highest index."""
        if not self.rtp.started:
            return self.initial_roc << 16 | sequence
        candidates = [(roc << 16) + sequence for roc in (self.roc, self.roc - 1, self.roc + 1)]
        return min(candidates, key=lambda index: abs(index - self.rtp.top))


class Model:
    """One direction of a session: streams by SSRC, and how many packets ended how."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.streams: dict[int, Stream] = {}
        self.rtp = Transform(policy, RTP_LABELS, policy.profile.rtp_tag_length)
        self.rtcp = Transform(policy, RTCP_LABELS, policy.profile.rtcp_tag_length)

    def stream(self, ssrc: int) -> Stream:
        """Returns the stream of an SSRC, a new one, not yet kept, when there is none."""
        return self.streams.get(ssrc) or Stream(Window(self.policy.rtp_window), Window(self.policy.rtcp_window))

    def set_roc(self, ssrc: int, roc: int, *, sends: bool) -> type[SrtpError] | None:
        """Sets a ROC; a sender's only grows, and the window starts anew."""
        stream = self.streams.setdefault(ssrc, self.stream(ssrc))
        if not stream.rtp.started:
            stream.initial_roc = roc
        elif sends and roc < stream.roc:
            return IndexReuseError
        elif roc != stream.roc:
            stream.rtp.top = roc << 16 | stream.rtp.top & 0xFFFF
            stream.rtp.used.clear()
        return None

    def seal(self, packet: bytes, index: int) -> bytes:
        """Returns the SRTP packet of any index, without a look at the streams."""
        header = rtp_header_length(packet)
        assert header is not None
        out = packet[:header] + self.rtp.crypt(int.from_bytes(packet[8:12]), index, packet[header:])
        return out + self.policy.mki + self.rtp.tag(out + (index >> 16).to_bytes(4))

    def seal_rtcp(self, packet: bytes, index: int, *, encrypted: bool) -> bytes:
        """Returns the SRTCP packet of any index, with the E flag that is asked for."""
        ssrc = int.from_bytes(packet[4:8])
        out = packet[:8] + (self.rtcp.crypt(ssrc, index, packet[8:]) if encrypted else packet[8:])
        out += (encrypted << 31 | index).to_bytes(4)
        return out + self.policy.mki + self.rtcp.tag(out)

    def protect(self, packet: bytes) -> Outcome:
        if rtp_header_length(packet) is None:
            return MalformedPacketError
        ssrc = int.from_bytes(packet[8:12])
        stream = self.stream(ssrc)
        index = stream.index_of(int.from_bytes(packet[2:4]))
        if index >> 16 > MAX_ROC:
            return IndexExhaustedError
        if index < 0 or stream.rtp.refusal(index) is PacketTooOldError:
            return IndexReuseError
        if index in stream.rtp.used and not (self.policy.allow_repeat_tx and stream.rtp.used[index] == packet):
            return IndexReuseError
        self.streams[ssrc] = stream
        stream.rtp.commit(index, packet)
        return self.seal(packet, index)

    def protect_rtcp(self, packet: bytes) -> Outcome:
        if not is_rtcp(packet):
            return MalformedPacketError
        ssrc = int.from_bytes(packet[4:8])
        stream = self.streams.setdefault(ssrc, self.stream(ssrc))
        index = stream.rtcp.top + 1 if stream.rtcp.started else 0
        stream.rtcp.commit(index, packet)
        return self.seal_rtcp(packet, index, encrypted=self.policy.profile.encrypts)

    def unprotect(self, packet: bytes) -> Outcome:
        mki_at = len(packet) - self.policy.profile.rtp_tag_length - len(self.policy.mki)
        plain = packet[: max(mki_at, 0)]
        header = rtp_header_length(plain)
        if header is None:
            return MalformedPacketError
        ssrc = int.from_bytes(plain[8:12])
        stream = self.stream(ssrc)
        index = stream.index_of(int.from_bytes(plain[2:4]))
        if index >> 16 > MAX_ROC:
            return IndexExhaustedError
        refusal = PacketTooOldError if index < 0 else stream.rtp.refusal(index)
        refusal = refusal or self._forged(packet, mki_at, self.rtp.tag(plain + (index >> 16).to_bytes(4)))
        if refusal is not None:
            return refusal
        self.streams[ssrc] = stream
        stream.rtp.commit(index, packet)
        return plain[:header] + self.rtp.crypt(ssrc, index, plain[header:])

    def unprotect_rtcp(self, packet: bytes) -> Outcome:
        mki_at = len(packet) - self.policy.profile.rtcp_tag_length - len(self.policy.mki)
        plain = packet[: max(mki_at - 4, 0)]
        if not is_rtcp(plain):
            return MalformedPacketError
        ssrc = int.from_bytes(plain[4:8])
        stream = self.stream(ssrc)
        word = int.from_bytes(packet[mki_at - 4 : mki_at])
        index = word & MAX_RTCP_INDEX
        refusal = stream.rtcp.refusal(index) or self._forged(packet, mki_at, self.rtcp.tag(packet[:mki_at]))
        if refusal is None and bool(word >> 31) is not self.policy.profile.encrypts:
            refusal = UnencryptedPacketError
        if refusal is not None:
            return refusal
        self.streams[ssrc] = stream
        stream.rtcp.commit(index, packet)
        return plain[:8] + self.rtcp.crypt(ssrc, index, plain[8:])

    def _forged(self, packet: bytes, mki_at: int, tag: bytes) -> type[SrtpError] | None:
        mki_end = mki_at + len(self.policy.mki)
        if packet[mki_at:mki_end] != self.policy.mki:
            return UnknownMkiError
        return AuthenticationError if packet[mki_end:] != tag else None
