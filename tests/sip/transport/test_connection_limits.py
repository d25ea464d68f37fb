"""What one peer can make a user agent or a proxy keep: connections, half-made ones, messages sent drop by drop."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from peers.authority import TestAuthority

import sip.transport.stream_flow
import sip.transport.tls_accept
from sip import server_context
from sip.message.message import Response
from sip.message.parser import Limits
from sip.transaction.load_limits import LoadLimits
from sip.transport.layer import TransportLayer
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.every_loop

HOST = "127.0.0.1"
WHOLE = (
    b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 10\r\n\r\n0123456789"
)


@contextlib.asynccontextmanager
async def layer(**options):
    got, faults = [], []
    made = TransportLayer(
        received=lambda message, _: got.append(message),
        malformed=lambda error, _: faults.append(error),
        lost=lambda *_: None,
        **options,
    )
    made.got, made.faults = got, faults
    try:
        yield made
    finally:
        await made.close()
        assert made.connections == 0


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not in five seconds")


async def ends(reader):
    """Waits until the other side has closed the connection."""
    with contextlib.suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 5)


@pytest.mark.parametrize("cut", [3, len(WHOLE) - 60, len(WHOLE) - 4])
async def test_a_message_sent_drop_by_drop_ends_its_connection(monkeypatch, cut):
    """Slow loris: in the first line, in the header and in the body; each byte more does not buy more time."""
    monkeypatch.setattr(sip.transport.stream_flow, "MESSAGE_TIMEOUT", 0.3)
    async with layer() as served:
        address = await served.listen("tcp", HOST)
        reader, writer = await asyncio.open_connection(HOST, address.port)
        writer.write(WHOLE[:cut])

        async def drip():
            for byte in WHOLE[cut:-1]:
                await asyncio.sleep(0.1)
                writer.write(bytes((byte,)))

        dripping = asyncio.ensure_future(drip())
        await ends(reader)
        dripping.cancel()
        writer.close()
        await until(lambda: served.connections == 0)
        assert not served.got


async def test_whole_messages_and_pings_are_not_hurried(monkeypatch):
    monkeypatch.setattr(sip.transport.stream_flow, "MESSAGE_TIMEOUT", 0.2)
    async with layer() as served:
        address = await served.listen("tcp", HOST)
        _, writer = await asyncio.open_connection(HOST, address.port)
        for count in range(1, 5):
            # Never between two messages, but never the same one for long.
            writer.write(WHOLE + WHOLE[:20] if count == 1 else WHOLE[20:] + WHOLE[:20])
            await until(lambda wanted=count: len(served.got) == wanted)
            await asyncio.sleep(0.1)
        writer.write(WHOLE[20:])
        await asyncio.sleep(0.4)
        assert (len(served.got), served.connections) == (5, 1)
        writer.close()
        await until(lambda: served.connections == 0)


async def test_a_handshake_that_never_ends_is_counted_and_closed(authority: TestAuthority, monkeypatch):
    monkeypatch.setattr(sip.transport.tls_accept, "HANDSHAKE_TIMEOUT", 0.4)
    async with layer(max_source_connections=2) as served:
        address = await served.listen("tls", HOST, tls=server_context(authority.issue("alice")))
        opened = [await asyncio.open_connection(HOST, address.port) for _ in range(4)]
        await until(lambda: served.connections == 2)
        for reader, writer in opened:
            await ends(reader)
            writer.close()
        await until(lambda: served.connections == 0)


@pytest.mark.parametrize("options", [{"max_connections": 2}, {"max_source_connections": 2}])
async def test_connections_are_bounded_in_all_and_by_source(options):
    async with layer(**options) as served:
        address = await served.listen("tcp", HOST)
        opened = [await asyncio.open_connection(HOST, address.port) for _ in range(5)]
        await until(lambda: sum(reader.at_eof() for reader, _ in opened) == 3 or served.connections > 2)
        assert served.connections == 2
        for _, writer in opened:
            writer.close()
        await until(lambda: served.connections == 0)
        _, writer = await asyncio.open_connection(HOST, address.port)  # there is room again
        writer.write(WHOLE)
        await until(lambda: served.got)
        writer.close()


@pytest.mark.parametrize(
    ("damaged", "status"),
    [
        (WHOLE.replace(b"Length: 10", b"Length: -1"), 400),
        (WHOLE.replace(b"Length: 10", b"Length: 4294967295"), 413),
        (WHOLE.replace(b"Call-ID", b"Subject: x\r\n" * 40 + b"Call-ID"), None),
        (WHOLE.replace(b"Call-ID", b"Subject: " + b"x" * 2000 + b"\r\nCall-ID"), None),
        (b"A" * 9000, None),
    ],
)
async def test_too_much_is_refused_before_it_is_kept(damaged, status):
    async with layer(limits=Limits(header_bytes=8000, body_bytes=8000, rows=20, row_bytes=1000)) as served:
        address = await served.listen("tcp", HOST)
        reader, writer = await asyncio.open_connection(HOST, address.port)
        writer.write(damaged)
        await ends(reader)
        writer.close()
        await until(lambda: served.connections == 0)
        assert not served.got
        if status is not None:
            assert [one.status for one in served.faults] == [status]


@pytest.mark.parametrize("limited", ["transactions", "source_transactions"])
@pytest.mark.parametrize(
    ("most", "shed_at", "expected"),
    # Of 481 nothing is kept: the dialog is nobody's.
    [(4, 0.5, [200, 200, 503, 481, 481, 481]), (2, 1.0, [200, 200, 503, 503, 503, 503])],
)
async def test_a_user_agent_sheds_what_is_new_before_what_belongs_to_dialogs(limited, most, shed_at, expected):
    limits = LoadLimits(shed_at=shed_at, **{limited: most})
    agent = UserAgent(limits=limits)
    try:
        address = await agent.listen("udp", HOST)
        async with layer() as there:
            await there.listen("udp", HOST)
            flow = there.udp_flow((HOST, address.port))
            new = WHOLE[:-10].replace(b"Length: 10", b"Length: 0")
            within = new.replace(b"To: <sip:b@h>", b"To: <sip:b@h>;tag=2")
            statuses = []
            for count, request in enumerate((new, new, new, within, within, within)):
                data = request.replace(b"TCP h;branch=z9hG4bK1", b"UDP h;rport;branch=z9hG4bK%d" % count)
                flow.send(data.replace(b"Call-ID: 1", b"Call-ID: %d" % count))
                await until(lambda wanted=count: len(there.got) > wanted)
                answer = there.got[-1]
                assert isinstance(answer, Response)
                statuses.append(answer.status)
                assert (answer.headers.get("Retry-After") is not None) == (answer.status == 503)
            assert statuses == expected
            assert agent.active_transactions == agent.admission.total == 2
    finally:
        await agent.close()
    assert (agent.admission.total, agent.admission.sources) == (0, 0)
