"""ICE in SDP (RFC 8839): candidates, credentials, a=ice-lite."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from srtp.field_checks import check_fields

from ..description.session_description import Line, MediaDescription, SessionDescription
from ..errors import NegotiationError

MAX_CANDIDATES = 128
HOST_TYPE_PREFERENCE = 126

_ICE_CHARS = r"[A-Za-z0-9+/]"
_UFRAG = re.compile(_ICE_CHARS + "{4,256}")
_PASSWORD = re.compile(_ICE_CHARS + "{22,256}")
_FOUNDATION = re.compile(_ICE_CHARS + "{1,32}")
_NUMBER = re.compile("[0-9]{1,10}")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """Username fragment (4 to 256 characters) and password (22 to 256) of one side (RFC 8839 5.4).

    Raises NegotiationError when they are not.
    """

    ufrag: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _UFRAG.fullmatch(self.ufrag) or not _PASSWORD.fullmatch(self.password):
            raise NegotiationError("a=ice-ufrag or a=ice-pwd is malformed")

    @classmethod
    def generate(cls) -> IceCredentials:
        """Returns new ones: 48 and 144 random bits (RFC 8445 5.3 asks for 24 and 128)."""
        return cls(*("".join(secrets.choice(_ALPHABET) for _ in range(length)) for length in (8, 24)))


@dataclass(frozen=True, slots=True)
class IceCandidate:
    """An a=candidate (RFC 8839 5.1); `address` may be a name, and `extensions` are what follows the type."""

    foundation: str
    component: int
    transport: str
    priority: int
    address: str
    port: int
    type: str
    extensions: tuple[str, ...] = ()

    @classmethod
    def host(cls, address: str, port: int, *, component: int = 1, local_preference: int = 65535) -> IceCandidate:
        """Returns the host candidate of a UDP socket, with the priority of RFC 8445 5.1.2.1."""
        priority = (HOST_TYPE_PREFERENCE << 24) + (local_preference << 8) + 256 - component
        foundation = "2" if ":" in address else "1"
        return cls(foundation, component, "UDP", priority, address, port, "host")

    @classmethod
    def parse(cls, value: str) -> IceCandidate | None:
        """Returns the candidate in an a=candidate value; None for one that is malformed, which is to be ignored."""
        fields = value.split(" ")
        if len(value) > 1024 or len(fields) < 8 or fields[6] != "typ" or not all(fields):
            return None
        numbers = [fields[1], fields[3], fields[5]]
        if not _FOUNDATION.fullmatch(fields[0]) or not all(_NUMBER.fullmatch(number) for number in numbers):
            return None
        component, priority, port = map(int, numbers)
        if not 1 <= component <= 256 or not 1 <= priority < 1 << 31 or port > 65535:
            return None
        return cls(fields[0], component, fields[2], priority, fields[4], port, fields[7], tuple(fields[8:]))

    def serialize(self) -> str:
        """Returns the attribute's value."""
        values = (self.foundation, self.component, self.transport, self.priority, self.address, self.port, "typ")
        return " ".join(str(value) for value in (*values, self.type, *self.extensions))


@dataclass(frozen=True, slots=True)
class IceDescription:
    """What one side says of ICE for a section."""

    credentials: IceCredentials
    candidates: tuple[IceCandidate, ...] = ()
    lite: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def of(cls, description: SessionDescription, section: MediaDescription) -> IceDescription | None:
        """Returns what is said for a section, None when ICE is not offered.

        Credentials may stand at either level. Raises NegotiationError when they are malformed or one is missing.
        At most 128 candidates are read.
        """
        ufrag, password = (
            next(iter(section.attributes(name) or description.attributes(name)), None)
            for name in ("ice-ufrag", "ice-pwd")
        )
        if ufrag is None and password is None:
            return None
        credentials = IceCredentials(ufrag or "", password or "")
        found = [IceCandidate.parse(value) for value in section.attributes("candidate")[:MAX_CANDIDATES]]
        candidates = tuple(one for one in found if one is not None)
        return cls(credentials, candidates, bool(description.attributes("ice-lite")))

    @classmethod
    def parse(cls, text: str | bytes, index: int = 0) -> IceDescription | None:
        """Returns what an SDP says for its m= line `index`; raises SdpParseError and NegotiationError."""
        description = SessionDescription.parse(text)
        return cls.of(description, description.media[index]) if index < len(description.media) else None

    def media_lines(self) -> tuple[Line, ...]:
        """Returns the lines for the section."""
        values = [f"ice-ufrag:{self.credentials.ufrag}", f"ice-pwd:{self.credentials.password}"]
        values += [f"candidate:{candidate.serialize()}" for candidate in self.candidates]
        return tuple(Line("a", value) for value in values)

    def session_lines(self) -> tuple[Line, ...]:
        """Returns the lines for the session: a=ice-lite belongs there (RFC 8839 5.3)."""
        return (Line("a", "ice-lite"),) if self.lite else ()
