"""What strangers send to the sockets of an ICE agent is neither kept nor raises anything, at any time of its life."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable

import aioice.ice
import pytest
from aioice import turn

from sdp.ice.attributes import IceDescription
from sdp.ice.stun import BINDING, StunAttribute, StunClass, StunMessage
from securertc.media import ice_agent
from securertc.media.ice_agent import IceAgent

LOOPBACK = "127.0.0.1"
COUNT = 1500
# Of more than 80 MB sent, what an agent may have grown by.
MOST_KEPT = 2_000_000


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK])


@pytest.fixture
def raised() -> list[object]:
    """What was raised into the event loop."""
    found: list[object] = []
    return found


@pytest.fixture
async def agent(raised: list[object]) -> AsyncIterator[IceAgent]:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    one = IceAgent(controlling=False)
    yield one
    await one.wait_closed()


def check(agent: IceAgent, *more: tuple[int, bytes], username: bytes | None = None, key: bytes | None = None) -> bytes:
    credentials = agent.description.credentials
    attributes = (
        (int(StunAttribute.USERNAME), username or credentials.ufrag.encode() + b":theirs"),
        *more,
    )
    return StunMessage(StunClass.REQUEST, attributes=attributes).serialize(key or credentials.password.encode())


def shortened(agent: IceAgent, kind: StunAttribute, length: int) -> bytes:
    """A check in which one attribute has a length that it cannot have, and that is otherwise right."""
    return check(agent, (int(kind), bytes(length)))


STRANGE: dict[str, Callable[[IceAgent], bytes]] = {
    "large and of no form": lambda _: bytes([0, 1, 255, 255]) + bytes(59_000),
    "large, with a cookie": lambda _: bytes([0, 1, 0, 0]) + bytes.fromhex("2112a442") + bytes(59_000),
    "empty header": lambda _: bytes(3),
    "a cut attribute": lambda _: bytes.fromhex("000100042112a442") + bytes(12) + bytes.fromhex("00240004"),
    "a priority of three bytes": lambda _: (
        bytes.fromhex("000100082112a442") + bytes(12) + bytes.fromhex("0024000300000000")
    ),
    "an unknown method": lambda _: StunMessage(StunClass.REQUEST, method=0x0F).serialize(),
    "wrong fingerprint": lambda _: StunMessage(StunClass.REQUEST).serialize()[:-1] + b"x",
    "no credentials": lambda _: StunMessage(StunClass.REQUEST).serialize(),
    "another's username": lambda agent: check(agent, username=b"nobody:theirs"),
    "another's password": lambda agent: check(agent, key=b"q" * 22),
    "an answer to nothing": lambda _: StunMessage(StunClass.SUCCESS, method=BINDING).serialize(),
    "an indication": lambda _: StunMessage(StunClass.INDICATION, method=BINDING).serialize(),
    "a short priority": lambda agent: shortened(agent, StunAttribute.PRIORITY, 3),
    "a short tie-breaker": lambda agent: shortened(agent, StunAttribute.ICE_CONTROLLING, 7),
    "a short error code": lambda agent: shortened(agent, StunAttribute.ERROR_CODE, 2),
    "an address of no family": lambda agent: shortened(agent, StunAttribute.XOR_MAPPED_ADDRESS, 2),
    "a name that is no text": lambda agent: check(agent, (0x8022, b"\xff\xfe")),
    "media": lambda _: b"\x80" + bytes(59_000),
}


async def send(agent: IceAgent, data: bytes, count: int) -> bytes | None:
    """Sends datagrams of a stranger's, in pieces that its socket takes; returns the last answer."""
    answer = None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setblocking(False)
        for number in range(count):
            stranger.sendto(data, agent.local_address)
            # The loop reads one datagram each time that it is woken.
            for _ in range(2):
                await asyncio.sleep(0)
            if number == count - 1:
                await asyncio.sleep(0.01)
            try:
                answer = stranger.recv(2048)
            except BlockingIOError:
                continue
    return answer


