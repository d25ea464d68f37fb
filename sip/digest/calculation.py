"""The computations of Digest authentication (RFC 7616, RFC 8760; RFC 2617 where a peer sends no qop)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from cryptography.hazmat.primitives import hashes

# In the order of strength; the names as they stand in challenges.
ALGORITHMS = ("SHA-512-256", "SHA-256", "MD5")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    # SHA-512/256 of FIPS 180-4, which has initial values of its own; not a SHA-512 cut short.
    digest = hashes.Hash(hashes.SHA512_256())
    digest.update(data)
    return digest.finalize().hex()


_HASHES: dict[str, Callable[[bytes], str]] = {"MD5": _md5, "SHA-256": _sha256, "SHA-512-256": _sha512_256}


def canonical_algorithm(name: str | None) -> str | None:
    """Returns the algorithm's name as ALGORITHMS has it (None, as a challenge without one, is MD5), or None
    when it is not supported; `-sess` variants are not."""
    wanted = "MD5" if name is None else name.upper()
    return wanted if wanted in _HASHES and (name is None or name.isascii()) else None


def checked_algorithms(names: Iterable[str]) -> tuple[str, ...]:
    """Returns algorithms as ALGORITHMS has them; raises ValueError, which lists those, for a name that none has,
    and for no name."""
    given = (names,) if isinstance(names, str) else tuple(names)
    if not given:
        raise ValueError(f"there is no Digest algorithm in the list, it must have some of {', '.join(ALGORITHMS)}")
    found = [canonical_algorithm(name) if isinstance(name, str) else None for name in given]
    for name, canonical in zip(given, found, strict=True):
        if canonical is None:
            words = ", ".join(ALGORITHMS)
            raise ValueError(f"there is no Digest algorithm {str(name)[:40]!r}, it must be one of {words}")
    return tuple(name for name in found if name is not None)


def digest_length(algorithm: str) -> int:
    """Returns how many hex digits a digest of this algorithm has."""
    return 32 if algorithm == "MD5" else 64


def hash_hex(algorithm: str, data: bytes) -> str:
    """Returns H(data) in lower-case hex."""
    return _HASHES[algorithm](data)


def ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """Returns H(username:realm:password), which a server may keep in place of the password."""
    return hash_hex(algorithm, f"{username}:{realm}:{password}".encode())


def userhash(algorithm: str, username: str, realm: str) -> str:
    """Returns H(username:realm), the name that RFC 7616 3.4.4 sends in place of the username."""
    return hash_hex(algorithm, f"{username}:{realm}".encode())


def response(
    algorithm: str,
    secret: str,
    *,
    nonce: str,
    method: str,
    uri: str,
    qop: str | None = None,
    nonce_count: str = "",
    cnonce: str = "",
    body: bytes = b"",
) -> str:
    """Returns the request-digest (RFC 7616 3.4.1) for HA1 `secret`.

    `qop` is auth, auth-int (which covers `body`), or None for RFC 2069's form; `nonce_count` is 8 hex digits.
    For a response's rspauth the method is empty (3.5).
    """
    a2 = f"{method}:{uri}".encode()
    if qop == "auth-int":
        a2 += b":" + hash_hex(algorithm, body).encode()
    ha2 = hash_hex(algorithm, a2)
    middle = nonce if qop is None else f"{nonce}:{nonce_count}:{cnonce}:{qop}"
    return hash_hex(algorithm, f"{secret}:{middle}:{ha2}".encode())
