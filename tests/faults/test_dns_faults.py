"""Name servers that are slow, silent or wrong, under calls through proxies: callers hear in time, nothing is left."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from dns_server import ZoneServer, zone_server
from fault_stage import FAR, stage
from virtual_network import Faults, Network, run

from sip import SipUri
from sip.discovery.dns_records import HostAddress, Question, Srv
from sip.discovery.dns_resolver import DnsResolver
from sip.discovery.locator import DISCOVERY_TIMEOUT, Locator
from sip.errors import DiscoveryError
from sip.proxy.dns_resolver import DnsProxyResolver


class SlowResolver:
    """Answers after `delay` seconds, never where that is None; `failing` names fail."""

    def __init__(self, delay, failing=()):
        self.delay = delay
        self.failing = failing
        self.asked = self.answered = 0
        self.records = {
            Question("_sip._udp.remote.edu", "SRV"): (
                Srv(1, 1, 5060, "dead.remote.edu"),
                Srv(2, 1, 5060, "sip.remote.edu"),
            ),
            Question("sip.remote.edu", "A"): (HostAddress(FAR),),
            Question("dead.remote.edu", "A"): (HostAddress("10.0.0.99"),),
        }

    async def resolve(self, question):
        self.asked += 1
        await asyncio.sleep(10**6 if self.delay is None else self.delay)
        self.answered += 1
        if question.name in self.failing:
            raise DiscoveryError("no answer", domain=question.name)
        return self.records.get(question, ())


def calls_by(resolver, *, count=10, faults=None):
    """How calls end, and how long the longest took, when the near proxy finds the far one by this resolver."""

    async def script():
        async with stage(network, "triangle") as scene:
            locator = Locator(resolver, address_types=("A",))
            scene.proxies[0]._resolver = DnsProxyResolver(locator, transports=("udp",))
            loop = asyncio.get_running_loop()
            began = loop.time()
            outcomes = Counter(await asyncio.gather(*(scene.call() for _ in range(count))))
            return outcomes, loop.time() - began

    network = Network(1, faults or Faults())
    return run(network, script)


def test_dns_that_never_answers():
    outcomes, took = calls_by(resolver := SlowResolver(None))
    assert outcomes == {500: 10}  # 503 of a hop that is not found (RFC 3263 4.3), 500 upstream
    assert DISCOVERY_TIMEOUT <= took < DISCOVERY_TIMEOUT + 2
    assert resolver.asked
    assert not resolver.answered


@pytest.mark.parametrize("faults", [Faults(), Faults(loss=0.2, jitter=0.5)])
def test_dns_that_is_slow(faults):
    """Meanwhile the caller's INVITEs are answered 100, and repeat nothing; the first server does not live."""
    outcomes, _ = calls_by(SlowResolver(2.0), faults=faults)
    assert outcomes == {"finished": 10}


def test_dns_that_fails_for_one_server_of_two():
    outcomes, took = calls_by(SlowResolver(0.1, failing={"dead.remote.edu"}))
    assert outcomes == {"finished": 10}
    assert took < 10  # nobody waited for the server without an address


def test_a_call_that_is_cancelled_while_dns_is_asked():
    async def script():
        async with stage(network, "triangle") as scene:
            scene.directories[0].delay = 60.0
            invite = scene.alice.invite(scene.request("INVITE"))
            running = asyncio.ensure_future(invite.run())
            await asyncio.sleep(1)
            invite.cancel()
            await asyncio.wait((running,))
            return type(running.exception()).__name__

    network = Network()
    assert run(network, script) == "CallCancelledError"


def test_a_proxy_that_is_closed_while_dns_is_asked():
    async def script():
        async with stage(network, "triangle") as scene:
            scene.directories[0].delay = 60.0
            running = asyncio.ensure_future(scene.call())
            await asyncio.sleep(1)
            assert scene.proxies[0].questions == 1
            await scene.proxies[0].close()
            assert scene.proxies[0].questions == 0
            scene.proxies.clear()
            return await running

    network = Network()
    assert run(network, script) == "CallCancelledError"


@pytest.mark.usefixtures("nothing_left")
async def test_a_silent_name_server_costs_no_more_than_its_time():
    """On real sockets: many questions at once to a server that answers none, some of them given up early."""
    async with zone_server(ZoneServer(spoil={"remote.edu": lambda wire: None})) as server:
        resolver = DnsResolver([f"127.0.0.1:{server.port}"], timeout=0.5)
        locator = Locator(resolver, timeout=2.0)
        uri = SipUri.parse("sip:remote.edu")
        asking = [asyncio.ensure_future(locator.locate(uri, transports=("udp",))) for _ in range(10)]
        await asyncio.sleep(0.1)
        for one in asking[:5]:
            one.cancel()
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(one) for one in outcomes] == [asyncio.CancelledError] * 5 + [DiscoveryError] * 5
