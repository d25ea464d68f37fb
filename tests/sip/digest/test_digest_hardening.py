"""Digest against those who lure, guess, replay and impersonate."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip import AuthParameters, Credentials, DigestClient, DigestError, DigestServer, Request, SipUri, Verdict
from sip.digest.calculation import ALGORITHMS, ha1, response, userhash
from sip.digest.guess_limit import SLOTS, GuessLimit, GuessRate
from sip.digest.stored_secrets import DigestSecrets

VECTORS = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "rfc7616_digest.json").read_text())


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def request(method="INVITE", uri="sip:bob@example.com", *, body=b"", to_tag=None, route=None, call_id="c"):
    made = Request(method, SipUri.parse(uri), body=body)
    made.headers.add("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    made.headers.add("From", "<sip:alice@example.com>;tag=a")
    made.headers.add("To", "<sip:bob@example.com>" + (f";tag={to_tag}" if to_tag else ""))
    made.headers.add("Call-ID", call_id)
    made.headers.add("CSeq", f"1 {method}")
    if route is not None:
        made.headers.add("Route", route)
    return made


def server(**more):
    more.setdefault("clock", Clock())
    more.setdefault("algorithms", ("SHA-256",))
    known = DigestSecrets.of_passwords("example.com", {"alice": "secret", "bob": "other"})
    username_of = known.username_of if more.pop("userhash", False) else None
    return DigestServer("example.com", known.secret_of, username_of=username_of, **more)


def client(password="secret", *, name="alice", destinations=None, **more):
    return DigestClient((Credentials("example.com", name, password, destinations=destinations),), **more)


def answered(ours, theirs, made=None):
    made = made or request()
    ours.authorize(made, theirs.challenge(made))
    return made


class TestDestinations:
    """The SIP digest leak: no hash for those who are not the ones that the password is for."""

    @pytest.mark.parametrize(
        ("uri", "route", "proxy"),
        [
            ("sip:bob@example.com", None, False),
            ("sip:bob@elsewhere.example", "<sip:EXAMPLE.com;lr>", True),
            ("sip:bob@example.com", "<sip:proxy.elsewhere.example;lr>", False),  # our own choice of a proxy on the way
            ("sips:bob@example.com;maddr=192.0.2.66", None, False),  # TLS proves the name
        ],
    )
    def test_allowed_outside_of_dialogs(self, uri, route, proxy):
        answered(client(), server(proxy=proxy), request(uri=uri, route=route))

    @pytest.mark.parametrize(
        ("uri", "route"),
        [
            ("sip:mallory@evil.example", None),
            ("sip:mallory@evil.example", "<sip:example.com.evil.example;lr>"),
            ("sip:mallory@evil.example", "<sip:example.com;maddr=192.0.2.66;lr>"),  # UDP goes where maddr says
            ("tel:+1", None),
        ],
    )
    def test_refused_outside_of_dialogs(self, uri, route):
        made = request(uri="sip:x@x", route=route)
        if uri.startswith("sip"):
            made.uri = SipUri.parse(uri)
        with pytest.raises(DigestError, match="not for") as error:
            answered(client(), server(), made)
        assert error.value.realm == "example.com"
        assert "Authorization" not in made.headers

    def test_proxy_may_challenge_in_a_call_that_came_to_us(self):
        """Our proxy, to which the credentials belong, stands in the Record-Route of a call received."""
        bye = request("BYE", "sip:mallory@192.0.2.66", to_tag="m", route="<sip:example.com;transport=tls;lr>")
        theirs = server(proxy=True)
        ours = client()
        ours.authorize(bye, theirs.challenge(bye), source="192.0.2.1")
        assert theirs.check(bye).verdict is Verdict.ACCEPTED

    @pytest.mark.parametrize(
        "route", [None, "<sip:evil.example;lr>", "<sip:example.com;transport=udp;maddr=192.0.2.66;lr>"]
    )
    def test_peer_may_not(self, route):
        bye = request("BYE", "sip:mallory@192.0.2.66", to_tag="m", route=route)
        for theirs in (server(), server(proxy=True)):
            with pytest.raises(DigestError, match="dialog"):
                client().authorize(bye, theirs.challenge(bye), source="192.0.2.66")
        assert not {"Authorization", "Proxy-Authorization"} & {name for name, _ in bye.headers.items()}

    def test_peer_may_not_name_our_domain_in_its_contact_beside_another_way(self):
        bye = request("BYE", "sip:x@example.com", to_tag="m", route="<sip:evil.example;lr>")
        with pytest.raises(DigestError, match="dialog"):
            answered(client(), server(), bye)

    def test_who_challenged_the_invite_may_challenge_the_bye(self):
        """A call of ours: by the address that the INVITE's challenge came from, and by no other."""
        ours, theirs = client(), server()
        invite = request()
        ours.authorize(invite, theirs.challenge(invite), source="192.0.2.10")
        bye = request("BYE", "sip:bob@192.0.2.10", to_tag="b")
        ours.authorize(bye, theirs.challenge(bye), source="192.0.2.10")
        assert theirs.check(bye).verdict is Verdict.ACCEPTED
        for stranger in ("192.0.2.66", ""):
            again = request("BYE", "sip:bob@192.0.2.10", to_tag="b")
            with pytest.raises(DigestError, match="dialog"):
                ours.authorize(again, theirs.challenge(again), source=stranger)
        other_call = request("BYE", "sip:bob@192.0.2.10", to_tag="b", call_id="other")
        with pytest.raises(DigestError, match="dialog"):
            ours.authorize(other_call, theirs.challenge(other_call), source="192.0.2.10")

    def test_named_destinations_are_the_only_ones(self):
        credentials = Credentials("example.com", "alice", "secret", destinations=("[2001:DB8::1]",))
        assert credentials.also_for(("example.com",)) is credentials
        answered(DigestClient((credentials,)), server(), request(uri="sip:bob@[2001:db8::1]:5070"))
        with pytest.raises(DigestError, match="not for"):
            answered(DigestClient((credentials,)), server())
        open_ones = Credentials("example.com", "alice", "secret").also_for(("proxy.example.net",))
        assert open_ones.destinations == {"example.com", "proxy.example.net"}


