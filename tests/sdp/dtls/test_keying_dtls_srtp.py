"""DTLS-SRTP by offer and answer: roles, fingerprints, which association is meant, and keys in the end."""

from __future__ import annotations

import re
from typing import Any

import pytest
from dtls_link import CLIENT, SERVER, Link
from hypothesis import given, settings
from hypothesis import strategies as st

from sdp import KeyingState, LocalMedia, MediaSecurity, NegotiatedMedia, NegotiationError, SessionNegotiation
from sdp.dtls import DtlsCertificate, DtlsConnection, DtlsSrtp, DtlsSrtpResult, HandshakeCompleted, SetupRole
from sdp.errors import DtlsError
from sdp.sdescriptions.keying import Sdescriptions
from srtp import Session

REQUIRED, PREFERRED = MediaSecurity.REQUIRED, MediaSecurity.PREFERRED
PACKET = bytes.fromhex("800000010000000012345678") + b"hello"


def session(address: tuple[str, int], *keying: Any, security: MediaSecurity = REQUIRED, **more: Any) -> Any:
    return SessionNegotiation([LocalMedia(*address, security=security, keying=keying, **more)])


@pytest.fixture
def one(alice: DtlsCertificate) -> Any:
    return session(CLIENT, DtlsSrtp(alice))


@pytest.fixture
def two(bob: DtlsCertificate) -> Any:
    return session(SERVER, DtlsSrtp(bob))


def exchange(offering: Any, answering: Any, change: Any = lambda text: text, **how: Any) -> tuple[str, str]:
    offer = change(offering.create_offer(**how))
    answering.receive_offer(offer)
    answer = change(answering.create_answer())
    offering.receive_answer(answer)
    return offer, answer


def keying(negotiation: Any) -> DtlsSrtpResult:
    result = negotiation.agreement.media[0].keying
    assert isinstance(result, DtlsSrtpResult)
    return result


def connect(method: DtlsSrtp, who: Any) -> DtlsConnection:
    return method.connection(keying(who), signalled=keying(who).remote_address)


def handshake(one: Any, two: Any, first: DtlsCertificate, second: DtlsCertificate) -> tuple[Any, Any]:
    """Does the handshake that was agreed on, and returns both results with their keys."""
    sides = {keying(who).role: (who, DtlsSrtp(own)) for who, own in ((one, first), (two, second))}
    assert set(sides) == {SetupRole.ACTIVE, SetupRole.PASSIVE}
    (active, active_method), (passive, passive_method) = sides[SetupRole.ACTIVE], sides[SetupRole.PASSIVE]
    client, server = connect(active_method, active), connect(passive_method, passive)
    client_address, server_address = keying(passive).remote_address, keying(active).remote_address
    link = Link(client, server, client_address=client_address, server_address=server_address)
    link.start()
    link.deliver()
    keyed = {}
    for who, (event,) in ((active, link.client_events), (passive, link.server_events)):
        assert isinstance(event, HandshakeCompleted)
        keyed[id(who)] = keying(who).completed(event)
    return keyed[id(one)], keyed[id(two)]


