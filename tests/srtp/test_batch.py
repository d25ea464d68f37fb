"""Batches: what comes out is what one call a packet gives, whatever is in them."""

from __future__ import annotations

import random
import struct
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_packets import random_rtp, rtp

from srtp import (
    BufferTooSmallError,
    Cryptex,
    Direction,
    FanoutTarget,
    MalformedPacketError,
    NoPolicyError,
    PacketBatch,
    PacketStatus,
    Policy,
    Profile,
    Session,
    SrtpError,
    available_kernels,
    protect_fanout,
)

STATUS = {
    "MalformedPacketError": PacketStatus.MALFORMED,
    "PacketTooLongError": PacketStatus.TOO_LONG,
    "NoPolicyError": PacketStatus.NO_POLICY,
    "UnknownMkiError": PacketStatus.UNKNOWN_MKI,
    "KeyExpiredError": PacketStatus.KEY_EXPIRED,
    "AuthenticationError": PacketStatus.AUTHENTICATION_FAILED,
    "ReplayError": PacketStatus.REPLAYED,
    "PacketTooOldError": PacketStatus.TOO_OLD,
    "IndexReuseError": PacketStatus.INDEX_REUSED,
    "IndexExhaustedError": PacketStatus.INDEX_EXHAUSTED,
    "UnencryptedPacketError": PacketStatus.UNENCRYPTED,
    "TooManyStreamsError": PacketStatus.TOO_MANY_STREAMS,
    "UnexpectedCryptexError": PacketStatus.UNEXPECTED_CRYPTEX,
}


def policy(profile=Profile.AES_CM_128_HMAC_SHA1_80, seed=0, **more):
    rng = random.Random(seed)
    return Policy(profile, rng.randbytes(profile.master_key_length), rng.randbytes(profile.master_salt_length), **more)


def one_by_one(operation, packets):
    out = []
    for packet in packets:
        try:
            out.append(operation(packet))
        except SrtpError as error:
            out.append(STATUS[type(error).__name__])
    return out


def in_batch(operation, packets, capacity=1600):
    batch = PacketBatch(len(packets), capacity)
    for i, packet in enumerate(packets):
        batch.put(i, packet)
    processed = operation(batch)
    assert processed == int((batch.statuses == 0).sum())
    out = []
    for i, packet in enumerate(packets):
        status = PacketStatus(int(batch.statuses[i]))
        if status:
            assert batch.get(i) == packet  # a refused packet stays as it was
        out.append(status or batch.get(i))
    return out


def sessions(direction, kernels=None):
    """A session whose SSRCs have policies of every kind; two of these behave alike."""
    wildcard = policy(Profile.AES_CM_128_HMAC_SHA1_80, mki=b"k")
    both = (wildcard, None) if direction is Direction.OUTBOUND else (None, wildcard)
    session = Session(*both, kernels=kernels)
    for ssrc, profile in enumerate(Profile, start=100):
        session.add_policy(ssrc, direction, policy(profile, seed=ssrc))
    session.add_policy(1, direction, policy(seed=1, srtp_lifetime=70))
    session.add_policy(2, direction, policy(seed=2, cryptex=Cryptex.ON))
    session.add_policy(3, direction, policy(seed=3, key_derivation_rate=8))
    session.add_policy(4, direction, policy(seed=4, authenticate_rtp=False))
    session.add_policy(5, direction, policy(seed=5, allow_repeat_tx=True))
    return session


