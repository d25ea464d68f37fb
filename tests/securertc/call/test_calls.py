"""Calls between two endpoints on loopback: how they are made, how they end, and that nothing is left behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from rtp import decode_pcmu, encode_pcmu
from sdp import AudioNegotiation, LocalMedia
from securertc import (
    CallEndedError,
    CallRefusedError,
    Credentials,
    Endpoint,
    EndpointSettings,
    MediaSecurity,
    SecurityPolicy,
    TierStatus,
    TlsFiles,
)
from securertc.demo.throwaway_authority import ThrowawayAuthority
from sip import DigestError, NameAddr, Request, SipUri, Timers, TlsVerificationError, TransportError
from sip.message.header_values import CSeq
from sip.message.message import new_call_id, new_tag

PLAIN = SecurityPolicy(media=MediaSecurity.OFF)
USERS = {"realm": "remote.example", "users": {"alice": "secret"}, "digest_algorithms": ("SHA-256",)}


async def hear(call, samples):
    heard = np.zeros(0, np.int16)
    while heard.size < samples:
        heard = np.concatenate((heard, await asyncio.wait_for(call.receive_audio(), 5)))
    return heard


@pytest.mark.parametrize(("transport", "policy"), [("tls", None), ("tcp", PLAIN), ("udp", PLAIN)])
async def test_audio_comes_out_as_it_went_in(pair, nothing_left, melody, transport, policy):
    async with pair(policy, policy, transport=transport) as ends:
        ours, theirs = await ends.establish()
        _, _, forth, back = await asyncio.gather(
            ours.send_audio(melody),
            theirs.send_audio(melody[::-1]),
            hear(theirs, melody.size),
            hear(ours, melody.size),
        )
        np.testing.assert_array_equal(forth, decode_pcmu(encode_pcmu(melody)))
        np.testing.assert_array_equal(back, decode_pcmu(encode_pcmu(melody[::-1])))


async def test_digits_go_both_ways_while_audio_flows(pair, nothing_left, melody):
    async with pair() as ends:
        call, answered = await ends.establish()
        playing = asyncio.ensure_future(call.send_audio(melody))
        async with asyncio.timeout(10):
            await asyncio.gather(call.send_digits("19#"), answered.send_digits("A*"))
            assert [await answered.receive_digit() for _ in range(3)] == ["1", "9", "#"]
            assert [await call.receive_digit() for _ in range(2)] == ["A", "*"]
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await call.hangup()
        with pytest.raises(CallEndedError):
            await asyncio.wait_for(answered.receive_digit(), 5)
        with pytest.raises(CallEndedError):
            await call.send_digits("1")


@pytest.mark.parametrize("by_caller", [True, False])
async def test_either_side_hangs_up(pair, nothing_left, by_caller):
    async with pair() as ends:
        ours, theirs = await ends.establish()
        one, other = (ours, theirs) if by_caller else (theirs, ours)
        await one.hangup()
        assert await asyncio.wait_for(other.wait_ended(), 5) == "remote"
        assert await one.wait_ended() == "local"
        for call in (ours, theirs):
            assert not call.active
            with pytest.raises(CallEndedError):
                await call.receive_audio()
            with pytest.raises(CallEndedError):
                await call.send_audio(np.zeros(160, np.int16))
        assert not ends.caller.calls
        assert not ends.callee.calls


async def test_hangs_up_on_a_caller_that_listens_nowhere(pair, nothing_left, tls_files):
    """A caller without a certificate is reached by the connection it opened."""
    async with pair() as ends:
        settings = EndpointSettings("sip:carol@local.example", tls=TlsFiles(ca_file=tls_files.ca_file))
        async with Endpoint(settings) as carol:
            ours = await carol.call(ends.uri)
            theirs = await asyncio.wait_for(ends.answered.get(), 5)
            await theirs.hangup()
            assert await asyncio.wait_for(ours.wait_ended(), 5) == "remote"


async def test_rejection_reaches_the_caller(pair, nothing_left):
    async with pair(answering=False) as ends:
        calling = asyncio.ensure_future(ends.caller.call(ends.uri))
        (await asyncio.wait_for(ends.incoming.get(), 5)).reject(486)
        with pytest.raises(CallRefusedError) as refused:
            await calling
        assert refused.value.status == 486


async def test_cancelling_the_task_cancels_the_call(pair, nothing_left):
    async with pair(answering=False) as ends:
        ringing = asyncio.Event()
        calling = asyncio.ensure_future(ends.caller.call(ends.uri, on_progress=lambda status: ringing.set()))
        incoming = await asyncio.wait_for(ends.incoming.get(), 5)
        incoming.ring()
        await asyncio.wait_for(ringing.wait(), 5)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        for _ in range(100):
            if not incoming.pending:
                break
            await asyncio.sleep(0.02)
        assert not incoming.pending
        with pytest.raises(CallRefusedError):
            await incoming.answer()


async def test_an_unanswered_call_is_given_up(pair, nothing_left):
    async with pair(answering=False, caller={"answer_timeout": 0.2}) as ends:
        calling = asyncio.ensure_future(ends.caller.call(ends.uri))
        (await asyncio.wait_for(ends.incoming.get(), 5)).ring()
        with pytest.raises(CallRefusedError, match=r"no answer in 0\.2 s"):
            await calling


async def test_an_incoming_call_that_nobody_takes_is_refused(pair, nothing_left):
    async with pair(answering=False, callee={"answer_timeout": 0.2}) as ends:
        with pytest.raises(CallRefusedError) as refused:
            await ends.caller.call(ends.uri)
        assert refused.value.status == 480


async def test_closing_refuses_who_waits_and_ends_who_talks(pair, nothing_left):
    async with pair() as ends:
        ours, _ = await ends.establish()
    assert await ours.wait_ended() in ("local", "remote")


async def test_a_silent_call_is_hung_up(pair, nothing_left):
    async with pair(callee={"media_timeout": 0.3}) as ends:
        ours, theirs = await ends.establish()
        assert await asyncio.wait_for(theirs.wait_ended(), 5) == "no media for 0.3 s"
        assert await asyncio.wait_for(ours.wait_ended(), 5) == "remote"


async def test_nobody_listens(tls_files, nothing_left):
    settings = EndpointSettings("sip:alice@local.example", tls=tls_files)
    async with Endpoint(settings) as caller:
        with pytest.raises(TransportError):
            await caller.call("sip:bob@remote.example:1;transport=tls;maddr=127.0.0.1")


async def test_digest_proves_the_caller(pair, nothing_left):
    caller = {"credentials": (Credentials("remote.example", "alice", "secret"),)}
    async with pair(caller=caller, callee=USERS) as ends:
        ours, theirs = await ends.establish()
        assert ours.security.transaction.fact("digest") == "SHA-256"
        assert theirs.security.transaction.fact("authenticated user") == "alice"
        assert theirs.security.transaction.status is TierStatus.SECURED


@pytest.mark.parametrize(("strongest", "algorithm"), [(False, "SHA-256"), (True, "SHA-512-256")])
async def test_which_challenge_is_answered_is_policy(pair, nothing_left, strongest, algorithm):
    caller = {
        "credentials": (Credentials("remote.example", "alice", "secret"),),
        "policy": SecurityPolicy(strongest_digest=strongest),
    }
    callee = {**USERS, "digest_algorithms": ("MD5", "SHA-256", "SHA-512-256")}
    async with pair(caller=caller, callee=callee) as ends:
        ours, _ = await ends.establish()
        assert ours.security.transaction.fact("digest") == algorithm


@pytest.mark.parametrize(
    ("credentials", "error"),
    [
        ((Credentials("remote.example", "alice", "wrong"),), DigestError),
        ((Credentials("other.example", "alice", "secret"),), DigestError),
        ((Credentials("remote.example", "alice", "secret", destinations=("elsewhere.example",)),), DigestError),
        ((), CallRefusedError),
    ],
)
async def test_without_the_password_there_is_no_call(pair, nothing_left, credentials, error):
    async with pair(caller={"credentials": credentials}, callee=USERS) as ends:
        with pytest.raises(error):
            await ends.caller.call(ends.uri)
        assert ends.incoming.empty()


async def test_a_foreign_authority_is_not_believed(pair, nothing_left, tls_files, tmp_path):
    other = ThrowawayAuthority(tmp_path)
    async with pair(caller={"tls": replace(tls_files, ca_file=other.certificate_path)}) as ends:
        with pytest.raises(TlsVerificationError):
            await ends.caller.call(ends.uri)
        assert ends.incoming.empty()


async def test_the_certificate_must_prove_the_domain(pair, nothing_left):
    async with pair() as ends:
        with pytest.raises(TlsVerificationError, match=r"evil\.example"):
            await ends.caller.call(ends.uri.replace("@remote.example", "@evil.example"))
        assert ends.incoming.empty()


def invite(ends, media: str) -> Request:
    request = Request("INVITE", SipUri.parse(ends.uri))
    for name, value in (
        ("Max-Forwards", "70"),
        ("From", f"<sip:alice@local.example>;tag={new_tag()}"),
        ("To", "<sip:bob@remote.example>"),
        ("Call-ID", new_call_id()),
        ("CSeq", str(CSeq(1, "INVITE"))),
        ("Contact", str(NameAddr(SipUri.parse("sip:alice@127.0.0.1:9")))),
    ):
        request.headers.add(name, value)
    request.body = media.encode()
    if media:
        request.headers.add("Content-Type", "application/sdp")
    return request


@pytest.mark.parametrize(("policy", "stays"), [(PLAIN, True), (SecurityPolicy(allow_cleartext_keys=True), False)])
async def test_an_invite_without_sdp_gets_an_offer(pair, nothing_left, policy, stays):
    """Answered with an offer; when the ACK has no answer, the call stays without media unless SRTP is required."""
    async with pair(PLAIN, policy, transport="udp", callee={"timers": Timers(t1=0.1)}) as ends:
        request = invite(ends, "")
        request.headers.set("Contact", str(ends.caller.user_agent.contact("udp", "alice")))
        outgoing = ends.caller.user_agent.invite(request)
        dialog = await outgoing.run()
        assert b"m=audio" in outgoing.response.body
        theirs = await asyncio.wait_for(ends.answered.get(), 5)
        assert theirs.agreed is None
        if stays:
            await asyncio.sleep(0.1)
            assert theirs.active
            assert theirs.security.media.status is TierStatus.NONE
            await dialog.bye()
        assert await asyncio.wait_for(theirs.wait_ended(), 5) == ("remote" if stays else "local")


@pytest.mark.parametrize("body", ["v=0\r\n", "nonsense", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"])
async def test_an_offer_that_is_none_is_refused(pair, nothing_left, body):
    async with pair() as ends:
        outgoing = ends.caller.user_agent.invite(invite(ends, body))
        with pytest.raises(Exception, match=r"4(00|88)"):
            await outgoing.run()
        assert ends.incoming.empty()


async def reoffer(ours, body: str) -> tuple[int, bytes]:
    """A re-INVITE from the caller's side of the call; returns status and body of its answer."""
    dialog = ours._dialog
    request = dialog.dialog.create_request("INVITE")
    agent = ours._endpoint.user_agent
    request.headers.add("Contact", str(agent.contact("tls", "alice")))
    request.headers.add("Content-Type", "application/sdp")
    request.body = body.encode()
    response = await agent.request(request)
    ack = dialog.dialog.create_request("ACK", cseq=request.cseq.number)
    agent.send_ack(ack, dialog.flow)
    return response.status, response.body


