"""The Diffie-Hellman groups OAKLEY 1, 2 and 5 (RFC 3830 4.2.7; RFC 2409 6.1, 6.2, RFC 3526 2)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from srtp import SecretBytes
from srtp.field_checks import check_fields

from ..errors import MikeyRefusedError
from .code_points import DH_VALUE_LENGTHS, DhGroup, ErrorNumber

_HEAD = (
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74"
    "020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437"
    "4fe1356d6d51c245e485b576625e7ec6f44c42e9a6"
)
# The primes differ in how many digits of pi stand between the two rows of ones.
_PRIMES = {
    DhGroup.OAKLEY_1: int(_HEAD + "3a3620ffffffffffffffff", 16),
    DhGroup.OAKLEY_2: int(
        _HEAD + "37ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff", 16
    ),
    DhGroup.OAKLEY_5: int(
        _HEAD + "37ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c"
        "55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca237327"
        "ffffffffffffffff",
        16,
    ),
}
_GENERATOR = 2


# RFC 3526 8 asks for at most 240 bits in the largest of these groups; all of them have a prime order (p - 1) / 2.
_EXPONENT_BITS = 320


@dataclass(frozen=True, slots=True)
class DhKey:
    """A secret exponent in a group, for one exchange; `value` is its public value, of the group's length.

    `cryptography` is about to give up Diffie-Hellman over finite fields, so it is computed here. An exponent is
    used for one exchange and what is derived from g^xy has a fixed length, which leaves a timing nothing to add up.
    """

    group: DhGroup
    exponent: SecretBytes

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def generate(cls, group: DhGroup, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> DhKey:
        """Makes a key with a random exponent of 320 bits."""
        exponent = int.from_bytes(random_bytes(_EXPONENT_BITS // 8)) | 1 << (_EXPONENT_BITS - 1)
        return cls(group, SecretBytes(exponent.to_bytes(_EXPONENT_BITS // 8)))

    @property
    def value(self) -> bytes:
        """The public value g^x, padded to the group's length."""
        return self._power(_GENERATOR)

    def tgk(self, value: bytes) -> SecretBytes:
        """Returns the TGK g^xy from the peer's value, padded to the group's length.

        Raises MikeyRefusedError when the value is not from 2 to p - 2: 0, 1 and p - 1 would give a TGK that
        anybody knows.
        """
        y = int.from_bytes(value)
        if len(value) != DH_VALUE_LENGTHS[self.group] or not 2 <= y <= _PRIMES[self.group] - 2:
            raise MikeyRefusedError(ErrorNumber.INVALID_DH, "the Diffie-Hellman value is out of range")
        return SecretBytes(self._power(y))

    def _power(self, base: int) -> bytes:
        power = pow(base, int.from_bytes(self.exponent), _PRIMES[self.group])
        return power.to_bytes(DH_VALUE_LENGTHS[self.group])
