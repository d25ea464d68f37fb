"""Before a call is answered, on real sockets: reliable responses, forks, UPDATE and BYE in early dialogs."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace

import pytest

from sip import CallCancelledError, NameAddr, Request, RequestFailedError, SipUri, Timers
from sip.message.message import Response
from sip.user_agent.user_agent import UserAgent

FAST = Timers(t1=0.02, t2=0.1, t4=0.05, completed_invite=0.2)
SDP = b"v=0\r\n"


def invite_of(agent: UserAgent, port: int, body: bytes = SDP, transport: str = "udp") -> Request:
    request = Request("INVITE", SipUri.parse(f"sip:bob@127.0.0.1:{port};transport={transport}"), body=body)
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", f"<sip:alice@127.0.0.1>;tag={random.getrandbits(32):x}")
    request.headers.add("To", str(NameAddr(SipUri("sip", "127.0.0.1", "bob"))))
    request.headers.add("Call-ID", f"{random.getrandbits(64):x}")
    request.headers.add("CSeq", "1 INVITE")
    request.headers.add("Contact", str(agent.contact(transport, "alice")))
    if body:
        request.headers.add("Content-Type", "application/sdp")
    return request


@contextlib.asynccontextmanager
async def agents(callee_class=UserAgent, *, caller_timers=FAST, **callee):
    """Two agents; the callee's INVITEs come by the queue, `seen` has the methods of what it receives."""
    invites, seen = asyncio.Queue(), []

    class Watching(callee_class):
        def _received_request(self, request, flow, allowance):
            seen.append(request.method)
            super()._received_request(request, flow, allowance)

    one = UserAgent(timers=caller_timers)
    two = Watching(timers=FAST, on_invite=invites.put_nowait, **callee)
    await one.listen("udp", "127.0.0.1")
    address = await two.listen("udp", "127.0.0.1")
    try:
        yield one, two, address.port, invites, seen
        await asyncio.sleep(0.1)
    finally:
        left = [(agent.active_dialogs, agent.connections) for agent in (one, two)]
        await one.close()
        await two.close()
    assert left == [(0, 0), (0, 0)]


async def test_ringing_is_acknowledged_and_the_numbers_of_the_call_go_on():
    async with agents() as (one, _, port, invites, seen):
        outgoing = one.invite(invite_of(one, port))
        progress = []
        outgoing.on_progress = progress.append
        running = asyncio.ensure_future(outgoing.run())
        invite = await invites.get()
        invite.ring()
        await asyncio.sleep(0.15)  # time enough to repeat it if no PRACK came
        assert [(response.status, response.option_tags("Require")) for response in progress] == [(180, ["100rel"])]
        established = invite.accept(SDP)
        dialog = await running
        assert seen.count("PRACK") == 1
        await dialog.bye()  # a CSeq above that of the PRACK, or it would be refused
        assert await asyncio.wait_for(established.ended, 1) == "remote"


async def test_ringing_twice_waits_for_the_first_prack():
    async with agents() as (one, _, port, invites, seen):
        outgoing = one.invite(invite_of(one, port))
        progress = []
        outgoing.on_progress = lambda response: progress.append(int(response.headers.get("RSeq")))
        running = asyncio.ensure_future(outgoing.run())
        invite = await invites.get()
        invite.ring()
        invite.ring()
        await asyncio.sleep(0.15)
        assert [number - progress[0] for number in progress] == [0, 1]
        assert seen.count("PRACK") == 2
        invite.reject(486)
        with pytest.raises(RequestFailedError):
            await running


async def test_a_caller_that_never_acknowledges_hears_504():
    async with agents(caller_timers=replace(FAST, t1=0.04)) as (one, _, port, invites, _):
        one._received_response = drop_first(one._received_response, status=180, number=99)
        running = asyncio.ensure_future(one.invite(invite_of(one, port)).run())
        invite = await invites.get()
        invite.ring()
        with pytest.raises(RequestFailedError) as refused:
            await running
        assert refused.value.response.status == 504
        assert invite.cancelled.done()


async def test_a_lost_ringing_comes_again():
    async with agents() as (one, _, port, invites, seen):
        one._received_response = drop_first(one._received_response, status=180, number=2)
        progress = []
        outgoing = one.invite(invite_of(one, port))
        outgoing.on_progress = progress.append
        running = asyncio.ensure_future(outgoing.run())
        invite = await invites.get()
        invite.ring()
        await asyncio.sleep(0.4)
        assert [response.status for response in progress] == [180]
        assert seen.count("PRACK") == 1
        await finish(invite, running)


def drop_first(receive, *, status, number):
    dropped = []

    def receiving(response):
        if response.status == status and len(dropped) < number:
            dropped.append(response)
        else:
            receive(response)

    return receiving


async def finish(invite, running):
    invite.accept(SDP)
    await (await running).bye()


@pytest.mark.parametrize(
    ("supported", "required", "body", "sent"),
    [
        ("", "", SDP, [(180, [])]),
        ("", "100rel", SDP, [(180, ["100rel"])]),
        ("100rel", "", b"", [(180, [])]),  # a reliable one would have to carry the offer
        ("", "100rel", b"", []),
    ],
)
async def test_who_gets_it_reliably(monkeypatch, supported, required, body, sent):
    async with agents() as (one, _, port, invites, _):
        outgoing = one.invite(invite_of(one, port, body))
        request, progress = outgoing.request, []
        monkeypatch.setattr(outgoing, "_ask", lambda: None)
        for name, value in (("Supported", supported), ("Require", required)):
            if value:
                request.headers.add(name, value)
        outgoing.on_progress = lambda response: progress.append((response.status, response.option_tags("Require")))
        running = asyncio.ensure_future(outgoing.run())
        invite = await invites.get()
        invite.ring()
        await asyncio.sleep(0.05)
        assert progress == sent
        invite.reject(486)
        with pytest.raises(RequestFailedError):
            await running


