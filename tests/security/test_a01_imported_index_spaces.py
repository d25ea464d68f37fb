"""An imported sender goes on after the gap in every index space, whether it had begun at the export or not."""

from __future__ import annotations

import pytest
from rtp_packets import rtcp, rtp

from srtp import Direction, IndexReuseError, Policy, Profile, Session, StateError

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SSRC = 0xCAFEBABE
SEALING_KEY = bytes(range(32))
PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM)
pytestmark = pytest.mark.parametrize("profile", PROFILES)
OWN = pytest.mark.parametrize("own", [False, True], ids=["any SSRC", "own policy"])


def policy(profile: Profile, **more) -> Policy:
    return Policy(profile, bytes(range(16)), bytes(range(profile.master_salt_length)), **more)


def sender(profile: Profile, own: bool) -> Session:
    if not own:
        return Session(policy(profile), None)
    session = Session(None, None)
    session.add_policy(SSRC, OUT, policy(profile))
    return session


def imported(session: Session, gap: int = 100) -> Session:
    return Session.import_state(session.export_state(SEALING_KEY), SEALING_KEY, gap=gap)


def rtcp_index(packet: bytes, profile: Profile) -> int:
    end = len(packet) - (0 if profile.is_aead else profile.rtcp_tag_length)
    return int.from_bytes(packet[end - 4 : end]) & 0x7FFFFFFF


@OWN
def test_rtcp_that_had_not_begun_begins_after_the_gap(profile, own):
    one = sender(profile, own)
    one.protect(rtp(1))
    after = imported(one)
    used = {rtcp_index(one.protect_rtcp(rtcp()), profile) for _ in range(100)}
    later = after.protect_rtcp(rtcp())
    assert used == set(range(100))
    assert rtcp_index(later, profile) == 100
    assert Session(None, policy(profile)).unprotect_rtcp(later) == rtcp()


@OWN
def test_rtp_that_had_not_begun_uses_no_index_of_its_roc(profile, own):
    one = sender(profile, own)
    one.protect_rtcp(rtcp())
    after = imported(one)
    one.protect(rtp(40000, payload=b"before the crash"))
    for number in (0, 5, 39999, 40000, 65535):
        with pytest.raises(IndexReuseError, match=r"not known.*another SSRC"):
            after.protect(rtp(number, payload=b"after it"))
    assert after.roc(SSRC, OUT) == 0
    after.set_roc(SSRC, OUT, 2)
    receiver = Session(None, policy(profile))
    receiver.set_roc(SSRC, IN, 2)
    assert receiver.unprotect(after.protect(rtp(5))) == rtp(5)


@OWN
@pytest.mark.parametrize("running", [False, True])
def test_a_roc_that_was_set_keeps_its_gap(profile, own, running):
    one = sender(profile, own)
    if running:
        one.protect(rtp(10))
    one.set_roc(SSRC, OUT, 5)
    after = imported(one)
    one.protect(rtp(20, payload=b"before the crash"))
    for number in (0, 11, 20, 60000):
        with pytest.raises(IndexReuseError):
            after.protect(rtp(number, payload=b"after it"))
    with pytest.raises(IndexReuseError):
        after.set_roc(SSRC, OUT, 4)
    after.set_roc(SSRC, OUT, 7)
    receiver = Session(None, policy(profile))
    receiver.set_roc(SSRC, IN, 7)
    assert receiver.unprotect(after.protect(rtp(3))) == rtp(3)


@pytest.mark.parametrize("roc", [0, 3])
def test_without_a_gap_nothing_was_sent_and_all_goes_on_as_it_was(profile, roc):
    one = sender(profile, False)
    one.protect_rtcp(rtcp())
    if roc:
        one.set_roc(SSRC, OUT, roc)
    after = imported(one, gap=0)
    assert after.protect(rtp(40000)) == one.protect(rtp(40000))
    assert after.protect_rtcp(rtcp()) == one.protect_rtcp(rtcp())


def test_started_is_saved_as_such(profile):
    receiver = Session(None, policy(profile))
    other = Session(policy(profile), None)
    receiver.unprotect(other.protect(rtp(10)))
    receiver.set_roc(SSRC, IN, 1)
    after = imported(receiver)
    assert after.state(IN).streams[0].rtp_replay == receiver.state(IN).streams[0].rtp_replay
    assert after.roc(SSRC, IN) == 1
    other.set_roc(SSRC, OUT, 1)
    protected = other.protect(rtp(60000))
    assert after.unprotect(protected) == receiver.unprotect(protected) == rtp(60000)


@pytest.mark.parametrize("roc", [0xFFFFFFFF, 0xFFFFFFFE])
def test_a_sender_near_its_last_index_is_named(profile, roc):
    one = sender(profile, False)
    one.set_roc(SSRC, OUT, roc)
    one.protect(rtp(65000))
    assert imported(one, gap=535).roc(SSRC, OUT) == roc
    if roc == 0xFFFFFFFF:
        with pytest.raises(StateError, match=r"last RTP index.*new keys.*0xcafebabe"):
            imported(one, gap=536)
    else:
        assert imported(one, gap=536).roc(SSRC, OUT) == 0xFFFFFFFF


def test_an_rtcp_sender_near_its_last_index_is_named(profile):
    one = sender(profile, False)
    one.protect_rtcp(rtcp())
    for _ in range(2):
        with pytest.raises(StateError, match="last RTCP index"):
            imported(one, gap=2**31)
    assert rtcp_index(imported(one, gap=2**31 - 2).protect_rtcp(rtcp()), profile) == 2**31 - 1


def test_a_removed_sender_that_came_back_after_the_export_is_reckoned_with(profile):
    one = sender(profile, False)
    one.protect(rtp(1))
    one.protect_rtcp(rtcp())
    one.remove_stream(SSRC, OUT)
    after = imported(one)
    one.protect(rtp(2, payload=b"before the crash"))
    assert rtcp_index(one.protect_rtcp(rtcp()), profile) == 1
    for number in (1, 2, 101):
        with pytest.raises(IndexReuseError):
            after.protect(rtp(number, payload=b"after it"))
    assert rtcp_index(after.protect_rtcp(rtcp()), profile) == 101
    assert after.protect(rtp(102)) == one.protect(rtp(102))
