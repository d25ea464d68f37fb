"""RTCP packets and compounds (RFC 3550 6)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .errors import MalformedRtcpError

CNAME, NAME, EMAIL, PHONE, LOC, TOOL, NOTE, PRIV = range(1, 9)
_MAX_COUNT = 31
_REPORT_BLOCK = struct.Struct("!IIIIII")


def _fits(name: str, value: int, bits: int, packet_type: int) -> None:
    if not 0 <= value < 1 << bits:
        raise MalformedRtcpError(f"{name} {value} does not fit {bits} bits", packet_type=packet_type)


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """Reception quality of one source (6.4.1). `fraction_lost` is in 1/256, `cumulative_lost` signed of 24 bits,
    `jitter` in timestamp units, `last_sr` and `delay_since_last_sr` in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    cumulative_lost: int
    highest_sequence: int
    jitter: int
    last_sr: int
    delay_since_last_sr: int

    def __post_init__(self) -> None:
        for name in ("ssrc", "highest_sequence", "jitter", "last_sr", "delay_since_last_sr"):
            _fits(name, getattr(self, name), 32, 201)
        _fits("fraction_lost", self.fraction_lost, 8, 201)
        _fits("cumulative_lost", self.cumulative_lost + (1 << 23), 24, 201)

    @classmethod
    def parse(cls, data: memoryview) -> ReportBlock:
        """Parses the 24 bytes of a block."""
        ssrc, lost, highest, jitter, last_sr, delay = _REPORT_BLOCK.unpack(data)
        cumulative = lost & 0xFFFFFF
        cumulative -= (cumulative & 0x800000) << 1
        return cls(ssrc, lost >> 24, cumulative, highest, jitter, last_sr, delay)

    def serialize(self) -> bytes:
        """Returns the 24 bytes of the block."""
        lost = self.fraction_lost << 24 | self.cumulative_lost & 0xFFFFFF
        return _REPORT_BLOCK.pack(
            self.ssrc, lost, self.highest_sequence, self.jitter, self.last_sr, self.delay_since_last_sr
        )


