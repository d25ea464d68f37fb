"""What a peer that is authentic can make us keep: SSRCs, windows, and what idle streams hold."""

from __future__ import annotations

import os
import random
import time

import pytest
from rtp_packets import rtcp, rtp

from sdp.sdescriptions.crypto_attribute import CryptoAttribute
from sdp.sdescriptions.policy import policy_of
from srtp import (
    Direction,
    PacketBatch,
    PacketStatus,
    Policy,
    PolicyError,
    Profile,
    ReplayError,
    Session,
    TooManyStreamsError,
)

PROFILES = [Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM]
IN = Direction.INBOUND


def policy(profile: Profile, **more: object) -> Policy:
    return Policy(profile, bytes(16), bytes(profile.master_salt_length), **more)  # type: ignore[arg-type]


def resident() -> int:
    with open("/proc/self/statm") as values:
        return int(values.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("kind", ["single", "list", "batch", "RTCP"])
@pytest.mark.parametrize("bound", [None, 3, 5000])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_peer_brings_no_more_ssrcs_than_the_policy_allows(profile: Profile, bound: int | None, kind: str) -> None:
    most = bound or 1024
    sender = Session(policy(profile), None)
    receiver = Session(None, policy(profile) if bound is None else policy(profile, max_streams=bound))
    if kind == "RTCP":
        sent = [sender.protect_rtcp(rtcp(ssrc=ssrc)) for ssrc in range(most + 2)]
        for packet in sent[:most]:
            receiver.unprotect_rtcp(packet)
        for packet in sent[most:]:
            with pytest.raises(TooManyStreamsError, match="max_streams"):
                receiver.unprotect_rtcp(packet)
    else:
        sent = [sender.protect(rtp(1, ssrc=ssrc)) for ssrc in range(most + 2)]
        found = outcomes(receiver, sent, kind)
        assert found == [PacketStatus.OK] * most + [PacketStatus.TOO_MANY_STREAMS] * 2
    assert len(receiver.state(IN).streams) == most
    assert receiver.unprotect(sender.protect(rtp(2, ssrc=0))) == rtp(2, ssrc=0)
    receiver.remove_stream(0, IN)
    assert receiver.unprotect(sender.protect(rtp(2, ssrc=most))) == rtp(2, ssrc=most)


def outcomes(receiver: Session, sent: list[bytes], kind: str) -> list[PacketStatus]:
    if kind == "batch":
        batch = PacketBatch(len(sent), 64)
        for i, packet in enumerate(sent):
            batch.put(i, packet)
        receiver.unprotect_batch(batch)
        return [PacketStatus(status) for status in batch.statuses]
    if kind == "list":
        return [one if isinstance(one, PacketStatus) else PacketStatus.OK for one in receiver.unprotect_list(sent)]
    found = []
    for packet in sent:
        try:
            receiver.unprotect(packet)
            found.append(PacketStatus.OK)
        except TooManyStreamsError:
            found.append(PacketStatus.TOO_MANY_STREAMS)
    return found


@pytest.mark.parametrize("value", [0, -1, 2**20 + 1, None, "1", 1.5])
def test_the_bound_is_a_number(value: object) -> None:
    with pytest.raises(PolicyError, match="max_streams"):
        policy(Profile.AEAD_AES_128_GCM, max_streams=value)


@pytest.mark.parametrize(
    ("hint", "window"), [(64, 128), (128, 128), (500, 500), (1024, 1024), (1025, 1024), (10**9, 1024)]
)
def test_the_window_that_a_peer_hints_at_is_bounded(hint: int, window: int) -> None:
    inline = "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
    line = CryptoAttribute.parse(f"1 AES_CM_128_HMAC_SHA1_80 {inline} WSH={hint}")
    assert policy_of(line).rtp_window == window


@pytest.mark.parametrize("rate", [0, 1], ids=["wide windows", "derived keys"])
@pytest.mark.parametrize("profile", PROFILES)
def test_idle_streams_keep_little(profile: Profile, rate: int) -> None:
    """Each SSRC sends a few packets and falls silent, as of a peer that wants memory."""
    streams = 8000
    one = policy(profile, rtp_window=128 if rate else 32768, key_derivation_rate=rate, max_streams=2**20)
    sender, receiver = Session(one, None), Session(None, one)
    sent = [[sender.protect(rtp(number, ssrc=ssrc)) for number in (1, 2)] for ssrc in range(streams)]
    before = resident()
    for packets in sent:
        for packet in packets:
            receiver.unprotect(packet)
    assert (resident() - before) / streams < 2048


@pytest.mark.parametrize("profile", PROFILES)
def test_a_stream_that_wakes_takes_nothing_twice(profile: Profile) -> None:
    one = policy(profile, rtp_window=4096, rtcp_window=4096, max_streams=2**20)
    sender, receiver = Session(one, None), Session(None, one)
    first = [sender.protect(rtp(number, ssrc=1)) for number in range(100)]
    reports = [sender.protect_rtcp(rtcp(ssrc=1)) for _ in range(100)]
    for packet in first[::2]:
        receiver.unprotect(packet)
    for report in reports[::2]:
        receiver.unprotect_rtcp(report)
    counted = receiver.state(IN).streams[0].rtp
    for ssrc in range(2, 3000):
        receiver.unprotect(sender.protect(rtp(1, ssrc=ssrc)))
    state = next(stream for stream in receiver.state(IN).streams if stream.ssrc == 1)
    assert (state.rtp_replay.top, state.rtcp_replay.top, state.rtp) == (98, 98, counted)
    key = os.urandom(32)
    moved = Session.import_state(receiver.export_state(key), key)
    later = [sender.protect(rtp(number, ssrc=1)) for number in range(100, 3000)]
    for session in (receiver, moved):
        for packet in first[::2]:
            with pytest.raises(ReplayError):
                session.unprotect(packet)
        for report in reports[::2]:
            with pytest.raises(ReplayError):
                session.unprotect_rtcp(report)
        random.Random(1).shuffle(later)
        assert not [one for one in session.unprotect_list(later) if isinstance(one, PacketStatus)]
        assert set(session.unprotect_list(later)) == {PacketStatus.REPLAYED}
        for packet in first[::2]:
            with pytest.raises(ReplayError):
                session.unprotect(packet)


def test_a_roc_is_set_on_a_sleeping_stream() -> None:
    one = policy(Profile.AEAD_AES_128_GCM, rtp_window=4096, max_streams=2**20)
    sender, receiver = Session(one, None), Session(None, one)
    receiver.unprotect(sender.protect(rtp(1, ssrc=1)))
    for ssrc in range(2, 300):
        receiver.unprotect(sender.protect(rtp(1, ssrc=ssrc)))
    receiver.set_roc(1, IN, 3)
    sender.set_roc(1, Direction.OUTBOUND, 3)
    assert receiver.unprotect(sender.protect(rtp(2, ssrc=1))) == rtp(2, ssrc=1)
    assert receiver.roc(1, IN) == 3


@pytest.mark.parametrize("profile", PROFILES)
def test_wide_windows_of_many_streams_are_looked_at_in_little_time(profile):
    """Full lists of 32,768 indexes: bit by bit of one number, a peer's 1,024 streams took minutes."""
    wide = policy(profile, rtp_window=32768)
    sender, receiver = Session(policy(profile), None), Session(None, wide)
    packets = [sender.protect(rtp(number, ssrc=ssrc)) for ssrc in range(1, 101) for number in (1, 30000)]
    for packet in packets:
        receiver.unprotect(packet)
    begin = time.process_time()
    copied = Session.import_state(receiver.export_state(bytes(32)), bytes(32))
    assert time.process_time() - begin < 2
    assert copied.state(IN).streams[0].rtp_replay == receiver.state(IN).streams[0].rtp_replay
    assert set(copied.unprotect_list(packets)) == {PacketStatus.REPLAYED}
