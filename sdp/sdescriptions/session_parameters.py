"""The session parameters of an `a=crypto` attribute (RFC 4568 6.3): their grammar and what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import CryptoAttributeError, named
from .inline_key import InlineKey, parse_key_params

# Negotiated: an answer has those of the line it takes, and no others.
UNENCRYPTED_SRTP = "UNENCRYPTED_SRTP"
UNENCRYPTED_SRTCP = "UNENCRYPTED_SRTCP"
UNAUTHENTICATED_SRTP = "UNAUTHENTICATED_SRTP"
FLAGS = frozenset((UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP, UNAUTHENTICATED_SRTP))
FEC_ORDERS = ("FEC_SRTP", "SRTP_FEC")
MIN_WINDOW_HINT = 64
_MAX_PARAMETERS = 32
_KDR = re.compile(r"0|[1-9][0-9]?")
_WINDOW_HINT = re.compile(r"[1-9][0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class SessionParameters:
    """The parameters of one line.

    `flags` are those of UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP and UNAUTHENTICATED_SRTP that are there.
    `key_derivation_rate` is in packets, 0 for one derivation only. `ignored` are unknown parameters that begin
    with `-` and so may be ignored (6.3.7).
    """

    flags: frozenset[str] = frozenset()
    key_derivation_rate: int = 0
    fec_order: str | None = None
    fec_key: tuple[InlineKey, ...] = ()
    window_hint: int | None = None
    ignored: tuple[str, ...] = field(default=(), repr=False)  # of any content

    @classmethod
    def parse(cls, texts: tuple[str, ...]) -> SessionParameters:
        """Parses the parameters as they stand in the line.

        Raises CryptoAttributeError of code "session-parameter" for a known one whose value is none, for one that
        stands twice, and for an unknown one without `-`, which makes the line invalid (6.3.7).
        """
        if len(texts) > _MAX_PARAMETERS:
            raise CryptoAttributeError("session-parameter", f"more than {_MAX_PARAMETERS} session parameters")
        found: dict[str, str] = {}
        ignored = []
        for number, text in enumerate(texts, start=1):
            name, equals, value = text.partition("=")
            if name.startswith("-"):
                ignored.append(text)
                continue
            if name in found:
                raise CryptoAttributeError("session-parameter", f"{name} stands twice")
            if (name in FLAGS) == bool(equals) or name not in FLAGS | _VALUED:
                what = f"session parameter {number}, {parameter_name(text)}, is unknown or its value does not fit"
                raise CryptoAttributeError("session-parameter", what)
            found[name] = value
        return cls(
            flags=FLAGS & found.keys(),
            key_derivation_rate=_rate(found.get("KDR")),
            fec_order=_fec_order(found.get("FEC_ORDER")),
            fec_key=parse_key_params(found["FEC_KEY"]) if "FEC_KEY" in found else (),
            window_hint=_window_hint(found.get("WSH")),
            ignored=tuple(ignored),
        )

    def serialize(self) -> tuple[str, ...]:
        """Returns the parameters as a line has them, one text each."""
        texts = sorted(self.flags)
        if self.key_derivation_rate:
            texts.append(f"KDR={self.key_derivation_rate.bit_length() - 1}")
        if self.fec_order is not None:
            texts.append(f"FEC_ORDER={self.fec_order}")
        if self.fec_key:
            texts.append("FEC_KEY=" + ";".join(key.serialize() for key in self.fec_key))
        if self.window_hint is not None:
            texts.append(f"WSH={self.window_hint}")
        return (*texts, *self.ignored)


_VALUED = frozenset(("KDR", "FEC_ORDER", "FEC_KEY", "WSH"))


def parameter_name(text: str) -> str:
    """Returns what to call a parameter of a line: its name, where it has a known one."""
    return named(text.partition("=")[0], FLAGS | _VALUED, "a parameter")


def _rate(value: str | None) -> int:
    # The grammar (9.2) also allows 0, which 6.3.1 does not: no derivation but the first, the default.
    if value is None or value == "0":
        return 0
    if not _KDR.fullmatch(value) or int(value) > 24:
        raise CryptoAttributeError("session-parameter", "KDR is not one from 1 to 24")
    return 1 << int(value)


def _fec_order(value: str | None) -> str | None:
    if value is not None and value not in FEC_ORDERS:
        raise CryptoAttributeError("session-parameter", "FEC_ORDER is neither FEC_SRTP nor SRTP_FEC")
    return value


def _window_hint(value: str | None) -> int | None:
    if value is None:
        return None
    if not _WINDOW_HINT.fullmatch(value) or int(value) < MIN_WINDOW_HINT:
        raise CryptoAttributeError("session-parameter", f"WSH is not a number from {MIN_WINDOW_HINT} on")
    return int(value)
