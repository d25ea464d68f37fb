"""A thin SIP layer (RFC 3261): messages, transactions and dialogs sans-IO, Digest, TLS; asyncio at the edge."""

from .digest.client import DigestClient
from .digest.credentials import Credentials
from .digest.guess_limit import GuessLimit, GuessRate
from .digest.server import Authentication, DigestServer, Verdict
from .digest.stored_secrets import DigestSecrets
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
from .message.header_values import AllContacts, AuthParameters, CSeq, NameAddr, Via
from .message.headers import Headers
from .message.message import Message, Request, Response
from .message.parser import Limits, parse_message
from .message.stream_parser import KeepAlive, StreamParser
from .message.uri import OtherUri, SipUri, Uri, parse_uri
from .registrar.location import Binding, Located, LocationRecord, LocationStore
from .registrar.location_service import LocationService
from .registrar.registrar import Registrar, RegistrarSettings
from .registrar.store_memory import MemoryLocationStore
from .transaction.load_limits import LoadLimits
from .transaction.timers import Timers
from .transport.tls import VerifiedPeer, client_context, server_context, verify_identity
from .transport.websocket_settings import WebSocketSettings

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
