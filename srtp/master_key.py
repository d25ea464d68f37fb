"""A master key: what session keys are derived from, when it is to be used, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import PolicyError
from .field_checks import check_fields
from .secret import SecretBytes

MAX_MKI_LENGTH = 128
MAX_INDEX = 2**48 - 1
MAX_SRTP_LIFETIME = 2**48
MAX_SRTCP_LIFETIME = 2**31


@dataclass(frozen=True, slots=True)
class MasterKey:
    """One master key of a policy (RFC 3711 3.2.1).

    `key` and `salt` take any bytes-like object and are kept as SecretBytes. `mki` (0 to 128 bytes) names the key in
    packets. `valid_from` and `valid_to` are the first and the last SRTP index that it is for (the <From, To> of
    8.1.1). `srtp_lifetime` (1 to 2^48) and `srtcp_lifetime` (1 to 2^31) are how many packets, of all SSRCs together,
    it may protect or authenticate (9.2); when the share `soft_limit` of one is reached, the session has an event.

    Raises PolicyError, naming the value, when one does not fit.
    """

    key: SecretBytes | bytes
    salt: SecretBytes | bytes
    mki: bytes = b""
    valid_from: int = 0
    valid_to: int = MAX_INDEX
    srtp_lifetime: int = MAX_SRTP_LIFETIME
    srtcp_lifetime: int = MAX_SRTCP_LIFETIME
    soft_limit: float = 0.9

    def __post_init__(self) -> None:
        for name in ("key", "salt", "mki"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is a str, it must be bytes, as of bytes.fromhex() or base64.b64decode()")
        for name in ("key", "salt"):
            given = getattr(self, name)
            object.__setattr__(self, name, given if isinstance(given, SecretBytes) else SecretBytes(given))
        # By way of a memoryview: bytes() would make of a number so many zeros.
        if self.mki.__class__ is not bytes:
            object.__setattr__(self, "mki", bytes(memoryview(self.mki)))
        if len(self.mki) > MAX_MKI_LENGTH:
            raise PolicyError(f"the MKI has {len(self.mki)} bytes, at most {MAX_MKI_LENGTH} are allowed")
        check_fields(self, PolicyError)
        if not 0 <= self.valid_from <= self.valid_to <= MAX_INDEX:
            raise PolicyError(f"a key is valid from {self.valid_from} to {self.valid_to}, of indexes up to 2^48 - 1")
        for name, most in (("srtp_lifetime", MAX_SRTP_LIFETIME), ("srtcp_lifetime", MAX_SRTCP_LIFETIME)):
            if not 1 <= getattr(self, name) <= most:
                raise PolicyError(f"{name} is {getattr(self, name)}, it must be from 1 to {most}")
        if not 0 < self.soft_limit <= 1:
            raise PolicyError(f"soft_limit is {self.soft_limit}, it must be above 0 and at most 1")

    def soft(self, lifetime: int) -> int:
        """Returns the number of packets of a `lifetime` at which its soft limit is reached."""
        return max(1, int(lifetime * self.soft_limit))
