"""Discovery over real DNS: NSD with the zone of a domain, and a name server that misbehaves."""

from __future__ import annotations

import asyncio
import os
import struct

import dns.rcode
import dns.resolver
import pytest
from dns_server import ZoneServer, zone_server
from peers.nsd import Nsd

from sip import DiscoveryError, SipUri, Via
from sip.discovery.dns_records import HostAddress, Naptr, Question, Srv
from sip.discovery.dns_resolver import DnsResolver
from sip.discovery.locator import Locator

ALL = ("tls", "tcp", "udp")
ZONE = """\
@           IN NAPTR 50 50 "s" "SIPS+D2T" "" _sips._tcp.remote.edu.
@           IN NAPTR 90 50 "s" "SIP+D2T" "" _sip._tcp.remote.edu.
@           IN NAPTR 100 50 "s" "SIP+D2U" "" _sip._udp.remote.edu.
_sips._tcp  IN SRV 10 60 5061 proxy1.remote.edu.
_sips._tcp  IN SRV 10 20 5061 proxy2.remote.edu.
_sips._tcp  IN SRV 20 0 5071 backup.remote.edu.
_sip._udp   IN SRV 0 0 5060 proxy1.remote.edu.
_sip._tcp   IN SRV 0 0 0 .
proxy1      IN A 127.0.0.1
proxy2      IN A 127.0.0.2
proxy2      IN AAAA ::1
backup      IN CNAME proxy1.remote.edu.
ns          IN A 127.0.0.1
loop1       IN CNAME loop2.remote.edu.
loop2       IN CNAME loop1.remote.edu.
"""
ZONE += "".join(f"many IN A 10.0.{index // 250}.{index % 250}\n" for index in range(500))


@pytest.fixture(scope="module")
def nsd(tmp_path_factory):
    with Nsd(tmp_path_factory.mktemp("nsd"), {"remote.edu": ZONE}) as server:
        server.await_answers()
        yield server


def resolver_of(server, **more):
    return DnsResolver([f"127.0.0.1:{server.port}"], **more)


def locator_of(server, *, timeout=5.0, **more):
    return Locator(resolver_of(server, timeout=2.0), randint=lambda low, high: low, timeout=timeout, **more)


async def located(server, uri, **more):
    found = await locator_of(server).locate(SipUri.parse(uri), transports=ALL, **more)
    return [str(target) for target in found]


@pytest.mark.interop("nsd")
async def test_a_domain_of_a_real_name_server(nsd):
    secured = ["tls:127.0.0.1:5061", "tls:127.0.0.2:5061", "tls:[::1]:5061", "tls:127.0.0.1:5071"]
    assert sorted(await located(nsd, "sip:joe@remote.edu")) == sorted(secured)
    assert (await located(nsd, "sips:joe@REMOTE.edu."))[-1] == "tls:127.0.0.1:5071"
    assert await located(nsd, "sip:joe@remote.edu;transport=udp") == ["udp:127.0.0.1:5060"]
    assert await located(nsd, "sip:joe@proxy2.remote.edu:5070") == ["udp:127.0.0.2:5070", "udp:[::1]:5070"]
    assert await located(nsd, "sip:joe@backup.remote.edu") == ["udp:127.0.0.1:5060"]
    with pytest.raises(DiscoveryError, match="no such service"):
        await located(nsd, "sip:joe@remote.edu;transport=tcp")
    for missing in ("sip:nobody.remote.edu", "sip:unserved.example"):
        with pytest.raises(DiscoveryError):
            await located(nsd, missing)
    via = Via.parse("SIP/2.0/TLS remote.edu;branch=z9hG4bK1")
    answers = await locator_of(nsd).locate_response(via, transports=ALL)
    assert {one.name for one in answers} == {"remote.edu"}
    assert str(answers[-1]) == "tls:127.0.0.1:5071"


@pytest.mark.interop("nsd")
async def test_records_as_a_real_name_server_gives_them(nsd):
    resolver = resolver_of(nsd)
    naptr = await resolver.resolve(Question("remote.edu", "NAPTR"))
    assert Naptr(50, 50, "s", "SIPS+D2T", "", "_sips._tcp.remote.edu") in naptr
    assert await resolver.resolve(Question("_sip._tcp.remote.edu", "SRV")) == (Srv(0, 0, 0, ""),)
    assert await resolver.resolve(Question("proxy2.remote.edu", "AAAA")) == (HostAddress("::1"),)
    assert await resolver.resolve(Question("proxy1.remote.edu", "AAAA")) == ()
    assert await resolver.resolve(Question("gone.remote.edu", "A")) == ()
    # Too long for a datagram: asked again over TCP, and cut.
    assert len(await resolver.resolve(Question("many.remote.edu", "A"))) == 128
    with pytest.raises(DiscoveryError):
        await resolver.resolve(Question("loop1.remote.edu", "A"))


def test_no_name_server_is_known(monkeypatch):
    def none(*_):
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr("dns.resolver.BaseResolver.read_resolv_conf", none)
    with pytest.raises(OSError, match="configuration"):
        DnsResolver()


