"""SDP (RFC 8866), offer/answer (RFC 3264) and the keying of its media: text in, `srtp` policies out."""

from .bundle import BundlePolicy
from .codecs import PCMA, PCMU, Codec, SharedCodec
from .errors import (
    CryptoAttributeError,
    KeyManagementError,
    MikeyError,
    MikeyIndistinguishableKeysError,
    MikeyParseError,
    MikeyPeerError,
    MikeyRefusedError,
    NegotiationError,
    Refusal,
    SdpError,
    SdpParseError,
)
from .inline_key import InlineKey
from .key_mgmt import KeyMgmtAttribute, TakenKeyMgmt, take_key_mgmt
from .keying import KeyingMethod, KeyingResult, KeyingState
from .keying_none import NoKeying
from .keying_sdescriptions import Sdescriptions, SdescriptionsResult
from .media_agreement import LocalMedia, MediaSecurity, NegotiatedMedia, SessionAgreement
from .media_attributes import Direction, Group, groups_of
from .offer_answer import AudioNegotiation
from .rtsp_key_mgmt import KeyMgmtSpec, parse_key_mgmt_header, serialize_key_mgmt_header
from .sdescriptions import CryptoAttribute
from .session_description import Line, MediaDescription, Origin, RtpMap, SessionDescription
from .session_negotiation import SessionNegotiation

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
    "KeyMgmtAttribute",
    "KeyMgmtSpec",
    "KeyingMethod",
    "KeyingResult",
    "KeyingState",
    "Line",
    "LocalMedia",
    "MediaDescription",
    "MediaSecurity",
    "MikeyError",
    "MikeyIndistinguishableKeysError",
    "MikeyParseError",
    "MikeyPeerError",
    "MikeyRefusedError",
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
    "TakenKeyMgmt",
    "groups_of",
    "parse_key_mgmt_header",
    "serialize_key_mgmt_header",
    "take_key_mgmt",
]
