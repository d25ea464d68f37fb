"""Errors of SRTP state say what to do: the window, too many streams, a ROC that is none, a sender that was removed."""

from __future__ import annotations

import pytest
from rtp_packets import rtcp, rtp

from srtp import (
    Direction,
    FanoutTarget,
    IndexReuseError,
    NoPolicyError,
    PacketBatch,
    PacketStatus,
    Policy,
    Profile,
    RocCarrying,
    Session,
    TooManyStreamsError,
    protect_fanout,
)

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SSRC = 0xCAFEBABE
AES, GCM = Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM
PROFILES = pytest.mark.parametrize("profile", [AES, GCM])


def policy(profile: Profile, **more) -> Policy:
    return Policy(profile, bytes(range(16)), bytes(range(profile.master_salt_length)), **more)


def refusal(session: Session, packet: bytes, *, in_place: bool) -> IndexReuseError:
    buffer = bytearray(packet + bytes(40))
    protect = (lambda: session.protect_into(buffer, len(packet))) if in_place else (lambda: session.protect(packet))
    with pytest.raises(IndexReuseError) as error:
        protect()
    return error.value


@PROFILES
@pytest.mark.parametrize("window", [64, 200])
@pytest.mark.parametrize("in_place", [False, True])
def test_behind_the_window_names_it(profile, window, in_place):
    session = Session(policy(profile, rtp_window=window), None)
    session.protect(rtp(1000))
    behind = refusal(session, rtp(1000 - window), in_place=in_place)
    assert "rtp_window" in str(behind)
    assert str(window) in str(behind)
    assert (behind.ssrc, behind.index) == (SSRC, 1000 - window)
    assert "rtp_window" not in str(refusal(session, rtp(1000, payload=b"others"), in_place=in_place))
    assert session.protect(rtp(1000 - window + 1))
    session.remove_stream(SSRC, OUT)
    assert "removed" in str(refusal(session, rtp(999), in_place=in_place))


@pytest.mark.parametrize("without", [{"authenticate_rtp": False}, {"roc_carrying": RocCarrying(3, 8)}])
def test_one_unauthenticated_stream_too_many_is_an_error_of_its_own(without):
    one = policy(AES, **without)
    sender, receiver = Session(one, None), Session(None, one)
    packets = [sender.protect(rtp(0, ssrc=ssrc)) for ssrc in range(1026)]
    for packet in packets[:1024]:
        receiver.unprotect(packet)
    with pytest.raises(TooManyStreamsError, match=r"remove_stream\(\)") as error:
        receiver.unprotect(packets[1024])
    assert error.value.ssrc == 1024
    assert type(error.value) is not NoPolicyError
    with pytest.raises(TooManyStreamsError):
        receiver.unprotect_into(bytearray(packets[1025]), len(packets[1025]))
    assert receiver.unprotect_list(packets[1024:]) == [PacketStatus.TOO_MANY_STREAMS] * 2
    batch = PacketBatch(1, 200)
    batch.put(0, packets[1025])
    receiver.unprotect_batch(batch)
    assert list(batch.statuses) == [PacketStatus.TOO_MANY_STREAMS]
    receiver.remove_stream(5, IN)
    assert receiver.unprotect(packets[1024]) == rtp(0, ssrc=1024)


@PROFILES
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("roc", [2**32, -1, 2**64, 10**30])
def test_a_roc_has_32_bits(profile, direction, roc):
    session = Session(policy(profile), policy(profile))
    with pytest.raises(ValueError, match=f"^{roc} is no rollover counter"):
        session.set_roc(SSRC, direction, roc)
    assert session.state(direction).streams == ()


