"""SDP capability negotiation (RFC 5939), the answerer's half: the potential configurations of an offered section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .session_description import Line, MediaDescription, SessionDescription

MAX_CONFIGURATIONS = 32
_MAX_CAPABILITIES = 256
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_OWN_ATTRIBUTES = frozenset(("csup", "creq", "acap", "tcap", "pcfg", "acfg"))
_SUPPORTED = frozenset(("cap-v0",))


@dataclass(frozen=True, slots=True)
class Configuration:
    """A way to read an offered section: as it stands, or as one of its potential configurations.

    `description` and `section` are what the offer comes to with it; `selected` is the value of the `a=acfg` that
    an answer by it has to have (3.5.2), "" for the section as it stands.
    """

    description: SessionDescription
    section: MediaDescription
    selected: str = ""


def configurations(description: SessionDescription, index: int) -> tuple[Configuration, ...]:
    """Returns the ways to read section `index` of an offer, the offerer's most preferred first.

    The last is the section as it stands, which is the least preferred (3.6.2). At most 32 potential ones are
    returned. One is left out when it refers to capabilities that are not there, has a mandatory extension or
    would put an attribute of RFC 5939 into the offer. None is there when the offer requires an option other
    than cap-v0 (a=creq, 3.3.2).
    """
    actual = Configuration(description, description.media[index])
    section = actual.section
    required = {tag for value in (*description.attributes("creq"), *section.attributes("creq")) for tag in _tags(value)}
    if not section.attributes("pcfg") or required - _SUPPORTED:
        return (actual,)
    found = []
    for value in sorted(section.attributes("pcfg")[:MAX_CONFIGURATIONS], key=_number_of):
        for potential in _potential(description, index, value):
            found.append(potential)
            if len(found) == MAX_CONFIGURATIONS:
                return (*found, actual)
    return (*found, actual)


def _potential(description: SessionDescription, index: int, value: str) -> Iterator[Configuration]:
    """The configurations of one a=pcfg, one for each alternative in it (3.5.1)."""
    section = description.media[index]
    number, *lists = value.split() or [""]
    if not _NUMBER.fullmatch(number):
        return
    parts: dict[str, str] = {}
    for item in lists:
        name, equals, rest = item.partition("=")
        if not equals or name in parts or name.startswith("+"):
            return
        parts[name] = rest
    transports = _transports(description, section)
    attributes = _attribute_capabilities(section)
    session_attributes = _attribute_capabilities(description)
    delete, colon, lists_of_attributes = parts.get("a", "").rpartition(":")
    for alternative in lists_of_attributes.split("|")[:MAX_CONFIGURATIONS]:
        chosen = _chosen(alternative, attributes | session_attributes)
        if chosen is None:
            continue
        for transport in parts.get("t", "").split("|")[:MAX_CONFIGURATIONS]:
            protocol = transports.get(transport) if transport else section.protocol
            if protocol is None:
                continue
            session_lines = _without_deleted(description.lines, delete in ("-s", "-ms"))
            lines = _without_deleted(section.lines, delete in ("-m", "-ms"))
            selected = [number]
            if transport:
                selected.append(f"t={transport}")
            if chosen or colon:
                selected.append(f"a={delete}{colon}{','.join(chosen)}")
            added = tuple(Line("a", attributes[name]) for name in chosen if name in attributes)
            above = tuple(Line("a", session_attributes[name]) for name in chosen if name not in attributes)
            whole = replace(description, lines=session_lines + above) if delete or above else description
            changed = replace(section, protocol=protocol, lines=lines + added)
            yield Configuration(whole, changed, " ".join(selected))


def _chosen(alternative: str, known: dict[str, str]) -> tuple[str, ...] | None:
    """The capability numbers of `1,2,[3]`: all mandatory ones and the optional ones that are there, or None."""
    numbers = []
    optional = False
    for item in alternative.split(",") if alternative else ():
        optional = optional or item.startswith("[")
        number = item.strip("[]")
        if number in known:
            numbers.append(number)
        elif not optional:
            return None
        optional = optional and not item.endswith("]")
    return tuple(numbers)


def _transports(description: SessionDescription, section: MediaDescription) -> dict[str, str]:
    """The transport protocols by their numbers: `a=tcap:1 A B` numbers A 1 and B 2 (3.4.2)."""
    found: dict[str, str] = {}
    for value in (*description.attributes("tcap")[:1], *section.attributes("tcap")[:1]):
        number, *protocols = value.split()[:_MAX_CAPABILITIES] or [""]
        if _NUMBER.fullmatch(number):
            found |= {str(int(number) + offset): protocol for offset, protocol in enumerate(protocols)}
    return found


def _attribute_capabilities(part: SessionDescription | MediaDescription) -> dict[str, str]:
    """The attributes of a=acap by their numbers (3.4.1)."""
    found = {}
    for value in part.attributes("acap")[:_MAX_CAPABILITIES]:
        number, _, attribute = value.partition(" ")
        if _NUMBER.fullmatch(number) and attribute.partition(":")[0] not in _OWN_ATTRIBUTES:
            found[number] = attribute.strip()
    return found


def _without_deleted(lines: tuple[Line, ...], deleted: bool) -> tuple[Line, ...]:
    return tuple(line for line in lines if line.type != "a") if deleted else lines


def _tags(value: str) -> list[str]:
    return [tag.strip() for tag in value.split(",") if tag.strip()]


def _number_of(value: str) -> int:
    number = value.split(" ")[0]
    return int(number) if _NUMBER.fullmatch(number) else 1 << 31
