"""From an `a=crypto` attribute to the `srtp.Policy` of the direction that its keys protect (RFC 4568 6)."""

from __future__ import annotations

from srtp import Policy, PolicyError

from .crypto_suites import CryptoSuite
from .errors import CryptoAttributeError
from .inline_key import InlineKey
from .sdescriptions import CryptoAttribute
from .session_parameters import SessionParameters

_NONE: frozenset[str] = frozenset()
_DEFAULT_WINDOW = 128
_MAX_WINDOW = 32768


def policy_of(attribute: CryptoAttribute, allowed_flags: frozenset[str] = _NONE) -> Policy:
    """Returns the policy of the direction that is protected with this line's keys: its sender's (6.1).

    Raises CryptoAttributeError when the line is not valid or cannot be honoured in full: its suite is not
    supported, it has one of UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP and UNAUTHENTICATED_SRTP that is not in
    `allowed_flags`, or asks for what is not done.
    """
    suite, parameters = attribute.check_valid()
    profile = suite.profile
    if profile is None:
        raise CryptoAttributeError("suite", f"the crypto suite {suite.name} is not supported")
    _check_parameters(parameters, allowed_flags)
    if len(attribute.keys) > 1:
        raise CryptoAttributeError("keys", f"{len(attribute.keys)} keys in one line are not supported")
    if parameters.flags or parameters.key_derivation_rate:
        raise CryptoAttributeError("session-parameter", "KDR and the flags are not supported")
    key, salt = _split(attribute.keys[0], suite)
    try:
        return Policy(profile, key, salt, mki=attribute.keys[0].mki, rtp_window=_window(parameters))
    except PolicyError as error:
        raise CryptoAttributeError("policy", str(error)) from None


def _split(key: InlineKey, suite: CryptoSuite) -> tuple[bytes, bytes]:
    material = bytes(key.key_and_salt)
    return material[: suite.master_key_length], material[suite.master_key_length :]


def _window(parameters: SessionParameters) -> int:
    """The replay window: ours, or a wider one where the sender hints at it (6.3.6)."""
    return min(max(_DEFAULT_WINDOW, parameters.window_hint or 0), _MAX_WINDOW)


def _check_parameters(parameters: SessionParameters, allowed_flags: frozenset[str]) -> None:
    for flag in sorted(parameters.flags - allowed_flags):
        raise CryptoAttributeError("weakened", f"{flag} is not allowed by the policy")
    if parameters.fec_order == "SRTP_FEC":
        raise CryptoAttributeError("session-parameter", "FEC_ORDER=SRTP_FEC is not supported")
    if parameters.fec_key:
        # 6.3.5: valid only for a FEC stream to an address of its own, and such streams are not supported.
        raise CryptoAttributeError("session-parameter", "FEC_KEY, and there is no FEC stream of its own address")
