"""SDP (RFC 8866), offer/answer (RFC 3264) and security descriptions (RFC 4568): text in, `srtp` policies out."""

from .errors import (
    CryptoAttributeError,
    MikeyError,
    MikeyParseError,
    MikeyPeerError,
    MikeyRefusedError,
    NegotiationError,
    Refusal,
    SdpError,
    SdpParseError,
)
from .offer_answer import AudioNegotiation, Codec, Direction, LocalMedia, MediaSecurity, NegotiatedAudio
from .sdescriptions import CryptoAttribute, InlineKey
from .session_description import Line, MediaDescription, Origin, RtpMap, SessionDescription

__all__ = [
    "AudioNegotiation",
    "Codec",
    "CryptoAttribute",
    "CryptoAttributeError",
    "Direction",
    "InlineKey",
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
]
