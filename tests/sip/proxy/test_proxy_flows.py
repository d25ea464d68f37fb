"""Edge proxies and the flows of user agents behind NAT (RFC 3327, 5626): by rules alone, and over sockets."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from proxy_stage import FakeFlow, Stage

from securertc.server.service import ProxyService
from sip import (
    LocationService,
    MemoryLocationStore,
    RegistrarSettings,
    Request,
    SipUri,
    Timers,
)
from sip.discovery.target import Target
from sip.proxy.events import ProxyTarget
from sip.proxy.server import Listener, ProxyServer
from sip.transport.keep_alive import KeepAliveTimes
from sip.user_agent.outbound import OutboundRegistration, OutboundTimes, new_instance
from sip.user_agent.user_agent import UserAgent

FAST = Timers(t1=0.02, t2=0.16, t4=0.05, completed_invite=0.3)
TIMES = OutboundTimes(0.1, 0.1, 0.3, KeepAliveTimes((0.08, 0.1), (0.08, 0.1), pong_timeout=0.5, stun_rto=0.02))
AOR = SipUri.parse("sip:bob@example.com")


def make(method, uri, *, contact=None, via="SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK{}", **headers):
    request = Request(method, SipUri.parse(uri))
    request.headers.add("Via", via.format(secrets.token_hex(4)))
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", "<sip:bob@example.com>;tag=a")
    request.headers.add("To", "<sip:bob@example.com>")
    request.headers.add("Call-ID", secrets.token_hex(8))
    request.headers.add("CSeq", f"1 {method}")
    if contact is not None:
        request.headers.add("Contact", contact)
    for name, value in headers.items():
        request.headers.add(name.replace("_", "-"), value)
    return request


FLOW = '<sip:bob@10.0.0.1;ob>;reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>"'


class Edge(Stage):
    """A stage whose flows all have tokens, the caller's `t-in`."""

    def __init__(self):
        super().__init__()
        self.tokens["t-in"] = self.caller
        self.servers["far.example"] = [Target("udp", "192.0.2.9", 5060, "far.example")]

    def forwarded(self, request):
        self.run(self.proxy.receive_request(request, self.caller, self.now))
        return [one for one in self.sent if isinstance(one.message, Request)][-1].message


@pytest.mark.parametrize(
    ("contact", "supported", "path"),
    [
        (FLOW, "path, outbound", "<sip:t-in@192.0.2.1:5060;lr;ob>"),
        (FLOW, "", "<sip:t-in@192.0.2.1:5060;lr;ob>"),
        ("<sip:bob@10.0.0.1>", "path", None),  # over UDP from where it says: no flow to hold on to
    ],
)
def test_the_first_hop_puts_its_flow_into_path(contact, supported, path):
    stage = Edge()
    request = make("REGISTER", "sip:far.example", contact=contact, Supported=supported)
    assert stage.forwarded(request).headers.get("Path") == path


def test_path_of_a_connection_without_outbound():
    stage = Edge()
    stage.caller.transport = "tcp"
    via = "SIP/2.0/TCP 192.0.2.50;branch=z9hG4bK{}"
    request = make("REGISTER", "sip:far.example", contact="<sip:bob@10.0.0.1>", via=via, Supported="path")
    assert stage.forwarded(request).headers.get("Path") == "<sip:t-in@192.0.2.1:5060;transport=tcp;lr>"
    request = make("REGISTER", "sip:far.example", contact="<sip:bob@10.0.0.1>", via=via)
    assert stage.forwarded(request).headers.get("Path") is None


def test_only_the_first_hop_does():
    stage = Edge()
    request = make("REGISTER", "sip:far.example", contact=FLOW, Supported="path, outbound")
    request.headers.add("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKphone")
    request.headers.add("Path", "<sip:edge.example;lr;ob>")
    assert stage.forwarded(request).headers.get_all("Path") == ["<sip:edge.example;lr;ob>"]


