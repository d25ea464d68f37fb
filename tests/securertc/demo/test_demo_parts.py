"""What the demonstration is made of: the tune, the comparison of audio, the throw-away authority."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rtp import decode_pcma, decode_pcmu, encode_pcma, encode_pcmu
from securertc.demo.audio_comparison import compare
from securertc.demo.melody import shipped_melody, synthesise
from securertc.demo.throwaway_authority import ThrowawayAuthority
from sip import TlsVerificationError, verify_identity

SOUND = (np.sin(np.arange(8000) ** 1.2 / 15) * 15000).astype(np.int16)


def test_the_shipped_file_is_the_tune():
    tune = shipped_melody()
    assert tune.size == 40000
    # Another machine's sine may round otherwise.
    assert np.abs(tune.astype(int) - synthesise().astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("encoding", "through"),
    [("PCMU", lambda s: decode_pcmu(encode_pcmu(s))), ("PCMA", lambda s: decode_pcma(encode_pcma(s)))],
)
def test_what_came_through_the_codec_is_exact(encoding, through):
    found = compare(SOUND, through(SOUND), encoding=encoding)
    assert found.exact
    assert str(found) == "all 8000 samples exact"
    padded = np.concatenate((through(SOUND), np.zeros(100, np.int16)))
    assert compare(SOUND, padded, encoding=encoding).exact


def test_a_single_wrong_sample_is_seen():
    heard = decode_pcmu(encode_pcmu(SOUND))
    heard[1234] ^= 0x40
    found = compare(SOUND, heard, encoding="PCMU")
    assert not found.exact
    assert "MISMATCH: 7999 of 8000" in str(found)


@pytest.mark.parametrize("heard", [np.zeros(0, np.int16), np.zeros(8000, np.int16), SOUND[::-1], SOUND])
def test_other_audio_is_a_mismatch(heard):
    assert not compare(SOUND, heard, encoding="PCMU").exact


def test_a_lost_beginning_is_found():
    found = compare(SOUND, decode_pcmu(encode_pcmu(SOUND))[480:], encoding="PCMU")
    assert (found.offset, found.matching, found.exact) == (480, 7520, False)


def test_noise_behind_the_end_counts():
    heard = np.concatenate((decode_pcmu(encode_pcmu(SOUND)), np.full(160, 5000, np.int16)))
    assert not compare(SOUND, heard, encoding="PCMU").exact


def test_the_authority_certifies_domains_and_addresses(tmp_path):
    authority = ThrowawayAuthority(tmp_path)
    issued = authority.issue("bob", sip_domains=("remote.example",), addresses=("127.0.0.1",))
    pem = issued.certificate_path.read_bytes()
    certificate = x509.load_pem_x509_certificate(pem)
    root = x509.load_pem_x509_certificate(authority.certificate_path.read_bytes())
    certificate.verify_directly_issued_by(root)
    der = certificate.public_bytes(serialization.Encoding.DER)
    assert verify_identity(der, "remote.example") == ("remote.example", "SIP URI")
    assert verify_identity(der, "127.0.0.1")[0] == "127.0.0.1"
    with pytest.raises(TlsVerificationError):
        verify_identity(der, "bob")
    assert issued.key_path.stat().st_mode & 0o077 == 0
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days <= 1
    with pytest.raises(ValueError, match="needs a SIP domain"):
        authority.issue("nobody")
