"""The protection profiles, named as the crypto suites of RFC 4568 6.2, RFC 6188 and RFC 7714."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Cipher(enum.Enum):
    """How payloads are encrypted: not at all, by AES in counter mode (RFC 3711 4.1.1), in f8 mode (4.1.2) or in
    Galois/Counter Mode (RFC 7714), which authenticates as well."""

    NULL = 0
    AES_CM = 1
    AES_F8 = 2
    AES_GCM = 3


class _Lengths(NamedTuple):
    """The parts of a profile; lengths in bytes."""

    cipher: Cipher
    master_key: int
    master_salt: int
    rtp_tag: int
    rtcp_tag: int


class Profile(enum.Enum):
    """Cipher, key lengths and tag lengths of a protection profile, all lengths in bytes.

    Of SRTCP the tag is always 10 bytes with HMAC-SHA1: RFC 3711 and RFC 4568 6.2.2 shorten only that of SRTP.
    The NULL profiles authenticate and do not encrypt (RFC 3711 4.1.3).
    """

    AES_CM_128_HMAC_SHA1_80 = _Lengths(Cipher.AES_CM, 16, 14, 10, 10)
    AES_CM_128_HMAC_SHA1_32 = _Lengths(Cipher.AES_CM, 16, 14, 4, 10)
    AES_192_CM_HMAC_SHA1_80 = _Lengths(Cipher.AES_CM, 24, 14, 10, 10)
    AES_192_CM_HMAC_SHA1_32 = _Lengths(Cipher.AES_CM, 24, 14, 4, 10)
    AES_256_CM_HMAC_SHA1_80 = _Lengths(Cipher.AES_CM, 32, 14, 10, 10)
    AES_256_CM_HMAC_SHA1_32 = _Lengths(Cipher.AES_CM, 32, 14, 4, 10)
    F8_128_HMAC_SHA1_80 = _Lengths(Cipher.AES_F8, 16, 14, 10, 10)
    F8_128_HMAC_SHA1_32 = _Lengths(Cipher.AES_F8, 16, 14, 4, 10)
    AEAD_AES_128_GCM = _Lengths(Cipher.AES_GCM, 16, 12, 16, 16)
    AEAD_AES_256_GCM = _Lengths(Cipher.AES_GCM, 32, 12, 16, 16)
    NULL_HMAC_SHA1_80 = _Lengths(Cipher.NULL, 16, 14, 10, 10)
    NULL_HMAC_SHA1_32 = _Lengths(Cipher.NULL, 16, 14, 4, 10)

    @property
    def cipher(self) -> Cipher:
        """How payloads are encrypted."""
        return self.value.cipher

    @property
    def encrypts(self) -> bool:
        """Whether payloads are encrypted."""
        return self.cipher is not Cipher.NULL

    @property
    def is_aead(self) -> bool:
        """Whether one algorithm both encrypts and authenticates (RFC 7714)."""
        return self.cipher is Cipher.AES_GCM

    @property
    def master_key_length(self) -> int:
        """Length of the master key, which is that of the session encryption key."""
        return self.value.master_key

    @property
    def master_salt_length(self) -> int:
        """Length of the master salt."""
        return self.value.master_salt

    @property
    def rtp_tag_length(self) -> int:
        """Length of the authentication tag of SRTP packets."""
        return self.value.rtp_tag

    @property
    def rtcp_tag_length(self) -> int:
        """Length of the authentication tag of SRTCP packets."""
        return self.value.rtcp_tag
