"""re-INVITEs from both sides on real sockets: offers, refusals, glare, challenges, a peer that forgot the call."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from sip import (
    Credentials,
    DialogError,
    DigestClient,
    DigestError,
    NameAddr,
    Request,
    SipUri,
    Timers,
)
from sip.user_agent import session_modification as modification
from sip.user_agent.user_agent import UserAgent

FAST = Timers(t1=0.02, t2=0.1, t4=0.05, completed_invite=0.2)
SDP = b"v=0\r\n"


@contextlib.asynccontextmanager
async def a_call(transport="udp", caller=None):
    accepted = []
    one = UserAgent(timers=FAST, **(caller or {}))
    two = UserAgent(timers=FAST, on_invite=lambda invite: accepted.append(invite.accept(SDP)))
    await one.listen(transport, "127.0.0.1")
    address = await two.listen(transport, "127.0.0.1")
    uri = SipUri.parse(f"sip:bob@127.0.0.1:{address.port};transport={transport}")
    request = Request("INVITE", uri, body=SDP)
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", f"<sip:alice@127.0.0.1>;tag={random.getrandbits(32):x}")
    request.headers.add("To", str(NameAddr(SipUri("sip", "127.0.0.1", "bob"))))
    request.headers.add("Call-ID", f"{random.getrandbits(64):x}")
    request.headers.add("CSeq", "1 INVITE")
    request.headers.add("Contact", str(one.contact(transport, "alice")))
    request.headers.add("Content-Type", "application/sdp")
    try:
        dialog = await one.invite(request).run()
        await asyncio.sleep(0.05)
        yield dialog, accepted[0], two
        await dialog.bye()
    finally:
        await one.close()
        await two.close()
    for agent in (one, two):
        assert (agent.active_dialogs, agent.active_transactions, agent.connections) == (0, 0, 0)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_either_side_offers_anew(transport):
    async with a_call(transport) as (caller, callee, _):
        for ours, theirs in ((caller, callee), (callee, caller), (caller, callee)):
            theirs.on_reinvite = lambda request: (200, b"answer to " + request.body)
            response = await ours.reinvite(b"offer")
            assert (response.status, response.body) == (200, b"answer to offer")
            await asyncio.sleep(0.05)  # its ACK


async def test_a_refusal_leaves_the_call_as_it_is():
    async with a_call() as (caller, callee, two):
        assert (await caller.reinvite(SDP)).status == 488
        assert not caller.ended.done()
        assert two.active_dialogs == 1
        callee.on_reinvite = lambda _: (200, SDP)
        assert (await caller.reinvite(SDP)).status == 200


@pytest.mark.parametrize("caller_first", [True, False])
async def test_glare_is_491_and_tried_again_after_a_wait(monkeypatch, caller_first):
    async with a_call() as (caller, callee, _):
        ours, theirs = (caller, callee) if caller_first else (callee, caller)
        theirs.on_reinvite = lambda _: (200, SDP)
        theirs._offer_pending = True  # as if its own were on the way to us
        waits = []

        def wait(*, owner):
            waits.append(owner)
            theirs._offer_pending = len(waits) < 2
            return 0.01

        monkeypatch.setattr("sip.user_agent.invite_dialog.glare_delay", wait)
        assert (await ours.reinvite(SDP)).status == 200
        assert waits == [caller_first] * 2
        await asyncio.sleep(0.05)


async def test_both_sides_at_once_come_through(monkeypatch):
    monkeypatch.setattr("sip.user_agent.invite_dialog.glare_delay", lambda *, owner: 0.4 if owner else 0.05)
    async with a_call() as (caller, callee, _):
        caller.on_reinvite = callee.on_reinvite = lambda _: (200, SDP)
        first, second = await asyncio.gather(caller.reinvite(SDP), callee.reinvite(SDP))
        assert first.status == second.status == 200
        await asyncio.sleep(0.05)


async def test_one_at_a_time():
    async with a_call() as (caller, callee, _):
        callee.on_reinvite = lambda _: (200, SDP)
        running = asyncio.ensure_future(caller.reinvite(SDP))
        await asyncio.sleep(0)
        with pytest.raises(DialogError) as error:
            await caller.reinvite(SDP)
        assert error.value.status == 491
        assert (await running).status == 200
    with pytest.raises(DialogError):
        await caller.reinvite(SDP)


async def test_a_peer_that_knows_the_call_no_more_ends_it():
    async with a_call() as (caller, callee, _):
        callee.abandon()
        assert (await caller.reinvite(SDP)).status == 481
        assert await caller.ended == "local"


async def test_a_challenge_of_the_peer_is_not_answered():
    """The SIP digest leak: who was called may not make the caller's phone prove its password to it."""
    credentials = (Credentials("example.com", "alice", "pw", destinations=("example.com",)),)
    challenges = []
    async with a_call(caller={"digest": DigestClient(credentials)}) as (caller, callee, two):
        receive = callee.receive

        def challenge(exchange, request):
            if request.method != "INVITE":
                return receive(exchange, request)
            response = request.create_response(401)
            response.headers.add("WWW-Authenticate", 'Digest realm="example.com", nonce="n", algorithm=SHA-256')
            challenges.append("Authorization" in request.headers)
            return two.respond(exchange, response)

        callee.receive = challenge
        with pytest.raises(DigestError):
            await caller.reinvite(SDP)
        assert challenges == [False]


def test_the_two_sides_never_wait_alike():
    owner = [modification.glare_delay(owner=True) for _ in range(500)]
    other = [modification.glare_delay(owner=False) for _ in range(500)]
    assert 2.1 <= min(owner) <= max(owner) <= 4.0
    assert 0.0 <= min(other) <= max(other) <= 2.0
