"""What a key has protected of an SSRC stays used when the sender is removed, whatever policy brings the key back."""

from __future__ import annotations

import itertools

import pytest
from key_stream_record import KeyStreamRecord
from rtp_packets import rtcp, rtp

from srtp import (
    Direction,
    FanoutTarget,
    IndexReuseError,
    MasterKey,
    PacketBatch,
    PacketStatus,
    Policy,
    Profile,
    Session,
    TooManyStreamsError,
    protect_fanout,
)

OUT = Direction.OUTBOUND
SSRC = 7
SEALING_KEY = bytes(range(32))
PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM)
PLACES = ("own", "any")


def key(profile: Profile, n: int, mki: bytes = b"") -> MasterKey:
    return MasterKey(bytes((n,)) * 16, bytes((n + 100,)) * profile.master_salt_length, mki)


def policy(profile: Profile, *numbers: int, **more) -> Policy:
    return Policy.with_keys(profile, [key(profile, n) for n in numbers], **more)


def session_with(profile: Profile, place: str, n: int) -> Session:
    """A session whose packets of the SSRC go out under key `n`, by the policy of that place."""
    if place == "any":
        return Session(policy(profile, n), None)
    session = Session(policy(profile, 99), None)
    session.add_policy(SSRC, OUT, policy(profile, n))
    return session


def bring(session: Session, profile: Profile, place: str, n: int) -> None:
    """Has packets of the removed SSRC go out under key `n`."""
    if place == "own":
        session.add_policy(SSRC, OUT, policy(profile, n))
    else:
        session.rekey(OUT, key(profile, n))


def refuses(session: Session, packet: bytes) -> None:
    """Every way of protecting refuses the packet."""
    with pytest.raises(IndexReuseError):
        session.protect(packet)
    buffer = bytearray(packet) + bytearray(40)
    with pytest.raises(IndexReuseError):
        session.protect_into(buffer, len(packet))
    assert session.protect_list([packet]) == [PacketStatus.INDEX_REUSED]
    assert protect_fanout(packet, [FanoutTarget(session)]) == [PacketStatus.INDEX_REUSED]
    batch = PacketBatch(1, 200)
    batch.put(0, packet)
    assert session.protect_batch(batch) == 0
    assert list(batch.statuses) == [PacketStatus.INDEX_REUSED]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("before", "after"), list(itertools.product(PLACES, PLACES)))
@pytest.mark.parametrize("exported", [False, True])
def test_the_same_key_again_goes_on(profile, before, after, exported):
    record = KeyStreamRecord(profile, [key(profile, 1)])
    session = session_with(profile, before, 1)
    record.sent(session.protect(rtp(1000, ssrc=SSRC)), rtp(1000, ssrc=SSRC))
    for number in range(3):
        report = rtcp(ssrc=SSRC, words=6 + number)
        record.sent_rtcp(session.protect_rtcp(report), report)
    assert session.remove_stream(SSRC, OUT)
    assert not session.remove_stream(SSRC, OUT)
    if exported:
        session = Session.import_state(session.export_state(SEALING_KEY), SEALING_KEY, gap=0)
    if (before, after) != ("any", "any"):
        bring(session, profile, after, 1)
    for number in (1000, 999, 5):
        refuses(session, rtp(number, ssrc=SSRC, payload=b"others"))
    report = rtcp(ssrc=SSRC, words=20)
    assert record.sent_rtcp(session.protect_rtcp(report), report) == (0, 3)
    plain = rtp(1001, ssrc=SSRC)
    assert record.sent(session.protect(plain), plain) == (0, 1001)


def test_a_key_is_the_same_under_another_tag_length():
    session = session_with(Profile.AES_CM_128_HMAC_SHA1_80, "own", 1)
    session.protect(rtp(1000, ssrc=SSRC))
    session.remove_stream(SSRC, OUT)
    session.add_policy(SSRC, OUT, policy(Profile.AES_CM_128_HMAC_SHA1_32, 1))
    refuses(session, rtp(1000, ssrc=SSRC, payload=b"others"))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("place", PLACES)
def test_under_another_key_the_numbers_begin_anew(profile, place):
    session = session_with(profile, place, 1)
    session.set_roc(SSRC, OUT, 3)
    session.protect(rtp(1000, ssrc=SSRC))
    session.protect_rtcp(rtcp(ssrc=SSRC))
    session.remove_stream(SSRC, OUT)
    bring(session, profile, place, 2)
    fresh = Session(policy(profile, 2), None)
    assert session.protect(rtp(5, ssrc=SSRC)) == fresh.protect(rtp(5, ssrc=SSRC))
    assert session.protect_rtcp(rtcp(ssrc=SSRC)) == fresh.protect_rtcp(rtcp(ssrc=SSRC))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("way", ["rekey", "add_key", "update_policy"])
