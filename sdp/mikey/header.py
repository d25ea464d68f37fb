"""The common header HDR and its map of crypto sessions (RFC 3830 6.1, RFC 4563 5, RFC 6043 6.1.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from srtp.field_checks import check_fields

from .code_points import MIKEY_VERSION, MapType
from .wire import Reader, number, sized

_HDR = "HDR"


@dataclass(frozen=True, slots=True)
class SrtpId:
    """One entry of the SRTP-ID map: the policy, SSRC and ROC of a stream.

    Its crypto session ID is its place in the map, from 1, not its SSRC. An SSRC of 0 is left to the responder.
    """

    policy_no: int
    ssrc: int
    roc: int = 0


@dataclass(frozen=True, slots=True)
class SrtpIdMap:
    """The SRTP-ID map (RFC 3830 6.1.1), 0 to 255 entries."""

    entries: tuple[SrtpId, ...] = ()

    map_type = MapType.SRTP_ID

    @property
    def count(self) -> int:
        return len(self.entries)

    @classmethod
    def parse(cls, count: int, reader: Reader) -> SrtpIdMap:
        entries = []
        for place in range(1, count + 1):
            policy_no = reader.number(1, f"Policy_no_{place}")
            ssrc = reader.number(4, f"SSRC_{place}")
            entries.append(SrtpId(policy_no, ssrc, reader.number(4, f"ROC_{place}")))
        return cls(tuple(entries))

    def serialize(self) -> bytes:
        return b"".join(
            number(entry.policy_no, 1, _HDR, "Policy_no")
            + number(entry.ssrc, 4, _HDR, "SSRC")
            + number(entry.roc, 4, _HDR, "ROC")
            for entry in self.entries
        )

    def with_ssrcs(self, ssrcs: tuple[int, ...]) -> SrtpIdMap:
        """Returns the map with `ssrcs` put, in order, where an SSRC is 0."""
        rest = iter(ssrcs)
        return SrtpIdMap(tuple(entry if entry.ssrc else replace(entry, ssrc=next(rest, 0)) for entry in self.entries))


@dataclass(frozen=True, slots=True)
class EmptyMap:
    """The Empty map: policies and streams are told outside of MIKEY (RFC 4563 5)."""

    count: int = 0

    map_type = MapType.EMPTY

    def serialize(self) -> bytes:
        return b""


@dataclass(frozen=True, slots=True)
class GenericId:
    """One entry of the GENERIC-ID map (RFC 6043 6.1.1); `session_data` is SSRC and, if `s`, ROC and SEQ."""

    cs_id: int
    prot_type: int
    policies: tuple[int, ...]
    session_data: bytes = b""
    spi: bytes = b""
    s: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def ssrc(self) -> int | None:
        """The SSRC of an SRTP session, None where none is given."""
        return int.from_bytes(self.session_data[:4]) if len(self.session_data) >= 4 else None

    @property
    def roc(self) -> int | None:
        """The ROC, None where it is not given."""
        return int.from_bytes(self.session_data[4:8]) if self.s and len(self.session_data) >= 10 else None

    @property
    def seq(self) -> int | None:
        """The sequence number, None where it is not given."""
        return int.from_bytes(self.session_data[8:10]) if self.s and len(self.session_data) >= 10 else None

    @classmethod
    def parse(cls, reader: Reader) -> GenericId:
        cs_id = reader.number(1, "CS ID")
        prot_type = reader.number(1, "Prot type")
        flags = reader.number(1, "S and #P")
        policies = tuple(reader.take(flags & 0x7F, "Ps"))
        session_data = reader.sized(2, "Session Data")
        s = bool(flags >> 7)
        if prot_type == 0 and session_data and len(session_data) != (10 if s else 4):
            raise reader.error("Session Data", f"{len(session_data)} bytes, SRTP has {10 if s else 4}")
        return cls(cs_id, prot_type, policies, session_data, reader.sized(1, "SPI"), s)

    def serialize(self) -> bytes:
        if len(self.policies) > 127:
            raise Reader(b"").error("#P", f"{len(self.policies)} policies are more than 127")
        return (
            number(self.cs_id, 1, _HDR, "CS ID")
            + number(self.prot_type, 1, _HDR, "Prot type")
            + bytes((self.s << 7 | len(self.policies),))
            + b"".join(number(policy, 1, _HDR, "Policy_no") for policy in self.policies)
            + sized(self.session_data, 2, _HDR, "Session Data")
            + sized(self.spi, 1, _HDR, "SPI")
        )


@dataclass(frozen=True, slots=True)
class GenericIdMap:
    """The GENERIC-ID map (RFC 6043 6.1.1), 0 to 255 entries."""

    entries: tuple[GenericId, ...] = ()

    map_type = MapType.GENERIC_ID

    @property
    def count(self) -> int:
        return len(self.entries)

    @classmethod
    def parse(cls, count: int, reader: Reader) -> GenericIdMap:
        return cls(tuple(GenericId.parse(reader) for _ in range(count)))

    def serialize(self) -> bytes:
        return b"".join(entry.serialize() for entry in self.entries)


CsIdMap = SrtpIdMap | EmptyMap | GenericIdMap


@dataclass(frozen=True, slots=True)
class Header:
    """HDR: the kind of message, its crypto session bundle, and the bundle's crypto sessions.

    `data_type` and `prf` are the numbers of DataType and PrfFunction, or unknown ones. `v` asks for a
    verification message; it means something from the initiator only.
    """

    data_type: int
    csb_id: int
    cs_id_map: CsIdMap = SrtpIdMap()
    v: bool = False
    prf: int = 0

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, reader: Reader) -> tuple[Header, int]:
        """Returns the header and the type of the first payload; raises MikeyParseError for another version."""
        version = reader.number(1, "version")
        if version != MIKEY_VERSION:
            raise reader.error("version", f"version {version} is not {MIKEY_VERSION}")
        data_type = reader.number(1, "data type")
        next_payload = reader.number(1, "next payload")
        flags = reader.number(1, "V and PRF func")
        csb_id = reader.number(4, "CSB ID")
        count = reader.number(1, "#CS")
        map_type = reader.number(1, "CS ID map type")
        cs_id_map: CsIdMap
        if map_type == MapType.SRTP_ID:
            cs_id_map = SrtpIdMap.parse(count, reader)
        elif map_type == MapType.EMPTY:
            cs_id_map = EmptyMap(count)
        elif map_type == MapType.GENERIC_ID:
            cs_id_map = GenericIdMap.parse(count, reader)
        else:
            raise reader.error("CS ID map type", f"the map type {map_type} is unknown")
        return cls(data_type, csb_id, cs_id_map, bool(flags >> 7), flags & 0x7F), next_payload

    def serialize(self, next_payload: int) -> bytes:
        """Returns the header, with the type of the first payload; raises MikeyParseError for what does not fit."""
        return (
            bytes((MIKEY_VERSION,))
            + number(self.data_type, 1, _HDR, "data type")
            + bytes((next_payload,))
            + number(self.v << 7 | self.prf, 1, _HDR, "PRF func")
            + number(self.csb_id, 4, _HDR, "CSB ID")
            + number(self.cs_id_map.count, 1, _HDR, "#CS")
            + bytes((self.cs_id_map.map_type,))
            + self.cs_id_map.serialize()
        )
