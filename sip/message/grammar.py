"""The small words of RFC 3261's grammar (25.1): tokens, quoted strings, parameters, lists."""

from __future__ import annotations

import re

from ..errors import SipParseError

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9\-._]*[A-Za-z0-9.])?")
# Behind a backslash a quoted string may hold any but CR and LF (quoted-pair).
_CONTROL = re.compile(r"[\r\n]|(?<!\\)[\x00-\x08\x0b-\x1f\x7f]")
# Possessive: nothing is tried twice, however long the text is.
_QUOTED_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)

# Parameters without white space and quotes, as nearly all are.
PLAIN_PARAMETERS = r"(?:;[A-Za-z0-9\-.!%*_+`'~]+(?:=[A-Za-z0-9\-.!%*_+`'~:/\[\]]+)?)*"
_PLAIN_PARAMETERS = re.compile(PLAIN_PARAMETERS)
# What stands for a value without quotes: a token or a host; `/` does no harm.
_VALUE = re.compile(r"[A-Za-z0-9\-.!%*_+`'~:/\[\]]+")

Parameters = tuple[tuple[str, str | None], ...]


def is_token(text: str) -> bool:
    """Whether a text is a token (RFC 3261 25.1)."""
    return _TOKEN.fullmatch(text) is not None


def is_host(text: str) -> bool:
    """Whether a text can be a host: a name, an IPv4 address, or an IPv6 address in brackets."""
    return len(text) <= 255 and _HOST.fullmatch(text) is not None


def has_control(text: str) -> bool:
    """Whether a header value holds what would break its line or hide in it: CR, LF, NUL and their like."""
    # What is printable holds none, and is told faster.
    return not text.isprintable() and _CONTROL.search(text) is not None


def parse_number(text: str, maximum: int, what: str) -> int:
    """Returns an unsigned decimal of at most `maximum`; raises SipParseError otherwise."""
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > maximum:
        raise SipParseError(f"{what} {text[:24]!r} is no number from 0 to {maximum}")
    return int(text)


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """Splits at `separator` (one character) where it stands outside quoted strings and angle brackets.

    Raises SipParseError when a quote or a bracket is not closed. Linear in the length of `text`.
    """
    if '"' not in text:
        return _split_outside_brackets(text, separator)
    parts = []
    start = position = 0
    length = len(text)
    in_brackets = False
    while position < length:
        character = text[position]
        if character == '"' and not in_brackets:
            position = end_of_quoted(text, position)
            continue
        if character == "<":
            in_brackets = True
        elif character == ">":
            in_brackets = False
        elif character == separator and not in_brackets:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    if in_brackets:
        raise SipParseError("an angle bracket is not closed")
    parts.append(text[start:])
    return parts


def _split_outside_brackets(text: str, separator: str) -> list[str]:
    pieces = text.split(separator)
    if len(pieces) == 1 and "<" not in text:
        return pieces
    parts: list[str] = []
    opened: list[str] = []  # the pieces of a part that has brackets open
    for piece in pieces:
        left, right = piece.rfind("<"), piece.rfind(">")
        if left > right or (opened and left == right):
            opened.append(piece)
        elif opened:
            parts.append(separator.join((*opened, piece)))
            opened = []
        else:
            parts.append(piece)
    if opened:
        raise SipParseError("an angle bracket is not closed")
    return parts


def end_of_quoted(text: str, start: int) -> int:
    """Returns the position behind the quoted string that opens at `start`; raises SipParseError if it has no end."""
    found = _QUOTED_STRING.match(text, start)
    if found is None:
        raise SipParseError("a quoted string is not closed")
    return found.end()


def unquote(text: str) -> str:
    """Returns what a quoted string says; a text without quotes is returned as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL) if "\\" in text else text[1:-1]


def quote(text: str) -> str:
    """Returns `text` as a quoted string; raises SipParseError when it holds control characters."""
    if has_control(text):
        raise SipParseError("a quoted string cannot hold control characters")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_parameters(text: str) -> Parameters:
    """Parses `;name=value;flag` (with or without white space) into pairs; a flag's value is None.

    Names are lower-cased, values stay as they are (quotes included). Raises SipParseError for an empty or
    malformed parameter: a value is a token, a host or a quoted string (25.1), so that nothing hides behind it that
    others may read as an address of its own. So it does for one that stands twice with two values (7.3.1), of which
    everybody might take another.
    """
    if _PLAIN_PARAMETERS.fullmatch(text):
        return split_plain_parameters(text)
    if not text.strip():
        return ()
    parts = split_outside_quotes(text, ";")
    if parts[0].strip():
        raise SipParseError("a parameter starts without ';'")
    found = []
    for part in parts[1:]:
        name, equals, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not is_token(name):
            raise SipParseError(f"{name[:24]!r} is no parameter name")
        if equals and not value:
            raise SipParseError(f"the parameter {name} has no value")
        if equals and not _VALUE.fullmatch(value) and not _QUOTED_STRING.fullmatch(value):
            raise SipParseError(f"the value of the parameter {name} is neither a token, a host nor a quoted string")
        found.append((name.lower(), value if equals else None))
    _check_unambiguous(found)
    return tuple(found)


def split_plain_parameters(text: str) -> Parameters:
    """Returns the pairs in a text that matches PLAIN_PARAMETERS; raises SipParseError as parse_parameters()."""
    if not text:
        return ()
    found = []
    for part in text[1:].split(";"):
        name, equals, value = part.partition("=")
        found.append((name.lower(), value if equals else None))
    if len(found) > 1:
        _check_unambiguous(found)
    return tuple(found)


def _check_unambiguous(found: list[tuple[str, str | None]]) -> None:
    """Said twice alike is harmless; said twice otherwise is not."""
    names = len(dict(found))
    if names < len(found) and names < len(set(found)):
        raise SipParseError("a parameter stands twice")


def parameter(parameters: Parameters, name: str) -> str | None:
    """Returns the unquoted value of a parameter, "" for a flag, None when it is not there."""
    for key, value in parameters:
        if key == name:
            return "" if value is None else unquote(value)
    return None


def serialize_parameters(parameters: Parameters) -> str:
    """Returns parameters as they stand behind a value: `;name=value;flag`."""
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in parameters)


def split_host_port(text: str, what: str) -> tuple[str, int | None]:
    """Splits `host[:port]`; raises SipParseError when either is none. IPv6 references keep their brackets."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        host += bracket
    else:
        host, colon, rest = text.partition(":")
        rest = colon + rest
    host, rest = host.strip(), rest.strip()
    if not is_host(host):
        raise SipParseError(f"{what} has no valid host")
    if not rest:
        return host, None
    if not rest.startswith(":"):
        raise SipParseError(f"{what} has something behind its host")
    port = parse_number(rest[1:].strip(), 65535, f"{what}'s port")
    return host, port
