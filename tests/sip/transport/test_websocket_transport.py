"""WebSocket on real sockets: our user agents and proxies, and peers of the `websockets` library that know no SIP."""

from __future__ import annotations

import asyncio
import contextlib
import secrets

import pytest
import websockets
from leaks import counted

import sip.transport.stream_flow
import sip.transport.tls_accept
from sip import (
    LocationService,
    MemoryLocationStore,
    RegistrarSettings,
    Request,
    SipUri,
    Timers,
    TlsVerificationError,
    TransportError,
    client_context,
    parse_message,
    server_context,
)
from sip.discovery.target import Target, target_of
from sip.message.header_values import NameAddr
from sip.proxy.events import ProxyTarget
from sip.proxy.routing import return_address
from sip.proxy.server import Listener, ProxyServer
from sip.proxy.settings import ProxySettings
from sip.transaction.load_limits import LoadLimits
from sip.transport.layer import TransportLayer
from sip.transport.response_failover import flow_for_response
from sip.transport.websocket_flow import WebSocketFlow
from sip.transport.websocket_settings import WebSocketSettings
from sip.user_agent.registration import Registration
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.every_loop

TIMERS = Timers(t1=0.02, t2=0.16, t4=0.2, completed_invite=1.3)
HOST = "127.0.0.1"
SDP = b"v=0\r\n"


@pytest.fixture(autouse=True)
async def nothing_left():
    async with counted():
        yield


@contextlib.asynccontextmanager
async def agent(authority, *listening, **options):
    made = UserAgent(timers=TIMERS, tls_client=client_context(ca_file=authority.ca_path), **options)
    try:
        for transport in listening:
            tls = server_context(authority.issue("localhost")) if transport in ("tls", "wss") else None
            await made.listen(transport, HOST, tls=tls)
        yield made
    finally:
        await made.close()
        assert made.active_transactions == made.active_dialogs == made.connections == 0


def uri_of(made, user="bob"):
    local = made._transports.listening[0]
    scheme = "sips" if local.transport == "wss" else "sip"
    return SipUri.parse(f"{scheme}:{user}@{HOST}:{local.port};transport=ws")


def request_to(uri, method="OPTIONS"):
    request = Request(method, uri, body=SDP * (method == "INVITE"))
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", "<sip:alice@example.com>;tag=a")
    request.headers.add("To", f"<sip:{uri.user}@{uri.host}>")
    request.headers.add("Call-ID", secrets.token_hex(8))
    request.headers.add("CSeq", f"1 {method}")
    return request


async def invite(caller, uri):
    request = request_to(uri, "INVITE")
    caller.add_outbound_route(request)
    flow = await caller.flow_for(request)
    request.headers.add("Contact", str(caller.contact(flow.transport, "alice", flow=flow)))
    request.headers.add("Content-Type", "application/sdp")
    return await caller.invite(request).run()


def answering(calls):
    def on_invite(incoming):
        incoming.ring()
        calls.append(incoming.accept(SDP))

    return on_invite


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that in 5 s")


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("sip:example.com;transport=ws", Target("ws", "example.com", 80, "example.com")),
        ("sips:example.com;transport=ws", Target("wss", "example.com", 443, "example.com")),
        ("sip:example.com;transport=wss", Target("wss", "example.com", 443, "example.com")),
        ("sip:example.com:8080;transport=WS", Target("ws", "example.com", 8080, "example.com")),
        ("sips:example.com", Target("tls", "example.com", 5061, "example.com")),
    ],
)
def test_where_a_uri_leads(uri, target):
    assert target_of(SipUri.parse(uri)) == target


@pytest.mark.parametrize("host", ["df7jal23ls0d.invalid", "invalid", "a.INVALID."])
def test_an_invalid_host_is_never_connected_to(host):
    with pytest.raises(TransportError):
        target_of(SipUri.parse(f"sip:alice@{host};transport=ws"))


