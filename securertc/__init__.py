"""Secured real-time communications: endpoints and calls, with a report of what each tier of security gives."""

from sdp import MediaSecurity
from sip import Credentials

from .assurance import SecurityReport, Tier, TierStatus
from .call import Call, IncomingCall
from .endpoint import Endpoint, EndpointSettings
from .errors import (
    CallEndedError,
    CallRefusedError,
    NoBundleError,
    NoMediaYetError,
    SecureRtcError,
    SecurityPolicyError,
    UnsupportedCodecError,
    UnsupportedDigitError,
)
from .media_bundle import MediaBundle
from .media_session import MediaSession
from .media_statistics import MediaStatistics
from .messages import Info, TextMessage
from .security_policy import SecurityPolicy
from .tls_files import TlsFiles
from .transfer import IncomingTransfer

__all__ = [
    "Call",
    "CallEndedError",
    "CallRefusedError",
    "Credentials",
    "Endpoint",
    "EndpointSettings",
    "IncomingCall",
    "IncomingTransfer",
    "Info",
    "MediaBundle",
    "MediaSecurity",
    "MediaSession",
    "MediaStatistics",
    "NoBundleError",
    "NoMediaYetError",
    "SecureRtcError",
    "SecurityPolicy",
    "SecurityPolicyError",
    "SecurityReport",
    "TextMessage",
    "Tier",
    "TierStatus",
    "TlsFiles",
    "UnsupportedCodecError",
    "UnsupportedDigitError",
]
