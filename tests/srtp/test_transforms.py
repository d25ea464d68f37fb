"""Every transform against the vectors of its RFC, or against a derivation of the test's own over `cryptography`."""

from __future__ import annotations

import hmac
import json
import struct
from pathlib import Path

import pylibsrtp
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rtp_packets import rtcp, rtp

from srtp import (
    AuthenticationError,
    Cryptex,
    Direction,
    PacketStatus,
    Policy,
    PolicyError,
    Profile,
    ReplayError,
    RocCarrying,
    Session,
    TooManyStreamsError,
    UnencryptedPacketError,
    available_kernels,
)

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
CRYPTEX = json.loads((VECTORS / "rfc9335_cryptex.json").read_text())["cases"]
SSRC = 0xCAFEBABE


@pytest.fixture(params=available_kernels())
def kernels(request):
    return request.param


def policy(profile=Profile.AES_CM_128_HMAC_SHA1_80, **more):
    return Policy(
        profile, bytes(range(profile.master_key_length)), bytes(range(50, 50 + profile.master_salt_length)), **more
    )


def pair(profile=Profile.AES_CM_128_HMAC_SHA1_80, **more):
    return Session(policy(profile, **more), None), Session(None, policy(profile, **more))


def aes_ctr(key, block, data):
    encryptor = Cipher(algorithms.AES(key), modes.CTR(block)).encryptor()
    return encryptor.update(data)


def derived(key, salt, label, r, length):
    """RFC 3711 4.3.1, written anew."""
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ (label << 48 | r)
    return aes_ctr(key, (x << 16).to_bytes(16, "big"), bytes(length))


def reference(profile, packet, roc, r=0, *, mki=b""):
    """SRTP of RFC 3711, RFC 6188 and RFC 7714 in a few lines; the packet has no CSRC and no extension."""
    key, salt = bytes(range(profile.master_key_length)), bytes(range(50, 50 + profile.master_salt_length))
    n = len(key)
    k_e, k_a = derived(key, salt, 0, r, n), derived(key, salt, 1, r, 20)
    k_s = derived(key, salt, 2, r, len(salt))
    header, payload = packet[:12], packet[12:]
    sequence_number = int.from_bytes(packet[2:4], "big")
    index, ssrc = roc << 16 | sequence_number, int.from_bytes(packet[8:12], "big")
    if profile.is_aead:
        nonce = (int.from_bytes(k_s, "big") ^ (ssrc << 48 | index)).to_bytes(12, "big")
        return header + AESGCM(k_e).encrypt(nonce, payload, header) + mki
    if profile.name.startswith("F8"):
        encrypted = f8(k_e, k_s, b"\0" + header[1:] + struct.pack("!I", roc), payload)
    elif profile.encrypts:
        block = int.from_bytes(k_s, "big") << 16 ^ ssrc << 64 ^ index << 16
        encrypted = aes_ctr(k_e, block.to_bytes(16, "big"), payload)
    else:
        encrypted = payload
    tag = hmac.digest(k_a, header + encrypted + struct.pack("!I", roc), "sha1")[: profile.rtp_tag_length]
    return header + encrypted + mki + tag


