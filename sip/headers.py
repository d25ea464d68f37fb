"""Header fields in order, looked up by name without regard to case or compact form (RFC 3261 7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .errors import SipParseError
from .grammar import has_control, is_token

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


def _key(name: str) -> str:
    lower = name.lower()
    return COMPACT_FORMS[lower].lower() if lower in COMPACT_FORMS else lower


class Headers:
    """An ordered list of (name, value) rows.

    Adding or setting checks that the name is a token and that the value holds no CR, LF or NUL, and raises
    SipParseError otherwise: what is not one line cannot become two.
    """

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        self._rows: list[tuple[str, str, str]] = []
        for name, value in rows:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        """Appends a row."""
        self._rows.append(self._checked(name, value))

    def prepend(self, name: str, value: str) -> None:
        """Puts a row before all others, as a new Via must stand."""
        self._rows.insert(0, self._checked(name, value))

    def set(self, name: str, value: str) -> None:
        """Replaces the first row of this name and drops the others, or appends one."""
        row = self._checked(name, value)
        first = next((i for i, existing in enumerate(self._rows) if existing[0] == row[0]), None)
        if first is None:
            self._rows.append(row)
        else:
            self._rows[first] = row
            self._rows[first + 1 :] = [other for other in self._rows[first + 1 :] if other[0] != row[0]]

    def remove(self, name: str) -> None:
        """Drops all rows of this name."""
        key = _key(name)
        self._rows = [row for row in self._rows if row[0] != key]

    def remove_first(self, name: str) -> None:
        """Drops the first row of this name."""
        key = _key(name)
        for i, row in enumerate(self._rows):
            if row[0] == key:
                del self._rows[i]
                return

    def get(self, name: str) -> str | None:
        """Returns the value of the first row of this name, or None."""
        key = _key(name)
        return next((value for existing, _, value in self._rows if existing == key), None)

    def get_all(self, name: str) -> list[str]:
        """Returns the values of all rows of this name, in order."""
        key = _key(name)
        return [value for existing, _, value in self._rows if existing == key]

    def count(self, name: str) -> int:
        """Returns how many rows have this name."""
        key = _key(name)
        return sum(existing == key for existing, _, _ in self._rows)

    def items(self) -> Iterator[tuple[str, str]]:
        """Yields (name, value) of every row, names as they were given."""
        return ((name, value) for _, name, value in self._rows)

    def copy(self) -> Headers:
        """Returns an independent copy."""
        other = Headers()
        other._rows = list(self._rows)
        return other

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

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
