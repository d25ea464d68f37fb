"""Damaged SRTP and SRTCP packets under every policy, a short run of tests/fuzz/fuzz_srtp.py.

The long run, of 10,000,000 packets, is that script's, which says when it was last made.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from srtp_damage import damage_batch, damage_single, deliver_waiting, policies, resident_bytes, target

from srtp import Direction, PacketBatch, PacketStatus, Policy, Profile, Session

NAMED = list(policies(random.Random(3)))
FLOOD = 200_000


@pytest.mark.parametrize(("name", "policy"), NAMED, ids=[name for name, _ in NAMED])
def test_nothing_damaged_is_taken(name: str, policy: Policy) -> None:
    one, source = target(name, policy, random.Random(name)), np.random.default_rng(7)
    for _ in range(6):
        damage_batch(one, source)
    damage_single(one, source)
    counters = one.receiver.state(Direction.INBOUND).rtp
    # The damage reaches every check, the tag above all.
    assert counters.malformed > 0
    assert not one.authenticated or counters.authentication_failures > 500
    deliver_waiting(one)


@pytest.mark.parametrize("profile", [Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_256_GCM])
def test_a_flood_of_ssrcs_takes_no_memory(profile: Profile) -> None:
    policy = Policy(profile, bytes(profile.master_key_length), bytes(profile.master_salt_length))
    receiver, source = Session(None, policy), np.random.default_rng(1)
    batch = PacketBatch(1000, 60)
    rows = batch.arena.reshape(1000, 60)

    def flood(packets: int) -> None:
        for _ in range(packets // 1000):
            rows[:] = source.integers(0, 256, rows.shape, np.uint8)
            rows[:, 0] = 0x80
            batch.lengths[:] = 60
            assert receiver.unprotect_batch(batch) == 0
            assert set(batch.statuses.tolist()) == {PacketStatus.AUTHENTICATION_FAILED}

    flood(FLOOD // 10)
    before = resident_bytes()
    flood(FLOOD)
    # A stream for each would be above 40 MB.
    assert resident_bytes() - before < 4_000_000
    assert receiver.state(Direction.INBOUND).streams == ()
