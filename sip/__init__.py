"""A thin SIP layer (RFC 3261): messages, transactions and dialogs sans-IO, Digest, TLS; asyncio at the edge."""

from .digest_client import DigestClient
from .digest_credentials import Credentials
from .digest_secrets import DigestSecrets
from .digest_server import Authentication, DigestServer, Verdict
from .errors import (
    CallCancelledError,
    DialogError,
    DigestError,
    DiscoveryError,
    LocationStoreError,
    RequestFailedError,
    SipError,
    SipParseError,
    StreamFramingError,
    TlsFileError,
    TlsVerificationError,
    TransactionTimeoutError,
    TransportError,
    WebSocketError,
)
from .guess_limit import GuessLimit, GuessRate
from .header_values import AllContacts, AuthParameters, CSeq, NameAddr, Via
from .headers import Headers
from .load_limits import LoadLimits
from .location import Binding, Located, LocationRecord, LocationStore
from .location_memory import MemoryLocationStore
from .location_service import LocationService
from .message import Message, Request, Response
from .parser import Limits, parse_message
from .registrar import Registrar, RegistrarSettings
from .stream_parser import KeepAlive, StreamParser
from .timers import Timers
from .tls import VerifiedPeer, client_context, server_context, verify_identity
from .uri import OtherUri, SipUri, Uri, parse_uri
from .websocket_settings import WebSocketSettings

__all__ = [
    "AllContacts",
    "AuthParameters",
    "Authentication",
    "Binding",
    "CSeq",
    "CallCancelledError",
    "Credentials",
    "DialogError",
    "DigestClient",
    "DigestError",
    "DigestSecrets",
    "DigestServer",
    "DiscoveryError",
    "GuessLimit",
    "GuessRate",
    "Headers",
    "KeepAlive",
    "Limits",
    "LoadLimits",
    "Located",
    "LocationRecord",
    "LocationService",
    "LocationStore",
    "LocationStoreError",
    "MemoryLocationStore",
    "Message",
    "NameAddr",
    "OtherUri",
    "Registrar",
    "RegistrarSettings",
    "Request",
    "RequestFailedError",
    "Response",
    "SipError",
    "SipParseError",
    "SipUri",
    "StreamFramingError",
    "StreamParser",
    "Timers",
    "TlsFileError",
    "TlsVerificationError",
    "TransactionTimeoutError",
    "TransportError",
    "Uri",
    "Verdict",
    "VerifiedPeer",
    "Via",
    "WebSocketError",
    "WebSocketSettings",
    "client_context",
    "parse_message",
    "parse_uri",
    "server_context",
    "verify_identity",
]
