"""Protecting and unprotecting: the rules of RFC 3711, on every kernel table of this CPU."""

from __future__ import annotations

import base64
import copy
import hmac
import json
import os
import pickle
import random
import tracemalloc
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_packets import random_rtp, rtcp, rtp

from srtp import (
    AuthenticationError,
    BufferTooSmallError,
    Direction,
    IndexExhaustedError,
    IndexReuseError,
    MalformedPacketError,
    NoPolicyError,
    PacketTooLongError,
    PacketTooOldError,
    Policy,
    PolicyError,
    Profile,
    ReplayError,
    SecretBytes,
    Session,
    UnencryptedPacketError,
    UnknownMkiError,
    available_kernels,
)

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
KEY, SALT = bytes(range(16)), bytes(range(100, 114))
SSRC = 0xCAFEBABE


@pytest.fixture(params=available_kernels())
def kernels(request):
    return request.param


def policy(profile=Profile.AES_CM_128_HMAC_SHA1_80, **more):
    # Longer keys and shorter salts for the profiles that have them.
    key, salt = (KEY + KEY)[: profile.master_key_length], SALT[: profile.master_salt_length]
    return Policy(profile, key, salt, **more)


def pair(profile=Profile.AES_CM_128_HMAC_SHA1_80, *, kernels=None, **more):
    one = policy(profile, **more)
    return Session(one, None, kernels=kernels), Session(None, one, kernels=kernels)


def aes_ctr(key, block, data):
    encryptor = Cipher(algorithms.AES(key), modes.CTR(block)).encryptor()
    return encryptor.update(data)


def reference_protect(packet, header, index, keys, tag_length):
    """RFC 3711 3.3 and 4.1.1, by another implementation of AES and HMAC."""
    salt = int.from_bytes(keys["cipher_salt"] + b"\0\0")
    ssrc = int.from_bytes(packet[8:12])
    block = (salt ^ ssrc << 64 ^ index << 16).to_bytes(16)
    out = packet[:header] + aes_ctr(keys["cipher_key"], block, packet[header:])
    return out + hmac.digest(keys["auth_key"], out + (index >> 16).to_bytes(4), "sha1")[:tag_length]


def test_rfc3711_b3_key_derivation_and_protect(kernels):
    vector = json.loads((VECTORS / "rfc3711_b3.json").read_text())
    keys = {name: bytes.fromhex(value) for name, value in vector.items() if name != "source"}
    session = Session(
        Policy(Profile.AES_CM_128_HMAC_SHA1_80, keys["master_key"], keys["master_salt"]), None, kernels=kernels
    )
    for sequence, roc in ((1, 0), (30000, 0), (60000, 0), (65535, 0), (0, 1), (7, 1)):
        packet = rtp(sequence, payload=bytes(range(200)))
        assert session.protect(packet) == reference_protect(packet, 12, roc << 16 | sequence, keys, 10)


@pytest.mark.parametrize("profile", list(Profile))
def test_round_trip_of_every_profile(kernels, profile):
    sender, receiver = pair(profile, kernels=kernels, mki=b"key1")
    for length in (0, 1, 15, 16, 17, 1200):
        packet = rtp(length, payload=os.urandom(length))
        protected = sender.protect(packet)
        assert len(protected) == len(packet) + 4 + profile.rtp_tag_length
        assert (packet[12:] == protected[12 : len(packet)]) is (not profile.encrypts or length == 0)
        assert receiver.unprotect(protected) == packet
    report = rtcp()
    protected = sender.protect_rtcp(report)
    assert len(protected) == len(report) + 4 + 4 + profile.rtcp_tag_length
    assert receiver.unprotect_rtcp(protected) == report


