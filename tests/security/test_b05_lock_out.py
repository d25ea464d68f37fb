"""Strangers cannot lock an account's owner out, and nobody guesses for nothing."""

from __future__ import annotations

import time

import pytest

from securertc.commands.proxy import _digest
from securertc.server.configuration import AuthenticationSettings
from securertc.server.service import ProxyService
from sip import AuthParameters, Credentials, DigestClient, DigestServer, Request, SipUri, Verdict
from sip.digest.guess_limit import ACCOUNT_DELAY, REMEMBERED, SLOTS, GuessLimit
from sip.digest.stored_secrets import DigestSecrets
from sip.user_agent.user_agent import UserAgent

OWNER, STRANGER = "198.51.100.1", "203.0.113.66"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def server(*, clock=None, **more):
    known = DigestSecrets.of_passwords("example.com", {"alice": "secret"})
    return DigestServer("example.com", known.secret_of, clock=clock or Clock(), algorithms=("SHA-256",), **more)


def request(*, proxy=False, method="REGISTER"):
    made = Request(method, SipUri.parse("sip:example.com"))
    made.headers.add("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    made.headers.add("From", "<sip:alice@example.com>;tag=a")
    made.headers.add("To", "<sip:alice@example.com>")
    made.headers.add("Call-ID", "c")
    made.headers.add("CSeq", f"1 {method}")
    return made


def answer(theirs, password="secret", *, source, datagram=False):
    """A request that answers a challenge which went to `source`."""
    made = request()
    first = theirs.check(made, source=source, datagram=datagram)
    DigestClient((Credentials("example.com", "alice", password),)).authorize(made, theirs.refuse(made, first))
    return made


def forged(nonce):
    made = request()
    made.headers.add(
        "Authorization",
        f'Digest username="alice", realm="example.com", nonce="{nonce}", uri="sip:example.com", qop=auth, nc=00000001,'
        f' cnonce="x", algorithm=SHA-256, response="{"0" * 64}"',
    )
    return made


def verdict(theirs, made, source, *, datagram=False):
    return theirs.check(made, source=source, datagram=datagram).verdict


@pytest.mark.parametrize("datagram", [True, False], ids=["UDP", "TCP"])
@pytest.mark.parametrize("nonce", ["", "00", "0" * 64, "x" * 64, "f" * 1000])
def test_answers_to_no_nonce_of_ours_count_for_nothing(nonce, datagram):
    theirs = server()
    for _ in range(200):
        assert verdict(theirs, forged(nonce), OWNER, datagram=datagram) is Verdict.STALE
    made = answer(theirs, source=OWNER, datagram=datagram)
    assert verdict(theirs, made, OWNER, datagram=datagram) is Verdict.ACCEPTED


def test_over_udp_a_nonce_is_good_for_where_it_was_sent():
    """The stranger fetches nonces of his own, and writes the owner's address onto what he sends."""
    theirs = server()
    for _ in range(200):
        wrong = answer(theirs, "wrong", source=STRANGER, datagram=True)
        assert verdict(theirs, wrong, OWNER, datagram=True) is Verdict.STALE
    assert verdict(theirs, answer(theirs, source=OWNER, datagram=True), OWNER, datagram=True) is Verdict.ACCEPTED


def test_a_nonce_fetched_by_tcp_is_good_for_no_datagram():
    theirs = server()
    made = answer(theirs, source=OWNER)
    assert verdict(theirs, made, OWNER, datagram=True) is Verdict.STALE
    assert verdict(theirs, made, OWNER) is Verdict.ACCEPTED


def test_what_was_asked_by_udp_may_be_answered_by_a_connection_from_there():
    theirs = server()
    made = answer(theirs, source=OWNER, datagram=True)
    assert verdict(theirs, made, STRANGER) is Verdict.STALE
    assert verdict(theirs, made, OWNER) is Verdict.ACCEPTED


@pytest.mark.parametrize("written", ["2001:db8::1", "2001:DB8:0::1"])
def test_an_address_is_one_however_it_is_written(written):
    theirs = server()
    made = answer(theirs, source="2001:db8::1", datagram=True)
    assert verdict(theirs, made, written, datagram=True) is Verdict.ACCEPTED


def test_the_next_nonce_is_for_the_same_address():
    theirs = server(one_time=True)
    made = answer(theirs, source=OWNER, datagram=True)
    found = theirs.check(made, source=OWNER, datagram=True)
    response = made.create_response(200)
    theirs.confirm(response, found)
    following = AuthParameters.parse("Digest " + response.headers.get("Authentication-Info")).get("nextnonce")
    assert verdict(theirs, forged(following), STRANGER, datagram=True) is Verdict.STALE
    assert verdict(theirs, forged(following), OWNER, datagram=True) is Verdict.REFUSED


@pytest.mark.parametrize("password", ["secret", "wrong"])
@pytest.mark.parametrize("how", ["too old", "another server", "another address"])
def test_what_is_not_counted_tells_nothing_of_the_password(how, password):
    clock = Clock()
    theirs = server(clock=clock)
    made = answer(theirs, password, source=STRANGER, datagram=True)
    source = STRANGER
    if how == "too old":
        clock.now += 301
    elif how == "another server":
        theirs = server(clock=clock)
        theirs._opaque = AuthParameters.parse(made.headers.get("Authorization")).get("opaque")
    else:
        source = OWNER
    found = theirs.check(made, source=source, datagram=True)
    assert found.verdict is Verdict.STALE
    assert "stale=true" in theirs.refuse(made, found).headers.get("WWW-Authenticate")


def test_guesses_at_nonces_of_ones_own_count_for_oneself():
    theirs = server()
    for _ in range(5):
        assert verdict(theirs, answer(theirs, "wrong", source=STRANGER), STRANGER) is Verdict.REFUSED
    assert verdict(theirs, answer(theirs, "wrong", source=STRANGER), STRANGER) is Verdict.DELAYED
    assert verdict(theirs, answer(theirs, source=OWNER), OWNER) is Verdict.ACCEPTED


def test_an_account_under_attack_never_refuses_the_first_answer_of_who_has_not_failed():
    theirs = server()
    for number in range(300):
        source = f"203.0.{number // 250}.{number % 250}"
        assert verdict(theirs, answer(theirs, "wrong", source=source), source) is Verdict.REFUSED
    for source in (OWNER, "2001:db8::1", "192.0.2.77"):
        assert verdict(theirs, answer(theirs, source=source), source) is Verdict.ACCEPTED
    # Who guesses once has to wait, though alone he would have four guesses more.
    assert verdict(theirs, answer(theirs, "wrong", source="192.0.2.1"), "192.0.2.1") is Verdict.REFUSED
    assert verdict(theirs, answer(theirs, "wrong", source="192.0.2.1"), "192.0.2.1") is Verdict.DELAYED


def test_a_slip_of_the_owner_under_attack_costs_a_minute_at_most():
    limit = GuessLimit()
    for number in range(5000):
        limit.failed("alice", f"203.{number // 65536}.{number // 256 % 256}.{number % 256}", 0.0)
    limit.failed("alice", OWNER, 0.0)
    assert 0 < limit.wait("alice", OWNER, 0.0) <= ACCOUNT_DELAY
    assert limit.wait("alice", OWNER, ACCOUNT_DELAY) == 0
    limit.succeeded("alice", OWNER)
    limit.failed("alice", OWNER, ACCOUNT_DELAY)
    assert limit.wait("alice", OWNER, ACCOUNT_DELAY) == 0


def test_no_slot_that_others_have_filled_holds_up_who_has_not_failed():
    limit = GuessLimit()
    for counted in (limit._pairs, limit._sources, limit._accounts):
        for slot in range(SLOTS):
            for _ in range(200):
                counted.count(slot, 0.0)
    assert limit.wait("alice", OWNER, 0.0) == 0
    limit.failed("alice", OWNER, 0.0)
    assert limit.wait("alice", OWNER, 0.0) > 0
    assert limit.wait("alice", OWNER, REMEMBERED + 1) == 0


def test_sources_that_failed_are_remembered_in_bounds(monkeypatch):
    monkeypatch.setattr("sip.digest.guess_limit.MAX_FAILING", 10)
    limit = GuessLimit()
    for number in range(100):
        limit.failed("alice", f"203.0.113.{number}", 0.0)
    assert len(limit._failing) == 10


class Way:
    transport, remote, accepted, certificate = "udp", (OWNER, 5060), False, None

    def __init__(self, transport):
        self.transport, self.reliable, self.secure = transport, transport != "udp", transport == "tls"

    def proves(self, name):
        return False


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("proxy", [True, False], ids=["proxy", "registrar"])
async def test_the_proxy_says_which_way_an_answer_came(proxy, transport):
    clock = Clock()
    theirs = server(clock=clock, proxy=proxy)
    service = ProxyService(
        frozenset(("example.com",)), location=object(), proxies=theirs if proxy else None, registrar=theirs
    )

    async def ask(made):
        if proxy:
            return service.authorize(made, Way(transport))
        return await service.serve(made, Way(transport), "token")

    made = request(method="MESSAGE" if proxy else "REGISTER")
    challenge = await ask(made)
    header = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
    nonce = AuthParameters.parse(challenge.headers.get(header)).get("nonce")
    assert (theirs._issued_at(nonce, STRANGER, datagram=False) is None) is (transport == "udp")
    assert (theirs._issued_at(nonce, OWNER, datagram=True) is None) is (transport != "udp")


async def test_an_endpoint_binds_its_challenges_too():
    theirs = DigestServer.with_passwords("example.com", {"alice": "secret"}, clock=time.monotonic)
    seen = []
    agent = UserAgent(authenticator=theirs)
    asking = UserAgent()
    try:
        address = await agent.listen("udp", "127.0.0.1")
        await asking.listen("udp", "127.0.0.1")
        made = request(method="OPTIONS")
        made.headers.remove("Via")
        made.uri = SipUri.parse(f"sip:bob@127.0.0.1:{address.port}")
        response = await asking.request(made)
        seen.append(AuthParameters.parse(response.headers.get("WWW-Authenticate")).get("nonce"))
    finally:
        await asking.close()
        await agent.close()
    assert theirs._issued_at(seen[0], "127.0.0.1", datagram=True) is not None
    assert theirs._issued_at(seen[0], STRANGER, datagram=True) is None


def test_registrar_and_proxy_count_together(tmp_path):
    users = tmp_path / "users"
    users.write_text("alice:secret\n")
    proxies, registrar = _digest(AuthenticationSettings("example.com", users))
    assert proxies._guesses is registrar._guesses