def test_a_dialog_of_who_asks_for_it_is_held_to_the_flow():
    stage = Edge()
    for contact, token in (("<sip:bob@10.0.0.1;ob>", "t-in@"), ("<sip:bob@10.0.0.1>", "")):
        forwarded = stage.forwarded(make("INVITE", "sip:alice@far.example", contact=contact))
        assert f"<sip:{token}192.0.2.1:5060;lr>" in forwarded.headers.get_all("Record-Route")


def last_status(stage):
    return stage.sent[-1].message.status


@pytest.mark.parametrize(("route", "status"), [("<sip:gone@192.0.2.1;lr;ob>", 430), ("<sip:gone@192.0.2.1;lr>", None)])
def test_a_registered_flow_that_is_gone_is_430(route, status):
    """Without ob it was recorded for a dialog: the contact may still be reached."""
    stage = Edge()
    request = make("MESSAGE", "sip:bob@10.0.0.1;ob", Route=route)
    stage.run(stage.proxy.receive_request(request, stage.caller, stage.now))
    if status is None:
        assert stage.sent[-1].flow.remote == ("10.0.0.1", 5060)
    else:
        assert last_status(stage) == status
        assert len(stage.sent) == 1


@pytest.mark.parametrize("answer", ["gone", 430])
def test_no_flow_left_is_480_where_they_are_known(answer):
    stage = Edge()
    uri = SipUri.parse("sip:bob@10.0.0.1;ob")
    if answer == 430:
        stage.tokens["t1"] = FakeFlow("tcp", ("192.0.2.77", 40000))
        stage.tokens["t2"] = FakeFlow("tcp", ("192.0.2.78", 40000))
    other = ProxyTarget(uri, flow="t2", flow_failure=480)
    stage.locations["sip:bob@example.com"] = [ProxyTarget(uri, flow="t1", alternatives=(other,), flow_failure=480)]
    stage.run(stage.proxy.receive_request(make("MESSAGE", "sip:bob@example.com"), stage.caller, stage.now))
    for _ in range(2 if answer == 430 else 0):
        response = stage.sent[-1].message.create_response(430)
        stage.run(stage.proxy.receive_response(response, stage.now))
    assert last_status(stage) == 480
    assert len({one.flow for one in stage.sent}) == (3 if answer == 430 else 1)