def test_a_key_that_is_further_cannot_be_given_to_a_running_sender(profile, way):
    mki = b"m" if way == "add_key" else b""
    keys = [key(profile, n, mki and bytes((n,))) for n in (1, 2)]
    session = Session(Policy.with_keys(profile, [keys[0]]), None)
    session.add_policy(SSRC, OUT, Policy.with_keys(profile, [keys[1]]))
    session.protect(rtp(1000, ssrc=SSRC))
    session.protect_rtcp(rtcp(ssrc=SSRC))
    session.remove_stream(SSRC, OUT)
    session.protect(rtp(5, ssrc=SSRC))

    def give():
        if way == "update_policy":
            session.update_policy(OUT, Policy.with_keys(profile, [keys[1]]))
        else:
            getattr(session, way)(OUT, keys[1])

    with pytest.raises(IndexReuseError, match="protected later packets"):
        give()
    assert session.outbound_policy.master_keys == (keys[0],)
    assert session.protect(rtp(6, ssrc=SSRC)) is not None
    session.protect(rtp(1010, ssrc=SSRC))
    give()
    if way == "add_key":
        session.switch_key(keys[1].mki)
    # Within the window, but used under that key before.
    with pytest.raises(IndexReuseError):
        session.protect(rtp(1000, ssrc=SSRC, payload=b"others"))
    record = KeyStreamRecord(profile, [Policy.with_keys(profile, [keys[1]]).master_keys[0]])
    plain = rtp(1005, ssrc=SSRC)
    sealed = session.protect(plain)
    assert mki or record.sent(sealed, plain) == (0, 1005)
    report = session.protect_rtcp(rtcp(ssrc=SSRC))
    assert mki or record.sent_rtcp(report, rtcp(ssrc=SSRC))[1] >= 1


@pytest.mark.parametrize("profile", PROFILES)
def test_keys_between_are_remembered(profile):
    session = Session(policy(profile, 1), None)
    session.protect(rtp(100, ssrc=SSRC))
    for n in (2, 3):
        session.rekey(OUT, key(profile, n))
        session.protect(rtp(100 * n, ssrc=SSRC))
    session.remove_stream(SSRC, OUT)
    for n in (1, 2, 3):
        session.add_policy(SSRC, OUT, policy(profile, n))
        with pytest.raises(IndexReuseError):
            session.protect(rtp(100, ssrc=SSRC, payload=b"others"))
        session.remove_stream(SSRC, OUT)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_sender_of_too_many_keys_is_used_up_for_all(profile):
    session = Session(policy(profile, 1), None)
    session.protect(rtp(100, ssrc=SSRC))
    for n in range(2, 20):
        session.rekey(OUT, key(profile, n))
        session.protect(rtp(100 + n, ssrc=SSRC))
    session = Session.import_state(session.export_state(SEALING_KEY), SEALING_KEY, gap=0)
    session.remove_stream(SSRC, OUT)
    session = Session.import_state(session.export_state(SEALING_KEY), SEALING_KEY, gap=0)
    session.add_policy(SSRC, OUT, policy(profile, 1))
    with pytest.raises(IndexReuseError):
        session.protect(rtp(100, ssrc=SSRC, payload=b"others"))


def test_what_is_remembered_is_bounded_and_the_bound_removes_nothing():
    profile = PROFILES[0]
    session = Session(policy(profile, 1), None)
    sent = session.protect_list([rtp(1, ssrc=ssrc, payload=b"") for ssrc in range(65537)])
    assert all(isinstance(packet, bytes) for packet in sent)
    for ssrc in range(65536):
        assert session.remove_stream(ssrc, OUT)
    with pytest.raises(TooManyStreamsError, match="65536"):
        session.remove_stream(65536, OUT)
    for ssrc in (0, 65535, 65536):
        with pytest.raises(IndexReuseError):
            session.protect(rtp(1, ssrc=ssrc, payload=b"others"))
    assert [stream.ssrc for stream in session.state(OUT).streams] == [65536]
    session.protect(rtp(2, ssrc=5))  # and a marked one can come and go again
    assert session.remove_stream(5, OUT)


def test_senders_that_sent_nothing_leave_no_mark():
    session = Session(policy(PROFILES[0], 1), None)
    session.add_policy(SSRC, OUT, policy(PROFILES[0], 1))
    assert session.remove_stream(SSRC, OUT)
    saved = session._saved(OUT)
    assert saved is not None
    assert saved.marks == ()
