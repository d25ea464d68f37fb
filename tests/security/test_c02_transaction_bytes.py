"""What transactions keep is bounded in bytes, for each source and in all; who is refused makes nobody keep anything."""

from __future__ import annotations

import asyncio
import gc
import secrets
import tracemalloc

import pytest
from proxy_stage import FakeFlow, Stage, make_request

from sip import Request, SipUri
from sip.message.parser import parse_message
from sip.proxy.events import Locate, ProxyTarget
from sip.transaction.load_limits import Admission, LoadLimits, kept_by
from sip.user_agent.user_agent import UserAgent

SMALL = LoadLimits(transaction_bytes=1_000_000, source_transaction_bytes=400_000, shed_at=0.5)
BIG = bytes(60_000)
HOST = "127.0.0.1"


def flow_of(number: int, transport: str = "tcp") -> FakeFlow:
    return FakeFlow(transport, (f"192.0.2.{number}", 5060))


def statuses(stage):
    return [one.what for one in stage.take() if isinstance(one.what, int)]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_requests_of_one_source_at_a_proxy(transport, method):
    """Held while nobody answers; those in dialogs go on to the bound itself."""
    stage = Stage(limits=SMALL)
    caller = flow_of(1, transport)
    for number in range(30):
        stage.request(make_request(method, branch=f"z9hG4bK{number}", body=BIG), caller)
    assert stage.proxy.admission.held.of("192.0.2.1") <= 200_000
    assert statuses(stage).count(503) == 27
    for number in range(10):
        request = make_request(method, branch=f"z9hG4bKd{number}", body=BIG, to_tag="t")
        stage.request(request, caller)
    assert 200_000 < stage.proxy.admission.held.of("192.0.2.1") <= 400_000
    stage.take()
    stage.request(make_request(method, branch="z9hG4bKother"), flow_of(2, transport))
    assert 503 not in statuses(stage)
    stage.settle()
    assert (stage.proxy.admission.held.total, stage.proxy.admission.held.sources) == (0, 0)


def test_requests_of_many_sources_at_a_proxy():
    stage = Stage(limits=SMALL)
    for number in range(60):
        stage.request(make_request(branch=f"z9hG4bK{number}", body=BIG), flow_of(number))
    assert stage.proxy.admission.held.total <= 500_000
    assert statuses(stage).count(503) == 60 - 8
    stage.settle()
    assert stage.proxy.admission.held.total == 0


def test_an_ipv6_source_is_its_network():
    stage = Stage(limits=SMALL)
    for number in range(30):
        stage.request(make_request(branch=f"z9hG4bK{number}", body=BIG), FakeFlow("tcp", (f"2001:db8::{number:x}", 5)))
    assert stage.proxy.admission.held.sources == 1
    assert stage.proxy.admission.held.total <= 200_000
    stage.settle()


@pytest.mark.parametrize("text", ["x" * 16_000, "\U0001f600" * 4_000])
def test_header_fields_count_by_what_they_cost(text):
    """Characters beyond Latin cost four bytes each, and every row its objects."""
    request = make_request(**{f"X_{number}": text for number in range(3)})
    message = parse_message(request.serialize())
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    copies = [parse_message(request.serialize()) for _ in range(50)]
    used = (tracemalloc.get_traced_memory()[0] - before) / 50
    tracemalloc.stop()
    assert len(copies) == 50
    assert used / 1.5 < kept_by(message) < used * 1.5


@pytest.mark.parametrize("status", [404, 486, 503, 200])
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_little_is_left_of_what_was_answered(method, status):
    stage = Stage()
    caller = flow_of(1, "udp")
    for number in range(20):
        stage.request(make_request(method, branch=f"z9hG4bK{number}", body=BIG), caller)
        stage.answer(stage.take()[-1], status)
    assert stage.proxy.admission.total == 20
    assert 0 < stage.proxy.admission.held.total < 20 * 1_000
    stage.settle()
    assert stage.proxy.admission.held.total == 0


def test_what_comes_back_while_a_request_forks_counts():
    stage = Stage(limits=SMALL)
    stage.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse(f"sip:198.51.100.{one}")) for one in range(8)]
    caller = flow_of(1)
    stage.request(make_request("INVITE", "sip:bob@example.com"), caller)
    branches = stage.take()
    before = stage.proxy.admission.held.total
    for one in branches[:-1]:
        stage.answer(one, 486, Subject="x" * 15_000)
    assert stage.proxy.admission.held.total - before > 7 * 15_000
    stage.answer(branches[-1], 183, Subject="y" * 15_000)
    assert stage.proxy.admission.held.total - before > 8 * 15_000
    stage.answer(branches[-1], 200)
    assert stage.proxy.admission.held.total < 1_000
    stage.settle()


def test_acks_that_wait_for_an_answer_are_bounded():
    """They have no transaction; a location service that is slow must not make us keep them all."""
    stage = Stage(limits=SMALL)
    stage.hold = (Locate,)
    for number in range(200):
        stage.request(
            make_request("ACK", "sip:bob@example.com", branch=f"z9hG4bK{number}", to_tag="t", body=bytes(9_000))
        )
    assert len(stage.pending) < 10
    assert 0 < stage.proxy.held_acks.total <= 400_000 // 8
    stage.release()
    assert stage.proxy.held_acks.total == stage.proxy.held_acks.sources == 0
    stage.settle()


