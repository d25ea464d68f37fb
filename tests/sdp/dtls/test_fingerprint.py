from __future__ import annotations

import copy
import hashlib
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from sdp.description.session_description import SessionDescription
from sdp.dtls import DtlsCertificate, Fingerprint, check_certificate, read_fingerprints
from sdp.dtls.fingerprint import KNOWN_HASH_FUNCTIONS, check_not_reflected, fingerprint_values
from sdp.errors import FingerprintError

RFC_8122_EXAMPLE = "SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB"


def test_example_of_rfc_8122() -> None:
    fingerprint = Fingerprint.parse(RFC_8122_EXAMPLE)
    assert (fingerprint.hash_function, len(fingerprint.digest)) == ("sha-1", 20)
    assert fingerprint.serialize() == "sha-1" + RFC_8122_EXAMPLE[5:]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("name", KNOWN_HASH_FUNCTIONS)
def test_the_same_as_openssl_prints(tmp_path: Path, alice: DtlsCertificate, name: str) -> None:
    (tmp_path / "certificate.der").write_bytes(alice.der)
    command = ["openssl", "x509", "-inform", "DER", "-in", "certificate.der", "-noout", "-fingerprint"]
    done = subprocess.run([*command, "-" + name.replace("-", "")], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode().strip().partition("=")[2] == alice.fingerprint(name).serialize().partition(" ")[2]


@given(name=st.sampled_from(KNOWN_HASH_FUNCTIONS), data=st.binary(), lower=st.booleans())
def test_round_trip_in_either_case(name: str, data: bytes, lower: bool) -> None:
    fingerprint = Fingerprint(name, hashlib.new(name.replace("-", ""), data).digest())
    text = fingerprint.serialize()
    assert Fingerprint.parse(text.lower() if lower else text.upper()) == fingerprint


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha-256",
        "sha-256 ",
        "sha-256 AB",
        "sha-256 " + ":".join(["AB"] * 31),
        "sha-256 " + ":".join(["AB"] * 33),
        "sha-256 " + "AB" * 32,
        "sha-256 " + ":".join(["GG"] * 32),
        "sha-256 " + ":".join(["AB"] * 32) + " more",
        "sha-256 " + ":".join(["AB"] * 200000),
        "a b",
        "\u017fha-256 " + ":".join(["AB"] * 32),
    ],
)
def test_malformed(value: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        Fingerprint.parse(value)
    assert caught.value.code == "malformed"


def test_every_supported_hash_must_match(alice: DtlsCertificate, mallory: DtlsCertificate) -> None:
    right, wrong = alice.fingerprint(), mallory.fingerprint("sha-512")
    check_certificate(alice.der, [right, alice.fingerprint("sha-512")])
    for both in ([right, wrong], [wrong, right], [right, mallory.fingerprint("sha-1")]):
        with pytest.raises(FingerprintError, match="not the sha") as caught:
            check_certificate(alice.der, both)
        assert caught.value.code == "mismatch"


def test_one_of_several_certificates(alice: DtlsCertificate, bob: DtlsCertificate, mallory: DtlsCertificate) -> None:
    """RFC 8122 5.1: the same hash functions for each certificate that might be used."""
    both = [one.fingerprint(name) for one in (alice, bob) for name in ("sha-256", "sha-384")]
    check_certificate(alice.der, both)
    check_certificate(bob.der, both)
    with pytest.raises(FingerprintError):
        check_certificate(mallory.der, both)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([], "missing"),
        ([RFC_8122_EXAMPLE], "hash"),
        (["md5 " + ":".join(["AB"] * 16)], "hash"),
        (["md2 " + ":".join(["AB"] * 16), "sha3-256 " + ":".join(["AB"] * 32)], "hash"),
        (["sha-256 " + ":".join(["AB"] * 32), "sha-512 AB"], "malformed"),
        (["sha-256 " + ":".join(["AB"] * 32)] * 33, "count"),
    ],
)
def test_fingerprints_that_prove_nothing(values: list[str], code: str) -> None:
    with pytest.raises(FingerprintError) as caught:
        read_fingerprints(values)
    assert caught.value.code == code


def test_unknown_hashes_beside_a_known_one_do_not_matter(alice: DtlsCertificate) -> None:
    values = ["sha3-256 " + ":".join(["AB"] * 32), alice.fingerprint().serialize(), "md5 " + ":".join(["00"] * 16)]
    check_certificate(alice.der, read_fingerprints(values))


def test_an_empty_list_and_unknown_hashes_verify_nothing(alice: DtlsCertificate) -> None:
    unknown = Fingerprint("sha3-256", hashlib.sha3_256(alice.der).digest())
    for nothing in ([], [unknown], [alice.fingerprint("sha-1")]):
        with pytest.raises(FingerprintError) as caught:
            check_certificate(alice.der, nothing)
        assert caught.value.code == "hash"


def test_our_own_fingerprint_coming_back(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    for name in KNOWN_HASH_FUNCTIONS:
        with pytest.raises(FingerprintError) as caught:
            check_not_reflected([bob.fingerprint(), alice.fingerprint(name)], alice.der)
        assert caught.value.code == "reflected"
    check_not_reflected([bob.fingerprint()], alice.der)


def test_the_sections_fingerprints_replace_the_sessions(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    session = f"a=fingerprint:{alice.fingerprint().serialize()}\r\n"
    media = "m=audio 5000 UDP/TLS/RTP/SAVP 0\r\n"
    own = f"a=fingerprint:{bob.fingerprint().serialize()}\r\n"
    of_both = SessionDescription.parse(head + session + media + own)
    of_session = SessionDescription.parse(head + session + media)
    assert read_fingerprints(fingerprint_values(of_both, of_both.media[0])) == (bob.fingerprint(),)
    assert read_fingerprints(fingerprint_values(of_session, of_session.media[0])) == (alice.fingerprint(),)


def test_a_certificate_shows_no_key_and_is_not_copied(alice: DtlsCertificate) -> None:
    assert repr(alice) == f"<DtlsCertificate {alice.fingerprint().serialize()}>"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(alice)


def test_certificates_from_pem(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    pem = alice.certificate.public_bytes(serialization.Encoding.PEM)

    def key_of(key: object) -> bytes:
        return key.private_bytes(  # type: ignore[attr-defined]
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    assert DtlsCertificate.from_pem(pem, key_of(alice.private_key)).fingerprint() == alice.fingerprint()
    with pytest.raises(ValueError, match="not that of the certificate"):
        DtlsCertificate.from_pem(pem, key_of(bob.private_key))
    with pytest.raises(ValueError, match="too short"):
        DtlsCertificate.from_pem(pem, key_of(rsa.generate_private_key(65537, 1024)))
