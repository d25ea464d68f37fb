"""ICE in SDP (RFC 8839), an ICE-lite agent (RFC 8445 2.5) and STUN messages (RFC 8489)."""

from .attributes import IceCandidate, IceCredentials, IceDescription
from .lite import IceLite, PeerValidated, StunReply
from .stun import (
    BINDING,
    MAX_USERNAME_LENGTH,
    StunAttribute,
    StunClass,
    StunMessage,
    decode_error,
    decode_xor_address,
    encode_error,
    encode_xor_address,
    new_transaction_id,
)
from .stun_transactions import StunTransactions

__all__ = [
    "BINDING",
    "MAX_USERNAME_LENGTH",
    "IceCandidate",
    "IceCredentials",
    "IceDescription",
    "IceLite",
    "PeerValidated",
    "StunAttribute",
    "StunClass",
    "StunMessage",
    "StunReply",
    "StunTransactions",
    "decode_error",
    "decode_xor_address",
    "encode_error",
    "encode_xor_address",
    "new_transaction_id",
]
