"""Faults found in other implementations of SRTP, each shown not to be ours.

The tests here are those that stand nowhere else; ELSEWHERE names those that do, so that none gets lost.
"""

from __future__ import annotations

import ast
import hmac
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rtp_packets import rtcp, rtp

from srtp import (
    AuthenticationError,
    Direction,
    MalformedPacketError,
    PacketTooOldError,
    Policy,
    Profile,
    ReplayError,
    Session,
    UnencryptedPacketError,
    available_kernels,
)

SSRC = 0xCAFEBABE
AEAD = [profile for profile in Profile if profile.is_aead]
# The fault, and the tests that show it is not ours.
ELSEWHERE = {
    "rtpengine: a packet index of 32 bits, so that ROCs above 65,535 go wrong": [
        "test_transforms.py::test_every_profile_is_as_its_rfc_says",
        "test_session.py::test_roc_set_before_the_first_packet",
    ],
    "rtpengine: the index moves before authentication; no replay list": [
        "test_damaged_packets.py::test_nothing_damaged_is_taken",
        "test_session.py::test_replay_window",
    ],
    "rtpengine, re: tags compared by memcmp": [
        "test_core_native.py::test_no_branch_or_index_depends_on_a_secret",
        "test_kernels_native.py::test_no_branch_or_index_depends_on_a_secret",
    ],
    "re: an SSRC flood makes streams": ["test_damaged_packets.py::test_a_flood_of_ssrcs_takes_no_memory"],
    "libsrtp, pion (right there): streams are made after authentication only": [
        "test_session.py::test_flood_of_forged_ssrcs_makes_no_stream",
        "test_session.py::test_forged_packets_change_nothing",
    ],
    "libsrtp with OpenSSL 3: ciphers fetched for every packet": ["test_session.py::test_in_place_takes_no_memory"],
    "rtpengine: SRTCP r of 48 bits, RFC 3711 erratum 3712": [
        "test_transforms.py::test_srtcp_key_derivation_uses_48_bits_of_r"
    ],
    "the master salt of GCM, 96 bits, is padded on the right": [
        "test_differential.py::test_random_packets_both_ways",
        "test_transforms.py::test_every_profile_is_as_its_rfc_says",
    ],
    "VoIP: one ROC for all SSRCs, a header taken as 12 bytes": [
        "test_session.py::test_two_sources_across_a_wrap_with_csrcs_and_extension"
    ],
    "PJSIP: the ROC starts anew when the keys of a call are renewed": [
        "test_master_keys.py::test_rekey_makes_before_it_breaks"
    ],
    "libpeer: what failed to open was handed on": [
        "test_damaged_packets.py::test_nothing_damaged_is_taken",
        "test_batch.py::test_batch_is_one_by_one",
    ],
}


@pytest.mark.parametrize("tests", ELSEWHERE.values(), ids=list(ELSEWHERE))
def test_the_tests_named_are_there(tests: list[str]) -> None:
    for test in tests:
        file, name = test.split("::")
        tree = ast.parse((Path(__file__).parent / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test


@pytest.fixture(params=available_kernels())
def kernels(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def policy(profile: Profile, **more: object) -> Policy:
    key, salt = bytes(range(profile.master_key_length)), bytes(range(60, 60 + profile.master_salt_length))
    return Policy(profile, key, salt, **more)


def derived(profile: Profile, label: int, length: int) -> bytes:
    """A session key, by another implementation of AES."""
    one = policy(profile)
    x = int.from_bytes(bytes(one.master_salt).ljust(14, b"\0")) ^ label << 48
    block = (x << 16).to_bytes(16)
    return Cipher(algorithms.AES(bytes(one.master_key)), modes.CTR(block)).encryptor().update(bytes(length))


def reference_srtcp(profile: Profile, packet: bytes, index: int, *, mki: bytes, encrypt: bool) -> bytes:
    """RFC 3711 3.4 and RFC 7714 9 in a few lines: the order of tag, index word and MKI differs."""
    word = struct.pack("!I", encrypt << 31 | index)
    key, salt = derived(profile, 3, profile.master_key_length), derived(profile, 5, profile.master_salt_length)
    ssrc = int.from_bytes(packet[4:8])
    if profile.is_aead:
        nonce = (int.from_bytes(salt) ^ (ssrc << 48 | index)).to_bytes(12)
        clear, text = (packet[:8], packet[8:]) if encrypt else (packet, b"")
        return clear + AESGCM(key).encrypt(nonce, text, clear + word) + word + mki
    counter = int.from_bytes(salt) << 16 ^ ssrc << 64 ^ index << 16
    body = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16))).encryptor().update(packet[8:])
    out = packet[:8] + (body if encrypt else packet[8:]) + word
    return out + mki + hmac.digest(derived(profile, 4, 20), out, "sha1")[:10]


