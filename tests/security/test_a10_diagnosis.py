"""diagnose() names what is wrong, names nothing that a tag does not prove, and agrees with unprotect()."""

from __future__ import annotations

import hmac
import random
import time

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from rtp_packets import rtcp, rtp

from srtp import (
    AuthenticationError,
    Cause,
    Cryptex,
    Direction,
    MasterKey,
    Policy,
    Profile,
    Session,
    SrtpError,
)

IN, OUT = Direction.INBOUND, Direction.OUTBOUND
SSRC = 0xCAFEBABE
PROFILES = [
    Profile.AES_CM_128_HMAC_SHA1_80,
    Profile.AES_CM_128_HMAC_SHA1_32,
    Profile.AES_256_CM_HMAC_SHA1_80,
    Profile.F8_128_HMAC_SHA1_80,
    Profile.AEAD_AES_128_GCM,
    Profile.NULL_HMAC_SHA1_80,
]
HMAC = [profile for profile in Profile if not profile.is_aead]


def policy(profile: Profile, seed: int = 1, **more: object) -> Policy:
    rng = random.Random(seed)
    key, salt = rng.randbytes(profile.master_key_length), rng.randbytes(profile.master_salt_length)
    return Policy(profile, key, salt, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("ours", [0, 1, 3, 4000, 70_000, 2**32 - 1])
@pytest.mark.parametrize("theirs", [0, 1, 3, 461, 3000, 4090, 70_500, 2**32 - 3])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_roc_of_a_call_of_days_is_found(profile: Profile, ours: int, theirs: int) -> None:
    receiver, sender = Session(None, policy(profile)), Session(policy(profile), None)
    if ours:
        before = Session(policy(profile), None)
        for session, direction in ((receiver, IN), (before, OUT)):
            session.set_roc(SSRC, direction, ours)
        receiver.unprotect(before.protect(rtp(100)))
    sender.set_roc(SSRC, OUT, theirs)
    packet = sender.protect(rtp(30_000))
    started = time.process_time()
    found = receiver.diagnose(packet)
    assert time.process_time() - started < 2
    if ours == theirs:
        assert found.cause is Cause.ACCEPTED
    elif theirs <= 4096 or abs(ours - theirs) <= 4096:
        assert (found.cause, found.roc) == (Cause.WRONG_ROC, theirs)
    else:
        assert found.cause is Cause.UNKNOWN


@pytest.mark.parametrize("theirs", HMAC)
@pytest.mark.parametrize("ours", HMAC)
def test_no_cipher_is_named_that_the_tag_does_not_prove(ours: Profile, theirs: Profile) -> None:
    packet = Session(policy(theirs), None).protect(rtp(1, payload=bytes(40)))
    found = Session(None, policy(ours)).diagnose(packet)
    assert found.cause in (Cause.ACCEPTED, Cause.OTHER_TAG_LENGTH, Cause.UNKNOWN)
    if found.cause is Cause.OTHER_TAG_LENGTH:
        assert found.profile is not None
        assert found.profile.cipher is ours.cipher
        assert found.profile.rtp_tag_length == theirs.rtp_tag_length


@pytest.mark.parametrize("profile", PROFILES)
def test_rtcp_given_as_rtp_and_the_other_way_round(profile: Profile) -> None:
    sender, receiver = Session(policy(profile), None), Session(None, policy(profile))
    report, packet = sender.protect_rtcp(rtcp()), sender.protect(rtp(1, payload=bytes(50)))
    assert receiver.diagnose(report).cause is Cause.IS_RTCP
    assert receiver.diagnose(packet, rtcp=True).cause is Cause.IS_RTP
    receiver.unprotect_rtcp(report)
    assert receiver.diagnose(report).cause is Cause.IS_RTCP
    forged = report[:-1] + bytes([report[-1] ^ 1])
    assert receiver.diagnose(forged).cause is not Cause.IS_RTCP


def short_tagged(one: Policy, report: bytes) -> bytes:
    """A report with the tag of 4 bytes that some send under the suites of _32 (RFC 4568 6.2.2), made without srtp."""
    x = int.from_bytes(bytes(one.master_salt)) ^ 4 << 48
    encryptor = Cipher(algorithms.AES(bytes(one.master_key)), modes.CTR((x << 16).to_bytes(16))).encryptor()
    body = report[: -10 - len(one.mki)]
    tag = hmac.digest(encryptor.update(bytes(20)), body, "sha1")
    assert report.endswith(tag[:10])
    return body + one.mki + tag[:4]


@pytest.mark.parametrize("mki", [b"", b"mki!"])
@pytest.mark.parametrize("profile", HMAC)
def test_srtcp_with_the_tag_of_srtp(profile: Profile, mki: bytes) -> None:
    one = policy(profile, mki=mki)
    report = short_tagged(one, Session(one, None).protect_rtcp(rtcp()))
    receiver = Session(None, one)
    with pytest.raises(SrtpError):
        receiver.unprotect_rtcp(report)
    assert receiver.diagnose(report, rtcp=True).cause is Cause.SHORT_RTCP_TAG
    damaged = report[:20] + bytes([report[20] ^ 1]) + report[21:]
    assert receiver.diagnose(damaged, rtcp=True).cause in (Cause.MALFORMED, Cause.UNKNOWN)


def test_cryptex_without_cryptex() -> None:
    one = policy(Profile.AEAD_AES_128_GCM)
    packet = b"\x90" + rtp(1)[1:12] + b"\xbe\xde\0\1\x10A\0\0payload"
    sent = Session(policy(Profile.AEAD_AES_128_GCM, cryptex=Cryptex.ON), None).protect(packet)
    assert Session(None, one).diagnose(sent).cause is Cause.UNEXPECTED_CRYPTEX


def test_one_ssrc_too_many() -> None:
    one = policy(Profile.AEAD_AES_128_GCM, max_streams=2)
    sender, receiver = Session(one, None), Session(None, one)
    for ssrc in (1, 2):
        receiver.unprotect(sender.protect(rtp(1, ssrc=ssrc)))
    assert receiver.diagnose(sender.protect(rtp(1, ssrc=3))).cause is Cause.TOO_MANY_STREAMS


def agrees(session: Session, packet: bytes, *, rtcp: bool = False) -> Cause:
    """That it is ACCEPTED exactly where the packet is taken, and that looking changes nothing."""
    before = session.state(IN)
    cause = session.diagnose(packet, rtcp=rtcp).cause
    assert session.state(IN) == before
    try:
        (session.unprotect_rtcp if rtcp else session.unprotect)(packet)
    except SrtpError:
        assert cause is not Cause.ACCEPTED
    else:
        assert cause is Cause.ACCEPTED
    return cause


@pytest.mark.parametrize("profile", PROFILES)
def test_it_agrees_with_what_becomes_of_the_packet(profile: Profile) -> None:
    rng = random.Random(profile.name)
    one = policy(profile, srtp_lifetime=300, rtp_window=64)
    sender, receiver = Session(one, None), Session(None, one)
    old = [sender.protect(rtp(number)) for number in range(120)] + [sender.protect_rtcp(rtcp()) for _ in range(20)]
    found = set()
    for step in range(160):
        index = rng.randrange(len(old))
        packet, is_rtcp = old[index], index >= 120
        if rng.random() < 0.3:
            at = rng.randrange(len(packet))
            packet = packet[:at] + bytes([packet[at] ^ 1 << rng.randrange(8)]) + packet[at + 1 :]
        if step == 80:
            receiver.set_roc(SSRC, IN, 1)
        found.add(agrees(receiver, packet, rtcp=is_rtcp))
    assert {Cause.ACCEPTED, Cause.REPLAYED, Cause.UNKNOWN} <= found


@pytest.mark.parametrize("profile", PROFILES)
def test_it_knows_the_key_before_and_a_used_up_one(profile: Profile) -> None:
    before, after = policy(profile), policy(profile, 2)
    receiver = Session(None, before)
    receiver.rekey(IN, MasterKey(after.master_key, after.master_salt, srtp_lifetime=1, srtcp_lifetime=1), overlap=5)
    assert agrees(receiver, Session(before, None).protect(rtp(1))) is Cause.ACCEPTED
    sender = Session(after, None)
    assert agrees(receiver, sender.protect(rtp(2))) is Cause.ACCEPTED
    assert agrees(receiver, sender.protect(rtp(3))) is Cause.KEY_EXPIRED


def test_a_replay_is_only_what_is_authentic() -> None:
    one = policy(Profile.AES_CM_128_HMAC_SHA1_80)
    sender, receiver = Session(one, None), Session(None, one)
    packet = sender.protect(rtp(5))
    receiver.unprotect(packet)
    assert receiver.diagnose(packet).cause is Cause.REPLAYED
    assert receiver.diagnose(packet[:-1] + bytes([packet[-1] ^ 1])).cause is Cause.UNKNOWN
    with pytest.raises(AuthenticationError):
        receiver.unprotect(packet[:3] + b"\7" + packet[4:])
