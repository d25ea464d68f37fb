"""A TLS connection that a peer opened serves requests to that peer, for the names it has proven (RFC 5923)."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import pytest
from peers.authority import TestAuthority

from sip import Request, SipUri, client_context, parse_message, server_context
from sip.discovery.target import Target, target_of
from sip.proxy.events import ProxyTarget
from sip.proxy.server import Listener, ProxyServer
from sip.transport.layer import TransportLayer
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.every_loop

HOST = "127.0.0.1"
REQUEST = (
    b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TLS %s;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


@contextlib.asynccontextmanager
async def layer(**options):
    got = []
    made = TransportLayer(
        received=lambda message, flow: got.append((message, flow)),
        malformed=lambda *_: None,
        lost=lambda *_: None,
        **options,
    )
    made.got = got
    try:
        yield made
    finally:
        await made.close()
        assert made.connections == 0
        assert not made._reuse._of_target
        assert not made._reuse._of_address


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not in five seconds")


def mutual(authority, name):
    return server_context(authority.issue(name), client_ca_file=authority.ca_path)


@contextlib.asynccontextmanager
async def connected(authority: TestAuthority, sent_by: bytes, *, certificate=True, transport="tls"):
    """Two layers, after a request of the first, whose certificate is for east.test; their flows."""
    shown = authority.issue("east") if certificate else None
    tls = mutual(authority, "west") if certificate else server_context(authority.issue("west"))
    async with (
        layer(tls_client=client_context(ca_file=authority.ca_path, certificate=shown)) as east,
        layer(tls_client=client_context(ca_file=authority.ca_path)) as west,
    ):
        address = await west.listen(transport, HOST, tls=tls if transport == "tls" else None)
        flow = await east.flow_to(Target(transport, HOST, address.port, "west.test"))
        flow.send(REQUEST % sent_by)
        await until(lambda: west.got)
        yield east, west, west.got[0][1]


async def test_it_serves_the_names_that_are_proven(authority):
    async with connected(authority, b"east.test:5071;alias") as (east, west, accepted):
        for name in ("east.test", "east"):
            assert await west.flow_to(Target("tls", HOST, 5071, name)) is accepted
        assert west.open_flow(Target("tls", HOST, 5071, "bank.example")) is None
        assert west.open_flow(Target("tls", HOST, 5061, "east.test")) is None
        assert west.open_flow(Target("tls", "127.0.0.2", 5071, "east.test")) is None
        assert west.open_flow(Target("tcp", HOST, 5071, "east.test")) is None
        accepted.send(REQUEST % b"west.test;alias")
        await until(lambda: east.got)
        # We opened it: what the other side says of it makes it no way to elsewhere.
        assert east.open_flow(Target("tls", HOST, 5061, "west.test")) is None
        accepted.close()
        assert west.open_flow(Target("tls", HOST, 5071, "east.test")) is None


@pytest.mark.parametrize(
    ("sent_by", "options"),
    [
        (b"east.test", {}),
        (b"east.test;alias", {"certificate": False}),
        (b"east.test;alias", {"transport": "tcp"}),
    ],
)
async def test_it_serves_nobody_who_has_not_asked_for_it_or_proven_nothing(authority, sent_by, options):
    async with connected(authority, sent_by, **options) as (_, west, _):
        for transport in ("tls", "tcp"):
            assert west.open_flow(Target(transport, HOST, 5061, "east.test")) is None


async def test_a_sent_by_without_port_means_the_default_one(authority):
    async with connected(authority, b"east.test;alias") as (_, west, accepted):
        assert west.open_flow(Target("tls", HOST, 5061, "east.test")) is accepted


async def test_one_connection_has_one_alias(authority):
    async with connected(authority, b"east.test:5071;alias") as (east, west, _):
        flow = next(iter(east._flows))
        for port in range(6000, 6020):
            flow.send(REQUEST % (b"east.test:%d;alias" % port))
        await until(lambda: len(west.got) == 21)
        assert list(west._reuse._of_address) == [(HOST, 5071)]
        assert west.open_flow(Target("tls", HOST, 6000, "east.test")) is None


async def test_the_newest_of_several_is_used(authority):
    async with connected(authority, b"east.test:5071;alias") as (_, west, first):
        context = client_context(ca_file=authority.ca_path, certificate=authority.issue("east"))
        async with layer(tls_client=context) as other:
            flow = await other.flow_to(Target("tls", HOST, west.listening[0].port, "west.test"))
            flow.send(REQUEST % b"east.test:5071;alias")
            await until(lambda: len(west.got) == 2)
            target = Target("tls", HOST, 5071, "east.test")
            assert west.open_flow(target) is west.got[1][1]
            flow.close()
            await until(lambda: west.connections == 1)
            assert west.open_flow(target) is first


class Domains:
    """Users of one domain, and the servers of the others by name."""

    def __init__(self, users, servers):
        self.users, self.servers = users, servers

    async def targets(self, request_uri, request):
        return self.users.get(request_uri.user)

    async def resolve(self, uri):
        port = self.servers.get(uri.host)
        return (target_of(uri) if port is None else Target("tls", HOST, port, uri.host),)


async def test_two_proxies_call_each_other_over_one_connection(authority):
    """East calls west, and west calls back; once east has gone and come back, west opens a connection of its own."""
    servers, users = {}, {"east": {}, "west": {}}

    def proxy(name):
        domains = Domains(users[name], servers)
        return ProxyServer(
            (Listener("tls", HOST, advertised=f"{name}.test", tls=mutual(authority, name)), Listener("udp", HOST)),
            domains=frozenset((f"{name}.test",)),
            location=domains,
            resolver=domains,
            tls_client=client_context(ca_file=authority.ca_path, certificate=authority.issue(name)),
        )

    def port(server, transport):
        return next(one.port for one in server.listening if one.transport == transport)

    async def ask(agent, user, server):
        request = Request("OPTIONS", SipUri.parse(user))
        for name, value in (("Max-Forwards", "70"), ("From", "<sip:x@x.test>;tag=a"), ("To", f"<{user}>")):
            request.headers.add(name, value)
        request.headers.add("Route", f"<sip:{HOST}:{port(server, 'udp')};transport=udp;lr>")
        request.headers.add("Call-ID", secrets.token_hex(8))
        request.headers.add("CSeq", "1 OPTIONS")
        response = await agent.request(request)
        assert parse_message(response.serialize()).status == 200

    agent = UserAgent()
    try:
        local = await agent.listen("udp", HOST)
        for name in users:
            users[name]["joe"] = [ProxyTarget(SipUri.parse(f"sip:joe@{HOST}:{local.port};transport=udp"))]
        async with proxy("west") as west:
            servers["west.test"] = port(west, "tls")
            async with proxy("east") as east:
                servers["east.test"] = port(east, "tls")
                await ask(agent, "sip:joe@west.test", east)
                assert (east.connections, west.connections) == (1, 1)
                await ask(agent, "sip:joe@east.test", west)
                assert (east.connections, west.connections) == (1, 1)
            await until(lambda: west.connections == 0)
            async with proxy("east") as east:
                servers["east.test"] = port(east, "tls")
                await ask(agent, "sip:joe@east.test", west)
                assert (east.connections, west.connections) == (1, 1)
                await ask(agent, "sip:joe@west.test", east)
                assert (east.connections, west.connections) == (1, 1)
    finally:
        await agent.close()
