"""The packet after set_roc() has exactly that ROC, whatever came before and whatever its sequence number."""

from __future__ import annotations

import pytest
from rtp_packets import rtp
from srtp_model import Model

from srtp import (
    AuthenticationError,
    Direction,
    FanoutTarget,
    IndexReuseError,
    PacketBatch,
    PacketStatus,
    PacketTooOldError,
    Policy,
    Profile,
    ReplayError,
    Session,
    protect_fanout,
)

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SSRC = 0xCAFEBABE
PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM)
pytestmark = pytest.mark.parametrize("profile", PROFILES)
NUMBERS = pytest.mark.parametrize("number", [0, 3, 20000, 39999, 40000, 40001, 65535])


def policy(profile: Profile, **more) -> Policy:
    return Policy(profile, bytes(range(16)), bytes(range(profile.master_salt_length)), **more)


def sealed(profile: Profile, roc: int, number: int) -> bytes:
    return Model(policy(profile)).seal(rtp(number), roc << 16 | number)


def unprotect(session: Session, way: str, packet: bytes) -> bytes | PacketStatus:
    if way == "list":
        return session.unprotect_list([packet])[0]
    if way == "batch":
        batch = PacketBatch(1, 200)
        batch.put(0, packet)
        session.unprotect_batch(batch)
        return PacketStatus(batch.statuses[0]) if batch.statuses[0] else batch.get(0)
    return session.unprotect(packet)


def receiver_at(profile: Profile, roc: int, number: int) -> Session:
    session = Session(None, policy(profile))
    session.set_roc(SSRC, IN, roc)
    session.unprotect(sealed(profile, roc, number))
    return session


@NUMBERS
@pytest.mark.parametrize("way", ["single", "list", "batch"])
@pytest.mark.parametrize("roc", [2, 77, 0xFFFFFFFF])
def test_a_receiver_takes_the_next_packet_under_it(profile, number, way, roc):
    receiver = receiver_at(profile, 1, 40000)
    receiver.set_roc(SSRC, IN, roc)
    assert receiver.roc(SSRC, IN) == roc
    assert unprotect(receiver, way, sealed(profile, roc, number)) == rtp(number)
    assert receiver.roc(SSRC, IN) == roc
    with pytest.raises(ReplayError):
        receiver.unprotect(sealed(profile, roc, number))
    with pytest.raises((ReplayError, AuthenticationError)):
        receiver.unprotect(sealed(profile, 1, 40000))


@NUMBERS
def test_a_receivers_lower_roc_begins_anew(profile, number):
    receiver = receiver_at(profile, 5, 40000)
    receiver.set_roc(SSRC, IN, 1)
    assert receiver.unprotect(sealed(profile, 1, number)) == rtp(number)
    with pytest.raises(ReplayError):
        receiver.unprotect(sealed(profile, 1, number))


def test_the_receivers_own_roc_keeps_its_replay_list(profile):
    receiver = receiver_at(profile, 1, 40000)
    receiver.set_roc(SSRC, IN, 1)
    with pytest.raises(ReplayError):
        receiver.unprotect(sealed(profile, 1, 40000))
    with pytest.raises(PacketTooOldError):
        receiver.unprotect(sealed(profile, 1, 3))
    assert receiver.unprotect(sealed(profile, 1, 39990)) == rtp(39990)


def test_only_an_authentic_packet_is_the_next(profile):
    receiver = receiver_at(profile, 1, 40000)
    receiver.set_roc(SSRC, IN, 9)
    for roc in (1, 2, 8):
        with pytest.raises(AuthenticationError):
            receiver.unprotect(sealed(profile, roc, 40001))
    several = [sealed(profile, 1, 40002), sealed(profile, 9, 3), sealed(profile, 9, 20000), sealed(profile, 9, 40000)]
    found = receiver.unprotect_list(several)
    assert found == [PacketStatus.AUTHENTICATION_FAILED, rtp(3), rtp(20000), rtp(40000)]


@NUMBERS
@pytest.mark.parametrize("way", ["single", "in place", "list", "batch", "fan-out"])
def test_a_senders_next_packet_goes_out_under_it(profile, number, way):
    sender = Session(policy(profile), None)
    sender.protect(rtp(100))
    sender.set_roc(SSRC, OUT, 5)
    assert sender.roc(SSRC, OUT) == 5
    if way == "single":
        found = sender.protect(rtp(number))
    elif way == "in place":
        buffer = bytearray(rtp(number)) + bytearray(40)
        found = bytes(buffer[: sender.protect_into(buffer, len(rtp(number)))])
    elif way == "list":
        (found,) = sender.protect_list([rtp(number)])
    elif way == "batch":
        batch = PacketBatch(1, 200)
        batch.put(0, rtp(number))
        assert sender.protect_batch(batch) == 1
        found = batch.get(0)
    else:
        (found,) = protect_fanout(rtp(number), [FanoutTarget(sender)])
    assert found == sealed(profile, 5, number)
    assert sender.roc(SSRC, OUT) == 5


def test_a_sender_refuses_used_indexes(profile):
    sender = Session(policy(profile), None)
    sender.set_roc(SSRC, OUT, 3)
    sender.protect(rtp(100))
    with pytest.raises(IndexReuseError):
        sender.set_roc(SSRC, OUT, 2)
    sender.set_roc(SSRC, OUT, 3)
    with pytest.raises(IndexReuseError):
        sender.protect(rtp(100, payload=b"others"))
    sender.set_roc(SSRC, OUT, 9)
    sender.set_roc(SSRC, OUT, 4)  # nothing went out under 9
    assert sender.protect(rtp(7)) == sealed(profile, 4, 7)