@pytest.mark.parametrize("profile", list(Profile))
def test_in_place_is_the_same_without_a_copy(kernels, profile):
    one, other = pair(profile, kernels=kernels)[0], pair(profile, kernels=kernels)[0]
    receiver = pair(profile, kernels=kernels)[1]
    for operation, packet in (("protect", rtp(5, payload=os.urandom(160))), ("protect_rtcp", rtcp())):
        wanted = getattr(one, operation)(packet)
        buffer = bytearray(packet) + bytearray(30)
        length = getattr(other, f"{operation}_into")(buffer, len(packet))
        assert buffer[:length] == wanted
        assert getattr(receiver, f"un{operation}_into")(buffer, length) == len(packet)
        assert buffer[: len(packet)] == packet


@pytest.mark.parametrize("profile", list(Profile))
def test_in_place_takes_no_memory(profile):
    sender, receiver = pair(profile)
    length = 50_000
    buffers = [bytearray(rtp(n, payload=bytes(length - 12))) + bytearray(16) for n in range(4)]
    receiver.unprotect_into(buffers[0], sender.protect_into(buffers[0], length))  # makes both streams
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for buffer in buffers[1:]:
            assert receiver.unprotect_into(buffer, sender.protect_into(buffer, length)) == length
        assert tracemalloc.get_traced_memory()[1] - before < 1000
    finally:
        tracemalloc.stop()


def test_largest_packet():
    sender, receiver = pair()
    packet = rtp(1, payload=os.urandom(65535 - 12 - 10))
    assert receiver.unprotect(sender.protect(packet)) == packet
    with pytest.raises(PacketTooLongError):
        sender.protect(rtp(2, payload=bytes(65535 - 12 - 9)))
    with pytest.raises(PacketTooLongError):
        receiver.unprotect(rtp(2, payload=bytes(65535)))


@pytest.mark.parametrize("operation", ["protect", "unprotect", "protect_rtcp", "unprotect_rtcp"])
@pytest.mark.parametrize("length", range(65))
def test_truncated_and_absurd_packets(operation, length):
    session = Session(policy(), policy())
    run = getattr(session, operation)
    into = getattr(session, f"{operation}_into")
    for pattern in (bytes(length), b"\xff" * length, (b"\x9f\xc8\xff\xff" * 17)[:length]):
        with pytest.raises(MalformedPacketError):
            run(pattern)
        buffer = bytearray(pattern + bytes(40))
        with pytest.raises(MalformedPacketError):
            into(buffer, length)
        assert buffer == pattern + bytes(40)
    whole = session.protect(rtp(1, payload=b"x" * 30)) if operation == "unprotect" else b""
    minimum = {"protect": 12, "unprotect": 22, "protect_rtcp": 8, "unprotect_rtcp": 22}[operation]
    if length < minimum:
        valid = {"protect": rtp(1), "unprotect": whole or rtp(1)}.get(operation, rtcp())
        with pytest.raises(MalformedPacketError):
            run(valid[:length])


def test_buffer_too_small_says_what_is_needed():
    sender, _ = pair(mki=b"ab")
    packet = bytearray(rtp(1))
    before = bytes(packet)
    with pytest.raises(BufferTooSmallError, match=str(len(packet) + 12)) as error:
        sender.protect_into(packet, len(packet))
    assert error.value.needed == len(packet) + 12
    assert packet == before
    with pytest.raises(BufferError):
        sender.protect_into(bytes(100), 50)
    with pytest.raises(ValueError, match="negative"):
        sender.protect_into(bytearray(100), -1)
    with pytest.raises(BufferTooSmallError):
        Session(None, policy()).unprotect_into(bytearray(10), 50)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ({"master_key": bytes(15)}, "15"),
        ({"master_salt": bytes(13)}, "13"),
        ({"mki": bytes(129)}, "129"),
        ({"rtp_window": 63}, "63"),
        ({"rtcp_window": 32769}, "32769"),
        ({"profile": "AES"}, "profile is 'AES', it must be one of AES_CM_128_HMAC_SHA1_80, "),
        ({"profile": b"AES"}, "profile is a bytes, it must be one of AES_CM_128_HMAC_SHA1_80, "),
    ],
)
def test_bad_policy_names_the_value(change, value):
    arguments = {"profile": Profile.AES_CM_128_HMAC_SHA1_80, "master_key": KEY, "master_salt": SALT} | change
    with pytest.raises(PolicyError, match=value):
        Policy(**arguments)


