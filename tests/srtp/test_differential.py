"""The same packets through ours and through pylibsrtp, both ways."""

from __future__ import annotations

import random

import pylibsrtp
import pytest
from rtp_packets import random_rtp, rtcp

from srtp import Policy, Profile, ReplayError, Session, available_kernels

PACKETS = 100_000
PROFILES = {
    Profile.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Profile.AES_CM_128_HMAC_SHA1_32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}


def theirs(profile, key, *, inbound):
    kind = pylibsrtp.Policy.SSRC_ANY_INBOUND if inbound else pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    policy = pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=PROFILES[profile])
    policy.window_size = 128
    return pylibsrtp.Session(policy)


def streams(rng, count):
    """Packets of 20 sources, each wrapping its sequence number, reordered within the window, some twice."""
    # Sources start in the upper half, so that nothing reaches below index 0, which the two treat unlike.
    position = {rng.getrandbits(32): rng.randrange(33000, 65536) for _ in range(20)}
    sources = list(position)
    delayed = []
    for _ in range(count):
        ssrc = rng.choice(sources)
        position[ssrc] += 1 if rng.random() < 0.99 else rng.randrange(1, 50)
        packet = random_rtp(rng, position[ssrc], ssrc)
        delayed.append((rng.random() * 60 if rng.random() < 0.2 else 0, packet))
    order = sorted(range(count), key=lambda i: i + delayed[i][0])
    for i in order:
        yield delayed[i][1]


@pytest.mark.parametrize("kernels", available_kernels())
@pytest.mark.parametrize("profile", PROFILES)
def test_random_packets_both_ways(profile, kernels):
    rng = random.Random(20261123)
    key = rng.randbytes(30)
    policy = Policy(profile, key[:16], key[16:])
    our_sender, our_receiver = Session(policy, None, kernels=kernels), Session(None, policy, kernels=kernels)
    their_sender, their_receiver = theirs(profile, key, inbound=False), theirs(profile, key, inbound=True)
    for number, packet in enumerate(streams(rng, PACKETS // (len(PROFILES) * len(available_kernels())))):
        protected = their_sender.protect(packet)
        assert our_sender.protect(packet) == protected
        assert our_receiver.unprotect(protected) == packet
        assert their_receiver.unprotect(protected) == packet
        if number % 50 == 0:
            with pytest.raises(ReplayError):
                our_receiver.unprotect(protected)
            with pytest.raises(pylibsrtp.Error):
                their_receiver.unprotect(protected)


@pytest.mark.parametrize("profile", PROFILES)
def test_rtcp_both_ways(profile):
    rng = random.Random(7)
    key = rng.randbytes(30)
    policy = Policy(profile, key[:16], key[16:])
    ours_out, ours_in = Session(policy, None), Session(None, policy)
    their_out, their_in = theirs(profile, key, inbound=False), theirs(profile, key, inbound=True)
    for _ in range(1000):
        packet = rtcp(ssrc=rng.randrange(5), words=rng.randrange(1, 40))
        assert ours_in.unprotect_rtcp(their_out.protect_rtcp(packet)) == packet
        assert their_in.unprotect_rtcp(ours_out.protect_rtcp(packet)) == packet