@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_a_response_goes_by_its_own_connection_or_not_at_all(transport):
    """Whatever stands in Via: nobody listens where a browser is (RFC 7118 5)."""
    layer = TransportLayer(received=print, malformed=print, lost=print)
    request = request_to(SipUri.parse("sip:bob@example.com"))
    request.headers.prepend("Via", f"SIP/2.0/{transport.upper()} 192.0.2.1;branch=z9hG4bKa;received=192.0.2.1;rport=5")
    flow = WebSocketFlow(layer, transport, WebSocketSettings())
    assert return_address(request.top_via, flow) is None
    with pytest.raises(TransportError, match="no way back"):
        await flow_for_response(layer, None, request.create_response(200), known=True)


@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_a_request_and_what_stands_in_it(authority, transport):
    seen = []

    def answer(request):
        seen.append(request)
        return request.create_response(200)

    options = {"on_request": answer, "extra_methods": frozenset(("MESSAGE",))}
    async with agent(authority, transport, **options) as bob, agent(authority) as alice:
        request = request_to(uri_of(bob), "MESSAGE")
        request.body = b"\xff not UTF-8"
        request.headers.add("Content-Type", "application/sdp")
        flow = await alice.flow_for(request)
        assert (await alice.request(request, flow=flow)).status == 200
        assert (flow.transport, flow.secure, flow.reliable) == (transport, transport == "wss", True)
        assert (flow.peer is not None and flow.peer.identity == HOST) == (transport == "wss")
        via = seen[0].vias[0]
        assert via.transport == transport.upper()
        assert via.host.endswith(".invalid")
        assert via.port is None
        contact = alice.contact(transport, "alice", flow=flow).sip_uri
        assert (contact.host, contact.port, contact.transport) == (via.host, None, "ws")
        assert seen[0].body == b"\xff not UTF-8"


@pytest.mark.parametrize("transport", ["ws", "wss"])
@pytest.mark.parametrize("ends", ["client", "server"])
async def test_a_call_is_ended_by_either_side_over_the_one_connection(authority, transport, ends):
    calls = []
    async with agent(authority, transport, on_invite=answering(calls)) as bob, agent(authority) as alice:
        dialog = await invite(alice, uri_of(bob))
        await until(lambda: calls and calls[0]._repeat is None)
        assert dialog.dialog.remote_target.transport == "ws"
        ours, theirs = (dialog, calls[0]) if ends == "client" else (calls[0], dialog)
        await ours.bye()
        assert await asyncio.wait_for(theirs.ended, 2) == "remote"
        assert alice.connections == bob.connections == 1


async def test_a_wss_server_that_proves_another_name_hears_nothing(authority):
    heard = []
    async with agent(authority, "wss", on_request=heard.append) as bob, agent(authority) as alice:
        uri = SipUri.parse(f"sips:bob@other.example:{uri_of(bob).port};transport=ws;maddr={HOST}")
        with pytest.raises(TlsVerificationError):
            await alice.request(request_to(uri))
        assert not heard
        assert alice.connections == 0


@contextlib.asynccontextmanager
async def raw_client(bob, **options):
    options.setdefault("subprotocols", ["sip"])
    async with websockets.connect(f"ws://{HOST}:{uri_of(bob).port}/any", proxy=None, **options) as client:
        yield client


def options_request(*, length=True, body=""):
    lines = [
        "OPTIONS sip:bob@example.com SIP/2.0",
        "Via: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKasudf",
        "From: <sip:alice@example.com>;tag=a",
        "To: <sip:bob@example.com>",
        "Call-ID: 1",
        "CSeq: 1 OPTIONS",
        *([f"Content-Length: {len(body)}"] if length else []),
    ]
    return "\r\n".join(lines) + "\r\n\r\n" + body


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("binary", [True, False])
async def test_a_foreign_client(authority, length, binary):
    """Text and binary, with Content-Length or without (RFC 7118 5); keep-alives of both kinds (6)."""
    async with agent(authority, "ws") as bob, raw_client(bob) as client:
        assert client.subprotocol == "sip"
        text = options_request(length=length)
        await client.send(text.encode() if binary else text)
        response = parse_message((await client.recv()).encode())
        assert response.status == 200
        assert response.vias[0].host == "df7jal23ls0d.invalid"
        await client.send("\r\n\r\n")
        assert await client.recv() == "\r\n"
        await client.send("\r\n")
        await (await client.ping())