def test_session_needs_known_kernels_and_a_policy_for_what_it_does():
    with pytest.raises(NoPolicyError):
        Session(None, None).protect(rtp(1))
    with pytest.raises(PolicyError, match="nonesuch"):
        Session(policy(), None, kernels="nonesuch")
    sender, receiver = pair()
    with pytest.raises(NoPolicyError):
        sender.unprotect(rtp(1, payload=bytes(50)))
    with pytest.raises(NoPolicyError):
        receiver.protect(rtp(1))


def test_environment_forces_a_kernel_table(monkeypatch):
    for name in available_kernels():
        monkeypatch.setenv("SRTP_KERNELS", name)
        assert Session(policy(), None).kernels == name


@pytest.mark.parametrize("window", [64, 65, 128, 1000, 32768])
def test_replay_window(window):
    sender, receiver = pair(rtp_window=window)
    count = window + 200
    packets = [sender.protect(rtp(n)) for n in range(count)]
    receiver.unprotect(packets[-1])
    with pytest.raises(ReplayError):
        receiver.unprotect(packets[-1])
    assert receiver.unprotect(packets[count - window]) == rtp(count - window)
    with pytest.raises(PacketTooOldError):
        receiver.unprotect(packets[count - window - 1])
    with pytest.raises(ReplayError):
        receiver.unprotect(packets[count - window])


def test_rtcp_replay_and_index():
    sender, receiver = pair(rtcp_window=64)
    packets = [sender.protect_rtcp(rtcp()) for _ in range(100)]
    assert [int.from_bytes(packet[-14:-10]) for packet in packets] == [0x80000000 | n for n in range(100)]
    receiver.unprotect_rtcp(packets[99])
    with pytest.raises(PacketTooOldError):
        receiver.unprotect_rtcp(packets[35])
    receiver.unprotect_rtcp(packets[36])
    with pytest.raises(ReplayError):
        receiver.unprotect_rtcp(packets[36])


def test_e_flag_must_be_what_the_policy_says():
    null = Session(Policy(Profile.NULL_HMAC_SHA1_80, KEY, SALT), None)
    # The same authentication key under both profiles: only the E flag differs.
    packet = null.protect_rtcp(rtcp())
    assert packet[-14] >> 7 == 0
    receiver = pair()[1]
    before = receiver.state(Direction.INBOUND).streams
    with pytest.raises(UnencryptedPacketError):
        receiver.unprotect_rtcp(packet)
    assert receiver.state(Direction.INBOUND).streams == before


def test_roc_counts_wraps_in_both_directions():
    sender, receiver = pair()
    for n in range(65500, 65536 * 2 + 10):
        assert receiver.unprotect(sender.protect(rtp(n, payload=b""))) == rtp(n, payload=b"")
    assert sender.roc(SSRC, Direction.OUTBOUND) == receiver.roc(SSRC, Direction.INBOUND) == 2


def test_packet_of_the_previous_cycle_after_a_wrap():
    sender, receiver = pair()
    packets = {n: sender.protect(rtp(n)) for n in range(65530, 65545)}
    for n in (65530, 65540, 65535, 65536, 65533):
        assert receiver.unprotect(packets[n]) == rtp(n)


@pytest.mark.parametrize("roc", [0, 1, 77, 0xFFFFFFFF])
def test_roc_set_before_the_first_packet(roc):
    sender, receiver = pair()
    sender.set_roc(SSRC, Direction.OUTBOUND, roc)
    receiver.set_roc(SSRC, Direction.INBOUND, roc)
    assert receiver.unprotect(sender.protect(rtp(9))) == rtp(9)
    assert receiver.roc(SSRC, Direction.INBOUND) == roc
    assert receiver.roc(1, Direction.INBOUND) is None


