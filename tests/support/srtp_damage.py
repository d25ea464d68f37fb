"""Damaged SRTP packets by the thousand, made by numpy, and what a receiver must not do with them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rtp_packets import random_rtp, rtcp

from srtp import (
    Cryptex,
    Direction,
    MasterKey,
    PacketBatch,
    PacketStatus,
    Policy,
    Profile,
    RocCarrying,
    Session,
    SrtpError,
)

ROOM = 256
BATCH = 500
SOURCES = (1, 2, 0xCAFEBABE)
# What a packet of no sender may come to; never OK, and none that would mean a fault of our own.
REFUSALS = {
    PacketStatus.MALFORMED,
    PacketStatus.UNKNOWN_MKI,
    PacketStatus.KEY_EXPIRED,
    PacketStatus.AUTHENTICATION_FAILED,
    PacketStatus.REPLAYED,
    PacketStatus.TOO_OLD,
    PacketStatus.UNENCRYPTED,
    PacketStatus.UNEXPECTED_CRYPTEX,  # a byte of the header extension that became a mark
    PacketStatus.INDEX_EXHAUSTED,
}


@dataclass(frozen=True)
class Target:
    """A receiver that has met some packets, packets like those it has met or waits for, and those it waits for."""

    name: str
    receiver: Session
    authenticated: bool
    rtp: NDArray[np.uint8]
    rtp_lengths: NDArray[np.int32]
    rtcp: list[bytes]
    waiting: list[tuple[bytes, bytes]]
    batch: PacketBatch = field(default_factory=lambda: PacketBatch(BATCH, ROOM))


def _keys(profile: Profile, rng: random.Random, count: int, mki_length: int) -> list[MasterKey]:
    return [
        MasterKey(
            rng.randbytes(profile.master_key_length),
            rng.randbytes(profile.master_salt_length),
            bytes((number,)) * mki_length,
        )
        for number in range(count)
    ]


def policies(rng: random.Random) -> Iterator[tuple[str, Policy]]:
    """Every profile, with and without MKI, and every rule that changes how a packet is read."""
    for profile in Profile:
        yield profile.name, Policy.with_keys(profile, _keys(profile, rng, 1, 0))
        yield f"{profile.name}, two keys with MKI", Policy.with_keys(profile, _keys(profile, rng, 2, 4))
        yield (
            f"{profile.name}, key derivation rate",
            Policy.with_keys(profile, _keys(profile, rng, 1, 0), key_derivation_rate=16),
        )
        if profile.encrypts:
            for cryptex in (Cryptex.ON, Cryptex.REQUIRED):
                yield (
                    f"{profile.name}, {cryptex}",
                    Policy.with_keys(profile, _keys(profile, rng, 1, 1), cryptex=cryptex),
                )
            extensions = frozenset(range(1, 15))
            yield (
                f"{profile.name}, header extensions",
                Policy.with_keys(profile, _keys(profile, rng, 1, 0), encrypted_extensions=extensions),
            )
    plain = Profile.AES_CM_128_HMAC_SHA1_80
    for mode in (1, 2, 3):
        rule = RocCarrying(mode, 4)
        yield f"ROC carrying {mode}", Policy.with_keys(plain, _keys(plain, rng, 1, 0), roc_carrying=rule)
    yield "unauthenticated", Policy.with_keys(plain, _keys(plain, rng, 1, 2), authenticate_rtp=False)
    yield "unencrypted", Policy.with_keys(plain, _keys(plain, rng, 1, 2), encrypt_rtp=False, encrypt_rtcp=False)


def _plain_packets(rng: random.Random, policy: Policy) -> Iterator[bytes]:
    """From three sources, across a wrap of their sequence numbers."""
    sender = Session(policy, None)
    for number in range(40):
        for ssrc in SOURCES:
            packet = random_rtp(rng, 65515 + number, ssrc)[:200]
            try:
                sender.protect(packet)
            except SrtpError:  # cut in its header, or an extension that Cryptex cannot encrypt
                continue
            yield packet


def target(name: str, policy: Policy, rng: random.Random) -> Target:
    """A receiver under a policy that has met every other packet."""
    sender, receiver, undisturbed = Session(policy, None), Session(None, policy), Session(None, policy)
    templates, waiting = [], []
    for number, packet in enumerate(_plain_packets(rng, policy)):
        protected = sender.protect(packet)
        if len(protected) > ROOM:
            continue
        templates.append(protected)
        packet = undisturbed.unprotect(protected)  # Cryptex may have added an empty extension
        if number % 2:
            receiver.unprotect(protected)
        else:
            waiting.append((protected, packet))
    reports = [sender.protect_rtcp(rtcp(ssrc=ssrc, words=2 + n)) for n in range(8) for ssrc in SOURCES]
    for report in reports[::2]:
        receiver.unprotect_rtcp(report)
    rows = np.zeros((len(templates), ROOM), np.uint8)
    for row, protected in zip(rows, templates, strict=True):
        row[: len(protected)] = np.frombuffer(protected, np.uint8)
    authenticated = policy.authenticate_rtp and (policy.roc_carrying is None or policy.roc_carrying.mode == 2)
    lengths = np.array([len(one) for one in templates], np.int32)
    return Target(name, receiver, authenticated, rows, lengths, reports, waiting)


def fill_batch(one: Target, source: np.random.Generator) -> None:
    """Fills the target's batch with packets that nobody sent: damaged ones, cut ones, noise, unheard-of SSRCs."""
    chosen = source.integers(0, len(one.rtp), BATCH)
    wanted, arena = one.rtp[chosen], one.batch.arena.reshape(BATCH, ROOM)
    lengths = one.rtp_lengths[chosen].copy()
    arena[:] = wanted
    for _ in range(int(source.integers(1, 6))):
        # Most damage goes to the header, where it is looked at before the tag.
        early = source.integers(0, np.minimum(lengths, 20))
        places = np.where(source.random(BATCH) < 0.5, early, source.integers(0, lengths))
        hit = source.random(BATCH) < 0.7
        arena[np.nonzero(hit)[0], places[hit]] = source.integers(0, 256, int(hit.sum()), np.uint8)
    kind = source.random(BATCH)
    cut = kind < 0.1
    lengths[cut] = source.integers(0, lengths[cut] + 1)
    longer = (kind >= 0.1) & (kind < 0.15)
    lengths[longer] = source.integers(lengths[longer], ROOM + 1)
    noise = (kind >= 0.15) & (kind < 0.2)
    arena[noise] = source.integers(0, 256, (int(noise.sum()), ROOM), np.uint8)
    flood = (kind >= 0.2) & (kind < 0.4)
    arena[flood, 8:12] = source.integers(0, 256, (int(flood.sum()), 4), np.uint8)
    # What is still whole would be a sender's packet.
    same = (lengths == one.rtp_lengths[chosen]) & (arena == wanted).all(axis=1)
    arena[same, lengths[same] - 1] ^= 0x40
    one.batch.lengths[:] = lengths
    one.batch.statuses[:] = -1


