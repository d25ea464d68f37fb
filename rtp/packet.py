"""RTP packets (RFC 3550 5.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from srtp.field_checks import as_flag

from .errors import MalformedRtpError
from .extension import HeaderExtension

HEADER_LENGTH = 12
MAX_PACKET = 65535
_HEADER = struct.Struct("!BBHII")


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One RTP packet.

    `payload` may be any bytes-like object; parse() gives a memoryview into the bytes it was given, without a
    copy. `padding_length` is the number of padding bytes behind the payload, the count byte among them, or 0
    for a packet without the P bit. Raises MalformedRtpError, naming the value, when a field does not fit.
    """

    payload_type: int
    sequence_number: int
    timestamp: int
    ssrc: int
    payload: bytes | bytearray | memoryview = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: HeaderExtension | None = None
    padding_length: int = 0

    def __post_init__(self) -> None:
        for name, bits in (("payload_type", 7), ("sequence_number", 16), ("timestamp", 32), ("ssrc", 32)):
            value = getattr(self, name)
            if not 0 <= value < 1 << bits:
                raise MalformedRtpError(f"{name} {value} does not fit {bits} bits")
        if len(self.csrcs) > 15 or not all(0 <= csrc < 1 << 32 for csrc in self.csrcs):
            raise MalformedRtpError(f"{len(self.csrcs)} CSRCs are more than 15, or one does not fit 32 bits")
        if self.marker is not True and self.marker is not False:
            as_flag(self.marker, "marker")
        if not 0 <= self.padding_length <= 255:
            raise MalformedRtpError(f"padding_length {self.padding_length} does not fit a byte")

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview) -> RtpPacket:
        """Returns the packet in `data`; raises MalformedRtpError when there is none."""
        view = memoryview(data)
        if len(view) < HEADER_LENGTH:
            raise MalformedRtpError(f"{len(view)} bytes are fewer than an RTP header")
        first, second, sequence_number, timestamp, ssrc = _HEADER.unpack_from(view)
        if first >> 6 != 2:
            raise MalformedRtpError(f"RTP version {first >> 6} instead of 2", offset=0)
        position = HEADER_LENGTH + 4 * (first & 0x0F)
        if position > len(view):
            raise MalformedRtpError(f"{first & 15} CSRCs reach past the packet's end", offset=HEADER_LENGTH)
        csrcs = struct.unpack_from(f"!{first & 0x0F}I", view, HEADER_LENGTH)
        extension = None
        if first & 0x10:
            extension, position = _parse_extension(view, position)
        padding_length = 0
        if first & 0x20:
            padding_length = view[-1]
            if not 1 <= padding_length <= len(view) - position:
                raise MalformedRtpError(f"{padding_length} bytes of padding do not fit", offset=len(view) - 1)
        return cls(
            payload_type=second & 0x7F,
            sequence_number=sequence_number,
            timestamp=timestamp,
            ssrc=ssrc,
            payload=view[position : len(view) - padding_length],
            marker=bool(second & 0x80),
            csrcs=csrcs,
            extension=extension,
            padding_length=padding_length,
        )

    def serialize(self) -> bytes:
        """Returns the packet's bytes; raises MalformedRtpError when they are more than 65,535."""
        first = 0x80 | bool(self.padding_length) << 5 | (self.extension is not None) << 4 | len(self.csrcs)
        second = self.marker << 7 | self.payload_type
        parts = [_HEADER.pack(first, second, self.sequence_number, self.timestamp, self.ssrc)]
        if self.csrcs:
            parts.append(struct.pack(f"!{len(self.csrcs)}I", *self.csrcs))
        if self.extension is not None:
            parts.append(struct.pack("!HH", self.extension.profile, len(self.extension.data) // 4))
            parts.append(self.extension.data)
        parts.append(bytes(self.payload))
        if self.padding_length:
            parts.append(bytes(self.padding_length - 1) + bytes((self.padding_length,)))
        packet = b"".join(parts)
        if len(packet) > MAX_PACKET:
            raise MalformedRtpError(f"the packet has {len(packet)} bytes, more than {MAX_PACKET}")
        return packet


def _parse_extension(view: memoryview, position: int) -> tuple[HeaderExtension, int]:
    if position + 4 > len(view):
        raise MalformedRtpError("the extension's header reaches past the packet's end", offset=position)
    profile, words = struct.unpack_from("!HH", view, position)
    end = position + 4 + 4 * words
    if end > len(view):
        raise MalformedRtpError(f"an extension of {words} words reaches past the packet's end", offset=position)
    return HeaderExtension(profile, bytes(view[position + 4 : end])), end


def is_rtcp(data: bytes | bytearray | memoryview) -> bool:
    """Returns whether a datagram on a port shared by RTP and RTCP is RTCP (RFC 5761 4)."""
    return len(data) >= 2 and data[0] >> 6 == 2 and 192 <= data[1] <= 223
