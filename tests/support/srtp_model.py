"""SRTP and SRTCP (RFC 3711) once more, slowly, over `cryptography`: what tests hold a srtp.Session against.

Shares nothing with the engine, and says things another way where there is one: the index is the candidate nearest to
the highest one, the replay list a set. An outcome is a packet, or the class of the error that the session must raise.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import ciphers
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from srtp import (
    AuthenticationError,
    Cipher,
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
    return ciphers.Cipher(algorithms.AES(key), modes.CTR(block.to_bytes(16))).encryptor().update(data)


def f8_keystream(key: bytes, salt: bytes, iv: bytes, length: int) -> bytes:
    """Returns the keystream of AES-f8 (RFC 3711 4.1.2.1)."""
    mask = salt + b"\x55" * (len(key) - len(salt))
    masked_key = bytes(a ^ b for a, b in zip(key, mask, strict=True))
    block = ciphers.Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    masked_iv = int.from_bytes(ciphers.Cipher(algorithms.AES(masked_key), modes.ECB()).encryptor().update(iv))
    out, last = b"", 0
    for j in range(-(-length // 16)):
        last = int.from_bytes(block((masked_iv ^ j ^ last).to_bytes(16)))
        out += last.to_bytes(16)
    return out[:length]


class Transform:
    """Encryption and authentication of RTP or RTCP under one master key (RFC 3711 4.1 to 4.3, 6188, 7714).

    A packet is `clear`, which is sent as it is, and `hidden`, which is encrypted. `context` is the ROC of RTP, and the
    word of E flag and index of RTCP, four bytes each: what is authenticated after the packet.
    """

    def __init__(self, policy: Policy, *, rtcp: bool) -> None:
        profile = policy.profile
        self.cipher = profile.cipher
        self.tag_length = profile.rtcp_tag_length if rtcp else profile.rtp_tag_length
        self._rtcp = rtcp
        key, master_salt = bytes(policy.master_key), bytes(policy.master_salt)
        salt = int.from_bytes(master_salt.ljust(14, b"\0"))
        self._key, self._auth, self._salt = (
            counter_mode(key, (salt ^ label << 48) << 16, bytes(length))
            for label, length in zip(RTCP_LABELS if rtcp else RTP_LABELS, (len(key), 20, len(master_salt)), strict=True)
        )

    def seal(self, clear: bytes, hidden: bytes, index: int, context: bytes) -> bytes:
        """Returns the packet encrypted; the authentication tag is its end when the cipher is an AEAD."""
        if self.cipher is Cipher.AES_GCM:
            associated = clear + context if self._rtcp else clear
            return clear + AESGCM(self._key).encrypt(self._nonce(clear, index), hidden, associated)
        return clear + self._crypt(clear, hidden, index, context)

    def open(self, clear: bytes, sealed: bytes, index: int, context: bytes) -> bytes | None:
        """Returns what was hidden, None when the AEAD says that it was not sealed so."""
        if self.cipher is not Cipher.AES_GCM:
            return self._crypt(clear, sealed, index, context)
        try:
            associated = clear + context if self._rtcp else clear
            return AESGCM(self._key).decrypt(self._nonce(clear, index), sealed, associated)
        except InvalidTag:
            return None

    def tag(self, data: bytes) -> bytes:
        """Returns the authentication tag of `data` where the cipher is no AEAD."""
        return hmac.digest(self._auth, data, "sha1")[: self.tag_length]

    def _ssrc(self, clear: bytes) -> int:
        return int.from_bytes(clear[4:8] if self._rtcp else clear[8:12])

    def _nonce(self, clear: bytes, index: int) -> bytes:
        return (int.from_bytes(self._salt) ^ self._ssrc(clear) << 48 ^ index).to_bytes(12)

    def _crypt(self, clear: bytes, data: bytes, index: int, context: bytes) -> bytes:
        if self.cipher is Cipher.NULL:
            return data
        if self.cipher is Cipher.AES_F8:
            iv = bytes(4) + context + clear[:8] if self._rtcp else b"\0" + clear[1:12] + context
            keystream = f8_keystream(self._key, self._salt, iv, len(data))
            return bytes(a ^ b for a, b in zip(data, keystream, strict=True))
        return counter_mode(self._key, int.from_bytes(self._salt) << 16 ^ self._ssrc(clear) << 64 ^ index << 16, data)


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


def parted(packet: bytes, encrypted: bool) -> tuple[bytes, bytes]:
    """Returns what of an RTCP packet is only authenticated by an AEAD, and what it encrypts (RFC 7714 9.2, 9.3)."""
    return (packet[:8], packet[8:]) if encrypted else (packet, b"")


@dataclass
class Window:
    """A replay list: `used` holds what was sent or received by index since `top` was last set; of the indexes up to
    `used_up` it is only known that they may have been sent."""

    size: int
    top: int = 0
    started: bool = False
    used: dict[int, bytes] = field(default_factory=dict)
    used_up: int = -1

    def succeed(self, other: Window) -> None:
        """Goes on after a sender's list that was given up."""
        self.started = other.started
        if other.started:
            self.top = self.used_up = other.top

    def restart(self) -> None:
        self.started, self.top, self.used_up = False, 0, -1
        self.used.clear()

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
        used = {*self.used, *range(max(0, self.top - self.size + 1), self.used_up + 1)}
        return sum(1 << self.top - index for index in used if self.top - index < self.size)


