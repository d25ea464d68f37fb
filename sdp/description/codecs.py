"""Codecs by name, and which of them two sides share (RFC 3264 5.1 and 6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from srtp.field_checks import check_fields

from .media_attributes import format_parameters
from .session_description import MediaDescription, RtpMap


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as rtpmap names it, with the payload type to offer it under.

    `channels` is that of audio; `fmtp` are the format parameters that we state for it.
    """

    encoding: str
    clock_rate: int
    payload_type: int
    channels: int = 1
    fmtp: str = ""

    def __post_init__(self) -> None:
        check_fields(self)

    def matches(self, encoding: str, clock_rate: int, channels: int = 1) -> bool:
        return (self.encoding.lower(), self.clock_rate, self.channels) == (encoding.lower(), clock_rate, channels)


PCMU = Codec("PCMU", 8000, 0)
PCMA = Codec("PCMA", 8000, 8)
# RFC 3551 6: payload types that need no rtpmap.
STATIC_CODECS = {
    codec.payload_type: codec
    for codec in (
        PCMU,
        Codec("GSM", 8000, 3),
        Codec("G723", 8000, 4),
        PCMA,
        Codec("G722", 8000, 9),
        Codec("L16", 44100, 10, 2),
        Codec("L16", 44100, 11),
        Codec("CN", 8000, 13),
        Codec("G728", 8000, 15),
        Codec("G729", 8000, 18),
        Codec("JPEG", 90000, 26),
        Codec("H261", 90000, 31),
        Codec("MPV", 90000, 32),
        Codec("H263", 90000, 34),
    )
}


@dataclass(frozen=True, slots=True)
class SharedCodec:
    """A codec of ours that a section of the peer's has too, with the peer's payload type and a=fmtp for it."""

    codec: Codec
    payload_type: int
    fmtp: str


def shared_codecs(section: MediaDescription, codecs: Sequence[Codec], *, ours_first: bool) -> tuple[SharedCodec, ...]:
    """Returns the codecs that a section and we share, in our order of preference or in the section's."""
    rtpmaps = section.rtpmaps()
    found: list[tuple[int, SharedCodec]] = []
    for text in section.formats:
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 127):
            continue
        number = int(text)
        named = _named(number, rtpmaps.get(number))
        if named is None:
            continue
        for rank, codec in enumerate(codecs):
            if codec.matches(*named):
                found.append((rank, SharedCodec(codec, number, format_parameters(section, number))))
                break
    if ours_first:
        found.sort(key=lambda item: item[0])
    return tuple(shared for _, shared in found)


def _named(number: int, rtpmap: RtpMap | None) -> tuple[str, int, int] | None:
    """Encoding, clock rate and channels of a payload type."""
    if rtpmap is not None:
        channels = int(rtpmap.parameters) if rtpmap.parameters.isdecimal() and len(rtpmap.parameters) < 3 else 1
        return rtpmap.encoding, rtpmap.clock_rate, channels
    static = STATIC_CODECS.get(number)
    return None if static is None else (static.encoding, static.clock_rate, static.channels)
