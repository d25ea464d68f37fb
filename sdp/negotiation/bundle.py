"""BUNDLE (RFC 9143): several m= sections over the transport, and with the keys, of one of them."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..description.media_attributes import groups_of, mid_of
from ..description.session_description import Line, MediaDescription, SessionDescription
from ..errors import NegotiationError
from .agreement import LocalMedia

MID_EXTENSION = "urn:ietf:params:rtp-hdrext:sdes:mid"
# The attributes of RFC 8859's categories IDENTICAL and TRANSPORT: those of the tagged section hold for all.
_KEYING_ATTRIBUTES = frozenset(("crypto", "key-mgmt"))
_BUNDLE_ATTRIBUTES = _KEYING_ATTRIBUTES | frozenset(
    (
        *("rtcp", "rtcp-mux", "rtcp-mux-only", "rtcp-rsize", "setup", "connection", "fingerprint", "tls-id"),
        *("ice-ufrag", "ice-pwd", "ice-options", "ice-pacing", "ice-mismatch", "candidate", "remote-candidates"),
        "end-of-candidates",
    )
)
_MAX_EXTENSION_ID = 14  # RFC 8285 4.2: what an element of one byte's header can be called


class BundlePolicy(enum.Enum):
    """What a session does about BUNDLE.

    `OFF` neither offers nor takes a group: each section has its own transport, and what is bundle-only is rejected.
    `ACCEPT` takes a group that is offered. `OFFER` offers one too, with sections that can also stand alone.
    `ONLY` offers all sections but the first as bundle-only, for peers that are known to do BUNDLE.
    """

    OFF = "off"
    ACCEPT = "accept"
    OFFER = "offer"
    ONLY = "only"

    @property
    def offers(self) -> bool:
        return self in (BundlePolicy.OFFER, BundlePolicy.ONLY)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A group by the indexes of its m= sections; the transport and the keys of `tagged` hold for all `members`."""

    tagged: int
    members: tuple[int, ...]

    def shares(self, index: int) -> bool:
        """Whether a section is carried by the transport of another one."""
        return index != self.tagged and index in self.members

    def line(self, mids: Iterable[str | None]) -> Line:
        """Returns the a=group line, the tagged section's mid first; `mids` are those of all sections."""
        names = list(mids)
        order = (self.tagged, *(one for one in self.members if one != self.tagged))
        return Line("a", "group:BUNDLE " + " ".join(names[one] or "" for one in order))


def group_members(description: SessionDescription) -> tuple[int, ...]:
    """Returns the indexes of the sections of the first BUNDLE group, in its order; () for none.

    A group whose mids are not each the mid of one section is none (RFC 5888 8.1). Further groups are not
    looked at: their sections stand alone.
    """
    group = next((one for one in groups_of(description) if one.semantics == "BUNDLE"), None)
    if group is None:
        return ()
    mids = [mid_of(section) for section in description.media]
    if len(set(group.mids)) != len(group.mids) or any(mids.count(mid) != 1 for mid in group.mids):
        return ()
    return tuple(mids.index(mid) for mid in group.mids)


def is_bundle_only(section: MediaDescription) -> bool:
    """Whether a section is for its group only (6): port 0 then does not disable it."""
    return section.port == 0 and section.attribute("bundle-only") is not None


def enabled_in(description: SessionDescription, members: Iterable[int]) -> tuple[int, ...]:
    """Returns those members that are not disabled: port 0 without a=bundle-only disables (7.5.3)."""
    return tuple(one for one in members if description.media[one].port or is_bundle_only(description.media[one]))


def candidates(description: SessionDescription, members: Iterable[int]) -> tuple[int, ...]:
    """Returns those members that may be the tagged one: with a port, and RTCP on it too (7.3.1, 9.3)."""
    return tuple(
        one
        for one in members
        if description.media[one].port and description.media[one].attribute("rtcp-mux") is not None
    )


