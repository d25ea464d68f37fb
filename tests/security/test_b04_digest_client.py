"""Which challenges are answered, and that no answer is sent twice (RFC 3261 22.2, 22.3, RFC 7616 3.4)."""

from __future__ import annotations

import time

import pytest

from securertc.server.service import ProxyService
from sip import AuthParameters, Credentials, DigestClient, DigestError, DigestServer, Request, SipUri, Verdict
from sip.digest.stored_secrets import DigestSecrets
from sip.proxy.events import ProxyTarget
from sip.proxy.server import Listener, ProxyServer
from sip.user_agent.user_agent import UserAgent

HOST = "127.0.0.1"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def request(uri, *, method="INVITE", route=(), to_tag=None):
    made = Request(method, SipUri.parse(uri))
    made.headers.add("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    made.headers.add("From", "<sip:alice@example.com>;tag=a")
    made.headers.add("To", "<sip:bob@example.com>" + (f";tag={to_tag}" if to_tag else ""))
    made.headers.add("Call-ID", "c")
    made.headers.add("CSeq", f"1 {method}")
    for one in route:
        made.headers.add("Route", one)
    return made


def server(*, realm="example.com", proxy=False, **more):
    known = DigestSecrets.of_passwords(realm, {"alice": "secret"})
    return DigestServer(realm, known.secret_of, clock=Clock(), algorithms=("SHA-256",), proxy=proxy, **more)


def client(*realms, destinations=("example.com",)):
    return DigestClient(
        tuple(Credentials(realm, "alice", "secret", destinations=destinations) for realm in realms or ("example.com",))
    )


OUR_PROXY = "<sip:proxy.example.com;transport=tls;lr>"


class TestWhoMayAsk:
    @pytest.mark.parametrize("uri", ["sip:mallory@evil.example", "sips:mallory@evil.example", "sip:m@192.0.2.66"])
    @pytest.mark.parametrize("route", [(OUR_PROXY,), ("<sip:example.com;lr>",), ("<sips:example.com;lr>",)])
    def test_a_callee_behind_a_proxy_that_does_not_ask_gets_no_hash_of_ours(self, uri, route):
        ours = client(destinations=("example.com", "proxy.example.com"))
        made = request(uri, route=route)
        with pytest.raises(DigestError, match="not for"):
            ours.authorize(made, server().challenge(made), source="192.0.2.5")
        assert "Authorization" not in made.headers

    @pytest.mark.parametrize("uri", ["sip:mallory@evil.example", "sip:m@192.0.2.66"])
    def test_the_proxy_itself_may_ask(self, uri):
        ours, theirs = client(destinations=("proxy.example.com",)), server(proxy=True)
        made = request(uri, route=(OUR_PROXY,))
        ours.authorize(made, theirs.challenge(made))
        assert theirs.check(made).verdict is Verdict.ACCEPTED

    def test_the_callee_may_not_ask_in_the_dialog_either_because_the_proxy_has(self):
        """All that comes by way of the proxy has its address."""
        ours, proxy = client(destinations=("proxy.example.com",)), server(proxy=True)
        invite = request("sip:mallory@evil.example", route=(OUR_PROXY,))
        ours.authorize(invite, proxy.challenge(invite), source="192.0.2.5")
        bye = request("sip:mallory@192.0.2.66", method="BYE", route=(OUR_PROXY,), to_tag="m")
        with pytest.raises(DigestError, match="dialog"):
            ours.authorize(bye, server().challenge(bye), source="192.0.2.5")
        ours.authorize(bye, proxy.challenge(bye), source="192.0.2.5")
        assert proxy.check(bye).verdict is Verdict.ACCEPTED

    @pytest.mark.parametrize(
        ("uri", "route"),
        [
            ("sip:mallory@192.0.2.66", (OUR_PROXY,)),
            ("sip:mallory@proxy.example.com", (OUR_PROXY, "<sip:evil.example;lr>")),
            ("sip:proxy.example.com;maddr=192.0.2.66", (OUR_PROXY,)),
        ],
    )
    def test_in_a_dialog_the_way_must_lead_nowhere_else(self, uri, route):
        bye = request(uri, method="BYE", route=route, to_tag="m")
        with pytest.raises(DigestError, match="dialog"):
            client(destinations=("proxy.example.com",)).authorize(bye, server().challenge(bye), source="192.0.2.5")

    def test_maddr_is_where_a_request_goes(self):
        """As a peer may write it into Refer-To."""
        made = request("sip:bob@example.com;maddr=192.0.2.66")
        with pytest.raises(DigestError, match=r"not for 192\.0\.2\.66"):
            client().authorize(made, server().challenge(made))

    @pytest.mark.parametrize("uri", ["sips:bob@example.com;maddr=192.0.2.66", "sip:example.com;transport=tls;maddr=h"])
    def test_but_by_tls_who_is_named_has_to_be_proven(self, uri):
        made = request(uri)
        client().authorize(made, server().challenge(made))
        assert "Authorization" in made.headers

    def test_nothing_is_said_before_it_is_asked_to_who_may_not_ask(self):
        ours, registrar = client(destinations=("example.com", "proxy.example.com")), server()
        first = request("sip:example.com", method="REGISTER", route=(OUR_PROXY,))
        ours.authorize(first, registrar.challenge(first))
        other = request("sip:mallory@evil.example", route=(OUR_PROXY,))
        ours.anticipate(other)
        assert "Authorization" not in other.headers


def counts(made, header):
    return [
        (given.get("nonce"), given.get("nc"), given.get("cnonce"))
        for given in (AuthParameters.parse(row) for row in made.headers.get_all(header))
    ]


class TestCounts:
    @pytest.mark.parametrize("one_time", [False, True])
    @pytest.mark.parametrize("realms", [("example.com", "example.com"), ("proxy", "callee")])
    def test_proxy_and_callee_ask_both(self, realms, one_time):
        """Each checks all that comes by, as our proxy does; a repeated count would be refused."""
        proxy, callee = server(realm=realms[0], proxy=True, one_time=one_time), server(realm=realms[1])
        ours, made = client(*set(realms)), request("sip:bob@example.com")
        ours.authorize(made, proxy.challenge(made))
        assert proxy.check(made).verdict is Verdict.ACCEPTED
        ours.authorize(made, callee.challenge(made))
        found = proxy.check(made).verdict
        if one_time:
            # It said that it takes a nonce once; where its next one could not be had, it is asked for again.
            assert found is Verdict.STALE
            ours.authorize(made, proxy.challenge(made, stale=True))
            found = proxy.check(made).verdict
        assert found is Verdict.ACCEPTED
        assert callee.check(made).verdict is Verdict.ACCEPTED

    @pytest.mark.parametrize("proxy", [False, True])
    def test_what_is_sent_once_more_has_its_own_count(self, proxy):
        """To another server, or after a 422."""
        ours, theirs, made = client(), server(proxy=proxy), request("sip:bob@example.com")
        header = "Proxy-Authorization" if proxy else "Authorization"
        ours.authorize(made, theirs.challenge(made))
        seen = counts(made, header)
        for number in range(2, 6):
            assert theirs.check(made).verdict is Verdict.ACCEPTED
            ours.repeat(made)
            assert made.headers.count(header) == 1
            seen += counts(made, header)
            assert seen[-1][1] == f"{number:08x}"
        assert len(set(seen)) == 5

    def test_what_was_said_before_it_was_asked_may_still_be_asked_for_anew(self):
        """An answer given ahead says nothing of the password, also after it was counted on."""
        ours, proxy, callee = client(), server(proxy=True), server()
        first = request("sip:bob@example.com", method="OPTIONS")
        ours.authorize(first, proxy.challenge(first))
        made = request("sip:bob@example.com", method="MESSAGE")
        ours.anticipate(made)
        ours.authorize(made, callee.challenge(made))
        restarted = server(proxy=True)
        ours.authorize(made, restarted.challenge(made))
        assert restarted.check(made).verdict is Verdict.ACCEPTED
        assert callee.check(made).verdict is Verdict.ACCEPTED

    def test_answers_of_unknown_challenges_stay(self):
        made = request("sip:bob@example.com")
        made.headers.add("Authorization", 'Digest realm="other", nonce="n", username="x", uri="sip:x", response="y"')
        before = list(made.headers.items())
        client().repeat(made)
        assert list(made.headers.items()) == before


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_through_a_proxy_that_asks_to_a_callee_who_asks(transport):
    """The INVITE is asked by both, re-INVITE and BYE by the proxy, and no count is one that was there before."""
    domains = frozenset(("example.com",))
    theirs = DigestServer.with_passwords("callee", {"alice": "secret"}, clock=time.monotonic)
    asking = DigestServer.with_passwords("example.com", {"alice": "secret"}, clock=time.monotonic, proxy=True)
    calls = []
    bob = UserAgent(on_invite=lambda incoming: calls.append(incoming.accept(b"v=0\r\n")), authenticator=theirs)
    alice = UserAgent(digest=client("example.com", "callee"))
    try:
        there = await bob.listen(transport, HOST)
        await alice.listen(transport, HOST)
        contact = SipUri.parse(f"sip:bob@{HOST}:{there.port};transport={transport}")
        service = ProxyService(domains, static={"bob@example.com": (ProxyTarget(contact),)}, proxies=asking)
        async with ProxyServer((Listener(transport, HOST),), domains=domains, location=service, hooks=service) as proxy:
            service.identity = proxy.proxy.identity
            alice.outbound_proxy = SipUri.parse(f"sip:{HOST}:{proxy.listening[0].port};transport={transport};lr")
            made = request("sip:bob@example.com")
            made.headers.remove("Via")
            made.headers.add("Max-Forwards", "70")
            made.headers.add("Contact", str(alice.contact(transport, "alice")))
            dialog = await alice.invite(made).run()
            assert made.headers.count("Proxy-Authorization") == made.headers.count("Authorization") == 1
            calls[0].on_reinvite = lambda _: (200, b"v=0\r\n")
            assert (await dialog.reinvite(b"v=0\r\n")).status == 200
            bye = dialog.create_request("BYE")
            assert (await alice.request(bye)).status == 200
            assert bye.headers.count("Proxy-Authorization") == 1
    finally:
        await alice.close()
        await bob.close()
