"""What is measured of SRTP from Python: each workload makes its packets and sessions, then times only the calls."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable

import pylibsrtp

from srtp import Direction, PacketBatch, Policy, Profile, Session

BATCH = 64
BATCHES_AT_ONCE = 4
PACKETS = 16 * BATCH
STREAMS = 10_000
MAX_OVERHEAD = 16
THEIR_PROFILES = {
    Profile.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    Profile.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
}
# A workload returns nanoseconds per packet, or per byte where it says so.
Workload = Callable[[], float]


def policy_of(profile: Profile, seed: int = 0) -> Policy:
    rng = random.Random(seed)
    return Policy(profile, rng.randbytes(profile.master_key_length), rng.randbytes(profile.master_salt_length))


def packet(number: int, payload: int, ssrc: int = 0xCAFE) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, 160 * number, ssrc) + bytes(payload)


def timed(operation: Callable[[bytes], object], packets: list[bytes]) -> float:
    started = time.perf_counter_ns()
    for one in packets:
        operation(one)
    return (time.perf_counter_ns() - started) / len(packets)


def timed_in_place(operation: Callable[[bytearray, int], int], packets: list[bytes]) -> float:
    buffers = [bytearray(one + bytes(16)) for one in packets]
    length = len(packets[0])
    started = time.perf_counter_ns()
    for buffer in buffers:
        operation(buffer, length)
    return (time.perf_counter_ns() - started) / len(packets)


def timed_batches(operation: Callable[[PacketBatch], int], packets: list[bytes]) -> float:
    """In batches of 64, each in one arena of its own; some are filled, then the time of these is taken."""
    capacity = -(-(max(map(len, packets)) + MAX_OVERHEAD) // 64) * 64
    batches = [PacketBatch(BATCH, capacity) for _ in range(BATCHES_AT_ONCE)]
    at_once = BATCH * BATCHES_AT_ONCE
    elapsed = timed_packets = 0
    for first in range(0, len(packets) - at_once + 1, at_once):
        for i, one in enumerate(packets[first : first + at_once]):
            batches[i // BATCH].put(i % BATCH, one)
        started = time.perf_counter_ns()
        for batch in batches:
            operation(batch)
        elapsed += time.perf_counter_ns() - started
        timed_packets += at_once
        assert not any(batch.statuses.any() for batch in batches)
    return elapsed / timed_packets


def timed_lists(operation: Callable[[list[bytes]], list[object]], packets: list[bytes]) -> float:
    parts = [packets[first : first + BATCH] for first in range(0, len(packets), BATCH)]
    started = time.perf_counter_ns()
    for part in parts:
        operation(part)
    return (time.perf_counter_ns() - started) / len(packets)


def sizes(profile: Profile, payload: int) -> dict[str, Workload]:
    """One stream in order, packets of one size, in every way there is and beside pylibsrtp."""
    policy = policy_of(profile)
    plain = [packet(number, payload) for number in range(PACKETS)]
    sealing = Session(policy, None)
    sealed = [sealing.protect(one) for one in plain]
    key = bytes(policy.master_key) + bytes(policy.master_salt)

    def theirs(kind: int) -> pylibsrtp.Session:
        return pylibsrtp.Session(pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=THEIR_PROFILES[profile]))

    return {
        "pylibsrtp protect": lambda: timed(theirs(pylibsrtp.Policy.SSRC_ANY_OUTBOUND).protect, plain),
        "pylibsrtp unprotect": lambda: timed(theirs(pylibsrtp.Policy.SSRC_ANY_INBOUND).unprotect, sealed),
        "protect": lambda: timed(Session(policy, None).protect, plain),
        "unprotect": lambda: timed(Session(None, policy).unprotect, sealed),
        "protect_into": lambda: timed_in_place(Session(policy, None).protect_into, plain),
        "unprotect_into": lambda: timed_in_place(Session(None, policy).unprotect_into, sealed),
        "protect_list": lambda: timed_lists(Session(policy, None).protect_list, plain),
        "unprotect_list": lambda: timed_lists(Session(None, policy).unprotect_list, sealed),
        "protect_batch": lambda: timed_batches(Session(policy, None).protect_batch, plain),
        "unprotect_batch": lambda: timed_batches(Session(None, policy).unprotect_batch, sealed),
    }


def streams() -> dict[str, Workload]:
    """The same number of packets of 160 bytes from 10,000 SSRCs at random, all met before, and from one."""
    policy = policy_of(Profile.AES_CM_128_HMAC_SHA1_80)
    first = [packet(1, 160, ssrc) for ssrc in range(1, STREAMS + 1)]
    order = random.Random(1).sample(range(1, STREAMS + 1), STREAMS)
    many = [packet(2, 160, ssrc) for ssrc in order]
    one = [packet(number, 160) for number in range(STREAMS)]

    def met() -> Session:
        session = Session(policy, None)
        session.protect_list(first)
        return session

    return {
        "1 SSRC, one packet": lambda: timed(Session(policy, None).protect, one),
        "10,000 SSRCs, one packet": lambda: timed(met().protect, many),
        "1 SSRC, batch": lambda: timed_batches(Session(policy, None).protect_batch, one),
        "10,000 SSRCs, batch": lambda: timed_batches(met().protect_batch, many),
    }


def mixed() -> dict[str, Workload]:
    """Nanoseconds per byte of payload: batches of 20 to 1200 bytes under 16 keys, shuffled, and of equal lengths."""
    rng = random.Random(2)
    lengths = [rng.randint(20, 1200) for _ in range(PACKETS)]
    mean = sum(lengths) // PACKETS
    shuffled = [packet(i // 16, length, 1 + i % 16) for i, length in enumerate(lengths)]
    equal = [packet(i, mean) for i in range(PACKETS)]

    def keyed() -> Session:
        session = Session(None, None)
        for ssrc in range(1, 17):
            session.add_policy(ssrc, Direction.OUTBOUND, policy_of(Profile.AES_CM_128_HMAC_SHA1_80, ssrc))
            session.protect(packet(0xFFFF, 20, ssrc))
        return session

    policy = policy_of(Profile.AES_CM_128_HMAC_SHA1_80)
    return {
        "equal lengths, 1 key": lambda: timed_batches(Session(policy, None).protect_batch, equal) / mean,
        "20 to 1200 B, 16 keys": lambda: timed_batches(keyed().protect_batch, shuffled) * PACKETS / sum(lengths),
    }


def bytes_per_stream() -> dict[str, float]:
    """Resident memory that a stream takes: under a key that all share, and with a policy of its own."""
    policy = policy_of(Profile.AES_CM_128_HMAC_SHA1_80)
    packets = [packet(1, 20, ssrc) for ssrc in range(1, 2 * STREAMS + 1)]
    policies = [(os.urandom(16), os.urandom(14)) for _ in range(2 * STREAMS)]
    shared, own = Session(policy, None), Session(None, None)
    before = _resident()
    for one in packets:
        shared.protect(one)
    between = _resident()
    for ssrc, (key, salt) in enumerate(policies):
        own.add_policy(ssrc, Direction.OUTBOUND, Policy(policy.profile, key, salt))
    after = _resident()
    return {"a shared key": (between - before) / len(packets), "its own key": (after - between) / len(packets)}


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