def test_offer_answer_handshake_srtp(one: Any, two: Any, alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    offer, answer = exchange(one, two)
    assert "m=audio 4000 UDP/TLS/RTP/SAVP 0" in offer
    assert f"a=fingerprint:{alice.fingerprint().serialize()}\r\n" in offer
    assert f"a=fingerprint:{bob.fingerprint().serialize()}\r\n" in answer
    assert "a=setup:actpass\r\n" in offer
    assert "a=setup:active\r\n" in answer
    ids = [re.findall(r"a=tls-id:([\w-]{20,255})\r\n", text) for text in (offer, answer)]
    assert len(ids[0]) == len(ids[1]) == 1
    assert ids[0] != ids[1]
    agreed: NegotiatedMedia = one.agreement.media[0]
    assert (agreed.secured, agreed.keys_pending, agreed.rtcp_mux) == (True, True, True)
    assert (keying(one).role, keying(two).role) == (SetupRole.PASSIVE, SetupRole.ACTIVE)
    ours, theirs = handshake(one, two, alice, bob)
    assert ours.state is theirs.state is KeyingState.KEYED
    assert ours.crypto_suite == theirs.crypto_suite == ours.outbound.profile.name
    assert (ours.outbound, ours.inbound) == (theirs.inbound, theirs.outbound)
    sender, receiver = Session(ours.outbound, ours.inbound), Session(theirs.outbound, theirs.inbound)
    assert receiver.unprotect(sender.protect(PACKET)) == PACKET


@pytest.mark.parametrize("preferred", [SetupRole.ACTIVE, SetupRole.PASSIVE])
@pytest.mark.parametrize("offered", ["actpass", "active", "passive", None])
def test_roles(
    one: Any, alice: DtlsCertificate, bob: DtlsCertificate, offered: str | None, preferred: SetupRole
) -> None:
    two = session(SERVER, DtlsSrtp(bob, preferred_role=preferred))
    line = "" if offered is None else f"a=setup:{offered}\r\n"
    two.receive_offer(one.create_offer().replace("a=setup:actpass\r\n", line))
    answer = two.create_answer()
    # RFC 4145 4: without any, an offer means active.
    expected = {"actpass": preferred.value, "active": "passive", "passive": "active", None: "passive"}[offered]
    assert f"a=setup:{expected}\r\n" in answer
    assert keying(two).role.value == expected
    if offered == "actpass":
        one.receive_answer(answer)
        handshake(one, two, alice, bob)


@pytest.mark.parametrize("setup", ["holdconn", "both", "", "active\r\na=setup:passive"])
def test_setup_that_is_none(one: Any, two: Any, setup: str) -> None:
    with pytest.raises(NegotiationError) as caught:
        two.receive_offer(one.create_offer().replace("setup:actpass", f"setup:{setup}"))
    assert "setup" in {refusal.code for refusal in caught.value.refusals}


@pytest.mark.parametrize("setup", ["actpass", "holdconn", "nothing"])
def test_setup_that_answers_nothing(one: Any, two: Any, setup: str) -> None:
    two.receive_offer(one.create_offer())
    with pytest.raises(NegotiationError):
        one.receive_answer(two.create_answer().replace("setup:active", f"setup:{setup}"))
    assert one.agreement is None


FINGERPRINTS = [
    ("", "missing"),
    ("a=fingerprint:sha-1 " + ":".join(["AB"] * 20), "hash"),
    ("a=fingerprint:md5 " + ":".join(["AB"] * 16), "hash"),
    ("a=fingerprint:sha-256 AB:CD", "malformed"),
    ("a=fingerprint:sha-256", "malformed"),
    ("own", "reflected"),
]


@pytest.mark.parametrize(("lines", "code"), FINGERPRINTS)
def test_fingerprints_of_an_offer(one: Any, two: Any, bob: DtlsCertificate, lines: str, code: str) -> None:
    """One that lists none, none that is good enough, or ours, is refused, and each has its reason."""
    lines = f"a=fingerprint:{bob.fingerprint('sha-512').serialize().lower()}" if lines == "own" else lines
    offer = re.sub("a=fingerprint.*\r\n", lambda _: lines + "\r\n" if lines else "", one.create_offer())
    with pytest.raises(NegotiationError) as caught:
        two.receive_offer(offer)
    assert code in {refusal.code for refusal in caught.value.refusals}
    assert caught.value.status == 488


@pytest.mark.parametrize(("lines", "code"), FINGERPRINTS)
def test_fingerprints_of_an_answer(one: Any, two: Any, alice: DtlsCertificate, lines: str, code: str) -> None:
    lines = f"a=fingerprint:{alice.fingerprint().serialize()}" if lines == "own" else lines
    two.receive_offer(one.create_offer())
    answer = two.create_answer()
    changed = re.sub("a=fingerprint.*\r\n", lambda _: lines + "\r\n" if lines else "", answer)
    with pytest.raises(NegotiationError) as caught:
        one.receive_answer(changed)
    assert not caught.value.refusals or {refusal.code for refusal in caught.value.refusals} == {code}
    one.receive_answer(answer)  # the right one is still taken


def test_fingerprints_of_the_session_and_in_lower_case(one: Any, two: Any, alice: DtlsCertificate) -> None:
    offer = one.create_offer()
    line = re.search("a=fingerprint.*\r\n", offer)
    assert line is not None
    moved = offer.replace(line[0], "").replace("m=", line[0].lower() + "m=", 1)
    two.receive_offer(moved)
    two.create_answer()
    assert keying(two).fingerprints == (alice.fingerprint(),)


def test_without_rtcp_mux_each_port_has_an_association(
    one: Any, two: Any, alice: DtlsCertificate, bob: DtlsCertificate
) -> None:
    """RFC 5764 3: with the same roles and fingerprints, and keys of its own."""
    exchange(one, two, lambda text: text.replace("a=rtcp-mux\r\n", ""))
    agreed = one.agreement.media[0]
    assert not agreed.rtcp_mux
    keys = []
    for offset in (0, 1):
        connections = [
            method.connection(keying(who), signalled=(host, port + offset))
            for who, method, (host, port) in ((two, DtlsSrtp(bob), CLIENT), (one, DtlsSrtp(alice), SERVER))
        ]
        addresses = {"client_address": ("192.0.2.2", 5000 + offset), "server_address": ("192.0.2.1", 4000 + offset)}
        link = Link(*connections, **addresses)  # type: ignore[arg-type]
        link.start()
        link.deliver()
        (event,) = link.client_events
        assert isinstance(event, HandshakeCompleted)
        keys.append(event.outbound)
    assert keys[0] != keys[1]


@pytest.mark.parametrize("tls_ids", [True, False])
def test_a_re_offer_goes_on_with_the_association(one: Any, two: Any, tls_ids: bool) -> None:
    def change(text: str) -> str:
        return text if tls_ids else re.sub("a=tls-id.*\r\n", "", text)

    first = exchange(one, two, change)
    before = keying(one).association, keying(two).association
    again = exchange(one, two, change)
    assert (keying(one).association, keying(two).association) == before
    other_way = exchange(two, one, change)
    assert (keying(one).association, keying(two).association) == before
    for offer, answer in (first, again, other_way):
        assert "a=setup:actpass" in offer  # RFC 8842 5.5
        assert ("a=tls-id" in offer) is ("a=tls-id" in answer) is tls_ids
    assert "a=setup:active" in again[1]
    assert "a=setup:passive" in other_way[1], "roles stay as they were"


def test_new_keys_are_a_new_association(one: Any, two: Any, alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    first, _ = exchange(one, two)
    keys = handshake(one, two, alice, bob)[0]
    before = keying(one).association
    second, _ = exchange(one, two, rekey=True)
    assert keying(one).association != before
    assert keying(one).state is keying(two).state is KeyingState.PENDING
    ids = [re.search("a=tls-id:(.*)\r\n", text) for text in (first, second)]
    assert ids[0] is not None
    assert ids[1] is not None
    assert ids[0][1] != ids[1][1]
    assert handshake(one, two, alice, bob)[0].outbound.master_key != keys.outbound.master_key


def test_who_moves_or_changes_its_certificate_gets_a_new_association(
    one: Any, two: Any, mallory: DtlsCertificate
) -> None:
    exchange(one, two)
    before = keying(two).association
    one.set_media(0, LocalMedia("192.0.2.1", 4100, keying=one.media[0].keying))
    exchange(one, two)
    moved = keying(two).association
    assert moved != before
    one.set_media(0, LocalMedia("192.0.2.1", 4100, keying=(DtlsSrtp(mallory),)))
    exchange(one, two)
    assert keying(two).association != moved
    assert keying(two).fingerprints == (mallory.fingerprint(),)


def test_a_peer_without_tls_id_that_moves(one: Any, two: Any) -> None:
    """RFC 8842 4: then the transport address, the role and the fingerprints tell, but 0.0.0.0 only holds."""

    def without(text: str) -> str:
        return re.sub("a=tls-id.*\r\n", "", text)

    exchange(one, two, without)
    before = keying(one).association
    held = without(one.create_offer())
    two.receive_offer(held)
    one.receive_answer(without(two.create_answer()).replace("c=IN IP4 192.0.2.2", "c=IN IP4 0.0.0.0"))
    assert keying(one).association == before
    two.receive_offer(without(one.create_offer()))
    one.receive_answer(without(two.create_answer()))
    assert keying(one).association == before
    two.receive_offer(without(one.create_offer()))
    one.receive_answer(without(two.create_answer()).replace("m=audio 5000", "m=audio 5002"))
    assert keying(one).association != before


@pytest.mark.parametrize("tls_id", ["short", "x" * 256, "a=b" * 10, "ä" * 20])
def test_malformed_tls_id(one: Any, two: Any, tls_id: str) -> None:
    offer = re.sub("a=tls-id.*\r\n", f"a=tls-id:{tls_id}\r\n", one.create_offer())
    with pytest.raises(NegotiationError, match="tls-id"):
        two.receive_offer(offer)


def test_beside_security_descriptions(alice: DtlsCertificate, bob: DtlsCertificate) -> None:
    """RFC 8643: under RTP/AVP both stand side by side, and what is not taken has its reason."""
    one = session(CLIENT, DtlsSrtp(alice), Sdescriptions(), security=PREFERRED)
    two = session(SERVER, DtlsSrtp(bob), Sdescriptions())
    offer, answer = exchange(one, two)
    assert "m=audio 4000 RTP/AVP 0" in offer
    assert "a=crypto" in offer
    assert "a=crypto" not in answer
    assert {refusal.code for refusal in two.agreement.refusals} == {"preference"}
    handshake(one, two, alice, bob)
    three = session(SERVER, Sdescriptions())
    exchange(one_again := session(CLIENT, DtlsSrtp(alice), Sdescriptions(), security=PREFERRED), three)
    assert one_again.agreement.media[0].keying.method == "sdescriptions"
    assert {refusal.code for refusal in three.agreement.refusals} == {"preference", "method"}


def test_pending_keys_never_become_clear(one: Any, two: Any) -> None:
    exchange(one, two)
    plain = re.sub("a=(fingerprint|setup|tls-id).*\r\n", "", one.create_offer()).replace("UDP/TLS/RTP/SAVP", "RTP/AVP")
    two.set_media(0, LocalMedia(*SERVER, security=PREFERRED, keying=two.media[0].keying))
    with pytest.raises(NegotiationError):
        two.receive_offer(plain)


def test_rtp_savpf_of_early_browsers(one: Any, two: Any) -> None:
    two.receive_offer(one.create_offer().replace("UDP/TLS/RTP/SAVP", "RTP/SAVPF"))
    assert "m=audio 5000 RTP/SAVPF 0" in two.create_answer()
    assert keying(two).state is KeyingState.PENDING


def test_the_offer_of_rfc_5763_7_1(one: Any, two: Any, alice: DtlsCertificate) -> None:
    """With numeric addresses and rtcp-mux. Its SHA-1 alone does not do any more; SHA-256 beside it does."""
    offer = (
        "v=0\r\no=- 1181923068 1181923196 IN IP4 192.0.2.1\r\ns=example1\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        "a=setup:actpass\r\na=fingerprint: SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\n{}"
        "m=audio 6056 RTP/AVP 0\r\na=sendrecv\r\na=rtcp-mux\r\na=tcap:1 UDP/TLS/RTP/SAVP RTP/AVP\r\na=pcfg:1 t=1\r\n"
    )
    with pytest.raises(NegotiationError) as caught:
        two.receive_offer(offer.format(""))
    assert "hash" in {refusal.code for refusal in caught.value.refusals}
    two.receive_offer(offer.format(f"a=fingerprint:{alice.fingerprint().serialize()}\r\n"))
    answer = two.create_answer()
    assert "m=audio 5000 UDP/TLS/RTP/SAVP 0" in answer
    assert "a=acfg:1 t=1" in answer
    assert "a=tls-id" not in answer  # RFC 8842 5.3
    assert len(keying(two).fingerprints) == 2


def test_connections_are_made_with_the_right_method_only(
    one: Any, two: Any, alice: DtlsCertificate, bob: DtlsCertificate
) -> None:
    exchange(one, two)
    with pytest.raises(DtlsError):
        connect(DtlsSrtp(bob), one)
    assert not DtlsSrtp(alice).connection(keying(one), signalled=None).may_come_from(SERVER)
    assert connect(DtlsSrtp(alice), one).may_come_from(SERVER)
    with pytest.raises(DtlsError):
        DtlsSrtp(alice, preferred_role=SetupRole.ACTPASS)


@settings(max_examples=25, deadline=None)
@given(
    roles=st.tuples(*[st.sampled_from([SetupRole.ACTIVE, SetupRole.PASSIVE])] * 2),
    hashes=st.lists(st.sampled_from(["sha-256", "sha-384", "sha-512"]), min_size=1, max_size=3, unique=True),
    feedback=st.booleans(),
    swap=st.booleans(),
)
def test_any_offer_of_ours_can_be_answered_and_keyed(
    alice: DtlsCertificate, bob: DtlsCertificate, roles: Any, hashes: list[str], feedback: bool, swap: bool
) -> None:
    first, second = (bob, alice) if swap else (alice, bob)
    one = session(CLIENT, DtlsSrtp(first, preferred_role=roles[0], hash_functions=tuple(hashes)), feedback=feedback)
    two = session(SERVER, DtlsSrtp(second, preferred_role=roles[1]))
    exchange(one, two)
    sides = [(one, DtlsSrtp(first, hash_functions=tuple(hashes))), (two, DtlsSrtp(second))]
    sides.sort(key=lambda side: keying(side[0]).role is SetupRole.PASSIVE)
    addresses = [keying(sides[1][0]).remote_address, keying(sides[0][0]).remote_address]
    link = Link(
        *(connect(method, who) for who, method in sides),
        client_address=addresses[0],
        server_address=addresses[1],
    )
    link.start()
    link.deliver()
    (ours,), (theirs,) = link.client_events, link.server_events
    assert isinstance(ours, HandshakeCompleted)
    assert isinstance(theirs, HandshakeCompleted)
    sender, receiver = Session(ours.outbound, ours.inbound), Session(theirs.outbound, theirs.inbound)
    assert receiver.unprotect(sender.protect(PACKET)) == sender.unprotect(receiver.protect(PACKET)) == PACKET