@dataclass
class Stream:
    """One SSRC in one direction."""

    rtp: Window
    rtcp: Window
    set_roc: int | None = 0  # what the next packet's is, as of the first one, or None to estimate it

    @property
    def roc(self) -> int:
        return self.rtp.top >> 16 if self.set_roc is None else self.set_roc

    def index_of(self, sequence: int) -> int:
        """Returns the estimated index (RFC 3711 3.3.1): of the candidates the nearest to the highest index."""
        if self.set_roc is not None:
            return self.set_roc << 16 | sequence
        candidates = [(roc << 16) + sequence for roc in (self.roc, self.roc - 1, self.roc + 1) if roc >= 0]
        return min(candidates, key=lambda index: abs(index - self.rtp.top))


class Model:
    """One direction of a session: streams by SSRC, and what keeps the indexes of removed senders used."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.streams: dict[int, Stream] = {}
        self.retired: dict[int, Stream] = {}
        self.rtp = Transform(policy, rtcp=False)
        self.rtcp = Transform(policy, rtcp=True)

    def stream(self, ssrc: int) -> Stream:
        """Returns the stream of an SSRC, a new one, not yet kept, when there is none."""
        if ssrc in self.streams:
            return self.streams[ssrc]
        new = Stream(Window(self.policy.rtp_window), Window(self.policy.rtcp_window))
        if ssrc in self.retired:
            old = self.retired[ssrc]
            new.set_roc = old.set_roc
            new.rtp.succeed(old.rtp)
            new.rtcp.succeed(old.rtcp)
        return new

    def remove(self, ssrc: int, *, sends: bool) -> bool:
        """Forgets a stream, but not which indexes a sender has used; returns whether there was one."""
        stream = self.streams.pop(ssrc, None)
        if stream is not None and sends:
            self.retired[ssrc] = stream
        return stream is not None

    def set_roc(self, ssrc: int, roc: int, *, sends: bool) -> type[SrtpError] | None:
        """Sets the ROC of the next packet. A sender's is none below one that it used; a receiver's list then starts
        anew."""
        stream = self.streams.setdefault(ssrc, self.stream(ssrc))
        if stream.rtp.started and roc < stream.rtp.top >> 16:
            if sends:
                return IndexReuseError
            stream.rtp.restart()
        stream.set_roc = roc
        return None

    def seal(self, packet: bytes, index: int) -> bytes:
        """Returns the SRTP packet of any index, without a look at the streams."""
        header = rtp_header_length(packet)
        assert header is not None
        roc = (index >> 16).to_bytes(4)
        out = self.rtp.seal(packet[:header], packet[header:], index, roc)
        if self.rtp.cipher is Cipher.AES_GCM:
            return out + self.policy.mki
        return out + self.policy.mki + self.rtp.tag(out + roc)

    def seal_rtcp(self, packet: bytes, index: int, *, encrypted: bool) -> bytes:
        """Returns the SRTCP packet of any index, with the E flag that is asked for."""
        word = (encrypted << 31 | index).to_bytes(4)
        if self.rtcp.cipher is Cipher.AES_GCM:
            return self.rtcp.seal(*parted(packet, encrypted), index, word) + word + self.policy.mki
        out = (self.rtcp.seal(packet[:8], packet[8:], index, word) if encrypted else packet) + word
        return out + self.policy.mki + self.rtcp.tag(out)

    def protect(self, packet: bytes) -> Outcome:
        if rtp_header_length(packet) is None:
            return MalformedPacketError
        ssrc = int.from_bytes(packet[8:12])
        stream = self.stream(ssrc)
        index = stream.index_of(int.from_bytes(packet[2:4]))
        if index >> 16 > MAX_ROC:
            return IndexExhaustedError
        if index <= stream.rtp.used_up or stream.rtp.refusal(index) is PacketTooOldError:
            return IndexReuseError
        if index in stream.rtp.used and not (self.policy.allow_repeat_tx and stream.rtp.used[index] == packet):
            return IndexReuseError
        self.streams[ssrc] = stream
        stream.rtp.commit(index, packet)
        stream.set_roc = None
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
        mki_length = len(self.policy.mki)
        plain_length = len(packet) - self.rtp.tag_length - mki_length
        header = rtp_header_length(packet[: max(plain_length, 0)])
        if header is None:
            return MalformedPacketError
        ssrc = int.from_bytes(packet[8:12])
        stream = self.stream(ssrc)
        index = stream.index_of(int.from_bytes(packet[2:4]))
        if index >> 16 > MAX_ROC:
            return IndexExhaustedError
        refusal = stream.rtp.refusal(index)
        if refusal is not None:
            return refusal
        roc = (index >> 16).to_bytes(4)
        opened = self._open(self.rtp, packet, header, plain_length, packet[:plain_length] + roc, index, roc)
        if isinstance(opened, bytes):
            self.streams[ssrc] = stream
            stream.rtp.commit(index, packet)
            stream.set_roc = None
        return opened

    def unprotect_rtcp(self, packet: bytes) -> Outcome:
        is_aead = self.rtcp.cipher is Cipher.AES_GCM
        mki_length = len(self.policy.mki)
        plain_length = len(packet) - self.rtcp.tag_length - mki_length - 4
        plain = packet[: max(plain_length, 0)]
        if not is_rtcp(plain):
            return MalformedPacketError
        ssrc = int.from_bytes(plain[4:8])
        stream = self.stream(ssrc)
        word_at = len(packet) - mki_length - 4 if is_aead else plain_length
        word = packet[word_at : word_at + 4]
        index = int.from_bytes(word) & MAX_RTCP_INDEX
        refusal = stream.rtcp.refusal(index)
        if refusal is not None:
            return refusal
        encrypted = bool(word[0] >> 7)
        clear = 8 if encrypted or not is_aead else plain_length
        opened = self._open(self.rtcp, packet, clear, plain_length, plain + word, index, word)
        if not isinstance(opened, bytes):
            return opened
        if encrypted is not self.policy.profile.encrypts:
            return UnencryptedPacketError
        self.streams[ssrc] = stream
        stream.rtcp.commit(index, packet)
        return opened

    def _open(
        self, transform: Transform, packet: bytes, clear: int, length: int, tagged: bytes, index: int, context: bytes
    ) -> Outcome:
        """Returns the packet of `length` bytes in clear, once MKI and tag are those of the policy."""
        mki_length, tag_length = len(self.policy.mki), transform.tag_length
        is_aead = transform.cipher is Cipher.AES_GCM
        mki_at = len(packet) - mki_length - (0 if is_aead else tag_length)
        if packet[mki_at : mki_at + mki_length] != self.policy.mki:
            return UnknownMkiError
        if not is_aead and packet[-tag_length:] != transform.tag(tagged):
            return AuthenticationError
        sealed_length = length + tag_length if is_aead else length
        hidden = transform.open(packet[:clear], packet[clear:sealed_length], index, context)
        return AuthenticationError if hidden is None else packet[:clear] + hidden
