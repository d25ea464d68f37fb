"""SIP and SIPS URIs (RFC 3261 19.1); others are kept as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import unquote as _unescape

from ..errors import SipParseError
from .grammar import Parameters, parameter, parse_number, split_host_port
from .host_names import host_reference, same_host

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+")
_PASSWORD = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,]|%[0-9A-Fa-f]{2})*")
_PARAMETER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})+")
_HEADERS = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/?:+$=&]|%[0-9A-Fa-f]{2})*")
_OTHER = re.compile(r"[!#-;=?-Z\[\]_a-z~%]+")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")
_SHOWN = 60  # characters of a wrong value in an error
MAX_LENGTH = 4096
# A SIP URI without password, escapes and headers, as nearly all are: scheme, user, host, port, parameters.
_PLAIN = re.compile(
    r"(sips?):(?:([A-Za-z0-9\-_.!~*'()&=+$,;?/]+)@)?"
    r"([A-Za-z0-9](?:[A-Za-z0-9\-._]{0,253}[A-Za-z0-9.])?)(?::([0-9]{1,5}))?"
    r"((?:;[A-Za-z0-9\-_.!~*'()\[\]/:&+$]+(?:=[A-Za-z0-9\-_.!~*'()\[\]/:&+$]+)?)*)"
)


@dataclass(frozen=True, slots=True)
class SipUri:
    """A SIP or SIPS URI. `user` and parameter values stay escaped; `headers` is the text behind `?`.

    `==` compares the parts literally; equivalent() is the comparison of RFC 3261 19.1.4.
    """

    scheme: str
    host: str
    user: str | None = None
    password: str | None = None
    port: int | None = None
    parameters: Parameters = ()
    headers: str = ""

    def parameter(self, name: str) -> str | None:
        """Returns a parameter's value unescaped, "" for a flag, None when it is not there."""
        value = parameter(self.parameters, name)
        return None if value is None else _unescape(value)

    @property
    def secure(self) -> bool:
        """Whether the scheme is sips."""
        return self.scheme != "sip" and self.scheme.lower() == "sips"  # one made by hand may be in capitals

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case, or None."""
        value = self.parameter("transport")
        return None if value is None else value.lower()

    @property
    def loose_router(self) -> bool:
        """Whether it has the lr parameter."""
        return self.parameter("lr") is not None

    @property
    def address_of_record(self) -> str:
        """scheme:user@host in comparable form, without port and parameters."""
        user = "" if self.user is None else f"{_same(self.user)}@"
        return f"{self.scheme}:{user}{host_reference(self.host)}"

    def without_headers(self) -> SipUri:
        """The URI as it may stand in a request line (19.1.1): without headers and method parameter."""
        parameters = tuple(pair for pair in self.parameters if pair[0] != "method")
        return replace(self, headers="", parameters=parameters)

    def equivalent(self, other: SipUri) -> bool:
        """Compares as RFC 3261 19.1.4 says."""
        if self.scheme != other.scheme or not same_host(self.host, other.host) or self.port != other.port:
            return False
        if _same(self.user) != _same(other.user) or _same(self.password) != _same(other.password):
            return False
        mine = {name: (_same(value) or "").lower() for name, value in self.parameters}
        theirs = {name: (_same(value) or "").lower() for name, value in other.parameters}
        for name in ("user", "ttl", "method", "maddr", "transport"):
            if mine.get(name) != theirs.get(name):
                return False
        if any(mine[name] != theirs[name] for name in mine.keys() & theirs.keys()):
            return False
        return sorted(self.headers.lower().split("&")) == sorted(other.headers.lower().split("&"))

    def __str__(self) -> str:
        user = "" if self.user is None else self.user
        if self.password is not None:
            user += f":{self.password}"
        text = f"{self.scheme}:{user}{'@' if self.user is not None else ''}{self.host}"
        if self.port is not None:
            text += f":{self.port}"
        text += "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.parameters)
        return text + (f"?{self.headers}" if self.headers else "")

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """Parses a sip: or sips: URI; raises SipParseError for anything else."""
        uri = parse_uri(text)
        if not isinstance(uri, SipUri):
            raise SipParseError(f"{uri.scheme} is not sip or sips", status=416)
        return uri


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of another scheme (tel, http, …), kept as text."""

    scheme: str
    text: str

    def __str__(self) -> str:
        return self.text


