"""Session descriptions (RFC 8866): parsed into lines that keep their order, serialised to the same text."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

from ..errors import SdpParseError

MAX_LENGTH = 65536
MAX_LINES = 2000
MAX_MEDIA = 64
_SESSION_TYPES = frozenset("vosiuepcbtrzka")
_MEDIA_TYPES = frozenset("icbka")
# a=acap (RFC 5939) may have any attribute as its value.
_SECRET_ATTRIBUTES = ("crypto", "key-mgmt", "acap", "ice-pwd")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its type letter and its value. What holds keys, or looks as if it did, is hidden by repr."""

    type: str
    value: str

    def __repr__(self) -> str:
        # a=cryptoscale and other attributes of some vendors hold keys as a=crypto does, and nobody knows all of them.
        folded = self.value.strip().lower()
        secret = self.type in "kK" or folded.startswith(_SECRET_ATTRIBUTES) or "inline" in folded
        return f"Line({self.type!r}, {'<hidden>' if secret else repr(self.value)})"


@dataclass(frozen=True, slots=True)
class Origin:
    """The o= line (5.2)."""

    username: str
    session_id: int
    version: int
    address: str

    @classmethod
    def parse(cls, value: str) -> Origin:
        fields = value.split(" ")
        if len(fields) != 6 or not all(field.isascii() and field.isdigit() for field in fields[1:3]):
            raise SdpParseError("o= needs a user, two numbers and an address")
        if len(fields[1]) > 20 or len(fields[2]) > 20:
            raise SdpParseError("o= has a number of more than 20 digits")
        return cls(fields[0], int(fields[1]), int(fields[2]), fields[5])

    def serialize(self) -> str:
        return f"{self.username} {self.session_id} {self.version} IN {address_type(self.address)} {self.address}"


@dataclass(frozen=True, slots=True)
class RtpMap:
    """What a payload type stands for: `a=rtpmap` (6.6); `parameters` is the number of channels, if given."""

    payload_type: int
    encoding: str
    clock_rate: int
    parameters: str = ""

    def serialize(self) -> str:
        tail = f"/{self.parameters}" if self.parameters else ""
        return f"{self.payload_type} {self.encoding}/{self.clock_rate}{tail}"


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One m= section: the fields of the m= line and the lines below it, in order."""

    media: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    port_count: int = 1

    def attributes(self, name: str) -> tuple[str, ...]:
        """Returns the values of all `a=name:value` lines; "" for a flag."""
        return _attributes(self.lines, name)

    def attribute(self, name: str) -> str | None:
        """Returns the value of the first such attribute, or None."""
        values = self.attributes(name)
        return values[0] if values else None

    @property
    def connection(self) -> str | None:
        """The address of the section's own c= line, or None."""
        return _connection(self.lines)

    def rtpmaps(self) -> dict[int, RtpMap]:
        """Returns the a=rtpmap attributes by payload type; malformed ones are left out."""
        found = {}
        for value in self.attributes("rtpmap"):
            number, _, rest = value.partition(" ")
            fields = rest.strip().split("/")
            if _is_number(number, 127) and len(fields) in (2, 3) and fields[0] and _is_number(fields[1], 10**9):
                found[int(number)] = RtpMap(int(number), fields[0], int(fields[1]), *fields[2:])
        return found

    def serialize(self) -> str:
        count = f"/{self.port_count}" if self.port_count != 1 else ""
        head = f"m={self.media} {self.port}{count} {self.protocol} {' '.join(self.formats)}\r\n"
        return head + "".join(f"{line.type}={line.value}\r\n" for line in self.lines)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A session description: the lines of the session part, in order, and its media sections."""

    lines: tuple[Line, ...]
    media: tuple[MediaDescription, ...] = ()

    @classmethod
    def parse(cls, text: str | bytes) -> SessionDescription:
        """Returns the description in `text`, whose lines may end in CRLF or LF alone.

        Unknown attributes and lines keep their place. Raises SdpParseError, naming the line, when the text is
        longer than 65,536 bytes or has more than 2,000 lines, is not UTF-8, lacks v=, o= or s=, or a line is
        not of the form letter=value or stands where it may not.
        """
        lines = _split(text)
        session: list[Line] = []
        media: list[tuple[MediaDescription, list[Line]]] = []
        for number, line in enumerate(lines, start=1):
            if line.type == "m":
                if len(media) == MAX_MEDIA:
                    raise SdpParseError(f"more than {MAX_MEDIA} m= lines", line=number)
                media.append((_parse_media(line.value, number), []))
            elif line.type not in (_MEDIA_TYPES if media else _SESSION_TYPES):
                raise SdpParseError(f"{line.type}= may not stand here", line=number)
            else:
                (media[-1][1] if media else session).append(line)
        _check_session(session)
        return cls(tuple(session), tuple(replace(section, lines=tuple(below)) for section, below in media))

    @property
    def origin(self) -> Origin:
        """The o= line."""
        return Origin.parse(self.value("o") or "")

    @property
    def connection(self) -> str | None:
        """The address of the session's c= line, or None."""
        return _connection(self.lines)

    def value(self, type_: str) -> str | None:
        """Returns the value of the first line of this type in the session part, or None."""
        return next((line.value for line in self.lines if line.type == type_), None)

    def attributes(self, name: str) -> tuple[str, ...]:
        """Returns the values of all session-level `a=name:value` lines."""
        return _attributes(self.lines, name)

    def address_of(self, media: MediaDescription) -> str | None:
        """Returns the connection address that holds for a section: its own, or the session's."""
        return media.connection or self.connection

    def serialize(self) -> str:
        """Returns the text, every line ended by CRLF."""
        head = "".join(f"{line.type}={line.value}\r\n" for line in self.lines)
        return head + "".join(section.serialize() for section in self.media)


