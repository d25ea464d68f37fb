"""Digest (RFC 7616, RFC 8760): the RFC's vectors, the client's restraint, the server's checks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from sip import AuthParameters, Credentials, DigestClient, DigestError, DigestServer, Request, SipUri, Verdict
from sip.digest.calculation import ha1, response, userhash

VECTORS = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "rfc7616_digest.json").read_text())


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def request(method="INVITE", *, body=b"", cseq=1):
    made = Request(method, SipUri.parse("sip:bob@example.com"), body=body)
    made.headers.add("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    made.headers.add("From", "<sip:alice@example.com>;tag=a")
    made.headers.add("To", "<sip:bob@example.com>")
    made.headers.add("Call-ID", "c")
    made.headers.add("CSeq", f"{cseq} {method}")
    return made


def server(clock=None, *, algorithms=("SHA-512-256", "SHA-256", "MD5"), proxy=False):
    passwords = {"alice": "pässword"}
    return DigestServer.with_passwords(
        "example.com", passwords, clock=clock or Clock(), algorithms=algorithms, proxy=proxy
    )


def client(**more):
    return DigestClient((Credentials("example.com", "alice", more.pop("password", "pässword")),), **more)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_rfc7616_plain_vectors(algorithm):
    case = VECTORS["plain"]
    secret = ha1(algorithm, case["username"], case["realm"], case["password"])
    names = ("nonce", "method", "uri", "qop", "nonce_count", "cnonce")
    assert response(algorithm, secret, **{name: case[name] for name in names}) == case["responses"][algorithm]


def test_rfc7616_userhash_vector_corrected():
    case = VECTORS["userhash"]
    assert userhash("SHA-512-256", case["username"], case["realm"]) == case["userhash"]
    secret = ha1("SHA-512-256", case["username"], case["realm"], case["password"])
    names = ("nonce", "method", "uri", "qop", "nonce_count", "cnonce")
    assert response("SHA-512-256", secret, **{name: case[name] for name in names}) == case["response"]


def test_sha_512_256_is_not_a_truncated_sha_512():
    from sip.digest.calculation import hash_hex

    assert hash_hex("SHA-512-256", b"abc") == "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"
    assert not hashlib.sha512(b"abc").hexdigest().startswith(hash_hex("SHA-512-256", b"abc"))


def test_auth_int_covers_the_body():
    body = b"v=0\r\n"
    ha2 = hashlib.sha256(b"INVITE:sip:bob@example.com:" + hashlib.sha256(body).hexdigest().encode()).hexdigest()
    secret = ha1("SHA-256", "a", "r", "p")
    wanted = hashlib.sha256(f"{secret}:n:00000001:c:auth-int:{ha2}".encode()).hexdigest()
    found = response(
        "SHA-256",
        secret,
        nonce="n",
        method="INVITE",
        uri="sip:bob@example.com",
        qop="auth-int",
        nonce_count="00000001",
        cnonce="c",
        body=body,
    )
    assert found == wanted


@pytest.mark.parametrize("proxy", [False, True])
@pytest.mark.parametrize("algorithm", ["SHA-512-256", "SHA-256", "MD5"])
def test_client_and_server_agree(algorithm, proxy):
    ours, theirs = client(algorithms=(algorithm,)), server(algorithms=(algorithm,), proxy=proxy)
    asked = request(body=b"body")
    assert theirs.check(asked).verdict is Verdict.MISSING
    challenge = theirs.challenge(asked)
    assert challenge.status == (407 if proxy else 401)
    ours.authorize(asked, challenge)
    found = theirs.check(asked)
    assert (found.verdict, found.username, found.algorithm) == (Verdict.ACCEPTED, "alice", algorithm)


def test_server_offers_in_order_of_preference():
    challenge = server().challenge(request())
    rows = [AuthParameters.parse(row) for row in challenge.headers.get_all("WWW-Authenticate")]
    assert [row.get("algorithm") for row in rows] == ["SHA-512-256", "SHA-256", "MD5"]
    assert all(row.get("qop") == "auth,auth-int" for row in rows)


def test_wrong_password_is_refused_and_not_tried_twice():
    ours, theirs = client(password="wrong"), server()
    asked = request()
    ours.authorize(asked, theirs.challenge(asked))
    assert theirs.check(asked).verdict is Verdict.REFUSED
    with pytest.raises(DigestError, match="refused"):
        ours.authorize(asked, theirs.challenge(asked))


def test_replayed_nonce_count_is_refused():
    ours, theirs = client(), server()
    asked = request()
    ours.authorize(asked, theirs.challenge(asked))
    assert theirs.check(asked).verdict is Verdict.ACCEPTED
    assert theirs.check(asked).verdict is Verdict.REFUSED


def test_nonce_counts_go_up_and_may_come_late():
    ours, theirs = client(), server(algorithms=("SHA-256",))
    challenge = theirs.challenge(request())
    answered = []
    for _ in range(5):
        asked = request()
        ours.authorize(asked, challenge)
        answered.append(asked)
    counts = [AuthParameters.parse(one.headers.get("Authorization")).get("nc") for one in answered]
    assert counts == [f"{n:08x}" for n in range(1, 6)]
    for index in (0, 4, 2, 1, 3):
        assert theirs.check(answered[index]).verdict is Verdict.ACCEPTED
    assert all(theirs.check(one).verdict is Verdict.REFUSED for one in answered)


def test_stale_nonce_is_answered_again():
    clock = Clock()
    ours, theirs = client(), server(clock)
    asked = request()
    ours.authorize(asked, theirs.challenge(asked))
    clock.now += 301
    assert theirs.check(asked).verdict is Verdict.STALE
    ours.authorize(asked, theirs.challenge(asked, stale=True))
    assert theirs.check(asked).verdict is Verdict.ACCEPTED


def test_nonce_of_another_server_is_stale():
    ours = client()
    asked = request()
    ours.authorize(asked, server().challenge(asked))
    assert server().check(asked).verdict is Verdict.STALE


def test_digest_of_another_method_body_or_place_is_refused():
    theirs = server(algorithms=("SHA-256",))
    ours = client()
    asked = request()
    ours.authorize(asked, theirs.challenge(asked))
    other = request("BYE")
    other.headers.set("Authorization", asked.headers.get("Authorization"))
    assert theirs.check(other).verdict is Verdict.REFUSED
    elsewhere = request()
    elsewhere.uri = SipUri.parse("sip:bob@other.example")
    elsewhere.headers.set("Authorization", asked.headers.get("Authorization"))
    assert theirs.check(elsewhere).verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    "row", ["Digest", 'Digest realm="example.com"', 'Digest realm="example.com", nc', 'Digest "', "="]
)
def test_malformed_credentials_are_a_400(row):
    asked = request()
    asked.headers.add("Authorization", row)
    assert server().check(asked).verdict in (Verdict.MALFORMED, Verdict.MISSING)


def test_sip_digest_leak():
    """A realm that no credentials were given for gets no answer, whoever asks."""
    asked = request("BYE")
    attacker = DigestServer.with_passwords("evil.example", {}, clock=Clock())
    with pytest.raises(DigestError, match="no credentials"):
        client().authorize(asked, attacker.challenge(asked))
    assert "Authorization" not in asked.headers


def test_downgrade_to_md5_is_refused_unless_allowed():
    asked = request()
    only_md5 = server(algorithms=("MD5",))
    with pytest.raises(DigestError, match="not allowed"):
        client().authorize(asked, only_md5.challenge(asked))
    client(algorithms=("SHA-256", "MD5")).authorize(asked, only_md5.challenge(asked))
    assert only_md5.check(asked).verdict is Verdict.ACCEPTED


def test_a_later_challenge_counts_too():
    """Not only the first challenge is read: an unknown algorithm or realm before ours is passed over."""
    theirs = server(algorithms=("SHA-256",))
    challenge = theirs.challenge(request())
    for row in (
        'Digest realm="other", nonce="n", algorithm=MD5',
        'Digest realm="example.com", nonce="n", algorithm=SHA-3',
    ):
        challenge.headers.prepend("WWW-Authenticate", row)
    asked = request()
    client().authorize(asked, challenge)
    assert theirs.check(asked).verdict is Verdict.ACCEPTED


def test_topmost_or_strongest():
    challenge = server(algorithms=("MD5", "SHA-256")).challenge(request())
    first, strongest = request(), request()
    both = {"algorithms": ("SHA-256", "MD5")}
    client(**both).authorize(first, challenge)
    client(**both, strongest_first=True).authorize(strongest, challenge)
    assert AuthParameters.parse(first.headers.get("Authorization")).get("algorithm") == "MD5"
    assert AuthParameters.parse(strongest.headers.get("Authorization")).get("algorithm") == "SHA-256"


def test_password_is_never_shown():
    assert "pässword" not in repr(Credentials("r", "alice", "pässword"))
    asked = request()
    client().authorize(asked, server().challenge(asked))
    assert AuthParameters.parse(asked.headers.get("Authorization")).get("response") not in repr(asked)


def test_sip_digest_leak_in_the_name_of_our_own_realm():
    """The caller whose call we took answers our BYE with a challenge that names our realm."""
    bye = request("BYE")
    bye.uri = SipUri.parse("sip:mallory@192.0.2.66")
    bye.headers.set("To", "<sip:mallory@evil.example>;tag=m")
    ours, attacker = client(), server()
    registered = request("REGISTER")
    registered.headers.set("Call-ID", "registration")
    ours.authorize(registered, server().challenge(registered))
    with pytest.raises(DigestError, match="dialog"):
        ours.authorize(bye, attacker.challenge(bye))
    assert "Authorization" not in bye.headers


def test_challenge_in_a_dialog_whose_first_request_was_challenged_is_answered():
    ours, theirs = client(), server()
    invite, bye = request(), request("BYE", cseq=2)
    ours.authorize(invite, theirs.challenge(invite))
    bye.headers.set("To", "<sip:bob@example.com>;tag=b")
    ours.authorize(bye, theirs.challenge(bye))
    assert theirs.check(bye).verdict is Verdict.ACCEPTED


def test_endless_stale_challenges_end():
    ours, theirs, asked = client(), server(), request()
    ours.authorize(asked, theirs.challenge(asked))
    for _ in range(3):
        ours.authorize(asked, theirs.challenge(asked, stale=True))
    with pytest.raises(DigestError, match="refused"):
        ours.authorize(asked, theirs.challenge(asked, stale=True))


def test_two_proxies_with_two_realms_are_both_answered():
    both = [Credentials(realm, "alice", "p", destinations=("example.com",)) for realm in ("one", "two")]
    ours = DigestClient(tuple(both))
    one, two = (
        DigestServer.with_passwords(realm, {"alice": "p"}, clock=Clock(), proxy=True) for realm in ("one", "two")
    )
    asked = request()
    ours.authorize(asked, one.challenge(asked))
    ours.authorize(asked, two.challenge(asked))
    assert one.check(asked).verdict is two.check(asked).verdict is Verdict.ACCEPTED


def test_nonce_count_may_jump_without_costing_memory():
    from sip.digest.server import _CountWindow

    window = _CountWindow()
    assert window.accept(1)
    assert window.accept(0xFFFFFFFF)
    assert window.seen.bit_length() <= 257
    assert not window.accept(0xFFFFFFFF)
    assert not window.accept(1)
    assert window.accept(0xFFFFFFFE)


def test_forgotten_nonce_cannot_be_replayed(monkeypatch):
    monkeypatch.setattr("sip.digest.server.MAX_NONCES", 2)
    clock = Clock()
    ours, theirs = client(), server(clock)
    requests = [request() for _ in range(3)]
    for asked in requests:
        ours.authorize(asked, theirs.challenge(asked))
        clock.now += 1
        assert theirs.check(asked).verdict is Verdict.ACCEPTED
    assert [theirs.check(asked).verdict for asked in requests] == [Verdict.STALE, Verdict.REFUSED, Verdict.REFUSED]
