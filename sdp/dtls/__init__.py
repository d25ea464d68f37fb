"""DTLS-SRTP (RFC 5763, 5764, 8122, 8842): its SDP, and its handshake over pyOpenSSL. Needs `securertc[dtls]`."""

from ..errors import MissingExtraError

try:
    import OpenSSL as _  # noqa: F401
except ModuleNotFoundError:
    raise MissingExtraError("DTLS-SRTP", extra="dtls") from None

from .certificate import DtlsCertificate
from .dtls_connection import Address, DtlsConnection
from .dtls_events import (
    AssociationClosed,
    DtlsEvent,
    DtlsFailure,
    DtlsState,
    HandshakeCompleted,
    HandshakeFailed,
)
from .fingerprint import Fingerprint, check_certificate, read_fingerprints
from .keying_dtls_srtp import DtlsSrtp, DtlsSrtpResult
from .protection_profiles import DEFAULT_PROFILES, PROTECTION_PROFILES
from .setup_role import SetupRole

__all__ = [
    "DEFAULT_PROFILES",
    "PROTECTION_PROFILES",
    "Address",
    "AssociationClosed",
    "DtlsCertificate",
    "DtlsConnection",
    "DtlsEvent",
    "DtlsFailure",
    "DtlsSrtp",
    "DtlsSrtpResult",
    "DtlsState",
    "Fingerprint",
    "HandshakeCompleted",
    "HandshakeFailed",
    "SetupRole",
    "check_certificate",
    "read_fingerprints",
]
