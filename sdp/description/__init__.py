"""The text of SDP (RFC 8866): sessions, media sections, codecs, and capability negotiation (RFC 5939)."""

from .capability_negotiation import Configuration, configurations
from .codecs import PCMA, PCMU, Codec, SharedCodec, shared_codecs
from .media_attributes import Direction, Group, direction_of, groups_of, mid_of, ptime_of, rtcp_of
from .session_description import Line, MediaDescription, Origin, RtpMap, SessionDescription

__all__ = [
    "PCMA",
    "PCMU",
    "Codec",
    "Configuration",
    "Direction",
    "Group",
    "Line",
    "MediaDescription",
    "Origin",
    "RtpMap",
    "SessionDescription",
    "SharedCodec",
    "configurations",
    "direction_of",
    "groups_of",
    "mid_of",
    "ptime_of",
    "rtcp_of",
    "shared_codecs",
]
