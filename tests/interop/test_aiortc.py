"""DTLS-SRTP over ICE with aiortc, a WebRTC peer: same keys, and audio both ways, whoever offers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import aioice.ice
import numpy as np
import pytest
from peers.aiortc_peer import AiortcPeer
from peers.process import LOOPBACK
from peers.tones import assert_tone, tone

from sdp import LocalMedia, NegotiatedMedia, SessionNegotiation
from sdp.dtls import DEFAULT_PROFILES, PROTECTION_PROFILES, DtlsCertificate, DtlsSrtp, SetupRole
from sdp.dtls.protection_profiles import keying_material_length, policies_from
from sdp.ice.attributes import IceDescription
from sdp.ice.lite import IceLite
from securertc import MediaSession, SecurityPolicyError
from securertc.media.dtls_media import DtlsMedia
from securertc.media.ice_agent import IceAgent
from srtp import Profile

pytestmark = [pytest.mark.interop, pytest.mark.timeout(60)]
OURS, THEIRS = 440.0, 880.0


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice leaves the loopback out of its host candidates."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK])


class OurSide:
    """Media and negotiation with an ICE-lite agent, or with a full one that has gathered its candidates."""

    def __init__(
        self,
        agent: IceAgent | None,
        profiles: tuple[Profile, ...] = DEFAULT_PROFILES,
        role: SetupRole = SetupRole.ACTIVE,
    ) -> None:
        self.method = DtlsSrtp(DtlsCertificate.generate(), profiles, role)
        self.media = MediaSession(agent or LOOPBACK)
        self.ice = agent or IceLite(((LOOPBACK, self.media.local_port),))
        self.media.key_by(DtlsMedia(self.method, self.ice))
        said = self.ice.description
        local = LocalMedia(
            LOOPBACK,
            self.media.local_port,
            keying=(self.method,),
            feedback=True,
            mid="0",
            attributes=said.media_lines(),
            session_attributes=said.session_lines(),
        )
        self.negotiation = SessionNegotiation([local])

    @property
    def agreed(self) -> NegotiatedMedia:
        assert self.negotiation.agreement is not None
        found = self.negotiation.agreement.of_stream(0)
        assert found is not None
        return found

    async def meet(self, text: str) -> None:
        """Does the part in ICE that follows from the peer's SDP."""
        theirs = IceDescription.parse(text)
        assert theirs is not None
        if isinstance(self.ice, IceLite):
            self.ice.remote_ufrag = theirs.credentials.ufrag
        else:
            await asyncio.wait_for(self.ice.connect(theirs), 15)


@contextlib.asynccontextmanager
async def sides(*, full: bool = False, **ours: object) -> AsyncIterator[tuple[OurSide, AiortcPeer]]:
    async with AiortcPeer(THEIRS) as peer:
        agent = IceAgent(controlling=True) if full else None
        if agent is not None:
            await agent.gather()
        our_side = OurSide(agent, **ours)  # type: ignore[arg-type]
        try:
            yield our_side, peer
        finally:
            our_side.media.close()
            if agent is not None:
                await agent.wait_closed()


async def we_answer(ours: OurSide, peer: AiortcPeer) -> None:
    offer = await peer.offer()
    ours.negotiation.receive_offer(offer)
    answer = ours.negotiation.create_answer()
    assert ("a=ice-lite\r\n" in answer.split("m=")[0]) is isinstance(ours.ice, IceLite)
    ours.media.start(ours.agreed)
    await peer.take_answer(answer)
    await ours.meet(offer)


async def we_offer(ours: OurSide, peer: AiortcPeer) -> None:
    answer = await peer.answer(ours.negotiation.create_offer())
    ours.negotiation.receive_answer(answer)
    ours.media.start(ours.agreed)
    await ours.meet(answer)


def check_keys(ours: NegotiatedMedia, peer: AiortcPeer) -> None:
    """Our policies are those that follow from what the other side's DTLS exports."""
    assert ours.outbound is not None
    profile = ours.outbound.profile
    assert peer.profile == PROTECTION_PROFILES[profile].encode()
    role = SetupRole.ACTIVE if peer.is_client else SetupRole.PASSIVE
    theirs = policies_from(profile, peer.keying_material[: keying_material_length(profile)], role)
    assert theirs == (ours.inbound, ours.outbound)


async def hear(media: MediaSession) -> np.ndarray:
    heard = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2.0):
            while True:
                heard.append(await media.receive_audio())
    return np.concatenate(heard)


@pytest.mark.parametrize("who_offers", [we_answer, we_offer])
@pytest.mark.parametrize(
    ("full", "role"), [(False, SetupRole.ACTIVE), (False, SetupRole.PASSIVE), (True, SetupRole.ACTIVE)]
)
async def test_keys_and_tones(who_offers: object, full: bool, role: SetupRole) -> None:
    async with sides(full=full, role=role) as (ours, peer):
        await who_offers(ours, peer)  # type: ignore[operator]
        agreed = await asyncio.wait_for(ours.media.keyed(), 15)
        await peer.await_state("connected")
        check_keys(agreed, peer)
        assert (agreed.remote_address, agreed.remote_port) == ours.ice.selected
        listening = asyncio.ensure_future(hear(ours.media))
        await ours.media.send_audio(tone(OURS, 2.0))
        assert_tone(await listening, THEIRS)
        assert_tone(np.concatenate(peer.heard), OURS)
        counts = ours.media.statistics
        assert counts.authenticated > 50
        assert counts.authentication_failures == 0


@pytest.mark.parametrize("profile", [one for one in DEFAULT_PROFILES if one.name != "AES_CM_128_HMAC_SHA1_32"])
async def test_each_profile_that_aiortc_has(profile: Profile) -> None:
    async with sides(profiles=(profile,)) as (ours, peer):
        await we_answer(ours, peer)
        agreed = await asyncio.wait_for(ours.media.keyed(), 15)
        await peer.await_state("connected")
        assert agreed.crypto_suite == profile.name
        check_keys(agreed, peer)


@pytest.mark.parametrize("who_offers", [we_answer, we_offer])
async def test_an_impostor(who_offers: object) -> None:
    """The certificate that shows up is not the one that the SDP spoke of: no media, on either side."""
    async with sides() as (ours, peer):
        wrong = DtlsCertificate.generate()
        offer, answer = peer.offer, peer.answer

        def change(text: str) -> str:
            text = re.sub("a=fingerprint:sha-(384|512).*\r\n", "", text)
            return re.sub("a=fingerprint.*\r\n", f"a=fingerprint:{wrong.fingerprint().serialize()}\r\n", text)

        async def false_offer() -> str:
            return change(await offer())

        async def false_answer(text: str) -> str:
            return change(await answer(text))

        peer.offer, peer.answer = false_offer, false_answer  # type: ignore[method-assign]
        await who_offers(ours, peer)  # type: ignore[operator]
        with pytest.raises(SecurityPolicyError, match="fingerprint"):
            await asyncio.wait_for(ours.media.keyed(), 15)
        assert ours.media.statistics.packets_sent == 0
