"""The keying interface, with a method of the test's own whose keys come later, as those of DTLS-SRTP do."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from sdp import (
    KeyingResult,
    KeyingState,
    Line,
    LocalMedia,
    MediaSecurity,
    NegotiationError,
    NoKeying,
    Refusal,
    Sdescriptions,
    SessionNegotiation,
)
from sdp.keying.method import (
    DTLS_PROTOCOLS,
    PLAIN_PROTOCOLS,
    Examined,
    KeyingAnswer,
    KeyingLines,
    LocalSection,
    RemoteSection,
)
from srtp import Policy, Profile

REQUIRED, PREFERRED = MediaSecurity.REQUIRED, MediaSecurity.PREFERRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake(KeyingResult):
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Later:
    """Says its fingerprint for the whole session, and who begins in each section."""

    fingerprint: str
    name: str = "dtls-srtp"

    def protocol(self, *, feedback):
        return "UDP/TLS/RTP/SAVPF"

    def takes(self, protocol):
        return protocol in DTLS_PROTOCOLS + PLAIN_PROTOCOLS

    def subjects(self, remote):
        values = (*remote.description.attributes("fingerprint"), *remote.section.attributes("fingerprint"))
        return tuple(f"a=fingerprint:{value.split(' ')[0]}" for value in values)

    def create_offer(self, local: LocalSection):
        return LaterOffer(self, local.previous)

    def receive_offer(self, remote: RemoteSection):
        values = remote.description.attributes("fingerprint")
        if len(values) != 1 or not values[0].startswith("sha-256 "):
            refusals = tuple(Refusal(subject, "hash", "not sha-256") for subject in self.subjects(remote))
            return Examined(None, refusals)
        return Examined(LaterProposal(self, values[0], self.subjects(remote)))

    def lines(self, setup):
        return KeyingLines((Line("a", f"setup:{setup}"),), (Line("a", f"fingerprint:{self.fingerprint}"),))

    def pending(self, fingerprint):
        return Handshake(method=self.name, state=KeyingState.PENDING, fingerprint=fingerprint)


@dataclass(frozen=True, slots=True)
class LaterOffer:
    method: Later
    previous: KeyingResult | None

    @property
    def lines(self):
        return self.method.lines("actpass")

    def receive_answer(self, remote):
        examined = self.method.receive_offer(remote)
        if examined.proposal is None:
            if examined.refusals:
                raise NegotiationError("the fingerprint is not acceptable", refusals=examined.refusals)
            return None
        return self.method.pending(examined.proposal.fingerprint)


@dataclass(frozen=True, slots=True)
class LaterProposal:
    method: Later
    fingerprint: str
    taken: tuple[str, ...]

    def create_answer(self, local):
        return KeyingAnswer(self.method.lines("active"), self.method.pending(self.fingerprint))


ALICE, BOB = Later("sha-256 AA:BB"), Later("sha-256 CC:DD")


def session(*keying, security=REQUIRED, streams=1):
    return SessionNegotiation(
        LocalMedia("192.0.2.1", 4000 + 2 * number, security=security, keying=keying) for number in range(streams)
    )


def exchange(one, two):
    offer = one.create_offer()
    two.receive_offer(offer)
    answer = two.create_answer()
    one.receive_answer(answer)
    return offer, answer


def test_keys_that_come_later():
    one, two = session(ALICE, streams=2), session(BOB, streams=2)
    offer, answer = exchange(one, two)
    assert re.findall("^m=.*(UDP/TLS/RTP/SAVPF)", offer, re.MULTILINE) == ["UDP/TLS/RTP/SAVPF"] * 2
    # What holds for the whole session stands once, before the first m= line.
    assert offer.split("m=")[0].count("a=fingerprint:sha-256 AA:BB\r\n") == offer.count("a=fingerprint") == 1
    assert answer.split("m=")[0].count("a=fingerprint:sha-256 CC:DD\r\n") == answer.count("a=fingerprint") == 1
    assert answer.count("a=setup:active") == 2
    for agreed, fingerprint in ((one.agreement.media[1], BOB), (two.agreement.media[1], ALICE)):
        assert (agreed.secured, agreed.keys_pending, agreed.outbound) == (True, True, None)
        assert agreed.keying.fingerprint == fingerprint.fingerprint
    policies = [Policy(Profile.AES_CM_128_HMAC_SHA1_80, bytes([n]) * 16, bytes(14)) for n in (1, 2)]
    keyed = one.agreement.media[0].keying.with_policies(*policies, "AES_CM_128_HMAC_SHA1_80")
    assert isinstance(keyed, Handshake)
    assert (keyed.outbound, keyed.inbound) == tuple(policies)


def test_what_is_pending_never_goes_on_in_clear():
    one, two = session(ALICE, security=PREFERRED), session(BOB, security=PREFERRED)
    exchange(one, two)
    plain = re.sub("a=(fingerprint|setup).*\r\n", "", one.create_offer())
    with pytest.raises(NegotiationError):
        two.receive_offer(plain)


def test_several_methods_are_offered_and_the_preferred_is_taken():
    """RFC 8643 3.1: under RTP/AVP every method's attributes stand side by side."""
    two_suites = Sdescriptions(("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"))
    both = (ALICE, two_suites)
    for answering, taken, passed in (
        (
            (BOB, two_suites),
            "dtls-srtp",
            {"a=crypto:1 AES_CM_128_HMAC_SHA1_80", "a=crypto:2 AES_CM_128_HMAC_SHA1_32"},
        ),
        ((Sdescriptions(), BOB), "sdescriptions", {"a=crypto:2 AES_CM_128_HMAC_SHA1_32", "a=fingerprint:sha-256"}),
        ((Sdescriptions(),), "sdescriptions", {"a=crypto:2 AES_CM_128_HMAC_SHA1_32", "a=fingerprint"}),
    ):
        one, two = session(*both, security=PREFERRED), session(*answering)
        offer, answer = exchange(one, two)
        assert "m=audio 4000 RTP/AVP" in offer
        assert one.agreement.media[0].keying.method == two.agreement.media[0].keying.method == taken
        assert ("a=crypto" in answer) is (taken == "sdescriptions")
        assert {refusal.subject for refusal in two.agreement.refusals} == passed
        assert {refusal.code for refusal in two.agreement.refusals} <= {"preference", "method"}


def test_required_offers_what_goes_with_the_transport_of_the_first_method():
    assert "a=crypto" not in session(ALICE, Sdescriptions()).create_offer()
    offer = session(Sdescriptions(), ALICE).create_offer()
    assert "RTP/SAVP" in offer
    assert "a=fingerprint" not in offer


def test_an_answer_by_two_methods_or_by_a_refused_one():
    one, two = session(ALICE, Sdescriptions(), security=PREFERRED), session(Sdescriptions())
    two.receive_offer(one.create_offer())
    answer = two.create_answer()
    for fingerprint, reason in (("sha-256 CC:DD", "only one"), ("md5 CC", "fingerprint")):
        with pytest.raises(NegotiationError, match=reason):
            one.receive_answer(answer.replace("m=", f"a=fingerprint:{fingerprint}\r\nm=", 1))
    assert one.agreement is None
    one.receive_answer(answer)


def test_plain_rtp_is_no_method_where_srtp_is_required():
    with pytest.raises(NegotiationError):
        session(NoKeying()).create_offer()
    plain = session(NoKeying(), security=MediaSecurity.OFF)
    with pytest.raises(NegotiationError):
        session(NoKeying()).receive_offer(plain.create_offer())
