"""The report never says more than its evidence."""

from __future__ import annotations

import asyncio

import pytest

from sdp import Codec, Direction, NegotiatedAudio
from securertc import MediaSecurity, SecurityPolicy, TierStatus
from securertc.assurance.report import MediaFacts, SignallingFacts, report
from sip import VerifiedPeer
from srtp import Policy, Profile

SECURED, PARTIAL, NONE = TierStatus.SECURED, TierStatus.PARTIAL, TierStatus.NONE
PEER = VerifiedPeer("TLSv1.3", "TLS_AES_256_GCM_SHA384", "remote.example", "SIP URI")
NAMELESS = VerifiedPeer("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")
POLICY = Policy(Profile.AES_CM_128_HMAC_SHA1_80, bytes(16), bytes(14))
REQUIRED = SecurityPolicy()


def facts(peer=PEER, digest=None, user=None, path=()):
    return SignallingFacts("tls" if peer else "udp", "192.0.2.1", peer, digest, user, path)


def agreement(*, secured=True):
    return NegotiatedAudio(
        remote_address="192.0.2.1",
        remote_port=4000,
        remote_rtcp_port=4001,
        rtcp_mux=False,
        protocol="RTP/SAVP",
        codec=Codec("PCMU", 8000, 0),
        payload_type=0,
        direction=Direction.SENDRECV,
        ptime=20,
        crypto_suite="AES_CM_128_HMAC_SHA1_80" if secured else None,
        outbound=POLICY if secured else None,
        inbound=POLICY if secured else None,
    )


def counted(authenticated=10, failures=0):
    return MediaFacts(
        packets_sent=12,
        authenticated=authenticated,
        rtcp_authenticated=1,
        authentication_failures=failures,
        replays=0,
        discarded=0,
    )


@pytest.mark.parametrize(
    ("signalling", "status"),
    [
        (facts(), SECURED),
        (facts(NAMELESS), PARTIAL),
        (facts(NAMELESS, "SHA-256"), PARTIAL),
        (facts(NAMELESS, "SHA-256", "alice"), SECURED),
        (facts(None, "MD5", "alice"), PARTIAL),
        (facts(None), NONE),
    ],
)
def test_the_transaction_tier_needs_tls_and_a_proven_peer(signalling, status):
    tier = report(signalling, agreement(), counted(), "").transaction
    assert tier.status is status
    if signalling.peer is not None:
        assert tier.fact("protocol") == signalling.peer.protocol
        assert tier.fact("cipher") == signalling.peer.cipher


def test_nobody_is_proven_end_to_end():
    assert report(facts(), agreement(), counted(), "").identity.status is NONE


@pytest.mark.parametrize(
    ("signalling", "agreed", "status", "words"),
    [
        (facts(), agreement(), PARTIAL, "no proxy showed itself"),
        (facts(path=("p1", "p2")), agreement(), PARTIAL, "p1, p2"),
        (facts(None), agreement(), NONE, "everybody"),
    ],
)
def test_the_body_tier_says_who_sees_the_keys(signalling, agreed, status, words):
    tier = report(signalling, agreed, counted(), "").body
    assert tier.status is status
    assert words in tier.fact("visible to")


def test_without_keys_the_body_tier_says_why():
    tier = report(facts(None), agreement(secured=False), counted(), "not sent: no TLS").body
    assert (tier.status, tier.fact("keys")) == (NONE, "not sent: no TLS")


@pytest.mark.parametrize(
    ("agreed", "counts", "status", "short"),
    [
        (agreement(), counted(), SECURED, False),
        (agreement(), counted(failures=5), SECURED, False),
        (agreement(), counted(authenticated=0), PARTIAL, True),
        (agreement(), counted(authenticated=0, failures=5), PARTIAL, True),
        (agreement(secured=False), counted(), NONE, True),
        (None, counted(), NONE, True),
    ],
)
def test_the_media_tier_counts_what_authenticated(agreed, counts, status, short):
    found = report(facts(), agreed, counts, "")
    assert found.media.status is status
    assert bool(found.shortfalls(REQUIRED)) is short
    assert not found.shortfalls(SecurityPolicy(media=MediaSecurity.OFF))


def test_keys_over_a_cleartext_hop_fall_short_unless_allowed():
    found = report(facts(None), agreement(), counted(), "")
    assert found.shortfalls(REQUIRED)
    assert not found.shortfalls(SecurityPolicy(allow_cleartext_keys=True))


async def test_a_call_reports_what_happened(pair, melody):
    async with pair() as ends:
        ours, theirs = await ends.establish()
        await asyncio.gather(ours.send_audio(melody), theirs.send_audio(melody))
        for call in (ours, theirs):
            while call.statistics.packets_received < 10:
                await asyncio.wait_for(call.receive_audio(), 5)
            assert [name for name, _ in call.security.tiers()] == ["transaction", "identity", "body", "media"]
            assert call.security.media.fact("packets authenticated").startswith("10 RTP")
            assert not call.security.shortfalls(REQUIRED)
        assert ours.security.transaction.fact("verified name") == "remote.example (SIP URI)"
        assert theirs.security.transaction.fact("verified name") is None
        assert theirs.security.transaction.status is PARTIAL
        secrets = [bytes(policy.master_key) for policy in (ours.agreed.outbound, ours.agreed.inbound)]
        assert not any(secret.hex() in repr(ours.security) or repr(secret) in repr(ours.agreed) for secret in secrets)
