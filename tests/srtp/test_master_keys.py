"""Several master keys: MKIs, ranges, lifetimes, rekeys; policies of single SSRCs; saved states; diagnoses."""

from __future__ import annotations

import pytest
from rtp_packets import rtcp, rtp

from srtp import (
    AuthenticationError,
    Cause,
    Direction,
    IndexReuseError,
    KeyEvent,
    KeyEventKind,
    KeyExpiredError,
    MasterKey,
    NoPolicyError,
    Policy,
    PolicyError,
    Profile,
    ReplayError,
    Session,
    StateError,
    UnknownMkiError,
)

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
AES = Profile.AES_CM_128_HMAC_SHA1_80
SSRC = 0xCAFEBABE


def key(seed=0, mki=b"", **more):
    return MasterKey(bytes((seed,)) * 16, bytes((seed + 1,)) * 14, mki, **more)


def policy(*keys, **more):
    return Policy.with_keys(AES, keys or [key()], **more)


def test_keys_are_told_apart_by_their_mki():
    keys = [key(1, b"one"), key(2, b"two")]
    sender, receiver = Session(policy(*keys), None), Session(None, policy(*keys))
    first = sender.protect(rtp(1))
    sender.switch_key(b"two")
    second = sender.protect(rtp(2))
    assert (b"one" in first, b"two" in second) == (True, True)
    assert [receiver.unprotect(packet) for packet in (second, first)] == [rtp(2), rtp(1)]
    third = key(3, b"thr")
    for session, direction in ((sender, OUT), (receiver, IN)):
        session.add_key(direction, third)
    sender.switch_key(b"thr")
    sender.remove_key(OUT, b"one")
    receiver.remove_key(IN, b"one")
    assert receiver.unprotect(sender.protect(rtp(3))) == rtp(3)
    with pytest.raises(UnknownMkiError):
        receiver.unprotect(Session(policy(keys[0]), None).protect(rtp(4)))
    assert [k.mki for k in sender.outbound_policy.master_keys] == [b"two", b"thr"]


def test_keys_cannot_be_removed_or_added_wrongly():
    session = Session(policy(key(1, b"one"), key(2, b"two")), policy(key(1, b"one")))
    with pytest.raises(PolicyError, match="switch"):
        session.remove_key(OUT, b"one")
    with pytest.raises(PolicyError, match="only one"):
        session.remove_key(IN, b"one")
    with pytest.raises(PolicyError, match="same MKI"):
        session.add_key(OUT, key(9, b"two"))
    with pytest.raises(PolicyError, match="MKIs of 3 and of 2"):
        session.add_key(OUT, key(9, b"xx"))
    with pytest.raises(PolicyError, match="15 bytes"):
        session.add_key(OUT, MasterKey(bytes(15), bytes(14), b"abc"))
    for mki in (b"", b"no", b"nope"):
        with pytest.raises(UnknownMkiError):
            session.switch_key(mki)
    assert session.protect(rtp(1)) == Session(policy(key(1, b"one")), None).protect(rtp(1))
    with pytest.raises(PolicyError, match="129"):
        key(1, bytes(129))
    with pytest.raises(PolicyError, match="MKIs"):
        policy(key(1, b"a"), key(2, b"bc"))
    with pytest.raises(PolicyError, match="index 0"):
        policy(key(1), key(2))
    long = Session(policy(key(1, bytes(128))), policy(key(1, bytes(128))))
    assert long.unprotect(long.protect(rtp(1))) == rtp(1)


def test_keys_are_told_apart_by_their_ranges():
    keys = [key(1, valid_from=0, valid_to=99), key(2, valid_from=100, valid_to=199)]
    sender, receiver = Session(policy(*keys), None), Session(None, policy(*keys))
    for i in (98, 99, 100, 101):
        protected = sender.protect(rtp(i))
        assert protected == Session(policy(key(1 if i < 100 else 2)), None).protect(rtp(i))
        assert receiver.unprotect(protected) == rtp(i)
    # SRTCP follows the stream's latest SRTP index (RFC 3711 8.1.1).
    assert sender.protect_rtcp(rtcp()) == Session(policy(key(2)), None).protect_rtcp(rtcp())
    for session, operation in ((sender, sender.protect), (receiver, receiver.unprotect)):
        with pytest.raises(KeyExpiredError):
            operation(rtp(200, payload=bytes(30)))
        assert session.state(OUT if session is sender else IN).rtp.key_expired == 1
    with pytest.raises(PolicyError):
        key(1, valid_from=5, valid_to=4)