async def test_hold_and_resume_by_the_peer(pair, nothing_left, melody):
    async with pair() as ends:
        ours, theirs = await ends.establish()
        negotiation = ours._negotiation
        offer = negotiation.create_offer()
        status, answer = await reoffer(ours, offer.replace("a=sendrecv", "a=sendonly"))
        assert status == 200
        assert b"a=recvonly" in answer
        sent = theirs.statistics.packets_sent
        await theirs.send_audio(melody[:320])
        assert theirs.statistics.packets_sent == sent
        ours._media.start(negotiation.receive_answer(answer.replace(b"recvonly", b"sendrecv")))
        offer = negotiation.create_offer()
        status, answer = await reoffer(ours, offer)
        assert status == 200
        assert b"a=sendrecv" in answer
        ours._media.start(negotiation.receive_answer(answer))
        _, heard = await asyncio.gather(theirs.send_audio(melody), hear(ours, melody.size))
        np.testing.assert_array_equal(heard, decode_pcmu(encode_pcmu(melody)))


@pytest.mark.parametrize("by_caller", [True, False])
async def test_hold_and_resume_from_our_side(pair, nothing_left, melody, by_caller):
    async with pair() as ends:
        call, answered = await ends.establish()
        ours, theirs = (call, answered) if by_caller else (answered, call)
        await ours.hold()
        assert theirs.agreed.direction.receives
        assert not theirs.agreed.direction.sends
        assert ours.agreed.secured
        await ours.resume()
        assert theirs.agreed.direction.sends
        assert ours.agreed.secured
        _, heard = await asyncio.gather(theirs.send_audio(melody), hear(ours, melody.size))
        np.testing.assert_array_equal(heard, decode_pcmu(encode_pcmu(melody)))


