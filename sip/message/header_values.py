"""What header fields say: Via, addresses, CSeq, media types, challenges and credentials (RFC 3261 20)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ..errors import SipParseError
from .grammar import (
    PLAIN_PARAMETERS,
    Parameters,
    end_of_quoted,
    is_token,
    parameter,
    parse_number,
    parse_parameters,
    quote,
    serialize_parameters,
    split_host_port,
    split_outside_quotes,
    split_plain_parameters,
    unquote,
)
from .host_names import bare_host
from .uri import SipUri, Uri, parse_uri

_SENT_PROTOCOL = re.compile(r"\s*([^\s/]+)\s*/\s*([^\s/]+)\s*/\s*([^\s/;]+)\s+(.*)", re.DOTALL)
# What nearly all Vias and addresses look like: no white space where none is needed, no escapes, no quoted values.
_WORD = r"[A-Za-z0-9\-.!%*_+`'~]+"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9\-._]{0,253}[A-Za-z0-9.])?"
_PLAIN_VIA = re.compile(rf"SIP/2\.0/({_WORD}) ({_NAME})(?::([0-9]{{1,5}}))?({PLAIN_PARAMETERS})")
_PLAIN_ADDRESS = re.compile(rf"((?:{_WORD} )*|\"[^\"\\]*\" ?)<([^<>\s]+)>({PLAIN_PARAMETERS})")
BRANCH_COOKIE = "z9hG4bK"
MAX_CSEQ = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Via:
    """One Via value (20.42)."""

    transport: str
    host: str
    port: int | None = None
    parameters: Parameters = ()
    version: str = "2.0"

    @classmethod
    def parse(cls, text: str) -> Via:
        """Parses one Via value; raises SipParseError for anything else."""
        plain = _PLAIN_VIA.fullmatch(text)
        if plain is None:
            return cls._parse_any(text)
        transport, host, digits, tail = plain.groups()
        port = None if digits is None else parse_number(digits, 65535, "a Via's port")
        return cls(transport.upper(), host, port, split_plain_parameters(tail))

    @classmethod
    def _parse_any(cls, text: str) -> Via:
        match = _SENT_PROTOCOL.fullmatch(text)
        if match is None:
            raise SipParseError("no protocol and sent-by", header="Via")
        name, version, transport, rest = match.groups()
        if name.upper() != "SIP" or not is_token(version) or not is_token(transport):
            raise SipParseError(f"the protocol {name[:10]}/{version[:10]} is not SIP", header="Via")
        sent_by, semicolon, tail = rest.partition(";")
        host, port = split_host_port(sent_by.strip(), "a Via")
        return cls(transport.upper(), host, port, parse_parameters(semicolon + tail), version)

    def parameter(self, name: str) -> str | None:
        """Returns the unquoted value of a header parameter, "" for a flag, None when it is not there."""
        return parameter(self.parameters, name)

    @property
    def branch(self) -> str | None:
        """What tells the transaction (8.1.1.7), None when there is none."""
        return self.parameter("branch")

    @property
    def sent_by(self) -> tuple[str, int | None]:
        """Host, in comparable form, and port that the sender named."""
        return bare_host(self.host), self.port

    def with_parameter(self, name: str, value: str | None) -> Via:
        """Returns a copy with the parameter set to `value` (None: a flag)."""
        kept = tuple(pair for pair in self.parameters if pair[0] != name)
        return replace(self, parameters=(*kept, (name, value)))

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/{self.version}/{self.transport} {self.host}{port}{serialize_parameters(self.parameters)}"


@dataclass(frozen=True, slots=True)
class NameAddr:
    """An address with display name and header parameters: From, To, Contact, Route and their like (20.10)."""

    uri: Uri
    display_name: str = ""
    parameters: Parameters = ()

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Parses one name-addr or addr-spec; raises SipParseError for anything else."""
        plain = _PLAIN_ADDRESS.fullmatch(text)
        if plain is None:
            return cls._parse_any(text)
        name, uri, tail = plain.groups()
        return cls(parse_uri(uri), unquote(name.rstrip(" ")), split_plain_parameters(tail))

    @classmethod
    def _parse_any(cls, text: str) -> NameAddr:
        text = text.strip()
        if text.startswith('"'):
            end = end_of_quoted(text, 0)
            display_name, rest = unquote(text[:end]), text[end:].lstrip()
            if not rest.startswith("<"):
                raise SipParseError("a display name without <URI>")
        else:
            before, bracket, after = text.partition("<")
            if not bracket:
                return cls._parse_addr_spec(text)
            display_name, rest = before.strip(), bracket + after
            if any(not is_token(word) for word in display_name.split()):
                raise SipParseError("an unquoted display name holds characters that it may not")
        uri, bracket, tail = rest[1:].partition(">")
        if not bracket:
            raise SipParseError("an angle bracket is not closed")
        if uri != uri.strip():
            raise SipParseError("white space inside the angle brackets")
        return cls(parse_uri(uri), display_name, parse_parameters(tail.strip()))

    @classmethod
    def _parse_addr_spec(cls, text: str) -> NameAddr:
        # Without brackets everything behind ; belongs to the header, and ? and , are not allowed (20.10).
        at = text.rfind("@")
        semicolon = text.find(";", at + 1)
        spec, tail = (text, "") if semicolon < 0 else (text[:semicolon], text[semicolon:])
        if "?" in spec or "," in spec:
            raise SipParseError("a URI with ? or , needs angle brackets")
        return cls(parse_uri(spec.strip()), "", parse_parameters(tail))

    @property
    def tag(self) -> str | None:
        """This side's part of the dialog's identifier (19.3), None before there is one."""
        return parameter(self.parameters, "tag")

    def parameter(self, name: str) -> str | None:
        """Returns the unquoted value of a header parameter, "" for a flag, None when it is not there."""
        return parameter(self.parameters, name)

    def with_tag(self, tag: str) -> NameAddr:
        """Returns a copy with this tag."""
        kept = tuple(pair for pair in self.parameters if pair[0] != "tag")
        return replace(self, parameters=(*kept, ("tag", tag)))

    @property
    def sip_uri(self) -> SipUri:
        """The URI, which must be a SIP one; raises SipParseError (416) otherwise."""
        if not isinstance(self.uri, SipUri):
            raise SipParseError(f"the scheme {self.uri.scheme[:20]} is not supported", status=416)
        return self.uri

    def __str__(self) -> str:
        name = f"{quote(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{serialize_parameters(self.parameters)}"


