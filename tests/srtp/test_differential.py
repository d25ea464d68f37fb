"""The same packets through ours and through pylibsrtp, both ways."""

from __future__ import annotations

import random

import pylibsrtp
import pytest
from rtp_packets import random_rtp, rtcp

from srtp import PacketBatch, PacketStatus, Policy, Profile, ReplayError, Session, available_kernels

PACKETS = 200_000
PROFILES = {
    Profile.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Profile.AES_CM_128_HMAC_SHA1_32: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    Profile.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Profile.AEAD_AES_256_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}


def theirs(profile, key, *, inbound):
    kind = pylibsrtp.Policy.SSRC_ANY_INBOUND if inbound else pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    policy = pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=PROFILES[profile])
    policy.window_size = WINDOW
    return pylibsrtp.Session(policy)


WINDOW = 128


def keyed(profile, rng, **more):
    """Our policy, and the key as theirs takes it."""
    key = rng.randbytes(profile.master_key_length + profile.master_salt_length)
    split = profile.master_key_length
    return Policy(profile, key[:split], key[split:], **more), key


def streams(rng, count):
    """Packets of 20 sources in the order of sending, each source wrapping its sequence number: (index, packet)."""
    # No index lies below the first by more than the window, and the first that arrives has ROC 0: before 0 and of
    # the ROC that nobody told the two guess unlike.
    position = {rng.getrandbits(32): rng.randrange(65300, 65400) for _ in range(20)}
    sources = list(position)
    for _ in range(count):
        ssrc = rng.choice(sources)
        position[ssrc] += 1 if rng.random() < 0.99 else rng.randrange(1, 50)
        yield position[ssrc], random_rtp(rng, position[ssrc], ssrc)


def arrivals(rng, sent):
    """The packets of each source in an order in which none comes later than the window allows."""
    queues = {}
    for index, packet, protected in sent:
        # Behind a packet of index i at most those up to i + WINDOW - 1 come earlier.
        late = rng.choice((rng.randrange(WINDOW), WINDOW - 1)) if rng.random() < 0.2 else 0
        queues.setdefault(packet[8:12], []).append((index + late, -index, packet, protected))
    for queue in queues.values():
        queue.sort(reverse=True)
    while queues:
        ssrc = rng.choice(list(queues))
        _, negative, packet, protected = queues[ssrc].pop()
        yield -negative, packet, protected
        if not queues[ssrc]:
            del queues[ssrc]


@pytest.mark.parametrize("kernels", available_kernels())
@pytest.mark.parametrize("profile", PROFILES)
def test_random_packets_both_ways(profile, kernels):
    """Together 200,000: protected alike, and delivered reordered by as much as the window takes, some twice."""
    rng = random.Random(20261123)
    policy, key = keyed(profile, rng, rtp_window=WINDOW)
    our_sender, our_receiver = Session(policy, None, kernels=kernels), Session(None, policy, kernels=kernels)
    their_sender, their_receiver = theirs(profile, key, inbound=False), theirs(profile, key, inbound=True)
    sent = []
    for index, packet in streams(rng, PACKETS // (len(PROFILES) * len(available_kernels()))):
        protected = their_sender.protect(packet)
        assert our_sender.protect(packet) == protected
        sent.append((index, packet, protected))
    highest, most_late, wrapped = {}, 0, set()
    for number, (index, packet, protected) in enumerate(arrivals(rng, sent)):
        assert our_receiver.unprotect(protected) == packet
        assert their_receiver.unprotect(protected) == packet
        if number % 50 == 0:
            with pytest.raises(ReplayError):
                our_receiver.unprotect(protected)
            with pytest.raises(pylibsrtp.Error):
                their_receiver.unprotect(protected)
        ssrc = packet[8:12]
        highest[ssrc] = max(index, highest.get(ssrc, 0))
        most_late = max(most_late, highest[ssrc] - index)
        wrapped |= {ssrc} if index > 0xFFFF else set()
    assert most_late == WINDOW - 1
    assert len(wrapped) == 20


@pytest.mark.parametrize("profile", PROFILES)
def test_rtcp_both_ways(profile):
    rng = random.Random(7)
    policy, key = keyed(profile, rng)
    ours_out, ours_in = Session(policy, None), Session(None, policy)
    their_out, their_in = theirs(profile, key, inbound=False), theirs(profile, key, inbound=True)
    for _ in range(1000):
        packet = rtcp(ssrc=rng.randrange(5), words=rng.randrange(1, 40))
        assert ours_in.unprotect_rtcp(their_out.protect_rtcp(packet)) == packet
        assert their_in.unprotect_rtcp(ours_out.protect_rtcp(packet)) == packet


@pytest.mark.parametrize("kernels", available_kernels())
@pytest.mark.parametrize("profile", PROFILES)
def test_batches_both_ways(profile, kernels):
    """A batch protects as libsrtp does, and takes what came from it, mixed up and damaged packets among it."""
    rng = random.Random(64)
    policy, key = keyed(profile, rng, rtp_window=WINDOW)
    our_sender, our_receiver = Session(policy, None, kernels=kernels), Session(None, policy, kernels=kernels)
    their_sender, their_receiver = theirs(profile, key, inbound=False), theirs(profile, key, inbound=True)
    packets = list(streams(rng, 3000))
    sent = []
    for start in range(0, len(packets), 100):
        part = packets[start : start + 100]
        protected = our_sender.protect_list([packet for _, packet in part])
        assert protected == [their_sender.protect(packet) for _, packet in part]
        sent += [(index, packet, one) for (index, packet), one in zip(part, protected, strict=True)]
    feed = []
    for _, packet, protected in arrivals(rng, sent):
        if rng.random() < 0.1:
            place, bit = rng.randrange(len(protected)), 1 << rng.randrange(8)
            feed.append((protected[:place] + bytes((protected[place] ^ bit,)) + protected[place + 1 :], None))
        feed.append((protected, packet))
        assert their_receiver.unprotect(protected) == packet
    batch = PacketBatch(64, 2048)
    for start in range(0, len(feed), 64):
        part = feed[start : start + 64]
        for i, (protected, _) in enumerate(part):
            batch.put(i, protected)
        our_receiver.unprotect_batch(batch, len(part))
        for i, (protected, packet) in enumerate(part):
            if packet is None:
                assert batch.statuses[i] != PacketStatus.OK
                assert batch.get(i) == protected
            else:
                assert (batch.statuses[i], batch.get(i)) == (PacketStatus.OK, packet)
