"""Our certificate for DTLS: self-signed, as its fingerprint in SDP is what proves it (RFC 5763 5)."""

from __future__ import annotations

import datetime
import secrets

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .fingerprint import Fingerprint

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
MIN_RSA_BITS = 2048


class DtlsCertificate:
    """A certificate with its private key, to be used for one session or for many.

    Raises ValueError when the key is neither EC nor RSA of at least 2048 bits, or is not that of the certificate.
    """

    __slots__ = ("_der", "_private_key", "certificate")

    def __init__(self, certificate: x509.Certificate, private_key: PrivateKey) -> None:
        if isinstance(private_key, rsa.RSAPrivateKey):
            if private_key.key_size < MIN_RSA_BITS:
                raise ValueError(f"an RSA key of {private_key.key_size} bits is too short")
        elif not isinstance(private_key, ec.EllipticCurvePrivateKey):
            raise ValueError("the private key is neither EC nor RSA")
        if certificate.public_key() != private_key.public_key():
            raise ValueError("the private key is not that of the certificate")
        self.certificate = certificate
        self._private_key = private_key
        self._der = certificate.public_bytes(serialization.Encoding.DER)

    @classmethod
    def generate(cls, *, days: int = 30, now: datetime.datetime | None = None) -> DtlsCertificate:
        """Returns a new self-signed certificate on the curve P-256, with a random name that says nothing of us."""
        private_key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(16))])
        now = now or datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private_key.public_key())
            .serial_number(x509.random_serial_number())
            # A day of grace for peers whose clocks are slow and who look at it.
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=days))
            .sign(private_key, hashes.SHA256())
        )
        return cls(certificate, private_key)

    @classmethod
    def from_pem(cls, certificate: bytes, private_key: bytes, password: bytes | None = None) -> DtlsCertificate:
        """Returns the certificate and key in PEM; raises ValueError when they cannot be read or do not fit."""
        key = serialization.load_pem_private_key(private_key, password)
        return cls(x509.load_pem_x509_certificate(certificate), key)  # type: ignore[arg-type]  # checked there

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self._der

    @property
    def private_key(self) -> PrivateKey:
        """The private key."""
        return self._private_key

    def fingerprint(self, hash_function: str = "sha-256") -> Fingerprint:
        """Returns the certificate's fingerprint; raises FingerprintError for an unknown hash function."""
        return Fingerprint.of(self._der, hash_function)

    def __repr__(self) -> str:
        return f"<DtlsCertificate {self.fingerprint().serialize()}>"

    def __reduce__(self) -> str:
        raise TypeError("a DtlsCertificate has a private key and is not pickled or copied")
