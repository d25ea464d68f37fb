"""JsSIP, which runs in most browsers that speak SIP, over WebSocket: against our proxy and our endpoint."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from leaks import counted
from peers.jssip import install, jssip_phone

from sdp import MediaSecurity
from securertc import Endpoint, EndpointSettings, SecurityPolicy, TlsFiles
from securertc.commands.proxy import create_proxy, open_store
from securertc.server.configuration import parse_config
from sip import Credentials

pytestmark = pytest.mark.interop("node", "npm")

DOMAIN = "example.com"
PASSWORDS = {"alice": "alice's secret", "bob": "bob's secret"}
OPEN = SecurityPolicy(media=MediaSecurity.OFF)
HOST = "127.0.0.1"


@pytest.fixture(scope="module", autouse=True)
def jssip():
    install()


@pytest.fixture(autouse=True)
async def nothing_left(jssip):
    async with counted():
        yield


@contextlib.asynccontextmanager
async def proxy(authority, tmp_path):
    """The proxy as its configuration file has it, on all transports but TCP; gives the port of each."""
    (tmp_path / "users").write_text("".join(f"{name}:{password}\n" for name, password in PASSWORDS.items()))
    authority.issue("proxy")
    for suffix in (".crt", ".key"):
        (tmp_path / f"proxy{suffix}").write_bytes((authority.directory / f"proxy{suffix}").read_bytes())
    config = parse_config(
        {
            "domains": [DOMAIN],
            "listen": [{"transport": one, "host": HOST, "port": 0} for one in ("udp", "tls", "ws", "wss")],
            "tls": {"certificate": "proxy.crt", "key": "proxy.key", "ca_file": str(authority.ca_path)},
            "authentication": {"realm": DOMAIN, "users": "users"},
            "websocket": {"origins": ["https://phone.example.com"]},
            "timers": {"t1": 0.05, "t2": 0.4},
        },
        tmp_path,
    )
    server, service = await create_proxy(config, open_store(config.location))
    async with server:
        service.identity = server.proxy.identity
        yield {one.transport: one.port for one in server.listening}
    assert server.connections == 0


def phone(ports, authority, transport, user="alice", **more):
    url = f"{transport}://{HOST}:{ports[transport]}/any/path"
    return jssip_phone(url, f"sip:{user}@{DOMAIN}", PASSWORDS[user], ca_path=authority.ca_path, **more)


@contextlib.asynccontextmanager
async def endpoint(ports, authority, transport, user="bob"):
    """Of ours, registered over a transport; answers what comes."""
    answered = asyncio.Queue()
    tasks = []

    async def answer(incoming):
        answered.put_nowait(await incoming.answer())

    settings = EndpointSettings(
        f"sip:{user}@{DOMAIN}",
        policy=OPEN,
        tls=TlsFiles(ca_file=authority.ca_path),
        credentials=(Credentials(DOMAIN, user, PASSWORDS[user], destinations=(HOST, DOMAIN)),),
        outbound_proxy=f"sip:{HOST}:{ports[transport]};transport={transport}",
        media_host=HOST,
    )
    on_call = lambda incoming: tasks.append(asyncio.ensure_future(answer(incoming)))  # noqa: E731  # kept from the collector
    async with Endpoint(settings, on_call=on_call) as made:
        if transport == "udp":
            await made.listen("udp", HOST)
        await made.register()
        yield made, answered
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("transport", ["ws", "wss"])
async def test_it_registers_by_digest_and_is_reached(authority, tmp_path, transport):
    async with proxy(authority, tmp_path) as ports, phone(ports, authority, transport) as jssip:
        await jssip.expect("connected")
        await jssip.do("register")
        contact = (await jssip.expect("registered"))["contact"]
        assert ".invalid;transport=ws>" in contact
        async with endpoint(ports, authority, "udp") as (bob, _):
            calling = asyncio.ensure_future(bob.call(f"sip:alice@{DOMAIN}"))
            await jssip.expect("session")
            await jssip.do("answer")
            call = await calling
            await jssip.expect("confirmed")
            await call.hangup()
            assert (await jssip.expect("ended"))["originator"] == "remote"
        await jssip.do("unregister")
        await jssip.expect("unregistered")


@pytest.mark.parametrize(("near", "far"), [("ws", "udp"), ("wss", "tls"), ("wss", "wss")])
async def test_it_calls_through_the_proxy(authority, tmp_path, near, far):
    async with proxy(authority, tmp_path) as ports, phone(ports, authority, near) as jssip:
        await jssip.expect("connected")
        await jssip.do("register")
        await jssip.expect("registered")
        async with endpoint(ports, authority, far) as (_, answered):
            for ends in ("alice", "bob"):
                await jssip.do("call", uri=f"sip:bob@{DOMAIN}")
                call = await asyncio.wait_for(answered.get(), 10)
                assert "m=audio" in (await jssip.expect("confirmed"))["remote"]
                if ends == "alice":
                    await jssip.do("hang_up")
                    await asyncio.wait_for(call.wait_ended(), 10)
                else:
                    await call.hangup()
                assert (await jssip.expect("ended"))["originator"] == ("local" if ends == "alice" else "remote")
            await jssip.do("options", uri=f"sip:bob@{DOMAIN}")
            assert (await jssip.expect("answered"))["status"] == 200


async def test_two_of_them_and_a_call_that_is_cancelled(authority, tmp_path):
    async with (
        proxy(authority, tmp_path) as ports,
        phone(ports, authority, "ws") as alice,
        phone(ports, authority, "wss", "bob") as bob,
    ):
        for one in (alice, bob):
            await one.expect("connected")
            await one.do("register")
            await one.expect("registered")
        await alice.do("call", uri=f"sip:bob@{DOMAIN}")
        await bob.expect("session")
        await alice.expect("progress")
        await alice.do("hang_up")
        assert (await bob.expect("failed"))["cause"] == "Canceled"
        assert (await alice.expect("failed"))["cause"] == "Canceled"


async def test_a_wrong_password_and_a_page_of_another_origin(authority, tmp_path):
    async with proxy(authority, tmp_path) as ports:
        url = f"ws://{HOST}:{ports['ws']}/"
        async with jssip_phone(url, f"sip:alice@{DOMAIN}", "a guess", ca_path=authority.ca_path) as jssip:
            await jssip.expect("connected")
            await jssip.do("register")
            await jssip.expect("registration_failed")
        async with phone(ports, authority, "ws", origin="https://evil.example") as jssip:
            assert (await jssip.expect("disconnected"))["error"]
        async with phone(ports, authority, "ws", origin="https://phone.example.com") as jssip:
            await jssip.expect("connected")


async def test_it_calls_an_endpoint_of_ours_without_a_proxy(authority):
    answered = asyncio.Queue()
    tasks = []

    async def answer(incoming):
        answered.put_nowait(await incoming.answer())

    certificate = authority.issue("endpoint")
    settings = EndpointSettings(f"sip:bob@{HOST}", policy=OPEN, tls=TlsFiles(certificate, ca_file=authority.ca_path))
    on_call = lambda incoming: tasks.append(asyncio.ensure_future(answer(incoming)))  # noqa: E731  # kept from the collector
    async with Endpoint(settings, on_call=on_call) as bob:
        address = await bob.listen("wss", HOST)
        url = f"wss://{HOST}:{address.port}/"
        async with jssip_phone(url, f"sip:alice@{HOST}", "", ca_path=authority.ca_path) as jssip:
            await jssip.expect("connected")
            await jssip.do("call", uri=f"sip:bob@{HOST}:{address.port};transport=ws")
            call = await asyncio.wait_for(answered.get(), 10)
            await jssip.expect("confirmed")
            assert call.security.transaction.evidence[0] == ("first hop", f"WSS {HOST}")
            await call.hangup()
            assert (await jssip.expect("ended"))["originator"] == "remote"
        await asyncio.gather(*tasks)
