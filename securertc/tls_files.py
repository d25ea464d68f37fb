"""The files that an endpoint's TLS is made of."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from sip import client_context, server_context
from srtp.field_checks import check_fields


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: our certificate with its key (or the key apart), and the authorities trusted (None: the system's).

    With `require_client_certificate` callers over TLS must show one of those authorities.
    """

    certificate: str | Path | None = None
    key: str | Path | None = None
    ca_file: str | Path | None = None
    require_client_certificate: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def client_context(self) -> ssl.SSLContext:
        """Returns the context of connections that we open; raises TlsFileError for files that cannot be used."""
        return client_context(ca_file=self.ca_file, certificate=self.certificate, key=self.key)

    def server_context(self) -> ssl.SSLContext:
        """Returns the context of connections to us; raises as client_context(), and ValueError without certificate."""
        if self.certificate is None:
            raise ValueError("listening on TLS needs a certificate")
        authorities = self.ca_file if self.require_client_certificate else None
        return server_context(self.certificate, self.key, client_ca_file=authorities)