def test_late_joiner_needs_the_roc():
    sender, receiver = pair()
    sender.set_roc(SSRC, Direction.OUTBOUND, 5)
    protected = sender.protect(rtp(9))
    with pytest.raises(AuthenticationError):
        receiver.unprotect(protected)
    assert receiver.roc(SSRC, Direction.INBOUND) is None
    receiver.set_roc(SSRC, Direction.INBOUND, 5)
    assert receiver.unprotect(protected) == rtp(9)
    receiver.set_roc(SSRC, Direction.INBOUND, 0)
    assert receiver.roc(SSRC, Direction.INBOUND) == 0


def test_senders_roc_cannot_go_back():
    sender, _ = pair()
    sender.set_roc(SSRC, Direction.OUTBOUND, 3)
    sender.protect(rtp(1))
    with pytest.raises(IndexReuseError):
        sender.set_roc(SSRC, Direction.OUTBOUND, 2)
    sender.set_roc(SSRC, Direction.OUTBOUND, 4)
    sender.protect(rtp(2))
    assert sender.roc(SSRC, Direction.OUTBOUND) == 4


def test_last_index_is_the_last():
    sender, _ = pair()
    sender.set_roc(SSRC, Direction.OUTBOUND, 0xFFFFFFFF)
    sender.protect(rtp(65535))
    with pytest.raises(IndexExhaustedError):
        sender.protect(rtp(65536))


def test_no_index_is_encrypted_twice():
    sender, _ = pair()
    sender.protect(rtp(100, payload=b"one"))
    for packet in (rtp(100, payload=b"two"), rtp(100, payload=b"one")):
        buffer = bytearray(packet + bytes(20))
        with pytest.raises(IndexReuseError):
            sender.protect(packet)
        with pytest.raises(IndexReuseError):
            sender.protect_into(buffer, len(packet))
        assert buffer == packet + bytes(20)
    sender.protect(rtp(99))
    sender.protect(rtp(1000))
    with pytest.raises(IndexReuseError):
        sender.protect(rtp(500))


def test_repeat_of_the_same_bytes_only_where_allowed():
    sender, _ = pair(allow_repeat_tx=True)
    first = sender.protect(rtp(100, payload=b"one"))
    sender.protect(rtp(101))
    assert sender.protect(rtp(100, payload=b"one")) == first
    for changed in (rtp(100, payload=b"two"), rtp(100, payload=b"one!"), rtp(100, payload=b"one", timestamp=1)):
        buffer = bytearray(changed + bytes(20))
        with pytest.raises(IndexReuseError):
            sender.protect(changed)
        with pytest.raises(IndexReuseError):
            sender.protect_into(buffer, len(changed))
        assert buffer[: len(changed)] == changed
    assert sender.protect(rtp(100, payload=b"one")) == first


def test_wrong_mki_is_named():
    sender = Session(policy(mki=b"\1\2"), None)
    receiver = Session(None, policy(mki=b"\1\3"))
    with pytest.raises(UnknownMkiError) as error:
        receiver.unprotect(sender.protect(rtp(1)))
    assert error.value.ssrc == SSRC