async def test_holding_a_call_that_has_ended(pair, nothing_left):
    async with pair() as ends:
        call, _ = await ends.establish()
        await call.hangup()
        with pytest.raises(CallEndedError):
            await call.hold()


@pytest.mark.parametrize("policy", [SecurityPolicy(), SecurityPolicy(media=MediaSecurity.PREFERRED)])
async def test_a_secured_call_cannot_be_talked_into_clear(pair, nothing_left, melody, policy):
    async with pair(policy, policy) as ends:
        ours, theirs = await ends.establish()
        media = ours._media
        plain = AudioNegotiation(LocalMedia(media.local_address, media.local_port, security=MediaSecurity.OFF))
        status, _ = await reoffer(ours, plain.create_offer())
        assert status == 488
        assert theirs.agreed.secured
        _, heard = await asyncio.gather(ours.send_audio(melody), hear(theirs, melody.size))
        np.testing.assert_array_equal(heard, decode_pcmu(encode_pcmu(melody)))


async def test_many_calls_leave_nothing_behind(pair, nothing_left):
    timers = {"timers": Timers(t1=0.01)}
    async with pair(PLAIN, PLAIN, transport="udp", caller=timers, callee=timers) as ends:
        for _ in range(20):
            ours, _ = await ends.establish()
            await ours.hangup()
        for side in (ends.caller, ends.callee):
            for _ in range(100):
                if not side.user_agent.active_transactions:
                    break
                await asyncio.sleep(0.05)
            assert side.user_agent.active_transactions == 0
            assert side.user_agent.active_dialogs == 0
            assert not side.calls


