"""The proxy on real sockets, between user agents of ours; afterwards nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import pytest

from sip import Request, SipUri, Timers, client_context, server_context
from sip.proxy.events import ProxyTarget
from sip.proxy.server import Listener, ProxyServer
from sip.transaction.load_limits import LoadLimits
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.every_loop

# A shorter T1 ends the lingering of transactions, 64*T1, within the test.
TIMERS = Timers(t1=0.02, t2=0.16, t4=0.2, completed_invite=1.3)


class Locations:
    """The users of example.com, in memory; a user may be slow, or unknown."""

    def __init__(self):
        self.known = {}
        self.asked = 0

    async def targets(self, request_uri, request):
        self.asked += 1
        await asyncio.sleep(0)
        found = self.known.get(request_uri.user, None)
        if isinstance(found, Exception):
            raise found
        return found


@contextlib.asynccontextmanager
async def proxy_at(authority, locations, **options):
    listeners = (
        Listener("udp", "127.0.0.1"),
        Listener("tcp", "127.0.0.1"),
        Listener("tls", "127.0.0.1", tls=server_context(authority.issue("proxy"))),
    )
    tasks = len(asyncio.all_tasks())
    options.setdefault("timers", TIMERS)
    async with ProxyServer(
        listeners,
        domains=frozenset(("example.com",)),
        location=locations,
        tls_client=client_context(ca_file=authority.ca_path),
        **options,
    ) as server:
        yield server
        for _ in range(60):
            if not server.proxy.active_transactions and not server.questions:
                break
            await asyncio.sleep(0.1)
        assert server.proxy.active_transactions == 0
        assert server.proxy.active_contexts == 0
        assert server.proxy.admission.total == 0
        assert server.questions == 0
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == tasks
    assert server.connections == 0
    assert len(server.tokens) == 0


def port_of(server, transport):
    return next(one.port for one in server.listening if one.transport == transport)


@contextlib.asynccontextmanager
async def user_agent(authority, *transports, **options):
    made = UserAgent(timers=TIMERS, tls_client=client_context(ca_file=authority.ca_path), **options)
    for transport in transports:
        tls = server_context(authority.issue("agent")) if transport == "tls" else None
        await made.listen(transport, "127.0.0.1", tls=tls)
    try:
        yield made
    finally:
        await made.close()


def route(server, transport):
    return SipUri.parse(f"sip:127.0.0.1:{port_of(server, transport)};transport={transport};lr")


def new_request(method, uri):
    request = Request(method, SipUri.parse(uri))
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", "<sip:alice@example.com>;tag=a")
    request.headers.add("To", f"<{uri}>")
    request.headers.add("Call-ID", secrets.token_hex(8))
    request.headers.add("CSeq", f"1 {method}")
    return request


def answering(calls):
    def on_invite(incoming):
        incoming.ring()
        calls.append(incoming.accept(b"v=0\r\n"))

    return on_invite


def invite(agent, transport, uri="sip:bob@example.com", **contact):
    request = new_request("INVITE", uri)
    request.headers.add("Contact", str(agent.contact(transport, "alice", **contact)))
    return agent.invite(request)


@pytest.mark.parametrize(
    ("inbound", "outbound"), [("udp", "udp"), ("udp", "tls"), ("tcp", "udp"), ("tls", "tcp"), ("tls", "tls")]
)
async def test_calls_across_transports(authority, inbound, outbound):
    locations, calls = Locations(), []
    async with (
        proxy_at(authority, locations) as server,
        user_agent(authority, outbound, on_invite=answering(calls)) as bob,
        user_agent(authority, inbound, outbound_proxy=route(server, inbound)) as alice,
    ):
        locations.known["bob"] = [ProxyTarget(bob.contact(outbound, "bob").uri)]
        dialog = await invite(alice, inbound).run()
        assert dialog.flow.remote[1] == port_of(server, inbound)
        await dialog.bye()
        assert await asyncio.wait_for(calls[0].ended, 2) == "remote"
        dialog = await invite(alice, inbound).run()
        await asyncio.sleep(0.05)
        await calls[1].bye()
        assert await asyncio.wait_for(dialog.ended, 2) == "remote"


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_caller_that_listens_nowhere_is_reached_by_its_connection(authority, transport):
    locations, calls = Locations(), []
    async with (
        proxy_at(authority, locations) as server,
        user_agent(authority, "udp", on_invite=answering(calls)) as bob,
        user_agent(authority, outbound_proxy=route(server, transport)) as alice,
    ):
        locations.known["bob"] = [ProxyTarget(bob.contact("udp", "bob").uri)]
        probe = new_request("OPTIONS", "sip:example.com")
        alice.add_outbound_route(probe)
        flow = await alice.flow_for(probe)
        dialog = await invite(alice, transport, flow=flow).run()
        await asyncio.sleep(0.05)
        await calls[0].bye()
        assert await asyncio.wait_for(dialog.ended, 2) == "remote"


async def test_what_the_location_says(authority):
    locations = Locations()
    async with proxy_at(authority, locations) as server:
        async with user_agent(authority, "udp", outbound_proxy=route(server, "udp")) as alice:
            locations.known.update(away=[], broken=RuntimeError("the store is gone"))
            found = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
            for user, status in (("away", 480), ("unknown", 404), ("broken", 500)):
                response = await alice.request(new_request("MESSAGE", f"sip:{user}@example.com"))
                assert response.status == status
            assert len(found) == 1
            assert (await alice.request(new_request("OPTIONS", "sip:example.com"))).status == 200
            assert (await alice.request(new_request("REGISTER", "sip:example.com"))).status == 405


async def test_unreachable_hops_fail_at_once(authority):
    locations = Locations()
    async with proxy_at(authority, locations) as server:
        async with user_agent(authority, "udp", outbound_proxy=route(server, "udp")) as alice:
            locations.known["bob"] = [ProxyTarget(SipUri.parse("sip:bob@127.0.0.1:1;transport=tcp"))]
            assert (await alice.request(new_request("MESSAGE", "sip:bob@example.com"))).status == 500


async def test_the_name_of_the_next_hop_is_checked(authority):
    locations = Locations()
    async with (
        proxy_at(authority, locations) as server,
        user_agent(authority, "tls") as bob,
        user_agent(authority, "udp", outbound_proxy=route(server, "udp")) as alice,
    ):
        port = bob.contact("tls", "bob").sip_uri.port
        locations.known["bob"] = [
            ProxyTarget(SipUri.parse(f"sip:bob@other.example:{port};transport=tls;maddr=127.0.0.1"))
        ]
        assert (await alice.request(new_request("MESSAGE", "sip:bob@example.com"))).status == 500


async def test_overload_answers_503_and_keeps_dialogs_going(authority):
    locations, calls = Locations(), []
    async with (
        proxy_at(authority, locations) as server,
        user_agent(authority, "udp", on_invite=answering(calls)) as bob,
        user_agent(authority, "udp", outbound_proxy=route(server, "udp")) as alice,
    ):
        locations.known["bob"] = [ProxyTarget(bob.contact("udp", "bob").uri)]
        dialog = await invite(alice, "udp").run()
        server.proxy.admission.lag = 5.0
        response = await alice.request(new_request("MESSAGE", "sip:bob@example.com"))
        assert response.status == 503
        assert response.headers.get("Retry-After") == "5"
        await dialog.bye()
        assert await asyncio.wait_for(calls[0].ended, 2) == "remote"


async def test_connections_of_one_source_are_bounded(authority):
    limits = LoadLimits(source_connections=3)
    async with proxy_at(authority, Locations(), limits=limits) as server:
        opened = [await asyncio.open_connection("127.0.0.1", port_of(server, "tcp")) for _ in range(6)]
        await asyncio.sleep(0.1)
        assert server.connections == 3
        for _, writer in opened:
            writer.close()
        await asyncio.sleep(0.1)
        assert server.connections == 0


async def test_malformed_requests_are_answered_without_state(authority):
    async with proxy_at(authority, Locations()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server, "tcp"))
        data = new_request("OPTIONS", "sip:example.com")
        data.headers.add("Via", "SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1")
        data.headers.add("CSeq", "2 OPTIONS")
        writer.write(data.serialize())
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n"), 2)).startswith(b"SIP/2.0 400 ")
        writer.close()


async def test_a_response_finds_its_way_when_the_connection_is_gone(authority):
    class Slow(Locations):
        async def targets(self, request_uri, request):
            await gate.wait()
            return None

    gate = asyncio.Event()
    async with proxy_at(authority, Slow()) as server:
        answers = asyncio.Queue()

        async def take(reader, writer):
            answers.put_nowait(await reader.readuntil(b"\r\n"))
            writer.close()

        listening = await asyncio.start_server(take, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port_of(server, "tcp"))
        request = new_request("MESSAGE", "sip:bob@example.com")
        request.headers.prepend("Via", f"SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bK1")
        writer.write(request.serialize())
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.05)
        gate.set()
        assert (await asyncio.wait_for(answers.get(), 2)).startswith(b"SIP/2.0 404 ")
        listening.close()


class SlowClock:
    """An event loop whose time only goes on when it is told to; it holds one timer."""

    def __init__(self):
        self.now = 100.0
        self.due = None

    def time(self):
        return self.now

    def call_at(self, due, what):
        self.due = due
        return self

    def cancel(self):
        self.due = None


async def test_a_timer_is_not_put_off_by_messages(authority, monkeypatch):
    # Put off by the tick of the clock at each message it would wait for a pause, which a busy proxy never has.
    async with proxy_at(authority, Locations()) as server:
        clock = SlowClock()
        with monkeypatch.context() as patched:
            patched.setattr(server, "_loop", clock)
            patched.setattr(server, "_timer", None)
            patched.setattr(server, "_timer_at", 0.0)
            patched.setattr(server.proxy, "next_timer", lambda: 100.001)
            for _ in range(100):
                server._carry_out([])
                if clock.due <= clock.now:
                    break
                clock.now += 0.001
            assert clock.due <= clock.now < 100.05
            patched.setattr(server.proxy, "next_timer", lambda: 200.0)
            server._timer = None
            server._carry_out([])
            patched.setattr(server.proxy, "next_timer", lambda: 150.0)
            server._carry_out([])
            assert clock.due == 150.0
