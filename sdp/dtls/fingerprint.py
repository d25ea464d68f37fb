"""Fingerprints of certificates in SDP (a=fingerprint, RFC 8122 5)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..description.session_description import MediaDescription, SessionDescription
from ..errors import FingerprintError, named

# RFC 8122 5 and its registry; MD2 and MD5 must not be used, and are in none of these.
KNOWN_HASH_FUNCTIONS = ("sha-512", "sha-384", "sha-256", "sha-224", "sha-1")
# SHA-1 is compared where it stands beside a better one, but is not enough alone.
SUFFICIENT_HASH_FUNCTIONS = frozenset(KNOWN_HASH_FUNCTIONS) - {"sha-1"}
MAX_FINGERPRINTS = 32

_TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^_`a-z{|}~]{1,32}")
_HEX = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){0,127}")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of a certificate's DER form; `hash_function` is its name in lower case, as "sha-256"."""

    hash_function: str
    digest: bytes

    @classmethod
    def parse(cls, value: str) -> Fingerprint:
        """Returns the fingerprint in an a=fingerprint value; upper and lower case are the same.

        Raises FingerprintError when it is malformed, or its length is not that of a known hash function.
        """
        name, _, digits = value.strip().partition(" ")
        digits = digits.strip().upper()
        if not _TOKEN.fullmatch(name) or not _HEX.fullmatch(digits):
            raise FingerprintError("malformed", "no hash function with a sequence of hexadecimal bytes")
        name, digest = name.lower(), bytes.fromhex(digits.replace(":", ""))
        if name in KNOWN_HASH_FUNCTIONS and len(digest) != _new(name).digest_size:
            raise FingerprintError("malformed", f"{len(digest)} bytes are not the length of {name}")
        return cls(name, digest)

    @classmethod
    def of(cls, certificate: bytes, hash_function: str = "sha-256") -> Fingerprint:
        """Returns the fingerprint of a certificate in DER; raises FingerprintError for an unknown hash function."""
        if hash_function not in KNOWN_HASH_FUNCTIONS:
            raise FingerprintError("hash", f"the hash function {hash_function[:32]!r} is not supported")
        return cls(hash_function, _new(hash_function, certificate).digest())

    @property
    def known(self) -> bool:
        """Whether certificates can be compared with it."""
        return self.hash_function in KNOWN_HASH_FUNCTIONS

    def serialize(self) -> str:
        """Returns the attribute's value, in upper case as RFC 8122 5 asks for."""
        return f"{self.hash_function} {self.digest.hex(':').upper()}"


def hash_name(word: str) -> str:
    """Returns what an error may call a hash function that a peer named."""
    return named(word, (*KNOWN_HASH_FUNCTIONS, "md5", "md2"), "a hash function")


def fingerprint_values(description: SessionDescription, section: MediaDescription) -> tuple[str, ...]:
    """Returns the a=fingerprint values of a section: its own, or the session's when it has none (RFC 8122 5)."""
    return tuple(section.attributes("fingerprint") or description.attributes("fingerprint"))


def read_fingerprints(values: Sequence[str]) -> tuple[Fingerprint, ...]:
    """Returns the fingerprints that a peer signalled, if a certificate can be verified by them.

    Raises FingerprintError: "missing" when there are none, "count" when there are more than 32, "malformed" when
    any is malformed, and "hash" when none is of a hash function that is good enough.
    """
    if not values:
        raise FingerprintError("missing", "there is no fingerprint to verify a certificate by")
    if len(values) > MAX_FINGERPRINTS:
        raise FingerprintError("count", f"there are {len(values)} fingerprints, more than {MAX_FINGERPRINTS}")
    fingerprints = tuple(dict.fromkeys(Fingerprint.parse(value) for value in values))
    if not any(one.hash_function in SUFFICIENT_HASH_FUNCTIONS for one in fingerprints):
        names = ", ".join(sorted({hash_name(one.hash_function) for one in fingerprints}))
        raise FingerprintError("hash", f"no fingerprint is of a hash function that is enough, only of {names}")
    return fingerprints


def check_certificate(certificate: bytes, fingerprints: Iterable[Fingerprint]) -> None:
    """Compares a certificate in DER with the fingerprints that its owner signalled.

    For every known hash function among them the certificate must have one of its values: there may be more than
    one certificate (RFC 8122 5.1), and a peer must not get along with its weakest hash. Raises FingerprintError,
    "mismatch" or "hash", when the certificate is not proven to be the one.
    """
    values: dict[str, list[bytes]] = {}
    for fingerprint in fingerprints:
        if fingerprint.known:
            values.setdefault(fingerprint.hash_function, []).append(fingerprint.digest)
    if not SUFFICIENT_HASH_FUNCTIONS & values.keys():
        raise FingerprintError("hash", "no fingerprint is of a hash function that is enough")
    for name, digests in values.items():
        actual = _new(name, certificate).digest()
        if not any(hmac.compare_digest(actual, digest) for digest in digests):
            raise FingerprintError("mismatch", f"the certificate has not the {name} fingerprint that was signalled")


def check_not_reflected(theirs: Iterable[Fingerprint], certificate: bytes) -> None:
    """Raises FingerprintError ("reflected") when a fingerprint of the peer's is that of our own certificate."""
    for fingerprint in theirs:
        if fingerprint.known and fingerprint == Fingerprint.of(certificate, fingerprint.hash_function):
            raise FingerprintError("reflected", "the peer's fingerprint is our own")


def _new(hash_function: str, data: bytes = b"") -> hashlib._Hash:
    return hashlib.new(hash_function.replace("-", ""), data, usedforsecurity=hash_function != "sha-1")
