"""SDP (RFC 8866), offer/answer (RFC 3264) and security descriptions (RFC 4568): text in, `srtp` policies out."""

from .errors import (
    CryptoAttributeError,
    KeyManagementError,
    MikeyError,
    MikeyParseError,
    MikeyPeerError,
    MikeyRefusedError,
    NegotiationError,
    Refusal,
    SdpError,
    SdpParseError,
)
from .key_mgmt import KeyMgmtAttribute, TakenKeyMgmt, take_key_mgmt
from .offer_answer import AudioNegotiation, Codec, Direction, LocalMedia, MediaSecurity, NegotiatedAudio
from .rtsp_key_mgmt import KeyMgmtSpec, parse_key_mgmt_header, serialize_key_mgmt_header
from .sdescriptions import CryptoAttribute, InlineKey
from .session_description import Line, MediaDescription, Origin, RtpMap, SessionDescription

__all__ = [
    "AudioNegotiation",
    "Codec",
    "CryptoAttribute",
    "CryptoAttributeError",
    "Direction",
    "InlineKey",
    "KeyManagementError",
    "KeyMgmtAttribute",
    "KeyMgmtSpec",
    "Line",
    "LocalMedia",
    "MediaDescription",
    "MediaSecurity",
    "MikeyError",
    "MikeyParseError",
    "MikeyPeerError",
    "MikeyRefusedError",
    "NegotiatedAudio",
    "NegotiationError",
    "Origin",
    "Refusal",
    "RtpMap",
    "SdpError",
    "SdpParseError",
    "SessionDescription",
    "TakenKeyMgmt",
    "parse_key_mgmt_header",
    "serialize_key_mgmt_header",
    "take_key_mgmt",
]
