"""SIP messages (RFC 3261 7 and 25): read, written, and the values of their headers."""

from .grammar import is_host
from .header_values import AllContacts, AuthParameters, CSeq, NameAddr, Via
from .headers import Headers
from .host_names import ascii_lower, bare_host, host_reference
from .message import Message, Request, Response, new_branch, new_call_id, new_tag
from .parser import DEFAULT_LIMITS, Limits, parse_message
from .reasons import REASONS
from .sip_fragment import CONTENT_TYPE, status_fragment, status_of
from .stream_parser import KeepAlive, StreamParser
from .uri import OtherUri, SipUri, Uri, parse_uri

__all__ = [
    "CONTENT_TYPE",
    "DEFAULT_LIMITS",
    "REASONS",
    "AllContacts",
    "AuthParameters",
    "CSeq",
    "Headers",
    "KeepAlive",
    "Limits",
    "Message",
    "NameAddr",
    "OtherUri",
    "Request",
    "Response",
    "SipUri",
    "StreamParser",
    "Uri",
    "Via",
    "ascii_lower",
    "bare_host",
    "host_reference",
    "is_host",
    "new_branch",
    "new_call_id",
    "new_tag",
    "parse_message",
    "parse_uri",
    "status_fragment",
    "status_of",
]
