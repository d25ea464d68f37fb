"""Registering at kamailio over TLS with Digest, and calling through it with Record-Route."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from peers.kamailio import PASSWORDS, REALM, Kamailio
from peers.tones import assert_tone

from securertc import Credentials, SecurityPolicy, TierStatus

pytestmark = [pytest.mark.interop("kamailio"), pytest.mark.timeout(60)]


@pytest.fixture(params=["MD5", "SHA-256"])
def kamailio(request, tmp_path, authority):
    with Kamailio(tmp_path / "kamailio", authority, algorithm=request.param) as peer:
        peer.algorithm = request.param
        yield peer


def member(settings, name, kamailio):
    return settings(
        name,
        aor=f"sip:{name}@{REALM}",
        policy=SecurityPolicy(allow_md5=kamailio.algorithm == "MD5"),
        credentials=(Credentials(REALM, name, PASSWORDS[name]),),
        outbound_proxy=f"sip:127.0.0.1:{kamailio.tls_port};transport=tls",
    )


@pytest.mark.parametrize("hangs_up", ["caller", "callee"])
async def test_call_through_the_proxy(kamailio, settings, ours, talk, hangs_up):
    async with ours(member(settings, "alice", kamailio)) as alice, ours(member(settings, "bob", kamailio)) as bob:
        for side in (alice, bob):
            assert await side.endpoint.register() > 0
            assert side.endpoint.registration.digest_algorithm == kamailio.algorithm
        outgoing = await alice.endpoint.call(f"sip:bob@{REALM}")
        answered = await bob.calls.get()
        heard_by_alice, heard_by_bob = await asyncio.gather(
            talk(outgoing, frequency=440, seconds=1.5), talk(answered, frequency=1000, seconds=1.5)
        )
        report = outgoing.security
        first, second = (outgoing, answered) if hangs_up == "caller" else (answered, outgoing)
        await first.hangup()
        async with asyncio.timeout(5):
            assert await second.wait_ended() == "remote"
        assert not alice.endpoint.calls
        assert not bob.endpoint.calls
    assert_tone(heard_by_alice, 1000)
    assert_tone(heard_by_bob, 440)
    assert report.transaction.status is TierStatus.SECURED
    assert report.transaction.fact("digest") == kamailio.algorithm
    # The route through the proxy was recorded; that the BYE took it is in its own log.
    assert f"the proxies sip:127.0.0.1:{kamailio.tls_port}" in report.body.fact("visible to")
    assert "REQ BYE" in kamailio.log


@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_calls_from_websocket_to_tls_and_back(tmp_path, authority, settings, ours, talk, transport):
    """Alice is a WebSocket client of kamailio's, whom it can only reach by her connection; Bob is on TLS."""
    with Kamailio(tmp_path / "kamailio", authority, algorithm="SHA-256", websocket=True) as kamailio:
        kamailio.algorithm = "SHA-256"
        port = kamailio.port if transport == "ws" else kamailio.tls_port
        uri = f"sip:127.0.0.1:{port};transport={transport}"
        policy = SecurityPolicy(allow_cleartext_keys=transport == "ws")
        browser = dataclasses.replace(member(settings, "alice", kamailio), outbound_proxy=uri, policy=policy)
        phone = dataclasses.replace(member(settings, "bob", kamailio), policy=policy)
        async with ours(browser) as alice, ours(phone) as bob:
            for side in (alice, bob):
                assert await side.endpoint.register() > 0
            for caller, callee, aor in ((alice, bob, f"sip:bob@{REALM}"), (bob, alice, f"sip:alice@{REALM}")):
                outgoing = await caller.endpoint.call(aor)
                answered = await callee.calls.get()
                heard_by_callee, heard_by_caller = await asyncio.gather(
                    talk(answered, frequency=1000, seconds=1.5), talk(outgoing, frequency=440, seconds=1.5)
                )
                assert_tone(heard_by_caller, 1000)
                assert_tone(heard_by_callee, 440)
                await answered.hangup()
                async with asyncio.timeout(5):
                    assert await outgoing.wait_ended() == "remote"
            contact = alice.endpoint.registration.contact.sip_uri
            assert contact.host.endswith(".invalid")
            assert contact.transport == "ws"
