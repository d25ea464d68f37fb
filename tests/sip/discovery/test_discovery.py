"""The rules of RFC 3263 without any network: questions come out, answers go in, targets come out."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip import DiscoveryError, SipUri, TransportError, Via
from sip.discovery.dns_records import HostAddress, Naptr, Question, Srv
from sip.discovery.server_location import MAX_TARGETS, DiscoveryRules, locate, locate_response
from sip.discovery.srv_selection import order_servers

LOWEST = lambda low, high: low  # noqa: E731
FAILED = DiscoveryError("no answer", domain="x")


def records(zone):
    """Reads {"SRV name": [(…), …], "A name": ["…"], …} as answers."""
    kinds = {"NAPTR": Naptr, "SRV": Srv}
    answers = {}
    for text, rows in zone.items():
        kind, name = text.split()
        made = (
            rows if rows is FAILED else tuple(kinds[kind](*one) if kind in kinds else HostAddress(one) for one in rows)
        )
        answers[Question(name, kind)] = made
    return answers


class Asked(list):
    """The questions of a discovery, as texts."""


def run(lookups, zone, asked=None):
    return [str(target) for target in drive(lookups, zone, asked)]


def drive(lookups, zone, asked=None):
    answers = records(zone)
    try:
        questions = next(lookups)
        while True:
            if asked is not None:
                asked += [str(one) for one in questions]
            questions = lookups.send({one: answers.get(one, ()) for one in questions})
    except StopIteration as done:
        return done.value


def found(uri, zone=(), asked=None, **rules):
    rules = DiscoveryRules(**{"randint": LOWEST, "address_types": ("A",), **rules})
    return run(locate(SipUri.parse(uri), rules), dict(zone), asked)


# The records of RFC 3263 4.1, with the addresses it leaves out.
RFC_ZONE = {
    "NAPTR example.com": [
        (50, 50, "s", "SIPS+D2T", "", "_sips._tcp.example.com"),
        (90, 50, "s", "SIP+D2T", "", "_sip._tcp.example.com"),
        (100, 50, "s", "SIP+D2U", "", "_sip._udp.example.com"),
    ],
    "SRV _sips._tcp.example.com": [(0, 1, 5061, "server1.example.com")],
    "SRV _sip._tcp.example.com": [(0, 1, 5060, "server1.example.com"), (0, 2, 5060, "server2.example.com")],
    "SRV _sip._udp.example.com": [(0, 1, 5060, "server1.example.com")],
    "A server1.example.com": ["192.0.2.1"],
    "A server2.example.com": ["192.0.2.2"],
    "A example.com": ["192.0.2.9"],
}


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("sip:192.0.2.1", "udp:192.0.2.1:5060"),
        ("sips:192.0.2.1", "tls:192.0.2.1:5061"),
        ("sip:192.0.2.1:5070", "udp:192.0.2.1:5070"),
        ("sip:192.0.2.1;transport=tcp", "tcp:192.0.2.1:5060"),
        ("sip:192.0.2.1;transport=TLS", "tls:192.0.2.1:5061"),
        ("sips:192.0.2.1;transport=tcp", "tls:192.0.2.1:5061"),
        ("sip:[2001:db8::1]", "udp:[2001:db8::1]:5060"),
        ("sip:example.com;maddr=192.0.2.7", "udp:192.0.2.7:5060"),
        ("sip:localhost:5070", "udp:127.0.0.1:5070"),
        ("sip:pbx.localhost;transport=tls", "tls:127.0.0.1:5061"),
    ],
)
def test_numeric_and_local_hosts_ask_nothing(uri, target):
    asked = Asked()
    assert found(uri, asked=asked) == [target]
    assert not asked


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("sip:example.com:5060", "udp:192.0.2.9:5060"),  # an explicit 5060 is not the default (4.2)
        ("sip:example.com:5099", "udp:192.0.2.9:5099"),
        ("sips:example.com:5099", "tls:192.0.2.9:5099"),
        ("sip:example.com:5099;transport=tcp", "tcp:192.0.2.9:5099"),
        ("sip:other.example:5060;maddr=example.com", "udp:192.0.2.9:5060"),
    ],
)
def test_an_explicit_port_asks_for_addresses_only(uri, target):
    asked = Asked()
    assert found(uri, RFC_ZONE, asked) == [target]
    assert asked == ["A example.com"]


def test_the_example_of_the_rfc():
    """TLS is preferred by the domain; a client without it takes TCP, one with UDP alone UDP."""
    assert found("sip:user@example.com", RFC_ZONE) == ["tls:192.0.2.1:5061"]
    tcp = found("sip:user@example.com", RFC_ZONE, transports=("tcp", "udp"))
    assert tcp == ["tcp:192.0.2.1:5060", "tcp:192.0.2.2:5060"]
    assert found("sip:user@example.com", RFC_ZONE, transports=("udp",)) == ["udp:192.0.2.1:5060"]
    assert found("sips:user@example.com", RFC_ZONE) == ["tls:192.0.2.1:5061"]


def test_an_explicit_transport_skips_naptr():
    asked = Asked()
    assert found("sip:example.com;transport=udp", RFC_ZONE, asked) == ["udp:192.0.2.1:5060"]
    assert asked == ["SRV _sip._udp.example.com", "A server1.example.com"]
    asked.clear()
    assert found("sip:example.com;transport=tls", RFC_ZONE, asked) == ["tls:192.0.2.1:5061"]
    assert asked[0] == "SRV _sips._tcp.example.com"


def test_every_target_has_the_name_of_the_uri_to_prove():
    """RFC 5922: names that DNS led through prove nothing."""
    zone = {
        "NAPTR example.com": [(1, 1, "S", "sips+d2t", "", "_sips._tcp.hoster.example")],
        "SRV _sips._tcp.hoster.example": [(0, 0, 443, "box.hoster.example")],
        "A box.hoster.example": ["192.0.2.3"],
    }
    targets = drive(locate(SipUri.parse("sip:Example.com"), DiscoveryRules(LOWEST)), zone)
    assert [(one.host, one.port, one.name) for one in targets] == [("192.0.2.3", 443, "example.com")]


def test_without_naptr_all_supported_transports_are_asked_for():
    zone = {key: value for key, value in RFC_ZONE.items() if not key.startswith("NAPTR")}
    asked = Asked()
    # TLS is there and comes first; nothing in clear follows it.
    assert found("sip:example.com", zone, asked) == ["tls:192.0.2.1:5061"]
    assert asked[:4] == [
        "NAPTR example.com",
        "SRV _sips._tcp.example.com",
        "SRV _sip._tcp.example.com",
        "SRV _sip._udp.example.com",
    ]
    del zone["SRV _sips._tcp.example.com"]
    assert found("sip:example.com", zone, transports=("udp", "tcp")) == [
        "udp:192.0.2.1:5060",
        "tcp:192.0.2.1:5060",
        "tcp:192.0.2.2:5060",
    ]


def test_sips_asks_for_nothing_but_sips():
    asked = Asked()
    assert found("sips:example.com", {"A example.com": ["192.0.2.9"]}, asked) == ["tls:192.0.2.9:5061"]
    assert asked == ["NAPTR example.com", "SRV _sips._tcp.example.com", "A example.com"]
    only_plain = {key: rows for key, rows in RFC_ZONE.items() if "sips" not in key and not key.startswith("NAPTR")}
    assert found("sips:example.com", only_plain) == ["tls:192.0.2.9:5061"]
    with pytest.raises(TransportError, match="sips URI cannot go over UDP"):
        found("sips:example.com;transport=udp")
    with pytest.raises(TransportError, match="not supported"):
        found("sips:example.com", RFC_ZONE, transports=("udp", "tcp"))
    with pytest.raises(TransportError, match="transport sctp is not supported"):
        found("sip:example.com;transport=sctp")


def test_without_srv_the_addresses_of_the_domain_count():
    asked = Asked()
    assert found("sip:example.com", {"A example.com": ["192.0.2.9"]}, asked) == ["udp:192.0.2.9:5060"]
    assert asked[-1] == "A example.com"
    zone = {"NAPTR example.com": [(1, 1, "s", "SIP+D2T", "", "_sip._tcp.gone")], "A example.com": ["192.0.2.9"]}
    assert found("sip:example.com", zone) == ["tcp:192.0.2.9:5060"]


@pytest.mark.parametrize(
    "record",
    [
        (1, 1, "u", "SIP+D2T", "", "_sip._tcp.evil"),  # not an SRV name
        (1, 1, "s", "SIP+D2T", "!^.*$!sip:x@evil!", "_sip._tcp.evil"),  # RFC 3263: no regular expression
        (1, 1, "s", "SIP+D2T", "", ""),
        (1, 1, "s", "E2U+sip", "", "_sip._tcp.evil"),
        (1, 1, "s", "SIPS+D2U", "", "_sip._tcp.evil"),  # there is no such thing
        (1, 1, "s", "SIP+D2S", "", "_sip._sctp.evil"),
        (1, 1, "s", "SIP+D2T", "", "a." * 130 + "evil"),
    ],
)
def test_naptr_records_that_do_not_count(record):
    zone = {**RFC_ZONE, "NAPTR example.com": [record, *RFC_ZONE["NAPTR example.com"]]}
    asked = Asked()
    assert found("sip:example.com", zone, asked) == ["tls:192.0.2.1:5061"]
    assert not [one for one in asked if "evil" in one]


def test_only_the_lowest_order_counts_and_preference_within_it():
    zone = {
        **RFC_ZONE,
        "NAPTR example.com": [
            (10, 20, "s", "SIP+D2U", "", "_sip._udp.example.com"),
            (10, 10, "s", "SIP+D2T", "", "_sip._tcp.example.com"),
            (20, 1, "s", "SIPS+D2T", "", "_sips._tcp.example.com"),
        ],
    }
    assert found("sip:example.com", zone) == [
        "tcp:192.0.2.1:5060",
        "tcp:192.0.2.2:5060",
        "udp:192.0.2.1:5060",
    ]


def test_nothing_in_clear_follows_tls():
    zone = {**RFC_ZONE, "NAPTR example.com": [(1, *row[1:]) for row in RFC_ZONE["NAPTR example.com"]]}
    assert found("sip:example.com", zone) == ["tls:192.0.2.1:5061"]


def test_a_service_that_is_said_not_to_exist():
    zone = {"SRV _sip._udp.example.com": [(0, 0, 0, "")], "A example.com": ["192.0.2.9"]}
    with pytest.raises(DiscoveryError, match="no such service"):
        found("sip:example.com", zone)
    zone["SRV _sip._tcp.example.com"] = [(0, 0, 5060, "example.com")]
    assert found("sip:example.com", zone) == ["tcp:192.0.2.9:5060"]


@pytest.mark.parametrize("failing", ["NAPTR example.com", "SRV _sips._tcp.example.com"])
def test_a_failed_lookup_does_not_pick_the_transport(failing):
    zone = {key: rows for key, rows in RFC_ZONE.items() if not key.startswith("NAPTR")}
    with pytest.raises(DiscoveryError, match="no answer"):
        found("sip:example.com", {**zone, failing: FAILED})


def test_a_server_whose_address_lookup_fails_is_passed_over():
    zone = {**RFC_ZONE, "A server1.example.com": FAILED}
    assert found("sip:example.com;transport=tcp", zone) == ["tcp:192.0.2.2:5060"]
    with pytest.raises(DiscoveryError, match="no answer"):
        found("sip:example.com", zone)
    both = {"A example.com": ["192.0.2.9"], "AAAA example.com": FAILED}
    assert found("sip:example.com:5060", both, address_types=("AAAA", "A")) == ["udp:192.0.2.9:5060"]
    with pytest.raises(DiscoveryError, match="has no address"):
        found("sip:example.com")


def test_both_families_in_the_order_asked_for():
    zone = {"A example.com": ["192.0.2.9"], "AAAA example.com": ["2001:db8::9"]}
    order = found("sip:example.com:5060", zone, address_types=("AAAA", "A"))
    assert order == ["udp:[2001:db8::9]:5060", "udp:192.0.2.9:5060"]


def test_large_requests_leave_udp():
    """RFC 3261 18.1.1: TCP first, UDP after all where nothing else is reached."""
    assert found("sip:192.0.2.1", large=True) == ["tcp:192.0.2.1:5060", "udp:192.0.2.1:5060"]
    assert found("sip:192.0.2.1", large=True, transports=("udp",)) == ["udp:192.0.2.1:5060"]
    zone = {**RFC_ZONE, "NAPTR example.com": [(1, 1, "s", "SIP+D2U", "", "_sip._udp.example.com")]}
    assert found("sip:example.com", zone, large=True) == ["tcp:192.0.2.1:5060", "udp:192.0.2.1:5060"]
    zone["NAPTR example.com"].append((2, 1, "s", "SIP+D2T", "", "_sip._tcp.example.com"))
    assert found("sip:example.com", zone, large=True) == ["tcp:192.0.2.1:5060", "tcp:192.0.2.2:5060"]
    without = {key: rows for key, rows in RFC_ZONE.items() if not key.startswith("NAPTR")}
    order = found("sip:example.com", without, large=True, transports=("udp", "tcp"))
    assert order == ["tcp:192.0.2.1:5060", "tcp:192.0.2.2:5060", "udp:192.0.2.1:5060"]


def test_what_dns_says_is_bounded():
    many = [(index, 0, 5060, f"h{index}.example.com") for index in range(1000)]
    zone = {"SRV _sip._udp.example.com": many, **{f"A h{i}.example.com": ["192.0.2.1"] * 200 for i in range(1000)}}
    asked = Asked()
    assert found("sip:example.com;transport=udp", zone, asked) == ["udp:192.0.2.1:5060"]
    assert len(asked) == 17
    zone = {"A example.com": [f"192.0.{index // 250}.{index % 250}" for index in range(1000)]}
    assert len(found("sip:example.com:5060", zone)) <= MAX_TARGETS
    services = [(1, index, "s", "SIP+D2T", "", f"s{index}.example.com") for index in range(1000)]
    asked.clear()
    with pytest.raises(DiscoveryError):
        found("sip:example.com", {"NAPTR example.com": services}, asked)
    assert len(asked) == 1 + 8 + 1


@pytest.mark.parametrize(
    ("via", "targets", "questions"),
    [
        ("SIP/2.0/TCP 192.0.2.1", ["tcp:192.0.2.1:5060"], 0),
        ("SIP/2.0/TLS [2001:db8::1]:5071", ["tls:[2001:db8::1]:5071"], 0),
        ("SIP/2.0/UDP example.com:5070", ["udp:192.0.2.9:5070"], 1),
        ("SIP/2.0/TLS example.com", ["tls:192.0.2.1:5061"], 2),
        ("SIP/2.0/TCP example.com", ["tcp:192.0.2.1:5060", "tcp:192.0.2.2:5060"], 3),
        ("SIP/2.0/TCP server1.example.com", ["tcp:192.0.2.1:5060"], 2),
    ],
)
def test_responses(via, targets, questions):
    """RFC 3263 5."""
    asked = Asked()
    rules = DiscoveryRules(LOWEST, address_types=("A",))
    assert run(locate_response(Via.parse(via), rules), RFC_ZONE, asked) == targets
    assert len(asked) == questions


def test_a_response_keeps_its_transport():
    with pytest.raises(TransportError, match="not supported"):
        run(locate_response(Via.parse("SIP/2.0/SCTP example.com"), DiscoveryRules(LOWEST)), RFC_ZONE)


def test_srv_order_by_priority_and_weight():
    servers = [Srv(2, 0, 1, "c"), Srv(1, 0, 1, "a"), Srv(1, 10, 1, "b")]
    assert [one.target for one in order_servers(servers, lambda low, high: low)] == ["a", "b", "c"]
    assert [one.target for one in order_servers(servers, lambda low, high: high)] == ["b", "a", "c"]


def test_srv_weights_share_the_load():
    """1:3 in the long run; the one of weight 0 rarely, but ever (RFC 2782)."""
    source = random.Random(1)
    servers = [Srv(1, 100, 1, "one"), Srv(1, 300, 1, "three"), Srv(1, 0, 1, "none")]
    first = Counter(order_servers(servers, source.randint)[0].target for _ in range(8000))
    assert 1800 < first["one"] < 2200
    assert 5800 < first["three"] < 6200
    assert 0 < first["none"] < 100


@given(st.lists(st.builds(Srv, *(st.integers(0, 65535),) * 3, st.sampled_from("abcdef")), max_size=30), st.randoms())
def test_srv_order_loses_nothing(servers, source):
    ordered = order_servers(servers, source.randint)
    assert Counter(ordered) == Counter(servers)
    assert [one.priority for one in ordered] == sorted(one.priority for one in servers)


# RFC 7118 5.5: services SIP+D2W and SIPS+D2W, SRV names under _ws, ports 80 and 443.
WEBSOCKET_ZONE = {
    "NAPTR example.com": [
        (10, 50, "s", "SIPS+D2W", "", "_sips._ws.example.com"),
        (20, 50, "s", "SIP+D2W", "", "_sip._ws.example.com"),
        (30, 50, "s", "SIP+D2U", "", "_sip._udp.example.com"),
    ],
    "SRV _sips._ws.example.com": [(0, 1, 8443, "server1.example.com")],
    "SRV _sip._ws.example.com": [(0, 1, 8080, "server2.example.com")],
    "SRV _sip._udp.example.com": [(0, 1, 5060, "server2.example.com")],
    "A server1.example.com": ["192.0.2.1"],
    "A server2.example.com": ["192.0.2.2"],
    "A plain.example": ["192.0.2.9"],
}
ALL = ("tls", "tcp", "udp", "wss", "ws")


@pytest.mark.parametrize(
    ("uri", "transports", "targets"),
    [
        ("sip:example.com", ALL, ["wss:192.0.2.1:8443"]),
        ("sips:example.com", ALL, ["wss:192.0.2.1:8443"]),
        ("sip:example.com", ("tls", "tcp", "udp", "ws"), ["ws:192.0.2.2:8080"]),
        ("sip:example.com", ("tls", "tcp", "udp"), ["udp:192.0.2.2:5060"]),
        ("sip:example.com;transport=ws", ALL, ["ws:192.0.2.2:8080"]),
        ("sips:example.com;transport=ws", ALL, ["wss:192.0.2.1:8443"]),
        ("sip:example.com;transport=wss", ALL, ["wss:192.0.2.1:8443"]),
        ("sip:plain.example;transport=ws", ALL, ["ws:192.0.2.9:80"]),
        ("sips:plain.example;transport=ws", ALL, ["wss:192.0.2.9:443"]),
        ("sip:plain.example", ALL, ["udp:192.0.2.9:5060"]),
        ("sip:example.com:81;transport=ws", ALL, None),
    ],
)
def test_websocket_servers(uri, transports, targets):
    if targets is None:
        with pytest.raises(DiscoveryError):
            found(uri, WEBSOCKET_ZONE, transports=transports)
    else:
        assert found(uri, WEBSOCKET_ZONE, transports=transports) == targets


@pytest.mark.parametrize("uri", ["sip:a@df7jal23ls0d.invalid;transport=ws", "sip:a@b.invalid", "sip:invalid:5060"])
def test_nobody_is_asked_for_an_invalid_name(uri):
    asked = Asked()
    with pytest.raises(DiscoveryError):
        found(uri, WEBSOCKET_ZONE, asked, transports=ALL)
    assert not asked
