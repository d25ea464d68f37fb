"""Digest (RFC 3261 22, 8760): answers to challenges, and challenges with limits on guessing."""

from .calculation import ALGORITHMS, checked_algorithms
from .client import DEFAULT_ALGORITHMS, DigestClient
from .credentials import Credentials
from .guess_limit import GuessLimit, GuessRate
from .server import Authentication, DigestServer, Verdict
from .stored_secrets import DigestSecrets

__all__ = [
    "ALGORITHMS",
    "DEFAULT_ALGORITHMS",
    "Authentication",
    "Credentials",
    "DigestClient",
    "DigestSecrets",
    "DigestServer",
    "GuessLimit",
    "GuessRate",
    "Verdict",
    "checked_algorithms",
]