Uri = SipUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Parses a URI of any scheme; raises SipParseError when it is none, or longer than 4,096 characters."""
    try:
        plain = _PLAIN.fullmatch(text)
    except TypeError:
        raise SipParseError(
            "no valid URI", hint=f"a {type(text).__name__}; it must be a str, as 'sip:alice@example.com'"
        ) from None
    if plain is not None and len(text) <= MAX_LENGTH:
        known, user, host, digits, tail = plain.groups()
        port = None if digits is None else parse_number(digits, 65535, "a SIP URI's port")
        return SipUri(known, host, user, None, port, _parse_uri_parameters(tail.split(";")[1:]) if tail else ())
    return _parse_any(text)


def _hint(text: str) -> str:
    """Shows what is no URI, but for what may be a password in it, and says what was likely meant."""
    before, at, after = text.rpartition("@")
    if at and ":" in before:
        text = f"{before.partition(':')[0]}:…@{after}"
    shown = text[:_SHOWN]
    cut = "…" if len(text) > _SHOWN else ""
    if text and not set(" :<>") & set(text):
        return f"{shown!r}{cut} has no scheme; a SIP URI begins with sip: or sips:, as in {f'sip:{shown}'!r}"
    return f"{shown!r}{cut}; a SIP URI begins with sip: or sips:, as in 'sip:alice@example.com'"


def _parse_any(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme) or not rest or len(text) > MAX_LENGTH:
        raise SipParseError("no valid URI", hint=_hint(text))
    scheme = scheme.lower()
    if scheme not in ("sip", "sips"):
        if not _OTHER.fullmatch(rest):
            raise SipParseError("a URI holds characters that it may not")
        return OtherUri(scheme, text)
    return _parse_sip(scheme, rest)


def _parse_sip(scheme: str, rest: str) -> SipUri:
    # The user part may hold ; and ? itself: it ends at the only @.
    userinfo, at, hostpart = rest.rpartition("@")
    user = password = None
    if at:
        user, colon, secret = userinfo.partition(":")
        password = secret if colon else None
        if not _USER.fullmatch(user) or (password is not None and not _PASSWORD.fullmatch(password)):
            raise SipParseError("the user part of a SIP URI holds characters that it may not")
    hostpart, question, headers = hostpart.partition("?")
    if not _HEADERS.fullmatch(headers) or (question and not headers):
        raise SipParseError("the headers of a SIP URI are malformed")
    hostport, *texts = hostpart.split(";")
    if hostport != hostport.strip():
        raise SipParseError("white space in a SIP URI")
    host, port = split_host_port(hostport, "a SIP URI")
    return SipUri(scheme, host, user, password, port, _parse_uri_parameters(texts), headers)


def _parse_uri_parameters(texts: list[str]) -> Parameters:
    parameters: list[tuple[str, str | None]] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not _PARAMETER.fullmatch(name) or (equals and not _PARAMETER.fullmatch(value)):
            raise SipParseError("a parameter of a SIP URI is malformed")
        pair = (name.lower(), value if equals else None)
        # Said twice alike is what baresip does with transport; it means no more than once.
        if pair not in parameters:
            parameters.append(pair)
    if len({name for name, _ in parameters}) < len(parameters):
        raise SipParseError("a parameter of a SIP URI stands twice")
    return tuple(parameters)


def _same(text: str | None) -> str | None:
    """Escapes in one spelling: unreserved characters bare, all others as %HH, byte by byte."""
    return None if text is None else _ESCAPE.sub(_plainest, text)


def _plainest(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
