"""Offer and answer (RFC 3264, RFC 4568): who ends up with which keys, and what is refused."""

from __future__ import annotations

import base64
import re

import pylibsrtp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_packets import rtp

from sdp import PCMA, PCMU, AudioNegotiation, Codec, Direction, LocalMedia, MediaSecurity, NegotiationError, SdpError
from srtp import Session

OFF, PREFERRED, REQUIRED = MediaSecurity.OFF, MediaSecurity.PREFERRED, MediaSecurity.REQUIRED
SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
OTHER_KEY = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"


def side(security=REQUIRED, **more):
    return AudioNegotiation(LocalMedia("192.0.2.1", 4000, security=security, **{"crypto_suites": SUITES, **more}))


def sdp(media, *, address="192.0.2.9", session=""):
    return f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{session}{media}"


def offer(protocol="RTP/SAVP", *crypto, formats="0 8", more=""):
    lines = "".join(f"a=crypto:{line}\r\n" for line in crypto)
    return sdp(f"m=audio 5000 {protocol} {formats}\r\n{lines}{more}")


def crypto_lines(text):
    return re.findall(r"^a=crypto:(\d+) (\S+) inline:(\S+)", text, re.MULTILINE)


# What comes of each pair of policies: the suite (None: plain RTP), or a refusal by the answerer.
OUTCOMES = {
    (OFF, OFF): None,
    (OFF, PREFERRED): None,
    (OFF, REQUIRED): "refused",
    (PREFERRED, OFF): None,
    (PREFERRED, PREFERRED): SUITES[0],
    (PREFERRED, REQUIRED): SUITES[0],
    (REQUIRED, OFF): "refused",
    (REQUIRED, PREFERRED): SUITES[0],
    (REQUIRED, REQUIRED): SUITES[0],
}


@pytest.mark.parametrize(("policies", "outcome"), OUTCOMES.items())
def test_every_pair_of_policies(policies, outcome):
    offerer, answerer = side(policies[0]), side(policies[1])
    if outcome == "refused":
        with pytest.raises(NegotiationError) as error:
            answerer.receive_offer(offerer.create_offer())
        assert error.value.status == 488
        assert error.value.refusals
        return
    answerer.receive_offer(offerer.create_offer())
    assert offerer.receive_answer(answerer.create_answer()).crypto_suite == outcome
    assert answerer.negotiated.crypto_suite == outcome


def test_required_offers_savp_and_preferred_offers_avp_with_crypto():
    required, preferred, off = (side(policy).create_offer() for policy in (REQUIRED, PREFERRED, OFF))
    assert "m=audio 4000 RTP/SAVP 0 8" in required
    assert "m=audio 4000 RTP/AVP 0 8" in preferred
    assert [line[1] for line in crypto_lines(preferred)] == list(SUITES)
    assert not crypto_lines(off)


def test_the_suites_we_offer_by_default_and_what_a_peer_with_few_takes():
    one = AudioNegotiation(LocalMedia("192.0.2.1", 4000))
    offered = [line[1] for line in crypto_lines(one.create_offer())]
    assert offered == [
        "AEAD_AES_256_GCM",
        "AES_256_CM_HMAC_SHA1_80",
        "AEAD_AES_128_GCM",
        "AES_CM_128_HMAC_SHA1_80",
        "AES_CM_128_HMAC_SHA1_32",
    ]
    for suite in offered:
        two = side(crypto_suites=(suite,))
        two.receive_offer(one.create_offer())
        assert one.receive_answer(two.create_answer()).crypto_suite == suite
        # And of all of them, whatever the order of a peer's lines, we take the strongest.
        three = AudioNegotiation(LocalMedia("192.0.2.1", 4000))
        three.receive_offer(side(crypto_suites=tuple(reversed(offered))).create_offer())
        three.create_answer()
        assert three.negotiated.crypto_suite == offered[0]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([PREFERRED, REQUIRED]),
    st.permutations(SUITES),
    st.permutations(SUITES),
    st.integers(0, 8),
    st.integers(0, 8),
    st.none() | st.integers(1, 1 << 31),
    st.permutations([PCMU, PCMA]),
)
def test_any_offer_of_ours_can_be_answered(policy, offered, preferred, mki1, mki2, lifetime, codecs):
    """Both sides end with each other's keys and can talk; checked with pylibsrtp from the SDP's text alone."""
    one = side(policy, crypto_suites=tuple(offered), mki_length=mki1, lifetime=lifetime, codecs=tuple(codecs))
    two = side(REQUIRED, crypto_suites=tuple(preferred), mki_length=mki2)
    offer_text = one.create_offer()
    two.receive_offer(offer_text)
    answer_text = two.create_answer()
    agreed = one.receive_answer(answer_text)
    assert agreed.crypto_suite == preferred[0]  # the answerer's preference
    assert agreed.outbound == two.negotiated.inbound
    assert agreed.inbound == two.negotiated.outbound
    assert agreed.outbound.master_key != agreed.inbound.master_key
    a, b = Session(agreed.outbound, agreed.inbound), Session(two.negotiated.outbound, two.negotiated.inbound)
    packet = rtp(1)
    assert b.unprotect(a.protect(packet)) == packet
    assert a.unprotect(b.protect(packet)) == packet
    [(tag, suite, key)] = crypto_lines(answer_text)
    assert (tag, suite) in [line[:2] for line in crypto_lines(offer_text)]
    if mki2 == 0:
        profiles = {
            SUITES[0]: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
            SUITES[1]: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
        }
        material = base64.b64decode(key.split("|")[0])
        theirs = pylibsrtp.Policy(
            key=material, ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND, srtp_profile=profiles[suite]
        )
        assert pylibsrtp.Session(theirs).unprotect(b.protect(rtp(2))) == rtp(2)


