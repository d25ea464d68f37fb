"""One form of hosts in every comparison, and addresses by the grammar: no spelling slips past Digest."""

from __future__ import annotations

import pytest

from securertc.errors import ConfigurationError
from securertc.server.configuration import parse_config
from securertc.server.service import ProxyService, is_name_of
from sip import Credentials, DigestServer, Registrar, RegistrarSettings, Request, SipParseError, SipUri
from sip.discovery.target import target_of
from sip.message.header_values import NameAddr
from sip.message.host_names import ascii_lower, bare_host, host_reference, same_host
from sip.message.parser import parse_message
from sip.proxy.own_names import ListenAddress, ProxyIdentity
from sip.proxy.standing import Standing
from sip.registrar.location import aor_key

SPELLINGS = ("example.com", "EXAMPLE.com", "example.com.", "Example.COM.", "example.com..")
ADDRESSES = (
    "[2001:db8::1]",
    "[2001:DB8::1]",
    "[2001:db8:0:0:0:0:0:1]",
    "[2001:0db8::0001]",
    "[2001:db8::0.0.0.1]",
    "[2001:db8:::1]",
)


class Way:
    """A flow from a stranger."""

    transport = "udp"
    remote = ("198.51.100.66", 5060)
    reliable = secure = accepted = False
    certificate = None

    def proves(self, name):
        return False


def message(from_, *, to="<sip:bob@example.com>", contact="<sip:x@198.51.100.66>", uri="sip:bob@example.com"):
    return (
        f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.66;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
        f"From: {from_}\r\nTo: {to}\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: {contact}\r\n\r\n"
    ).encode()


def service(domain):
    digest = DigestServer.with_passwords("realm", {"alice": "secret"}, clock=lambda: 1000.0, proxy=True)
    return ProxyService(frozenset((domain,)), proxies=digest)


@pytest.mark.parametrize("served", SPELLINGS)
@pytest.mark.parametrize("written", SPELLINGS)
def test_a_caller_of_our_domain_is_asked_by_digest_however_he_writes_it(served, written):
    request = parse_message(message(f"<sip:alice@{written}>;tag=1"))
    assert service(served).authorize(request, Way()).status == 407


@pytest.mark.parametrize("written", SPELLINGS)
@pytest.mark.parametrize("scheme", ["im", "pres", "PRES", "mailto", "xmpp"])
@pytest.mark.parametrize("tail", ["", ";x=y", "?a=b", "/phone"])
def test_no_other_scheme_speaks_for_our_users(scheme, written, tail):
    for at in ("@", "%40"):
        request = parse_message(message(f"<{scheme}:alice{at}{written}{tail}>;tag=1"))
        assert service("example.com").authorize(request, Way()).status == 403


@pytest.mark.parametrize("uri", ["tel:+4930", "pres:alice@example.com.evil", "im:alice@example.com@evil"])
def test_other_schemes_are_for_others(uri):
    request = parse_message(message(f"<{uri}>;tag=1"))
    assert service("example.com").authorize(request, Way()) is Standing.STRANGER


@pytest.mark.parametrize("served", ["2001:db8::1", *ADDRESSES[:3]])
@pytest.mark.parametrize("written", ADDRESSES)
def test_so_is_one_of_an_address(served, written):
    request = parse_message(message(f"<sip:alice@{written}>;tag=1", uri=f"sip:bob@{written}"))
    assert service(served).authorize(request, Way()).status == 407


@pytest.mark.parametrize("written", SPELLINGS)
def test_every_comparison_takes_one_form(written):
    uri = SipUri.parse(f"sip:alice@{written}")
    plain = SipUri.parse("sip:alice@example.com")
    assert uri.equivalent(plain)
    assert aor_key(uri) == "alice@example.com"
    assert is_name_of("alice@example.com", uri)
    assert target_of(uri) == target_of(plain)
    for ours in SPELLINGS:
        identity = ProxyIdentity((ListenAddress("udp", "192.0.2.1", 5060),), frozenset((ours,)), frozenset((ours,)))
        assert identity.serves(uri)
        assert identity.is_ours(uri)
    assert Credentials(written, "alice", "secret").destinations == {"example.com"}


@pytest.mark.parametrize("written", SPELLINGS)
def test_a_registrar_knows_its_domain(written):
    registrar = Registrar(RegistrarSettings(frozenset(("Example.com.",))))
    text = message(f"<sip:alice@{written}>;tag=1", to=f"<sip:alice@{written}>", uri=f"sip:{written}")
    request = parse_message(text.replace(b"INVITE", b"REGISTER"))
    assert registrar.admit(request, "alice") == "alice@example.com"
    assert registrar.admit(request, "alice@example.com") == "alice@example.com"


