"""A proxy that finds servers by a name server on loopback: the next one, wrong data, silence, and ways back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets

import pytest
from dns_server import ZoneServer, zone_server

from sip import CallCancelledError, Request, RequestFailedError, SipUri, Timers
from sip.discovery.dns_resolver import DnsResolver
from sip.discovery.locator import Locator
from sip.proxy.dns_resolver import DnsProxyResolver
from sip.proxy.server import Listener, ProxyServer
from sip.user_agent.user_agent import UserAgent

FAST = Timers(t1=0.01, t2=0.08, t4=0.05, completed_invite=0.3)
SDP = b"v=0\r\n"


class Nobody:
    async def targets(self, request_uri, request):
        return None


class Stage:
    """A proxy for our.test that finds example.test by `zone`; agent() makes a peer, serve() names its servers."""

    def __init__(self, zone):
        self.zone = zone
        self.zone.records["host.example.test", "A"] = ["127.0.0.1"]
        self.agents = []
        self.closing = []

    def serve(self, label, *ports):
        rows = [f"{priority} 0 {port} host.example.test." for priority, port in enumerate(ports)]
        self.zone.records[f"{label}.example.test", "SRV"] = rows

    @contextlib.asynccontextmanager
    async def proxy(self, *, patience=2.0):
        resolver = DnsResolver([f"127.0.0.1:{self.zone.port}"], timeout=patience)
        locator = Locator(resolver, address_types=("A",), timeout=patience)
        async with ProxyServer(
            (Listener("udp", "127.0.0.1"), Listener("tcp", "127.0.0.1")),
            domains=frozenset(("our.test",)),
            location=Nobody(),
            resolver=DnsProxyResolver(locator, transports=("tcp", "udp")),
            response_locator=locator,
            timers=FAST,
        ) as server:
            self.server = server
            self.caller = self.agent(outbound_proxy=SipUri.parse(f"sip:127.0.0.1:{self.port('udp')};lr"))
            await self.caller.listen("udp", "127.0.0.1")
            yield server
            for _ in range(100):
                if not server.proxy.active_transactions and not server.questions:
                    break
                await asyncio.sleep(0.05)
            assert server.proxy.active_transactions == server.proxy.active_contexts == server.questions == 0

    def port(self, transport):
        return next(one.port for one in self.server.listening if one.transport == transport)

    def agent(self, **more):
        made = UserAgent(timers=FAST, **more)
        self.agents.append(made)
        return made

    async def peer(self, transport="udp", **more):
        return (await self.agent(**more).listen(transport, "127.0.0.1")).port

    async def silent(self):
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, ("127.0.0.1", 0)
        )
        self.closing.append(transport)
        return transport.get_extra_info("sockname")[1]


@pytest.fixture
async def stage():
    tasks, descriptors = asyncio.all_tasks(), len(os.listdir("/proc/self/fd"))
    async with zone_server() as zone:
        made = Stage(zone)
        yield made
        for agent in made.agents:
            await agent.close()
            assert agent.active_transactions == agent.active_dialogs == agent.connections == 0
        for one in made.closing:
            one.close()
    await asyncio.sleep(0.05)
    assert not asyncio.all_tasks() - tasks - {asyncio.current_task()}
    assert len(os.listdir("/proc/self/fd")) == descriptors


async def refusing_port():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


def make(method="MESSAGE", uri="sip:bob@example.test", body=b""):
    request = Request(method, SipUri.parse(uri), body=body)
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", "<sip:alice@our.test>;tag=a")
    request.headers.add("To", f"<{uri}>")
    request.headers.add("Call-ID", secrets.token_hex(8))
    request.headers.add("CSeq", f"1 {method}")
    if method == "INVITE":
        request.headers.add("Contact", "<sip:alice@127.0.0.1>")
        request.headers.add("Content-Type", "application/sdp")
    return request


def answering(status, seen=None, **headers):
    def answer(request):
        if seen is not None:
            seen.append(request)
        response = request.create_response(status)
        for name, value in headers.items():
            response.headers.add(name.replace("_", "-"), value)
        return response

    return {"on_request": answer, "extra_methods": frozenset(("MESSAGE",))}


@pytest.mark.parametrize("fault", ["silence", "503", "refused"])
async def test_the_next_server(stage, fault):
    """For requests and for calls; the next request goes to the server that works first."""
    failed, seen, calls = [], [], []
    transport = "tcp" if fault == "refused" else "udp"
    if fault == "503":
        first = await stage.peer(on_invite=lambda one: one.reject(503), **answering(503, failed, Retry_After="60"))
    else:
        first = await (refusing_port() if fault == "refused" else stage.silent())
    second = await stage.peer(transport, on_invite=lambda one: calls.append(one.accept(SDP)), **answering(202, seen))
    stage.serve(f"_sip._{transport}", first, second)
    uri = f"sip:bob@example.test;transport={transport}"
    async with stage.proxy():
        dialog = await stage.caller.invite(make("INVITE", uri, body=SDP)).run()
        assert len(calls) == 1
        await dialog.bye()
        assert await calls[0].ended == "remote"
        assert (await stage.caller.request(make(uri=uri))).status == 202
        assert len(seen) == 1
        assert not failed  # avoided since the call


async def test_503_everywhere_is_500_and_each_is_tried_once(stage):
    tried = []
    ports = [await stage.peer(**answering(503, tried)) for _ in range(3)]
    stage.serve("_sip._udp", *ports)
    async with stage.proxy():
        assert (await stage.caller.request(make())).status == 500
    assert len(tried) == 3
    assert len({one.top_via.branch for one in tried}) == 3


async def test_a_phone_that_rings_is_not_called_twice(stage):
    ringing, second = [], []

    def ring(invite):
        invite.ring()
        ringing.append(invite)

    ports = [await stage.peer("tcp", on_invite=ring), await stage.peer("tcp", on_invite=second.append)]
    stage.serve("_sip._tcp", *ports)
    async with stage.proxy():
        invite = stage.caller.invite(make("INVITE", "sip:bob@example.test;transport=tcp", body=SDP))
        invite.on_progress = lambda response: ringing[0].flow.abort() if response.status == 180 else None
        with pytest.raises(RequestFailedError) as error:
            await invite.run()
        assert error.value.status == 500
        for agent in stage.agents:
            await agent.close()
    assert not second


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_large_requests_go_by_tcp_or_else_by_udp(stage, transport):
    seen = []
    port = await stage.peer(**answering(200, seen))
    for _ in range(20 * (transport == "tcp")):
        try:
            await stage.agents[0].listen("tcp", "127.0.0.1", port)
            break
        except OSError:  # somebody else's
            port = (await stage.agents[0].listen("udp", "127.0.0.1")).port
    stage.serve("_sip._udp", port)
    async with stage.proxy():
        request = make(body=b"x" * 1300)
        request.headers.add("Content-Type", "application/sdp")
        assert (await stage.caller.request(request)).status == 200
        assert [one.top_via.transport for one in seen] == [transport.upper()]


def silence(_):
    return None


def cut(wire):
    return wire[: len(wire) // 2]


@pytest.mark.parametrize(
    "zone",
    [
        ZoneServer({}),
        ZoneServer({("example.test", "A"): ["127.0.0.1"]}, spoil={"example.test": silence}),
        ZoneServer({("example.test", "A"): ["127.0.0.1"]}, spoil={"example.test": cut}),
        ZoneServer({("example.test", "NAPTR"): ['1 1 "s" "SIP+D2U" "" example.test.']}),
        ZoneServer({("_sip._udp.example.test", "SRV"): ["0 0 0 ."]}),
        ZoneServer({("_sip._udp.example.test", "SRV"): ["0 0 5060 gone.example.test."]}),
        ZoneServer({("example.test", "CNAME"): ["example.test."]}),
    ],
    ids=["nxdomain", "silence", "cut", "wrong-naptr", "no-service", "no-address", "circle"],
)
async def test_without_servers_the_call_fails_in_bounded_time(zone, stage):
    stage.zone.records, stage.zone.spoil = zone.records, zone.spoil
    async with stage.proxy(patience=0.5):
        async with asyncio.timeout(10):
            assert (await stage.caller.request(make())).status == 500
            with pytest.raises(RequestFailedError) as error:
                await stage.caller.invite(make("INVITE", body=SDP)).run()
        assert error.value.status == 500


async def test_a_caller_that_gives_up_while_dns_is_silent(stage):
    stage.zone.spoil["example.test"] = silence
    async with stage.proxy(patience=1.5) as server:
        invite = stage.caller.invite(make("INVITE", body=SDP))
        invite.on_progress = lambda response: invite.cancel()
        with pytest.raises(CallCancelledError):
            await invite.run()
        assert server.questions == 1
        assert server.proxy.active_contexts == 0


async def test_a_response_goes_to_where_the_sent_by_leads(stage):
    """The sender named itself by a name without port: first its address at the default port, then its SRV records."""
    answers = asyncio.Queue()

    async def take(reader, writer):
        answers.put_nowait(await reader.readuntil(b"\r\n"))
        writer.close()

    listening = await asyncio.start_server(take, "127.0.0.1", 0)
    stage.closing.append(listening)
    stage.serve("_sip._tcp", listening.sockets[0].getsockname()[1])
    stage.zone.spoil["late.test"] = silence
    async with stage.proxy(patience=0.5):
        _, writer = await asyncio.open_connection("127.0.0.1", stage.port("tcp"))
        request = make(uri="sip:bob@late.test")
        request.headers.prepend("Via", "SIP/2.0/TCP example.test;branch=z9hG4bK1")
        writer.write(request.serialize())
        await asyncio.sleep(0.1)
        writer.close()
        assert (await asyncio.wait_for(answers.get(), 5)).startswith(b"SIP/2.0 500 ")