def test_keys_are_fresh_every_time():
    one = side()
    keys = [line[2] for _ in range(3) for line in crypto_lines(one.create_offer())]
    for _ in range(3):
        two = side()
        two.receive_offer(offer("RTP/SAVP", f"1 {SUITES[0]} inline:{KEY}"))
        keys += [line[2] for line in crypto_lines(two.create_answer())]
    assert len(set(keys)) == len(keys) == 9
    assert KEY not in keys


@pytest.mark.parametrize("protocol", ["RTP/SAVP", "RTP/SAVPF", "RTP/AVP", "RTP/AVPF"])
def test_answer_keeps_protocol_tag_and_suite(protocol):
    answerer = side()
    answerer.receive_offer(offer(protocol, f"3 {SUITES[1]} inline:{KEY}", f"9 {SUITES[0]} inline:{OTHER_KEY}|2^31|1:4"))
    answer = answerer.create_answer()
    assert f" {protocol} " in answer
    assert [line[:2] for line in crypto_lines(answer)] == [("9", SUITES[0])]
    assert answerer.negotiated.inbound.mki == b"\0\0\0\1"
    assert answerer.negotiated.lifetime == 1 << 31
    assert [(one.subject, one.code) for one in answerer.negotiated.refusals] == [
        (f"a=crypto:3 {SUITES[1]}", "preference")
    ]


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        ((), []),
        ((f"1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}",), ["suite"]),
        ((f"1 {SUITES[0]} inline:short",), ["base64"]),
        ((f"1 {SUITES[0]} inline:{KEY} UNENCRYPTED_SRTP",), ["weakened"]),
        ((f"1 {SUITES[0]} inline:{KEY}|1:1;inline:{OTHER_KEY}",), ["mki"]),
        (("garbage", f"1 {SUITES[0]} inline:{KEY} XYZ"), ["syntax", "session-parameter"]),
    ],
)
@pytest.mark.parametrize("protocol", ["RTP/SAVP", "RTP/AVP"])
def test_required_and_nothing_acceptable(protocol, lines, codes):
    with pytest.raises(NegotiationError) as error:
        side().receive_offer(offer(protocol, *lines))
    assert error.value.status == 488
    assert [one.code for one in error.value.refusals[1:]] == codes
    assert KEY not in str(error.value)


def test_savp_without_usable_crypto_is_refused_even_when_preferred():
    with pytest.raises(NegotiationError):
        side(PREFERRED).receive_offer(offer("RTP/SAVP"))
    plain = side(PREFERRED)
    plain.receive_offer(offer("RTP/AVP"))
    assert not crypto_lines(plain.create_answer())
    assert not plain.negotiated.secured


def test_a_key_standing_twice_is_refused():
    with pytest.raises(NegotiationError, match="same"):
        side().receive_offer(offer("RTP/SAVP", f"1 {SUITES[0]} inline:{KEY}", f"2 {SUITES[1]} inline:{KEY}"))


def answered(offerer, change):
    """The answer of a well-behaved peer to an offer, changed."""
    peer = side(PREFERRED)
    peer.receive_offer(offerer.create_offer())
    return change(peer.create_answer())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: re.sub("a=crypto:.*\r\n", "", text),
        lambda text: text.replace("a=crypto:1 ", "a=crypto:7 "),
        lambda text: text.replace("a=crypto:1 ", "a=crypto:2 "),
        lambda text: text.replace("SHA1_80", "SHA1_32"),
        lambda text: re.sub(
            "(a=crypto:1 .*\r\n)", lambda m: m[1] + f"a=crypto:2 {SUITES[1]} inline:{OTHER_KEY}\r\n", text
        ),
        lambda text: re.sub("inline:.*", "inline:AAAA", text),
        lambda text: text.replace("m=audio 4000", "m=audio 0"),
        lambda text: text.replace("RTP/SAVP", "RTP/AVP").replace("a=crypto", "a=nothing"),
        lambda text: text + "m=video 1 RTP/AVP 99\r\n",
        lambda text: re.sub("m=audio (.*) 0", r"m=audio \1 18", text),
        lambda text: text.replace("inline:", "inline:", 1).replace(re.search("inline:(.*)", text)[1], KEY + "|0"),
    ],
)
def test_bad_answers_to_required_are_refused(change):
    offerer = side()
    with pytest.raises(SdpError):
        offerer.receive_answer(answered(offerer, change))
    assert offerer.negotiated is None


