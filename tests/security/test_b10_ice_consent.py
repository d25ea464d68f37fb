"""A path to the peer that is lost is told: to who set a callback, and to all that wait for media."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aioice.ice
import pytest

from sdp import Codec, Direction, NegotiatedAudio, SessionAgreement
from securertc import CallEndedError, MediaBundle, MediaSession
from securertc.media.ice_agent import IceAgent

LOOPBACK = "127.0.0.1"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK])
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    monkeypatch.setattr(aioice.stun, "RETRY_RTO", 0.05)


@pytest.fixture
async def agents() -> AsyncIterator[tuple[IceAgent, IceAgent]]:
    one, two = IceAgent(controlling=True), IceAgent(controlling=False)
    first, second = await asyncio.gather(one.gather(), two.gather())
    await asyncio.wait_for(asyncio.gather(one.connect(second), two.connect(first)), 15)
    yield one, two
    await asyncio.gather(one.wait_closed(), two.wait_closed())


def fall_silent(agent: IceAgent) -> None:
    """Its socket stays, and hears no more."""
    for protocol in agent._connection._protocols:
        protocol.datagram_received = lambda data, address: None


def agreement() -> NegotiatedAudio:
    return NegotiatedAudio(
        remote_address=LOOPBACK,
        remote_port=9,
        remote_rtcp_port=9,
        rtcp_mux=True,
        protocol="RTP/AVP",
        codec=Codec("PCMU", 8000, 0),
        payload_type=0,
        direction=Direction.SENDRECV,
        ptime=20,
    )


async def test_the_agent_tells_of_it(agents: tuple[IceAgent, IceAgent]) -> None:
    one, two = agents
    lost: asyncio.Queue[str] = asyncio.Queue()
    one.on_lost = lost.put_nowait
    fall_silent(two)
    reason = await asyncio.wait_for(lost.get(), 10)
    assert "consent" in reason
    assert one.lost == reason
    await asyncio.sleep(0.2)
    assert lost.empty()


async def test_a_session_ends_by_it(agents: tuple[IceAgent, IceAgent]) -> None:
    one, two = agents
    session = MediaSession(one)
    told: list[str] = []
    session.on_path_lost = told.append
    session.start(agreement())
    hearing = asyncio.ensure_future(session.receive_audio())
    fall_silent(two)
    with pytest.raises(CallEndedError, match="consent"):
        await asyncio.wait_for(hearing, 10)
    assert len(told) == 1
    with pytest.raises(CallEndedError, match="consent"):
        await session.send_digits("1")


async def test_every_stream_of_a_bundle_ends_by_it(agents: tuple[IceAgent, IceAgent]) -> None:
    one, two = agents
    bundle = MediaBundle(one)
    sessions = [bundle.add(), bundle.add()]
    bundle.start(SessionAgreement((agreement(), None)))  # type: ignore[arg-type]
    hearing = [asyncio.ensure_future(session.receive_audio()) for session in sessions]
    fall_silent(two)
    for task in hearing:
        with pytest.raises(CallEndedError, match="consent"):
            await asyncio.wait_for(task, 10)


async def test_a_socket_that_is_gone_is_told_too(agents: tuple[IceAgent, IceAgent]) -> None:
    one, _ = agents
    lost: asyncio.Queue[str] = asyncio.Queue()
    one.on_lost = lost.put_nowait
    one._pair().protocol.transport.close()
    assert "closed" in await asyncio.wait_for(lost.get(), 10)


async def test_closing_it_oneself_is_no_loss(agents: tuple[IceAgent, IceAgent]) -> None:
    one, _ = agents
    lost: list[str] = []
    one.on_lost = lost.append
    await one.wait_closed()
    await asyncio.sleep(0.1)
    assert lost == []
    assert one.lost is None
