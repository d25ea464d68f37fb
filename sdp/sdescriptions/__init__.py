"""Security descriptions (RFC 4568): keys that stand in SDP."""

from .crypto_attribute import CryptoAttribute
from .inline_key import InlineKey
from .keying import DEFAULT_SUITES, Sdescriptions, SdescriptionsResult
from .policy import policy_of
from .session_parameters import SessionParameters
from .suites import CRYPTO_SUITES, SUPPORTED_SUITES, CryptoSuite, check_suites

__all__ = [
    "CRYPTO_SUITES",
    "DEFAULT_SUITES",
    "SUPPORTED_SUITES",
    "CryptoAttribute",
    "CryptoSuite",
    "InlineKey",
    "Sdescriptions",
    "SdescriptionsResult",
    "SessionParameters",
    "check_suites",
    "policy_of",
]
