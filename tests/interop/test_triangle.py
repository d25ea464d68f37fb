"""The SIP triangle with kamailio as the proxy of the other domain, before ours and behind it, over proven TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from peers.authority import TestAuthority
from peers.baresip import Baresip
from peers.kamailio import PASSWORDS, REALM, Kamailio
from peers.process import free_ports
from peers.tones import assert_tone, read_samples

from securertc import CallRefusedError, Credentials, SecurityPolicy, TierStatus
from securertc.commands.proxy import create_proxy
from securertc.demo.embedded_zone import EmbeddedZone, records_of_domain
from securertc.server.configuration import (
    AuthenticationSettings,
    ListenSettings,
    LocationSettings,
    ProxyConfig,
    TlsSettings,
)
from sip.discovery.locator import Locator
from sip.proxy.dns_resolver import DnsProxyResolver
from sip.proxy.server import ProxyServer
from sip.registrar.store_memory import MemoryLocationStore

pytestmark = [pytest.mark.interop("kamailio"), pytest.mark.timeout(60)]

HOST = "127.0.0.1"
DOMAIN = "ours.test"
PASSWORD = "joe's secret"


@dataclass
class Ends:
    """The two proxies, and what makes settings for a user of each."""

    kamailio: Kamailio
    server: ProxyServer
    port: int


@contextlib.asynccontextmanager
async def our_proxy(
    directory: Path, authority: TestAuthority, trusted: TestAuthority, port: int, kamailio_port: int, algorithm: str
) -> AsyncIterator[ProxyServer]:
    """Our proxy for ours.test, with a certificate of `authority`, which demands one of `trusted`."""
    users = directory / "users"
    users.touch(mode=0o600)
    users.write_text(f"joe:{PASSWORD}\n")
    certificate = authority.issue("ours")
    config = ProxyConfig(
        listen=(ListenSettings("tls", HOST, port),),
        domains=frozenset((DOMAIN,)),
        tls=TlsSettings(certificate, certificate, trusted.ca_path, require_client_certificate=True, prove_domains=True),
        location=LocationSettings("memory"),
        authentication=AuthenticationSettings(DOMAIN, users=users, algorithms=(algorithm,)),
    )
    zone = EmbeddedZone(records_of_domain(REALM, HOST, kamailio_port))
    resolver = DnsProxyResolver(Locator(zone, address_types=("A",)), transports=("tls",))
    server, service = await create_proxy(config, MemoryLocationStore(), resolver=resolver)
    async with server:
        service.identity = server.proxy.identity
        yield server


@contextlib.asynccontextmanager
async def ends_at(
    directory: Path, authority: TestAuthority, ours: TestAuthority | None = None, *, algorithm: str = "SHA-256"
) -> AsyncIterator[Ends]:
    """Both proxies; ours has a certificate of another authority where `ours` is one."""
    port = free_ports()
    with Kamailio(directory / "kamailio", authority, algorithm="SHA-256", peer_port=port) as kamailio:
        async with our_proxy(directory, ours or authority, authority, port, kamailio.tls_port, algorithm) as server:
            yield Ends(kamailio, server, port)


def theirs(settings, name, ends):
    return settings(
        name,
        aor=f"sip:{name}@{REALM}",
        policy=SecurityPolicy(),
        credentials=(Credentials(REALM, name, PASSWORDS[name]),),
        outbound_proxy=f"sip:{HOST}:{ends.kamailio.tls_port};transport=tls;lr",
    )


def own(settings, ends):
    return settings(
        "joe",
        aor=f"sip:joe@{DOMAIN}",
        policy=SecurityPolicy(),
        credentials=(Credentials(DOMAIN, "joe", PASSWORD),),
        outbound_proxy=f"sip:{HOST}:{ends.port};transport=tls;lr",
    )


@pytest.mark.parametrize("hangs_up", ["caller", "callee"])
@pytest.mark.parametrize("first", ["ours", "kamailio"])
async def test_calls_across_the_two_domains(tmp_path, authority, settings, ours, talk, first, hangs_up):
    async with (
        ends_at(tmp_path, authority) as ends,
        ours(theirs(settings, "alice", ends)) as alice,
        ours(own(settings, ends)) as joe,
    ):
        for side in (alice, joe):
            assert await side.endpoint.register() > 0
        caller, callee, aor = (
            (joe, alice, f"sip:alice@{REALM}") if first == "ours" else (alice, joe, f"sip:joe@{DOMAIN}")
        )
        outgoing = await caller.endpoint.call(aor)
        answered = await callee.calls.get()
        at_callee, at_caller = await asyncio.gather(
            talk(answered, frequency=1000, seconds=1.2), talk(outgoing, frequency=440, seconds=1.2)
        )
        assert_tone(at_caller, 1000)
        assert_tone(at_callee, 440)
        path = outgoing.security.body.fact("visible to")
        assert str(ends.kamailio.tls_port) in path
        assert str(ends.port) in path
        one, other = (outgoing, answered) if hangs_up == "caller" else (answered, outgoing)
        await one.hangup()
        async with asyncio.timeout(5):
            assert await other.wait_ended() == "remote"
        assert "REQ BYE" in ends.kamailio.log


async def test_kamailio_refuses_a_certificate_of_an_authority_it_does_not_trust(tmp_path, authority, settings, ours):
    stranger = TestAuthority(tmp_path / "stranger")
    async with (
        ends_at(tmp_path, authority, stranger) as ends,
        ours(theirs(settings, "alice", ends)) as alice,
    ):
        await alice.endpoint.register()
        with pytest.raises(CallRefusedError):
            await alice.endpoint.call(f"sip:joe@{DOMAIN}")
        assert ends.server.proxy.active_transactions == 0
        assert "certificate verify failed" in ends.kamailio.log  # OpenSSL's words, from its connection to us


async def test_nobody_calls_in_the_name_of_a_domain_that_he_does_not_prove(tmp_path, authority, settings, ours):
    """A phone with a certificate of its own, but not of peers.test, calls Joe as alice@peers.test."""
    async with (
        ends_at(tmp_path, authority) as ends,
        ours(own(settings, ends)) as joe,
        ours(
            settings(
                "mallory",
                aor=f"sip:alice@{REALM}",
                policy=SecurityPolicy(),
                outbound_proxy=f"sip:{HOST}:{ends.port};transport=tls;lr",
            )
        ) as mallory,
    ):
        await joe.endpoint.register()
        with pytest.raises(CallRefusedError) as refused:
            await mallory.endpoint.call(f"sip:joe@{DOMAIN}")
        assert refused.value.status == 403
        assert joe.calls.empty()


@pytest.mark.interop("kamailio", "baresip")
@pytest.mark.parametrize("calls", ["baresip", "alice"])
async def test_baresip_across_the_triangle(tmp_path, authority, settings, ours, talk, calls):
    """baresip registers with us over TLS, and talks by SRTP with a user of kamailio's. It knows MD5 only."""
    async with (
        ends_at(tmp_path, authority, algorithm="MD5") as ends,
        ours(theirs(settings, "alice", ends)) as alice,
    ):
        await alice.endpoint.register()
        proxy = f"sip:{HOST}:{ends.port};transport=tls"
        account = (
            f'<sip:joe@{DOMAIN};transport=tls>;outbound="{proxy}";regint=600;auth_user=joe;auth_pass="{PASSWORD}"'
            ";mediaenc=srtp-mand;audio_codecs=pcmu;answermode=auto"
        )
        with Baresip(tmp_path / "joe", authority, name="joe", account=account, tone=1000) as joe:
            await asyncio.to_thread(joe.await_event, "REGISTER_OK")
            if calls == "baresip":
                joe.dial(f"sip:alice@{REALM}")
                async with asyncio.timeout(10):
                    call = await alice.calls.get()
            else:
                call = await alice.endpoint.call(f"sip:joe@{DOMAIN}")
            heard = await talk(call, frequency=440, seconds=2.5)
            report = call.security
            await call.hangup()
            await asyncio.to_thread(joe.await_event, "CALL_CLOSED")
            await asyncio.sleep(0.3)
            assert_tone(heard, 1000)
            assert_tone(read_samples(joe.decoded_audio()), 440)
            assert report.media.status is TierStatus.SECURED
            assert report.media.fact("authentication failures") == "0"
