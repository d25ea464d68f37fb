"""MIKEY, multimedia Internet keying (RFC 3830): messages, modes, keys, and how SDP and RTSP carry it (RFC 4567)."""

from .header import CsIdMap, EmptyMap, GenericId, GenericIdMap, Header, SrtpId, SrtpIdMap
from .key_data import KeyData, KeyValidity
from .message import Message, Payload, parse_key_data
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

__all__ = [
    "Cert",
    "Chash",
    "CsIdMap",
    "Description",
    "Dh",
    "EmptyMap",
    "Err",
    "GeneralExtension",
    "GenericId",
    "GenericIdMap",
    "Header",
    "Id",
    "Kemac",
    "KeyData",
    "KeyValidity",
    "Message",
    "Payload",
    "Pke",
    "PolicyParameter",
    "Rand",
    "Sign",
    "Sp",
    "SrtpId",
    "SrtpIdMap",
    "T",
    "V",
    "describe",
    "parse_key_data",
]