@dataclass(frozen=True, slots=True)
class AllContacts:
    """The `*` of a Contact, which means every binding there is (10.2.2)."""

    def __str__(self) -> str:
        return "*"


@dataclass(frozen=True, slots=True)
class CSeq:
    """The sequence number and method of a request (20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Parses number and method; raises SipParseError when it is not so, or the number exceeds 2^31 - 1."""
        fields = text.split()
        if len(fields) != 2 or not is_token(fields[1]):
            raise SipParseError("no number and method", header="CSeq")
        return cls(parse_number(fields[0], MAX_CSEQ, "CSeq"), fields[1])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class AuthParameters:
    """A challenge or credentials: the scheme and its parameters, unquoted, names in lower case (20.44)."""

    scheme: str
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> AuthParameters:
        """Parses `Scheme name=value, name="value"`; raises SipParseError when it is not so, or a name repeats."""
        scheme, _, rest = text.strip().partition(" ")
        if not is_token(scheme):
            raise SipParseError("no authentication scheme")
        found: dict[str, str] = {}
        for item in split_outside_quotes(rest, ","):
            name, equals, value = item.partition("=")
            name, value = name.strip().lower(), value.strip()
            if not item.strip():
                continue
            if not equals or not is_token(name):
                raise SipParseError("an authentication parameter is malformed")
            if name in found:
                raise SipParseError(f"the authentication parameter {name} stands twice")
            found[name] = unquote(value)
        return cls(scheme, tuple(found.items()))

    def get(self, name: str) -> str | None:
        """Returns the value of a parameter by its name in lower case, or None."""
        return next((value for key, value in self.parameters if key == name), None)

    def __repr__(self) -> str:
        return f"AuthParameters({self.scheme!r}, names={[name for name, _ in self.parameters]})"


def split_values(rows: list[str], header: str) -> list[str]:
    """Splits the rows of a list header at their commas; raises SipParseError naming `header`."""
    values = []
    for row in rows:
        if "," not in row:
            values.append(row.strip())
            continue
        try:
            parts = split_outside_quotes(row, ",")
        except SipParseError as error:
            raise SipParseError(error.reason, header=header) from None
        values += [part.strip() for part in parts]
    return values


def parse_addresses(rows: list[str], header: str) -> list[NameAddr]:
    """Parses all rows of an address list such as Contact or Route; raises SipParseError naming `header`."""
    addresses = []
    for value in split_values(rows, header):
        try:
            addresses.append(NameAddr.parse(value))
        except SipParseError as error:
            raise SipParseError(error.reason, status=error.status, header=header) from None
    return addresses


def parse_vias(rows: list[str]) -> list[Via]:
    """Parses all Via rows; raises SipParseError."""
    return [Via.parse(value) for value in split_values(rows, "Via")]


def media_type(text: str) -> str:
    """Returns type/subtype of a Content-Type in lower case, without its parameters; raises SipParseError."""
    head = text.split(";", 1)[0]
    parts = [part.strip() for part in head.split("/")]
    if len(parts) != 2 or not all(is_token(part) for part in parts):
        raise SipParseError("no media type", header="Content-Type")
    return "/".join(parts).lower()
