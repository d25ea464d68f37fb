"""RFC 4771 with AES-GCM, overheads as numbers, the SRTCP index, and reading captures without a replay check."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from rtp_packets import rtcp, rtp

from srtp import (
    AuthenticationError,
    Cryptex,
    Direction,
    PacketBatch,
    PacketStatus,
    Policy,
    PolicyError,
    Profile,
    ReplayError,
    RocCarrying,
    Session,
)

AEAD = [profile for profile in Profile if profile.is_aead]
HMAC = [profile for profile in Profile if not profile.is_aead]
SSRC = 0xCAFEBABE


def policy(profile: Profile, **more: object) -> Policy:
    key, salt = bytes(range(profile.master_key_length)), bytes(range(profile.master_salt_length))
    return Policy(profile, key, salt, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("mki", [b"", b"k1"])
@pytest.mark.parametrize("rate", [1, 2, 5])
@pytest.mark.parametrize("profile", AEAD)
def test_gcm_with_the_roc_behind_its_tag(profile: Profile, rate: int, mki: bytes) -> None:
    """RFC 7714 8.2: header, ciphertext with the tag of GCM, MKI, and the tag of RFC 4771, which is the ROC."""
    one = policy(profile, roc_carrying=RocCarrying(3, rate), mki=mki)
    sender, receiver = Session(one, None), Session(None, one)
    bare = Session(policy(profile), None)
    for session in (sender, bare):
        session.set_roc(SSRC, Direction.OUTBOUND, 77)
    for number in range(1, 12):
        protected, usual = sender.protect(rtp(number)), bare.protect(rtp(number))
        carries = number % rate == 0
        assert protected == usual + mki + (struct.pack("!I", 77) if carries else b"")
        if carries:
            assert receiver.unprotect(protected) == rtp(number)
        elif receiver.roc(SSRC, Direction.INBOUND) is None:
            with pytest.raises(AuthenticationError):
                receiver.unprotect(protected)
        else:
            assert receiver.unprotect(protected) == rtp(number)
    assert receiver.roc(SSRC, Direction.INBOUND) == 77


@pytest.mark.parametrize("way", ["single", "list", "batch"])
@pytest.mark.parametrize("profile", AEAD)
def test_the_roc_of_gcm_is_proven_before_it_counts(profile: Profile, way: str) -> None:
    one = policy(profile, roc_carrying=RocCarrying(3))
    sender, receiver = Session(one, None), Session(None, one)
    good = sender.protect(rtp(1))
    receiver.unprotect(good)
    forged = sender.protect(rtp(2))[:-4] + struct.pack("!I", 9)
    assert outcome(receiver, forged, way) is PacketStatus.AUTHENTICATION_FAILED
    assert receiver.roc(SSRC, Direction.INBOUND) == 0
    assert outcome(receiver, good, way) is PacketStatus.REPLAYED
    assert outcome(receiver, sender.protect(rtp(3)), way) == rtp(3)


def outcome(receiver: Session, packet: bytes, way: str) -> object:
    if way == "batch":
        batch = PacketBatch(1)
        batch.put(0, packet)
        receiver.unprotect_batch(batch)
        return batch.get(0) if batch.statuses[0] == 0 else PacketStatus(batch.statuses[0])
    if way == "list":
        return receiver.unprotect_list([packet])[0]
    try:
        return receiver.unprotect(packet)
    except ReplayError:
        return PacketStatus.REPLAYED
    except AuthenticationError:
        return PacketStatus.AUTHENTICATION_FAILED


@pytest.mark.parametrize("profile", AEAD)
def test_gcm_seals_under_the_nonce_of_the_roc(profile: Profile) -> None:
    """By another implementation of AES-GCM, from a session whose master salt and keys are those of RFC 3711's PRF."""
    one = policy(profile, roc_carrying=RocCarrying(3), allow_repeat_tx=True)
    sender = Session(one, None)
    sender.set_roc(SSRC, Direction.OUTBOUND, 5)
    protected = sender.protect(rtp(9))
    assert protected == sender.protect(rtp(9))
    assert protected[-4:] == struct.pack("!I", 5)
    key, salt = _derived(one, 0, profile.master_key_length), _derived(one, 2, 12)
    nonce = (int.from_bytes(salt) ^ (SSRC << 48 | 5 << 16 | 9)).to_bytes(12)
    assert protected[:-4] == rtp(9)[:12] + AESGCM(key).encrypt(nonce, rtp(9)[12:], rtp(9)[:12])


def _derived(one: Policy, label: int, length: int) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    x = int.from_bytes(bytes(one.master_salt).ljust(14, b"\0")) ^ label << 48
    encryptor = Cipher(algorithms.AES(bytes(one.master_key)), modes.CTR((x << 16).to_bytes(16))).encryptor()
    return encryptor.update(bytes(length))


