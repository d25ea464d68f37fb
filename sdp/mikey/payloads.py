"""The payloads of RFC 3830 6.2 to 6.15, each as a value with its bytes behind the next payload field.

`parse_body` reads from there on and raises MikeyParseError that names payload and field; `serialize_body` is
its inverse, byte for byte. Numbers of algorithms and types may be unknown as long as no length depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from srtp import SecretBytes
from srtp.field_checks import check_fields

from .code_points import (
    DH_VALUE_LENGTHS,
    HASH_LENGTHS,
    MAC_LENGTHS,
    TIMESTAMP_LENGTHS,
    DataType,
    MacAlgorithm,
    PayloadType,
    TimestampType,
)
from .key_data import KeyValidity
from .wire import Reader, number, sized

_DHHMAC = (DataType.DHHMAC_INIT, DataType.DHHMAC_RESP)


@dataclass(frozen=True, slots=True)
class Kemac:
    """KEMAC: the encrypted key data and the MAC (6.2).

    `data` is a secret because NULL encryption leaves the keys in clear. `rfc4650_numbering` says that the two
    algorithms are numbered as in RFC 4650 4.2, which contradicts RFC 3830: NULL encryption is 2, HMAC-SHA-1 0.
    """

    payload_type: ClassVar[PayloadType] = PayloadType.KEMAC

    encr_alg: int
    data: SecretBytes
    mac_alg: int
    mac: bytes = b""
    rfc4650_numbering: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def mac_algorithm(self) -> MacAlgorithm:
        """The MAC algorithm, whichever numbering it has; raises MikeyParseError when the number is unknown."""
        if self.rfc4650_numbering:
            return MacAlgorithm.NULL if self.mac_alg else MacAlgorithm.HMAC_SHA_1_160
        if self.mac_alg not in MAC_LENGTHS:
            raise Reader(b"", self.payload_type.name).error("Mac alg", f"the algorithm {self.mac_alg} is unknown")
        return MacAlgorithm(self.mac_alg)

    @classmethod
    def parse_body(cls, reader: Reader, data_type: int) -> Kemac:
        """Reads the payload; in DHHMAC messages, where it is the last, either numbering is understood."""
        encr_alg = reader.number(1, "Encr alg")
        data = SecretBytes(reader.sized(2, "Encr data"))
        mac_alg = reader.number(1, "Mac alg")
        if data_type in _DHHMAC and (mac_alg, reader.remaining) in ((0, 20), (1, 0)):
            return cls(encr_alg, data, mac_alg, reader.take(reader.remaining, "MAC"), True)
        if mac_alg not in MAC_LENGTHS:
            raise reader.error("Mac alg", f"the MAC algorithm {mac_alg} is unknown")
        return cls(encr_alg, data, mac_alg, reader.take(MAC_LENGTHS[mac_alg], "MAC"))

    def serialize_body(self) -> bytes:
        payload = self.payload_type.name
        length = MAC_LENGTHS[self.mac_algorithm]
        if len(self.mac) != length:
            raise Reader(b"", payload).error("MAC", f"{len(self.mac)} bytes, the algorithm has {length}")
        return self.authenticated_body() + self.mac

    def authenticated_body(self) -> bytes:
        """The body without the MAC."""
        payload = self.payload_type.name
        return (
            number(self.encr_alg, 1, payload, "Encr alg")
            + sized(bytes(self.data), 2, payload, "Encr data")
            + number(self.mac_alg, 1, payload, "Mac alg")
        )


@dataclass(frozen=True, slots=True)
class Pke:
    """PKE: the envelope key, encrypted with an RSA key, and whether to cache it (6.3)."""

    payload_type: ClassVar[PayloadType] = PayloadType.PKE

    cache: int
    data: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Pke:
        word = reader.number(2, "C and Data len")
        return cls(word >> 14, reader.take(word & 0x3FFF, "Data"))

    def serialize_body(self) -> bytes:
        if len(self.data) > 0x3FFF or not 0 <= self.cache <= 3:
            raise Reader(b"", "PKE").error("C and Data len", "the indicator or the data does not fit the field")
        return (self.cache << 14 | len(self.data)).to_bytes(2) + self.data


@dataclass(frozen=True, slots=True)
class Dh:
    """DH: a Diffie-Hellman value, of the length of its group, and the validity of its TGK (6.4)."""

    payload_type: ClassVar[PayloadType] = PayloadType.DH

    group: int
    value: bytes
    validity: KeyValidity = field(default_factory=KeyValidity)
    reserved: int = 0

    @classmethod
    def parse_body(cls, reader: Reader) -> Dh:
        group = reader.number(1, "DH-Group")
        if group not in DH_VALUE_LENGTHS:
            raise reader.error("DH-Group", f"the group {group} is unknown")
        value = reader.take(DH_VALUE_LENGTHS[group], "DH-value")
        kinds = reader.number(1, "Reserv and KV")
        return cls(group, value, KeyValidity.parse(kinds & 0xF, reader), kinds >> 4)

    def serialize_body(self) -> bytes:
        payload = self.payload_type.name
        if DH_VALUE_LENGTHS.get(self.group) != len(self.value):
            raise Reader(b"", payload).error("DH-value", f"{len(self.value)} bytes are not the group's length")
        kinds = number(self.reserved << 4 | self.validity.kind, 1, payload, "Reserv and KV")
        return bytes((self.group,)) + self.value + kinds + self.validity.serialize(payload)


@dataclass(frozen=True, slots=True)
class Sign:
    """SIGN: the signature, always the last payload; it has no next payload field (6.5)."""

    payload_type: ClassVar[PayloadType] = PayloadType.SIGN

    signature_type: int
    signature: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Sign:
        word = reader.number(2, "S type and Signature len")
        return cls(word >> 12, reader.take(word & 0xFFF, "Signature"))

    def serialize_body(self) -> bytes:
        if len(self.signature) > 0xFFF or not 0 <= self.signature_type <= 15:
            raise Reader(b"", "SIGN").error("Signature len", "the type or the signature does not fit the field")
        return (self.signature_type << 12 | len(self.signature)).to_bytes(2) + self.signature


@dataclass(frozen=True, slots=True)
class T:
    """T: the initiator's timestamp, as on the wire: 8 bytes, or 4 of a COUNTER or NTP-UTC-32 (6.6)."""

    payload_type: ClassVar[PayloadType] = PayloadType.T

    ts_type: int
    value: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> T:
        ts_type = reader.number(1, "TS type")
        if ts_type not in TIMESTAMP_LENGTHS:
            raise reader.error("TS type", f"the timestamp type {ts_type} is unknown")
        return cls(ts_type, reader.take(TIMESTAMP_LENGTHS[ts_type], "TS value"))

    def serialize_body(self) -> bytes:
        if TIMESTAMP_LENGTHS.get(self.ts_type) != len(self.value):
            raise Reader(b"", "T").error("TS value", f"{len(self.value)} bytes are not the type's length")
        return bytes((self.ts_type,)) + self.value

    @property
    def value64(self) -> bytes:
        """The 64 bits that IVs take: a COUNTER with zeros before it, an NTP-UTC-32 with zeros behind it."""
        fill = self.value.rjust if self.ts_type == TimestampType.COUNTER else self.value.ljust
        return fill(8, b"\0")