def test_lifetimes_count_over_all_ssrcs():
    one = policy(key(1, b"k", srtp_lifetime=10, srtcp_lifetime=3, soft_limit=0.8))
    sender, receiver = Session(one, None), Session(None, one)
    for i in range(10):
        assert receiver.unprotect(sender.protect(rtp(i, ssrc=i % 3))) == rtp(i, ssrc=i % 3)
        expected = {7: [KeyEventKind.SOFT_LIMIT], 9: [KeyEventKind.HARD_LIMIT]}.get(i, [])
        assert [event.kind for event in sender.events()] == expected
    assert receiver.events() == (
        KeyEvent(KeyEventKind.SOFT_LIMIT, IN, None, b"k", False, 10),
        KeyEvent(KeyEventKind.HARD_LIMIT, IN, None, b"k", False, 10),
    )
    with pytest.raises(KeyExpiredError):
        sender.protect(rtp(10))
    with pytest.raises(KeyExpiredError):
        receiver.unprotect(Session(policy(key(1, b"k")), None).protect(rtp(10)))
    for _ in range(3):
        receiver.unprotect_rtcp(sender.protect_rtcp(rtcp()))
    with pytest.raises(KeyExpiredError):
        sender.protect_rtcp(rtcp())
    assert [event.rtcp for event in sender.events()] == [True, True]


def test_forged_packets_use_up_no_lifetime():
    receiver = Session(None, policy(key(1, srtp_lifetime=2)))
    sender = Session(policy(key(1)), None)
    for i in range(5):
        with pytest.raises(AuthenticationError):
            receiver.unprotect(rtp(i, payload=bytes(40)))
    assert receiver.unprotect(sender.protect(rtp(9))) == rtp(9)
    for bad in ({"srtp_lifetime": 0}, {"srtp_lifetime": 2**48 + 1}, {"srtcp_lifetime": 2**31 + 1}, {"soft_limit": 0}):
        with pytest.raises(PolicyError):
            key(1, **bad)


@pytest.mark.parametrize("profile", [AES, Profile.AEAD_AES_128_GCM])
def test_rekey_makes_before_it_breaks(profile):
    salt = profile.master_salt_length
    old, new = (MasterKey(bytes((seed,)) * 16, bytes((seed,)) * salt) for seed in (1, 2))
    sender = Session(Policy.with_keys(profile, [old]), None)
    receiver = Session(None, Policy.with_keys(profile, [old]))
    early = [sender.protect(rtp(i)) for i in range(65530, 65536)]
    receiver.unprotect(early[0])
    sender.rekey(OUT, new)
    receiver.rekey(IN, new, overlap=3)
    late = [sender.protect(rtp(i)) for i in range(6)]
    # The ROC goes on: index 65536 follows 65535 under the new key.
    assert [receiver.unprotect(packet) for packet in (late[0], early[2], late[1], early[1])]
    assert receiver.events() == ()
    receiver.unprotect(late[2])
    assert [event.kind for event in receiver.events()] == [KeyEventKind.OVERLAP_ENDED]
    with pytest.raises(AuthenticationError):
        receiver.unprotect(early[3])
    assert receiver.unprotect(late[3]) == rtp(3)
    assert receiver.roc(SSRC, IN) == 1
    with pytest.raises(PolicyError):
        Session(policy(key(1, b"m")), None).rekey(OUT, key(2))


def test_an_ssrc_can_have_a_policy_of_its_own():
    sender = Session(policy(key(1)), None)
    sender.add_policy(7, OUT, policy(key(2)))
    assert sender.protect(rtp(1, ssrc=7)) == Session(policy(key(2)), None).protect(rtp(1, ssrc=7))
    assert sender.protect(rtp(1, ssrc=8)) == Session(policy(key(1)), None).protect(rtp(1, ssrc=8))
    with pytest.raises(PolicyError, match="stream"):
        sender.add_policy(8, OUT, policy(key(3)))
    only = Session(None, None)
    only.add_policy(7, IN, policy(key(2)))
    with pytest.raises(NoPolicyError):
        only.unprotect(sender.protect(rtp(2, ssrc=8)))
    assert only.unprotect(sender.protect(rtp(2, ssrc=7))) == rtp(2, ssrc=7)
    assert only.remove_stream(7, IN)
    with pytest.raises(NoPolicyError):
        only.unprotect(sender.protect(rtp(3, ssrc=7)))
    only.add_policy(7, IN, Policy(Profile.AEAD_AES_256_GCM, bytes(32), bytes(12)))
    assert only.policy(IN, 7).profile is Profile.AEAD_AES_256_GCM


def test_a_removed_sender_uses_no_index_twice():
    sender = Session(policy(), None)
    for i in range(50):
        sender.protect(rtp(i))
    assert sender.remove_stream(SSRC, OUT)
    assert sender.state(OUT).streams == ()
    assert not sender.remove_stream(SSRC, OUT)
    with pytest.raises(IndexReuseError):
        sender.protect(rtp(49, payload=b"others"))
    assert Session(None, policy()).unprotect(sender.protect(rtp(50))) == rtp(50)


def moved(session, gap=100):
    sealing_key = bytes(range(32))
    return Session.import_state(session.export_state(sealing_key), sealing_key, gap=gap)


