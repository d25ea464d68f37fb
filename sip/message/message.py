"""Requests and responses (RFC 3261 7)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import SipParseError
from .grammar import has_control, is_token, parse_number
from .header_values import (
    BRANCH_COOKIE,
    AllContacts,
    CSeq,
    NameAddr,
    Via,
    media_type,
    parse_addresses,
    parse_vias,
)
from .headers import Headers
from .reasons import REASONS
from .uri import SipUri, Uri, parse_uri

try:
    from .message_writer import write_message
except ImportError:

    def write_message(start_line: str, rows: list[tuple[str, str, str]], body: bytes) -> bytes:
        lines = [f"{name}: {value}\r\n" for key, name, value in rows if key != "content-length"]
        return f"{start_line}\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode() + body


# An address in brackets, with nothing behind it but a tag.
_PLAIN_TAG = re.compile(r"""[^"<>]*<[^"<>]*>(?:;tag=([A-Za-z0-9\-.!%*_+`'~]+))?""")


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
        return self.headers.typed("CSeq", _cseq)

    @property
    def from_(self) -> NameAddr:
        return self.headers.typed("From", _from)

    @property
    def to(self) -> NameAddr:
        return self.headers.typed("To", _to)

    @property
    def vias(self) -> list[Via]:
        return list(self.headers.typed("Via", _vias))

    @property
    def top_via(self) -> Via:
        value = self.headers.get("Via")
        if value is None:
            raise SipParseError("missing", header="Via")
        # The others are nobody's business; only in quotes a comma would end nothing.
        return self.headers.typed("Via", _vias)[0] if '"' in value else Via.parse(value.partition(",")[0].strip())

    @property
    def contacts(self) -> list[NameAddr]:
        """The Contact addresses; [] for `*` and for none."""
        found = self.headers.typed("Contact", _contacts)
        return [] if isinstance(found, AllContacts) else list(found)

    @property
    def contact_values(self) -> list[NameAddr] | AllContacts:
        """The Contact addresses, or AllContacts for `*`, which may only stand alone."""
        found = self.headers.typed("Contact", _contacts)
        return found if isinstance(found, AllContacts) else list(found)

    @property
    def path(self) -> list[NameAddr]:
        """The Path values (RFC 3327), the registrar's neighbour first."""
        return list(self.headers.typed("Path", _path))

    @property
    def routes(self) -> list[NameAddr]:
        return list(self.headers.typed("Route", _routes))

    @property
    def record_routes(self) -> list[NameAddr]:
        return list(self.headers.typed("Record-Route", _record_routes))

    @property
    def max_forwards(self) -> int | None:
        return self.headers.typed("Max-Forwards", _max_forwards)

    @property
    def expires(self) -> int | None:
        return self.headers.typed("Expires", _expires)

    @property
    def content_type(self) -> str | None:
        """type/subtype in lower case, or None."""
        return self.headers.typed("Content-Type", _content_type)

    def option_tags(self, header: str) -> list[str]:
        """The option tags of Require, Supported and their like, in lower case."""
        tags = [tag.strip().lower() for row in self.headers.get_all(header) for tag in row.split(",")]
        return [tag for tag in tags if tag]

    @property
    def to_tag(self) -> str | None:
        """The tag of To; None before there is one."""
        return self._tag("To", _to)

    @property
    def from_tag(self) -> str | None:
        """The tag of From; None for an old client's, which has none."""
        return self._tag("From", _from)

    def _tag(self, name: str, parse: Callable[[list[str]], NameAddr]) -> str | None:
        # Nearly all have nothing else, and need not be parsed for it.
        value = self.headers.get(name)
        plain = None if value is None else _PLAIN_TAG.fullmatch(value)
        return self.headers.typed(name, parse).tag if plain is None else plain[1]

    def _required(self, name: str) -> str:
        value = self.headers.get(name)
        if not value:
            raise SipParseError("missing", header=name)
        return value

    def _serialize(self, start_line: str) -> bytes:
        if has_control(start_line):
            raise SipParseError("the start line holds control characters")
        return write_message(start_line, self.headers.rows, self.body)


class Request(_Fields):
    """A request; `uri` is its Request-URI. Content-Length is written from the body, whatever the headers say."""

    __slots__ = ("_uri", "body", "headers", "method")

    def __init__(self, method: str, uri: Uri, headers: Headers | None = None, body: bytes = b"") -> None:
        if not is_token(method):
            raise SipParseError(f"{method[:40]!r} is no method")
        self.method = method
        self._uri: Uri | str = uri
        self.headers = Headers() if headers is None else headers
        self.body = body

    @classmethod
    def of_checked(cls, method: str, uri: Uri | str, headers: Headers, body: bytes = b"") -> Request:
        """Returns a request of parts that were checked already; a URI given as text is parsed when it is asked for."""
        request = cls.__new__(cls)
        request.method, request._uri, request.headers, request.body = method, uri, headers, body
        return request

    @property
    def uri(self) -> Uri:
        if isinstance(self._uri, str):
            self._uri = parse_uri(self._uri)
        return self._uri

    @uri.setter
    def uri(self, uri: Uri) -> None:
        self._uri = uri

    @property
    def uri_text(self) -> str:
        """The Request-URI as it came, or as it is written."""
        return str(self._uri)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Request):
            return NotImplemented
        mine, theirs = ((one.method, one.uri, one.headers, one.body) for one in (self, other))
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Request(method={self.method!r}, uri={self.uri!r}, headers={self.headers!r}, body={self.body!r})"

    def serialize(self) -> bytes:
        """Returns the message's bytes; raises SipParseError when a value would break its line."""
        return self._serialize(f"{self.method} {self._uri} SIP/2.0")

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
    body: bytes = field(default=b"", repr=False)  # an SDP with keys, it may be

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


@dataclass(frozen=True, slots=True)
class WrittenMessage:
    """A message that may have to be sent once more, as the bytes it was: all that is left of it."""

    data: bytes = field(repr=False)

    def serialize(self) -> bytes:
        """Returns the message's bytes."""
        return self.data


def new_tag() -> str:
    """Returns a random tag (19.3: at least 32 bits; this has 64)."""
    return secrets.token_hex(8)


def new_branch() -> str:
    """Returns a random branch with the cookie of RFC 3261."""
    return f"{BRANCH_COOKIE}{secrets.token_hex(12)}"


def new_call_id() -> str:
    """Returns a random Call-ID that tells nothing of the host."""
    return secrets.token_hex(16)


def request_uri_of(uri: Uri) -> Uri:
    """Returns a URI as it may stand in a request line."""
    if isinstance(uri, SipUri) and (uri.headers or any(name == "method" for name, _ in uri.parameters)):
        return uri.without_headers()
    return uri


# The parsers of header fields that stand once or as a list, for Headers.typed().


def _cseq(rows: list[str]) -> CSeq:
    return CSeq.parse(_only(rows, "CSeq"))


def _from(rows: list[str]) -> NameAddr:
    return _address(rows, "From")


def _to(rows: list[str]) -> NameAddr:
    return _address(rows, "To")


def _vias(rows: list[str]) -> tuple[Via, ...]:
    return tuple(parse_vias(rows))


def _contacts(rows: list[str]) -> tuple[NameAddr, ...] | AllContacts:
    return AllContacts() if rows == ["*"] else tuple(parse_addresses(rows, "Contact"))


def _path(rows: list[str]) -> tuple[NameAddr, ...]:
    return tuple(parse_addresses(rows, "Path"))


def _routes(rows: list[str]) -> tuple[NameAddr, ...]:
    return tuple(parse_addresses(rows, "Route"))


def _record_routes(rows: list[str]) -> tuple[NameAddr, ...]:
    return tuple(parse_addresses(rows, "Record-Route"))


def _max_forwards(rows: list[str]) -> int | None:
    return parse_number(rows[0], 255, "Max-Forwards") if rows else None


def _expires(rows: list[str]) -> int | None:
    return parse_number(rows[0], (1 << 32) - 1, "Expires") if rows else None


def _content_type(rows: list[str]) -> str | None:
    return media_type(rows[0]) if rows else None


def _address(rows: list[str], name: str) -> NameAddr:
    try:
        return NameAddr.parse(_only(rows, name))
    except SipParseError as error:
        raise SipParseError(error.reason, status=error.status, header=name) from None


def _only(rows: list[str], name: str) -> str:
    if not rows or not rows[0]:
        raise SipParseError("missing", header=name)
    return rows[0]
