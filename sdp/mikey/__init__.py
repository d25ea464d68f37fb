"""MIKEY, multimedia Internet keying (RFC 3830): messages, modes, keys, and how SDP and RTSP carry it (RFC 4567)."""

from ..errors import MikeyError, MikeyIndistinguishableKeysError, MikeyParseError, MikeyPeerError, MikeyRefusedError
from .code_points import (
    DataType,
    DhGroup,
    EncryptionAlgorithm,
    EnvelopeKeyCache,
    ErrorNumber,
    HashFunction,
    KeyType,
    KeyValidityType,
    MacAlgorithm,
    PrfFunction,
    SignatureType,
)
from .crypto_session_bundle import CryptoSession, CryptoSessionBundle, KeyedPolicy
from .exchange import NULL_OVER_TLS, STRICT, MikeyProfile, Mode
from .header import CsIdMap, EmptyMap, GenericId, GenericIdMap, Header, SrtpId, SrtpIdMap
from .initiator import Initiator, Proposal
from .key_data import KeyData, KeyValidity
from .key_mgmt import KeyMgmtAttribute, TakenKeyMgmt, check_answered_key_mgmt, take_key_mgmt
from .keying import MikeyKeying, MikeyResult
from .media_lines import streams_of_media
from .message import Message, Payload, parse_key_data
from .parties import Ourselves, Peer, nai_id, uri_id
from .payloads import (
    Cert,
    Chash,
    Dh,
    Err,
    GeneralExtension,
    Id,
    Kemac,
    Pke,
    PolicyParameter,
    Rand,
    Sign,
    Sp,
    T,
    V,
)
from .printer import Description, describe
from .replay_cache import ReplayCache
from .responder import Accepted, Responder
from .responder_request import ResponderSettings
from .rtsp_key_mgmt import KeyMgmtSpec, parse_key_mgmt_header, serialize_key_mgmt_header
from .srtp_policy import policy_payload, profile_of

__all__ = [
    "NULL_OVER_TLS",
    "STRICT",
    "Accepted",
    "Cert",
    "Chash",
    "CryptoSession",
    "CryptoSessionBundle",
    "CsIdMap",
    "DataType",
    "Description",
    "Dh",
    "DhGroup",
    "EmptyMap",
    "EncryptionAlgorithm",
    "EnvelopeKeyCache",
    "Err",
    "ErrorNumber",
    "GeneralExtension",
    "GenericId",
    "GenericIdMap",
    "HashFunction",
    "Header",
    "Id",
    "Initiator",
    "Kemac",
    "KeyData",
    "KeyMgmtAttribute",
    "KeyMgmtSpec",
    "KeyType",
    "KeyValidity",
    "KeyValidityType",
    "KeyedPolicy",
    "MacAlgorithm",
    "Message",
    "MikeyError",
    "MikeyIndistinguishableKeysError",
    "MikeyKeying",
    "MikeyParseError",
    "MikeyPeerError",
    "MikeyProfile",
    "MikeyRefusedError",
    "MikeyResult",
    "Mode",
    "Ourselves",
    "Payload",
    "Peer",
    "Pke",
    "PolicyParameter",
    "PrfFunction",
    "Proposal",
    "Rand",
    "ReplayCache",
    "Responder",
    "ResponderSettings",
    "Sign",
    "SignatureType",
    "Sp",
    "SrtpId",
    "SrtpIdMap",
    "T",
    "TakenKeyMgmt",
    "V",
    "check_answered_key_mgmt",
    "describe",
    "nai_id",
    "parse_key_data",
    "parse_key_mgmt_header",
    "policy_payload",
    "profile_of",
    "serialize_key_mgmt_header",
    "streams_of_media",
    "take_key_mgmt",
    "uri_id",
]
