"""The crypto suites of security descriptions: RFC 4568 6.2, RFC 6188, RFC 7714 and RFC 5669, by name."""

from __future__ import annotations

from dataclasses import dataclass

from srtp import Profile

MAX_SRTP_LIFETIME = 1 << 48
MAX_SRTCP_LIFETIME = 1 << 31


@dataclass(frozen=True, slots=True)
class CryptoSuite:
    """A suite: the lengths of its master key and salt in bytes, and the lifetime that holds where none is signalled.

    `profile` is the srtp profile that does it, None for a suite that is known and not supported.
    """

    name: str
    master_key_length: int
    master_salt_length: int
    default_lifetime: int = MAX_SRTP_LIFETIME

    @property
    def key_params_length(self) -> int:
        """The length of key and salt together, as `inline:` carries them."""
        return self.master_key_length + self.master_salt_length

    @property
    def profile(self) -> Profile | None:
        return Profile.__members__.get(self.name)


CRYPTO_SUITES: dict[str, CryptoSuite] = {
    suite.name: suite
    for suite in (
        CryptoSuite("AES_CM_128_HMAC_SHA1_80", 16, 14),
        CryptoSuite("AES_CM_128_HMAC_SHA1_32", 16, 14),
        CryptoSuite("F8_128_HMAC_SHA1_80", 16, 14),
        CryptoSuite("F8_128_HMAC_SHA1_32", 16, 14),
        CryptoSuite("AES_192_CM_HMAC_SHA1_80", 24, 14, 1 << 31),
        CryptoSuite("AES_192_CM_HMAC_SHA1_32", 24, 14, 1 << 31),
        CryptoSuite("AES_256_CM_HMAC_SHA1_80", 32, 14, 1 << 31),
        CryptoSuite("AES_256_CM_HMAC_SHA1_32", 32, 14, 1 << 31),
        CryptoSuite("AEAD_AES_128_GCM", 16, 12),
        CryptoSuite("AEAD_AES_256_GCM", 32, 12),
        CryptoSuite("SEED_CTR_128_HMAC_SHA1_80", 16, 14),
        CryptoSuite("SEED_128_CCM_80", 16, 12),
        CryptoSuite("SEED_128_GCM_96", 16, 12),
    )
}
SUPPORTED_SUITES = tuple(name for name, suite in CRYPTO_SUITES.items() if suite.profile is not None)


def check_suites(names: tuple[str, ...]) -> None:
    """Raises ValueError, which lists the suites there are, for a name that is none of SUPPORTED_SUITES."""
    for name in names:
        if name not in SUPPORTED_SUITES:
            raise ValueError(f"there is no crypto suite {name[:40]!r}, it must be one of {', '.join(SUPPORTED_SUITES)}")
