"""RTP and RTCP (RFC 3550): packets, G.711, telephone events (RFC 4733), statistics, pacing, a jitter buffer; UDP."""

from .errors import MalformedRtcpError, MalformedRtpError, RtpError, UnsupportedAudioError
from .extension import ExtensionElement, HeaderExtension
from .g711 import decode_pcma, decode_pcmu, encode_pcma, encode_pcmu
from .jitter_buffer import JitterBuffer, JitterCounters, Lost
from .ntp import ntp_time, round_trip
from .pacing import Pacer
from .packet import RtpPacket, is_rtcp
from .resampling import resample
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
from .samples import as_samples
from .statistics import ReceiverStatistics, ReceptionSummary
from .telephone_event import (
    EventPacket,
    EventReceiver,
    ReceivedEvent,
    TelephoneEvent,
    event_of_digit,
    event_packets,
    parse_event_list,
    parse_events,
)
from .udp import UdpSocket, bind_rtp_pair, bind_udp
from .wav import read_wav, write_wav

__all__ = [
    "ApplicationDefined",
    "EventPacket",
    "EventReceiver",
    "ExtensionElement",
    "Goodbye",
    "HeaderExtension",
    "JitterBuffer",
    "JitterCounters",
    "Lost",
    "MalformedRtcpError",
    "MalformedRtpError",
    "Pacer",
    "ReceivedEvent",
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
    "TelephoneEvent",
    "UdpSocket",
    "UnknownRtcpPacket",
    "UnsupportedAudioError",
    "as_samples",
    "bind_rtp_pair",
    "bind_udp",
    "decode_pcma",
    "decode_pcmu",
    "encode_pcma",
    "encode_pcmu",
    "event_of_digit",
    "event_packets",
    "is_rtcp",
    "ntp_time",
    "parse_compound",
    "parse_event_list",
    "parse_events",
    "read_wav",
    "resample",
    "round_trip",
    "serialize_compound",
    "write_wav",
]
