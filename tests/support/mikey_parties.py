"""Alice, Bob and Mallory for MIKEY: RSA keys, certificates of a test's authority, and a pre-shared key."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sdp.mikey import (
    Initiator,
    Ourselves,
    Peer,
    Proposal,
    ReplayCache,
    Responder,
    ResponderSettings,
    SrtpId,
    uri_id,
)
from srtp import SecretBytes

NOW = 1_800_000_000.0  # 2027-01-15
ALICE_SSRC, BOB_SSRC = 0xA11CE, 0xB0B
STREAMS = (SrtpId(0, ALICE_SSRC), SrtpId(0, 0))


class RsaAuthority:
    """An authority that is valid about NOW, with an intermediate one, and issues certificates for SIP URIs."""

    def __init__(self, name: str) -> None:
        self._root_key = rsa.generate_private_key(65537, 2048)
        self._key = rsa.generate_private_key(65537, 2048)
        self.root = self._certificate(name, self._root_key.public_key(), name, self._root_key, ca=True)
        self.intermediate = self._certificate(f"{name} 2", self._key.public_key(), name, self._root_key, ca=True)
        self._name = name

    def issue(
        self, uri: str, *, bits: int = 2048, days: int = 2, signs: bool = True, encrypts: bool = True
    ) -> Ourselves:
        """A party of this URI, with its key and chain."""
        key = rsa.generate_private_key(65537, bits)
        certificate = self._certificate(
            uri, key.public_key(), f"{self._name} 2", self._key, days=days, usage=(signs, encrypts)
        )
        return Ourselves(uri_id(uri), key, (certificate, self.intermediate))

    def _certificate(
        self,
        name: str,
        key: rsa.RSAPublicKey,
        issuer: str,
        issuer_key: rsa.RSAPrivateKey,
        *,
        ca: bool = False,
        days: int = 2,
        usage: tuple[bool, bool] = (False, False),
    ) -> x509.Certificate:
        now = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now - datetime.timedelta(days=1) + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(usage[0], False, usage[1], False, False, ca, ca, False, False),
                critical=True,
            )
        )
        if not ca:
            names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())


@dataclass(frozen=True)
class Pair:
    """Alice and Bob, and what each knows of the other."""

    alice: Ourselves
    bob: Ourselves
    authority: RsaAuthority
    psk: SecretBytes = field(default_factory=lambda: SecretBytes(b"a pre-shared key of thirty-two b"))

    def bob_to_alice(self) -> Peer:
        """What Alice knows of Bob."""
        return Peer(self.bob.identity, self.psk, self.bob.certificates[0], (self.authority.root,))

    def alice_to_bob(self) -> Peer:
        """What Bob knows of Alice: her name, key and authority, not her certificate."""
        return Peer(self.alice.identity, self.psk, None, (self.authority.root,))

    def initiator(self, proposal: Proposal, **more: object) -> Initiator:
        return Initiator(proposal, self.alice, self.bob_to_alice(), **more)  # type: ignore[arg-type]

    def responder(self, *, cache: ReplayCache | None = None, **settings: object) -> Responder:
        peer = self.alice_to_bob()
        made = ResponderSettings(**settings)  # type: ignore[arg-type]
        return Responder(
            self.bob,
            lambda claimed: peer if claimed in (None, peer.identity) else None,
            ReplayCache() if cache is None else cache,
            made,
        )

    def reversed(self) -> Pair:
        """Bob calls Alice."""
        return replace(self, alice=self.bob, bob=self.alice)
