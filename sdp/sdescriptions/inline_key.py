"""The `inline:` key parameter of security descriptions: key, lifetime and MKI (RFC 4568 6.1)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from srtp import SecretBytes

from ..errors import CryptoAttributeError

MAX_MKI_LENGTH = 128
MAX_KEYS = 16
_MAX_BASE64 = 4096
_LIFETIME = re.compile(r"(2\^)?([1-9][0-9]{0,17})")
_MKI = re.compile(r"([1-9][0-9]{0,400}):([1-9][0-9]{0,2})")


@dataclass(frozen=True, slots=True)
class InlineKey:
    """One `inline:` key (6.1): master key and salt in one, the lifetime in packets, the MKI, as they stood.

    `lifetime` is None where none was given. `mki` is the identifier in its length as it goes on the wire.
    """

    key_and_salt: SecretBytes
    lifetime: int | None = None
    mki: bytes = b""

    @classmethod
    def parse(cls, text: str) -> InlineKey:
        """Parses `inline:BASE64[|lifetime][|MKI:length]`; raises CryptoAttributeError by what is wrong."""
        method, colon, info = text.partition(":")
        if method != "inline" or not colon:
            raise CryptoAttributeError("key-method", f"the key method, of {len(method)} characters, is not inline")
        encoded, *rest = info.split("|")
        key = _decode(encoded)
        lifetime: int | None = None
        mki = b""
        # A lifetime holds no colon, an MKI always does: that tells which of the two a single field is.
        if rest and ":" not in rest[0]:
            lifetime = _parse_lifetime(rest.pop(0))
        if rest:
            mki = _parse_mki(rest.pop(0))
        if rest:
            raise CryptoAttributeError("syntax", f"{1 + len(rest)} fields more behind the key than lifetime and MKI")
        return cls(key, lifetime, mki)

    def serialize(self) -> str:
        text = "inline:" + base64.b64encode(bytes(self.key_and_salt)).decode()
        if self.lifetime is not None:
            power = self.lifetime.bit_length() - 1
            text += f"|2^{power}" if self.lifetime == 1 << power and power else f"|{self.lifetime}"
        if self.mki:
            text += f"|{int.from_bytes(self.mki)}:{len(self.mki)}"
        return text


def parse_key_params(text: str) -> tuple[InlineKey, ...]:
    """Parses one or more keys with `;` between them (9.1).

    Raises CryptoAttributeError for anything the grammar does not allow, more than 16 keys, several keys of which
    one lacks an MKI, and MKIs of unequal lengths or equal values.
    """
    texts = text.split(";")
    if len(texts) > MAX_KEYS:
        raise CryptoAttributeError("keys", f"{len(texts)} keys are more than {MAX_KEYS}")
    keys = tuple(InlineKey.parse(one) for one in texts)
    if len(keys) > 1:
        if not all(key.mki for key in keys):
            raise CryptoAttributeError("mki", "of several keys every one needs an MKI")
        if len({len(key.mki) for key in keys}) > 1:
            raise CryptoAttributeError("mki", "the MKIs of one line differ in length")
        if len({key.mki for key in keys}) < len(keys):
            raise CryptoAttributeError("mki", "two keys of one line have the same MKI")
    return keys


def decode_base64(encoded: str) -> bytes:
    """Returns what base64 stands for, padded or not (6.1); raises ValueError when it is none or over 4,096 long."""
    bare = encoded.rstrip("=")
    if not bare or len(bare) > _MAX_BASE64 or len(encoded) - len(bare) > 2:
        raise ValueError("no base64 text")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)


def _decode(encoded: str) -> SecretBytes:
    try:
        return SecretBytes(decode_base64(encoded))
    except (binascii.Error, ValueError):
        # Not chained: the cause's text and frames hold the key.
        raise CryptoAttributeError("base64", f"the key, of {len(encoded)} characters, is no base64 text") from None


def _parse_lifetime(text: str) -> int:
    match = _LIFETIME.fullmatch(text)
    if match is None or (match[1] and int(match[2]) > 48):
        raise CryptoAttributeError("lifetime", f"the lifetime, of {len(text)} characters, is not one from 1 to 2^48")
    return 1 << int(match[2]) if match[1] else int(match[2])


def _parse_mki(text: str) -> bytes:
    match = _MKI.fullmatch(text)
    if match is None:
        raise CryptoAttributeError("mki", f"the MKI, of {len(text)} characters, is not value:length")
    value, length = int(match[1]), int(match[2])
    if length > MAX_MKI_LENGTH or value >= 1 << 8 * length:
        raise CryptoAttributeError(
            "mki", f"the MKI does not fit {length} bytes, or they are more than {MAX_MKI_LENGTH}"
        )
    return value.to_bytes(length)
