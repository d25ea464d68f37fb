"""A policy changes while streams run, and ROC, replay lists, lifetimes and key streams go on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from key_stream_record import KeyStreamRecord
from rtp_packets import rtcp, rtp

from sdp import Codec, NegotiatedAudio
from sdp import Direction as MediaDirection
from securertc.media.audio_receiver import AudioReceiver
from securertc.media.audio_sender import AudioSender
from srtp import (
    AuthenticationError,
    Cryptex,
    Direction,
    IndexReuseError,
    KeyEventKind,
    KeyExpiredError,
    MasterKey,
    NoPolicyError,
    PacketBatch,
    PacketTooOldError,
    Policy,
    Profile,
    ReplayError,
    Session,
)

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SSRC = 0xCAFEBABE
PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM)
PLACES = pytest.mark.parametrize("place", [None, SSRC], ids=["any SSRC", "own policy"])
EVERY = pytest.mark.parametrize("profile", PROFILES)
WITH_EXTENSION = bytes.fromhex("90000005 00000000 cafebabe bede0001 10aa2000") + b"payload"


def key(profile: Profile, n: int, mki: bytes = b"", **more) -> MasterKey:
    return MasterKey(bytes((n,)) * 16, bytes((n + 100,)) * profile.master_salt_length, mki, **more)


def policy(profile: Profile, *numbers: int, **more) -> Policy:
    return Policy.with_keys(profile, [key(profile, n) for n in numbers or (1,)], **more)


def session(place: int | None, one: Policy) -> Session:
    if place is None:
        return Session(one, one)
    made = Session(None, None)
    for direction in Direction:
        made.add_policy(place, direction, one)
    return made


def settings(profile: Profile) -> list[dict]:
    return [
        {"cryptex": Cryptex.ON},
        {"cryptex": Cryptex.REQUIRED},
        {"encrypted_extensions": frozenset((1,))},
        {"rtp_window": 1024, "rtcp_window": 4096},
        {"rtp_window": 64, "rtcp_window": 64},
        {"allow_repeat_tx": True},
        {"key_derivation_rate": 16},
        *([] if profile.is_aead else [{"encrypt_rtp": False}]),
    ]


@PLACES
@pytest.mark.parametrize(("profile", "more"), [(profile, more) for profile in PROFILES for more in settings(profile)])
def test_roc_and_replay_lists_go_on(profile, place, more):
    one, changed = policy(profile), policy(profile, **more)
    ours = session(place, one)
    early = []
    for n in (*range(65500, 65536), *range(65536, 65560)):
        early.append(ours.protect(rtp(n)))
        if n != 65540:
            ours.unprotect(early[-1])
    reports = [ours.protect_rtcp(rtcp()) for _ in range(3)]
    ours.unprotect_rtcp(reports[2])
    counters = ours.state(IN).streams[0].rtp
    for direction in Direction:
        ours.update_policy(direction, changed, ssrc=place)
        assert ours.policy(direction, place) == changed
        assert ours.roc(SSRC, direction) == 1
    assert ours.state(IN).streams[0].rtp == counters
    with pytest.raises(ReplayError):
        ours.unprotect(early[-1])
    with pytest.raises(ReplayError):
        ours.unprotect_rtcp(reports[2])
    assert ours.unprotect_rtcp(reports[1]) == rtcp()
    with pytest.raises(IndexReuseError):
        ours.protect(rtp(65559, payload=b"others"))
    assert (
        ours.unprotect(ours.protect(WITH_EXTENSION[:2] + b"\x00\x30" + WITH_EXTENSION[4:]))[12:] == WITH_EXTENSION[12:]
    )
    assert ours.roc(SSRC, OUT) == ours.roc(SSRC, IN) == 1
    report = ours.protect_rtcp(rtcp())
    assert KeyStreamRecord(profile, [key(profile, 1)]).sent_rtcp(report, rtcp()) == (0, 3)
    assert ours.unprotect_rtcp(report) == rtcp()


@EVERY
def test_batches_go_on_under_the_new_policy(profile):
    ours = session(None, policy(profile))
    assert all(isinstance(one, bytes) for one in ours.protect_list([rtp(n) for n in range(100)]))
    for direction in Direction:
        ours.update_policy(direction, policy(profile, rtp_window=256, cryptex=Cryptex.ON))
    batch = PacketBatch(40, 200)
    for i in range(40):
        batch.put(i, rtp(90 + i))
    assert ours.protect_batch(batch) == 30
    assert [ours.unprotect(batch.get(i)) for i in range(10, 40)] == [rtp(n) for n in range(100, 130)]


@EVERY
def test_what_lies_before_a_shorter_window_counts_as_received(profile):
    sender, receiver = Session(policy(profile), None), Session(None, policy(profile, rtp_window=64))
    packets = [sender.protect(rtp(n)) for n in range(200)]
    receiver.unprotect(packets[150])
    receiver.update_policy(IN, policy(profile, rtp_window=1024))
    with pytest.raises(ReplayError):
        receiver.unprotect(packets[150 - 64])
    assert receiver.unprotect(packets[150 - 63]) == rtp(150 - 63)
    receiver.unprotect(packets[199])
    receiver.update_policy(IN, policy(profile, rtp_window=64))
    with pytest.raises(PacketTooOldError):
        receiver.unprotect(packets[199 - 64])
    assert receiver.unprotect(packets[199 - 63]) == rtp(199 - 63)
    with pytest.raises(ReplayError):
        receiver.unprotect(packets[199 - 63])


@EVERY
def test_lifetimes_go_on_and_a_limit_that_is_now_reached_is_told(profile):
    ours = Session(policy(profile), None)
    for n in range(10):
        ours.protect(rtp(n))
    ours.update_policy(OUT, Policy.with_keys(profile, [key(profile, 1, srtp_lifetime=12, soft_limit=0.5)]))
    assert [(event.kind, event.used) for event in ours.events()] == [(KeyEventKind.SOFT_LIMIT, 10)]
    ours.protect(rtp(10))
    ours.protect(rtp(11))
    with pytest.raises(KeyExpiredError):
        ours.protect(rtp(12))


@EVERY
def test_the_key_that_protects_stays_where_the_keys_stay(profile):
    keys = [key(profile, n, bytes((n,))) for n in (1, 2)]
    one = Policy.with_keys(profile, keys)
    ours = Session(one, one)
    ours.switch_key(keys[1].mki)
    ours.update_policy(OUT, replace(one, cryptex=Cryptex.ON))
    protected = ours.protect(rtp(1))
    assert protected == Session(Policy.with_keys(profile, [keys[1]]), None).protect(rtp(1))
    ours.update_policy(OUT, one.replace_keys(keys[::-1]))
    ours.update_policy(OUT, one)
    assert ours.protect(rtp(2)) == Session(Policy.with_keys(profile, [keys[0]]), None).protect(rtp(2))


@EVERY
def test_an_overlap_stays_where_the_key_stays(profile):
    old, new = policy(profile, 1), policy(profile, 2)
    early = [Session(old, None).protect(rtp(n)) for n in range(4)]
    ours = Session(None, old)
    ours.rekey(IN, key(profile, 2), overlap=2)
    ours.update_policy(IN, replace(new, rtp_window=512))
    assert ours.unprotect(early[0]) == rtp(0)
    late = Session(new, None)
    for n in (10, 11):
        ours.unprotect(late.protect(rtp(n)))
    with pytest.raises(AuthenticationError):
        ours.unprotect(early[1])
    assert [event.kind for event in ours.events()] == [KeyEventKind.OVERLAP_ENDED]
    ours.rekey(IN, key(profile, 1), overlap=2)
    ours.update_policy(IN, policy(profile, 3))
    with pytest.raises(AuthenticationError):
        ours.unprotect(late.protect(rtp(12)))


@EVERY
def test_repeats_go_on_where_the_packets_stay_the_same(profile):
    ours = Session(policy(profile, allow_repeat_tx=True), None)
    first = ours.protect(rtp(1))
    ours.update_policy(OUT, policy(profile, allow_repeat_tx=True, rtp_window=1024))
    assert ours.protect(rtp(1)) == first
    ours.update_policy(OUT, policy(profile, allow_repeat_tx=True, key_derivation_rate=1))
    for changed in (rtp(1), rtp(1, payload=b"others")):
        with pytest.raises(IndexReuseError):
            ours.protect(changed)


@EVERY
def test_wrong_calls_change_nothing(profile):
    ours = Session(policy(profile), None)
    ours.protect(rtp(1))
    with pytest.raises(NoPolicyError):
        ours.update_policy(IN, policy(profile, 2))
    with pytest.raises(NoPolicyError):
        ours.update_policy(OUT, policy(profile, 2), ssrc=SSRC)
    with pytest.raises(TypeError):
        ours.update_policy(OUT, None)  # type: ignore[arg-type]
    assert ours.protect(rtp(2)) is not None
    assert ours.outbound_policy == policy(profile)


def agreed(outbound: Policy, inbound: Policy, *, rtcp_outbound: Policy | None = None) -> NegotiatedAudio:
    return NegotiatedAudio(
        remote_address="192.0.2.1",
        remote_port=4000,
        remote_rtcp_port=4001,
        rtcp_mux=False,
        protocol="RTP/SAVP",
        codec=Codec("PCMU", 8000, 0),
        payload_type=0,
        direction=MediaDirection.SENDRECV,
        ptime=20,
        outbound=outbound,
        inbound=inbound,
        rtcp_outbound=rtcp_outbound,
    )


@EVERY
@pytest.mark.parametrize("apart", [False, True], ids=["one key", "a key of RTCP"])
def test_a_key_that_comes_back_to_a_call_uses_no_index_again(profile, apart):
    """Of three agreements the first and the last have the same key; in between RTCP has none of its own."""

    def one(n: int, rtcp_n: int | None) -> NegotiatedAudio:
        return agreed(policy(profile, n), policy(profile, 9), rtcp_outbound=rtcp_n and policy(profile, rtcp_n))

    keys = [key(profile, n) for n in (1, 2, 3)]
    record = KeyStreamRecord(profile, keys)
    sender = AudioSender(one(1, 3 if apart else None))
    number = 0

    def send() -> None:
        nonlocal number
        for _ in range(3):
            number += 1
            report = rtcp(ssrc=sender.ssrc, words=2)[:8] + number.to_bytes(4)
            record.sent_rtcp(sender.protect_rtcp(report), report)
            sequence = sender._sequence
            sealed = sender.audio(np_silence(), number * 0.02)
            plain = Session(None, sender._agreed.outbound).unprotect(sealed)
            assert int.from_bytes(plain[2:4]) == sequence
            record.sent(sealed, plain)

    send()
    ssrc = sender.ssrc
    for n, rtcp_n in ((2, None), (1, 3), (2, None), (1, 3)):
        sender.update(one(n, rtcp_n if apart else None))
        send()
    assert sender.ssrc == ssrc
    assert len(record.used) == 30


def np_silence():
    import numpy as np

    return np.zeros(160, np.int16)


@EVERY
def test_a_call_whose_settings_change_keeps_source_and_cycle(profile):
    sender = AudioSender(agreed(policy(profile, 1), policy(profile, 9)))
    ssrc = sender.ssrc
    sender._session.set_roc(ssrc, OUT, 3)
    sender.audio(np_silence(), 0.0)
    sender.update(agreed(policy(profile, 1, cryptex=Cryptex.ON), policy(profile, 9)))
    assert sender.ssrc == ssrc
    assert sender._session.roc(ssrc, OUT) == 3
    sender.audio(np_silence(), 0.02)
    sender.update(agreed(policy(profile, 2), policy(profile, 9)))
    assert sender.ssrc != ssrc  # under a new key of a later cycle


@EVERY
@pytest.mark.parametrize("between", [1, 2], ids=["settings change", "another key between"])
def test_a_receiver_takes_nothing_twice_over_changes(profile, between):
    def one(n: int, **more) -> NegotiatedAudio:
        return agreed(policy(profile, 9), policy(profile, n, **more))

    receiver = AudioReceiver(one(1), own_ssrc=lambda: 1)
    sender = Session(policy(profile, 1), None)
    packets = [sender.protect(rtp(n, payload=bytes(160))) for n in range(3)]
    address = ("192.0.2.1", 4000)
    for packet in packets:
        receiver.receive_rtp(packet, address, 0.0)
    receiver.update(one(between, rtp_window=1024), 1.0)
    receiver.update(one(1), 2.0)
    assert receiver.authenticated == 3
    for packet in packets:
        receiver.receive_rtp(packet, address, 2.1)
    assert (receiver.authenticated, receiver.replays) == (3, 3)


@EVERY
def test_a_key_that_stays_is_not_refused_for_marks_of_an_export(profile):
    """What a sender was before it was removed and came back is behind it, though the gap set its mark far ahead."""
    policy = Policy.with_keys(profile, [key(profile, 1)])
    session = Session(policy, None)
    session.protect_rtcp(rtcp())
    session.remove_stream(SSRC, OUT)
    session.protect(rtp(100))
    session = Session.import_state(session.export_state(bytes(32)), bytes(32), gap=1000)
    session.update_policy(OUT, replace(policy, rtp_window=256))
    with pytest.raises(IndexReuseError):
        session.protect(rtp(1100))
    session.protect(rtp(1101))
    assert session.roc(SSRC, OUT) == 0


@EVERY
def test_an_overlap_of_keys_with_ranges(profile):
    """The new key is tried, a key for later indexes may come, and the whole is saved."""
    first, second, later = (
        key(profile, 1, valid_to=1000),
        key(profile, 2, valid_to=1000),
        key(profile, 3, valid_from=1001),
    )
    sender = Session(Policy.with_keys(profile, [first]), None)
    receiver = Session(None, Policy.with_keys(profile, [first]))
    late = sender.protect(rtp(1))
    receiver.rekey(IN, second, overlap=3)
    receiver.add_key(IN, later)
    sender.rekey(OUT, second)
    assert receiver.unprotect(sender.protect(rtp(2))) == rtp(2)
    assert receiver.unprotect_rtcp(sender.protect_rtcp(rtcp())) == rtcp()
    receiver = Session.import_state(receiver.export_state(bytes(32)), bytes(32))
    assert receiver.unprotect(late) == rtp(1)
    assert receiver.unprotect(sender.protect(rtp(3))) == rtp(3)
    assert [event.kind for event in receiver.events()] == [KeyEventKind.OVERLAP_ENDED]
    sender.add_key(OUT, later)
    assert receiver.unprotect(sender.protect(rtp(1001))) == rtp(1001)