def indexes(session: Session) -> list[object]:
    """The state of a receiver that nobody but the sender may change: all but the counters."""
    streams = session.state(Direction.INBOUND).streams
    return [*((s.ssrc, s.roc, s.rtp_replay, s.rtcp_replay) for s in streams), session.events()]


def damage_batch(one: Target, source: np.random.Generator) -> int:
    """Has a batch of damaged packets refused; returns how many there were."""
    fill_batch(one, source)
    before, sent = indexes(one.receiver), one.batch.arena.copy()
    one.receiver.unprotect_batch(one.batch)
    found = set(one.batch.statuses.tolist())
    if one.authenticated:
        assert found <= {int(status) for status in REFUSALS}, (one.name, found)
        assert indexes(one.receiver) == before, one.name
        assert np.array_equal(one.batch.arena, sent), one.name
    else:
        forget_strangers(one)
    return BATCH


def forget_strangers(one: Target) -> None:
    """Without authentication anybody's packet makes a stream, and it is the application that must bound them."""
    for stream in one.receiver.state(Direction.INBOUND).streams:
        if stream.ssrc not in SOURCES:
            assert one.receiver.remove_stream(stream.ssrc, Direction.INBOUND)


def damage_single(one: Target, source: np.random.Generator, count: int = 50) -> int:
    """Has damaged packets refused by the calls of one packet and of lists; returns how many there were."""
    fill_batch(one, source)
    before = indexes(one.receiver)
    packets = [one.batch.get(i) for i in range(count)]
    if one.authenticated:
        found = one.receiver.unprotect_list(packets)
        assert set(found) <= REFUSALS, (one.name, found)
        for packet in packets:
            _refused(one, one.receiver.unprotect, packet)
    for packet in packets:
        report = bytearray(one.rtcp[int(source.integers(len(one.rtcp)))])
        place = int(source.integers(len(report)))
        report[place] ^= int(source.integers(1, 256))
        for data in (bytes(report), packet, bytes(report[: int(source.integers(len(report)))])):
            _refused(one, one.receiver.unprotect_rtcp, data)
    assert indexes(one.receiver) == before, one.name
    return count * (5 if one.authenticated else 3)


def _refused(one: Target, operation: object, data: bytes) -> None:
    try:
        operation(data)  # type: ignore[operator]  # a method of Session
    except SrtpError:
        return
    raise AssertionError(f"{one.name}: a forged packet was taken: {data.hex()}")


def deliver_waiting(one: Target) -> None:
    """Everything damaged has gone by, and what was sent is still taken, each packet once."""
    if not one.authenticated:
        return
    for protected, packet in one.waiting:
        assert one.receiver.unprotect(protected) == packet, one.name
        _refused(one, one.receiver.unprotect, protected)


def resident_bytes() -> int:
    """The memory that this process takes now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
