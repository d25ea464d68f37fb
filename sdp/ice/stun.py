"""STUN messages (RFC 8489): bytes to messages and back, with MESSAGE-INTEGRITY and FINGERPRINT."""

from __future__ import annotations

import enum
import hashlib
import hmac
import ipaddress
import secrets
import struct
import zlib
from dataclasses import dataclass, field

from srtp.field_checks import check_fields

from ..errors import StunError

MAGIC_COOKIE = 0x2112A442
HEADER_LENGTH = 20
BINDING = 0x001
# What a message may be: one datagram without fragments, and far more attributes than ICE has.
MAX_MESSAGE_LENGTH = 2048
MAX_ATTRIBUTES = 64
MAX_USERNAME_LENGTH = 508

_FINGERPRINT_XOR = 0x5354554E
_INTEGRITY_LENGTH = 20
_FAMILIES = {4: 1, 6: 2}


class StunClass(enum.IntEnum):
    """The class of a message."""

    REQUEST = 0
    INDICATION = 1
    SUCCESS = 2
    ERROR = 3


class StunAttribute(enum.IntEnum):
    """The attributes that ICE uses. Those below 0x8000 must be understood by who gets them."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


_KNOWN = frozenset(int(one) for one in StunAttribute)


def new_transaction_id() -> bytes:
    """Returns 96 random bits."""
    return secrets.token_bytes(12)


@dataclass(frozen=True, slots=True)
class StunMessage:
    """One message; `attributes` are type and value in their order, without MESSAGE-INTEGRITY and FINGERPRINT.

    Of a received message they are those that its MESSAGE-INTEGRITY covers: what stands behind it counts for
    nothing (RFC 8489 14.5). `is_authentic()` says whether it is right; until then they are anybody's.
    """

    message_class: StunClass
    method: int = BINDING
    transaction_id: bytes = field(default_factory=new_transaction_id)
    attributes: tuple[tuple[int, bytes], ...] = ()
    has_fingerprint: bool = field(default=False, compare=False)
    _covered: bytes | None = field(default=None, compare=False, repr=False)
    _integrity: bytes | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, data: bytes) -> StunMessage:
        """Returns the message in a datagram.

        Raises StunError, naming the field, when it is none: its length is not the datagram's, the magic cookie is
        missing, an attribute is cut off, there are more than 64 of them, or FINGERPRINT is wrong or not the last.
        """
        message_type, transaction_id = _parse_header(data)
        attributes: list[tuple[int, bytes]] = []
        covered = integrity = None
        has_fingerprint = False
        at = HEADER_LENGTH
        count = 0
        while at < len(data):
            kind, length = struct.unpack_from("!HH", data, at)
            end = at + 4 + length
            count += 1
            if end + -length % 4 > len(data) or count > MAX_ATTRIBUTES or has_fingerprint:
                raise StunError("attributes", "one is cut off, there are too many, or FINGERPRINT is not the last")
            value = bytes(data[at + 4 : end])
            if kind == StunAttribute.FINGERPRINT:
                if value != _fingerprint(data[:at]):
                    raise StunError("FINGERPRINT", "wrong")
                has_fingerprint = True
            elif integrity is None:
                if kind == StunAttribute.MESSAGE_INTEGRITY:
                    if length != _INTEGRITY_LENGTH:
                        raise StunError("MESSAGE-INTEGRITY", f"{length} bytes long")
                    covered, integrity = bytes(data[:at]), value
                else:
                    attributes.append((kind, value))
            at = end + -length % 4
        message_class = StunClass((message_type >> 7 & 2) | (message_type >> 4 & 1))
        method = (message_type & 0x000F) | (message_type & 0x00E0) >> 1 | (message_type & 0x3E00) >> 2
        return cls(message_class, method, transaction_id, tuple(attributes), has_fingerprint, covered, integrity)

    def attribute(self, kind: StunAttribute) -> bytes | None:
        """Returns the value of the first attribute of a type, None without."""
        return next((value for one, value in self.attributes if one == kind), None)

    @property
    def has_integrity(self) -> bool:
        """Whether a received message has a MESSAGE-INTEGRITY, right or wrong."""
        return self._integrity is not None

    def is_authentic(self, key: bytes) -> bool:
        """Whether the MESSAGE-INTEGRITY of a received message is that of a key (a password in ICE)."""
        if self._covered is None or self._integrity is None:
            return False
        return hmac.compare_digest(_integrity(self._covered, key), self._integrity)

    @property
    def unknown_attributes(self) -> tuple[int, ...]:
        """The types that would have to be understood, and are not."""
        return tuple(dict.fromkeys(kind for kind, _ in self.attributes if kind < 0x8000 and kind not in _KNOWN))

    def serialize(self, key: bytes | None = None, *, fingerprint: bool = True) -> bytes:
        """Returns the message, with a MESSAGE-INTEGRITY of `key` if given.

        Raises StunError when it would be longer than 2048 bytes, or has a transaction ID of another length than 12.
        """
        if len(self.transaction_id) != 12:
            raise StunError("transaction ID", f"{len(self.transaction_id)} bytes long")
        body = b"".join(_attribute(kind, value) for kind, value in self.attributes)
        method, message_class = self.method, int(self.message_class)
        message_type = (method & 0xF) | (method & 0x70) << 1 | (method & 0xF80) << 2
        message_type |= (message_class & 1) << 4 | (message_class & 2) << 7
        data = struct.pack("!HHI", message_type, len(body), MAGIC_COOKIE) + self.transaction_id + body
        if key is not None:
            value = _integrity(data, key)
            data = _with_length(data, 24) + _attribute(StunAttribute.MESSAGE_INTEGRITY, value)
        if fingerprint:
            value = _fingerprint(data)
            data = _with_length(data, 8) + _attribute(StunAttribute.FINGERPRINT, value)
        if len(data) > MAX_MESSAGE_LENGTH:
            raise StunError("length", f"{len(data)} bytes")
        return data


def encode_xor_address(address: tuple[str, int], transaction_id: bytes) -> bytes:
    """Returns the value of XOR-MAPPED-ADDRESS (RFC 8489 14.2); raises ValueError for what is no IP address."""
    ip = ipaddress.ip_address(address[0].partition("%")[0])
    pad = _address_pad(transaction_id)
    port = address[1] ^ MAGIC_COOKIE >> 16
    return struct.pack("!BBH", 0, _FAMILIES[ip.version], port) + _xor(ip.packed, pad)


def decode_xor_address(value: bytes, transaction_id: bytes) -> tuple[str, int]:
    """Returns IP address and port of a XOR-MAPPED-ADDRESS; raises StunError when it is malformed."""
    lengths = {(1, 8): ipaddress.IPv4Address, (2, 20): ipaddress.IPv6Address}
    kind = lengths.get((value[1], len(value))) if len(value) > 1 else None
    if kind is None:
        raise StunError("XOR-MAPPED-ADDRESS", "of another family or length")
    port = int.from_bytes(value[2:4]) ^ MAGIC_COOKIE >> 16
    return str(kind(_xor(value[4:], _address_pad(transaction_id)))), port


def encode_error(code: int, reason: str) -> bytes:
    """Returns the value of ERROR-CODE (RFC 8489 14.8) for a code from 300 to 699."""
    return struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()


def decode_error(value: bytes) -> tuple[int, str]:
    """Returns code and reason of an ERROR-CODE; raises StunError when it is malformed."""
    if len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99 or len(value) > 767:
        raise StunError("ERROR-CODE", "malformed")
    return (value[2] & 7) * 100 + value[3], value[4:].decode("utf-8", "replace")


def _parse_header(data: bytes) -> tuple[int, bytes]:
    if not HEADER_LENGTH <= len(data) <= MAX_MESSAGE_LENGTH:
        raise StunError("length", f"{len(data)} bytes are no STUN message")
    message_type, length, cookie = struct.unpack_from("!HHI", data)
    if message_type >> 14:
        raise StunError("type", "the first two bits are not zero")
    if cookie != MAGIC_COOKIE:
        raise StunError("magic cookie", "missing")
    if length % 4 or length != len(data) - HEADER_LENGTH:
        raise StunError("length", f"{length} said, {len(data) - HEADER_LENGTH} there")
    return message_type, bytes(data[8:HEADER_LENGTH])


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _with_length(data: bytes, more: int) -> bytes:
    """The message with its length counting an attribute that is yet to be appended."""
    return data[:2] + struct.pack("!H", len(data) - HEADER_LENGTH + more) + data[4:]


def _integrity(data: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _with_length(data, 24), hashlib.sha1)


def _fingerprint(data: bytes) -> bytes:
    return struct.pack("!I", zlib.crc32(_with_length(data, 8)) ^ _FINGERPRINT_XOR)


def _address_pad(transaction_id: bytes) -> bytes:
    return struct.pack("!I", MAGIC_COOKIE) + transaction_id


def _xor(data: bytes, pad: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(data, pad, strict=False))