class TestSecrets:
    """HA1 and nothing else, and that for nobody's eyes."""

    def test_credentials_by_ha1_answer_as_those_by_password(self):
        secret = ha1("SHA-256", "alice", "example.com", "secret")
        ours = DigestClient((Credentials("example.com", "alice", ha1={"sha-256": secret.upper()}),))
        theirs = server(algorithms=("SHA-512-256", "SHA-256"))
        # The topmost that there is an HA1 for.
        assert theirs.check(answered(ours, theirs)).algorithm == "SHA-256"
        with pytest.raises(DigestError, match="not allowed"):
            answered(ours, server(algorithms=("SHA-512-256",)))

    @pytest.mark.parametrize(
        "more", [{}, {"password": "p", "ha1": {"MD5": "0" * 32}}, {"ha1": {"MD5": "0" * 31}}, {"ha1": {"X": "0"}}]
    )
    def test_credentials_need_one_or_the_other(self, more):
        with pytest.raises(ValueError, match=r"needed|hex digits|not supported"):
            Credentials("r", "a", **more)

    def test_nothing_shows_or_leaves(self):
        credentials = Credentials("example.com", "alice", "s3same")
        secrets = DigestSecrets.of_passwords("example.com", {"alice": "s3same"})
        theirs = DigestServer("example.com", secrets.secret_of, clock=Clock(), algorithms=("SHA-256",))
        accepted = theirs.check(answered(client("s3same"), theirs))
        assert accepted.proof is not None
        hidden = ["s3same", *(ha1(name, "alice", "example.com", "s3same") for name in ALGORITHMS)]
        for one in (credentials, secrets, accepted):
            assert not [text for text in hidden if text in repr(one)]
            for leave in (pickle.dumps, copy.deepcopy):
                with pytest.raises(TypeError):
                    leave(one)

    def test_file_of_ha1(self):
        line = f"alice:example.com:SHA-256:{ha1('SHA-256', 'alice', 'example.com', 'secret')}"
        known = DigestSecrets.parse("example.com", f"# users\n\n{line}\nbob:other:MD5:{'0' * 32}\n")
        theirs = DigestServer("example.com", known.secret_of, clock=Clock(), algorithms=("SHA-256",))
        assert theirs.check(answered(client(), theirs)).username == "alice"
        assert known.secret_of("bob", "example.com", "MD5") is None
        assert known.secret_of("alice", "other", "SHA-256") is None
        for bad in ("alice:example.com:SHA-256", "alice:example.com:SHA-3:00", ":example.com:MD5:" + "0" * 32):
            with pytest.raises(ValueError, match="line 2"):
                DigestSecrets.parse("example.com", f"#\n{bad}")