def _packet(packet_type: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, packet_type, len(body) // 4) + body


def _check_count(items: Sequence[object], packet_type: int) -> None:
    if len(items) > _MAX_COUNT:
        raise MalformedRtcpError(f"{len(items)} items are more than {_MAX_COUNT}", packet_type=packet_type)


def _parse_blocks(body: memoryview, count: int, start: int, packet_type: int) -> tuple[ReportBlock, ...]:
    if start + 24 * count > len(body):
        raise MalformedRtcpError(f"{count} report blocks do not fit {len(body)} bytes", packet_type=packet_type)
    return tuple(ReportBlock.parse(body[start + 24 * i : start + 24 * (i + 1)]) for i in range(count))


@dataclass(frozen=True, slots=True)
class SenderReport:
    """SR (6.4.1). `ntp_time` is the 64-bit NTP timestamp, `rtp_time` the same moment in timestamp units.
    `profile_extension` is kept as it came, whole words."""

    TYPE: ClassVar[int] = 200
    ssrc: int
    ntp_time: int
    rtp_time: int
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()
    profile_extension: bytes = b""

    def __post_init__(self) -> None:
        _fits("ntp_time", self.ntp_time, 64, self.TYPE)
        for name in ("ssrc", "rtp_time", "packet_count", "octet_count"):
            _fits(name, getattr(self, name), 32, self.TYPE)
        _check_count(self.reports, self.TYPE)

    @classmethod
    def parse(cls, body: memoryview, count: int) -> SenderReport:
        """Parses what stands behind the 4 bytes of header; raises MalformedRtcpError when it is cut off."""
        if len(body) < 24:
            raise MalformedRtcpError(f"{len(body)} bytes are no sender report", packet_type=cls.TYPE)
        ssrc, ntp, rtp, packets, octets = struct.unpack_from("!IQIII", body)
        reports = _parse_blocks(body, count, 24, cls.TYPE)
        return cls(ssrc, ntp, rtp, packets, octets, reports, bytes(body[24 + 24 * count :]))

    def serialize(self) -> bytes:
        """Returns the packet with its header."""
        body = struct.pack("!IQIII", self.ssrc, self.ntp_time, self.rtp_time, self.packet_count, self.octet_count)
        body += b"".join(block.serialize() for block in self.reports) + self.profile_extension
        return _packet(self.TYPE, len(self.reports), body)


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """RR (6.4.2)."""

    TYPE: ClassVar[int] = 201
    ssrc: int
    reports: tuple[ReportBlock, ...] = ()
    profile_extension: bytes = b""

    def __post_init__(self) -> None:
        _fits("ssrc", self.ssrc, 32, self.TYPE)
        _check_count(self.reports, self.TYPE)

    @classmethod
    def parse(cls, body: memoryview, count: int) -> ReceiverReport:
        """Parses what stands behind the 4 bytes of header; raises MalformedRtcpError when it is cut off."""
        if len(body) < 4:
            raise MalformedRtcpError(f"{len(body)} bytes are no receiver report", packet_type=cls.TYPE)
        (ssrc,) = struct.unpack_from("!I", body)
        return cls(ssrc, _parse_blocks(body, count, 4, cls.TYPE), bytes(body[4 + 24 * count :]))

    def serialize(self) -> bytes:
        """Returns the packet with its header."""
        body = struct.pack("!I", self.ssrc) + b"".join(block.serialize() for block in self.reports)
        return _packet(self.TYPE, len(self.reports), body + self.profile_extension)


@dataclass(frozen=True, slots=True)
class SdesChunk:
    """What SDES says of one source: (item type, value) pairs; CNAME is type 1."""

    ssrc: int
    items: tuple[tuple[int, bytes], ...]

    def __post_init__(self) -> None:
        _fits("ssrc", self.ssrc, 32, 202)
        for item, value in self.items:
            if not 1 <= item <= 255 or len(value) > 255:
                raise MalformedRtcpError(f"SDES item {item} of {len(value)} bytes", packet_type=202)

    @property
    def cname(self) -> str | None:
        """The canonical name, or None."""
        for item, value in self.items:
            if item == CNAME:
                return value.decode(errors="replace")
        return None

    def serialize(self) -> bytes:
        """Returns the chunk with its items, filled to whole words."""
        packed = struct.pack("!I", self.ssrc)
        packed += b"".join(bytes((item, len(value))) + value for item, value in self.items)
        return packed + bytes(4 - len(packed) % 4)


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """SDES (6.5)."""

    TYPE: ClassVar[int] = 202
    chunks: tuple[SdesChunk, ...]

    def __post_init__(self) -> None:
        _check_count(self.chunks, self.TYPE)

    @classmethod
    def with_cname(cls, ssrc: int, cname: str) -> SourceDescription:
        """Returns the SDES that every compound needs: one source and its canonical name (6.5.1)."""
        return cls((SdesChunk(ssrc, ((CNAME, cname.encode()),)),))

    @classmethod
    def parse(cls, body: memoryview, count: int) -> SourceDescription:
        """Parses what stands behind the header; raises MalformedRtcpError when a chunk or an item is cut off."""
        chunks = []
        position = 0
        for _ in range(count):
            chunk, position = cls._parse_chunk(body, position)
            chunks.append(chunk)
        return cls(tuple(chunks))

    @classmethod
    def _parse_chunk(cls, body: memoryview, position: int) -> tuple[SdesChunk, int]:
        if position + 4 > len(body):
            raise MalformedRtcpError("an SDES chunk is missing", offset=position, packet_type=cls.TYPE)
        (ssrc,) = struct.unpack_from("!I", body, position)
        position += 4
        items = []
        while position < len(body) and body[position]:
            if position + 2 > len(body) or position + 2 + body[position + 1] > len(body):
                raise MalformedRtcpError("an SDES item is cut off", offset=position, packet_type=cls.TYPE)
            end = position + 2 + body[position + 1]
            items.append((body[position], bytes(body[position + 2 : end])))
            position = end
        if position >= len(body):
            raise MalformedRtcpError("an SDES chunk has no end", offset=position, packet_type=cls.TYPE)
        return SdesChunk(ssrc, tuple(items)), (position + 4) // 4 * 4

    def serialize(self) -> bytes:
        """Returns the packet with its header."""
        return _packet(self.TYPE, len(self.chunks), b"".join(chunk.serialize() for chunk in self.chunks))


@dataclass(frozen=True, slots=True)
class Goodbye:
    """BYE (6.6)."""

    TYPE: ClassVar[int] = 203
    ssrcs: tuple[int, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        _check_count(self.ssrcs, self.TYPE)
        for ssrc in self.ssrcs:
            _fits("ssrc", ssrc, 32, self.TYPE)
        if len(self.reason.encode()) > 255:
            raise MalformedRtcpError("the reason is longer than 255 bytes", packet_type=self.TYPE)

    @classmethod
    def parse(cls, body: memoryview, count: int) -> Goodbye:
        """Parses what stands behind the header; raises MalformedRtcpError when a source or the reason is cut off."""
        if len(body) < 4 * count:
            raise MalformedRtcpError(f"{count} sources do not fit {len(body)} bytes", packet_type=cls.TYPE)
        ssrcs = struct.unpack_from(f"!{count}I", body)
        rest = body[4 * count :]
        reason = ""
        if rest:
            if 1 + rest[0] > len(rest):
                raise MalformedRtcpError("the reason is cut off", packet_type=cls.TYPE)
            reason = bytes(rest[1 : 1 + rest[0]]).decode(errors="replace")
            if len(reason.encode()) > 255:  # replacement characters are longer than what they replace
                reason = reason.encode()[:255].decode(errors="ignore")
        return cls(ssrcs, reason)

    def serialize(self) -> bytes:
        """Returns the packet with its header."""
        body = struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs)
        if self.reason:
            text = self.reason.encode()
            body += bytes((len(text),)) + text
            body += bytes(-len(body) % 4)
        return _packet(self.TYPE, len(self.ssrcs), body)


@dataclass(frozen=True, slots=True)
class ApplicationDefined:
    """APP (6.7): a subtype of 5 bits, a name of four ASCII characters, data of whole words."""

    TYPE: ClassVar[int] = 204
    subtype: int
    ssrc: int
    name: bytes
    data: bytes = b""

    def __post_init__(self) -> None:
        _fits("subtype", self.subtype, 5, self.TYPE)
        _fits("ssrc", self.ssrc, 32, self.TYPE)
        if len(self.name) != 4 or len(self.data) % 4:
            raise MalformedRtcpError("APP needs a name of 4 bytes and data of whole words", packet_type=204)

    @classmethod
    def parse(cls, body: memoryview, count: int) -> ApplicationDefined:
        """Parses what stands behind the header, `count` being the subtype; raises MalformedRtcpError when cut off."""
        if len(body) < 8:
            raise MalformedRtcpError(f"{len(body)} bytes are no APP packet", packet_type=cls.TYPE)
        (ssrc,) = struct.unpack_from("!I", body)
        return cls(count, ssrc, bytes(body[4:8]), bytes(body[8:]))

    def serialize(self) -> bytes:
        """Returns the packet with its header."""
        body = struct.pack("!I", self.ssrc) + self.name + self.data
        return _packet(self.TYPE, self.subtype, body)


@dataclass(frozen=True, slots=True)
class UnknownRtcpPacket:
    """A packet of a type that is not interpreted, kept as it came: `count` is the header's 5 bits."""

    packet_type: int
    count: int
    body: bytes

    def serialize(self) -> bytes:
        """Returns the packet with its header."""
        return _packet(self.packet_type, self.count, self.body)


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye | ApplicationDefined | UnknownRtcpPacket
_KINDS: tuple[type[SenderReport | ReceiverReport | SourceDescription | Goodbye | ApplicationDefined], ...] = (
    SenderReport,
    ReceiverReport,
    SourceDescription,
    Goodbye,
    ApplicationDefined,
)


def parse_compound(data: bytes | bytearray | memoryview, *, reduced_size: bool = False) -> tuple[RtcpPacket, ...]:
    """Returns the packets of a compound, checked as RFC 3550 A.2 says.

    The first must be SR or RR unless `reduced_size` (RFC 5506) was negotiated; only the last may be padded;
    the lengths must add up to that of `data`. Raises MalformedRtcpError otherwise.
    """
    view = memoryview(data)
    packets: list[RtcpPacket] = []
    position = 0
    while position < len(view) or not packets:
        if position + 4 > len(view):
            raise MalformedRtcpError(f"{len(view) - position} bytes are no RTCP header", offset=position)
        first, packet_type, words = struct.unpack_from("!BBH", view, position)
        end = position + 4 + 4 * words
        if first >> 6 != 2:
            raise MalformedRtcpError(f"RTCP version {first >> 6} instead of 2", offset=position)
        if not packets and not reduced_size and packet_type not in (SenderReport.TYPE, ReceiverReport.TYPE):
            raise MalformedRtcpError("a compound starts with SR or RR", offset=0, packet_type=packet_type)
        if end > len(view):
            raise MalformedRtcpError(f"{words} words reach past the end", offset=position, packet_type=packet_type)
        body = view[position + 4 : end]
        if first & 0x20:
            if end != len(view):
                raise MalformedRtcpError("padding before the last packet", offset=position, packet_type=packet_type)
            body = _without_padding(body, position)
        packets.append(_parse_one(packet_type, first & 0x1F, body))
        position = end
    return tuple(packets)


def _without_padding(body: memoryview, position: int) -> memoryview:
    if not body or not 1 <= body[-1] <= len(body) or body[-1] % 4:
        raise MalformedRtcpError("the padding does not fit", offset=position)
    return body[: len(body) - body[-1]]


def _parse_one(packet_type: int, count: int, body: memoryview) -> RtcpPacket:
    for kind in _KINDS:
        if kind.TYPE == packet_type:
            return kind.parse(body, count)
    return UnknownRtcpPacket(packet_type, count, bytes(body))


def serialize_compound(packets: Sequence[RtcpPacket]) -> bytes:
    """Returns the bytes of a compound; raises MalformedRtcpError when it does not start with SR or RR."""
    if not packets or not isinstance(packets[0], SenderReport | ReceiverReport):
        raise MalformedRtcpError("a compound starts with SR or RR")
    return b"".join(packet.serialize() for packet in packets)
