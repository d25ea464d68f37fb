"""Security descriptions: the grammar and the rules of one `a=crypto` attribute (RFC 4568 9, 6)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from srtp import Profile, SecretBytes

from .errors import CryptoAttributeError

MAX_MKI_LENGTH = 128
MAX_LIFETIME_SRTP = 1 << 48
_MAX_KEYS = 16
_SUITE = re.compile(r"[A-Za-z0-9_]{1,64}")
_TAG = re.compile(r"[0-9]{1,9}")
_LIFETIME = re.compile(r"(2\^)?([1-9][0-9]{0,17})")
_MKI = re.compile(r"([1-9][0-9]{0,400}):([1-9][0-9]{0,2})")
_WINDOW_HINT = re.compile(r"[1-9][0-9]{1,4}")
_KNOWN_FLAGS = frozenset(("UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP"))

SUPPORTED_SUITES: dict[str, Profile] = {
    "AES_CM_128_HMAC_SHA1_80": Profile.AES_CM_128_HMAC_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Profile.AES_CM_128_HMAC_SHA1_32,
}


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
            raise CryptoAttributeError("key-method", f"the key method is {method[:20]!r}, not inline")
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
            raise CryptoAttributeError("syntax", "more fields behind the key than lifetime and MKI")
        return cls(key, lifetime, mki)

    def serialize(self) -> str:
        text = "inline:" + base64.b64encode(bytes(self.key_and_salt)).decode()
        if self.lifetime is not None:
            power = self.lifetime.bit_length() - 1
            text += f"|2^{power}" if self.lifetime == 1 << power and power else f"|{self.lifetime}"
        if self.mki:
            text += f"|{int.from_bytes(self.mki)}:{len(self.mki)}"
        return text


@dataclass(frozen=True, slots=True)
class CryptoAttribute:
    """One `a=crypto` attribute: tag, crypto suite, keys, session parameters in order and as text."""

    tag: int
    crypto_suite: str
    keys: tuple[InlineKey, ...]
    session_params: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: str) -> CryptoAttribute:
        """Parses the attribute's value (what stands behind `a=crypto:`).

        Base64 may be padded or not; white space behind the `;` between keys is taken, as the RFC's own
        example has it. Raises CryptoAttributeError, whose code names the reason, for anything the grammar
        does not allow, several keys of which one lacks an MKI, and MKIs of unequal lengths or equal values.
        """
        fields = re.sub(r";[ \t]+(?=inline:)", ";", value.strip()).split()
        if len(fields) < 3:
            raise CryptoAttributeError("syntax", "tag, crypto suite and key are needed")
        tag, suite, key_params, *session_params = fields
        if not _TAG.fullmatch(tag):
            raise CryptoAttributeError("syntax", f"the tag {tag[:20]!r} is not 1 to 9 digits")
        if not _SUITE.fullmatch(suite):
            raise CryptoAttributeError("syntax", "the crypto suite is no name")
        if any(parameter.endswith(";") for parameter in session_params):
            raise CryptoAttributeError("syntax", "a session parameter ends in ';'")
        texts = key_params.split(";")
        if len(texts) > _MAX_KEYS:
            raise CryptoAttributeError("keys", f"{len(texts)} keys are more than {_MAX_KEYS}")
        keys = tuple(InlineKey.parse(text) for text in texts)
        _check_keys(keys)
        return cls(int(tag), suite, keys, tuple(session_params))

    def serialize(self) -> str:
        keys = ";".join(key.serialize() for key in self.keys)
        return " ".join((str(self.tag), self.crypto_suite, keys, *self.session_params))

    @property
    def subject(self) -> str:
        """What an error may call it: tag and suite, without the key."""
        return f"a=crypto:{self.tag} {self.crypto_suite}"

    def check_supported(self) -> Profile:
        """Returns the profile of the suite when this attribute can be honoured in full.

        Raises CryptoAttributeError when the suite is not supported, the key has not the suite's length, the
        lifetime is out of range, there are several keys, or a session parameter asks for what is not done;
        a parameter that starts with `-` may be ignored (6.3.7).
        """
        profile = SUPPORTED_SUITES.get(self.crypto_suite)
        if profile is None:
            raise CryptoAttributeError("suite", f"the crypto suite {self.crypto_suite} is not supported")
        if len(self.keys) > 1:
            raise CryptoAttributeError("keys", f"{len(self.keys)} keys in one line are not supported")
        for key in self.keys:
            wanted = profile.master_key_length + profile.master_salt_length
            if len(key.key_and_salt) != wanted:
                raise CryptoAttributeError(
                    "key-length", f"key and salt have {len(key.key_and_salt)} bytes, not {wanted}"
                )
            if key.lifetime is not None and key.lifetime > MAX_LIFETIME_SRTP:
                raise CryptoAttributeError("lifetime", "the lifetime is longer than 2^48 packets")
        for parameter in self.session_params:
            _check_session_parameter(parameter)
        return profile


def _decode(encoded: str) -> SecretBytes:
    bare = encoded.rstrip("=")
    if not bare or len(bare) > 4096 or len(encoded) - len(bare) > 2:
        raise CryptoAttributeError("base64", "the key is no base64 text")
    try:
        return SecretBytes(base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True))
    except (binascii.Error, ValueError):
        # Not chained: the cause's text and frames hold the key.
        raise CryptoAttributeError("base64", "the key is no base64 text") from None


def _parse_lifetime(text: str) -> int:
    match = _LIFETIME.fullmatch(text)
    if match is None or (match[1] and int(match[2]) > 48):
        raise CryptoAttributeError("lifetime", f"the lifetime {text[:20]!r} is not one from 1 to 2^48")
    return 1 << int(match[2]) if match[1] else int(match[2])


def _parse_mki(text: str) -> bytes:
    match = _MKI.fullmatch(text)
    if match is None:
        raise CryptoAttributeError("mki", "the MKI is not value:length")
    value, length = int(match[1]), int(match[2])
    if length > MAX_MKI_LENGTH or value >= 1 << 8 * length:
        raise CryptoAttributeError(
            "mki", f"the MKI does not fit {length} bytes, or they are more than {MAX_MKI_LENGTH}"
        )
    return value.to_bytes(length)


def _check_keys(keys: tuple[InlineKey, ...]) -> None:
    if len(keys) == 1:
        return
    if not all(key.mki for key in keys):
        raise CryptoAttributeError("mki", "of several keys every one needs an MKI")
    if len({len(key.mki) for key in keys}) > 1:
        raise CryptoAttributeError("mki", "the MKIs of one line differ in length")
    if len({key.mki for key in keys}) < len(keys):
        raise CryptoAttributeError("mki", "two keys of one line have the same MKI")


def _check_session_parameter(parameter: str) -> None:
    name, _, value = parameter.partition("=")
    if name == "KDR" and value == "0":
        return
    if name == "WSH" and _WINDOW_HINT.fullmatch(value) and int(value) >= 64:
        return
    if name.startswith("-"):
        return
    if name in _KNOWN_FLAGS:
        raise CryptoAttributeError("weakened", f"{name} is not allowed by the policy")
    raise CryptoAttributeError("session-parameter", f"the session parameter {name[:40]} is not supported")
