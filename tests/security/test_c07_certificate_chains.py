"""A chain of certificates that nobody has authenticated yet costs no more than one path through it."""

from __future__ import annotations

import datetime
import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from mikey_parties import NOW, RsaAuthority

from sdp.errors import MikeyRefusedError
from sdp.mikey import Ourselves, Peer, certificates, uri_id
from sdp.mikey.code_points import CertificateType
from sdp.mikey.message import Message
from sdp.mikey.payloads import Cert

ALICE = "sip:alice@example.com"
SECONDS = 20.0


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    subject: str, key: rsa.RSAPrivateKey, issuer: str, issuer_key: rsa.RSAPrivateKey, *, ca: bool = True
) -> x509.Certificate:
    now = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(not ca, False, not ca, False, False, ca, ca, False, False), critical=True)
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(subject)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def of_authorities_that_sign_each_other(count: int) -> list[x509.Certificate]:
    """A leaf, and as many certificates as a chain may have of authorities that each sign all others."""
    keys = [rsa.generate_private_key(65537, 2048) for _ in range(count)]
    mutual = [
        certificate(f"authority {one}", keys[one], f"authority {other}", keys[other])
        for one, other in itertools.permutations(range(count), 2)
    ]
    leaf = certificate(ALICE, rsa.generate_private_key(65537, 2048), "authority 0", keys[0], ca=False)
    issuer = next(one for one in mutual if one.subject == leaf.issuer)
    rest = sorted((one for one in mutual if one is not issuer), key=lambda one: one.serial_number)
    chain = [issuer, *rest[: certificates.MAX_CHAIN - 2]]
    return [leaf, *sorted(chain, key=lambda one: one.serial_number)]  # in no order


def of_one_name() -> list[x509.Certificate]:
    """A leaf, and certificates of which each may have issued every other."""
    key = rsa.generate_private_key(65537, 2048)
    leaf = certificate(ALICE, rsa.generate_private_key(65537, 2048), "authority", key, ca=False)
    return [leaf, *(certificate("authority", key, "authority", key) for _ in range(certificates.MAX_CHAIN - 1))]


KINDS = {
    "three": lambda: of_authorities_that_sign_each_other(3),
    "four": lambda: of_authorities_that_sign_each_other(4),
    "one name": of_one_name,
}


def message_with(chain: list[x509.Certificate]) -> Message:
    """What carries the chain; nothing else of it is looked at here."""
    der = serialization.Encoding.DER

    class Carrier:
        def all(self, kind: type[Cert]) -> tuple[Cert, ...]:
            return tuple(Cert(CertificateType.X509V3, one.public_bytes(der)) for one in chain)

    return Carrier()  # type: ignore[return-value]


def refusal_of(chain: list[x509.Certificate], authorities: tuple[x509.Certificate, ...]) -> str:
    with pytest.raises(MikeyRefusedError) as refused:
        certificates.public_key_of(message_with(chain), Peer(uri_id(ALICE), authorities=authorities), NOW)
    return str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_the_verifier_sees_one_path(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each certificate the issuer of the one before it, and no name twice: there is nothing to search."""
    seen: list[list[x509.Certificate]] = []
    real = certificates.PolicyBuilder

    class Recording:
        def __init__(self, inner: object = None) -> None:
            self._inner = inner or real()

        def __getattr__(self, wanted: str):
            def call(*given: object):
                if wanted == "verify":
                    seen.append([given[0], *given[1]])  # type: ignore[misc,list-item]
                    raise ValueError("not looked at any further")
                return Recording(getattr(self._inner, wanted)(*given))

            return call

    monkeypatch.setattr(certificates, "PolicyBuilder", Recording)
    refusal_of(KINDS[kind](), (RsaAuthority("Trusted").root,))
    (path,) = seen
    for one, issuer in itertools.pairwise(path):
        assert one.issuer == issuer.subject
    subjects = [one.subject for one in path]
    assert len(set(subjects)) == len(subjects)
    assert 2 <= len(path) <= 5


@pytest.mark.parametrize("kind", KINDS)
def test_authorities_that_sign_each_other_take_no_time(kind: str) -> None:
    """In a process of its own: what searches here holds the interpreter, and takes minutes."""
    program = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}
        import test_c07_certificate_chains as here
        chain = here.KINDS[{kind!r}]()
        print(here.refusal_of(chain, (here.RsaAuthority("Trusted").root,)))
        """
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert "does not verify" in ended.stdout


def parties() -> tuple[Ourselves, RsaAuthority]:
    authority = RsaAuthority("Example")
    return authority.issue(ALICE), authority


def test_chains_in_any_order_lead_to_the_authority() -> None:
    """Certificates that lead nowhere, and the root itself, do no harm."""
    ours, authority = parties()
    leaf, intermediate = ours.certificates
    elsewhere = RsaAuthority("Elsewhere")
    for chain in (
        [leaf, intermediate],
        [leaf, elsewhere.intermediate, intermediate],
        [leaf, intermediate, authority.root, elsewhere.root],
        [leaf, authority.root, intermediate, leaf],
    ):
        key = certificates.public_key_of(message_with(chain), Peer(uri_id(ALICE), authorities=(authority.root,)), NOW)
        assert key == leaf.public_key()
    assert "does not verify" in refusal_of([leaf], (authority.root,))
    assert "does not verify" in refusal_of([leaf, elsewhere.intermediate], (authority.root,))


@pytest.mark.parametrize("whose", ["leaf", "intermediate"])
def test_a_name_with_a_string_of_no_known_type(whose: str) -> None:
    """The names of a certificate are read lazily, and then raise what is no ValueError."""
    ours, authority = parties()
    damaged = {
        "leaf": (ours.certificates[0], ALICE.encode()),
        "intermediate": (ours.certificates[1], b"Example 2"),
    }
    certificate_of, text = damaged[whose]
    der = certificate_of.public_bytes(serialization.Encoding.DER)
    at = der.index(text) - 2
    assert der[at] == 0x0C  # UTF8String
    broken = der[:at] + bytes([13]) + der[at + 1 :]
    payloads = [one.public_bytes(serialization.Encoding.DER) for one in ours.certificates]
    payloads[0 if whose == "leaf" else 1] = broken

    class Carrier:
        def all(self, kind: type[Cert]) -> tuple[Cert, ...]:
            return tuple(Cert(CertificateType.X509V3, one) for one in payloads)

    with pytest.raises(MikeyRefusedError):
        certificates.public_key_of(
            Carrier(),  # type: ignore[arg-type]
            Peer(uri_id(ALICE), authorities=(authority.root,)),
            NOW,
        )
