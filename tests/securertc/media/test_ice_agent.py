"""The full ICE agent: with an agent of its own kind, with an ICE-lite one, and with strangers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aioice.ice
import numpy as np
import pytest
from peers.tones import assert_tone, tone

from sdp import LocalMedia, SessionNegotiation
from sdp.dtls import DtlsCertificate, DtlsSrtp
from sdp.ice.attributes import IceCandidate, IceCredentials, IceDescription
from sdp.ice.lite import IceLite
from securertc import MediaSession
from securertc.errors import IceError
from securertc.media.dtls_media import DtlsMedia
from securertc.media.ice_agent import IceAgent

LOOPBACK = "127.0.0.1"


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK])


@pytest.fixture
async def agents() -> AsyncIterator[tuple[IceAgent, IceAgent]]:
    one, two = IceAgent(controlling=True), IceAgent(controlling=False)
    yield one, two
    await asyncio.gather(one.wait_closed(), two.wait_closed())


async def connect(one: IceAgent, two: IceAgent) -> None:
    first, second = await asyncio.gather(one.gather(), two.gather())
    await asyncio.wait_for(asyncio.gather(one.connect(second), two.connect(first)), 15)


async def test_two_agents_find_each_other(agents: tuple[IceAgent, IceAgent]) -> None:
    one, two = agents
    heard: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
    two.attach(lambda data, source: heard.put_nowait((data, source)))
    one.send(b"\x80 too early", ("192.0.2.1", 9))
    await connect(one, two)
    assert one.selected == two.local_address
    assert two.validated == (one.local_address,)
    one.send(bytearray(b"\x80 media"), ("192.0.2.1", 9))
    assert await asyncio.wait_for(heard.get(), 5) == (b"\x80 media", one.local_address)


async def test_strangers_are_not_heard(agents: tuple[IceAgent, IceAgent]) -> None:
    """Neither their media nor their DTLS, before and after a pair is nominated."""
    one, two = agents
    heard: list[bytes] = []
    two.attach(lambda data, _: heard.append(data))
    await two.gather()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        hello = bytes.fromhex("16feff0000000000000000000a") + bytes(10)
        stranger.sendto(hello, two.local_address)
        first = await one.gather()
        await asyncio.wait_for(asyncio.gather(one.connect(two.description), two.connect(first)), 15)
        for data in (hello, b"\x80\x00 media", b""):
            stranger.sendto(data, two.local_address)
        one.send(b"\x80\x00 the peer's", ("", 0))
        for _ in range(100):
            await asyncio.sleep(0.02)
            if heard:
                break
    assert heard == [b"\x80\x00 the peer's"]
    assert two.dropped == 4


async def test_no_path(agents: tuple[IceAgent, IceAgent]) -> None:
    one, _ = agents
    with pytest.raises(IceError, match="no candidates"):
        _ = one.local_address
    await one.gather()
    unusable = IceCandidate("1", 1, "TCP", 1, "192.0.2.1", 9, "host", ("tcptype", "passive"))
    with pytest.raises(IceError, match="no path"):
        await one.connect(IceDescription(IceCredentials.generate(), (unusable,)))


@pytest.mark.parametrize("other", ["full", "lite"])
async def test_audio_by_dtls_srtp_over_ice(agents: tuple[IceAgent, IceAgent], other: str) -> None:
    one, two = agents
    said = await one.gather()
    methods = [DtlsSrtp(DtlsCertificate.generate()) for _ in range(2)]
    media = [MediaSession(one)]
    media[0].key_by(DtlsMedia(methods[0], one))
    lite: IceLite | None = None
    if other == "full":
        await two.gather()
        media.append(MediaSession(two))
        media[1].key_by(DtlsMedia(methods[1], two))
    else:
        media.append(MediaSession(LOOPBACK))
        lite = IceLite(((LOOPBACK, media[1].local_port),))
        media[1].key_by(DtlsMedia(methods[1], lite))
    sides = []
    for session, method, ice in zip(media, methods, (said, (lite or two).description), strict=True):
        lines = {"attributes": ice.media_lines(), "session_attributes": ice.session_lines()}
        local = LocalMedia(LOOPBACK, session.local_port, keying=(method,), **lines)  # type: ignore[arg-type]
        sides.append(SessionNegotiation([local]))
    try:
        offer = sides[0].create_offer()
        sides[1].receive_offer(offer)
        answer = sides[1].create_answer()
        sides[0].receive_answer(answer)
        for session, side in zip(media, sides, strict=True):
            assert side.agreement is not None
            session.start(side.agreement.media[0])  # type: ignore[arg-type]
        theirs = IceDescription.parse(answer)
        assert theirs is not None
        assert theirs.lite is (other == "lite")
        connecting = [one.connect(theirs)]
        if other == "full":
            ours = IceDescription.parse(offer)
            assert ours is not None
            connecting.append(two.connect(ours))
        await asyncio.wait_for(asyncio.gather(*connecting), 15)
        await asyncio.wait_for(asyncio.gather(*(session.keyed() for session in media)), 15)
        sending = [asyncio.ensure_future(session.send_audio(tone(440, 1.3))) for session in media]
        for session in media:
            heard = [await asyncio.wait_for(session.receive_audio(), 5) for _ in range(60)]
            assert_tone(np.concatenate(heard), 440)
        await asyncio.gather(*sending)
    finally:
        for session in media:
            session.close()