@pytest.mark.parametrize("subprotocols", [None, ["xmpp"]])
async def test_a_foreign_client_without_the_sub_protocol(authority, subprotocols):
    async with agent(authority, "ws") as bob:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with raw_client(bob, subprotocols=subprotocols):
                pass
        assert refused.value.response.status_code == 400
        assert b"subprotocol" in refused.value.response.body
        await until(lambda: bob.connections == 0)


async def test_a_foreign_page_of_another_origin(authority):
    settings = WebSocketSettings(origins=("https://phone.example.com",))
    async with agent(authority, "ws", websocket=settings) as bob:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with raw_client(bob, origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403
        async with raw_client(bob, origin="https://phone.example.com") as client:
            assert client.subprotocol == "sip"


async def test_a_message_that_is_too_long_or_no_sip(authority):
    async with agent(authority, "ws") as bob:
        async with raw_client(bob) as client:
            await client.send("OPTIONS sip:bob@example.com SIP/2.0\r\nVia: nonsense\r\n\r\n")
            await client.send("no SIP at all")
            await client.send(options_request())
            assert "SIP/2.0 200" in await client.recv()
            await client.send("x" * 2_000_000)
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await client.recv()
            assert closed.value.rcvd.code == 1009
        await until(lambda: bob.connections == 0)


async def test_who_connects_and_never_opens_is_put_out(authority, monkeypatch):
    monkeypatch.setattr("sip.transport.websocket_flow.HANDSHAKE_TIMEOUT", 0.3)
    monkeypatch.setattr(sip.transport.tls_accept, "HANDSHAKE_TIMEOUT", 0.3)
    async with agent(authority, "ws") as bob:
        reader, writer = await asyncio.open_connection(HOST, uri_of(bob).port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        await until(lambda: bob.connections == 1)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        await until(lambda: bob.connections == 0)


@pytest.mark.parametrize("fragments", [True, False])
async def test_a_message_sent_drop_by_drop_ends_its_connection(authority, monkeypatch, fragments):
    """Slow loris behind an opening handshake, by small frames or within one; whole messages are not hurried."""
    monkeypatch.setattr(sip.transport.stream_flow, "MESSAGE_TIMEOUT", 0.4)
    async with agent(authority, "ws") as bob, raw_client(bob) as client:
        for _ in range(3):
            await client.send(options_request())
            assert (await client.recv()).startswith("SIP/2.0 200 ")
            await asyncio.sleep(0.2)

        async def drops():
            while True:
                yield "x"
                await asyncio.sleep(0.1)

        async def drip():
            if fragments:
                await client.send(drops())
            client.transport.write(b"\x81\xfe\x01\x00\0\0\0\0")  # text of 256 bytes, which are to come
            while True:
                client.transport.write(b"x")
                await asyncio.sleep(0.1)

        dripping = asyncio.ensure_future(drip())
        await until(lambda: bob.connections == 0)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


@contextlib.asynccontextmanager
async def raw_server(handler, **options):
    options.setdefault("subprotocols", ["sip"])
    async with websockets.serve(handler, HOST, 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield SipUri.parse(f"sip:bob@{HOST}:{port};transport=ws")


async def test_a_foreign_server(authority):
    """It takes text, answers binary, without Content-Length."""

    async def handler(socket):
        async for message in socket:
            response = parse_message(message.encode()).create_response(200)
            response.headers.remove("Content-Length")
            await socket.send(response.serialize().replace(b"Content-Length: 0\r\n", b""))

    async with raw_server(handler) as uri, agent(authority) as alice:
        assert (await alice.request(request_to(uri))).status == 200
        assert alice.connections == 1


async def test_a_foreign_server_without_the_sub_protocol(authority):
    async def handler(socket):
        await socket.wait_closed()

    async with raw_server(handler, subprotocols=None) as uri, agent(authority) as alice:
        with pytest.raises(TransportError, match="sub-protocol sip"):
            await alice.request(request_to(uri))
        await until(lambda: alice.connections == 0)


async def test_a_server_that_is_none(authority):
    async def serve(reader, writer):
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server, agent(authority) as alice:
        uri = SipUri.parse(f"sip:bob@{HOST}:{server.sockets[0].getsockname()[1]};transport=ws")
        with pytest.raises(TransportError, match="404"):
            await alice.request(request_to(uri))
        await until(lambda: alice.connections == 0)


async def test_pings_keep_it_open_and_find_out_who_is_gone(authority):
    settings = WebSocketSettings(ping_interval=0.1)
    async with agent(authority, "ws", websocket=settings) as bob:
        async with raw_client(bob) as client:
            await asyncio.sleep(0.5)
            assert bob.connections == 1
            client.transport.pause_reading()
            await until(lambda: bob.connections == 0)
            client.transport.resume_reading()


@contextlib.asynccontextmanager
async def proxy(authority, location, **options):
    tls = server_context(authority.issue("proxy"))
    listeners = (
        Listener("udp", HOST),
        Listener("tls", HOST, tls=tls),
        Listener("ws", HOST),
        Listener("wss", HOST, tls=tls),
    )
    async with ProxyServer(
        listeners,
        domains=frozenset(("example.com",)),
        location=location,
        timers=TIMERS,
        tls_client=client_context(ca_file=authority.ca_path),
        **options,
    ) as server:
        yield server
        await until(lambda: not server.proxy.active_transactions and not server.questions)
        assert server.proxy.active_contexts == server.proxy.admission.total == 0
    assert server.connections == len(server.tokens) == 0


class Registrations:
    """Registrar and location of a proxy, in memory, for everybody."""

    def __init__(self, service):
        self.service = service
        self.served = 0

    @classmethod
    async def create(cls):
        settings = RegistrarSettings(frozenset(("example.com",)), path_needs_support=False)
        return cls(await LocationService.create(MemoryLocationStore(), settings))

    async def targets(self, uri, request):
        located = await self.service.locate(uri)
        return [ProxyTarget(one.uri, one.q, one.path, one.flow) for group in located.groups for one in group]

    def authorize(self, request, flow):
        return None

    async def serve(self, request, flow, token):
        self.served += 1
        return await self.service.register(request, user=request.to.sip_uri.user, flow=token)


def route(server, transport):
    port = next(one.port for one in server.listening if one.transport == transport)
    name = f"transport={'ws' if transport == 'wss' else transport}"
    return SipUri.parse(f"{'sips' if transport == 'wss' else 'sip'}:{HOST}:{port};{name};lr")


async def register(made, user):
    request = request_to(SipUri.parse("sip:example.com"), "REGISTER")
    request.headers.set("To", f"<sip:{user}@example.com>")
    made.add_outbound_route(request)
    flow = await made.flow_for(request)
    request.headers.add("Contact", str(NameAddr(made.contact(flow.transport, user, flow=flow).sip_uri)))
    response = await made.request(request, flow=flow)
    assert response.status == 200
    return response


@pytest.mark.parametrize(
    ("near", "far", "record_route"),
    [
        ("ws", "udp", False),
        ("udp", "ws", False),
        ("wss", "tls", True),
        ("tls", "wss", True),
        ("ws", "ws", True),
        ("wss", "udp", True),
        ("ws", "wss", False),
    ],
)
async def test_calls_across_a_proxy(authority, near, far, record_route):
    """Both register there and listen nowhere, unless by UDP; each side hangs up once.

    Whatever it is told, the proxy stays on the path of a WebSocket client.
    """
    registrations, calls = await Registrations.create(), []
    settings = ProxySettings(record_route=record_route)
    listening = [[one] * (one == "udp") for one in (near, far)]
    async with (
        proxy(authority, registrations, hooks=registrations, settings=settings) as server,
        agent(authority, *listening[1], outbound_proxy=route(server, far), on_invite=answering(calls)) as bob,
        agent(authority, *listening[0], outbound_proxy=route(server, near)) as alice,
    ):
        await register(alice, "alice")
        await register(bob, "bob")
        for ends in ("alice", "bob"):
            dialog = await invite(alice, SipUri.parse("sip:bob@example.com"))
            await until(lambda: calls[-1]._repeat is None)
            ours, theirs = (dialog, calls[-1]) if ends == "alice" else (calls[-1], dialog)
            await ours.bye()
            assert await asyncio.wait_for(theirs.ended, 2) == "remote"
        assert server.connections == (near != "udp") + (far != "udp")


@pytest.mark.parametrize("transport", ["ws", "tls"])
async def test_a_registration_outlives_its_connection(authority, monkeypatch, transport):
    """The proxy is cut off, and reaches Bob again by the connection that he opens instead (RFC 5626 4.5)."""
    monkeypatch.setattr("sip.user_agent.registration.RECOVERY_SPREAD", 0.05)
    registrations = await Registrations.create()
    async with (
        proxy(authority, registrations, hooks=registrations) as server,
        agent(authority, "udp", outbound_proxy=route(server, "udp")) as alice,
        agent(authority, outbound_proxy=route(server, transport)) as bob,
    ):
        probe = request_to(SipUri.parse("sip:example.com"), "REGISTER")
        bob.add_outbound_route(probe)
        flow = await bob.flow_for(probe)
        registration = Registration(bob, SipUri.parse("sip:bob@example.com"), bob.contact(transport, "bob", flow=flow))
        try:
            await registration.register()
            assert (await alice.request(request_to(SipUri.parse("sip:bob@example.com")))).status == 200
            for _ in range(2):
                served = registrations.served
                for connection in list(server._transports._flows):
                    connection.abort()
                await until(lambda: registrations.served > served and not bob.active_transactions)  # noqa: B023
                assert (await alice.request(request_to(SipUri.parse("sip:bob@example.com")))).status == 200
            assert registration.active
        finally:
            await registration.stop()


async def test_who_is_gone_is_not_there(authority):
    """Its Contact is .invalid: nobody looks for it elsewhere."""
    registrations = await Registrations.create()
    async with (
        proxy(authority, registrations, hooks=registrations) as server,
        agent(authority, "udp", outbound_proxy=route(server, "udp")) as alice,
    ):
        async with agent(authority, outbound_proxy=route(server, "ws")) as bob:
            await register(bob, "bob")
        await until(lambda: server.connections == 0)
        assert (await alice.request(request_to(SipUri.parse("sip:bob@example.com")))).status == 500


async def test_connections_are_limited_by_their_source(authority):
    registrations = await Registrations.create()
    async with proxy(authority, registrations, limits=LoadLimits(source_connections=2)) as server:
        port = route(server, "ws").port
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(2):
                connecting = websockets.connect(f"ws://{HOST}:{port}/", subprotocols=["sip"], proxy=None)
                await stack.enter_async_context(connecting)
            with pytest.raises((websockets.InvalidMessage, OSError)):
                async with websockets.connect(f"ws://{HOST}:{port}/", subprotocols=["sip"], proxy=None):
                    pass


async def test_without_the_library_it_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sip.transport.websocket_flow", None)
    layer = TransportLayer(received=print, malformed=print, lost=print)
    with pytest.raises(TransportError, match=r"securertc\[websocket\]"):
        await layer.listen("ws", HOST)
    with pytest.raises(TransportError, match=r"securertc\[websocket\]"):
        await layer.flow_to(Target("ws", HOST, 9, HOST))
    await layer.close()