@PROFILES
def test_a_removed_receiver_takes_recorded_packets_again_as_it_says(profile):
    """What is documented: nothing is left of it."""
    sender, receiver = Session(policy(profile), None), Session(None, policy(profile))
    packet, report = sender.protect(rtp(5)), sender.protect_rtcp(rtcp())
    for _ in range(2):
        assert receiver.unprotect(packet) == rtp(5)
        assert receiver.unprotect_rtcp(report) == rtcp()
        assert receiver.remove_stream(SSRC, IN)


@PROFILES
@pytest.mark.parametrize("way", ["rekey", "own policy", "update_policy"])
def test_a_sender_begins_with_low_numbers_under_a_new_key(profile, way):
    """The order that the docs give: the stream is removed first, then the key comes."""
    new = Policy(profile, b"n" * 16, b"s" * profile.master_salt_length)
    session = Session(policy(profile), None)
    session.set_roc(SSRC, OUT, 2)
    session.protect(rtp(60000))
    session.protect_rtcp(rtcp())
    assert session.remove_stream(SSRC, OUT)
    if way == "rekey":
        session.rekey(OUT, new.master_keys[0])
    elif way == "update_policy":
        session.update_policy(OUT, new)
    else:
        session.add_policy(SSRC, OUT, new)
    fresh = Session(new, None)
    assert session.protect(rtp(5)) == fresh.protect(rtp(5))
    assert session.protect_rtcp(rtcp()) == fresh.protect_rtcp(rtcp())


@PROFILES
def test_many_at_once_say_it_too(profile):
    session = Session(policy(profile), None)
    session.protect(rtp(1000))
    assert session.protect_list([rtp(1)]) == [PacketStatus.INDEX_REUSED]
    assert protect_fanout(rtp(1), [FanoutTarget(session)]) == [PacketStatus.INDEX_REUSED]


CALLS = {
    "set_roc": lambda session, ssrc: session.set_roc(ssrc, OUT, 1),
    "roc": lambda session, ssrc: session.roc(ssrc, OUT),
    "rtcp_index": lambda session, ssrc: session.rtcp_index(ssrc, OUT),
    "remove_stream": lambda session, ssrc: session.remove_stream(ssrc, OUT),
    "add_policy": lambda session, ssrc: session.add_policy(ssrc, OUT, policy(AES)),
    "update_policy": lambda session, ssrc: session.update_policy(OUT, policy(AES), ssrc=ssrc),
    "policy": lambda session, ssrc: session.policy(OUT, ssrc),
    "switch_key": lambda session, ssrc: session.switch_key(b"m", ssrc=ssrc),
    "rekey": lambda session, ssrc: session.rekey(OUT, policy(AES).master_keys[0], ssrc=ssrc),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_ssrc_is_a_whole_number(call):
    """One with a fraction named a policy that its stream could not be found by: a crash, once that was removed."""
    for ssrc in (7.5, 7.0, "7"):
        with pytest.raises(TypeError, match=r"an SSRC is a whole number, not a (float|str)"):
            call(Session(policy(AES), None), ssrc)
    for ssrc in (-1, 2**32):
        with pytest.raises(ValueError, match="is no SSRC, which has 32 bits"):
            call(Session(policy(AES), None), ssrc)


def test_rocs_and_overlaps_are_whole_numbers():
    session = Session(policy(AES), policy(AES))
    with pytest.raises(TypeError, match="a rollover counter is a whole number, not a float"):
        session.set_roc(SSRC, OUT, 1.5)
    key = policy(AES, mki=b"").master_keys[0]
    with pytest.raises(TypeError, match="an overlap is a whole number, not a float"):
        session.rekey(IN, key, overlap=1.5)
    with pytest.raises(ValueError, match="-1 packets of overlap cannot be"):
        session.rekey(IN, key, overlap=-1)


def test_the_ssrc_of_a_policy_is_saved_as_a_number():
    session = Session(None, None)
    session.add_policy(True, OUT, policy(AES))
    session = Session.import_state(session.export_state(bytes(32)), bytes(32), gap=0)
    assert session.policy(OUT, 1) == policy(AES)
