"""What an endpoint asks of the security of its calls."""

from __future__ import annotations

from dataclasses import dataclass

from sdp import KeyingMethod, MediaSecurity
from sdp.sdescriptions import DEFAULT_SUITES, check_suites
from srtp.field_checks import check_fields


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """The policy of an endpoint, for calls in both directions.

    `media` off offers and takes plain RTP only; preferred offers RTP/AVP with `a=crypto` and takes what the
    peer can; required offers RTP/SAVP and refuses any call without SRTP. `crypto_suites` stand in order of
    preference. Keys of sdescriptions stand readable in the SDP, so they never travel over a hop without TLS
    unless `allow_cleartext_keys`; nor do fingerprints, which anybody on such a hop could change. `keying` are the
    keying methods instead of sdescriptions, in order of preference, as `sdp.dtls.DtlsSrtp`; when all of them hide
    and prove their keys, as MIKEY does, no hop needs TLS for the sake of the keys. `allow_wildcards` lets wildcard
    certificates prove a SIP domain, which RFC 5922 forbids. `allow_md5` lets us answer Digest challenges that offer
    nothing better than MD5; of several challenges we answer the first, as RFC 8760 says, or with
    `strongest_digest` the strongest.

    Words count as their members, as `media="required"`. Raises ValueError, which lists the words, for another one, for
    a suite that there is not, and for a value of another type.
    """

    media: MediaSecurity = MediaSecurity.REQUIRED
    crypto_suites: tuple[str, ...] = DEFAULT_SUITES
    allow_cleartext_keys: bool = False
    allow_wildcards: bool = False
    allow_md5: bool = False
    strongest_digest: bool = False
    keying: tuple[KeyingMethod, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_suites(self.crypto_suites)

    def keys_may_travel(self, *, hop_is_secure: bool) -> bool:
        """Whether an SDP with keys may be sent over, or taken from, a hop."""
        hidden = bool(self.keying) and all(getattr(method, "hides_keys", False) is True for method in self.keying)
        return hop_is_secure or self.allow_cleartext_keys or hidden
