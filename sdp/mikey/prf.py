"""The pseudo-random functions and what is derived with them (RFC 3830 4.1, RFC 6043 6.1)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass

from srtp import SecretBytes
from srtp.field_checks import check_fields

from ..errors import MikeyRefusedError
from .code_points import ErrorNumber, PrfFunction

_BLOCK = 32
_DIGESTS = {PrfFunction.MIKEY_1: hashlib.sha1, PrfFunction.HMAC_SHA_256: hashlib.sha256}

# Constants of RFC 3830 4.1.3, for keys from a TGK.
TEK = 0x2AD01C64
AUTHENTICATION_KEY = 0x1B5C7973
ENCRYPTION_KEY = 0x15798CEF
SALTING_KEY = 0x39A2C14B
# Constants of RFC 3830 4.1.4, for keys from an envelope key or a pre-shared key.
MESSAGE_ENCRYPTION_KEY = 0x150533E1
MESSAGE_AUTHENTICATION_KEY = 0x2D22AC75
MESSAGE_SALT_KEY = 0x29B88916
_NO_CRYPTO_SESSION = 0xFF


def prf(function: PrfFunction, inkey: bytes, label: bytes, length: int) -> bytes:
    """Returns `length` bytes of PRF(inkey, label) (4.1.2).

    The key is split in blocks of 256 bits, of which only the last may be shorter and none is empty: with a key
    of a whole number of blocks an empty block would add what anybody can compute. Raises MikeyRefusedError for
    an empty key, and for one with two equal blocks: their parts would cancel each other out, and what is left
    may be nothing.
    """
    blocks = [inkey[start : start + _BLOCK] for start in range(0, len(inkey), _BLOCK)]
    if not blocks or len(set(blocks)) < len(blocks):
        raise MikeyRefusedError(ErrorNumber.UNSPECIFIED, "the key is empty, or two 32-byte blocks of it are equal")
    result = 0
    for block in blocks:
        part = b"".join(_p(function, block, label, length))
        result ^= int.from_bytes(part[:length])
    return result.to_bytes(length)


def _p(function: PrfFunction, key: bytes, label: bytes, length: int) -> Iterator[bytes]:
    """The parts of P(s, label, m), for as many m as give `length` bytes."""
    digest = _DIGESTS[function]
    a = label
    done = 0
    while done < length:
        a = hmac.digest(key, a, digest)
        part = hmac.digest(key, a + label, digest)
        done += len(part)
        yield part


@dataclass(frozen=True, slots=True)
class KeyDerivation:
    """What all derivations of a crypto session bundle have in common: the PRF, the CSB ID and the RAND."""

    function: PrfFunction
    csb_id: int
    rand: bytes

    def __post_init__(self) -> None:
        check_fields(self)

    def from_tgk(self, tgk: SecretBytes, constant: int, cs_id: int, length: int) -> SecretBytes:
        """Returns a key of a crypto session, `length` bytes (4.1.3)."""
        return SecretBytes(prf(self.function, bytes(tgk), self._label(constant, cs_id), length))

    def from_message_key(self, key: SecretBytes, constant: int, length: int) -> SecretBytes:
        """Returns a key for MIKEY's own messages, from a pre-shared or an envelope key (4.1.4)."""
        return SecretBytes(prf(self.function, bytes(key), self._label(constant, _NO_CRYPTO_SESSION), length))

    def _label(self, constant: int, cs_id: int) -> bytes:
        return constant.to_bytes(4) + bytes((cs_id,)) + self.csb_id.to_bytes(4) + self.rand