class TestUserhash:
    """RFC 7616 3.4.4."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_name_is_hidden_and_found(self, algorithm):
        theirs = server(userhash=True, algorithms=(algorithm,))
        made = answered(client(algorithms=(algorithm,)), theirs)
        given_ = AuthParameters.parse(made.headers.get("Authorization"))
        assert given_.get("username") == userhash(algorithm, "alice", "example.com")
        assert given_.get("userhash") == "true"
        assert theirs.check(made).username == "alice"

    def test_of_nobody_is_refused(self):
        theirs = server(userhash=True)
        assert theirs.check(answered(client(name="mallory"), theirs)).verdict is Verdict.REFUSED

    def test_is_not_taken_where_it_was_not_asked_for(self):
        asking, silent = server(userhash=True), server()
        made = answered(client(), asking)
        assert silent.check(made).verdict in (Verdict.REFUSED, Verdict.STALE)


class TestNonces:
    def test_one_time_nonce_is_taken_once(self):
        theirs, ours = server(one_time=True), client()
        challenge = theirs.challenge(request())
        first, second = request(), request()
        for one in (first, second):
            ours.authorize(one, challenge)
        accepted = theirs.check(first)
        assert accepted.verdict is Verdict.ACCEPTED
        assert theirs.check(second).verdict is Verdict.STALE  # a right answer, of another count
        assert theirs.check(first).verdict is Verdict.STALE
        confirmed = first.create_response(200)
        theirs.confirm(confirmed, accepted)
        info = AuthParameters.parse("Digest " + confirmed.headers.get("Authentication-Info"))
        challenge.headers.set(
            "WWW-Authenticate",
            f'Digest realm="example.com", nonce="{info.get("nextnonce")}", qop="auth", algorithm=SHA-256',
        )
        third = request()
        ours.authorize(third, challenge)
        assert theirs.check(third).verdict is Verdict.ACCEPTED

    def test_opaque_of_another_challenge_is_stale(self):
        theirs = server()
        made = answered(client(), theirs)
        row = made.headers.get("Authorization")
        opaque = AuthParameters.parse(row).get("opaque")
        made.headers.set("Authorization", row.replace(opaque, "0" * 16))
        assert theirs.check(made).verdict is Verdict.STALE
        made.headers.set("Authorization", row.replace(f', opaque="{opaque}"', ""))  # as some forget it
        assert theirs.check(made).verdict is Verdict.ACCEPTED

    def test_overlong_nonce_is_not_answered(self):
        challenge = server().challenge(request())
        challenge.headers.set(
            "WWW-Authenticate", f'Digest realm="example.com", nonce="{"n" * 1025}", qop="auth", algorithm=SHA-256'
        )
        with pytest.raises(DigestError):
            client().authorize(request(), challenge)


class TestAnsweringAhead:
    """A second request to where the first was challenged carries its answer with it."""

    def test_without_a_challenge(self):
        ours, theirs = client(), server()
        answered(ours, theirs, request("REGISTER", "sip:example.com"))
        again = request("REGISTER", "sip:example.com")
        ours.anticipate(again)
        assert theirs.check(again).verdict is Verdict.ACCEPTED
        ours.anticipate(again)
        assert again.headers.count("Authorization") == 1

    @pytest.mark.parametrize(
        "made",
        [
            request("REGISTER", "sip:other.example.com"),
            request("BYE", to_tag="b"),
            request("REGISTER", "sip:example.com;maddr=192.0.2.66", route="<sip:evil.example;lr>", to_tag="x"),
        ],
    )
    def test_never_elsewhere(self, made):
        ours = client()
        answered(ours, server())
        ours.anticipate(made)
        assert "Authorization" not in made.headers

    @pytest.mark.parametrize("stale", [True, False])
    def test_refusal_of_an_old_nonce_is_no_wrong_password(self, stale):
        clock = Clock()
        ours, theirs = client(), server(clock=clock)
        answered(ours, theirs)
        clock.now += 1000
        made = request()
        ours.anticipate(made)
        assert theirs.check(made).verdict is Verdict.STALE
        ours.authorize(made, theirs.challenge(made, stale=stale))  # not every server says stale
        assert theirs.check(made).verdict is Verdict.ACCEPTED
        with pytest.raises(DigestError, match="refused"):
            ours.authorize(made, theirs.challenge(made))

    def test_one_time_nonces_go_on_by_nextnonce(self):
        ours, theirs = client(), server(one_time=True)
        made = answered(ours, theirs)
        for _ in range(4):
            answer = made.create_response(200)
            accepted = theirs.check(made)
            assert accepted.verdict is Verdict.ACCEPTED
            theirs.confirm(answer, accepted)
            assert ours.verify(made, answer)
            made = request()
            ours.anticipate(made)

    def test_nextnonce_of_the_unproven_is_not_taken(self):
        ours, theirs = client(), server()
        made = answered(ours, theirs)
        answer = made.create_response(200)
        answer.headers.set("Authentication-Info", 'nextnonce="chosen"')
        assert not ours.verify(made, answer)
        again = request()
        ours.anticipate(again)
        assert AuthParameters.parse(again.headers.get("Authorization")).get("nonce") != "chosen"


class TestProofOfTheServer:
    """Authentication-Info (RFC 7616 3.5, RFC 7615)."""

    def confirmed(self, *, proxy=False, body=b"", qop=("auth",), made=None):
        theirs = server(proxy=proxy, qop=qop)
        made = answered(client(), theirs, made)
        answer = made.create_response(200)
        answer.body = body
        theirs.confirm(answer, theirs.check(made))
        return made, answer

    @pytest.mark.parametrize("proxy", [False, True])
    @pytest.mark.parametrize("qop", ["auth", "auth-int"])
    def test_is_made_and_believed(self, proxy, qop):
        made, answer = self.confirmed(proxy=proxy, qop=(qop,), body=b"v=0\r\n", made=request(body=b"hello"))
        header = "Proxy-Authentication-Info" if proxy else "Authentication-Info"
        info = AuthParameters.parse("Digest " + answer.headers.get(header))
        assert info.get("qop") == qop
        assert client(require_proof=True).verify(made, answer)
        # By hashlib alone.
        given_ = AuthParameters.parse(made.headers.get("Proxy-Authorization" if proxy else "Authorization"))

        def h(text):
            return hashlib.sha256(text.encode()).hexdigest()

        a2 = ":sip:bob@example.com" + (f":{h('v=0' + chr(13) + chr(10))}" if qop == "auth-int" else "")
        middle = ":".join((given_.get("nonce"), given_.get("nc"), given_.get("cnonce"), qop))
        assert info.get("rspauth") == h(f"{h('alice:example.com:secret')}:{middle}:{h(a2)}")

    def test_wrong_one_is_an_error(self):
        made, answer = self.confirmed()
        row = answer.headers.get("Authentication-Info")
        digest = AuthParameters.parse("Digest " + row).get("rspauth")
        other = server()
        foreign = other.check(answered(client(), other))
        for bad in (
            row.replace(digest, "0" * 64),
            row.replace("nc=00000001", "nc=00000002"),
            row.replace("qop=auth", "qop=auth-int"),
            "=",
        ):
            answer.headers.set("Authentication-Info", bad)
            with pytest.raises(DigestError):
                client().verify(made, answer)
        other.confirm(answer, foreign)
        with pytest.raises(DigestError, match="proof"):
            client().verify(made, answer)

    def test_sloppy_one_is_believed_where_the_digest_is_right(self):
        made, answer = self.confirmed()
        digest = AuthParameters.parse("Digest " + answer.headers.get("Authentication-Info")).get("rspauth")
        answer.headers.set("Authentication-Info", f'rspauth="{digest.upper()}"')
        assert client().verify(made, answer)

    def test_body_is_covered_by_auth_int(self):
        made, answer = self.confirmed(qop=("auth-int",), body=b"v=0\r\n")
        answer.body = b"v=1\r\n"
        with pytest.raises(DigestError, match="proof"):
            client().verify(made, answer)

    def test_server_without_the_secret_is_not_believed(self):
        """Who relays our answer to the true server, or takes any password, cannot prove anything."""
        made, answer = self.confirmed()
        with pytest.raises(DigestError, match="proof"):
            client("another").verify(made, answer)

    def test_may_be_missing_unless_required(self):
        made, answer = self.confirmed()
        answer.headers.remove("Authentication-Info")
        assert not client().verify(made, answer)
        with pytest.raises(DigestError, match="did not prove"):
            client(require_proof=True).verify(made, answer)
        assert not client(require_proof=True).verify(request(), request().create_response(200))

    def test_rspauth_is_not_the_request_digest(self):
        case = VECTORS["plain"]
        secret = ha1("SHA-256", case["username"], case["realm"], case["password"])
        names = ("nonce", "uri", "qop", "nonce_count", "cnonce")
        found = response("SHA-256", secret, method="", **{name: case[name] for name in names})
        assert found != case["responses"]["SHA-256"]


class TestGuessing:
    def test_wrong_answers_have_to_wait(self):
        clock = Clock()
        theirs = server(clock=clock)
        for _ in range(5):
            assert theirs.check(answered(client("wrong"), theirs), source="192.0.2.66").verdict is Verdict.REFUSED
        made = answered(client("wrong"), theirs)
        delayed = theirs.check(made, source="192.0.2.66")
        assert (delayed.verdict, delayed.retry_after) == (Verdict.DELAYED, 10)
        refusal = theirs.refuse(made, delayed)
        assert (refusal.status, refusal.headers.get("Retry-After")) == (403, "10")
        # Not even the right one is looked at, so that the delay tells nothing.
        assert theirs.check(answered(client(), theirs), source="192.0.2.66").verdict is Verdict.DELAYED
        # The account from elsewhere, and others from there, go on.
        assert theirs.check(answered(client(), theirs), source="192.0.2.1").verdict is Verdict.ACCEPTED
        bob = client("other", name="bob")
        assert theirs.check(answered(bob, theirs), source="192.0.2.66").verdict is Verdict.ACCEPTED
        clock.now += 10
        assert theirs.check(answered(client(), theirs), source="192.0.2.66").verdict is Verdict.ACCEPTED
        assert theirs.check(answered(client("wrong"), theirs), source="192.0.2.66").verdict is Verdict.REFUSED
        assert theirs.check(answered(client(), theirs), source="192.0.2.66").verdict is Verdict.DELAYED
        clock.now += 60
        assert theirs.check(answered(client(), theirs), source="192.0.2.66").verdict is Verdict.ACCEPTED

    def test_replay_of_a_right_answer_forgives_nothing(self):
        theirs = server()
        sniffed = answered(client(), theirs)
        assert theirs.check(sniffed, source="192.0.2.1").verdict is Verdict.ACCEPTED
        for _ in range(5):
            theirs.check(answered(client("wrong"), theirs), source="192.0.2.66")
            assert theirs.check(sniffed, source="192.0.2.66").verdict in (Verdict.REFUSED, Verdict.DELAYED)
        assert theirs.check(answered(client(), theirs), source="192.0.2.66").verdict is Verdict.DELAYED

    def test_one_source_and_many_accounts(self):
        limit = GuessLimit(source=GuessRate(20, 1.0))
        for number in range(20):
            assert limit.wait(f"user{number}", "192.0.2.66", 0.0) == 0
            limit.failed(f"user{number}", "192.0.2.66", 0.0)
        assert limit.wait("alice", "192.0.2.66", 0.0) == 1.0
        assert limit.wait("alice", "192.0.2.67", 0.0) == 0

    def test_one_account_and_many_sources_does_not_lock_out_its_owner(self):
        limit = GuessLimit(account=GuessRate(20, 10.0))
        limit.succeeded("alice", "198.51.100.1")
        for number in range(40):
            limit.failed("alice", f"192.0.2.{number}", 0.0)
        assert limit.wait("alice", "203.0.113.1", 0.0) == 0  # it has not failed
        limit.failed("alice", "203.0.113.1", 0.0)
        assert limit.wait("alice", "203.0.113.1", 0.0) > 0
        assert limit.wait("alice", "198.51.100.1", 0.0) == 0
        assert limit.wait("alice", "203.0.113.1", 1000.0) == 0

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("2001:db8::1", "2001:db8::ffff:1", True),
            ("2001:db8::1", "2001:db8:0:1::1", False),
            ("::ffff:192.0.2.1", "192.0.2.1", True),
            ("fe80::1%eth0", "fe80::2%eth0", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("", "", True),
        ],
    )
    def test_what_is_one_source(self, one, other, same):
        limit = GuessLimit(pair=GuessRate(1, 10.0))
        limit.failed("alice", one, 0.0)
        assert (limit.wait("alice", other, 0.0) > 0) is same

    def test_memory_is_bounded_and_no_flood_wipes_the_count(self, monkeypatch):
        monkeypatch.setattr("sip.digest.guess_limit.MAX_TRUSTED", 10)
        limit = GuessLimit(source=GuessRate(10**9, 1e-9), account=GuessRate(10**9, 1e-9))
        for _ in range(6):
            limit.failed("alice", "192.0.2.66", 0.0)
        before = limit.wait("alice", "192.0.2.66", 0.0)
        for number in range(2 * SLOTS):
            limit.failed(f"made-up-{number}", "192.0.2.66", 0.0)
            limit.succeeded(f"real-{number}", "192.0.2.1")
        assert limit.wait("alice", "192.0.2.66", 0.0) >= before > 0
        assert len(limit._trusted) == 10
        assert len(limit._pairs._forgiven) == SLOTS


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["Authorization", "Authentication-Info"]))
def test_any_header_is_a_verdict_or_a_digest_error(text, header):
    theirs = server()
    made = answered(client(), theirs)
    row = made.headers.get("Authorization")
    start = len(text) % len(row)
    damaged = "".join(one for one in row[:start] + text + row[start + 3 :] if one.isprintable())
    if header == "Authorization":
        made.headers.set(header, damaged)
        assert theirs.check(made, source=text).verdict in Verdict
        return
    answer = made.create_response(200)
    answer.headers.set(header, damaged)
    try:
        assert client().verify(made, answer) in (True, False)
    except DigestError:
        return
