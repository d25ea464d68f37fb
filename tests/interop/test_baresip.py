"""Calls with baresip, both ways, over TLS with sdescriptions (RFC 3261, RFC 4568)."""

from __future__ import annotations

import asyncio

import pytest
from peers.baresip import Baresip
from peers.tones import assert_tone, read_samples

from sdp.sdescriptions.keying import DEFAULT_SUITES
from securertc import CallRefusedError, MediaSecurity, SecurityPolicy, TierStatus

pytestmark = [pytest.mark.interop("baresip"), pytest.mark.timeout(60)]
SECONDS = 3.0


def account(*, encryption: str, answer: str = "auto") -> str:
    keying = f";mediaenc={encryption}" if encryption else ""
    return f"<sip:bob@127.0.0.1:{{tls_port}};transport=tls>;regint=0;audio_codecs=pcmu{keying};answermode={answer}"


@pytest.fixture
def baresip(tmp_path, authority):
    def make(*, encryption: str = "srtp-mand") -> Baresip:
        return Baresip(tmp_path / "bob", authority, name="bob", account=account(encryption=encryption), tone=1000)

    return make


async def poll(peer: Baresip, kind: str) -> dict[str, object]:
    return await asyncio.to_thread(peer.await_event, kind)


async def test_we_call_baresip(baresip, settings, ours, talk):
    with baresip() as peer:
        async with ours(settings("alice")) as side:
            call = await side.endpoint.call(f"sip:bob@127.0.0.1:{peer.tls_port};transport=tls")
            heard = await talk(call, frequency=440, seconds=SECONDS)
            report = call.security
            await call.hangup()
        await poll(peer, "CALL_CLOSED")
        await asyncio.sleep(0.3)
    assert_tone(heard, 1000)
    assert_tone(read_samples(peer.decoded_audio()), 440)
    assert report.media.status is TierStatus.SECURED
    assert report.media.fact("authentication failures") == "0"
    assert report.transaction.fact("verified name") == "127.0.0.1 (IP address)"


async def test_baresip_calls_us(baresip, settings, ours, talk):
    with baresip() as peer:
        async with ours(settings("alice")) as side:
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


async def test_srtp_mand_calling_our_off_is_refused(baresip, settings, ours):
    with baresip() as peer:
        async with ours(settings("alice", policy=SecurityPolicy(media=MediaSecurity.OFF))) as side:
            peer.dial(f"sip:alice@127.0.0.1:{side.port};transport=tls")
            event = await poll(peer, "CALL_CLOSED")
            assert "488" in str(event["param"])
            assert side.calls.empty()


async def test_our_off_calling_srtp_mand_is_refused(baresip, settings, ours):
    with baresip() as peer:
        async with ours(settings("alice", policy=SecurityPolicy(media=MediaSecurity.OFF))) as side:
            with pytest.raises(CallRefusedError) as refused:
                await side.endpoint.call(f"sip:bob@127.0.0.1:{peer.tls_port};transport=tls")
            assert refused.value.status == 488


async def test_plain_rtp_calling_our_required_is_refused(baresip, settings, ours):
    with baresip(encryption="") as peer:
        async with ours(settings("alice")) as side:
            peer.dial(f"sip:alice@127.0.0.1:{side.port};transport=tls")
            event = await poll(peer, "CALL_CLOSED")
            assert "488" in str(event["param"])
            assert side.calls.empty()


async def test_our_required_calling_plain_rtp_is_refused(baresip, settings, ours):
    with baresip(encryption="") as peer:
        async with ours(settings("alice")) as side:
            with pytest.raises(CallRefusedError) as refused:
                await side.endpoint.call(f"sip:bob@127.0.0.1:{peer.tls_port};transport=tls")
            assert refused.value.status == 488


async def test_digits_both_ways(baresip, settings, ours):
    """RFC 4733, in one SRTP stream with the audio."""
    with baresip() as peer:
        async with ours(settings("alice")) as side:
            call = await side.endpoint.call(f"sip:bob@127.0.0.1:{peer.tls_port};transport=tls")
            await call.send_digits("15#")
            peer.command_line("sndcode", "7*")
            async with asyncio.timeout(15):
                heard = [await call.receive_digit() for _ in range(2)]
            await call.hangup()
        await poll(peer, "CALL_CLOSED")
    assert heard == ["7", "*"]
    started = [event["param"] for event in peer.events if event.get("type") == "CALL_DTMF_START"]
    assert started == ["1", "5", "#"]


@pytest.mark.parametrize("suite", [one for one in DEFAULT_SUITES if not one.startswith("AES_256")])
async def test_every_suite_of_our_defaults_that_baresip_has(baresip, settings, ours, talk, suite):
    """Each alone, so that it is the one that is taken."""
    policy = SecurityPolicy(crypto_suites=(suite,))
    with baresip() as peer:
        async with ours(settings("alice", policy=policy)) as side:
            call = await side.endpoint.call(f"sip:bob@127.0.0.1:{peer.tls_port};transport=tls")
            heard = await talk(call, frequency=440, seconds=2.0)
            report = call.security
            await call.hangup()
        await poll(peer, "CALL_CLOSED")
        await asyncio.sleep(0.3)
    assert_tone(heard, 1000)
    assert_tone(read_samples(peer.decoded_audio()), 440)
    assert report.media.fact("suite") == suite
    assert report.media.fact("authentication failures") == "0"


@pytest.mark.parametrize(("encryption", "status"), [("srtp", TierStatus.SECURED), ("", TierStatus.NONE)])
@pytest.mark.parametrize("we_call", [True, False])
async def test_opportunistic_srtp(baresip, settings, ours, talk, we_call, encryption, status):
    """RFC 8643: RTP/AVP with a=crypto both ways, and plain RTP with a peer that has no keys at all."""
    policy = SecurityPolicy(media=MediaSecurity.PREFERRED)
    with baresip(encryption=encryption) as peer:
        async with ours(settings("alice", policy=policy)) as side:
            if we_call:
                call = await side.endpoint.call(f"sip:bob@127.0.0.1:{peer.tls_port};transport=tls")
            else:
                peer.dial(f"sip:alice@127.0.0.1:{side.port};transport=tls")
                async with asyncio.timeout(10):
                    call = await side.calls.get()
            heard = await talk(call, frequency=440, seconds=2.0)
            report = call.security
            await call.hangup()
        await poll(peer, "CALL_CLOSED")
        await asyncio.sleep(0.3)
    assert_tone(heard, 1000)
    assert_tone(read_samples(peer.decoded_audio()), 440)
    assert report.media.status is status
