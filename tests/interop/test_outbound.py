"""Flows with peers (RFC 5626): baresip registers over one with us and is reached by it; kamailio answers our pings."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from peers.baresip import Baresip
from peers.kamailio import PASSWORDS, REALM, Kamailio

from securertc.server.service import ProxyService
from sip import (
    Credentials,
    DigestClient,
    LocationService,
    MemoryLocationStore,
    RegistrarSettings,
    Request,
    SipUri,
    client_context,
    server_context,
)
from sip.proxy.server import Listener, ProxyServer
from sip.user_agent.outbound import OutboundRegistration, new_instance
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.timeout(60)
AOR = "bob@example.com"


@pytest.mark.interop("baresip")
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_baresip_is_reached_by_its_flow(tmp_path, authority, transport):
    sent = []
    store = MemoryLocationStore()
    service = await LocationService.create(store, RegistrarSettings(frozenset(("example.com",))))
    hooks = ProxyService(frozenset(("example.com",)), location=service)
    tls = server_context(authority.issue("registrar")) if transport == "tls" else None
    server = ProxyServer(
        (Listener(transport, "127.0.0.1", tls=tls), *([] if transport == "udp" else [Listener("udp", "127.0.0.1")])),
        domains=frozenset(("example.com",)),
        location=hooks,
        hooks=hooks,
        observer=lambda data, flow: sent.append((data, flow)),
    )
    async with server:
        hooks.identity = server.proxy.identity
        proxy = f"sip:127.0.0.1:{server.listening[0].port};transport={transport};lr"
        account = f'<sip:{AOR};transport={transport}>;outbound="{proxy}";sipnat=outbound;regint=600;auth_pass=none'
        with Baresip(tmp_path / "bob", authority, name="bob", account=account, tone=1000) as peer:
            # Its event may come before we listen for it.
            for _ in range(500):
                found = (await store.load(AOR)).bindings
                if found:
                    break
                await asyncio.sleep(0.02)
            [binding] = found
            assert binding.reg_id == 1
            assert binding.instance.startswith("urn:uuid:")
            flow = server.tokens.flow_of(binding.flow)
            accepted = next(data for data, _ in sent if data.startswith(b"SIP/2.0 200"))
            assert b"Require: outbound" in accepted
            if transport != "udp":
                assert flow.remote[1] not in (peer.sip_port, peer.tls_port)  # not where it listens
            caller = UserAgent()
            udp = next(one.port for one in server.listening if one.transport == "udp")
            request = Request("OPTIONS", SipUri.parse(f"sip:{AOR}"))
            request.headers.add("Route", f"<sip:127.0.0.1:{udp};lr>")
            request.headers.add("Max-Forwards", "70")
            request.headers.add("From", "<sip:alice@example.com>;tag=a")
            request.headers.add("To", f"<sip:{AOR}>")
            request.headers.add("Call-ID", secrets.token_hex(8))
            request.headers.add("CSeq", "1 OPTIONS")
            try:
                assert (await caller.request(request)).status == 200
            finally:
                await caller.close()
            [way] = [by for data, by in sent if data.startswith(b"OPTIONS ")]
            assert way.remote == flow.remote


@pytest.mark.interop("kamailio")
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_kamailio_answers_our_keep_alives(tmp_path, authority, transport):
    with Kamailio(tmp_path / "kamailio", authority, outbound=True) as peer:
        home = Credentials(REALM, "alice", PASSWORDS["alice"])
        agent = UserAgent(
            digest=DigestClient((home,), algorithms=("MD5",)),
            tls_client=client_context(ca_file=authority.ca_path),
        )
        port = peer.tls_port if transport == "tls" else peer.port
        proxy = SipUri.parse(f"sip:127.0.0.1:{port};transport={transport};lr")
        aor, instance = SipUri.parse(f"sip:alice@{REALM}"), new_instance()
        registration = OutboundRegistration(agent, aor, instance, [proxy])
        try:
            await registration.register()
            [kept] = registration.flows
            assert kept.outbound
            [binding] = kept.registration.bindings
            assert binding.parameter("reg-id") == "1"
            assert binding.parameter("+sip.instance") == f"<{instance}>"
            assert kept.registration.response.headers.get("Flow-Timer") == "1"
            for _ in range(500):
                if kept._keep_alive is None or kept._keep_alive.answered:
                    break
                await asyncio.sleep(0.02)
            assert kept._keep_alive.answered
            await registration.unregister()
        finally:
            await registration.stop()
            await agent.close()
