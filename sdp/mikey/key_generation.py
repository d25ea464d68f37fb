"""Makes the TGK that a mode with key transport sends."""

from __future__ import annotations

from collections.abc import Callable

from srtp import SecretBytes
from srtp.field_checks import as_member

from .code_points import EncryptionAlgorithm, KeyType
from .key_data import KeyData, KeyValidity
from .message import serialize_chain
from .payloads import Id

_TGK_LENGTH = 32


def new_tgk(
    random_bytes: Callable[[int], bytes],
    encryption: EncryptionAlgorithm,
    validity: KeyValidity,
    before: tuple[Id, ...] = (),
) -> KeyData:
    """Returns a TGK of 256 bits; with AES key wrap of as much more as fills its last block behind `before`."""
    length = _TGK_LENGTH
    if as_member(EncryptionAlgorithm, encryption, "encryption") is EncryptionAlgorithm.AES_KW_128:
        empty = KeyData(KeyType.TGK, SecretBytes(b""), None, validity)
        length += -len(serialize_chain((*before, empty))) % 8
    return KeyData(KeyType.TGK, SecretBytes(random_bytes(length)), None, validity)
