"""What can go wrong with SDP and with what is negotiated in it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


class SdpError(Exception):
    """Base of every error of this package."""


class SdpParseError(SdpError, ValueError):
    """A text is no session description; `line` is the number of the offending line, from 1."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


class CryptoAttributeError(SdpError, ValueError):
    """An `a=crypto` value is invalid or cannot be honoured; `code` names the reason in one word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def named(word: str, known: Container[str], kind: str = "a word") -> str:
    """What an error may call a word of the peer's: itself where it is a known one, else by its length alone.

    In a damaged or hostile description any word may be a key out of its place, and errors go into Warning headers.
    """
    return word if word in known else f"({kind} of {len(word)} characters)"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one offered line was not taken: what it was (never its key), a one-word code, and the reason in text."""

    subject: str
    code: str
    text: str


class NegotiationError(SdpError):
    """An offer or answer cannot be accepted; `status` is the SIP status to refuse it with (488)."""

    def __init__(self, message: str, *, refusals: tuple[Refusal, ...] = (), status: int = 488) -> None:
        details = "; ".join(f"{refusal.subject}: {refusal.text}" for refusal in refusals[:8])
        super().__init__(f"{message} ({details})" if details else message)
        self.reason = message
        self.refusals = refusals
        self.status = status


class KeyManagementError(NegotiationError):
    """Key management failed (RFC 4567 4.1.2): refused with 488 and a Warning of code 306; in RTSP with 463.

    `response` is the message to send back inside, where there is one.
    """

    warning_code = 306
    warning_text = "Attribute not understood"

    def __init__(self, message: str, *, refusals: tuple[Refusal, ...] = (), status: int = 488) -> None:
        super().__init__(message, refusals=refusals, status=status)
        self.response: bytes | None = None

    def warning(self, agent: str) -> str:
        """Returns the value of the Warning header; `agent` is our host name or pseudonym."""
        return f'{self.warning_code} {agent} "{self.warning_text}"'


class MikeyError(SdpError):
    """Base of every error of MIKEY (RFC 3830)."""


class MikeyParseError(MikeyError, ValueError):
    """Bytes are no MIKEY message, or values make none; `payload` and `field` say where, `offset` is in bytes."""

    def __init__(self, payload: str, field: str, message: str, *, offset: int | None = None) -> None:
        place = f"{payload}, {field}"
        super().__init__(f"{place}: {message}" if offset is None else f"{place} (at byte {offset}): {message}")
        self.payload = payload
        self.field = field
        self.offset = offset


class MikeyRefusedError(MikeyError):
    """A MIKEY message is not accepted, or what it asks for is not; `error_no` is the number of RFC 3830 6.12.

    `response` is the error message to answer with, where there is one.
    """

    def __init__(self, error_no: int, message: str) -> None:
        super().__init__(message)
        self.error_no = error_no
        self.response: bytes | None = None


class MikeyIndistinguishableKeysError(MikeyRefusedError):
    """Several keys came for the same streams, and no packet could tell which of them it is under (RFC 3711 8.1).

    `keys` are the places, from 0, of two that cannot be told apart.
    """

    def __init__(self, error_no: int, message: str, keys: tuple[int, int]) -> None:
        super().__init__(error_no, message)
        self.keys = keys


class MikeyPeerError(MikeyError):
    """The peer answered with an error message; `error_numbers` are its numbers, `policies` the SP payloads it accepts.

    Unless `authenticated`, anybody may have sent it: then it is a hint, and the exchange still waits.
    """

    def __init__(self, error_numbers: tuple[int, ...], policies: tuple[object, ...], *, authenticated: bool) -> None:
        numbers = ", ".join(map(str, error_numbers))
        super().__init__(f"the peer answered with error {numbers}{'' if authenticated else ', unauthenticated'}")
        self.error_numbers = error_numbers
        self.policies = policies
        self.authenticated = authenticated


class MissingExtraError(SdpError, ImportError):
    """What was asked for needs a package that is not installed; `extra` is the one of securertc that brings it."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} needs more packages: pip install 'securertc[{extra}]'")
        self.extra = extra


class DtlsAttributeError(SdpError, ValueError):
    """What SDP says of a DTLS association cannot be taken; `code` names the reason in one word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class FingerprintError(DtlsAttributeError):
    """A certificate's fingerprint is malformed, missing or not that of the certificate."""


class DtlsError(SdpError):
    """A DTLS association cannot be made, or is not in the state for what was asked."""


class StunError(SdpError, ValueError):
    """Bytes are no STUN message; `field` names what of it is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
