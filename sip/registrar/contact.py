"""One Contact of a REGISTER: what it asks for, checked (RFC 3261 10.3 step 7, RFC 5626 6, RFC 5627 5.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import SipParseError
from ..message.grammar import Parameters, parse_number
from ..message.header_values import NameAddr
from ..message.message import Request
from .gruu import canonical_instance
from .location import Binding

# What a malformed expires parameter means (20.10).
MALFORMED_EXPIRES = 3600
MAX_EXPIRES = (1 << 32) - 1
MAX_REG_ID = (1 << 31) - 1
MAX_INSTANCE = 255
_Q = re.compile(r"0(?:\.(\d{0,3}))?|1(?:\.0{0,3})?")
# Kept in fields of their own, or never taken from a user agent (pub-gruu, temp-gruu).
_OWN = frozenset(("expires", "q", "+sip.instance", "reg-id", "pub-gruu", "temp-gruu"))


@dataclass(frozen=True, slots=True)
class RegisterContact:
    """A contact with what it asks for: `expires` in seconds (None: not said), `q` in thousandths."""

    address: NameAddr
    expires: int | None
    q: int
    instance: str | None
    reg_id: int | None

    @classmethod
    def of(cls, address: NameAddr, request: Request, *, flows: bool) -> RegisterContact:
        """Reads a Contact of `request`; reg-id counts only with `flows` and beside an instance (RFC 5626 6).

        Raises SipParseError for a malformed q, instance or reg-id.
        """
        instance = _instance(address.parameter("+sip.instance"))
        reg_id = address.parameter("reg-id")
        number = None if reg_id is None else parse_number(reg_id, MAX_REG_ID, "reg-id")
        if number == 0:
            raise SipParseError("reg-id counts from 1", header="Contact")
        return cls(
            address,
            _expires(address.parameter("expires"), request.expires),
            _q(address.parameter("q")),
            instance,
            number if flows and instance is not None else None,
        )

    @property
    def parameters(self) -> Parameters:
        """The parameters to be kept as they are."""
        return tuple(pair for pair in self.address.parameters if pair[0] not in _OWN)

    def is_of(self, binding: Binding) -> bool:
        """Whether it speaks of `binding`: the same flow of the same instance, or else the same URI."""
        if self.reg_id is not None:
            return (binding.instance, binding.reg_id) == (self.instance, self.reg_id)
        return binding.reg_id is None and binding.names(self.address.uri)


def _expires(parameter: str | None, header: int | None) -> int | None:
    if parameter is None:
        return header
    try:
        return parse_number(parameter, MAX_EXPIRES, "expires")
    except SipParseError:
        return MALFORMED_EXPIRES


def _q(text: str | None) -> int:
    if text is None:
        return 1000
    match = _Q.fullmatch(text)
    if match is None:
        raise SipParseError(f"the q {text[:10]!r} is none", header="Contact")
    return 1000 if text.startswith("1") else int((match[1] or "").ljust(3, "0"))


def _instance(text: str | None) -> str | None:
    """The identifier within "<…>"."""
    if text is None:
        return None
    if not 2 < len(text) <= MAX_INSTANCE or text[0] != "<" or text[-1] != ">":
        raise SipParseError("+sip.instance is not an identifier in angle brackets", header="Contact")
    return canonical_instance(text[1:-1])