def test_our_own_key_echoed_is_refused():
    offerer = side()
    text = offerer.create_offer()
    with pytest.raises(NegotiationError, match="key of ours"):
        offerer.receive_answer(re.sub("a=crypto:2.*\r\n", "", text))


def test_answer_with_crypto_nobody_offered():
    offerer = side(OFF)
    offerer.create_offer()
    with pytest.raises(NegotiationError):
        offerer.receive_answer(offer("RTP/AVP", f"1 {SUITES[0]} inline:{KEY}"))


def test_other_streams_are_rejected_in_place():
    answerer = side(OFF)
    answerer.receive_offer(
        sdp("m=video 6000 RTP/AVP 99\r\nm=audio 0 RTP/AVP 0\r\nm=audio 5000 RTP/AVP 8\r\nm=audio 7000 RTP/AVP 0\r\n")
    )
    lines = [line for line in answerer.create_answer().splitlines() if line.startswith("m=")]
    assert lines == ["m=video 0 RTP/AVP 99", "m=audio 0 RTP/AVP 0", "m=audio 4000 RTP/AVP 8", "m=audio 0 RTP/AVP 0"]
    assert answerer.negotiated.codec == PCMA


def test_codecs_by_our_preference_under_the_peers_numbers():
    answerer = side(OFF, codecs=(PCMA, PCMU))
    answerer.receive_offer(
        offer("RTP/AVP", formats="0 97 101", more="a=rtpmap:97 pcma/8000\r\na=rtpmap:101 telephone-event/8000\r\n")
    )
    answer = answerer.create_answer()
    assert "m=audio 4000 RTP/AVP 97\r\n" in answer
    assert (answerer.negotiated.payload_type, answerer.negotiated.telephone_event_payload_type) == (97, 101)
    with pytest.raises(NegotiationError, match="OPUS"):
        side(OFF, codecs=(Codec("OPUS", 48000, 111),)).receive_offer(offer("RTP/AVP"))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("a=sendonly\r\n", Direction.RECVONLY),
        ("a=recvonly\r\n", Direction.SENDONLY),
        ("a=inactive\r\n", Direction.INACTIVE),
        ("", Direction.SENDRECV),
    ],
)
def test_hold_and_direction(theirs, ours):
    answerer = side(OFF)
    answerer.receive_offer(offer("RTP/AVP", more=theirs))
    assert f"a={ours.value}\r\n" in answerer.create_answer()
    assert answerer.negotiated.direction is ours


def test_addresses_and_rtcp():
    answerer = side(OFF)
    answerer.receive_offer(
        sdp("m=audio 5000 RTP/AVP 0\r\nc=IN IP6 2001:db8::5\r\na=rtcp:5007 IN IP6 2001:db8::5\r\na=ptime:30\r\n")
    )
    answerer.create_answer()
    agreed = answerer.negotiated
    assert (agreed.remote_address, agreed.remote_port, agreed.remote_rtcp_port, agreed.ptime) == (
        "2001:db8::5",
        5000,
        5007,
        30,
    )
    answerer.receive_offer(offer("RTP/AVP", more="a=rtcp-mux\r\n"))
    assert "a=rtcp-mux" in answerer.create_answer()
    assert answerer.negotiated.remote_rtcp_port == 5000
    with pytest.raises(NegotiationError, match="address"):
        side(OFF).receive_offer(sdp("m=audio 5000 RTP/AVP 0\r\n", address="host.example"))
    with pytest.raises(NegotiationError):
        side(OFF).create_answer()


@pytest.mark.parametrize("ptime", ["0", "-20", "201", "99999999999999999999", "20.5", "x", ""])
def test_a_packet_time_that_cannot_be_is_not_taken(ptime):
    """Buffers are as long as a packet lasts (CVE-2026-41416)."""
    negotiation = side(OFF)
    negotiation.receive_offer(offer("RTP/AVP", more=f"a=ptime:{ptime}\r\n"))
    negotiation.create_answer()
    assert negotiation.negotiated.ptime == 20


def test_version_grows_with_every_description():
    one = side(OFF)
    versions = [int(re.search(r"o=- \d+ (\d+)", one.create_offer())[1]) for _ in range(3)]
    assert versions == [1, 2, 3]