def traffic(rng, count):
    """Packets of many streams: in order, reordered, repeated, jumping over the wrap of the sequence number, damaged."""
    ssrcs = [1, 2, 3, 4, 5, *range(100, 100 + len(Profile)), 7000, 7001]
    at = {ssrc: rng.choice((0, 65500, 30000)) for ssrc in ssrcs}
    packets = []
    for _ in range(count):
        ssrc = rng.choice(ssrcs)
        step = rng.choice((1, 1, 1, 1, 0, -1, 2, -200, 300))
        at[ssrc] = (at[ssrc] + step) % 65536
        packets.append(random_rtp(rng, at[ssrc], ssrc))
    return packets


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 200), st.sampled_from(available_kernels()))
def test_batch_is_one_by_one(seed, count, kernels):
    rng = random.Random(seed)
    packets = traffic(rng, count)
    alone, many, listed = (sessions(Direction.OUTBOUND, kernels) for _ in range(3))
    expected = one_by_one(alone.protect, packets)
    assert in_batch(many.protect_batch, packets) == expected
    assert listed.protect_list(packets) == expected
    assert many.state(Direction.OUTBOUND) == alone.state(Direction.OUTBOUND) == listed.state(Direction.OUTBOUND)
    assert many.events() == alone.events()

    received = [packet for packet in expected if isinstance(packet, bytes)]
    for _ in range(len(received) // 4):
        i, j = rng.randrange(len(received)), rng.randrange(len(received))
        damaged = bytearray(received[i])
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        received.insert(j, rng.choice((bytes(damaged), received[i], received[i][: rng.randrange(1, 40)])))
    alone, many, listed = (sessions(Direction.INBOUND, kernels) for _ in range(3))
    expected = one_by_one(alone.unprotect, received)
    assert in_batch(many.unprotect_batch, received) == expected
    assert listed.unprotect_list(received) == expected
    assert many.state(Direction.INBOUND) == alone.state(Direction.INBOUND) == listed.state(Direction.INBOUND)
    assert many.events() == alone.events()


def test_arrays_of_the_caller():
    arena = np.zeros(4000, np.uint8)
    offsets = np.array([0, 2000], np.int64)
    lengths = np.array([100, 50], np.int32)
    for offset, length, sequence_number in zip(offsets, lengths, (1, 2), strict=True):
        packet = rtp(sequence_number, payload=bytes(length - 12))
        arena[offset : offset + length] = np.frombuffer(packet, np.uint8)
    batch = PacketBatch(arena=arena, offsets=offsets, lengths=lengths)
    assert list(batch.capacities) == [2000, 2000]
    assert Session(policy(), None).protect_batch(batch, 1) == 1
    assert list(batch.lengths) == [110, 50]
    assert bytes(arena[:110]) == Session(policy(), None).protect(rtp(1, payload=bytes(88)))


def test_packets_that_lie_outside_are_refused():
    batch = PacketBatch(5, 100)
    for i in range(5):
        batch.put(i, rtp(i, payload=bytes(50)))
    batch.offsets[0] = -1
    batch.offsets[1] = 450
    batch.lengths[2] = 101
    batch.capacities[3] = 65  # no room for the tag
    before = bytes(batch.arena)
    assert Session(policy(), None).protect_batch(batch) == 1
    assert list(batch.statuses) == [PacketStatus.NO_ROOM] * 4 + [PacketStatus.OK]
    assert bytes(batch.arena)[:400] == before[:400]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"offsets": np.zeros(3, np.int64)}, "offsets"),
        ({"capacities": np.zeros(1, np.int32)}, "capacities"),
        ({"statuses": np.zeros(3, np.int8)}, "statuses"),
        ({"lengths": np.zeros(2, np.int64)}, "lengths"),
        ({"arena": np.zeros((2, 2), np.uint8)}, "arena"),
        ({"arena": bytearray(10)}, "arena"),
        ({"offsets": None}, "offsets"),
    ],
)
def test_arrays_that_do_not_fit(change, named):
    arrays = {
        "arena": np.zeros(100, np.uint8),
        "offsets": np.zeros(2, np.int64),
        "lengths": np.zeros(2, np.int32),
        "capacities": np.zeros(2, np.int32),
        "statuses": np.zeros(2, np.int8),
    }
    with pytest.raises(ValueError, match=named):
        PacketBatch(**(arrays | change))


def test_read_only_arena_and_packets_without_room():
    arena = np.zeros(100, np.uint8)
    arena.flags.writeable = False
    with pytest.raises((BufferError, ValueError)):
        PacketBatch(arena=arena, offsets=np.zeros(1, np.int64), lengths=np.zeros(1, np.int32))
    batch = PacketBatch(1, 20)
    with pytest.raises(BufferTooSmallError) as error:
        batch.put(0, bytes(21))
    assert error.value.needed == 21
    with pytest.raises(IndexError):
        batch.get(1)
    with pytest.raises(ValueError, match="2 packets"):
        Session(policy(), None).protect_batch(batch, 2)
    with pytest.raises(NoPolicyError):
        Session(policy(), None).unprotect_batch(batch)


