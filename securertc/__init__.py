"""Secured real-time communications: endpoints and calls, with a report of what each tier of security gives."""

from sdp import MediaSecurity
from sip import Credentials

from .assurance.report import SecurityReport, Tier, TierStatus
from .assurance.security_policy import SecurityPolicy
from .call.call import Call, IncomingCall
from .call.endpoint import Endpoint, EndpointSettings
from .call.messages import Info, TextMessage
from .call.transfer import IncomingTransfer
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
from .media.bundle import MediaBundle
from .media.session import MediaSession
from .media.statistics import MediaStatistics
from .tls_files import TlsFiles

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
