"""What an endpoint asks of the security of its calls."""

from __future__ import annotations

from dataclasses import dataclass

from sdp import MediaSecurity

DEFAULT_SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """The policy of an endpoint, for calls in both directions.

    `media` off offers and takes plain RTP only; preferred offers RTP/AVP with `a=crypto` and takes what the
    peer can; required offers RTP/SAVP and refuses any call without SRTP. `crypto_suites` stand in order of
    preference. Keys of sdescriptions stand readable in the SDP, so they never travel over a hop without TLS
    unless `allow_cleartext_keys`. `allow_wildcards` lets wildcard certificates prove a SIP domain, which
    RFC 5922 forbids. `allow_md5` lets us answer Digest challenges that offer nothing better than MD5; of several
    challenges we answer the first, as RFC 8760 says, or with `strongest_digest` the strongest.
    """

    media: MediaSecurity = MediaSecurity.REQUIRED
    crypto_suites: tuple[str, ...] = DEFAULT_SUITES
    allow_cleartext_keys: bool = False
    allow_wildcards: bool = False
    allow_md5: bool = False
    strongest_digest: bool = False

    def keys_may_travel(self, *, hop_is_secure: bool) -> bool:
        """Whether an SDP with keys may be sent over, or taken from, a hop."""
        return hop_is_secure or self.allow_cleartext_keys
