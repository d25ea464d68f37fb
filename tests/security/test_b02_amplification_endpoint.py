"""What an endpoint sends to an address that somebody wrote into a UDP packet: little, and to nobody else."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from guarded_stage import STRANGER, VICTIM, stranger_request
from virtual_network import Network, run

from sip import DigestServer, Request, Response, parse_message
from sip.user_agent.user_agent import UserAgent

# As docs/security.md has it; not taken from the product, which could then move it.
FACTOR, MAX_SUCCESSES = 3, 8
BOB = ("10.0.0.2", 5060)
SDP = b"v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nt=0 0\r\n" + b"a=x:1234567890\r\n" * 20


class Wire:
    """Bob on a virtual network, and what he sends."""

    def __init__(self, **options):
        self.sent = []
        self.network = Network(drops=self._see)
        self.options = options

    def _see(self, data, source, destination):
        if source == BOB:
            self.sent.append((parse_message(data), len(data), destination))
        return True  # nobody is there

    def run(self, script):
        async def whole():
            bob = UserAgent(**self.options)
            await bob.listen("udp", *BOB)
            try:
                await script(bob)
            finally:
                await bob.close()

        run(self.network, whole)

    def receive(self, request, source=STRANGER):
        data = request if isinstance(request, bytes) else request.serialize()
        self.network.sockets[BOB].arrived(data, source)
        return len(data)

    def whats(self):
        return [one.status if isinstance(one, Response) else one.method for one, _, _ in self.sent]

    @property
    def size(self):
        return sum(size for _, size, _ in self.sent)

    def hosts(self):
        return {host for _, _, (host, _) in self.sent}


def authenticator():
    users = {"alice": "secret"}
    return DigestServer.with_passwords("example.com", users, clock=lambda: asyncio.get_running_loop().time())


REFUSED = {
    401: {"with_digest": True},
    405: {"method": "PUBLISH"},
    420: {"Require": "novel"},
    480: {},
    481: {"to_tag": "invented"},
    501: {"method": "NOVEL"},
}


@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_is_sent_once_and_nothing_is_kept(status):
    more = dict(REFUSED[status])
    wire = Wire(authenticator=authenticator() if more.pop("with_digest", False) else None)

    async def script(bob):
        request = stranger_request(**more)
        size = wire.receive(request)
        assert bob.active_transactions == bob.admission.total == 0
        await asyncio.sleep(40)
        assert wire.whats() == [status]
        assert wire.size <= FACTOR * size
        wire.receive(request)
        first, again = (one for one, _, _ in wire.sent)
        assert first.to.tag == again.to.tag
        if request.method == "INVITE":
            ack = stranger_request("ACK", call_id=request.call_id)
            ack.headers.set("To", str(first.to))
            wire.receive(ack)
        await asyncio.sleep(40)
        assert wire.whats() == [status] * 2

    wire.run(script)


@pytest.mark.parametrize("parameters", [f"maddr={VICTIM[0]}", f"received={VICTIM[0]}", f"received={VICTIM[0]};rport"])
@pytest.mark.parametrize("sent_by", [STRANGER[0], "evil.example", VICTIM[0]])
@pytest.mark.parametrize("answer", ["refuse", "ring", "accept", "malformed", "options"])
def test_a_via_names_nobody_else(parameters, sent_by, answer):
    def on_invite(invite):
        invite.ring()
        if answer == "accept":
            invite.accept(SDP)

    wire = Wire(on_invite=None if answer == "refuse" else on_invite)

    async def script(bob):
        request = stranger_request("OPTIONS" if answer == "options" else "INVITE", Contact=f"<sip:m@{VICTIM[0]}>")
        request.headers.set("Via", f"SIP/2.0/UDP {sent_by};{parameters};branch=z9hG4bKv")
        data = request.serialize()
        wire.receive(data.replace(b"CSeq:", b"Max-Forwards: many\r\nCSeq:") if answer == "malformed" else data)
        await asyncio.sleep(100)
        assert wire.hosts() == {STRANGER[0]}

    wire.run(script)


# Calls that ring, are taken or are refused by who is called.


def bob_who(*, rings=0, then=None):
    def on_invite(invite):
        async def answer():
            for _ in range(rings):
                invite.ring()
                await asyncio.sleep(0.1)
            if then == 200:
                invite.accept(SDP)
            elif then is not None:
                invite.reject(then, warning="because " * 30)

        tasks.add(task := asyncio.ensure_future(answer()))
        task.add_done_callback(tasks.discard)

    tasks = set()
    return on_invite


def offered(**more):
    request = stranger_request(Contact=f"<sip:m@{VICTIM[0]}>", Content_Type="application/sdp", **more)
    request.body = SDP
    return request


@pytest.mark.parametrize("reliable", [False, True])
@pytest.mark.parametrize("then", [None, 486, 603])
@pytest.mark.parametrize("rings", [0, 1, 30])
def test_provisionals_and_a_refusal_stay_within_three_times(rings, then, reliable):
    wire = Wire(on_invite=bob_who(rings=rings, then=then))

    async def script(_bob):
        size = wire.receive(offered(**({"Supported": "100rel"} if reliable else {})))
        await asyncio.sleep(200)
        assert wire.size <= FACTOR * size
        assert wire.hosts() == {STRANGER[0]}
        assert then is None or then in wire.whats()

    wire.run(script)


def test_nobody_has_a_response_repeated_to_somebody_else():
    wire = Wire(on_invite=bob_who(rings=1))

    async def script(_bob):
        request = offered()
        wire.receive(request)
        await asyncio.sleep(1)
        before = len(wire.sent)
        wire.receive(request, source=("192.0.2.222", 5060))
        assert len(wire.sent) == before > 0
        wire.receive(request)
        assert len(wire.sent) == before + 1

    wire.run(script)


def test_a_success_is_sent_so_often_and_one_goodbye():
    wire = Wire(on_invite=bob_who(then=200))

    async def script(bob):
        wire.receive(offered())
        await asyncio.sleep(100)
        assert wire.whats() == [200] * MAX_SUCCESSES + ["BYE"]
        assert wire.hosts() == {STRANGER[0]}  # nothing to where its Contact is
        assert bob.active_dialogs == 0

    wire.run(script)


def test_whoever_sends_the_tag_back_is_there():
    """A call that is acknowledged; then a re-INVITE of the same source, and one that says it is from elsewhere."""
    wire = Wire(on_invite=bob_who(then=200))

    async def script(bob):
        request = offered()
        wire.receive(request)
        await asyncio.sleep(0.1)
        [(success, _, _)] = wire.sent
        again = within(request, success, 2)
        wire.receive(within(request, success, 1, method="ACK"))
        await asyncio.sleep(20)
        assert wire.whats() == [200]
        bob.dialogs[next(iter(bob.dialogs))].on_reinvite = lambda _: (200, SDP)
        wire.receive(again)
        await asyncio.sleep(31)
        assert wire.whats() == [200] * 11  # the first, and all that 13.3.1.4 has sent
        wire.receive(within(request, success, 2, method="ACK"))
        wire.sent.clear()
        wire.receive(within(request, success, 3), VICTIM)
        await asyncio.sleep(31)
        assert wire.whats() == [200] * MAX_SUCCESSES

    wire.run(script)


def within(request, success, number, method="INVITE"):
    made = Request(method, success.contacts[0].uri)
    made.headers.add("Via", f"SIP/2.0/UDP {STRANGER[0]}:5060;branch=z9hG4bK{secrets.token_hex(4)};rport")
    made.headers.add("From", request.headers.get("From"))
    made.headers.add("To", str(success.to))
    made.headers.add("Call-ID", request.call_id)
    made.headers.add("CSeq", f"{number} {method}")
    made.headers.add("Contact", f"<sip:m@{STRANGER[0]}>")
    return made


def test_garbage_gets_no_more_back():
    wire = Wire()

    async def script(_bob):
        size = 0
        for number in range(10):
            text = stranger_request("OPTIONS", branch=f"z9hG4bK{number}").serialize()
            size += wire.receive(text.replace(b"CSeq:", b"Max-Forwards: many\r\nCSeq:"))
        await asyncio.sleep(1)
        assert wire.whats() == [400] * 10
        assert wire.size <= FACTOR * size

    wire.run(script)