def test_the_bound_for_one_source_is_small_by_default():
    """It was nine gigabytes: two hundred thousand transactions of sixty kilobytes, less what is shed."""
    limits = LoadLimits()
    admission = Admission(limits)
    request = make_request(body=BIG)
    while admission.refuse(request, "192.0.2.1", kept_by(request)) is None:
        assert admission.total < 10_000
    assert admission.held.total <= 64 << 20
    in_all = Admission(limits)
    for number in range(100_000):
        if in_all.refuse(request, f"192.0.{number // 250}.{number % 250}", kept_by(request)) is not None:
            break
    assert in_all.held.total <= 256 << 20


# A user agent.


class Stranger:
    """Sends requests by TCP or UDP to a user agent and never acknowledges anything."""

    def __init__(self, transport: str, port: int) -> None:
        self.transport = transport
        self.port = port
        self.answers: list[bytes] = []

    async def __aenter__(self):
        if self.transport == "tcp":
            self._reader, self._writer = await asyncio.open_connection(HOST, self.port)
        else:
            loop = asyncio.get_running_loop()
            self._end, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(HOST, self.port))
        return self

    async def __aexit__(self, *_):
        (self._writer if self.transport == "tcp" else self._end).close()

    async def send(self, method: str, body: bytes) -> None:
        request = Request(method, SipUri.parse("sip:bob@example.com"), body=body)
        via = f"SIP/2.0/{self.transport.upper()} {HOST};branch=z9hG4bK{secrets.token_hex(8)};rport"
        for name, value in (
            ("Via", via),
            ("From", "<sip:alice@example.org>;tag=a"),
            ("To", "<sip:bob@example.com>"),
            ("Call-ID", secrets.token_hex(8)),
            ("CSeq", f"1 {method}"),
            ("Max-Forwards", "70"),
            ("Contact", f"<sip:alice@{HOST}>"),
            ("Content-Type", "application/sdp"),
        ):
            request.headers.add(name, value)
        if self.transport == "tcp":
            self._writer.write(request.serialize())
            await self._writer.drain()
        else:
            self._end.sendto(request.serialize())
        await asyncio.sleep(0)


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not in five seconds")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_user_agent_that_rings(transport):
    incoming = []
    agent = UserAgent(on_invite=incoming.append, limits=SMALL)
    try:
        port = (await agent.listen(transport, HOST)).port
        async with Stranger(transport, port) as stranger:
            for _ in range(20):
                await stranger.send("INVITE", BIG)
                await asyncio.sleep(0.01)
            await until(lambda: agent.admission.refused > 10)
            assert len(incoming) == 3
            assert 180_000 < agent.admission.held.total <= 200_000
            for one in incoming:
                one.reject(486)
            assert agent.admission.held.total < 3 * 2_000
            await stranger.send("INVITE", BIG)
            await until(lambda: len(incoming) == 4)
    finally:
        await agent.close()
    assert (agent.admission.total, agent.admission.held.total, agent.admission.held.sources) == (0, 0, 0)


@pytest.mark.parametrize("refusal", ["no application", "the application"])
async def test_a_user_agent_keeps_next_to_nothing_of_who_it_refuses(refusal):
    """Neither in its books nor in memory: fifteen hundred INVITEs of sixty kilobytes kept 87 MB."""
    on_invite = None if refusal == "no application" else lambda incoming: incoming.reject(486)
    agent = UserAgent(on_invite=on_invite)
    try:
        port = (await agent.listen("tcp", HOST)).port
        async with Stranger("tcp", port) as stranger:

            async def refused(count):
                for _ in range(count):
                    await stranger.send("INVITE", BIG)
                before = sum(len(one) for one in stranger.answers)
                while before < count * 100:
                    before += len(await asyncio.wait_for(stranger._reader.read(65536), 5))

            await refused(20)
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            await refused(200)
            await asyncio.sleep(0.1)
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            assert kept < 200 * 10_000  # of 60,000
            assert agent.admission.held.total < 220 * 3_000
    finally:
        await agent.close()


async def test_cancel_of_an_invite_that_was_answered_still_has_its_tag():
    """The INVITE itself is gone by then (9.2)."""
    agent = UserAgent(on_invite=lambda incoming: tags.append(incoming.local_tag) or incoming.reject(486))
    tags: list[str] = []
    try:
        port = (await agent.listen("tcp", HOST)).port
        async with Stranger("tcp", port) as stranger:
            invite = (
                b"%s sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\n"
                b"To: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 %s\r\nMax-Forwards: 70\r\nContact: <sip:a@h>\r\n"
                b"Content-Length: 0\r\n\r\n"
            )
            stranger._writer.write(invite % (b"INVITE", b"INVITE") + invite % (b"CANCEL", b"CANCEL"))
            answer = b""
            while answer.count(b"\r\n\r\n") < 2:
                answer += await asyncio.wait_for(stranger._reader.read(65536), 5)
            assert b"SIP/2.0 200" in answer
            assert answer.count(tags[0].encode()) == 2
    finally:
        await agent.close()
