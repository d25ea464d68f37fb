"""Requests and responses (RFC 3261 7)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from .errors import SipParseError
from .grammar import has_control, is_token, parse_number
from .header_values import BRANCH_COOKIE, CSeq, NameAddr, Via, media_type, parse_addresses, parse_vias
from .headers import Headers
from .reasons import REASONS
from .uri import Uri


class _Fields:
    """What requests and responses read alike from their header fields; each raises SipParseError when malformed."""

    __slots__ = ()
    headers: Headers
    body: bytes

    @property
    def call_id(self) -> str:
        return self._required("Call-ID")

    @property
    def cseq(self) -> CSeq:
        return CSeq.parse(self._required("CSeq"))

    @property
    def from_(self) -> NameAddr:
        return self._address("From")

    @property
    def to(self) -> NameAddr:
        return self._address("To")

    @property
    def vias(self) -> list[Via]:
        return parse_vias(self.headers.get_all("Via"))

    @property
    def top_via(self) -> Via:
        vias = self.vias
        if not vias:
            raise SipParseError("missing", header="Via")
        return vias[0]

    @property
    def contacts(self) -> list[NameAddr]:
        """The Contact addresses; [] for `*` and for none."""
        rows = self.headers.get_all("Contact")
        return [] if rows == ["*"] else parse_addresses(rows, "Contact")

    @property
    def routes(self) -> list[NameAddr]:
        return parse_addresses(self.headers.get_all("Route"), "Route")

    @property
    def record_routes(self) -> list[NameAddr]:
        return parse_addresses(self.headers.get_all("Record-Route"), "Record-Route")

    @property
    def max_forwards(self) -> int | None:
        value = self.headers.get("Max-Forwards")
        return None if value is None else parse_number(value, 255, "Max-Forwards")

    @property
    def expires(self) -> int | None:
        value = self.headers.get("Expires")
        return None if value is None else parse_number(value, (1 << 32) - 1, "Expires")

    @property
    def content_type(self) -> str | None:
        """type/subtype in lower case, or None."""
        value = self.headers.get("Content-Type")
        return None if value is None else media_type(value)

    def option_tags(self, header: str) -> list[str]:
        """The option tags of Require, Supported and their like, in lower case."""
        tags = [tag.strip().lower() for row in self.headers.get_all(header) for tag in row.split(",")]
        return [tag for tag in tags if tag]

    def _required(self, name: str) -> str:
        value = self.headers.get(name)
        if not value:
            raise SipParseError("missing", header=name)
        return value

    def _address(self, name: str) -> NameAddr:
        try:
            return NameAddr.parse(self._required(name))
        except SipParseError as error:
            raise SipParseError(error.reason, status=error.status, header=name) from None

    def _serialize(self, start_line: str) -> bytes:
        if has_control(start_line):
            raise SipParseError("the start line holds control characters")
        lines = [start_line]
        lines += [
            f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in ("content-length", "l")
        ]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass(slots=True)
class Request(_Fields):
    """A request; `uri` is its Request-URI. Content-Length is written from the body, whatever the headers say."""

    method: str
    uri: Uri
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def __post_init__(self) -> None:
        if not is_token(self.method):
            raise SipParseError(f"{self.method[:40]!r} is no method")

    def serialize(self) -> bytes:
        """Returns the message's bytes; raises SipParseError when a value would break its line."""
        return self._serialize(f"{self.method} {self.uri} SIP/2.0")

    def create_response(self, status: int, reason: str | None = None, *, to_tag: str | None = None) -> Response:
        """Returns a response with what 8.2.6.2 copies: Via, From, To, Call-ID, CSeq; Record-Route as 12.1.1 says.

        A To without a tag gets `to_tag`, or a random one, except in a 100.
        """
        headers = Headers()
        for name in ("Via", "From", "To", "Call-ID", "CSeq"):
            for value in self.headers.get_all(name):
                headers.add(name, value)
        if 100 < status < 300 and self.method in ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY"):
            for value in self.headers.get_all("Record-Route"):
                headers.add("Record-Route", value)
        if status > 100:
            try:
                # Behind the To as it came: quoted pairs and odd spellings go back unchanged.
                if self.to.tag is None:
                    headers.set("To", f"{self._required('To')};tag={to_tag or new_tag()}")
            except SipParseError:
                pass  # a To that cannot be read goes back as it came
        return Response(status, REASONS.get(status, "") if reason is None else reason, headers)


@dataclass(slots=True)
class Response(_Fields):
    """A response; `status` is 100 to 699."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    def __post_init__(self) -> None:
        if not 100 <= self.status <= 699:
            raise SipParseError(f"{self.status} is no status code")

    @property
    def provisional(self) -> bool:
        """Whether another response follows (1xx)."""
        return self.status < 200

    @property
    def success(self) -> bool:
        """Whether the request was accepted (2xx)."""
        return 200 <= self.status < 300

    def serialize(self) -> bytes:
        """Returns the message's bytes; raises SipParseError when a value would break its line."""
        return self._serialize(f"SIP/2.0 {self.status} {self.reason}")


Message = Request | Response


def new_tag() -> str:
    """Returns a random tag (19.3: at least 32 bits; this has 64)."""
    return secrets.token_hex(8)


def new_branch() -> str:
    """Returns a random branch with the cookie of RFC 3261."""
    return f"{BRANCH_COOKIE}{secrets.token_hex(12)}"


def new_call_id() -> str:
    """Returns a random Call-ID that tells nothing of the host."""
    return secrets.token_hex(16)
