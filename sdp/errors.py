"""What can go wrong with SDP and with what is negotiated in it."""

from __future__ import annotations

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
