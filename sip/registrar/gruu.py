"""Globally routable user agent URIs (RFC 5627): public ones that say the instance, temporary ones that hide it."""

from __future__ import annotations

import base64
import binascii
import secrets
from urllib.parse import quote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from srtp import SecretBytes

from ..message.uri import SipUri

PREFIX = "tgruu."
_SAFE = "-_.!~*'()[]/:&+$"  # what a URI parameter may hold unescaped
_NONCE_BYTES = 12
_INDEX_BYTES = 8
_TOKEN_BYTES = _NONCE_BYTES + 16 + _INDEX_BYTES


class TemporaryGruus:
    """Makes temporary GRUUs and reads them, with a 32-byte `secret` that all registrars of a domain share.

    As in RFC 5627 A.2 a GRUU holds a random part and an index of the instance, encrypted and authenticated as
    one, so that any number of them costs no memory and no two can be told to be of one instance. The cipher is
    AES-SIV (RFC 5297).
    """

    def __init__(self, secret: SecretBytes) -> None:
        self._cipher = AESSIV(bytes(secret))

    def create(self, gruu_index: int, domain: str, *, secure: bool = False) -> SipUri:
        """Returns a new temporary GRUU for an index of 64 bits; a sips one when `secure`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(gruu_index.to_bytes(_INDEX_BYTES, "big"), [nonce])
        user = PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode()
        return SipUri("sips" if secure else "sip", domain, user, parameters=(("gr", None),))

    def index_of(self, uri: SipUri) -> int | None:
        """Returns the index in a temporary GRUU of ours, or None when it is none."""
        if uri.user is None or not uri.user.startswith(PREFIX) or uri.parameter("gr") is None:
            return None
        try:
            token = base64.b64decode(uri.user[len(PREFIX) :], altchars=b"-_", validate=True)
            if len(token) != _TOKEN_BYTES:
                return None
            return int.from_bytes(self._cipher.decrypt(token[_NONCE_BYTES:], [token[:_NONCE_BYTES]]), "big")
        except (binascii.Error, ValueError, InvalidTag):
            return None


def new_gruu_index() -> int:
    """Returns a random index of 64 bits; the store sees to it that no two records have the same."""
    return secrets.randbits(8 * _INDEX_BYTES)


def public_gruu(aor: SipUri, instance: str, *, secure: bool = False) -> SipUri:
    """Returns the public GRUU (5.4): the address-of-record with the instance as its gr parameter."""
    parameters = (("gr", quote(instance, safe=_SAFE)),)
    return SipUri("sips" if secure else "sip", aor.host, aor.user, parameters=parameters)


def instance_of(uri: SipUri) -> str | None:
    """Returns the instance that a public GRUU names, or None when it names none."""
    value = uri.parameter("gr")
    return canonical_instance(value) if value else None


def canonical_instance(instance: str) -> str:
    """Returns an instance identifier in comparable form: UUIDs do not mind case (RFC 4122), other URNs may."""
    return instance.lower() if instance[:9].lower() == "urn:uuid:" else instance