def address_type(address: str) -> str:
    """Returns IP6 for an IPv6 address and IP4 for anything else."""
    return "IP6" if ":" in address else "IP4"


def _split(text: str | bytes) -> list[Line]:
    if len(text) > MAX_LENGTH:
        raise SdpParseError(f"{len(text)} bytes are more than {MAX_LENGTH}")
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise SdpParseError("not UTF-8", line=bytes(error.object[: error.start]).count(b"\n") + 1) from None
    raw = text.split("\n")
    if raw and raw[-1] == "":
        raw.pop()
    if len(raw) > MAX_LINES:
        raise SdpParseError(f"{len(raw)} lines are more than {MAX_LINES}")
    lines = []
    for number, item in enumerate(raw, start=1):
        item = item.removesuffix("\r")
        if len(item) < 2 or item[1] != "=" or not (item[0].isascii() and item[0].isalpha()):
            raise SdpParseError("not of the form letter=value", line=number)
        if "\r" in item or "\0" in item:
            raise SdpParseError("holds a CR or NUL", line=number)
        lines.append(Line(item[0], item[2:]))
    return lines


def _parse_media(value: str, number: int) -> MediaDescription:
    fields = value.split()
    if len(fields) < 4:
        raise SdpParseError("m= needs media, port, protocol and a format", line=number)
    port, _, count = fields[1].partition("/")
    if not _is_number(port, 65535) or (count and not _is_number(count, 65535)):
        raise SdpParseError("m= has no valid port", line=number)
    return MediaDescription(fields[0], int(port), fields[2], tuple(fields[3:]), (), int(count) if count else 1)


def _check_session(lines: list[Line]) -> None:
    types = [line.type for line in lines]
    for number, wanted in enumerate("vos", start=1):
        if len(types) < number or types[number - 1] != wanted:
            raise SdpParseError(f"{wanted}= is missing here", line=number)
    if lines[0].value != "0":
        raise SdpParseError("another version than 0", line=1)
    for number, line in enumerate(lines, start=1):
        if line.type == "o":
            try:
                Origin.parse(line.value)
            except SdpParseError as error:
                raise SdpParseError(str(error), line=number) from None


def _is_number(text: str, maximum: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= maximum


def _attributes(lines: tuple[Line, ...], name: str) -> tuple[str, ...]:
    found = []
    for line in lines:
        if line.type == "a":
            key, _, value = line.value.partition(":")
            if key == name:
                found.append(value)
    return tuple(found)


def _connection(lines: tuple[Line, ...]) -> str | None:
    for line in lines:
        if line.type == "c":
            fields = line.value.split()
            if len(fields) == 3 and fields[0] == "IN":
                return fields[2].split("/")[0]
    return None


def numeric_address(text: str) -> str | None:
    """Returns `text` when it is a numeric IPv4 or IPv6 address, else None."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