def test_fanout_gives_each_recipient_a_header_of_its_own():
    keys = [policy(seed=seed) for seed in range(20)]
    packet = rtp(1, payload=bytes(160))
    targets = [FanoutTarget(Session(key, None), 1000 + i, 5 + i, 9 * i, 96) for i, key in enumerate(keys)]
    for i, protected in enumerate(protect_fanout(packet, targets)):
        opened = Session(None, keys[i]).unprotect(protected)
        assert opened == struct.pack("!BBHII", 0x80, 96, 5 + i, 9 * i, 1000 + i) + bytes(160)
    assert protect_fanout(packet, targets[:1]) == [PacketStatus.INDEX_REUSED]
    untouched = Session(keys[0], None)
    assert protect_fanout(packet, [FanoutTarget(untouched)]) == [Session(keys[0], None).protect(packet)]
    with pytest.raises(MalformedPacketError):
        protect_fanout(b"short", targets)


def test_fanout_to_sessions_of_every_kind():
    """Sessions with and without a policy, of all profiles and kernels, and the same one twice: each as if alone."""
    rng = random.Random(7)
    for round_ in range(20):
        packet = random_rtp(rng, 500 + round_, 9)
        made = []
        for _ in range(rng.choice((1, 5, 64, 65, 150))):
            key = policy(rng.choice(list(Profile)), seed=rng.randrange(9), mki=rng.choice((b"", b"m")))
            made.append((rng.choice((key, key, key, None)), rng.choice(available_kernels()), rng.randrange(1 << 16)))
        fanned, alone = ([Session(key, None, kernels=kernels) for key, kernels, _ in made] for _ in range(2))
        order = [rng.randrange(len(made)) for _ in range(2 * len(made))]
        targets = [FanoutTarget(fanned[i], sequence_number=made[i][2] + rng.choice((0, 1))) for i in order]
        expected = []
        for i, target in zip(order, targets, strict=True):
            rewritten = packet[:2] + struct.pack("!H", target.sequence_number & 0xFFFF) + packet[4:]
            expected += one_by_one(alone[i].protect, [rewritten])
        assert protect_fanout(packet, targets) == expected
        for one, other in zip(fanned, alone, strict=True):
            if one.outbound_policy is not None:
                assert one.state(Direction.OUTBOUND) == other.state(Direction.OUTBOUND)


def test_threads_share_a_session():
    """Each thread has its SSRC; batches run without the GIL, and beside them single packets and looks at the state."""
    sender, receiver = Session(policy(), None), Session(None, policy())
    errors, stop = [], threading.Event()

    def exchange(ssrc):
        try:
            for round_ in range(60):
                plain = [rtp(64 * round_ + i, ssrc=ssrc, payload=bytes(i)) for i in range(60)]
                protected = in_batch(sender.protect_batch, plain)
                protected.append(sender.protect(rtp(64 * round_ + 60, ssrc=ssrc)))
                assert in_batch(receiver.unprotect_batch, protected[:-1]) == plain
                receiver.unprotect(protected[-1])
        except BaseException as error:
            errors.append(error)

    def look():
        while not stop.is_set():
            receiver.state(Direction.INBOUND)
            sender.events()

    threads = [threading.Thread(target=exchange, args=(ssrc,)) for ssrc in range(8)]
    watcher = threading.Thread(target=look)
    for thread in (watcher, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    assert not errors
    assert receiver.state(Direction.INBOUND).rtp.processed == 8 * 60 * 61
    assert len(receiver.state(Direction.INBOUND).streams) == 8


def test_fanouts_of_several_threads_to_the_same_sessions():
    """Each thread has its SSRC and its order of the sessions, some of them twice."""
    shared = [Session(policy(seed=i), None) for i in range(80)]
    refused = []

    def fan_out(ssrc):
        rng = random.Random(ssrc)
        for round_ in range(100):
            packet = rtp(0, ssrc=ssrc, payload=bytes(50))
            targets = [FanoutTarget(one, sequence_number=2 * round_) for one in shared]
            targets += [FanoutTarget(one, sequence_number=2 * round_ + 1) for one in shared[:20]]
            rng.shuffle(targets)
            targets.sort(key=lambda target: target.sequence_number)
            refused.extend(status for status in protect_fanout(packet, targets) if not isinstance(status, bytes))

    threads = [threading.Thread(target=fan_out, args=(ssrc,)) for ssrc in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not refused
    for i, one in enumerate(shared):
        assert one.state(Direction.OUTBOUND).rtp.processed == 4 * 100 * (2 if i < 20 else 1)
