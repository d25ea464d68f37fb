"""SDP (RFC 8866), offer/answer (RFC 3264) and the keying of its media: text in, `srtp` policies out."""

from .description.codecs import PCMA, PCMU, Codec, SharedCodec
from .description.media_attributes import Direction, Group, groups_of
from .description.session_description import Line, MediaDescription, Origin, RtpMap, SessionDescription
from .errors import (
    CryptoAttributeError,
    KeyManagementError,
    NegotiationError,
    Refusal,
    SdpError,
    SdpParseError,
)
from .keying.method import KeyingMethod, KeyingResult, KeyingState
from .keying.none import NoKeying
from .negotiation.agreement import LocalMedia, MediaSecurity, NegotiatedMedia, SessionAgreement
from .negotiation.audio import AudioNegotiation
from .negotiation.bundle import BundlePolicy
from .negotiation.session import SessionNegotiation
from .sdescriptions.crypto_attribute import CryptoAttribute
from .sdescriptions.inline_key import InlineKey
from .sdescriptions.keying import Sdescriptions, SdescriptionsResult

NegotiatedAudio = NegotiatedMedia  # what an AudioNegotiation agrees on

__all__ = [
    "PCMA",
    "PCMU",
    "AudioNegotiation",
    "BundlePolicy",
    "Codec",
    "CryptoAttribute",
    "CryptoAttributeError",
    "Direction",
    "Group",
    "InlineKey",
    "KeyManagementError",
    "KeyingMethod",
    "KeyingResult",
    "KeyingState",
    "Line",
    "LocalMedia",
    "MediaDescription",
    "MediaSecurity",
    "NegotiatedAudio",
    "NegotiatedMedia",
    "NegotiationError",
    "NoKeying",
    "Origin",
    "Refusal",
    "RtpMap",
    "Sdescriptions",
    "SdescriptionsResult",
    "SdpError",
    "SdpParseError",
    "SessionAgreement",
    "SessionDescription",
    "SessionNegotiation",
    "SharedCodec",
    "groups_of",
]
