"""Many master keys: made in linear time, and found or missed without a search (RFC 3711 8.1)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from rtp_packets import rtp

from srtp import Direction, MasterKey, Policy, Profile, Session, UnknownMkiError

PROFILES = [Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM]


def keys(profile: Profile, count: int, length: int = 4) -> list[MasterKey]:
    salt = bytes(profile.master_salt_length)
    return [MasterKey(i.to_bytes(16), salt, i.to_bytes(length)) for i in range(count)]


def cpu_seconds(work: Callable[[], object]) -> float:
    """The best of three, by this process's own clock."""
    found = []
    for _ in range(3):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_session_of_many_keys_is_made_in_linear_time(profile: Profile) -> None:
    few, many = (Policy.with_keys(profile, keys(profile, count)) for count in (2_000, 40_000))
    assert cpu_seconds(lambda: Session(None, many)) < 60 * cpu_seconds(lambda: Session(None, few))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("profile", PROFILES)
def test_an_mki_is_found_or_missed_as_fast_among_many(profile: Profile, known: bool) -> None:
    every = keys(profile, 20_000)
    sent = Session(Policy.with_keys(profile, [every[-1]]), None).protect(rtp(1))
    tag = 0 if profile.is_aead else profile.rtp_tag_length
    if not known:
        at = len(sent) - tag - 4
        sent = sent[:at] + b"\xff\xff\xff\xff" + sent[at + 4 :]
    among_many = Session(None, Policy.with_keys(profile, every))
    alone = Session(None, Policy.with_keys(profile, [every[-1]]))
    packets = [sent] * 2_000
    assert cpu_seconds(lambda: among_many.unprotect_list(packets)) < 10 * cpu_seconds(
        lambda: alone.unprotect_list(packets)
    )


@pytest.mark.parametrize("length", [1, 2, 128])
@pytest.mark.parametrize("profile", PROFILES)
def test_keys_come_and_go(profile: Profile, length: int) -> None:
    rng = random.Random(length)
    every = keys(profile, 200, length)
    receiver = Session(None, Policy.with_keys(profile, every[:1]))
    held = {0}
    for _ in range(300):
        one = rng.randrange(1, 200)
        if one in held:
            receiver.remove_key(Direction.INBOUND, every[one].mki)
            held.remove(one)
        else:
            receiver.add_key(Direction.INBOUND, every[one])
            held.add(one)
    for number, key in enumerate(every):
        sent = Session(Policy.with_keys(profile, [key]), None).protect(rtp(number, ssrc=number))
        if number in held:
            assert receiver.unprotect(sent) == rtp(number, ssrc=number)
        else:
            with pytest.raises(UnknownMkiError):
                receiver.unprotect(sent)