def test_errors_carry_the_facts():
    sender, receiver = pair()
    protected = bytearray(sender.protect(rtp(4711)))
    protected[-1] ^= 1
    with pytest.raises(AuthenticationError, match="0xcafebabe") as error:
        receiver.unprotect(protected)
    assert (error.value.ssrc, error.value.index) == (SSRC, 4711)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_forged_packets_change_nothing(data):
    """Every bit of a packet is under the tag, and a failure leaves no trace but in the counters."""
    sender, receiver = pair(data.draw(st.sampled_from(list(Profile))), mki=b"m")
    for n in (10, 12):
        receiver.unprotect(sender.protect(rtp(n)))
        receiver.unprotect_rtcp(sender.protect_rtcp(rtcp()))
    is_rtcp = data.draw(st.booleans())
    good = sender.protect_rtcp(rtcp()) if is_rtcp else sender.protect(rtp(data.draw(st.sampled_from([11, 13, 20000]))))
    forged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        forged[data.draw(st.integers(0, len(forged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        forged = forged[: data.draw(st.integers(0, len(forged)))]
    if bytes(forged) == good:
        return
    before = frozen(receiver)
    with pytest.raises((AuthenticationError, MalformedPacketError, ReplayError)):
        (receiver.unprotect_rtcp if is_rtcp else receiver.unprotect)(bytes(forged))
    assert frozen(receiver) == before
    assert (receiver.unprotect_rtcp if is_rtcp else receiver.unprotect)(good)


def frozen(session):
    streams = session.state(Direction.INBOUND).streams
    return [(one.ssrc, one.roc, one.rtp_replay, one.rtcp_replay) for one in streams]


def test_flood_of_forged_ssrcs_makes_no_stream():
    _, receiver = pair()
    for ssrc in range(20000):
        with pytest.raises(AuthenticationError):
            receiver.unprotect(rtp(1, ssrc=ssrc, payload=bytes(30)))
    state = receiver.state(Direction.INBOUND)
    assert state.streams == ()
    assert state.rtp.authentication_failures == 20000


def test_two_sources_across_a_wrap_with_csrcs_and_extension():
    """Each SSRC has its own ROC, and CSRCs and extension stay in clear (what a one-stream receiver gets wrong)."""
    sender, receiver = pair()
    rng = random.Random(1)
    for n in range(65528, 65545):
        for ssrc in (1, 2):
            packet = random_rtp(rng, n + ssrc * 2, ssrc)
            protected = sender.protect(packet)
            assert protected[:12] == packet[:12]
            assert receiver.unprotect(protected) == packet
    assert receiver.roc(1, Direction.INBOUND) == receiver.roc(2, Direction.INBOUND) == 1


def test_removed_stream_is_forgotten():
    sender, receiver = pair()
    for ssrc in range(200):
        receiver.unprotect(sender.protect(rtp(1, ssrc=ssrc)))
    for ssrc in range(0, 200, 2):
        assert receiver.remove_stream(ssrc, Direction.INBOUND)
        assert not receiver.remove_stream(ssrc, Direction.INBOUND)
    assert [one.ssrc for one in receiver.state(Direction.INBOUND).streams] == list(range(1, 200, 2))


def test_counters():
    sender, receiver = pair()
    protected = sender.protect(rtp(1))
    receiver.unprotect(protected)
    for bad, error in (
        (protected, ReplayError),
        (b"", MalformedPacketError),
        (rtp(5, payload=bytes(30)), AuthenticationError),
    ):
        with pytest.raises(error):
            receiver.unprotect(bad)
    state = receiver.state(Direction.INBOUND)
    found = state.rtp
    assert (found.processed, found.replays, found.malformed, found.authentication_failures) == (1, 1, 1, 1)
    assert state.streams[0].rtp.processed == 1


def test_keys_are_never_shown():
    secret = SecretBytes(KEY)
    session = Session(policy(), policy())
    for shown in (secret, policy(), session, policy().master_salt):
        text = repr(shown) + str(shown) + f"{shown}"
        for hidden in (KEY, SALT):
            for part in (repr(hidden)[2:-1], hidden.hex(), base64.b64encode(hidden).decode()):
                assert part not in text
    for hidden in (secret, session, policy()):
        with pytest.raises(TypeError):
            pickle.dumps(hidden)
        with pytest.raises(TypeError):
            copy.deepcopy(hidden)
    with pytest.raises(TypeError):
        hash(secret)
    with pytest.raises(PolicyError) as error:
        Policy(Profile.AES_CM_128_HMAC_SHA1_80, b"0123456789abcde", SALT)
    assert "0123456789abcde" not in f"{error.value}{error.value!r}"


def test_secret_bytes_compare_and_reveal():
    assert SecretBytes(b"a") == SecretBytes(bytearray(b"a"))
    assert SecretBytes(b"a") != SecretBytes(b"b")
    assert SecretBytes(b"a") != SecretBytes(b"aa")
    assert SecretBytes(b"a") != b"a"
    assert bytes(SecretBytes(b"abc")) == b"abc"
    assert len(SecretBytes(b"")) == 0
    with pytest.raises(TypeError):
        SecretBytes("text")
