"""The triangle on real sockets, its proxies joined by a network that resets, falls silent or leads nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import functools

import pytest
from faulty_relay import faulty_relay

import securertc.demo.triangle
from securertc import CallRefusedError, Endpoint, EndpointSettings
from securertc.demo.embedded_zone import records_of_domain
from securertc.demo.triangle import HOST, Triangle, TriangleUser
from securertc.server.configuration import ProxyConfig
from sip import Credentials, Timers

ALICE = TriangleUser("alice", "local.edu", "phone1.local.edu", "alice's secret")
JOE = TriangleUser("joe", "remote.edu", "phone31.remote.edu", "joe's secret")
# Time-outs, 64*T1, of 1.9 s.
TIMERS = Timers(t1=0.03, t2=0.24, t4=0.3, completed_invite=1.9)

pytestmark = pytest.mark.usefixtures("nothing_left")


class Scene:
    def __init__(self, triangle, relay, alice, joe, calls):
        self.triangle, self.relay, self.alice, self.joe, self.calls = triangle, relay, alice, joe, calls

    async def call(self, *, hangs_up="alice"):
        """How a call of Alice's to Joe ends: "finished", or the status that it is refused with."""
        answered = len(self.calls)
        try:
            call = await self.alice.call(JOE.aor)
        except CallRefusedError as error:
            return error.status
        theirs = await self.calls[answered]
        first, second = (call, theirs) if hangs_up == "alice" else (theirs, call)
        await first.hangup()
        assert await asyncio.wait_for(second.wait_ended(), 5) == "remote"
        return "finished"


@pytest.fixture
async def scene(tmp_path, monkeypatch):
    """Both registered; the way from local.edu to remote.edu leads through a relay. Afterwards all is counted."""
    monkeypatch.setattr(securertc.demo.triangle, "ProxyConfig", functools.partial(ProxyConfig, timers=TIMERS))
    calls = []

    def on_call(incoming):
        calls.append(asyncio.ensure_future(incoming.answer()))

    async with Triangle((ALICE, JOE), tmp_path, algorithm="SHA-256", on_hop=lambda hop: None) as triangle:
        async with contextlib.AsyncExitStack() as stack:
            relay = await stack.enter_async_context(faulty_relay(triangle.port("remote.edu")))
            records = records_of_domain("local.edu", HOST, triangle.port("local.edu"))
            triangle.zone.replace({**records, **records_of_domain("remote.edu", HOST, relay.port)})
            phones = []
            for user in (ALICE, JOE):
                settings = EndpointSettings(
                    user.aor,
                    tls=triangle.files_of(user),
                    credentials=(Credentials(user.domain, user.name, user.password),),
                    outbound_proxy=triangle.outbound_proxy(user),
                    timers=TIMERS,
                )
                phones.append(await stack.enter_async_context(Endpoint(settings, on_call=on_call)))
                await phones[-1].register()
            yield Scene(triangle, relay, *phones, calls)
            for _ in range(600):
                if not left(triangle, phones):
                    break
                await asyncio.sleep(0.01)
            assert not left(triangle, phones)
        await asyncio.gather(*calls, return_exceptions=True)


def left(triangle, phones):
    found = {}
    for domain, server in triangle.servers.items():
        proxy = server.proxy
        found[domain] = proxy.active_transactions + proxy.active_contexts + server.questions + proxy.admission.total
    for phone in phones:
        agent = phone.user_agent
        found[phone.aor.user] = agent.active_transactions + agent.active_dialogs + len(phone.calls)
    return {name: count for name, count in found.items() if count}


@pytest.mark.parametrize("offset", [0, 300, 2500, 4000, 6000])
async def test_a_reset_between_the_proxies(scene, offset):
    """In the handshake, or in the middle of what follows: refused at once, or finished; the next call gets through."""
    scene.relay.reset_after = offset
    outcome = await asyncio.wait_for(scene.call(), 10)
    assert outcome in {"finished", 500, 503}
    assert outcome != "finished" or offset > 300
    scene.relay.reset_after = None
    for hangs_up in ("alice", "joe"):
        assert await scene.call(hangs_up=hangs_up) == "finished"


async def test_a_connection_between_the_proxies_goes_deaf(scene):
    assert await scene.call() == "finished"
    scene.relay.deaf = True
    # Where the target was chosen once, the request times out; the connection goes with it.
    assert await scene.call() in {408, 500}
    scene.relay.deaf = False
    assert await scene.call() == "finished"
    assert scene.relay.connections >= 2


async def test_a_call_stands_while_its_connection_does_not(scene):
    """Reset under an established call: the BYE finds its way from either side."""
    for hangs_up in ("alice", "joe"):
        call = await scene.alice.call(JOE.aor)
        theirs = await scene.calls[-1]
        for server in scene.triangle.servers.values():
            for flow in [one for one in server._transports._flows if not one.accepted]:
                flow.abort()
        await asyncio.sleep(0.05)
        first, second = (call, theirs) if hangs_up == "alice" else (theirs, call)
        await first.hangup()
        assert await asyncio.wait_for(second.wait_ended(), 5) == "remote"


async def test_nobody_at_the_address_that_dns_gives(scene):
    zone = records_of_domain("remote.edu", HOST, 1)
    scene.triangle.zone.replace({**records_of_domain("local.edu", HOST, 1), **zone})
    assert await scene.call() == 500
