"""Header fields in order, looked up by name without regard to case or compact form (RFC 3261 7.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from ..errors import SipParseError
from .grammar import has_control, is_token

try:
    from .header_rows import all_values, first_value, has_any
except ImportError:
    # Without the compiled extension.
    def first_value(rows: list[tuple[str, str, str]], key: str) -> str | None:
        return next((row[2] for row in rows if row[0] == key), None)

    def all_values(rows: list[tuple[str, str, str]], key: str) -> list[str]:
        return [row[2] for row in rows if row[0] == key]

    def has_any(rows: list[tuple[str, str, str]], keys: frozenset[str]) -> bool:
        return any(row[0] in keys for row in rows)


COMPACT_FORMS = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}


# The spellings that are looked up all the time, to their keys.
_OFTEN = (
    "Via From To Call-ID CSeq Max-Forwards Contact Route Record-Route Path Expires Content-Type Content-Length "
    "Require Supported Date Authorization Proxy-Authorization Max-Breadth Proxy-Require"
)
_KEYS = {name: name.lower() for name in _OFTEN.split()}
# (key, name, value): the key is the full name in lower case.
Row = tuple[str, str, str]
_Typed = TypeVar("_Typed")


def _key(name: str) -> str:
    known = _KEYS.get(name)
    if known is not None:
        return known
    lower = name.lower()
    return COMPACT_FORMS[lower].lower() if lower in COMPACT_FORMS else lower


class Headers:
    """An ordered list of (name, value) rows.

    Adding or setting checks that the name is a token and that the value holds no CR, LF or NUL, and raises
    SipParseError otherwise: what is not one line cannot become two. `size` is how many bytes of ASCII it came in,
    where a parser has counted that, else 0.
    """

    __slots__ = ("_rows", "_typed", "size")

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        self._rows: list[Row] = []
        self._typed: dict[str, Any] = {}
        self.size = 0
        for name, value in rows:
            self.add(name, value)

    @classmethod
    def of_checked(cls, rows: list[Row], typed: dict[str, Any], size: int = 0) -> Headers:
        """Takes over rows that were checked already, and what is known: values of typed() by key, `size`."""
        headers = cls.__new__(cls)
        headers._rows = rows
        headers._typed = typed
        headers.size = size
        return headers

    def typed(self, name: str, parse: Callable[[list[str]], _Typed]) -> _Typed:
        """Returns what `parse` makes of the values of all rows of this name, parsed once until a row of it changes.

        One header field is to be read by one `parse` only, and what that returns must be immutable.
        """
        key = _KEYS.get(name) or _key(name)
        found: _Typed
        if key in self._typed:
            found = self._typed[key]
        else:
            found = self._typed[key] = parse(all_values(self._rows, key))
        return found

    def add(self, name: str, value: str) -> None:
        """Appends a row."""
        row = self._checked(name, value)
        self._rows.append(row)
        self._typed.pop(row[0], None)

    def prepend(self, name: str, value: str) -> None:
        """Puts a row before all others, as a new Via must stand."""
        row = self._checked(name, value)
        self._rows.insert(0, row)
        self._typed.pop(row[0], None)

    def set(self, name: str, value: str) -> None:
        """Replaces the first row of this name and drops the others, or appends one."""
        row = self._checked(name, value)
        self._typed.pop(row[0], None)
        first = next((i for i, existing in enumerate(self._rows) if existing[0] == row[0]), None)
        if first is None:
            self._rows.append(row)
        else:
            self._rows[first] = row
            self._rows[first + 1 :] = [other for other in self._rows[first + 1 :] if other[0] != row[0]]

    def remove(self, name: str) -> None:
        """Drops all rows of this name."""
        key = _key(name)
        self._typed.pop(key, None)
        self._rows = [row for row in self._rows if row[0] != key]

    def remove_first(self, name: str) -> None:
        """Drops the first row of this name."""
        key = _key(name)
        self._typed.pop(key, None)
        for i, row in enumerate(self._rows):
            if row[0] == key:
                del self._rows[i]
                return

    def get(self, name: str) -> str | None:
        """Returns the value of the first row of this name, or None."""
        return first_value(self._rows, _KEYS.get(name) or _key(name))

    def has_any(self, keys: frozenset[str]) -> bool:
        """Whether there is a row of one of these names, given in lower case."""
        return has_any(self._rows, keys)

    def get_all(self, name: str) -> list[str]:
        """Returns the values of all rows of this name, in order."""
        return all_values(self._rows, _KEYS.get(name) or _key(name))

    def count(self, name: str) -> int:
        """Returns how many rows have this name."""
        key = _key(name)
        return sum(existing == key for existing, _, _ in self._rows)

    def items(self) -> Iterator[tuple[str, str]]:
        """Yields (name, value) of every row, names as they were given."""
        return ((name, value) for _, name, value in self._rows)

    @property
    def rows(self) -> list[Row]:
        """The rows themselves, to be read only."""
        return self._rows

    def replace_rows(self, rows: list[Row], changed: str) -> None:
        """Takes over rows that were checked already, and differ from those before by the key `changed` only."""
        self._rows = rows
        self._typed.pop(changed, None)

    def copy(self) -> Headers:
        """Returns an independent copy."""
        other = Headers()
        other._rows = list(self._rows)
        other._typed = dict(self._typed)
        other.size = self.size
        return other

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and first_value(self._rows, _KEYS.get(name) or _key(name)) is not None

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(key, value) for key, _, value in self._rows] == [(key, value) for key, _, value in other._rows]

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        hidden = ("authorization", "proxy-authorization")
        rows = [(name, "<hidden>" if key in hidden else value) for key, name, value in self._rows]
        return f"Headers({rows!r})"

    @staticmethod
    def _checked(name: str, value: str) -> tuple[str, str, str]:
        if not is_token(name):
            raise SipParseError(f"{name[:40]!r} is no header name")
        value = value.strip(" \t")
        if has_control(value):
            raise SipParseError("the value holds control characters", header=name)
        return _key(name), name, value
