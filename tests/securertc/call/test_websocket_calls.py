"""Endpoints, the proxy's configuration and the command line over WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys

import pytest

from sdp import MediaSecurity
from securertc import Endpoint, EndpointSettings, SecurityPolicy, SecurityPolicyError, TierStatus, TlsFiles
from securertc.commands.proxy import create_proxy
from securertc.errors import ConfigurationError
from securertc.server.configuration import parse_config
from sip import NameAddr, Request, SipUri, client_context
from sip.registrar.store_memory import MemoryLocationStore
from sip.transport.keep_alive import KeepAliveTimes
from sip.transport.websocket_settings import WebSocketSettings
from sip.user_agent.outbound import OutboundRegistration, OutboundTimes, new_instance
from sip.user_agent.user_agent import UserAgent

pytestmark = pytest.mark.usefixtures("nothing_left")
HOST = "127.0.0.1"


async def test_a_call_over_wss_with_srtp(pair, melody):
    async with pair(transport="wss", caller={"websocket": WebSocketSettings(path="/sip")}) as both:
        uri = both.uri.replace("sip:", "sips:").replace("transport=wss", "transport=ws")
        call = await both.caller.call(uri)
        theirs = await asyncio.wait_for(both.answered.get(), 5)
        heard = asyncio.ensure_future(call.receive_audio())
        await asyncio.gather(call.send_audio(melody), theirs.send_audio(melody), heard)
        tier = call.security.transaction
        assert tier.status is TierStatus.SECURED
        assert tier.evidence[0] == ("first hop", f"WSS {HOST}")
        assert tier.fact("verified name") == "remote.example (SIP URI)"
        assert call.security.media.status is TierStatus.SECURED
        await theirs.hangup()
        assert await call.wait_ended() == "remote"


async def test_srtp_keys_do_not_travel_over_ws(pair):
    async with pair(transport="ws") as both:
        with pytest.raises(SecurityPolicyError):
            await both.caller.call(both.uri)
        assert both.incoming.empty()


@pytest.mark.parametrize("hangs_up", ["caller", "callee"])
async def test_a_caller_that_listens_nowhere(tls_files, hangs_up):
    """As a browser does: all there is of it is the connection that it opened."""
    answered = []
    policy = SecurityPolicy(media=MediaSecurity.OFF)

    def on_call(incoming):
        answered.append(asyncio.ensure_future(incoming.answer()))

    settings = EndpointSettings("sip:bob@remote.example", policy=policy, tls=tls_files)
    browser = EndpointSettings("sip:alice@local.example", policy=policy, tls=TlsFiles(ca_file=tls_files.ca_file))
    async with Endpoint(settings, on_call=on_call) as bob, Endpoint(browser) as alice:
        address = await bob.listen("ws", HOST)
        call = await alice.call(f"sip:bob@remote.example:{address.port};transport=ws;maddr={HOST}")
        theirs = await answered[0]
        first, second = (call, theirs) if hangs_up == "caller" else (theirs, call)
        await first.hangup()
        assert await asyncio.wait_for(second.wait_ended(), 5) == "remote"


def configured(**tables):
    return {"domains": ["example.com"], "listen": [{"transport": "ws", "host": HOST}], **tables}


def test_ports_and_settings_of_a_proxy(tmp_path):
    config = parse_config(configured(websocket={"origins": ["https://a.example"], "ping_interval": 5}), tmp_path)
    assert config.listen[0].port == 80
    assert config.websocket == WebSocketSettings(("https://a.example",), 5.0)
    assert parse_config(configured(), tmp_path).websocket == WebSocketSettings()
    assert parse_config(configured(websocket={"origins": []}), tmp_path).websocket.origins == ()


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ({"websocket": {"origins": ["example.com"]}}, "websocket.origins"),
        ({"websocket": {"origins": ["https://example.com/page"]}}, "websocket.origins"),
        ({"websocket": {"origins": "https://example.com"}}, "websocket.origins"),
        ({"websocket": {"ping_interval": -1}}, "websocket.ping_interval"),
        ({"websocket": {"ping": 1}}, "websocket.ping"),
        ({"listen": [{"transport": "wss", "host": HOST}]}, "tls.certificate"),
        ({"listen": [{"transport": "http", "host": HOST}]}, "listen[0].transport"),
    ],
)
def test_what_is_wrong_in_a_configuration(tmp_path, tables, key):
    with pytest.raises(ConfigurationError) as error:
        parse_config(configured(**tables), tmp_path)
    assert error.value.key == key


@contextlib.asynccontextmanager
async def proxy(tls_files, tmp_path):
    tables = {
        "domains": ["local.example"],
        "listen": [{"transport": one, "host": HOST, "port": 0} for one in ("udp", "wss")],
        "tls": {"certificate": str(tls_files.certificate), "key": str(tls_files.key)},
        "timers": {"t1": 0.05},
    }
    server, service = await create_proxy(parse_config(tables, tmp_path), MemoryLocationStore())
    async with server:
        service.identity = server.proxy.identity
        yield {one.transport: one.port for one in server.listening}


async def run(*arguments):
    command = [sys.executable, "-m", "securertc", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 40)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode()


async def test_the_command_line_registers_pings_and_calls_over_wss(tls_files, tmp_path):
    """By a proxy of ours, to an endpoint on UDP."""
    policy = SecurityPolicy(allow_cleartext_keys=True)

    def on_call(incoming):
        answered.append(asyncio.ensure_future(incoming.answer()))

    answered = []
    async with proxy(tls_files, tmp_path) as ports:
        route = f"sips:local.example:{ports['wss']};transport=ws;maddr={HOST}"
        common = ["--proxy", route, "--ca-file", str(tls_files.ca_file), "--websocket-path", "sip"]
        code, output = await run("register", "sip:alice@local.example", "--once", *common)
        assert code == 0, output
        assert f"registered for 600 s at WSS {HOST}:{ports['wss']}, TLSv1.3, proven to be local.example" in output
        assert re.search(r"sip:alice@[0-9a-f]{12}\.invalid;transport=ws", output.replace("\n", ""))
        code, output = await run("ping", "sip:local.example", *common)
        assert code == 0, output
        assert f"from WSS {HOST}:{ports['wss']}" in output
        settings = EndpointSettings(
            "sip:bob@local.example", policy=policy, outbound_proxy=f"sip:{HOST}:{ports['udp']};lr", media_host=HOST
        )
        async with Endpoint(settings, on_call=on_call) as bob:
            await bob.listen("udp", HOST)
            await bob.register()
            arguments = ["sip:bob@local.example", "--aor", "sip:alice@local.example", "--duration", "0.5"]
            code, output = await run("call", *arguments, "--host", HOST, *common)
            assert code in (0, 1), output
            assert "WSS" in output
            assert len(answered) == 1
            await asyncio.gather(*answered)


async def test_a_flow_that_is_kept_is_a_websocket(tls_files, tmp_path):
    """RFC 5626 over RFC 7118: with instance and reg-id, its keep-alives answered, called by its connection."""
    keep_alive = KeepAliveTimes(connection_interval=(0.1, 0.1), pong_timeout=2.0)
    async with proxy(tls_files, tmp_path) as ports:
        route = SipUri.parse(f"sips:local.example:{ports['wss']};transport=ws;maddr={HOST}")
        bob = UserAgent(tls_client=client_context(ca_file=tls_files.ca_file))
        aor = SipUri.parse("sip:bob@local.example")
        times = OutboundTimes(keep_alive=keep_alive)
        registration = OutboundRegistration(bob, aor, new_instance(), (route,), times=times)
        alice = UserAgent(outbound_proxy=SipUri.parse(f"sip:{HOST}:{ports['udp']};lr"))
        try:
            assert await registration.register() == 600
            (kept,) = registration.flows
            assert kept.outbound
            assert kept.flow.transport == "wss"
            for _ in range(200):
                if kept._keep_alive.answered:
                    break
                await asyncio.sleep(0.02)
            assert kept._keep_alive.answered
            request = Request("OPTIONS", aor)
            request.headers.add("From", "<sip:alice@local.example>;tag=a")
            request.headers.add("To", str(NameAddr(aor)))
            request.headers.add("Call-ID", "1")
            request.headers.add("CSeq", "1 OPTIONS")
            assert (await alice.request(request)).status == 200
        finally:
            await registration.unregister()
            await alice.close()
            await bob.close()
