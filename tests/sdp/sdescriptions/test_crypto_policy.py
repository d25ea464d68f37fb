"""What an a=crypto line makes of SRTP (RFC 4568 6): suites, several keys, lifetime, KDR and the negotiated flags."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_packets import rtp

from sdp import CryptoAttribute, CryptoAttributeError, LocalMedia, NegotiationError, Sdescriptions, SessionNegotiation
from sdp.sdescriptions.policy import policy_of
from sdp.sdescriptions.session_parameters import FLAGS, UNAUTHENTICATED_SRTP, UNENCRYPTED_SRTCP, UNENCRYPTED_SRTP
from sdp.sdescriptions.suites import CRYPTO_SUITES, SUPPORTED_SUITES
from srtp import Session, SrtpError, UnknownMkiError

SUITE = "AES_CM_128_HMAC_SHA1_80"
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
OTHER_KEY = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"
RTCP = bytes.fromhex("80c90001 12345678")


def agree(ours, theirs=None):
    one = SessionNegotiation([LocalMedia("192.0.2.1", 4000, keying=(ours,))])
    two = SessionNegotiation([LocalMedia("192.0.2.2", 5000, keying=(theirs or ours,))])
    offer = one.create_offer()
    two.receive_offer(offer)
    answer = two.create_answer()
    one.receive_answer(answer)
    left, right = one.agreement.media[0], two.agreement.media[0]
    assert (left.outbound, left.inbound) == (right.inbound, right.outbound)
    return left, right, offer, answer


def talk(left, right):
    a, b = Session(left.outbound, left.inbound), Session(right.outbound, right.inbound)
    for sender, receiver in ((a, b), (b, a)):
        for number in range(3):
            assert receiver.unprotect(sender.protect(rtp(number))) == rtp(number)
        assert receiver.unprotect_rtcp(sender.protect_rtcp(RTCP)) == RTCP


@pytest.mark.parametrize("suite", SUPPORTED_SUITES)
def test_every_suite_from_offer_to_packets(suite):
    left, right, offer, answer = agree(Sdescriptions((suite,)))
    assert left.crypto_suite == suite
    for text in (offer, answer):
        # Padded as base64 is: AES-256 and GCM with 128 bits need it.
        assert len(re.search("inline:(.*)\r\n", text)[1]) == -(-CRYPTO_SUITES[suite].key_params_length // 3) * 4
    talk(left, right)


def test_the_suites_of_the_rfcs_are_there():
    assert {name for name in CRYPTO_SUITES if not name.startswith("SEED")} == set(SUPPORTED_SUITES)
    with pytest.raises(CryptoAttributeError) as error:
        policy_of(CryptoAttribute.parse(f"1 SEED_CTR_128_HMAC_SHA1_80 inline:{KEY}"))
    assert error.value.code == "suite"


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(SUPPORTED_SUITES),
    st.permutations(SUPPORTED_SUITES),
    st.integers(1, 4),
    st.integers(1, 8),
    st.none() | st.integers(4, 1 << 48),
    st.sampled_from([0, 2, 1024, 1 << 24]),
    st.none() | st.integers(64, 100_000),
)
def test_any_settings_end_with_equal_keys(offered, preferred, keys, mki, lifetime, rate, window):
    ours = Sdescriptions(tuple(offered), mki, keys, lifetime, rate, window)
    left, right, _, answer = agree(ours, Sdescriptions(tuple(preferred)))
    assert left.crypto_suite == preferred[0]
    assert len(left.outbound.master_keys) == keys
    assert left.outbound.key_derivation_rate == rate
    assert left.inbound.key_derivation_rate == 0
    assert not re.search(" (KDR|WSH)=", answer)  # with the blank and "=", which no base64 of a key has together
    talk(left, right)


def test_packets_under_each_key_of_a_line_are_taken_by_their_mki():
    line = CryptoAttribute.parse(f"1 {SUITE} inline:{KEY}|1:2;inline:{OTHER_KEY}|2:2")
    receiver = Session(None, policy_of(line))
    for number, key in enumerate((KEY, OTHER_KEY), start=1):
        sender = Session(policy_of(CryptoAttribute.parse(f"1 {SUITE} inline:{key}|{number}:2")), None)
        assert receiver.unprotect(sender.protect(rtp(number))) == rtp(number)
    third = Session(policy_of(CryptoAttribute.parse(f"1 {SUITE} inline:{KEY}|3:2")), None)
    with pytest.raises(UnknownMkiError):
        receiver.unprotect(third.protect(rtp(9)))


@pytest.mark.parametrize(
    ("signalled", "srtp", "srtcp"),
    [("", 1 << 48, 1 << 31), ("|2^20", 1 << 20, 1 << 20), ("|2^40", 1 << 40, 1 << 31), ("|7", 7, 7)],
)
def test_lifetime_reaches_the_policy(signalled, srtp, srtcp):
    policy = policy_of(CryptoAttribute.parse(f"1 {SUITE} inline:{KEY}{signalled}"))
    assert (policy.srtp_lifetime, policy.srtcp_lifetime) == (srtp, srtcp)


def test_the_lifetime_is_kept():
    policy = policy_of(CryptoAttribute.parse(f"1 {SUITE} inline:{KEY}|4"))
    endless = policy_of(CryptoAttribute.parse(f"1 {SUITE} inline:{KEY}"))
    sender, receiver, other = Session(policy, None), Session(None, policy), Session(endless, None)
    for number in range(4):
        receiver.unprotect(other.protect(rtp(number)))
        sender.protect(rtp(number))
    with pytest.raises(SrtpError):
        sender.protect(rtp(5))
    with pytest.raises(SrtpError):  # RFC 4568 6.1: none accepted after it either
        receiver.unprotect(other.protect(rtp(5)))


@pytest.mark.parametrize("flag", sorted(FLAGS))
def test_allowed_flags_are_negotiated_and_echoed(flag):
    asking = Sdescriptions((SUITE,), flags=frozenset((flag,)))
    left, right, offer, answer = agree(asking, Sdescriptions((SUITE,), allowed_flags=FLAGS))
    assert f" {flag}\r\n" in offer
    assert f" {flag}\r\n" in answer
    for policy in (left.outbound, left.inbound):
        assert policy.encrypt_rtp is (flag != UNENCRYPTED_SRTP)
        assert policy.encrypt_rtcp is (flag != UNENCRYPTED_SRTCP)
        assert policy.authenticate_rtp is (flag != UNAUTHENTICATED_SRTP)
    talk(left, right)
    with pytest.raises(NegotiationError):  # the other side has not allowed it
        agree(asking, Sdescriptions((SUITE,)))
    # An answer without what was offered, or with what was not.
    one = SessionNegotiation([LocalMedia("192.0.2.1", 4000, keying=(asking,))])
    one.create_offer()
    with pytest.raises(NegotiationError) as error:
        one.receive_answer(answer.replace(f" {flag}\r\n", "\r\n"))
    assert error.value.refusals[0].code == "not-echoed"
    plain = SessionNegotiation([LocalMedia("192.0.2.1", 4000, keying=(Sdescriptions((SUITE,), allowed_flags=FLAGS),))])
    plain.create_offer()
    with pytest.raises(NegotiationError) as error:
        plain.receive_answer(answer)
    assert error.value.refusals[0].code == "not-echoed"


@pytest.mark.parametrize("flag", [UNENCRYPTED_SRTP, UNAUTHENTICATED_SRTP])
def test_gcm_cannot_be_weakened(flag):
    key = base64.b64encode(bytes(28)).decode()
    with pytest.raises(CryptoAttributeError) as error:
        policy_of(CryptoAttribute.parse(f"1 AEAD_AES_128_GCM inline:{key} {flag}"), FLAGS)
    assert error.value.code == "policy"