@pytest.mark.parametrize("kind", STRANGE)
async def test_a_strangers_datagram_is_dropped(agent: IceAgent, raised: list[object], kind: str) -> None:
    await agent.gather()
    answer = await send(agent, STRANGE[kind](agent), 8)
    assert answer is None
    assert raised == []
    assert agent.dropped == 8
    connection = agent._connection
    assert connection._queue.qsize() == 0
    assert len(connection._early_checks) == 0


@pytest.mark.parametrize("kind", ["large and of no form", "large, with a cookie", "media"])
async def test_a_flood_keeps_nothing(agent: IceAgent, kind: str) -> None:
    await agent.gather()
    data = STRANGE[kind](agent)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await send(agent, data, COUNT)
        assert tracemalloc.get_traced_memory()[0] - before < MOST_KEPT
    finally:
        tracemalloc.stop()
    assert agent.dropped > COUNT / 2


async def test_nor_while_candidates_are_gathered(raised: list[object]) -> None:
    """A STUN server that does not answer makes that take seconds."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((LOOPBACK, 0))
        agent = IceAgent(controlling=False, stun_server=silent.getsockname())
        gathering = asyncio.ensure_future(agent.gather())
        try:
            connection = agent._connection
            for _ in range(500):
                if connection._protocols:
                    break
                await asyncio.sleep(0.01)
            place = connection._protocols[0].transport.get_extra_info("sockname")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                for kind in ("large and of no form", "a priority of three bytes", "media"):
                    stranger.sendto(STRANGE[kind](agent), place)
                    await asyncio.sleep(0.02)
            assert connection._queue.qsize() == 0
            assert raised == []
            assert agent.dropped == 3
        finally:
            gathering.cancel()
            await asyncio.gather(gathering, return_exceptions=True)
            await agent.wait_closed()


async def test_copies_of_a_check_from_elsewhere_reach_nobody(agent: IceAgent) -> None:
    """Each would make us check where it came from, eight times: one transaction counts for one source."""
    await agent.gather()
    caught = check(agent, (int(StunAttribute.PRIORITY), bytes(4)))
    assert await send(agent, caught, 1) is not None
    for _ in range(20):
        assert await send(agent, caught, 1) is None
    assert len(agent._connection._early_checks) == 1
    assert agent.dropped == 20


async def test_sources_are_bounded(agent: IceAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_agent, "MAX_SOURCES", 3)
    await agent.gather()
    for _ in range(10):
        await send(agent, check(agent, (int(StunAttribute.PRIORITY), bytes(4))), 1)
    assert len(agent._connection._early_checks) == 3
    assert agent.dropped == 7


async def test_the_peer_is_met_through_it_all(raised: list[object]) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    one, two = IceAgent(controlling=True), IceAgent(controlling=False)
    try:
        first, second = await asyncio.gather(one.gather(), two.gather())

        async def annoy() -> None:
            while True:
                for make in STRANGE.values():
                    await send(two, make(two), 1)

        annoying = asyncio.ensure_future(annoy())
        await asyncio.wait_for(asyncio.gather(one.connect(second), two.connect(first)), 15)
        annoying.cancel()
        assert isinstance(second, IceDescription)
        assert one.selected == two.local_address
        assert raised == []
    finally:
        await asyncio.gather(one.wait_closed(), two.wait_closed())


async def test_what_comes_from_a_relay_is_looked_at_too(agent: IceAgent) -> None:
    """aioice's client of a TURN server has a parser of its own, before the guarded one."""
    server = (LOOPBACK, 3478)
    relay = turn.TurnClientUdpProtocol(server, username=None, password=None, lifetime=600, channel_refresh_time=500)
    protocol = aioice.ice.StunProtocol(agent._connection)
    protocol.transport = turn.TurnTransport(relay)  # type: ignore[assignment]
    relay.receiver = protocol
    relay.channel_to_peer[0x4000] = ("192.0.2.9", 9)
    agent._connection._protocols.append(protocol)
    try:
        for kind in ("a cut attribute", "a priority of three bytes", "wrong fingerprint"):
            relay.datagram_received(STRANGE[kind](agent), server)
        inner = STRANGE["large and of no form"](agent)
        relay.datagram_received(bytes.fromhex("4000") + len(inner).to_bytes(2) + inner, server)
        assert agent.dropped == 4
        assert agent._connection._queue.qsize() == 0
    finally:
        agent._connection._protocols.clear()
