"""A thin SIP layer (RFC 3261): messages, transactions and dialogs sans-IO, Digest, TLS; asyncio at the edge."""

from .digest_client import Credentials, DigestClient
from .digest_server import Authentication, DigestServer, Verdict
from .errors import (
    DialogError,
    DigestError,
    DiscoveryError,
    RequestFailedError,
    SipError,
    SipParseError,
    TlsVerificationError,
    TransactionTimeoutError,
    TransportError,
)
from .header_values import AuthParameters, CSeq, NameAddr, Via
from .headers import Headers
from .message import Message, Request, Response
from .parser import Limits, parse_message
from .stream_parser import KeepAlive, StreamParser
from .timers import Timers
from .tls import VerifiedPeer, client_context, server_context, verify_identity
from .uri import OtherUri, SipUri, Uri, parse_uri

__all__ = [
    "AuthParameters",
    "Authentication",
    "CSeq",
    "Credentials",
    "DialogError",
    "DigestClient",
    "DigestError",
    "DigestServer",
    "DiscoveryError",
    "Headers",
    "KeepAlive",
    "Limits",
    "Message",
    "NameAddr",
    "OtherUri",
    "Request",
    "RequestFailedError",
    "Response",
    "SipError",
    "SipParseError",
    "SipUri",
    "StreamParser",
    "Timers",
    "TlsVerificationError",
    "TransactionTimeoutError",
    "TransportError",
    "Uri",
    "Verdict",
    "VerifiedPeer",
    "Via",
    "client_context",
    "parse_message",
    "parse_uri",
    "server_context",
    "verify_identity",
]
