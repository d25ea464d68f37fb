"""The Key data sub-payload and key validity data (RFC 3830 6.13, 6.14, RFC 6043 6.2.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from srtp import SecretBytes
from srtp.field_checks import check_fields

from .code_points import KeyType, KeyValidityType, PayloadType
from .wire import Reader, number, sized

_SALTED = (KeyType.TGK_SALT, KeyType.TEK_SALT, KeyType.GTGK_SALT)


@dataclass(frozen=True, slots=True)
class KeyValidity:
    """When a key is used: always (NULL), in packets with an MKI (SPI), or in a range of indexes (interval).

    `valid_from` and `valid_to` are as on the wire; for SRTP 6 bytes each, the packet index.
    """

    kind: int = KeyValidityType.NULL
    spi: bytes = b""
    valid_from: bytes = b""
    valid_to: bytes = b""

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, kind: int, reader: Reader) -> KeyValidity:
        if kind == KeyValidityType.NULL:
            return cls()
        if kind == KeyValidityType.SPI:
            return cls(kind, spi=reader.sized(1, "SPI"))
        if kind == KeyValidityType.INTERVAL:
            valid_from = reader.sized(1, "Valid From")
            return cls(kind, valid_from=valid_from, valid_to=reader.sized(1, "Valid To"))
        raise reader.error("KV", f"the key validity type {kind} is unknown")

    def serialize(self, payload: str) -> bytes:
        if self.kind == KeyValidityType.SPI:
            return sized(self.spi, 1, payload, "SPI")
        if self.kind == KeyValidityType.INTERVAL:
            return sized(self.valid_from, 1, payload, "Valid From") + sized(self.valid_to, 1, payload, "Valid To")
        if self.kind == KeyValidityType.NULL:
            return b""
        raise Reader(b"", payload).error("KV", f"the key validity type {self.kind} is unknown")


@dataclass(frozen=True, slots=True)
class KeyData:
    """A Key data sub-payload: a TGK or TEK, its salt where the type has one, and its validity.

    `kind` is a number of KeyType. A key of the lengths on the wire; what is wanted is the SRTP policy's.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.KEY_DATA

    kind: int
    key: SecretBytes
    salt: SecretBytes | None = None
    validity: KeyValidity = field(default_factory=KeyValidity)

    @classmethod
    def parse_body(cls, reader: Reader) -> KeyData:
        kinds = reader.number(1, "Type and KV")
        kind = kinds >> 4
        key = SecretBytes(reader.sized(2, "Key data"))
        salt = SecretBytes(reader.sized(2, "Salt")) if kind in _SALTED else None
        return cls(kind, key, salt, KeyValidity.parse(kinds & 0xF, reader))

    def serialize_body(self) -> bytes:
        payload = self.payload_type.name
        if (self.salt is not None) != (self.kind in _SALTED):
            raise Reader(b"", payload).error("Salt", "a salt stands exactly with the types that have one")
        salt = b"" if self.salt is None else sized(bytes(self.salt), 2, payload, "Salt")
        return (
            number(self.kind << 4 | self.validity.kind, 1, payload, "Type and KV")
            + sized(bytes(self.key), 2, payload, "Key data")
            + salt
            + self.validity.serialize(payload)
        )
