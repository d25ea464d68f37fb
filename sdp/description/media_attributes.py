"""What the attributes of an m= section say: direction, packet time, RTCP, identification and groups, formats."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from srtp.field_checks import as_member

from .session_description import MediaDescription, SessionDescription, numeric_address

MAX_GROUPS = 64


class Direction(enum.Enum):
    """Which way media flows, seen from the one who says it (RFC 3264 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def reversed(self) -> Direction:
        """The same flow seen from the other side."""
        swap = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}
        return swap.get(self, self)

    @property
    def sends(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @property
    def held(self) -> Direction:
        """What is left when the other side is put on hold (RFC 3264 8.4)."""
        return Direction.SENDONLY if self.sends else Direction.INACTIVE

    def intersect(self, other: Direction) -> Direction:
        """The flow that both allow."""
        other = as_member(Direction, other, "other")
        sends, receives = self.sends and other.sends, self.receives and other.receives
        if sends and receives:
            return Direction.SENDRECV
        if sends or receives:
            return Direction.SENDONLY if sends else Direction.RECVONLY
        return Direction.INACTIVE


@dataclass(frozen=True, slots=True)
class Group:
    """An `a=group` attribute (RFC 5888 5): its semantics, as BUNDLE (RFC 9143), and the mids in it."""

    semantics: str
    mids: tuple[str, ...]


def direction_of(description: SessionDescription, section: MediaDescription) -> Direction:
    """Returns the direction of a section: its own, else the session's, else sendrecv (RFC 8866 6.7)."""
    for direction in Direction:
        if section.attribute(direction.value) is not None:
            return direction
    for direction in Direction:
        if description.attributes(direction.value):
            return direction
    return Direction.SENDRECV


def rtcp_of(section: MediaDescription) -> tuple[int, str | None]:
    """Returns port and numeric address of RTCP (a=rtcp, RFC 3605); None for the address of RTP.

    Without the attribute, and with one that is malformed, the port is the one above RTP's.
    """
    fields = (section.attribute("rtcp") or "").split()
    if fields and _is_number(fields[0], 65535) and int(fields[0]):
        address = numeric_address(fields[3]) if len(fields) == 4 and fields[1] == "IN" else None
        return int(fields[0]), address
    return min(section.port + 1, 65535), None


def ptime_of(section: MediaDescription, default: int) -> int:
    """Returns the packet time in milliseconds, 1 to 200: a=ptime or `default`, and no more than a=maxptime."""
    ptime = _milliseconds(section.attribute("ptime")) or default
    longest = _milliseconds(section.attribute("maxptime"))
    return ptime if longest is None else min(ptime, longest)


def mid_of(section: MediaDescription) -> str | None:
    """Returns the identification of a section (a=mid, RFC 5888 4), None when it has none or no token."""
    value = section.attribute("mid")
    return value if value and len(value) <= 64 and " " not in value else None


def groups_of(description: SessionDescription) -> tuple[Group, ...]:
    """Returns the groups of a description (a=group), at most 64; mids that no section has are left out."""
    known = {mid_of(section) for section in description.media}
    groups = []
    for value in description.attributes("group")[:MAX_GROUPS]:
        semantics, *mids = value.split()[:MAX_GROUPS] or [""]
        groups.append(Group(semantics, tuple(mid for mid in mids if mid in known)))
    return tuple(groups)


def format_parameters(section: MediaDescription, payload_type: int) -> str:
    """Returns the a=fmtp of a payload type (RFC 8866 6.15), "" for none."""
    for value in section.attributes("fmtp"):
        number, _, parameters = value.partition(" ")
        if number == str(payload_type):
            return parameters.strip()
    return ""


def telephone_event_of(section: MediaDescription, clock_rate: int | None = None) -> int | None:
    """Returns the payload type of telephone events (RFC 4733), of this clock rate if it is given; else None."""
    for number, rtpmap in section.rtpmaps().items():
        named = rtpmap.encoding.lower() == "telephone-event" and str(number) in section.formats
        if named and clock_rate in (None, rtpmap.clock_rate):
            return number
    return None


def _milliseconds(value: str | None) -> int | None:
    # Packetisation times beyond what one datagram carries have crashed peers (CVE-2026-41416).
    return int(value) if value and _is_number(value, 200) and int(value) else None


def _is_number(text: str, maximum: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= maximum