@pytest.mark.parametrize("written", ADDRESSES)
def test_an_ipv6_address_is_one_in_all_its_forms(written):
    assert bare_host(written) == "2001:db8::1"
    assert host_reference(written) == "[2001:db8::1]"
    assert same_host(written, "2001:db8::1")
    uri = SipUri.parse(f"sip:alice@{written}")
    assert uri.equivalent(SipUri.parse("sip:alice@[2001:db8::1]"))
    assert aor_key(uri) == "alice@[2001:db8::1]"
    assert ProxyIdentity((ListenAddress("udp", "2001:DB8::1", 5060),)).is_ours(uri)


def test_a_mapped_address_is_the_one_that_it_leads_to():
    assert bare_host("[::ffff:192.0.2.1]") == bare_host("[::FFFF:c000:201]") == "192.0.2.1"
    assert ProxyIdentity((ListenAddress("udp", "192.0.2.1", 5060),)).is_ours(SipUri.parse("sip:[::ffff:192.0.2.1]"))


def test_names_have_the_lower_case_of_ascii_only():
    assert ascii_lower("BAN\u212a.Example") == "ban\u212a.example"
    assert not same_host("ban\u212a.example", "bank.example")


@pytest.mark.parametrize("key", ["domains", "aliases"])
@pytest.mark.parametrize("name", ["ban\u212a.example", "münchen.example", "exa mple.com", "sip:example.com", "a/b"])
def test_a_domain_that_no_message_can_name_is_refused_at_the_start(tmp_path, key, name):
    with pytest.raises(ConfigurationError, match="no host") as error:
        parse_config({"listen": [{"host": "127.0.0.1"}], key: [name]}, tmp_path)
    assert error.value.key == key


@pytest.mark.parametrize("spelling", ["desk@EXAMPLE.com.", "Desk@example.com", "example.com."])
def test_static_addresses_are_found_in_any_spelling(tmp_path, spelling):
    content = {"listen": [{"host": "127.0.0.1"}], "domains": ["Example.com."]}
    config = parse_config(content | {"location": {"static": {spelling: "sip:192.0.2.7"}}}, tmp_path)
    assert config.domains == {"example.com"}
    assert set(config.location.static) <= {"desk@example.com", "example.com"}


VALID = '"x" <sip:m@evil.example>;tag=1'
HIDDEN = [
    '"x" <sip:m@evil.example>;tag=1, <sip:alice@example.com>',
    "<sip:m@evil.example>;tag=1,<sip:alice@example.com>",
    "<sip:m@evil.example>;tag=1 <sip:alice@example.com>",
    '<sip:m@evil.example>;tag=1;x="a", <sip:alice@example.com>',
    '<sip:m@evil.example>;tag="1" <sip:alice@example.com>',
    "<sip:m@evil.example>;tag=1;x=<sip:alice@example.com>",
    "<sip:m@evil.example>, <sip:alice@example.com>;tag=1",
    "sip:m@evil.example;tag=1, sip:alice@example.com",
    '<sip:m@evil.example>;tag=1;x="',
    '<sip:m@evil.example>;tag="1"2',
    "<sip:m@evil.example>;tag=a b",
    "<sip:m@evil.example>;tag=a\\b",
    "<sip:m@evil.example>;tag=ä",
    "<sip:m@evil.example>;tag=1;tag=2",
    '<sip:m@evil.example>;tag=1;x=1;X="2"',
]


@pytest.mark.parametrize("value", HIDDEN)
@pytest.mark.parametrize("header", ["from_", "to"])
def test_two_addresses_or_no_parameters_are_refused(value, header):
    parts = {"from_": VALID, "to": VALID} | {header: value}
    with pytest.raises(SipParseError) as error:
        parse_message(message(**parts))
    assert error.value.status == 400
    assert error.value.request is not None
    with pytest.raises(SipParseError):
        NameAddr.parse(value)


@pytest.mark.parametrize("value", [one for one in HIDDEN if ",<" not in one and ", " not in one])
def test_contacts_too(value):
    with pytest.raises(SipParseError):
        parse_message(message(VALID, contact=value))


@pytest.mark.parametrize(
    "value",
    [
        "<sip:m@evil.example>;tag=1",
        '<sip:m@evil.example>;tag=a.b-!%*_+`\'~;x="a, <sip:b@c> \\" d";flag',
        "<sip:m@evil.example> ; tag = 1 ;received=[2001:db8::1];y=2001:db8::1",
        "<sip:m@evil.example>;tag=1;tag=1",
        '"a, <b>" <sip:m@evil.example>;tag=1',
    ],
)
def test_what_the_grammar_has_is_read(value):
    for parts in ({"from_": value}, {"from_": VALID, "to": value}, {"from_": VALID, "contact": value}):
        assert isinstance(parse_message(message(**parts)), Request)
    assert NameAddr.parse(value).parameter("tag")


def test_many_parameters_are_read_in_no_time():
    value = "<sip:m@evil.example>;tag=1" + "".join(f";p{number}={number}" for number in range(1500)) + ";p1=2"
    with pytest.raises(SipParseError, match="twice"):
        NameAddr.parse(value)
