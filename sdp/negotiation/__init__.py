"""Offer and answer (RFC 3264) of whole sessions and of one audio stream."""

from .agreement import LocalMedia, MediaSecurity, NegotiatedMedia, SessionAgreement
from .audio import AudioNegotiation
from .bundle import BundlePolicy
from .session import SessionNegotiation

__all__ = [
    "AudioNegotiation",
    "BundlePolicy",
    "LocalMedia",
    "MediaSecurity",
    "NegotiatedMedia",
    "SessionAgreement",
    "SessionNegotiation",
]
