"""From an `a=crypto` attribute to the `srtp.Policy` of the direction that its keys protect (RFC 4568 6)."""

from __future__ import annotations

from srtp import Policy, PolicyError, SecretBytes
from srtp.master_key import MasterKey

from ..errors import CryptoAttributeError
from .crypto_attribute import CryptoAttribute
from .inline_key import InlineKey
from .session_parameters import UNAUTHENTICATED_SRTP, UNENCRYPTED_SRTCP, UNENCRYPTED_SRTP, SessionParameters
from .suites import MAX_SRTCP_LIFETIME, CryptoSuite

_NONE: frozenset[str] = frozenset()
_DEFAULT_WINDOW = 128
# 20 s of 50 packets a second. Every stream that the peer brings pays a bit for each, so it alone may not say how many.
_MAX_WINDOW = 1024


def policy_of(
    attribute: CryptoAttribute, allowed_flags: frozenset[str] = _NONE, *, fec_elsewhere: bool = False
) -> Policy:
    """Returns the policy of the direction that is protected with this line's keys: its sender's (6.1).

    Of several keys the first one protects, and packets under the others are taken by their MKI. Raises
    CryptoAttributeError when the line is not valid or cannot be honoured in full: its suite is not supported, it
    has one of UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP and UNAUTHENTICATED_SRTP that is not in `allowed_flags` or that
    the suite does not have, or asks for what is not done. `fec_elsewhere` says whether the section sends FEC to an
    address of its own: then, and only then, a line has FEC_KEY (6.3.5). FEC itself is not done.
    """
    suite, parameters = attribute.check_valid()
    profile = suite.profile
    if profile is None:
        raise CryptoAttributeError("suite", f"the crypto suite {suite.name} is not supported")
    _check_parameters(parameters, allowed_flags, fec_elsewhere=fec_elsewhere)
    try:
        return Policy.with_keys(
            profile,
            [_master_key(key, suite) for key in attribute.keys],
            rtp_window=_window(parameters),
            key_derivation_rate=parameters.key_derivation_rate,
            encrypt_rtp=UNENCRYPTED_SRTP not in parameters.flags,
            encrypt_rtcp=UNENCRYPTED_SRTCP not in parameters.flags,
            authenticate_rtp=UNAUTHENTICATED_SRTP not in parameters.flags,
        )
    except PolicyError as error:
        raise CryptoAttributeError("policy", str(error)) from None


def _master_key(key: InlineKey, suite: CryptoSuite) -> MasterKey:
    """Key and salt apart; the lifetime counts SRTP and SRTCP packets each (6.1), of SRTCP at most 2^31."""
    material = memoryview(key.key_and_salt)
    lifetime = suite.default_lifetime if key.lifetime is None else key.lifetime
    return MasterKey(
        SecretBytes(material[: suite.master_key_length]),
        SecretBytes(material[suite.master_key_length :]),
        key.mki,
        srtp_lifetime=lifetime,
        srtcp_lifetime=min(lifetime, MAX_SRTCP_LIFETIME),
    )


def _window(parameters: SessionParameters) -> int:
    """The replay window: ours, or a wider one, up to 1,024, where the sender hints at it (6.3.6)."""
    return min(max(_DEFAULT_WINDOW, parameters.window_hint or 0), _MAX_WINDOW)


def _check_parameters(parameters: SessionParameters, allowed_flags: frozenset[str], *, fec_elsewhere: bool) -> None:
    for flag in sorted(parameters.flags - allowed_flags):
        raise CryptoAttributeError("weakened", f"{flag} is not allowed by the policy")
    if parameters.fec_order == "SRTP_FEC":
        raise CryptoAttributeError("session-parameter", "FEC_ORDER=SRTP_FEC is not supported")
    if parameters.fec_key and not fec_elsewhere:
        raise CryptoAttributeError("session-parameter", "FEC_KEY, and there is no FEC stream of its own address")
    if fec_elsewhere and not parameters.fec_key:
        raise CryptoAttributeError("session-parameter", "no FEC_KEY, and there is a FEC stream of its own address")
