"""Our own sections and descriptions, as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from srtp.field_checks import check_fields

from ..description.codecs import Codec
from ..description.media_attributes import Direction
from ..description.session_description import Line, MediaDescription, SessionDescription, address_type
from ..keying.method import KeyingLines
from .agreement import LocalMedia

# RFC 4733 3.2: the DTMF digits.
EVENTS = "0-15"


@dataclass(frozen=True, slots=True)
class SectionPlan:
    """What a section of ours is to say: `codecs` with their payload types, the events' one, and the rest."""

    protocol: str
    codecs: tuple[tuple[int, Codec], ...]
    telephone_event: int | None
    direction: Direction
    ptime: int
    rtcp_mux: bool
    mid: str | None = None
    more: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)


def section_of(local: LocalMedia, plan: SectionPlan, keying: KeyingLines, session_address: str) -> MediaDescription:
    """Returns a section of ours."""
    lines: list[Line] = []
    if local.address != session_address:
        lines.append(_connection(local.address))
    formats = [str(payload_type) for payload_type, _ in plan.codecs]
    for payload_type, codec in plan.codecs:
        channels = f"/{codec.channels}" if codec.channels != 1 else ""
        lines.append(Line("a", f"rtpmap:{payload_type} {codec.encoding}/{codec.clock_rate}{channels}"))
        if codec.fmtp:
            lines.append(Line("a", f"fmtp:{payload_type} {codec.fmtp}"))
    if plan.telephone_event is not None:
        formats.append(str(plan.telephone_event))
        clock_rate = plan.codecs[0][1].clock_rate
        lines.append(Line("a", f"rtpmap:{plan.telephone_event} telephone-event/{clock_rate}"))
        lines.append(Line("a", f"fmtp:{plan.telephone_event} {EVENTS}"))
    if local.media == "audio":
        lines.append(Line("a", f"ptime:{plan.ptime}"))
    lines += keying.media
    if plan.mid is not None:
        lines.append(Line("a", f"mid:{plan.mid}"))
    if plan.rtcp_mux:
        lines.append(Line("a", "rtcp-mux"))
    if local.rtcp_port is not None:
        lines.append(Line("a", f"rtcp:{local.rtcp_port}"))
    lines += (*local.attributes, *plan.more, Line("a", plan.direction.value))
    return MediaDescription(local.media, local.port, plan.protocol, tuple(formats), tuple(lines))


def rejected_section(section: MediaDescription) -> MediaDescription:
    """Returns the section that rejects or disables a stream: port 0, same place, same formats (RFC 3264 6, 8.2)."""
    mids = tuple(line for line in section.lines if line.type == "a" and line.value.startswith("mid:"))
    return MediaDescription(section.media, 0, section.protocol, section.formats, mids[:1])


def description_of(
    session_id: int, version: int, address: str, sections: Sequence[MediaDescription], session_lines: Sequence[Line]
) -> SessionDescription:
    """Returns a description of ours; of equal session lines one is kept."""
    head = [
        Line("v", "0"),
        Line("o", f"- {session_id} {version} IN {address_type(address)} {address}"),
        Line("s", "-"),
        _connection(address),
        Line("t", "0 0"),
    ]
    return SessionDescription((*head, *dict.fromkeys(session_lines)), tuple(sections))


def _connection(address: str) -> Line:
    return Line("c", f"IN {address_type(address)} {address}")
