"""What an endpoint asks of the security of its calls."""

from __future__ import annotations

from dataclasses import dataclass

from sdp import KeyingMethod, MediaSecurity

DEFAULT_SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """The policy of an endpoint, for calls in both directions.

    `media` off offers and takes plain RTP only; preferred offers RTP/AVP with `a=crypto` and takes what the
    peer can; required offers RTP/SAVP and refuses any call without SRTP. `crypto_suites` stand in order of
    preference. `keying` are the keying methods in order of preference, as `sdp.dtls.DtlsSrtp`; without any it is
    sdescriptions. Keys of sdescriptions stand readable in the SDP, so they never travel over a hop without TLS
    unless `allow_cleartext_keys`; nor do fingerprints, which anybody on such a hop could change.
    `allow_wildcards` lets wildcard certificates prove a SIP domain, which RFC 5922 forbids.
    """

    media: MediaSecurity = MediaSecurity.REQUIRED
    crypto_suites: tuple[str, ...] = DEFAULT_SUITES
    allow_cleartext_keys: bool = False
    allow_wildcards: bool = False
    keying: tuple[KeyingMethod, ...] = ()

    def keys_may_travel(self, *, hop_is_secure: bool) -> bool:
        """Whether an SDP with keys may be sent over, or taken from, a hop."""
        return hop_is_secure or self.allow_cleartext_keys