def test_saved_state_goes_on():
    keys = [key(1, b"one", srtp_lifetime=1000), key(2, b"two")]
    sender, receiver = Session(policy(*keys), None), Session(None, policy(*keys, rtp_window=1000))
    sender.add_policy(7, OUT, policy(key(5)))
    sender.protect(rtp(1, ssrc=7))
    sender.switch_key(b"two")
    protected = [sender.protect(rtp(i)) for i in range(65000, 65100)]
    for packet in (*protected[:50], protected[80]):
        receiver.unprotect(packet)
    receiver.unprotect_rtcp(sender.protect_rtcp(rtcp()))

    again = moved(receiver)
    assert again.state(IN).streams[0].rtp_replay == receiver.state(IN).streams[0].rtp_replay
    for packet in (*protected[:50], protected[80]):
        with pytest.raises(ReplayError):
            again.unprotect(packet)
    assert again.unprotect(protected[60]) == rtp(65060)
    after = moved(sender)
    for i in range(65000, 65200):
        with pytest.raises(IndexReuseError):
            after.protect(rtp(i))
    assert b"two" in (later := after.protect(rtp(65200)))
    assert again.unprotect(later) == rtp(65200)
    report = after.protect_rtcp(rtcp())
    assert int.from_bytes(report[-17:-13], "big") == 0x80000000 | 101
    assert again.unprotect_rtcp(report) == rtcp()
    assert after.protect(rtp(500, ssrc=7)) == Session(policy(key(5)), None).protect(rtp(500, ssrc=7))


def test_saved_state_keeps_lifetimes_and_overlaps():
    receiver = Session(None, policy(key(1)))
    old = Session(policy(key(1)), None)
    early = old.protect(rtp(1))
    receiver.rekey(IN, key(2), overlap=2)
    again = moved(receiver)
    fresh = Session(policy(key(2)), None)
    again.unprotect(fresh.protect(rtp(2)))
    assert again.unprotect(early) == rtp(1)
    again.unprotect(fresh.protect(rtp(3)))
    with pytest.raises(AuthenticationError):
        again.unprotect(old.protect(rtp(4)))
    sender = Session(policy(key(1, srtp_lifetime=200)), None)
    sender.protect(rtp(1))
    after = moved(sender)
    for i in range(99):
        after.protect(rtp(1000 + i))
    with pytest.raises(KeyExpiredError):
        after.protect(rtp(5000))


def test_saved_state_is_sealed():
    sealed = Session(policy(key(0x41)), None).export_state(bytes(32))
    assert b"41" * 8 not in sealed
    assert b"A" * 16 not in sealed
    for damaged in (sealed[:-1], sealed[:20], b"", b"x" + sealed, sealed[:14] + b"\x02" + sealed[15:]):
        with pytest.raises(StateError):
            Session.import_state(damaged, bytes(32))
    with pytest.raises(StateError, match="another key"):
        Session.import_state(sealed, bytes(31) + b"\1")
    with pytest.raises(StateError, match="31 bytes"):
        Session.import_state(sealed, bytes(31))
    with pytest.raises(StateError, match="gap"):
        Session.import_state(sealed, bytes(32), gap=-1)


def test_diagnosis():
    receiver = Session(policy(key(3)), policy(key(1)))
    sender = Session(policy(key(1)), None)
    good = sender.protect(rtp(10))
    state = receiver.state(IN)
    assert receiver.diagnose(good).cause is Cause.ACCEPTED
    assert receiver.state(IN) == state
    receiver.unprotect(good)
    assert receiver.diagnose(good).cause is Cause.REPLAYED
    ahead = Session(policy(key(1)), None)
    ahead.set_roc(SSRC, OUT, 2)
    found = receiver.diagnose(ahead.protect(rtp(11)))
    assert (found.cause, found.roc) == (Cause.WRONG_ROC, 2)
    echoed = Session(policy(key(3)), None).protect(rtp(12))
    assert receiver.diagnose(echoed).cause is Cause.OTHER_DIRECTION
    short = Session(Policy.with_keys(Profile.AES_CM_128_HMAC_SHA1_32, [key(1)]), None)
    found = receiver.diagnose(short.protect(rtp(13)))
    assert (found.cause, found.profile) == (Cause.OTHER_TAG_LENGTH, Profile.AES_CM_128_HMAC_SHA1_32)
    with_mki = Session(policy(key(1, b"mki!")), None)
    found = receiver.diagnose(with_mki.protect(rtp(14)))
    assert (found.cause, found.mki) == (Cause.MKI_PRESENT, b"mki!")
    assert Session(None, policy(key(1, b"mki!"))).diagnose(sender.protect(rtp(15))).cause is Cause.MKI_ABSENT
    gcm = Session(Policy(Profile.AEAD_AES_128_GCM, bytes((1,)) * 16, bytes((2,)) * 12), None)
    found = receiver.diagnose(gcm.protect(rtp(16)))
    assert (found.cause, found.profile) == (Cause.OTHER_PROFILE, Profile.AEAD_AES_128_GCM)
    assert receiver.diagnose(rtp(17, payload=bytes(40))).cause is Cause.UNKNOWN
    assert receiver.diagnose(b"short").cause is Cause.MALFORMED
    assert Session(policy(), None).diagnose(good).cause is Cause.NO_POLICY
    report = sender.protect_rtcp(rtcp())
    assert receiver.diagnose(report, rtcp=True).cause is Cause.ACCEPTED
    receiver.unprotect_rtcp(report)
    assert receiver.diagnose(report, rtcp=True).cause is Cause.REPLAYED
