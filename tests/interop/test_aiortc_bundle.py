"""Audio and video over one transport with aiortc (RFC 9143): by offers of its and of ours, both ways."""

from __future__ import annotations

import asyncio
import re

import aioice.ice
import numpy as np
import pytest
from peers.aiortc_peer import AiortcPeer
from peers.process import LOOPBACK
from peers.tones import assert_tone, tone

from sdp import BundlePolicy, Codec, LocalMedia, SessionNegotiation
from sdp.dtls import DtlsCertificate, DtlsSrtp
from sdp.ice.attributes import IceDescription
from sdp.ice.lite import IceLite
from securertc import MediaBundle, MediaSession
from securertc.media.dtls_media import DtlsMedia

pytestmark = [pytest.mark.interop, pytest.mark.timeout(60)]
VP8 = Codec("VP8", 90000, 96)


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """aioice leaves the loopback out of its host candidates."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: [LOOPBACK])


class OurSide:
    """A transport with an audio and a video stream, reached by ICE-lite."""

    def __init__(self, policy: BundlePolicy) -> None:
        self.bundle = MediaBundle(LOOPBACK)
        self.audio, self.video = self.bundle.add(), self.bundle.add(packets=True)
        method = DtlsSrtp(DtlsCertificate.generate())
        self.ice = IceLite(((LOOPBACK, self.bundle.local_port),))
        self.bundle.key_by(DtlsMedia(method, self.ice))
        common = {
            "address": LOOPBACK,
            "port": self.bundle.local_port,
            "keying": (method,),
            "feedback": True,
            "attributes": self.ice.description.media_lines(),
            "session_attributes": self.ice.description.session_lines(),
        }
        media = [LocalMedia(**common), LocalMedia(media="video", codecs=(VP8,), **common)]
        self.negotiation = SessionNegotiation(media, bundle=policy, repeat_transport=True)

    def start(self, text: str) -> None:
        theirs = IceDescription.parse(text)
        assert theirs is not None
        self.ice.remote_ufrag = theirs.credentials.ufrag
        assert self.negotiation.agreement is not None
        self.bundle.start(self.negotiation.agreement)


async def send_back(video: MediaSession, count: int) -> None:
    """Sends what comes, so that aiortc gets pictures that are its own."""
    for _ in range(count):
        packet = await video.receive_rtp()
        await video.send_rtp(packet)


@pytest.mark.parametrize("we_offer", [False, True])
async def test_audio_and_video_both_ways(we_offer: bool) -> None:
    ours = OurSide(BundlePolicy.ONLY if we_offer else BundlePolicy.ACCEPT)
    async with AiortcPeer(880.0, video=True) as peer:
        if we_offer:
            text = await peer.answer(ours.negotiation.create_offer())
            ours.negotiation.receive_answer(text)
            ours.start(text)
        else:
            text = await peer.offer()
            ours.negotiation.receive_offer(text)
            answer = ours.negotiation.create_answer()
            ours.start(text)
            await peer.take_answer(answer)
        assert ours.negotiation.agreement is not None
        audio, video = ours.negotiation.agreement.media
        assert audio is not None
        assert video is not None
        assert (audio.bundled_with, video.bundled_with) == (None, 0)
        assert re.findall("a=group:BUNDLE (.*)\r\n", text) == [f"{audio.mid} {video.mid}"]
        await peer.await_state("connected")
        pictures = asyncio.ensure_future(send_back(ours.video, 40))
        await ours.audio.send_audio(tone(440.0, 2.0))
        heard = [await asyncio.wait_for(ours.audio.receive_audio(), 5) for _ in range(80)]
        await asyncio.wait_for(pictures, 20)
        assert_tone(np.concatenate(heard), 880.0)
        assert_tone(await peer.hear(seconds=1.5), 440.0)
        async with asyncio.timeout(10):
            while len(peer.seen) < 5:  # noqa: ASYNC110  # aiortc says nothing when it has decoded
                await asyncio.sleep(0.05)
        assert set(peer.seen) == {(64, 48)}
        for media in (ours.audio, ours.video):
            assert media.statistics.authentication_failures == 0
            assert media.statistics.packets_received > 30
        ours.bundle.close()