SECURED = {
    ("example.com", "NAPTR"): ['1 1 "s" "SIPS+D2T" "" _sips._tcp.example.com.'],
    ("_sips._tcp.example.com", "SRV"): ["0 0 5061 a.example.com."],
    ("_sip._udp.example.com", "SRV"): ["0 0 5060 a.example.com."],
    ("a.example.com", "A"): ["192.0.2.1"],
}


def cut(wire):
    return wire[: len(wire) // 2]


def pointing_at_itself(wire):
    """An answer whose name is a compression pointer to itself."""
    head = wire[:6] + struct.pack("!HHH", 1, 0, 0)
    question_end = wire.index(b"\0", 12) + 5
    return head + wire[12:question_end] + struct.pack("!HHHIH", 0xC000 + question_end, 1, 1, 60, 4) + b"\1\2\3\4"


def too_many(wire):
    """A header that announces 65,535 records where there are none."""
    return wire[:6] + b"\xff\xff" + wire[8:]


def another(wire):
    """Somebody else's answer: another transaction id."""
    return bytes((wire[0] ^ 0xFF,)) + wire[1:]


@pytest.mark.parametrize("damage", [cut, pointing_at_itself, too_many, another, lambda _: None, lambda _: b"\0" * 3])
async def test_unusable_answers_are_no_answers(damage):
    """Garbage or silence for the NAPTR question must not lead to UDP, which the zone has too."""
    async with zone_server(ZoneServer(SECURED, spoil={"example.com": damage})) as server:
        locator = Locator(resolver_of(server, timeout=0.6), timeout=3.0)
        with pytest.raises(DiscoveryError) as error:
            await locator.locate(SipUri.parse("sip:bob@example.com"), transports=ALL)
        assert error.value.domain == "example.com"
        assert "NAPTR example.com" in str(error.value)
    assert set(server.asked) == {"NAPTR example.com"}


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.FORMERR])
async def test_refusals_are_no_answers(rcode):
    async with zone_server(ZoneServer(SECURED, rcodes={"example.com": rcode})) as server:
        with pytest.raises(DiscoveryError):
            await located(server, "sip:example.com")


async def test_a_lossy_name_server_is_asked_again():
    lost = []

    def lose_the_first(wire):
        lost.append(wire)
        return None if len(lost) == 1 else wire

    async with zone_server(ZoneServer(SECURED, spoil={"a.example.com": lose_the_first})) as server:
        locator = Locator(resolver_of(server, timeout=4.0), address_types=("A",))
        found = await locator.locate(SipUri.parse("sips:example.com"), transports=ALL)
    assert [str(one) for one in found] == ["tls:192.0.2.1:5061"]
    assert len(lost) == 2


async def test_chains_of_aliases():
    chain = {(f"c{index}", "CNAME"): [f"c{index + 1}."] for index in range(25)}
    circle = {("one", "CNAME"): ["two."], ("two", "CNAME"): ["one."]}
    short = {("s1", "CNAME"): ["s2."], ("s2", "CNAME"): ["s3."], ("s3", "A"): ["192.0.2.1"]}
    async with zone_server(ZoneServer({**chain, **circle, **short})) as server:
        assert await located(server, "sip:s1:5060") == ["udp:192.0.2.1:5060"]
        for name in ("c0", "one"):
            with pytest.raises(DiscoveryError):
                await located(server, f"sip:{name}:5060")


async def test_answers_are_kept_for_their_time_to_live():
    async with zone_server(ZoneServer(SECURED)) as server:
        locator = locator_of(server)
        for _ in range(3):
            await locator.locate(SipUri.parse("sips:example.com"), transports=ALL)
    assert server.asked.count("NAPTR example.com") == 1


async def test_all_of_it_in_bounded_time_and_nothing_left():
    silent = dict.fromkeys(("example.com", "a.example.com"), lambda _: None)
    async with zone_server(ZoneServer(SECURED, spoil=silent)) as server:
        descriptors = len(os.listdir("/proc/self/fd"))
        locator = Locator(resolver_of(server, timeout=60.0), timeout=0.3)
        tries = [locator.locate(SipUri.parse(uri), transports=ALL) for uri in ("sip:example.com", "sips:a.example.com")]
        for failed in await asyncio.gather(*tries, return_exceptions=True):
            assert isinstance(failed, DiscoveryError)
            assert "did not answer in 0.3 s" in str(failed)
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1
        assert len(os.listdir("/proc/self/fd")) == descriptors


async def test_a_domain_that_had_tls_is_not_believed_to_have_none():
    """RFC 3263 7: what an attack on DNS looks like."""
    server = ZoneServer(dict(SECURED))
    async with zone_server(server):
        locator = Locator(resolver_of(server), address_types=("A",))
        uri = SipUri.parse("sip:example.com")
        assert str((await locator.locate(uri, transports=ALL))[0]) == "tls:192.0.2.1:5061"
        del server.records["example.com", "NAPTR"], server.records["_sips._tcp.example.com", "SRV"]
        locator._resolver = resolver_of(server)  # as after the time to live
        with pytest.raises(DiscoveryError, match="offered TLS before"):
            await locator.locate(uri, transports=ALL)
        # Who asks for UDP by name gets it.
        chosen = SipUri.parse("sip:example.com;transport=udp")
        assert str((await locator.locate(chosen, transports=ALL))[0]) == "udp:192.0.2.1:5060"
