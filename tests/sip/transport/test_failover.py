"""Requests that go on to the next target, and responses that find another way, over real DNS and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import pytest
from dns_server import ZoneServer, zone_server
from peers.authority import TestAuthority

from sip import (
    DiscoveryError,
    RequestFailedError,
    SipUri,
    Timers,
    TlsVerificationError,
    TransactionTimeoutError,
    TransportError,
    client_context,
    server_context,
)
from sip.discovery.dns_resolver import DnsResolver
from sip.discovery.locator import Locator
from sip.discovery.target import Target
from sip.discovery.target_health import TargetHealth
from sip.message.message import Request, new_call_id, new_tag
from sip.user_agent.user_agent import UserAgent

FAST = Timers(t1=0.01, t2=0.05, t4=0.02, completed_invite=0.1)
SDP = b"v=0\r\n"


class Stage:
    """A domain `example.com` on loopback: server() adds one that answers and returns its port, agent() a client."""

    def __init__(self, zone: ZoneServer, authority: TestAuthority) -> None:
        self.zone = zone
        self.authority = authority
        self.agents: list[UserAgent] = []
        self.sockets: list[asyncio.BaseTransport] = []
        self.zone.records["host.example.com", "A"] = ["127.0.0.1"]

    def serve(self, label: str, *ports: int) -> None:
        """Has the domain's SRV records name these ports, the first as the preferred one."""
        rows = [f"{priority} 0 {port} host.example.com." for priority, port in enumerate(ports)]
        self.zone.records[f"{label}.example.com", "SRV"] = rows

    def agent(self, **more) -> UserAgent:
        locator = Locator(DnsResolver([f"127.0.0.1:{self.zone.port}"]), randint=lambda low, high: low)
        made = UserAgent(timers=FAST, locator=locator, **more)
        self.agents.append(made)
        return made

    async def server(self, transport="udp", *, name="alice", port=0, **more) -> int:
        tls = server_context(self.authority.issue(name)) if transport == "tls" else None
        address = await self.agent(**more).listen(transport, "127.0.0.1", port, tls=tls)
        return address.port

    async def silent(self) -> int:
        """A UDP port that never answers."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        self.sockets.append(transport)
        return transport.get_extra_info("sockname")[1]


@pytest.fixture
async def stage(authority):
    before = asyncio.all_tasks()
    async with zone_server() as zone:
        made = Stage(zone, authority)
        yield made
        for agent in made.agents:
            await agent.close()
            assert agent.active_transactions == agent.active_dialogs == agent.connections == 0
        for one in made.sockets:
            one.close()
    await asyncio.sleep(0)
    assert not asyncio.all_tasks() - before - {asyncio.current_task()}


async def refusing_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


def make(method="OPTIONS", uri="sip:bob@example.com", *, body=b"") -> Request:
    made = Request(method, SipUri.parse(uri), body=body)
    made.headers.add("Max-Forwards", "70")
    made.headers.add("From", f"<sip:alice@example.org>;tag={new_tag()}")
    made.headers.add("To", f"<{uri}>")
    made.headers.add("Call-ID", new_call_id())
    made.headers.add("CSeq", f"{random.randint(1, 1000)} {method}")
    if method == "INVITE":
        made.headers.add("Contact", "<sip:alice@127.0.0.1>")
        made.headers.add("Content-Type", "application/sdp")
    return made


def answering(status, seen=None, **headers):
    """What makes a server answer MESSAGE with a status."""

    def answer(request):
        if seen is not None:
            seen.append(request)
        response = request.create_response(status)
        for name, value in headers.items():
            response.headers.add(name.replace("_", "-"), value)
        return response

    return {"on_request": answer, "extra_methods": frozenset(("MESSAGE",))}


async def test_a_refused_connection_leads_to_the_next(stage):
    stage.serve("_sip._tcp", await refusing_port(), await stage.server("tcp"))
    assert (await stage.agent().request(make())).status == 200


async def test_silence_leads_to_the_next_with_a_new_branch(stage):
    seen = []
    quiet = await stage.silent()
    stage.serve("_sip._udp", quiet, await stage.server(**answering(202, seen)))
    agent = stage.agent()
    request = make("MESSAGE")
    assert (await agent.request(request)).status == 202
    assert len(seen[0].vias) == 1
    assert seen[0].cseq == request.cseq
    # What failed lately is tried last: no timeout this time.
    started = time.monotonic()
    assert (await agent.request(make("MESSAGE"))).status == 202
    assert time.monotonic() - started < FAST.timeout


async def test_503_leads_to_the_next_and_is_returned_by_the_last(stage):
    tried = []
    first = await stage.server(**answering(503, tried, Retry_After="60 (maintenance);duration=5"))
    second = await stage.server(**answering(503, tried))
    stage.serve("_sip._udp", first, second)
    agent = stage.agent()
    assert (await agent.request(make("MESSAGE"))).status == 503
    assert len({one.top_via.branch for one in tried}) == 2
    assert len({one.cseq for one in tried}) == 1
    third = await stage.server(**answering(200))
    stage.serve("_sip._udp", first, second, third)
    other = stage.agent()
    assert (await other.request(make("MESSAGE"))).status == 200
    assert len(tried) == 4


async def test_other_failures_are_the_answer(stage):
    tried = []
    stage.serve("_sip._udp", await stage.server(**answering(500)), await stage.server(**answering(200, tried)))
    assert (await stage.agent().request(make("MESSAGE"))).status == 500
    assert not tried


async def test_all_targets_fail(stage):
    stage.serve("_sip._udp", await stage.silent(), await stage.silent())
    agent = stage.agent()
    with pytest.raises(TransactionTimeoutError):
        await agent.request(make())
    with pytest.raises(TransactionTimeoutError):
        await agent.invite(make("INVITE", body=SDP)).run()
    stage.serve("_sip._tcp", await refusing_port(), await refusing_port())
    with pytest.raises(TransportError):
        await agent.request(make(uri="sip:example.com;transport=tcp"))
    with pytest.raises(DiscoveryError):
        await agent.request(make(uri="sip:nowhere.example"))


@pytest.mark.parametrize("fault", ["silence", "503", "refused"])
async def test_calls_go_to_the_next_too(stage, fault):
    accepted = []
    transport = "tcp" if fault == "refused" else "udp"
    if fault == "silence":
        first = await stage.silent()
    elif fault == "refused":
        first = await refusing_port()
    else:
        first = await stage.server(on_invite=lambda invite: invite.reject(503))
    second = await stage.server(transport, on_invite=lambda invite: accepted.append(invite.accept(SDP)))
    stage.serve(f"_sip._{transport}", first, second)
    agent = stage.agent()
    dialog = await agent.invite(make("INVITE", f"sip:bob@example.com;transport={transport}", body=SDP)).run()
    assert len(accepted) == 1
    await dialog.bye()
    assert await accepted[0].ended == "remote"


async def test_a_phone_that_rings_is_not_called_twice(stage):
    """The connection is lost after 180: the next target would ring a second time."""
    ringing, second = [], []

    def ring(invite):
        invite.ring()
        ringing.append(invite)

    first = await stage.server("tcp", on_invite=ring)
    stage.serve("_sip._tcp", first, await stage.server("tcp", on_invite=second.append))
    invite = stage.agent().invite(make("INVITE", "sip:bob@example.com;transport=tcp", body=SDP))

    def lose(response):
        if response.status == 180:
            ringing[0].flow.abort()

    invite.on_progress = lose
    with pytest.raises(TransportError, match="lost"):
        await invite.run()
    assert not second


async def test_a_connection_lost_before_any_answer_leads_to_the_next(stage):
    """A server that resets the connection in the middle of what it was about to say."""

    async def reset(reader, writer):
        await reader.read(10)
        writer.write(b"SIP/2.0 200 OK\r\nVia: SIP/2.0")
        await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(reset, "127.0.0.1", 0)
    stage.serve("_sip._tcp", server.sockets[0].getsockname()[1], await stage.server("tcp"))
    agent = stage.agent()
    assert (await agent.request(make(uri="sip:example.com;transport=tcp"))).status == 200
    assert agent.connections == 1
    server.close()
    await server.wait_closed()


async def test_tls_goes_on_to_tls_only(stage, authority):
    """The first server proves another name, the second is the right one; the UDP server of the zone sees nothing."""
    seen = []
    wrong = await stage.server("tls", name="mallory")
    stage.zone.records["example.com", "NAPTR"] = ['1 1 "s" "SIPS+D2T" "" _sips._tcp.example.com.']
    stage.serve("_sips._tcp", wrong)
    stage.serve("_sip._udp", await stage.server(**answering(200, seen)))
    agent = stage.agent(tls_client=client_context(ca_file=authority.ca_path))
    for uri in ("sip:example.com", "sips:example.com"):
        with pytest.raises(TlsVerificationError):
            await agent.request(make("MESSAGE", uri))
    assert not seen
    # The certificate names `alice.test`, which DNS leads to the same hosts.
    stage.zone.records["_sips._tcp.alice.test", "SRV"] = [
        f"1 0 {wrong} host.example.com.",
        f"2 0 {await stage.server('tls', **answering(200, seen))} host.example.com.",
    ]
    assert (await agent.request(make("MESSAGE", "sips:alice.test"))).status == 200
    assert len(seen) == 1


async def test_a_request_within_a_dialog_with_sips_does_not_leave_tls(stage):
    request = make(uri="sips:bob@example.com")
    request.headers.add("Route", "<sip:127.0.0.1:5060;lr>")
    tries = await stage.agent(tls_client=client_context()).tries_for(request)
    assert str(tries.target) == "tls:127.0.0.1:5060"
    request.headers.set("Route", "<sip:127.0.0.1;transport=udp;lr>")
    with pytest.raises(TransportError, match="sips"):
        await stage.agent(tls_client=client_context()).tries_for(request)


async def test_a_large_request_goes_by_tcp_or_else_by_udp(stage):
    seen = []
    port = await stage.server(**answering(200, seen))
    request = make("MESSAGE", f"sip:host.example.com:{port}", body=b"x" * 2000)
    request.headers.add("Content-Type", "text/plain")
    agent = stage.agent()
    second = make("MESSAGE", f"sip:host.example.com:{port}", body=b"x" * 2000)
    assert (await agent.request(request)).status == 200
    assert agent.connections == 0
    await stage.agents[0].listen("tcp", "127.0.0.1", port)
    other = stage.agent()
    second.headers.add("Content-Type", "text/plain")
    assert (await other.request(second)).status == 200
    assert other.connections == 1


async def test_a_response_finds_its_way_when_the_connection_is_gone(stage):
    """RFC 3261 18.2.2: a new connection to where the sender listens."""
    waiting = asyncio.Queue()
    callee_port = await stage.server("tcp", on_invite=waiting.put_nowait)
    caller = stage.agent()
    await caller.listen("tcp", "127.0.0.1")
    stage.serve("_sip._tcp", callee_port)
    invite = caller.invite(make("INVITE", "sip:bob@example.com;transport=tcp", body=SDP))
    statuses = []
    lost_by_caller = caller._transports._lost
    caller._transports._lost = lambda flow: None  # the caller holds on to its transaction, as over a proxy's restart
    running = asyncio.ensure_future(invite.run())
    incoming = await waiting.get()
    incoming.flow.abort()
    await asyncio.sleep(0.05)
    caller._transports._lost = lost_by_caller
    invite.on_progress = lambda response: statuses.append(response.status)
    incoming.ring()
    await asyncio.sleep(0.1)
    incoming.reject(486)
    with pytest.raises(RequestFailedError) as error:
        await running
    assert error.value.status == 486
    assert statuses[-1] == 180  # a 100 goes before it where the loop was late by 200 ms (17.2.1)


async def test_a_response_that_finds_no_way_leaves_nothing(stage):
    waiting = asyncio.Queue()
    await stage.server("tcp", on_invite=waiting.put_nowait)
    callee = stage.agents[0]
    _, writer = await asyncio.open_connection("127.0.0.1", callee._transports.listening[0].port)
    request = make("INVITE", body=SDP)
    request.headers.prepend("Via", f"SIP/2.0/TCP 127.0.0.1:{await refusing_port()};branch=z9hG4bK1")
    writer.write(request.serialize())
    incoming = await waiting.get()
    writer.transport.abort()
    await asyncio.sleep(0.05)
    incoming.reject(486)
    for _ in range(100):
        if not callee.active_transactions:
            break
        await asyncio.sleep(0.01)
    assert callee.active_transactions == 0
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def test_health_is_bounded_and_forgets():
    now = [0.0]
    health = TargetHealth(lambda: now[0])
    one, two, three = (Target("udp", f"192.0.2.{index}", 5060, "x") for index in range(3))
    health.failed(one)
    health.failed(two, retry_after=1e9)
    assert health.order([one, two, three]) == [three, one, two]
    now[0] = 31.0
    assert health.order([one, two, three]) == [one, three, two]
    health.recovered(two)
    assert health.order([two, one]) == [two, one]
    health.failed(two, retry_after=1e9)
    now[0] += 601
    assert health.order([two, one]) == [two, one]
    for index in range(5000):
        health.failed(Target("udp", "192.0.2.1", index, "x"))
    assert len(health._avoided) <= 1000


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_a_large_call_moves_too_and_its_dialog_stands(stage, transport):
    """The ACK and the BYE of the call arrive as well, whichever transport the INVITE ended up with."""
    accepted = []
    port = await stage.server(transport, on_invite=lambda invite: accepted.append(invite.accept(SDP)))
    if transport == "tcp":
        with contextlib.suppress(OSError):  # taken by somebody else: then there is no UDP to fall back to
            await stage.agents[0].listen("udp", "127.0.0.1", port)
    stage.serve("_sip._udp", port)
    agent = stage.agent()
    dialog = await agent.invite(make("INVITE", body=SDP + b"a=x\r\n" * 300)).run()
    assert dialog.flow.transport == transport
    await dialog.bye()
    assert await accepted[0].ended == "remote"