@pytest.mark.parametrize("media_host", [None, "0.0.0.0"])
async def test_an_endpoint_on_all_addresses_names_one(nothing_left, melody, media_host):
    answered: asyncio.Queue = asyncio.Queue()
    answering = []

    async def answer(call):
        answered.put_nowait(await call.answer())

    settings = {"policy": PLAIN, "media_host": media_host}
    async with (
        Endpoint(
            EndpointSettings("sip:bob@remote.example", **settings),
            on_call=lambda call: answering.append(asyncio.ensure_future(answer(call))),
        ) as callee,
        Endpoint(EndpointSettings("sip:alice@local.example", **settings)) as caller,
    ):
        address = await callee.listen("udp", "0.0.0.0")
        await caller.listen("udp", "0.0.0.0")
        ours = await caller.call(f"sip:bob@127.0.0.1:{address.port}")
        theirs = await asyncio.wait_for(answered.get(), 5)
        assert ours.agreed.remote_address == theirs.agreed.remote_address == "127.0.0.1"
        _, heard = await asyncio.gather(ours.send_audio(melody), hear(theirs, melody.size))
        np.testing.assert_array_equal(heard, decode_pcmu(encode_pcmu(melody)))
        await theirs.hangup()
        assert await asyncio.wait_for(ours.wait_ended(), 5) == "remote"


async def test_beyond_the_limit_callers_hear_busy(pair, nothing_left):
    async with pair(callee={"max_calls": 1}) as ends:
        await ends.establish()
        with pytest.raises(CallRefusedError) as refused:
            await ends.caller.call(ends.uri)
        assert refused.value.status == 486


async def test_a_handler_that_fails_refuses_the_call(pair, nothing_left):
    async with pair(answering=False) as ends:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        ends.callee._on_call = lambda call: 1 / 0
        with pytest.raises(CallRefusedError) as refused:
            await ends.caller.call(ends.uri)
        assert refused.value.status == 500
