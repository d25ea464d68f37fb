"""In the first cycle there is no ROC before: a jump of more than half a cycle lies ahead (RFC 3711 App. A)."""

from __future__ import annotations

import pytest
from rtp_packets import rtp
from srtp_model import Model

from srtp import Direction, PacketBatch, Policy, Profile, Session

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SSRC = 0xCAFEBABE
PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM)
pytestmark = pytest.mark.parametrize("profile", PROFILES)
JUMPS = pytest.mark.parametrize(("first", "then"), [(100, 40000), (0, 32769), (0, 65535), (32766, 65535)])


def policy(profile: Profile) -> Policy:
    return Policy(profile, bytes(range(16)), bytes(range(profile.master_salt_length)))


def sealed(profile: Profile, index: int) -> bytes:
    return Model(policy(profile)).seal(rtp(index), index)


@JUMPS
@pytest.mark.parametrize("way", ["single", "list", "batch"])
def test_a_receiver_takes_it(profile, first, then, way):
    receiver = Session(None, policy(profile))
    packets = [sealed(profile, index) for index in (first, then, then + 1, then + 2)]
    if way == "single":
        found = [receiver.unprotect(packet) for packet in packets]
    elif way == "list":
        found = receiver.unprotect_list(packets)
    else:
        batch = PacketBatch(len(packets), 200)
        for i, packet in enumerate(packets):
            batch.put(i, packet)
        assert receiver.unprotect_batch(batch) == len(packets)
        found = [batch.get(i) for i in range(len(packets))]
    assert found == [rtp(index) for index in (first, then, then + 1, then + 2)]
    assert receiver.roc(SSRC, IN) == (then + 2) >> 16


@JUMPS
@pytest.mark.parametrize("way", ["single", "list"])
def test_a_sender_takes_it(profile, first, then, way):
    sender = Session(policy(profile), None)
    plain = [rtp(number) for number in (first, then)]
    found = [sender.protect(one) for one in plain] if way == "single" else sender.protect_list(plain)
    assert found == [sealed(profile, first), sealed(profile, then)]
    assert sender.roc(SSRC, OUT) == 0
