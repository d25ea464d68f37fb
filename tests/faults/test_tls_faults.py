"""TLS on real sockets: handshakes that never end, resets in the middle of a message, connections gone deaf."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from faulty_relay import faulty_relay

import sip.transport.layer
import sip.transport.tls_accept
from sip import Request, SipUri, Timers, TransactionTimeoutError, TransportError, client_context, server_context
from sip.message.message import new_call_id
from sip.user_agent.user_agent import UserAgent

# Time-outs, 64*T1, of 1.3 s.
TIMERS = Timers(t1=0.02, t2=0.16, t4=0.2, completed_invite=1.3)
HOST = "127.0.0.1"
SDP = b"v=0\r\n"

pytestmark = pytest.mark.usefixtures("nothing_left")


@contextlib.asynccontextmanager
async def agent(authority, *, listening=True, **options):
    made = UserAgent(timers=TIMERS, tls_client=client_context(ca_file=authority.ca_path), **options)
    try:
        if listening:
            await made.listen("tls", HOST, tls=server_context(authority.issue("localhost")))
        yield made
    finally:
        await made.close()
        assert made.active_transactions == made.active_dialogs == made.connections == 0


def port_of(server):
    return server.contact("tls", None).sip_uri.port


def request_to(port, method="OPTIONS", caller=None):
    request = Request(method, SipUri.parse(f"sip:bob@{HOST}:{port};transport=tls"), body=SDP * (method == "INVITE"))
    request.headers.add("From", "<sip:alice@localhost>;tag=a")
    request.headers.add("To", "<sip:bob@localhost>")
    request.headers.add("Call-ID", new_call_id())
    request.headers.add("CSeq", f"1 {method}")
    if caller is not None:
        request.headers.add("Contact", str(caller.contact("tls", "alice")))
        request.headers.add("Content-Type", "application/sdp")
    return request


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that in 5 s")


async def test_who_connects_and_never_speaks_is_counted_and_put_out(authority, monkeypatch):
    monkeypatch.setattr(sip.transport.tls_accept, "HANDSHAKE_TIMEOUT", 0.5)
    async with agent(authority) as bob:
        silent = [await asyncio.open_connection(HOST, port_of(bob)) for _ in range(5)]
        await until(lambda: bob.connections == 5)
        async with agent(authority, listening=False) as alice:
            assert (await alice.request(request_to(port_of(bob)))).status == 200
        await until(lambda: bob.connections == 0)
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.close()


async def test_closing_does_not_wait_for_handshakes(authority):
    async with agent(authority) as bob:
        reader, writer = await asyncio.open_connection(HOST, port_of(bob))
        await until(lambda: bob.connections == 1)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01\x00", b"OPTIONS sip:x SIP/2.0\r\n\r\n", b"\0" * 5000])
async def test_a_handshake_that_breaks_off(authority, said):
    """Nothing, a part of a ClientHello, SIP in clear, and garbage; then RST."""
    async with agent(authority) as bob:
        for _ in range(3):
            _, writer = await asyncio.open_connection(HOST, port_of(bob))
            writer.write(said)
            await asyncio.sleep(0.02)
            linger = writer.get_extra_info("socket")
            linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        await until(lambda: bob.connections == 0)
        async with agent(authority, listening=False) as alice:
            assert (await alice.request(request_to(port_of(bob)))).status == 200


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
async def test_a_server_whose_handshake_never_ends(authority, monkeypatch, answer):
    """It says nothing (None), hangs up (nothing), speaks something else, or alerts: no connection, by whatever name."""
    monkeypatch.setattr(sip.transport.layer, "CONNECT_TIMEOUT", 0.4)

    async def serve(reader, writer):
        await reader.read(1)
        if answer is None:
            await reader.read()
        writer.write(answer or b"")
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server, agent(authority, listening=False) as alice:
        with pytest.raises(TransportError):
            await alice.request(request_to(server.sockets[0].getsockname()[1]))
        assert alice.connections == 0
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("offset", [1, 200, 3000])
async def test_a_reset_in_the_middle_of_a_record(authority, offset):
    async with agent(authority) as bob, agent(authority, listening=False) as alice:
        async with faulty_relay(port_of(bob)) as relay:
            assert (await alice.request(request_to(relay.port))).status == 200
            await until(lambda: bob.active_transactions == 0)
            relay.reset_after = offset
            request = request_to(relay.port)
            request.headers.add("Subject", "x" * 4000)
            with pytest.raises(TransportError):
                await alice.request(request)
            await until(lambda: alice.connections == bob.connections == 0)
            assert (await alice.request(request_to(relay.port))).status == 200
            assert relay.connections == 2


async def test_a_connection_gone_deaf_times_out_once(authority):
    """Half-open: what is sent is taken by somebody, and nothing comes back. The next request has a new connection."""
    async with agent(authority) as bob, agent(authority, listening=False) as alice:
        async with faulty_relay(port_of(bob)) as relay:
            assert (await alice.request(request_to(relay.port))).status == 200
            relay.deaf = True
            with pytest.raises(TransactionTimeoutError):
                await alice.request(request_to(relay.port))
            await until(lambda: alice.connections == 0)
            relay.deaf = False
            assert (await alice.request(request_to(relay.port))).status == 200
            assert relay.connections == 2


async def test_a_call_over_a_connection_that_is_reset(authority):
    """The call stands: a dialog is no connection. Its BYE goes by a new one, from both sides."""
    calls = []

    def answer(invite):
        calls.append(invite.accept(SDP))

    async with agent(authority, on_invite=answer) as bob, agent(authority) as alice:
        async with faulty_relay(port_of(bob)) as relay:
            for hangs_up in ("alice", "bob"):
                dialog = await alice.invite(request_to(relay.port, "INVITE", alice)).run()
                await until(lambda: calls[-1]._repeat is None)
                relay.reset_after = 0
                with pytest.raises(TransportError):
                    await alice.request(request_to(relay.port))
                ours, theirs = (dialog, calls[-1]) if hangs_up == "alice" else (calls[-1], dialog)
                await ours.bye()
                assert await asyncio.wait_for(theirs.ended, 2) == "remote"
            await until(lambda: alice.active_transactions == bob.active_transactions == 0)


async def test_dead_peers_are_noticed_by_the_system(authority):
    """Where not even acknowledgements of TCP come; loopback cannot show that, so that its settings are looked at."""
    async with agent(authority) as bob, agent(authority, listening=False) as alice:
        request = request_to(port_of(bob))
        flow = await alice.flow_for(request)
        await until(lambda: bob.connections == 1)
        for one in (flow, *bob._transports._flows):
            connection = one._stream.get_extra_info("socket")
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