class Nat(asyncio.DatagramProtocol):
    """Carries datagrams of one phone to a proxy by a socket of its own; rebind() takes another."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.phone = None
        self.passed = 0

    async def open(self):
        loop = asyncio.get_running_loop()
        self.inside, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        await self.rebind()
        return self.inside.get_extra_info("sockname")[1]

    async def rebind(self):
        nat = self

        class Outside(asyncio.DatagramProtocol):
            def datagram_received(self, data, addr):
                nat.passed += 1
                nat.inside.sendto(data, nat.phone)

        before = getattr(self, "outside", None)
        loop = asyncio.get_running_loop()
        self.outside, _ = await loop.create_datagram_endpoint(Outside, ("127.0.0.1", 0))
        if before is not None:
            before.close()

    def datagram_received(self, data, addr):
        self.phone = addr
        self.outside.sendto(data, ("127.0.0.1", self.proxy))

    def close(self):
        self.inside.close()
        self.outside.close()


class Through:
    """In place of a Locator: all requests of a phone go through its NAT."""

    def __init__(self, port):
        self.port = port

    async def locate(self, uri, *, transports, large):
        return [Target("udp", "127.0.0.1", self.port, uri.host)]


class Home:
    """example.com: a proxy with the registrar, and an edge proxy before it that phones register through."""

    def __init__(self):
        self.store = MemoryLocationStore()
        self.edge = None

    async def resolve(self, uri):
        if uri.host == "example.com":
            return (Target("udp", "127.0.0.1", self.home.listening[0].port, uri.host),)
        return (Target(uri.transport or "udp", uri.host, uri.port or 5060, uri.host),)

    async def open(self):
        service = await LocationService.create(self.store, RegistrarSettings(frozenset(("example.com",))))
        hooks = ProxyService(frozenset(("example.com",)), location=service)
        listeners = (Listener("udp", "127.0.0.1"), Listener("tcp", "127.0.0.1"))
        more = {"resolver": self, "timers": FAST}
        self.home = ProxyServer(listeners, domains=frozenset(("example.com",)), location=hooks, hooks=hooks, **more)
        await self.home.start()
        hooks.identity = self.home.proxy.identity
        self.edge = ProxyServer(listeners, domains=frozenset(), location=hooks, **more)
        await self.edge.start()

    def port(self, transport):
        return next(one.port for one in self.edge.listening if one.transport == transport)

    async def close(self):
        for server in (self.edge, self.home):
            for _ in range(100):
                if not server.proxy.active_transactions:
                    break
                await asyncio.sleep(0.05)
            assert server.proxy.active_transactions == server.proxy.active_contexts == 0
            await server.close()


@pytest.fixture
async def home():
    tasks = asyncio.all_tasks()
    made = Home()
    await made.open()
    yield made
    await made.close()
    await asyncio.sleep(0.05)
    assert not asyncio.all_tasks() - tasks - {asyncio.current_task()}


def answering(seen):
    def answer(request):
        seen.append(request)
        return request.create_response(200)

    return {"on_request": answer, "extra_methods": frozenset(("MESSAGE",))}


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # of many things, none of which has an event
            await asyncio.sleep(0.01)


def message(home, uri="sip:bob@example.com"):
    request = make("MESSAGE", uri)
    request.headers.remove("Via")
    request.headers.add("Route", f"<sip:127.0.0.1:{home.home.listening[0].port};lr>")
    return request


async def test_a_phone_behind_nat_is_reached_by_its_flow(home):
    seen = []
    nat = Nat(home.port("udp"))
    port = await nat.open()
    phone, caller = UserAgent(timers=FAST, locator=Through(port), **answering(seen)), UserAgent(timers=FAST)
    proxy = SipUri.parse(f"sip:127.0.0.1:{home.port('udp')};lr")
    registration = OutboundRegistration(phone, AOR, new_instance(), [proxy], times=TIMES)
    try:
        await registration.register()
        [kept] = registration.flows
        assert kept.outbound
        [binding] = (await home.store.load("bob@example.com")).bindings
        assert ";ob>" in binding.path[0]
        passed = nat.passed
        assert (await caller.request(message(home))).status == 200
        assert nat.passed > passed
        await until(lambda: kept._keep_alive is not None and kept._keep_alive.answered)
        await nat.rebind()  # as after a restart of the router
        await until(lambda: kept.recovered == 1)
        assert (await caller.request(message(home))).status == 200
        assert len(seen) == 2
        [again] = (await home.store.load("bob@example.com")).bindings
        assert again.path != binding.path
    finally:
        await registration.stop()
        await phone.close()
        await caller.close()
        nat.close()


async def test_a_connection_that_is_gone_is_480_until_it_is_back(home):
    seen = []
    phone, caller = UserAgent(timers=FAST, **answering(seen)), UserAgent(timers=FAST)
    proxy = SipUri.parse(f"sip:127.0.0.1:{home.port('tcp')};transport=tcp;lr")
    registration = OutboundRegistration(phone, AOR, new_instance(), [proxy], times=TIMES)
    try:
        await registration.register()
        [kept] = registration.flows
        assert (await caller.request(message(home))).status == 200
        ours = kept.flow.local
        await registration.stop()
        for flow in list(phone._transports._flows):
            flow.abort()
        await until(lambda: ours not in [one.remote for one in home.edge._transports._flows])
        assert (await caller.request(message(home))).status == 480
        await registration.register()
        assert (await caller.request(message(home))).status == 200
        [flow] = [one for one in home.edge._transports._flows if one.remote == kept.flow.local]
        flow.abort()
        await until(lambda: kept.recovered == 1)
        assert (await caller.request(message(home))).status == 200
    finally:
        await registration.stop()
        await phone.close()
        await caller.close()