@pytest.mark.parametrize("encrypt", [True, False])
@pytest.mark.parametrize(
    "profile", [p for p in Profile if p.is_aead or p.name.startswith("AES")], ids=lambda profile: profile.name
)
def test_srtcp_is_laid_out_as_the_rfcs_say(kernels: str, profile: Profile, encrypt: bool) -> None:
    """GCM: tag, E || index, MKI. Otherwise: E || index, MKI, tag. With the IV of AES-256 that old libsrtp got wrong."""
    one = policy(profile, mki=b"mki", encrypt_rtcp=encrypt)
    sender, receiver = Session(one, None, kernels=kernels), Session(None, one, kernels=kernels)
    for index, words in enumerate((1, 2, 6, 40)):
        report = rtcp(words=words)
        protected = sender.protect_rtcp(report)
        assert protected == reference_srtcp(profile, report, index, mki=b"mki", encrypt=encrypt)
        assert receiver.unprotect_rtcp(protected) == report


@pytest.mark.parametrize("profile", AEAD)
def test_srtcp_in_clear_under_gcm_has_a_tag(profile: Profile) -> None:
    """rtpengine took unencrypted SRTCP without looking at a tag, and sent it without one."""
    report = rtcp()
    for receiver in (Session(None, policy(profile)), Session(None, policy(profile, encrypt_rtcp=False))):
        for tag in (b"", bytes(16), report[:16]):
            with pytest.raises((AuthenticationError, MalformedPacketError)):
                receiver.unprotect_rtcp(report + tag + bytes(4))
        assert receiver.state(Direction.INBOUND).streams == ()
    sent = Session(policy(profile, encrypt_rtcp=False), None).protect_rtcp(report)
    assert len(sent) == len(report) + 16 + 4
    with pytest.raises(UnencryptedPacketError):
        Session(None, policy(profile)).unprotect_rtcp(sent)


@pytest.mark.parametrize("profile", list(Profile))
def test_a_forged_packet_does_not_wrap_the_sequence_number(profile: Profile) -> None:
    """re counted the ROC up before it looked at the tag: one forged packet, and nothing opened any more."""
    sender, receiver = Session(policy(profile), None), Session(None, policy(profile))
    assert receiver.unprotect(sender.protect(rtp(65533))) == rtp(65533)
    for sequence_number in (0, 5, 1000, 40000):
        with pytest.raises((AuthenticationError, ReplayError)):
            receiver.unprotect(rtp(sequence_number, payload=bytes(40)))
    assert receiver.roc(SSRC, Direction.INBOUND) == 0
    for sequence_number in (65534, 65535, 65536, 65537):
        assert receiver.unprotect(sender.protect(rtp(sequence_number))) == rtp(sequence_number)
    assert receiver.roc(SSRC, Direction.INBOUND) == 1


@pytest.mark.parametrize("profile", list(Profile))
def test_old_packets_sent_again_do_not_start_the_stream_anew(profile: Profile) -> None:
    """PJSIP: after enough replayed packets it took the stream for restarted, and them for good."""
    sender, receiver = Session(policy(profile), None), Session(None, policy(profile))
    old = [sender.protect(rtp(number)) for number in range(100)]
    for packet in old:
        receiver.unprotect(packet)
    for number in range(100, 300):
        receiver.unprotect(sender.protect(rtp(number)))
    before = receiver.state(Direction.INBOUND).streams[0].rtp_replay
    for packet in old * 10:
        with pytest.raises(PacketTooOldError):
            receiver.unprotect(packet)
    assert receiver.state(Direction.INBOUND).streams[0].rtp_replay == before
    assert receiver.unprotect(sender.protect(rtp(300))) == rtp(300)