def carried(description: SessionDescription, bundle: Bundle) -> SessionDescription:
    """Returns a description whose bundled sections say themselves what holds for them by the tagged one.

    That is its port, connection address and attributes of transport, its keys excepted: those are not to be read
    as keys of a second stream.
    """
    tagged = description.media[bundle.tagged]
    transport = tuple(line for line in tagged.lines if line.type == "c" or _is_bundle_attribute(line, keys=False))
    media = list(description.media)
    for index in bundle.members:
        if index != bundle.tagged:
            own = tuple(line for line in media[index].lines if line.type != "c" and not _is_bundle_attribute(line))
            media[index] = replace(media[index], port=tagged.port, lines=own + transport)
    return replace(description, media=tuple(media))


def shared_section(
    section: MediaDescription, tagged: MediaDescription, *, only: bool, repeat: bool
) -> MediaDescription:
    """Returns a section of ours as it stands in a group behind the tagged one: without attributes of transport.

    Its port is the tagged one's (7.3, 7.5), or 0 when it is bundle-only (6). With `repeat` it has the tagged one's
    attributes of transport too, its keys excepted.
    """
    lines = tuple(line for line in section.lines if line.type != "c" and not _is_bundle_attribute(line))
    if repeat:
        lines += tuple(line for line in tagged.lines if _is_bundle_attribute(line, keys=False))
    if only:
        return replace(section, port=0, lines=(*lines, Line("a", "bundle-only")))
    connection = tuple(line for line in tagged.lines if line.type == "c")
    return replace(section, port=tagged.port, lines=connection + lines)


def answered_bundle(answer: SessionDescription, sent: tuple[MediaDescription, ...], offered: Bundle) -> Bundle | None:
    """Returns the group that an answer makes of the one we offered in `sent`, None when it has none.

    Raises NegotiationError when the answer has sections in it that were not offered there, or calls them by other
    mids, when the tagged one is rejected, was bundle-only or has no a=rtcp-mux (7.4, 9.3.1.3).
    """
    members = enabled_in(answer, group_members(answer))
    if not members:
        return None
    for index in members:
        if index not in offered.members or mid_of(answer.media[index]) != mid_of(sent[index]):
            raise NegotiationError("the answer's BUNDLE group has a section that was not offered in it")
    tagged = members[0]
    if is_bundle_only(answer.media[tagged]) or is_bundle_only(sent[tagged]):
        raise NegotiationError("the answer's BUNDLE group is led by a section without a transport")
    if answer.media[tagged].attribute("rtcp-mux") is None:
        raise NegotiationError("the answer has a BUNDLE group without a=rtcp-mux")
    return Bundle(tagged, members)


def mid_extension_of(section: MediaDescription) -> int | None:
    """Returns the local identifier of the mid header extension (15.2), None without one that we can send."""
    for value in section.attributes("extmap"):
        number, _, uri = value.partition(" ")
        number = number.partition("/")[0]
        if uri.split()[:1] == [MID_EXTENSION] and number.isascii() and number.isdigit() and len(number) <= 2:
            return int(number) if 1 <= int(number) <= _MAX_EXTENSION_ID else None
    return None


def mid_extension_line(agreed: int | None, media: Iterable[LocalMedia]) -> Line:
    """Returns the a=extmap of the mid for a section of ours: the identifier agreed, or one that no `attributes` use."""
    used = {
        line.value.removeprefix("extmap:").split()[0].partition("/")[0]
        for local in media
        for line in local.attributes
        if line.value.startswith("extmap:")
    }
    free = (number for number in range(1, _MAX_EXTENSION_ID + 1) if str(number) not in used)
    return Line("a", f"extmap:{agreed or next(free, _MAX_EXTENSION_ID)} {MID_EXTENSION}")


def free_mid(index: int, used: Iterable[str | None]) -> str:
    """Returns a short mid for a section that says nothing of whoever made it (15.2)."""
    taken = set(used)
    number = index
    while str(number) in taken:
        number += 1
    return str(number)


def _is_bundle_attribute(line: Line, *, keys: bool = True) -> bool:
    name = line.value.partition(":")[0]
    return line.type == "a" and name in _BUNDLE_ATTRIBUTES and (keys or name not in _KEYING_ATTRIBUTES)
