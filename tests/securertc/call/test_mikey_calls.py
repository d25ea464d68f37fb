"""Calls over UDP without TLS, keyed by MIKEY: nobody on the path can read or change the keys."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from rtp import decode_pcmu, encode_pcmu
from sdp.mikey import (
    NULL_OVER_TLS,
    MikeyKeying,
    Mode,
    Ourselves,
    Peer,
    Proposal,
    ReplayCache,
    ResponderSettings,
    uri_id,
)
from securertc import CallRefusedError, SecurityPolicy, SecurityPolicyError, TierStatus
from sip import Request
from srtp import SecretBytes

ALICE, BOB = uri_id("sip:alice@local.example"), uri_id("sip:bob@remote.example")
KEY = SecretBytes(bytes(range(100, 132)))


def policy(us, peer, key=KEY, mode=Mode.PSK, **settings):
    proposal = Proposal(mode=mode, streams=())
    method = MikeyKeying(
        Ourselves(us), Peer(peer, key), proposal, replay_cache=ReplayCache(), settings=ResponderSettings(**settings)
    )
    return SecurityPolicy(keying=(method,))


async def hear(call, samples):
    heard = np.zeros(0, np.int16)
    while heard.size < samples:
        heard = np.concatenate((heard, await asyncio.wait_for(call.receive_audio(), 5)))
    return heard


@pytest.mark.parametrize("mode", [Mode.PSK, Mode.DHHMAC])
async def test_a_call_over_udp_is_secured(pair, nothing_left, melody, mode):
    async with pair(policy(ALICE, BOB, mode=mode), policy(BOB, ALICE, mode=mode), transport="udp") as ends:
        ours, theirs = await ends.establish()
        _, _, forth, back = await asyncio.gather(
            ours.send_audio(melody), theirs.send_audio(melody[::-1]), hear(theirs, melody.size), hear(ours, melody.size)
        )
        np.testing.assert_array_equal(forth, decode_pcmu(encode_pcmu(melody)))
        np.testing.assert_array_equal(back, decode_pcmu(encode_pcmu(melody[::-1])))
        for call in (ours, theirs):
            report = call.security
            assert report.media.status is TierStatus.SECURED
            assert ("keying", "mikey") in report.media.evidence
            assert report.body.status is TierStatus.SECURED
            assert report.shortfalls(policy(ALICE, BOB)) == ()


async def test_another_key_refuses_the_call(pair, nothing_left, monkeypatch):
    """With 488 and Warning 306 (RFC 4567 4.1.2)."""
    warnings = []
    create = Request.create_response

    def watched(self, *arguments, **more):
        response = create(self, *arguments, **more)
        warnings.append(response)
        return response

    monkeypatch.setattr(Request, "create_response", watched)
    other = SecretBytes(bytes(32))
    async with pair(policy(ALICE, BOB), policy(BOB, ALICE, other), transport="udp") as ends:
        with pytest.raises(CallRefusedError) as caught:
            await ends.caller.call(ends.uri)
        assert caught.value.status == 488
        refused = [one.headers.get("Warning") for one in warnings if one.status == 488]
        assert len(refused) == 1
        assert refused[0].startswith("306 ")


async def test_null_over_tls_needs_tls(pair, nothing_left):
    """A profile without encryption hides nothing, and so its keys may not cross a hop in clear."""
    plain = policy(ALICE, BOB, profile=NULL_OVER_TLS)
    assert not plain.keys_may_travel(hop_is_secure=False)
    assert policy(ALICE, BOB).keys_may_travel(hop_is_secure=False)
    async with pair(plain, policy(BOB, ALICE), transport="udp") as ends:
        with pytest.raises(SecurityPolicyError):
            await ends.caller.call(ends.uri)