def f8(key, salt, iv, data):
    """RFC 3711 4.1.2.1, written anew."""

    def e(k, block):
        return Cipher(algorithms.AES(k), modes.ECB()).encryptor().update(block)

    def xor(*blocks):
        total = 0
        for block in blocks:
            total ^= int.from_bytes(block, "big")
        return total.to_bytes(16, "big")

    masked_iv = e(xor(key, salt + b"\x55" * (16 - len(salt))), iv)
    s, out = bytes(16), b""
    for j in range(0, len(data), 16):
        s = e(key, xor(masked_iv, (j // 16).to_bytes(16, "big"), s))
        out += bytes(a ^ b for a, b in zip(data[j : j + 16], s, strict=False))
    return out


def test_our_f8_reference_gives_the_vectors_of_rfc_3711_b1():
    iv = bytes.fromhex("006e5cba50681de55c621599d462564a")
    plain = b"pseudorandomness is the next best thing"
    found = f8(bytes.fromhex("234829008467be186c3de14aae72d62c"), bytes.fromhex("32f2870d"), iv, plain)
    assert found.hex() == "019ce7a26e7854014a6366aa95d4eefd1ad4172a14f9faf455b7f1d4b62bd08f562c0eef7c4802"


@pytest.mark.parametrize("profile", list(Profile))
def test_every_profile_is_as_its_rfc_says(kernels, profile):
    sender = Session(policy(profile, mki=b"\1\2"), None, kernels=kernels)
    receiver = Session(None, policy(profile, mki=b"\1\2"), kernels=kernels)
    sender.set_roc(SSRC, Direction.OUTBOUND, 0x12345)
    receiver.set_roc(SSRC, Direction.INBOUND, 0x12345)
    for sequence_number, length in enumerate((0, 1, 15, 16, 17, 160, 1200)):
        packet = rtp(sequence_number, payload=bytes(range(256)) * 5)[: 12 + length]
        protected = sender.protect(packet)
        assert protected == reference(profile, packet, 0x12345, mki=b"\1\2")
        assert receiver.unprotect(protected) == packet


@pytest.mark.parametrize(
    "profile", [Profile.AES_CM_128_HMAC_SHA1_80, Profile.F8_128_HMAC_SHA1_80, Profile.AEAD_AES_256_GCM]
)
def test_key_derivation_rate(profile):
    sender, receiver = pair(profile, key_derivation_rate=16)
    for sequence_number in range(1, 50):
        packet = rtp(sequence_number)
        protected = sender.protect(packet)
        assert protected == reference(profile, packet, 0, sequence_number // 16)
        assert receiver.unprotect(protected) == packet


def test_key_derivation_rate_with_reordering_across_a_boundary():
    sender, receiver = pair(key_derivation_rate=2)
    packets = [rtp(i) for i in range(1, 40)]
    protected = [sender.protect(packet) for packet in packets]
    for i in (*range(20, 39), *range(20)):
        assert receiver.unprotect(protected[i]) == packets[i]


def test_srtcp_key_derivation_uses_48_bits_of_r():
    """RFC 3711 erratum 3712: the label stays at byte 7 of x, whatever the length of r."""
    one = policy(key_derivation_rate=1)
    sender = Session(one, None)
    packet = rtcp()
    for _ in range(3):
        sender.protect_rtcp(packet)
    protected = sender.protect_rtcp(packet)  # index 3, so r is 3
    key, salt = bytes(range(16)), bytes(range(50, 64))
    k_e, k_s = derived(key, salt, 3, 3, 16), derived(key, salt, 5, 3, 14)
    block = int.from_bytes(k_s, "big") << 16 ^ SSRC << 64 ^ 3 << 16
    assert protected[8 : len(packet)] == aes_ctr(k_e, block.to_bytes(16, "big"), packet[8:])
    assert Session(None, one).unprotect_rtcp(protected) == packet


@pytest.mark.parametrize("profile", [Profile.AEAD_AES_128_GCM, Profile.AEAD_AES_256_GCM])
def test_gcm_against_libsrtp(profile):
    theirs_profile = getattr(pylibsrtp.Policy, f"SRTP_PROFILE_{profile.name}")
    key = bytes(range(profile.master_key_length)) + bytes(range(50, 62))
    kinds = (pylibsrtp.Policy.SSRC_ANY_OUTBOUND, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    out, into = (pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=k, srtp_profile=theirs_profile)) for k in kinds)
    sender, receiver = pair(profile)
    for i in range(65500, 65600):
        packet, report = rtp(i, payload=bytes(i % 100)), rtcp(words=2 + i % 9)
        assert into.unprotect(sender.protect(packet)) == packet
        assert receiver.unprotect(out.protect(packet)) == packet
        assert into.unprotect_rtcp(sender.protect_rtcp(report)) == report
        assert receiver.unprotect_rtcp(out.protect_rtcp(report)) == report


@pytest.mark.parametrize("profile", [p for p in Profile if p.encrypts])
def test_unencrypted_srtcp_is_authenticated(profile):
    sender, receiver = pair(profile, encrypt_rtcp=False)
    for words in (2, 6, 500):
        report = rtcp(words=words)
        protected = sender.protect_rtcp(report)
        assert protected.startswith(report)
        for place in (0, 9, len(report), len(report) + 3, len(protected) - 1):
            forged = bytearray(protected)
            forged[place] ^= 1
            before = receiver.state(Direction.INBOUND).streams
            with pytest.raises((AuthenticationError, ReplayError, ValueError)):
                receiver.unprotect_rtcp(forged)
            assert [s.rtcp_replay for s in receiver.state(Direction.INBOUND).streams] == [s.rtcp_replay for s in before]
        with pytest.raises(UnencryptedPacketError):
            Session(None, policy(profile)).unprotect_rtcp(protected)
        assert receiver.unprotect_rtcp(protected) == report
    encrypting = Session(policy(profile), None)
    assert Session(None, policy(profile, encrypt_rtcp=False)).unprotect_rtcp(encrypting.protect_rtcp(report)) == report


def test_unencrypted_and_unauthenticated_srtp():
    clear, reading = pair(encrypt_rtp=False)
    protected = clear.protect(rtp(1))
    assert protected.startswith(rtp(1))
    assert len(protected) == len(rtp(1)) + 10
    assert reading.unprotect(protected) == rtp(1)
    sender, receiver = pair(authenticate_rtp=False)
    assert len(sender.protect(rtp(1))) == len(rtp(1))
    assert receiver.unprotect(sender.protect(rtp(2))) == rtp(2)
    report = sender.protect_rtcp(rtcp())
    assert len(report) == len(rtcp()) + 14  # SRTCP keeps its tag
    with pytest.raises(AuthenticationError):
        receiver.unprotect_rtcp(report[:-1] + bytes((report[-1] ^ 1,)))


@pytest.mark.parametrize("without", [{"authenticate_rtp": False}, {"roc_carrying": RocCarrying(3, 8)}])
def test_strangers_without_authentication_fill_no_more_than_their_part_of_the_memory(without):
    sender, receiver = pair(**without)
    protected = [sender.protect(rtp(0, ssrc=ssrc)) for ssrc in range(1100)]
    statuses = [packet if isinstance(packet, PacketStatus) else None for packet in receiver.unprotect_list(protected)]
    assert statuses == [None] * 1024 + [PacketStatus.TOO_MANY_STREAMS] * 76
    assert len(receiver.state(Direction.INBOUND).streams) == 1024
    with pytest.raises(TooManyStreamsError):
        receiver.unprotect(sender.protect(rtp(1, ssrc=1099)))
    assert receiver.unprotect(sender.protect(rtp(1, ssrc=3))) == rtp(1, ssrc=3)
    receiver.remove_stream(7, Direction.INBOUND)
    assert receiver.unprotect(sender.protect(rtp(2, ssrc=1099))) == rtp(2, ssrc=1099)


def test_encrypted_header_extension_of_rfc_6904(kernels):
    vector = json.loads((VECTORS / "rfc6904_header_extension.json").read_text())
    one = Policy(
        Profile.AES_CM_128_HMAC_SHA1_80,
        bytes.fromhex(vector["master_key"]),
        bytes.fromhex(vector["master_salt"]),
        encrypted_extensions=frozenset(vector["encrypted_extensions"]),
    )
    header = bytes.fromhex(
        "9000" + vector["sequence_number"] + "00000000" + vector["ssrc"] + vector["extension_header"]
    )
    packet = header + bytes.fromhex(vector["plaintext"]) + b"payload"
    protected = Session(one, None, kernels=kernels).protect(packet)
    assert protected[16:40] == bytes.fromhex(vector["ciphertext"])
    assert Session(None, one, kernels=kernels).unprotect(protected) == packet


@pytest.mark.parametrize("profile", [p for p in Profile if p.encrypts])
def test_two_byte_elements_and_damaged_extensions(profile):
    sender, receiver = pair(profile, encrypted_extensions=frozenset({1, 200}))
    elements = b"\1\5secret"[:7] + b"\0\0" + b"\2\3abc" + bytes((200, 0)) + b"\1\x70" + bytes(112) + b"\1"
    elements += bytes(-len(elements) % 4)
    for sequence_number, profile_bits in ((1, 0x1000), (2, 0x100F), (3, 0xBEDE), (4, 0x1234)):
        header = struct.pack("!BBHII", 0x91, 0, sequence_number, 0, SSRC) + b"csrc"
        packet = header + struct.pack("!HH", profile_bits, len(elements) // 4) + elements + b"payload"
        damaged = profile_bits == 0xBEDE  # an ID of 0 with a length: nothing from there on could be encrypted
        if damaged:
            with pytest.raises(UnencryptedPacketError):
                sender.protect(packet)
            protected = Session(policy(profile), None).protect(packet)
        else:
            protected = sender.protect(packet)
        assert receiver.unprotect(protected) == packet
        assert (b"secre" in protected) is (profile_bits in (0xBEDE, 0x1234))


@pytest.mark.parametrize("case", CRYPTEX, ids=lambda case: case["name"])
def test_cryptex_of_rfc_9335(kernels, case):
    one = Policy(
        Profile[case["crypto_suite"]],
        bytes.fromhex(case["master_key"]),
        bytes.fromhex(case["master_salt"]),
        cryptex=Cryptex.REQUIRED,
    )
    packet, encrypted = bytes.fromhex(case["rtp"]), bytes.fromhex(case["encrypted"])
    assert Session(one, None, kernels=kernels).protect(packet) == encrypted
    assert Session(None, one, kernels=kernels).unprotect(encrypted) == packet
    buffer = bytearray(encrypted)
    receiver = Session(None, one, kernels=kernels)
    damaged = bytearray(encrypted[:-1] + bytes((encrypted[-1] ^ 1,)))
    before = bytes(damaged)
    with pytest.raises(AuthenticationError):
        receiver.unprotect_into(damaged, len(damaged))
    assert damaged == before
    assert buffer[: receiver.unprotect_into(buffer, len(buffer))] == packet


def test_cryptex_adds_an_extension_for_csrcs_alone():
    sender, receiver = pair(cryptex=Cryptex.ON)
    packet = struct.pack("!BBHII", 0x81, 0, 7, 0, SSRC) + b"CSRC" + b"payload"
    protected = sender.protect(packet)
    assert b"CSRC" not in protected
    assert receiver.unprotect(protected) == b"\x91" + packet[1:16] + b"\xbe\xde\0\0payload"
    buffer = bytearray(packet.replace(b"\0\7", b"\0\x08", 1) + bytes(14))
    assert sender.protect_into(buffer, len(packet)) == len(protected)


def test_cryptex_required_refuses_headers_in_clear():
    plain, strict = Session(policy(), None), Session(None, policy(cryptex=Cryptex.REQUIRED))
    with_csrc = struct.pack("!BBHII", 0x81, 0, 7, 0, SSRC) + b"CSRC" + b"payload"
    with pytest.raises(UnencryptedPacketError):
        strict.unprotect(plain.protect(with_csrc))
    assert strict.unprotect(plain.protect(rtp(8))) == rtp(8)  # nothing there to encrypt
    unfit = struct.pack("!BBHIIHH", 0x90, 0, 9, 0, SSRC, 0x1234, 0)
    with pytest.raises(UnencryptedPacketError):
        Session(policy(cryptex=Cryptex.REQUIRED), None).protect(unfit)
    assert Session(None, policy(cryptex=Cryptex.ON)).unprotect(plain.protect(unfit)) == unfit


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_roc_carrying_transform(mode):
    """RFC 4771: who joins late learns the ROC from the first packet that carries it."""
    sender, receiver = pair(roc_carrying=RocCarrying(mode, 4))
    late = Session(None, policy(roc_carrying=RocCarrying(mode, 4)))
    sender.set_roc(SSRC, Direction.OUTBOUND, 77)
    receiver.set_roc(SSRC, Direction.INBOUND, 77)
    for i in range(65520, 65560):
        packet = rtp(i)
        protected = sender.protect(packet)
        carries = i % 4 == 0
        tag = {1: 10 if carries else 0, 2: 10, 3: 4 if carries else 0}[mode]
        assert len(protected) == len(packet) + tag
        if carries:
            place = len(packet)
            assert protected[place : place + 4] == struct.pack("!I", 77 + (i >> 16))
        assert receiver.unprotect(protected) == packet
        if carries or i > 65530:
            assert late.unprotect(protected) == packet
    assert late.roc(SSRC, Direction.INBOUND) == 78


def test_roc_carrying_mode_1_moves_nothing_by_packets_without_a_tag():
    sender, receiver = pair(roc_carrying=RocCarrying(1, 4))
    assert receiver.unprotect(sender.protect(rtp(4))) == rtp(4)
    before = receiver.state(Direction.INBOUND).streams[0].rtp_replay
    receiver.unprotect(rtp(30001))  # anybody could have made it
    assert receiver.state(Direction.INBOUND).streams[0].rtp_replay == before
    forged = bytearray(sender.protect(rtp(8)))
    forged[-9] ^= 1  # the ROC
    with pytest.raises(AuthenticationError):
        receiver.unprotect(forged)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"key_derivation_rate": 3}, "3"),
        ({"key_derivation_rate": 2**25}, str(2**25)),
        ({"profile": Profile.AEAD_AES_128_GCM, "encrypt_rtp": False}, "AEAD_AES_128_GCM"),
        ({"profile": Profile.AEAD_AES_128_GCM, "roc_carrying": RocCarrying(2)}, "4771"),
        ({"profile": Profile.AES_CM_128_HMAC_SHA1_32, "roc_carrying": RocCarrying(2)}, "HMAC_SHA1_32"),
        ({"profile": Profile.NULL_HMAC_SHA1_80, "cryptex": Cryptex.ON}, "Cryptex"),
        ({"encrypted_extensions": frozenset({256})}, "256"),
        ({"allow_repeat_tx": True, "authenticate_rtp": False}, "allow_repeat_tx"),
        ({"allow_repeat_tx": True, "roc_carrying": RocCarrying(1)}, "allow_repeat_tx"),
    ],
)
def test_settings_that_cannot_be(change, names):
    change = dict(change)
    profile = change.pop("profile", Profile.AES_CM_128_HMAC_SHA1_80)
    with pytest.raises(PolicyError, match=names):
        policy(profile, **change)


@pytest.mark.parametrize(("mode", "rate"), [(0, 1), (4, 1), (1, 0), (2, 2**16), (1, 2**15)])
def test_rates_of_roc_carrying_that_cannot_be(mode, rate):
    with pytest.raises(PolicyError):
        RocCarrying(mode, rate)
