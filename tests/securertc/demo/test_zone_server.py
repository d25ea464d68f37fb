"""The name server of the demonstration: asked over the wire, by our resolver and by dnspython's own query."""

from __future__ import annotations

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from securertc.demo.embedded_zone import EmbeddedZone, records_of_domain
from securertc.demo.zone_server import answer_of, serve_zone
from sip import SipUri
from sip.discovery.dns_records import HostAddress, Question
from sip.discovery.dns_resolver import DnsResolver
from sip.discovery.locator import Locator


async def test_a_domain_is_found_over_the_wire():
    zone = EmbeddedZone(records_of_domain("remote.edu", "127.0.0.1", 5099))
    async with serve_zone(zone, "127.0.0.1") as name_server:
        locator = Locator(DnsResolver([name_server]), address_types=("A",))
        [found] = await locator.locate(SipUri.parse("sip:joe@REMOTE.edu"), transports=("tls", "udp"))
        assert (str(found), found.name) == ("tls:127.0.0.1:5099", "remote.edu")
        assert [str(one) for one in zone.asked] == [
            "NAPTR remote.edu",
            "SRV _sips._tcp.remote.edu",
            "A sip.remote.edu",
        ]


@pytest.mark.parametrize(
    ("name", "record_type", "rcode", "records"),
    [
        ("sip.remote.edu", "A", dns.rcode.NOERROR, 1),
        ("sip.remote.edu", "AAAA", dns.rcode.NOERROR, 0),
        ("gone.remote.edu", "A", dns.rcode.NXDOMAIN, 0),
        ("remote.edu", "MX", dns.rcode.REFUSED, 0),
    ],
)
async def test_what_there_is_not(name, record_type, rcode, records):
    async with serve_zone(EmbeddedZone(records_of_domain("remote.edu", "127.0.0.1", 1)), "127.0.0.1") as server:
        host, _, port = server.rpartition(":")
        answer = await dns.asyncquery.udp(dns.message.make_query(name, record_type), host, timeout=5, port=int(port))
    assert (answer.rcode(), len(answer.answer)) == (rcode, records)


def test_too_much_for_a_datagram_is_said_to_be():
    zone = EmbeddedZone({Question("a.test", "A"): tuple(HostAddress(f"192.0.2.{index}") for index in range(200))})
    answer = dns.message.from_wire(answer_of(zone, dns.message.make_query("a.test", "A").to_wire()))
    assert answer.flags & dns.flags.TC
    assert not answer.answer


def test_what_is_no_query_is_not_answered():
    zone = EmbeddedZone({})
    query = dns.message.make_query("a.test", "A")
    assert answer_of(zone, b"") is None
    assert answer_of(zone, query.to_wire()[:-3]) is None
    assert answer_of(zone, dns.message.make_response(query).to_wire()) is None  # or two servers would talk for ever
    assert answer_of(zone, dns.message.Message().to_wire()) is None