@dataclass(frozen=True, slots=True)
class Id:
    """ID: an identity, a NAI, a URI or a byte string (6.7)."""

    payload_type: ClassVar[PayloadType] = PayloadType.ID

    id_type: int
    data: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Id:
        return cls(reader.number(1, "ID Type"), reader.sized(2, "ID Data"))

    def serialize_body(self) -> bytes:
        return number(self.id_type, 1, "ID", "ID Type") + sized(self.data, 2, "ID", "ID Data")


@dataclass(frozen=True, slots=True)
class Cert:
    """CERT: one certificate in DER, or the URL of one (6.7); a chain is several payloads."""

    payload_type: ClassVar[PayloadType] = PayloadType.CERT

    cert_type: int
    data: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Cert:
        return cls(reader.number(1, "Cert Type"), reader.sized(2, "Certificate Data"))

    def serialize_body(self) -> bytes:
        return number(self.cert_type, 1, "CERT", "Cert Type") + sized(self.data, 2, "CERT", "Certificate Data")


@dataclass(frozen=True, slots=True)
class Chash:
    """CHASH: the hash of the certificate whose key PKE is encrypted with (6.8)."""

    payload_type: ClassVar[PayloadType] = PayloadType.CHASH

    hash_function: int
    hash: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Chash:
        hash_function = reader.number(1, "Hash func")
        if hash_function not in HASH_LENGTHS:
            raise reader.error("Hash func", f"the hash function {hash_function} is unknown")
        return cls(hash_function, reader.take(HASH_LENGTHS[hash_function], "Hash"))

    def serialize_body(self) -> bytes:
        if HASH_LENGTHS.get(self.hash_function) != len(self.hash):
            raise Reader(b"", "CHASH").error("Hash", f"{len(self.hash)} bytes are not the function's length")
        return bytes((self.hash_function,)) + self.hash


