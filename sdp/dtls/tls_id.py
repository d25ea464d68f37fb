"""The identity of a DTLS association in SDP (a=tls-id, RFC 8842 4)."""

from __future__ import annotations

import re
import secrets

from ..description.session_description import MediaDescription
from ..errors import DtlsAttributeError

_TLS_ID = re.compile(r"[A-Za-z0-9+/_\-]{20,255}")


def new_tls_id() -> str:
    """Returns a new value, of 192 random bits (at least 120 are asked for)."""
    return secrets.token_urlsafe(24)


def tls_id_of(section: MediaDescription) -> str | None:
    """Returns the a=tls-id of a section, None without; raises DtlsAttributeError when it is malformed."""
    value = section.attribute("tls-id")
    if value is not None and not _TLS_ID.fullmatch(value):
        raise DtlsAttributeError("tls-id", "a=tls-id is not 20 to 255 letters, digits and + / - _")
    return value