@pytest.mark.parametrize("mode", [1, 2])
@pytest.mark.parametrize("profile", AEAD)
def test_gcm_has_no_second_authentication(profile: Profile, mode: int) -> None:
    with pytest.raises(PolicyError, match="mode 3"):
        policy(profile, roc_carrying=RocCarrying(mode))


def policies() -> list[Policy]:
    found = []
    for profile, mki, cryptex, mode in itertools.product(
        Profile, (b"", b"mki!"), (Cryptex.OFF, Cryptex.ON), (None, 1, 2, 3)
    ):
        try:
            roc_carrying = None if mode is None else RocCarrying(mode, 3)
            found.append(policy(profile, mki=mki, cryptex=cryptex, roc_carrying=roc_carrying))
        except PolicyError:
            continue
    found += [policy(profile, authenticate_rtp=False) for profile in HMAC]
    return found


@pytest.mark.parametrize("one", policies(), ids=str)
def test_the_overhead_of_a_policy_is_what_packets_grow_by(one: Policy) -> None:
    sender = Session(one, None)
    plain = [
        struct.pack("!BBHII", 0x80 | csrcs, 0, i, 0, SSRC) + bytes(4 * csrcs + 20) for i in range(6) for csrcs in [2]
    ]
    grown = [len(sender.protect(packet)) - len(packet) for packet in plain]
    assert max(grown) == one.rtp_overhead
    bare = struct.pack("!BBHII", 0x80, 0, 6, 0, SSRC) + bytes(20)
    assert len(sender.protect(bare)) - len(bare) == one.rtp_overhead - one.cryptex_overhead
    assert len(sender.protect_rtcp(rtcp())) - len(rtcp()) == one.rtcp_overhead
    buffer = bytearray(plain[0][:2] + b"\0\x09" + plain[0][4:] + bytes(one.rtp_overhead))
    assert sender.protect_into(buffer, len(plain[0])) == len(buffer)


@pytest.mark.parametrize("profile", Profile)
def test_the_srtcp_index_can_be_read(profile: Profile) -> None:
    sender, receiver = Session(policy(profile), None), Session(None, policy(profile))
    assert sender.rtcp_index(SSRC, Direction.OUTBOUND) is None
    sent = [sender.protect_rtcp(rtcp()) for _ in range(4)]
    assert sender.rtcp_index(SSRC, Direction.OUTBOUND) == 3
    receiver.unprotect_rtcp(sent[2])
    receiver.unprotect_rtcp(sent[0])
    assert receiver.rtcp_index(SSRC, Direction.INBOUND) == 2
    receiver.unprotect_rtcp(Session(policy(profile), None).protect_rtcp(rtcp(ssrc=1)))
    assert receiver.rtcp_index(1, Direction.INBOUND) == 0
    assert receiver.rtcp_index(2, Direction.INBOUND) is None


@pytest.mark.parametrize("window", [64, 128, 1024])
@pytest.mark.parametrize("profile", Profile)
def test_a_capture_is_read_as_often_as_it_is_played(profile: Profile, window: int) -> None:
    sender = Session(policy(profile), None)
    capture = [sender.protect(rtp(number)) for number in range(2000)]
    reports = [sender.protect_rtcp(rtcp()) for _ in range(300)]
    reader = Session(None, policy(profile, replay_check=False, rtp_window=window, rtcp_window=window))
    usual = Session(None, policy(profile, rtp_window=window, rtcp_window=window))
    for _ in range(2):
        assert reader.unprotect_list(capture) == [rtp(number) for number in range(2000)]
        assert all(reader.unprotect(packet)[:12] == packet[:12] for packet in capture[::-7])
        assert all(reader.unprotect_rtcp(packet) == rtcp() for packet in reports)
    assert usual.unprotect(capture[5]) == rtp(5)
    with pytest.raises(ReplayError):
        usual.unprotect(capture[5])
    assert usual.inbound_policy is not None
    assert usual.inbound_policy.replay_check
    with pytest.raises(AuthenticationError):
        reader.unprotect(capture[5][:-1] + bytes([capture[5][-1] ^ 1]))


MADE: dict[str, Callable[[Policy], object]] = {
    "constructor": lambda one: Session(one, None),
    "add_policy": lambda one: Session(None, None).add_policy(1, Direction.OUTBOUND, one),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_no_sender_does_without(make: Callable[[Policy], object]) -> None:
    with pytest.raises(PolicyError, match="capture"):
        make(policy(Profile.AEAD_AES_128_GCM, replay_check=False))


@pytest.mark.parametrize("value", [0, None, "", 1, "no"])
def test_the_option_is_a_bool(value: object) -> None:
    with pytest.raises(PolicyError, match="replay_check"):
        policy(Profile.AEAD_AES_128_GCM, replay_check=value)


def test_the_option_is_saved() -> None:
    one = policy(Profile.AEAD_AES_128_GCM, replay_check=False, max_streams=7)
    key = os.urandom(32)
    restored = Session.import_state(Session(None, one).export_state(key), key).inbound_policy
    assert restored is not None
    assert (restored.replay_check, restored.max_streams) == (False, 7)
