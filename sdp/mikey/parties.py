"""Who takes part in an exchange: ourselves, and what we know of the peer (RFC 3830 4.3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate

from srtp import SecretBytes
from srtp.field_checks import check_fields

from .code_points import IdType
from .payloads import Id


def uri_id(uri: str) -> Id:
    """Returns the ID payload of a URI, such as "sip:alice@example.com"."""
    return Id(IdType.URI, uri.encode())


def nai_id(nai: str) -> Id:
    """Returns the ID payload of a network access identifier, such as "alice@example.com"."""
    return Id(IdType.NAI, nai.encode())


@dataclass(frozen=True, slots=True)
class Ourselves:
    """Our identity; for the modes with signatures, our RSA key and its certificate, with the chain behind it.

    With a `certificate_url` messages carry that instead of the certificates (RFC 4738 3.8): for peers that know
    the certificate or fetch it.
    """

    identity: Id
    private_key: RSAPrivateKey | None = field(default=None, repr=False)
    certificates: tuple[Certificate, ...] = field(default=(), repr=False)
    certificate_url: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Peer:
    """What we know of the other side.

    `identity` is whom it has to be. `pre_shared_key` is for PSK and DHHMAC. For the modes with signatures:
    `authorities`, whose certificates we trust to name it, or `certificate`, its own, which we trust as it is
    (and which PUBLIC_KEY, as it encrypts to it, needs before the first message).
    """

    identity: Id
    pre_shared_key: SecretBytes | None = None
    certificate: Certificate | None = field(default=None, repr=False)
    authorities: tuple[Certificate, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        check_fields(self)
