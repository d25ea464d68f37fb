"""The protection profiles, named as the crypto suites of RFC 4568 6.2."""

from __future__ import annotations

import enum


class Profile(enum.Enum):
    """Cipher, key lengths and tag lengths of a protection profile, all lengths in bytes.

    Of SRTCP the tag is always 10 bytes: RFC 3711 and RFC 4568 6.2.2 shorten only that of SRTP. The NULL
    profiles authenticate and do not encrypt (RFC 3711 4.1.3).
    """

    AES_CM_128_HMAC_SHA1_80 = (True, 16, 14, 10, 10)
    AES_CM_128_HMAC_SHA1_32 = (True, 16, 14, 4, 10)
    NULL_HMAC_SHA1_80 = (False, 16, 14, 10, 10)
    # Not an alias of another member: the tuple differs by the tag.
    NULL_HMAC_SHA1_32 = (False, 16, 14, 4, 10)

    @property
    def encrypts(self) -> bool:
        """Whether payloads are encrypted."""
        return self.value[0]

    @property
    def master_key_length(self) -> int:
        """Length of the master key."""
        return self.value[1]

    @property
    def master_salt_length(self) -> int:
        """Length of the master salt."""
        return self.value[2]

    @property
    def rtp_tag_length(self) -> int:
        """Length of the authentication tag of SRTP packets."""
        return self.value[3]

    @property
    def rtcp_tag_length(self) -> int:
        """Length of the authentication tag of SRTCP packets."""
        return self.value[4]
