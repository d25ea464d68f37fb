"""Calls with baresip, both ways, over TLS with media keyed by DTLS-SRTP (RFC 5763)."""

from __future__ import annotations

import asyncio

import pytest
from peers.baresip import Baresip
from peers.tones import assert_tone, read_samples

from sdp.dtls import DtlsCertificate, DtlsSrtp, SetupRole
from securertc import SecurityPolicy, SecurityPolicyError, TierStatus

pytestmark = [pytest.mark.interop("baresip"), pytest.mark.timeout(60)]
SECONDS = 3.0
ACCOUNT = "<sip:bob@127.0.0.1:{tls_port};transport=tls>;regint=0;audio_codecs=pcmu;mediaenc=dtls_srtp;answermode=auto"


@pytest.fixture
def peer(tmp_path, authority, rtcp_mux):
    where = tmp_path / "bob"
    with Baresip(where, authority, name="bob", account=ACCOUNT, tone=1000, rtcp_mux=rtcp_mux) as running:
        yield running


@pytest.fixture
def rtcp_mux():
    return True


def policy(role: SetupRole = SetupRole.ACTIVE) -> SecurityPolicy:
    return SecurityPolicy(keying=(DtlsSrtp(DtlsCertificate.generate(), preferred_role=role),))


@pytest.mark.parametrize("rtcp_mux", [True, False])
async def test_we_call_baresip(peer, settings, ours, talk, rtcp_mux):
    async with ours(settings("alice", policy=policy())) as side:
        call = await side.endpoint.call(f"sip:bob@127.0.0.1:{peer.tls_port};transport=tls")
        # baresip sends its first RTCP after five seconds.
        heard = await talk(call, frequency=440, seconds=SECONDS if rtcp_mux else 6.5)
        report = call.security
        assert call.agreed.rtcp_mux is rtcp_mux
        assert (call.agreed.rtcp_outbound is None) is rtcp_mux
        await call.hangup()
    await asyncio.to_thread(peer.await_event, "CALL_CLOSED")
    await asyncio.sleep(0.3)
    assert_tone(heard, 1000)
    assert_tone(read_samples(peer.decoded_audio()), 440)
    assert report.media.status is TierStatus.SECURED
    assert report.media.fact("keying") == "dtls-srtp"
    assert report.media.fact("authentication failures") == "0"
    assert rtcp_mux or not report.media.fact("packets authenticated").endswith(" 0 RTCP")


@pytest.mark.parametrize("role", [SetupRole.ACTIVE, SetupRole.PASSIVE])
async def test_baresip_calls_us(peer, settings, ours, talk, role):
    async with ours(settings("alice", policy=policy(role))) as side:
        peer.dial(f"sip:alice@127.0.0.1:{side.port};transport=tls")
        async with asyncio.timeout(10):
            call = await side.calls.get()
        heard = await talk(call, frequency=440, seconds=SECONDS)
        report = call.security
        peer.hangup()
        async with asyncio.timeout(5):
            assert await call.wait_ended() == "remote"
    await asyncio.sleep(0.3)
    assert_tone(heard, 1000)
    assert_tone(read_samples(peer.decoded_audio()), 440)
    assert report.media.status is TierStatus.SECURED
    assert report.media.fact("keying") == "dtls-srtp"


async def test_sdescriptions_do_not_do_for_it(peer, settings, ours):
    """baresip answers an offer that it has no keys for; the call is ended before media flows."""
    async with ours(settings("alice")) as side:
        with pytest.raises(SecurityPolicyError, match="no keys"):
            await side.endpoint.call(f"sip:bob@127.0.0.1:{peer.tls_port};transport=tls")
    await asyncio.to_thread(peer.await_event, "CALL_CLOSED")
