"""After a sender under the policy of any SSRC, remove_stream() and then add_policy() work, as the error says."""

from __future__ import annotations

import pytest
from rtp_packets import rtcp, rtp

from srtp import Direction, Policy, PolicyError, Profile, Session

OUT, IN = Direction.OUTBOUND, Direction.INBOUND
SSRC = 7
PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM)
pytestmark = pytest.mark.parametrize("profile", PROFILES)


def policy(profile: Profile, n: int) -> Policy:
    return Policy(profile, bytes((n,)) * 16, bytes((n,)) * profile.master_salt_length)


@pytest.mark.parametrize("rtp_too", [True, False])
@pytest.mark.parametrize("direction", list(Direction))
def test_the_stream_is_removed_first_and_then_there_is_none(profile, direction, rtp_too):
    sends = direction is OUT
    session = Session(policy(profile, 1), policy(profile, 1))
    other = Session(policy(profile, 1), None)
    report = other.protect_rtcp(rtcp(ssrc=SSRC))
    packet = other.protect(rtp(9, ssrc=SSRC))
    assert session.protect_rtcp(rtcp(ssrc=SSRC)) if sends else session.unprotect_rtcp(report)
    if rtp_too:
        assert session.protect(rtp(9, ssrc=SSRC)) if sends else session.unprotect(packet)
    with pytest.raises(PolicyError, match="remove that first"):
        session.add_policy(SSRC, direction, policy(profile, 2))
    assert session.remove_stream(SSRC, direction)
    assert not session.remove_stream(SSRC, direction)
    session.add_policy(SSRC, direction, policy(profile, 2))
    assert session.policy(direction, SSRC) == policy(profile, 2)
    fresh = Session(policy(profile, 2), None)
    packet, report = fresh.protect(rtp(1, ssrc=SSRC)), fresh.protect_rtcp(rtcp(ssrc=SSRC))
    if sends:
        assert session.protect(rtp(1, ssrc=SSRC)) == packet
        assert session.protect_rtcp(rtcp(ssrc=SSRC)) == report
    else:
        assert session.unprotect(packet) == rtp(1, ssrc=SSRC)
        assert session.unprotect_rtcp(report) == rtcp(ssrc=SSRC)
    assert session.remove_stream(SSRC, direction)
    assert session.policy(direction, SSRC) == policy(profile, 1)
