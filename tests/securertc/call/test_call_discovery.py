"""Calls by name, over a name server on loopback: the next server, and failures that end in time and leave nothing."""

from __future__ import annotations

import asyncio
import os

import dns.flags
import dns.message
import pytest
from dns_server import ZoneServer, zone_server

from sdp import MediaSecurity
from securertc import Endpoint, EndpointSettings, SecurityPolicy
from sip import DiscoveryError, Timers, TransportError
from sip.discovery.dns_resolver import DnsResolver

OPEN = SecurityPolicy(media=MediaSecurity.OFF)
FAST = Timers(t1=0.02, t2=0.16, t4=0.05, completed_invite=0.3)


def endpoint(zone, name, *, patience=0.6, **more):
    resolver = DnsResolver([f"127.0.0.1:{zone.port}"], timeout=patience)
    settings = EndpointSettings(f"sip:{name}@example.org", policy=OPEN, timers=FAST, resolver=resolver)
    return Endpoint(settings, **more)


def truncated(wire):
    """As from a server whose answer does not fit: asked again over TCP, it comes whole."""
    message = dns.message.from_wire(wire)
    message.answer.clear()
    message.flags |= dns.flags.TC
    return message.to_wire()


@pytest.mark.parametrize("spoil", [None, truncated])
async def test_a_call_goes_to_the_server_that_works(nothing_left, spoil):
    arrived = asyncio.Queue()
    async with zone_server() as zone, endpoint(zone, "bob", on_call=arrived.put_nowait) as bob:
        address = await bob.listen("tcp", "127.0.0.1")
        zone.records.update(
            {
                ("example.com", "NAPTR"): ['1 1 "s" "SIP+D2T" "" _sip._tcp.example.com.'],
                ("_sip._tcp.example.com", "SRV"): [
                    "1 0 1 host.example.com.",
                    f"2 0 {address.port} host.example.com.",
                ],
                ("host.example.com", "A"): ["127.0.0.1"],
            }
        )
        if spoil is not None:
            zone.spoil = {name: spoil for name, _ in zone.records}
        async with endpoint(zone, "alice", patience=5.0) as alice:
            calling = asyncio.ensure_future(alice.call("sip:bob@example.com"))
            answered = await (await arrived.get()).answer()
            call = await calling
            await call.hangup()
            await answered.wait_ended()
    if spoil is not None:
        assert zone.asked.count("NAPTR example.com") == 2


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        (ZoneServer({}), "no address"),
        (ZoneServer({}, spoil={"example.com": lambda _: None}), "NAPTR example.com"),
        (ZoneServer({}, spoil={"example.com": lambda wire: wire[:13]}), "NAPTR example.com"),
        (ZoneServer({("_sip._udp.example.com", "SRV"): ["0 0 0 ."]}), "no such service"),
        (ZoneServer({("example.com", "CNAME"): ["example.com."]}), "example.com"),
    ],
    ids=["nxdomain", "silence", "cut", "no-service", "circle"],
)
async def test_without_servers_a_call_says_why_in_time(nothing_left, zone, said):
    async with zone_server(zone):
        descriptors = len(os.listdir("/proc/self/fd"))
        async with endpoint(zone, "alice") as alice, asyncio.timeout(10):
            with pytest.raises(DiscoveryError, match=said):
                await alice.call("sip:bob@example.com")
            assert alice.user_agent.active_transactions == 0
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_wrong_data_leads_to_a_clear_error(nothing_left):
    """The zone leads to a port where nobody listens, and to an address that is none of a SIP server."""
    zone = ZoneServer(
        {
            ("_sip._tcp.example.com", "SRV"): ["1 0 1 host.example.com.", "2 0 2 host.example.com."],
            ("host.example.com", "A"): ["127.0.0.1"],
        }
    )
    async with zone_server(zone), endpoint(zone, "alice") as alice:
        with pytest.raises(TransportError, match="refused"):
            await alice.call("sip:bob@example.com;transport=tcp")


async def test_a_call_that_is_given_up_while_dns_is_silent(nothing_left):
    zone = ZoneServer({}, spoil={"example.com": lambda _: None})
    async with zone_server(zone), endpoint(zone, "alice", patience=60.0) as alice:
        calling = asyncio.ensure_future(alice.call("sip:bob@example.com"))
        while not zone.asked:  # noqa: ASYNC110  # a name server has no event for this
            await asyncio.sleep(0.01)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
