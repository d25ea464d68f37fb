"""Who may speak in the name of a domain: Digest or a certificate, judged when it counts; asserted identities."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from click.testing import CliRunner
from proxy_stage import FakeFlow, Stage

from securertc.cli import main
from securertc.demo.throwaway_authority import ThrowawayAuthority
from securertc.errors import ConfigurationError
from securertc.server.configuration import parse_config
from securertc.server.service import ProxyService
from sip import DigestServer, Request, Response, SipUri, TransportError, client_context, server_context
from sip.discovery.target import Target
from sip.message.parser import parse_message
from sip.proxy.events import ProxyTarget
from sip.proxy.server import Listener, ProxyServer
from sip.transport.layer import TransportLayer
from sip.transport.tls import VerifiedChain
from sip.user_agent.registration import Registration
from sip.user_agent.user_agent import UserAgent

HOST = "127.0.0.1"
DAY = 86400.0


class Way(FakeFlow):
    """A flow whose certificate proves the names given."""

    def __init__(self, transport, *names):
        super().__init__(transport, ("198.51.100.66", 5060))
        self.names = names

    def proves(self, name):
        return name in self.names


def request(method, *, caller="sip:alice@example.com", uri="sip:bob@example.com"):
    made = Request(method, SipUri.parse(uri))
    made.headers.add("Via", "SIP/2.0/TLS 198.51.100.66;branch=z9hG4bK1")
    made.headers.add("Max-Forwards", "70")
    made.headers.add("From", f"<{caller}>;tag=a")
    made.headers.add("To", "<sip:alice@example.com>" if method == "REGISTER" else f"<{uri}>")
    made.headers.add("Call-ID", "c")
    made.headers.add("CSeq", f"1 {method}")
    return made


STRANGERS = [Way("udp"), Way("tcp"), Way("ws"), Way("tls"), Way("tls", "other.example")]


class TestOurDomain:
    @pytest.mark.parametrize("flow", STRANGERS, ids=lambda one: f"{one.transport} {one.names}")
    @pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "BYE", "SUBSCRIBE", "OPTIONS"])
    @pytest.mark.parametrize("host", ["example.com", "EXAMPLE.com."])
    def test_without_digest_a_caller_needs_a_certificate(self, flow, method, host):
        service = ProxyService(frozenset(("example.com",)), prove_domains=True)
        made = request(method, caller=f"sip:alice@{host}")
        assert service.authorize(made, flow).status == 403
        assert not isinstance(service.authorize(made, Way("tls", "example.com")), Response)

    @pytest.mark.parametrize("flow", STRANGERS, ids=lambda one: f"{one.transport} {one.names}")
    def test_so_does_who_registers(self, flow):
        service = ProxyService(frozenset(("example.com",)), location=object(), prove_domains=True)
        made = request("REGISTER", uri="sip:example.com")
        assert service.authorize(made, flow).status == 403
        assert not isinstance(service.authorize(made, Way("tls", "example.com")), Response)

    def test_with_digest_he_is_asked(self):
        digest = DigestServer.with_passwords("example.com", {"alice": "secret"}, clock=time.monotonic, proxy=True)
        service = ProxyService(frozenset(("example.com",)), proxies=digest, registrar=digest, prove_domains=True)
        assert service.authorize(request("INVITE"), Way("udp")).status == 407
        asked = service.authorize(request("REGISTER", uri="sip:example.com"), Way("udp"))
        assert not isinstance(asked, Response)  # serve() asks


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ("", "call and register"),
        ('[location]\nstore = "none"\n', "may call in"),
        ('[authentication]\nrealm = "example.com"\nusers = "users"\n', None),
        ('[tls]\nca_file = "{ca}"\nrequire_client_certificate = true\nprove_domains = true\n', None),
    ],
)
def test_who_checks_a_proxy_where_nobody_proves_anything_is_told_so(authority, tmp_path, more, warned):
    (tmp_path / "users").touch(mode=0o600)
    path = tmp_path / "proxy.toml"
    path.write_text(f'domains = ["example.com"]\n[[listen]]\nhost = "127.0.0.1"\n{more.format(ca=authority.ca_path)}')
    result = CliRunner().invoke(main, ("proxy", "--check", "--config", str(path)))
    assert result.exit_code == 0
    assert ("in the name of your users" in result.output) is (warned is not None)
    assert warned is None or warned in result.output


def asserting(made, **headers):
    made.headers.add("P-Asserted-Identity", '"Boss" <sip:boss@example.com>, <tel:+15550100>')
    made.headers.add("p-asserted-identity", "<sip:boss@example.com>")
    for name, value in headers.items():
        made.headers.add(name, value)
    return made


def stage(*, trusted):
    made = Stage()
    made.caller = FakeFlow("tcp", ("198.51.100.66", 5060))
    made.proxy._trusts = lambda flow: flow in trusted
    made.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse("sip:bob@192.0.2.80"))]
    return made


class TestAssertedIdentity:
    @pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "ACK", "SUBSCRIBE"])
    @pytest.mark.parametrize("trusted", [False, True])
    def test_only_the_trust_domain_asserts_one_in_requests(self, method, trusted):
        made = Stage()
        made.proxy._trusts = lambda flow: trusted and flow is made.caller
        made.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse("sip:bob@192.0.2.80"))]
        made.request(asserting(request(method)))
        forwarded = next(one.message for one in made.sent if one.what == method)
        assert forwarded.headers.count("P-Asserted-Identity") == (2 if trusted else 0)

    @pytest.mark.parametrize("status", [180, 200, 404])
    def test_and_in_responses(self, status):
        for trusted in (False, True):
            made = stage(trusted=())
            made.request(request("INVITE"))
            sent = next(one for one in made.sent if one.what == "INVITE")
            made.proxy._trusts = lambda flow, sent=sent, trusted=trusted: trusted and flow is sent.flow
            answer = asserting(sent.message.create_response(status, to_tag="b"))
            message = parse_message(answer.serialize())
            made.run(made.proxy.receive_response(message, made.now, sent.flow))
            assert made.sent[-1].what in (status, "ACK")
            upstream = next(one.message for one in reversed(made.sent) if one.what == status)
            assert upstream.headers.count("P-Asserted-Identity") == (2 if trusted else 0)

    def test_a_response_by_another_way_is_not_from_whom_it_was_asked(self):
        made = stage(trusted=())
        made.request(request("INVITE"))
        sent = next(one for one in made.sent if one.what == "INVITE")
        made.proxy._trusts = lambda flow: flow is sent.flow
        answer = asserting(sent.message.create_response(200, to_tag="b"))
        made.run(made.proxy.receive_response(parse_message(answer.serialize()), made.now, Way("udp")))
        assert "P-Asserted-Identity" not in made.sent[-1].message.headers

    @pytest.mark.parametrize(("privacy", "kept"), [("id", 0), ("header; ID", 0), ("none", 2), (None, 2)])
    def test_what_is_to_be_private_does_not_leave_the_trust_domain(self, privacy, kept):
        made = Stage()
        made.proxy._trusts = lambda flow: flow is made.caller
        made.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse("sip:bob@192.0.2.80"))]
        made.request(asserting(request("INVITE"), **({} if privacy is None else {"Privacy": privacy})))
        forwarded = next(one.message for one in made.sent if one.what == "INVITE")
        assert forwarded.headers.count("P-Asserted-Identity") == kept

    @pytest.mark.parametrize("status", [180, 200, 404])
    def test_nor_does_it_by_a_response(self, status):
        made = stage(trusted=())
        made.request(request("INVITE"))
        sent = next(one for one in made.sent if one.what == "INVITE")
        made.proxy._trusts = lambda flow: flow is sent.flow
        answer = asserting(sent.message.create_response(status, to_tag="b"), Privacy="id")
        made.run(made.proxy.receive_response(parse_message(answer.serialize()), made.now, sent.flow))
        upstream = next(one.message for one in reversed(made.sent) if one.what == status)
        assert "P-Asserted-Identity" not in upstream.headers

    def test_but_goes_on_within_it(self):
        made = Stage()
        made.proxy._trusts = lambda flow: True
        made.locations["sip:bob@example.com"] = [ProxyTarget(SipUri.parse("sip:bob@192.0.2.80"))]
        made.request(asserting(request("INVITE"), Privacy="id"))
        forwarded = next(one.message for one in made.sent if one.what == "INVITE")
        assert forwarded.headers.count("P-Asserted-Identity") == 2

    def test_a_preferred_one_is_for_the_first_proxy_alone(self):
        made = stage(trusted=())
        invite = request("INVITE")
        invite.headers.add("P-Preferred-Identity", "<sip:alice@example.com>")
        made.request(invite)
        forwarded = next(one.message for one in made.sent if one.what == "INVITE")
        assert "P-Preferred-Identity" not in forwarded.headers

    def test_whom_to_trust_needs_certificates(self, tmp_path):
        tls = {"trust_domain": ["sip.partner.example"]}
        with pytest.raises(ConfigurationError, match="client certificates") as error:
            parse_config({"listen": [{"host": HOST}], "tls": tls}, tmp_path)
        assert error.value.key == "tls.trust_domain"


@contextlib.asynccontextmanager
async def layer(**options):
    got = []
    made = TransportLayer(
        received=lambda message, flow: got.append((message, flow)),
        malformed=lambda *_: None,
        lost=lambda *_: None,
        **options,
    )
    made.got = got
    try:
        yield made
    finally:
        await made.close()


OPTIONS = (
    b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TLS east.test:5071;branch=z9hG4bK1;alias\r\nFrom: <sip:a@h>;tag=1\r\n"
    b"To: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)
ALIAS = Target("tls", HOST, 5071, "east.test")


@contextlib.asynccontextmanager
async def connected(authority, transport="tls"):
    """East, whose certificate is for east.test, is connected to west; both, their ends, and west as a target."""
    async with (
        layer(tls_client=client_context(ca_file=authority.ca_path, certificate=authority.issue("east"))) as east,
        layer(tls_client=client_context(ca_file=authority.ca_path)) as west,
    ):
        tls = server_context(authority.issue("west"), client_ca_file=authority.ca_path)
        address = await west.listen(transport, HOST, tls=tls)
        target = Target(transport, HOST, address.port, "west.test")
        opened = await east.flow_to(target)
        opened.send(OPTIONS)
        for _ in range(500):
            if west.got:
                break
            await asyncio.sleep(0.01)
        yield east, opened, west, west.got[0][1], target


class TestStandingConnections:
    @pytest.mark.parametrize("days", [-10, 10], ids=["not yet", "no longer"])
    @pytest.mark.parametrize("transport", ["tls", "wss"])
    async def test_an_expired_certificate_proves_nothing(self, authority, monkeypatch, days, transport):
        async with connected(authority, transport) as (east, opened, west, accepted, target):
            assert accepted.proves("east.test")
            assert opened.proves("west.test")
            assert await east.flow_to(target) is opened
            if transport == "tls":
                assert west.open_flow(ALIAS) is accepted
            now = time.time() + days * DAY
            monkeypatch.setattr(time, "time", lambda: now)
            assert not accepted.proves("east.test")
            assert not opened.proves("west.test")
            assert west.open_flow(ALIAS) is None
            assert east.open_flow(target) is None
            assert not opened.closed
            assert not accepted.closed

    @pytest.mark.parametrize("transport", ["tls", "wss"])
    @pytest.mark.parametrize("kept", [False, True], ids=["dropped", "kept"])
    async def test_what_an_authority_said_counts_as_long_as_it_does(self, authority, tmp_path, transport, kept):
        trusted = authority.ca_path if kept else ThrowawayAuthority(tmp_path, name="another").certificate_path
        async with connected(authority, transport) as (east, opened, west, accepted, target):
            for one in (east, west):
                one.replace_tls(
                    client=client_context(ca_file=trusted),
                    server=server_context(authority.issue("west"), client_ca_file=trusted),
                )
            assert accepted.proves("east.test") is kept
            assert opened.proves("west.test") is kept
            assert east.open_flow(target) is (opened if kept else None)
            if transport == "tls":
                assert west.open_flow(ALIAS) is (accepted if kept else None)

    async def test_a_server_that_asks_for_no_certificates_any_more_believes_none(self, authority):
        async with connected(authority) as (_, _, west, accepted, _):
            west.replace_tls(
                client=client_context(ca_file=authority.ca_path), server=server_context(authority.issue("west"))
            )
            assert not accepted.proves("east.test")

    async def test_a_registration_does_not_go_on_over_it(self, authority, monkeypatch):
        async with connected(authority) as (_, opened, _, _, _):
            agent = UserAgent()
            contact = agent.contact("tls", "alice", flow=opened)
            registration = Registration(agent, SipUri.parse("sip:alice@west.test"), contact, flow=opened)
            now = time.time() + 10 * DAY
            monkeypatch.setattr(time, "time", lambda: now)
            with pytest.raises(TransportError, match="no longer good"):
                await registration.register()
            await agent.close()

    @pytest.mark.parametrize("authorities", [frozenset(), frozenset((b"other",))])
    def test_where_tls_does_not_tell_the_authority_none_is_believed_after_a_change(self, authorities):
        """As of a resumed session."""
        chain = VerifiedChain(0.0, 10.0, None)
        assert chain.holds(5.0, None)
        assert not chain.holds(5.0, authorities)
        assert not chain.holds(11.0, None)


class Nobody:
    async def targets(self, uri, request):
        return None


async def test_the_proxy_trusts_who_proves_a_name_of_its_trust_domain(authority):
    class Hooks:
        def __init__(self):
            self.flows = []

        def authorize(self, request, flow):
            self.flows.append(flow)
            return request.create_response(404)

        async def serve(self, request, flow, token):
            return request.create_response(404)

    hooks = Hooks()
    tls = server_context(authority.issue("proxy"), client_ca_file=authority.ca_path)
    async with (
        ProxyServer(
            (Listener("tls", HOST, tls=tls),),
            domains=frozenset(("example.com",)),
            location=Nobody(),
            hooks=hooks,
            trust_domain=frozenset(("east.test",)),
        ) as server,
        layer(tls_client=client_context(ca_file=authority.ca_path, certificate=authority.issue("east"))) as east,
        layer(tls_client=client_context(ca_file=authority.ca_path, certificate=authority.issue("south"))) as south,
    ):
        for one in (east, south):
            flow = await one.flow_to(Target("tls", HOST, server.listening[0].port, "proxy.test"))
            flow.send(OPTIONS.replace(b"sip:h", b"sip:bob@example.com"))
            for _ in range(500):
                if one.got:
                    break
                await asyncio.sleep(0.01)
        assert [server.proxy._trusts(flow) for flow in hooks.flows] == [True, False]