async def test_update_and_bye_within_an_early_dialog():
    async with agents() as (one, two, port, invites, _):
        running = asyncio.ensure_future(one.invite(invite_of(one, port)).run())
        invite = await invites.get()
        invite.ring()
        await asyncio.sleep(0.05)
        (early,) = one.early_dialogs.values()
        for body, status in ((b"", 200), (SDP, 500)):
            update = early.dialog.create_request("UPDATE")
            update.headers.add("Contact", str(one.contact("udp", "elsewhere")))
            if body:
                update.headers.add("Content-Type", "application/sdp")
                update.body = body
            response = await one.request(update)
            assert response.status == status
            assert ("Retry-After" in response.headers) == (status == 500)
        assert invite.dialog.remote_target.user == "elsewhere"
        for body, status in ((b"", 200), (SDP, 491)):
            update = invite.dialog.create_request("UPDATE")
            update.headers.add("Contact", str(two.contact("udp", "bob")))
            if body:
                update.headers.add("Content-Type", "application/sdp")
                update.body = body
            assert (await two.request(update)).status == status
        assert (await one.request(early.dialog.create_request("INFO"))).status == 405
        assert (await one.request(early.dialog.create_request("BYE"))).status == 200
        with pytest.raises(RequestFailedError) as ended:
            await running
        assert ended.value.response.status == 487
        assert invite.cancelled.done()


class ForkingProxy(UserAgent):
    """Answers an INVITE as three phones behind a proxy would: two ring reliably, the third answers."""

    def _process_new(self, exchange, request):
        if request.method != "INVITE":
            super()._process_new(exchange, request)
            return
        port = self._transports.listening[0].port
        exchange.allowance = None  # as if the caller were known: others may not be sent so many responses by UDP
        for number, tag in enumerate(("one", "two")):
            for _ in range(2):  # as if repeated
                self.respond(exchange, self.answer(request, 183, tag, port, rseq=str(1000 * (number + 1))))
        self.respond(exchange, self.answer(request, 200, "three", port))

    @staticmethod
    def answer(request, status, tag, port, rseq=None) -> Response:
        response = request.create_response(status, to_tag=tag)
        response.headers.add("Contact", f"<sip:{tag}@127.0.0.1:{port}>")
        if rseq is not None:
            response.headers.add("Require", "100rel")
            response.headers.add("RSeq", rseq)
        response.headers.add("Content-Type", "application/sdp")
        response.body = tag.encode()
        return response

    def _process_in_dialog(self, exchange, request):
        self.pracks.append((request.to.tag, request.headers.get("RAck"), request.uri.user))
        self.respond(exchange, request.create_response(200))


async def test_each_fork_has_its_dialog_and_its_numbers():
    async with agents(ForkingProxy) as (one, proxy, port, _, _):
        proxy.pracks = []
        outgoing = one.invite(invite_of(one, port))
        progress = []
        outgoing.on_progress = lambda response: progress.append(response.to.tag)
        dialog = await outgoing.run()
        await asyncio.sleep(0.1)
        assert progress == ["one", "two"]
        assert dialog.dialog.remote.tag == "three"
        assert outgoing.answer == b"three"
        assert sorted(one_ for one_ in proxy.pracks if one_[1]) == [
            ("one", "1000 1 INVITE", "one"),
            ("two", "2000 1 INVITE", "two"),
        ]
        assert one.active_dialogs == 1
        await dialog.bye()


async def test_the_answer_may_come_reliably_before_the_2xx():
    class AnswersEarly(UserAgent):
        def _process_new(self, exchange, request):
            port = self._transports.listening[0].port
            self.respond(exchange, ForkingProxy.answer(request, 183, "one", port, rseq="7"))
            response = ForkingProxy.answer(request, 200, "one", port)
            response.headers.remove("Content-Type")
            response.body = b""
            self.respond(exchange, response)

        def _process_in_dialog(self, exchange, request):
            self.respond(exchange, request.create_response(200))

    async with agents(AnswersEarly) as (one, _, port, _, _):
        outgoing = one.invite(invite_of(one, port))
        dialog = await outgoing.run()
        assert outgoing.answer == b"one"
        await dialog.bye()


async def test_a_call_cancelled_while_it_rings_leaves_nothing():
    async with agents() as (one, two, port, invites, _):
        outgoing = one.invite(invite_of(one, port))
        running = asyncio.ensure_future(outgoing.run())
        invite = await invites.get()
        invite.ring()
        await asyncio.sleep(0.05)
        assert (one.active_dialogs, two.active_dialogs) == (1, 1)
        outgoing.cancel()
        with pytest.raises(CallCancelledError):
            await running
        assert invite.cancelled.done()


async def test_prack_after_the_call_was_answered_and_one_for_nothing():
    async with agents() as (one, _, port, invites, _):
        receive, held = one._received_response, []

        def hold_ringing(response):
            (held.append if response.status == 180 else receive)(response)

        one._received_response = hold_ringing
        running = asyncio.ensure_future(one.invite(invite_of(one, port)).run())
        invite = await invites.get()
        invite.ring()
        invite.accept(SDP)
        dialog = await running
        for rack, status in ((f"{held[0].headers.get('RSeq')} 1 INVITE", 200), ("5 1 INVITE", 481)):
            assert (await dialog.request("PRACK", headers=[("RAck", rack)])).status == status
            if status == 481:
                assert await dialog.ended == "local"
