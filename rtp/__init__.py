"""RTP and RTCP (RFC 3550): packets, G.711, statistics, pacing, a jitter buffer; UDP at the edge."""

from .errors import MalformedRtcpError, MalformedRtpError, RtpError, UnsupportedAudioError
from .extension import ExtensionElement, HeaderExtension
from .g711 import decode_pcma, decode_pcmu, encode_pcma, encode_pcmu
from .jitter_buffer import JitterBuffer, JitterCounters, Lost
from .ntp import ntp_time, round_trip
from .pacing import Pacer
from .packet import RtpPacket, is_rtcp
from .rtcp import (
    ApplicationDefined,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SdesChunk,
    SenderReport,
    SourceDescription,
    UnknownRtcpPacket,
    parse_compound,
    serialize_compound,
)
from .statistics import ReceiverStatistics, ReceptionSummary
from .udp import UdpSocket, bind_rtp_pair, bind_udp
from .wav import read_wav, write_wav

__all__ = [
    "ApplicationDefined",
    "ExtensionElement",
    "Goodbye",
    "HeaderExtension",
    "JitterBuffer",
    "JitterCounters",
    "Lost",
    "MalformedRtcpError",
    "MalformedRtpError",
    "Pacer",
    "ReceiverReport",
    "ReceiverStatistics",
    "ReceptionSummary",
    "ReportBlock",
    "RtcpPacket",
    "RtpError",
    "RtpPacket",
    "SdesChunk",
    "SenderReport",
    "SourceDescription",
    "UdpSocket",
    "UnknownRtcpPacket",
    "UnsupportedAudioError",
    "bind_rtp_pair",
    "bind_udp",
    "decode_pcma",
    "decode_pcmu",
    "encode_pcma",
    "encode_pcmu",
    "is_rtcp",
    "ntp_time",
    "parse_compound",
    "read_wav",
    "round_trip",
    "serialize_compound",
    "write_wav",
]
