"""Media whose keys come by DTLS-SRTP: nothing before they are there, and what goes on after a re-offer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from peers.tones import assert_tone, tone

from sdp import LocalMedia, NegotiatedMedia, SessionNegotiation
from sdp.dtls import DtlsCertificate, DtlsSrtp
from sdp.ice.attributes import IceCredentials
from sdp.ice.lite import IceLite
from sdp.ice.stun import StunAttribute, StunClass, StunMessage
from securertc import CallEndedError, MediaSession, SecurityPolicyError
from securertc.media.dtls_media import DtlsMedia

LOOPBACK = "127.0.0.1"


@dataclass
class Side:
    """One end: its media and its negotiation."""

    media: MediaSession
    negotiation: SessionNegotiation

    @classmethod
    def make(cls, *, rtcp_mux: bool = True) -> Side:
        method = DtlsSrtp(DtlsCertificate.generate())
        media = MediaSession(LOOPBACK)
        media.key_by(DtlsMedia(method))
        local = LocalMedia(LOOPBACK, media.local_port, keying=(method,), rtcp_mux=rtcp_mux)
        return cls(media, SessionNegotiation([local]))

    @property
    def agreed(self) -> NegotiatedMedia:
        assert self.negotiation.agreement is not None
        found = self.negotiation.agreement.of_stream(0)
        assert found is not None
        return found


@pytest.fixture
async def sides() -> Iterator[tuple[Side, Side]]:
    one, two = Side.make(), Side.make()
    yield one, two
    one.media.close()
    two.media.close()


def exchange(one: Side, two: Side, *, rekey: bool = False) -> None:
    two.negotiation.receive_offer(one.negotiation.create_offer(rekey=rekey))
    one.negotiation.receive_answer(two.negotiation.create_answer())


async def hear(media: MediaSession, frames: int) -> np.ndarray:
    return np.concatenate([await asyncio.wait_for(media.receive_audio(), 5) for _ in range(frames)])


async def test_tones_both_ways(sides: tuple[Side, Side]) -> None:
    one, two = sides
    exchange(one, two)
    for side in sides:
        side.media.start(side.agreed)
    # What is sent at once waits for the keys.
    sending = [asyncio.ensure_future(one.media.send_audio(tone(440, 1.3)))]
    sending.append(asyncio.ensure_future(two.media.send_audio(tone(880, 1.3))))
    heard = await asyncio.gather(hear(two.media, 60), hear(one.media, 60))
    assert_tone(heard[0], 440)
    assert_tone(heard[1], 880)
    await asyncio.gather(*sending)
    agreed = one.media.agreed
    assert agreed is not None
    assert agreed.outbound == two.media.agreed.inbound  # type: ignore[union-attr]
    assert one.media.facts.authenticated > 50


async def test_a_re_offer_keeps_the_keys_and_rekeying_makes_new_ones(sides: tuple[Side, Side]) -> None:
    one, two = sides
    exchange(one, two)
    keys = []
    for how in (False, False, True):
        if keys:
            exchange(one, two, rekey=how)
        for side in sides:
            side.media.start(side.agreed)
        first, second = await asyncio.wait_for(asyncio.gather(one.media.keyed(), two.media.keyed()), 10)
        assert (first.outbound, first.inbound) == (second.inbound, second.outbound)
        keys.append(first.outbound)
        heard, _ = await asyncio.gather(hear(two.media, 20), one.media.send_audio(tone(440, 0.5)))
        assert heard.any()
    assert keys[0] == keys[1] != keys[2]
    assert two.media.statistics.authentication_failures == 0


@pytest.mark.parametrize("who_has_no_mux", [0, 1])
async def test_without_rtcp_mux_rtcp_has_keys_of_its_own(who_has_no_mux: int) -> None:
    one, two = (Side.make(rtcp_mux=number != who_has_no_mux) for number in range(2))
    try:
        exchange(one, two)
        for side in (one, two):
            side.media.start(side.agreed)
        first, second = await asyncio.wait_for(asyncio.gather(one.media.keyed(), two.media.keyed()), 10)
        assert first.rtcp_outbound is not None
        assert (first.rtcp_outbound, first.rtcp_inbound) == (second.rtcp_inbound, second.rtcp_outbound)
        assert first.rtcp_outbound != first.outbound
        heard, _ = await asyncio.gather(hear(two.media, 20), one.media.send_audio(tone(440, 0.5)))
        assert heard.any()
        one.media.close()  # says BYE by RTCP
        for _ in range(100):
            if two.media.statistics.rtcp_authenticated:
                break
            await asyncio.sleep(0.02)
        assert two.media.statistics.rtcp_authenticated
        assert two.media.statistics.authentication_failures == 0
    finally:
        one.media.close()
        two.media.close()


async def test_ice_needs_rtcp_mux() -> None:
    one, two = Side.make(rtcp_mux=False), Side.make()
    exchange(one, two)
    ice = IceLite(((LOOPBACK, one.media.local_port),))
    one.media.key_by(DtlsMedia(one.negotiation.media[0].keying[0], ice))  # type: ignore[arg-type]
    try:
        with pytest.raises(SecurityPolicyError, match="rtcp-mux"):
            one.media.start(one.agreed)
    finally:
        one.media.close()
        two.media.close()


async def test_nothing_leaves_before_the_keys_are_there(sides: tuple[Side, Side]) -> None:
    one, two = sides
    exchange(one, two)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        # Where the peer should be is one that only listens.
        two.media.close()
        await asyncio.sleep(0)
        listener.bind((LOOPBACK, two.media.local_port))
        listener.setblocking(False)
        one.media.start(one.agreed)
        sending = asyncio.ensure_future(one.media.send_audio(tone(440, 0.2)))
        await asyncio.sleep(0.4)
        assert not sending.done()
        one.media.close()
        with pytest.raises(CallEndedError):
            await sending
        assert one.media.statistics.packets_sent == 0
        with pytest.raises(BlockingIOError):
            listener.recv(2048)  # the passive side says nothing, and there was no BYE in clear


async def test_another_certificate_ends_it(sides: tuple[Side, Side]) -> None:
    one, two = sides
    exchange(one, two)
    impostor = DtlsSrtp(DtlsCertificate.generate())
    two.media.key_by(DtlsMedia(impostor))
    offering = SessionNegotiation([LocalMedia(LOOPBACK, one.media.local_port, keying=one.negotiation.media[0].keying)])
    answering = SessionNegotiation([LocalMedia(LOOPBACK, two.media.local_port, keying=(impostor,))])
    answering.receive_offer(offering.create_offer())
    answering.create_answer()
    one.media.start(one.agreed)
    assert answering.agreement is not None
    two.media.start(answering.agreement.media[0])  # type: ignore[arg-type]
    with pytest.raises(SecurityPolicyError, match="fingerprint"):
        await asyncio.wait_for(one.media.keyed(), 10)
    with pytest.raises(SecurityPolicyError):
        await one.media.send_audio(tone(440, 0.1))
    assert one.media.statistics.packets_sent == 0


async def test_keys_to_come_and_nothing_to_get_them(sides: tuple[Side, Side]) -> None:
    one, two = sides
    exchange(one, two)
    media = MediaSession(LOOPBACK)
    try:
        with pytest.raises(SecurityPolicyError, match="nothing here gets the keys"):
            media.start(one.agreed)
    finally:
        media.close()


async def test_ice_alone_lets_a_handshake_begin(sides: tuple[Side, Side]) -> None:
    """With ICE the signalled address is nobody's until a check came from it (CVE-2023-51443)."""
    one, two = sides
    exchange(one, two)
    ice = IceLite(((LOOPBACK, one.media.local_port),), IceCredentials("ours", "p" * 22))
    one.media.key_by(DtlsMedia(one.negotiation.media[0].keying[0], ice))  # type: ignore[arg-type]
    for side in sides:
        side.media.start(side.agreed)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.media.keyed(), 0.3)
    check = StunMessage(
        StunClass.REQUEST, attributes=((StunAttribute.USERNAME, b"ours:x"), (StunAttribute.USE_CANDIDATE, b""))
    )
    # The peer's own socket makes the check, as its ICE agent would.
    two.media._rtp.send(check.serialize(b"p" * 22), (LOOPBACK, one.media.local_port))
    agreed = await asyncio.wait_for(one.media.keyed(), 10)
    assert ice.selected == (LOOPBACK, two.media.local_port) == (agreed.remote_address, agreed.remote_port)
