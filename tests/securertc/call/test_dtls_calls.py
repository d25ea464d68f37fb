"""Calls whose media is keyed by DTLS-SRTP: from INVITE to audio, by the policy of each side."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sdp import MediaSecurity, Sdescriptions
from sdp.dtls import DtlsCertificate, DtlsSrtp, SetupRole
from securertc import CallRefusedError, SecurityPolicy, SecurityPolicyError, TierStatus
from securertc.media.dtls_media import DtlsMedia

pytestmark = pytest.mark.usefixtures("nothing_left")


def policy(*more: Any, role: SetupRole = SetupRole.ACTIVE, **how: Any) -> SecurityPolicy:
    return SecurityPolicy(keying=(DtlsSrtp(DtlsCertificate.generate(), preferred_role=role), *more), **how)


async def hear(call: Any, wanted: np.ndarray) -> np.ndarray:
    heard = np.zeros(0, np.int16)
    while heard.size < wanted.size:
        heard = np.concatenate((heard, await asyncio.wait_for(call.receive_audio(), 5)))
    return heard[: wanted.size]


@pytest.mark.parametrize("role", [SetupRole.ACTIVE, SetupRole.PASSIVE])
async def test_a_call(pair: Any, melody: np.ndarray, role: SetupRole) -> None:
    async with pair(policy(), policy(role=role)) as both:
        ours, theirs = await both.establish()
        heard, _, back, _ = await asyncio.gather(
            hear(theirs, melody), ours.send_audio(melody), hear(ours, melody), theirs.send_audio(melody)
        )
        for samples in (heard, back):
            assert np.abs(samples.astype(int) - melody.astype(int)).max() < 700  # G.711's rounding
        media = ours.security.media
        assert media.status is TierStatus.SECURED
        assert media.fact("keying") == "dtls-srtp"
        assert media.fact("suite") == ours.agreed.crypto_suite
        body = ours.security.body
        assert body.fact("keys") == "by a DTLS handshake of the two ends; the SDP has their fingerprints"
        assert ours.security.shortfalls(SecurityPolicy()) == ()
        await ours.hangup()
        assert await theirs.wait_ended() == "remote"


async def test_who_cannot_is_told_so(pair: Any) -> None:
    async with pair(policy(), SecurityPolicy()) as both:
        with pytest.raises(CallRefusedError) as caught:
            await both.caller.call(both.uri)
        assert caught.value.status == 488


async def test_sdescriptions_where_the_peer_has_nothing_else(pair: Any, melody: np.ndarray) -> None:
    """Preferred media is offered with the attributes of all methods (RFC 8643)."""
    offering = policy(Sdescriptions(), media=MediaSecurity.PREFERRED)
    async with pair(offering, SecurityPolicy()) as both:
        ours, theirs = await both.establish()
        await asyncio.gather(hear(theirs, melody), ours.send_audio(melody))
        assert theirs.security.media.fact("keying") == "sdescriptions"


async def test_fingerprints_do_not_cross_a_hop_without_tls(pair: Any) -> None:
    async with pair(policy(), policy(), transport="udp") as both:
        with pytest.raises(SecurityPolicyError):
            await both.caller.call(both.uri)
    allowed = {"allow_cleartext_keys": True}
    async with pair(policy(**allowed), policy(**allowed), transport="udp") as both:
        ours, _ = await both.establish()
        assert ours.security.body.status is TierStatus.NONE
        assert "changeable by" in dict(ours.security.body.evidence)


async def test_a_failed_handshake_ends_the_call(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callee's media has another certificate than its SDP said, as with somebody in between."""
    impostor = DtlsSrtp(DtlsCertificate.generate())
    real = DtlsMedia.start

    def start(self: DtlsMedia, agreed: Any) -> None:
        if agreed.keying.role is SetupRole.PASSIVE:
            real(self, agreed)
            return
        self._method = impostor
        keying = replace(agreed.keying, own_fingerprints=impostor.fingerprints)
        real(self, replace(agreed, keying=keying))

    monkeypatch.setattr(DtlsMedia, "start", start)
    async with pair(policy(), policy()) as both:
        ours, theirs = await both.establish()
        assert "fingerprint" in await asyncio.wait_for(ours.wait_ended(), 10)
        assert await asyncio.wait_for(theirs.wait_ended(), 10)
        assert ours.statistics.packets_sent == theirs.statistics.packets_sent == 0