@dataclass(frozen=True, slots=True)
class V:
    """V: the verification MAC of a response (6.9)."""

    payload_type: ClassVar[PayloadType] = PayloadType.V

    auth_alg: int
    ver_data: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> V:
        auth_alg = reader.number(1, "Auth alg")
        if auth_alg not in MAC_LENGTHS:
            raise reader.error("Auth alg", f"the MAC algorithm {auth_alg} is unknown")
        return cls(auth_alg, reader.take(MAC_LENGTHS[auth_alg], "Ver data"))

    def serialize_body(self) -> bytes:
        if MAC_LENGTHS.get(self.auth_alg) != len(self.ver_data):
            raise Reader(b"", "V").error("Ver data", f"{len(self.ver_data)} bytes are not the algorithm's length")
        return bytes((self.auth_alg,)) + self.ver_data


@dataclass(frozen=True, slots=True)
class PolicyParameter:
    """One type, length, value of a security policy."""

    kind: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Sp:
    """SP: a security policy, its number and its parameters in order (6.10)."""

    payload_type: ClassVar[PayloadType] = PayloadType.SP

    policy_no: int
    prot_type: int
    parameters: tuple[PolicyParameter, ...]

    @classmethod
    def parse_body(cls, reader: Reader) -> Sp:
        policy_no = reader.number(1, "Policy no")
        prot_type = reader.number(1, "Prot type")
        inner = Reader(reader.sized(2, "Policy param"), "SP")
        parameters = []
        while inner.remaining:
            kind = inner.number(1, "Policy param Type")
            parameters.append(PolicyParameter(kind, inner.sized(1, "Policy param Value")))
        return cls(policy_no, prot_type, tuple(parameters))

    def serialize_body(self) -> bytes:
        parameters = b"".join(
            number(one.kind, 1, "SP", "Policy param Type") + sized(one.value, 1, "SP", "Policy param Value")
            for one in self.parameters
        )
        head = number(self.policy_no, 1, "SP", "Policy no") + number(self.prot_type, 1, "SP", "Prot type")
        return head + sized(parameters, 2, "SP", "Policy param")


@dataclass(frozen=True, slots=True)
class Rand:
    """RAND: what makes the keys fresh, at least 16 bytes (6.11)."""

    payload_type: ClassVar[PayloadType] = PayloadType.RAND

    rand: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> Rand:
        return cls(reader.sized(1, "RAND"))

    def serialize_body(self) -> bytes:
        return sized(self.rand, 1, "RAND", "RAND")


@dataclass(frozen=True, slots=True)
class Err:
    """ERR: what went wrong, a number of ErrorNumber (6.12)."""

    payload_type: ClassVar[PayloadType] = PayloadType.ERR

    error_no: int
    reserved: int = 0

    @classmethod
    def parse_body(cls, reader: Reader) -> Err:
        return cls(reader.number(1, "Error no"), reader.number(2, "Reserved"))

    def serialize_body(self) -> bytes:
        return number(self.error_no, 1, "ERR", "Error no") + number(self.reserved, 2, "ERR", "Reserved")


@dataclass(frozen=True, slots=True)
class GeneralExtension:
    """A general extension (6.15): vendor ID, SDP IDs, Key ID (RFC 4563), CSB ID (RFC 4738)."""

    payload_type: ClassVar[PayloadType] = PayloadType.GENERAL_EXTENSION

    kind: int
    data: bytes

    @classmethod
    def parse_body(cls, reader: Reader) -> GeneralExtension:
        return cls(reader.number(1, "Type"), reader.sized(2, "Data"))

    def serialize_body(self) -> bytes:
        payload = self.payload_type.name
        return number(self.kind, 1, payload, "Type") + sized(self.data, 2, payload, "Data")

    @property
    def key_ids(self) -> tuple[PolicyParameter, ...]:
        """The Key ID Type sub-payloads of a Key ID extension (RFC 4563 4), as types and values.

        Raises MikeyParseError when the data is cut short.
        """
        reader = Reader(self.data, self.payload_type.name)
        found = []
        while reader.remaining:
            kind = reader.number(1, "Key ID Type")
            found.append(PolicyParameter(kind, reader.sized(1, "Key ID")))
        return tuple(found)
