"""Potential configurations of an offer (RFC 5939): which are read, which is taken, what the answer says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdp import LocalMedia, MediaSecurity, NegotiationError, SdpError, SessionDescription, SessionNegotiation
from sdp.description.capability_negotiation import MAX_CONFIGURATIONS, configurations

KEY = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"
CRYPTO = f"crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^20|1:32"
# RFC 5939 3.5.1's example, with a session-level transport capability as in its section 4.
EXAMPLE = (
    "m=audio 53456 RTP/AVPF 0 18\r\n"
    f"a=acap:1 {CRYPTO}\r\n"
    "a=tcap:1 RTP/AVPF RTP/AVP RTP/SAVP RTP/SAVPF\r\n"
    "a=pcfg:8 t=1|2\r\n"
    "a=pcfg:1 t=4|3 a=1\r\n"
)


def offer(media, session=""):
    return f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{session}{media}"


def answer(text, security=MediaSecurity.PREFERRED):
    negotiation = SessionNegotiation([LocalMedia("192.0.2.2", 54568, security=security)])
    negotiation.receive_offer(text)
    return negotiation.create_answer(), negotiation.agreement.of_stream(0)


@pytest.mark.parametrize("security", [MediaSecurity.PREFERRED, MediaSecurity.REQUIRED])
def test_the_secure_configuration_of_the_example_is_taken(security):
    text, agreed = answer(offer(EXAMPLE), security)
    assert "m=audio 54568 RTP/SAVPF 0\r\n" in text
    assert "a=acfg:1 t=4 a=1\r\n" in text
    assert re.search(r"a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:(?!NzB4)", text)
    assert agreed.crypto_suite == "AES_CM_128_HMAC_SHA1_32"
    assert agreed.inbound.mki == bytes(31) + b"\1"


def test_plain_rtp_is_answered_as_the_section_stands():
    text, agreed = answer(offer(EXAMPLE), MediaSecurity.OFF)
    assert "m=audio 54568 RTP/AVPF 0\r\n" in text
    assert "acfg" not in text
    assert not agreed.secured


def test_mikey_is_passed_over_for_the_alternative_that_is_supported():
    """RFC 5939 4.3's form: session-level MIKEY, or security descriptions and an optional rtcp-fb."""
    session = "a=acap:1 key-mgmt:mikey AQAFgM0XflABAAAAAAAAAAAAAAsAyONQ6g\r\na=tcap:1 RTP/SAVPF RTP/SAVP\r\n"
    media = f"m=audio 59000 RTP/AVP 0\r\na=acap:3 {CRYPTO}\r\na=acap:4 rtcp-fb:0 nack\r\na=pcfg:1 t=1 a=1,4|3,[4,9]\r\n"
    text, agreed = answer(offer(media, session))
    assert "a=acfg:1 t=1 a=3,4\r\n" in text
    assert agreed.protocol == "RTP/SAVPF"
    assert agreed.secured


@pytest.mark.parametrize(
    ("media", "session"),
    [
        (f"a=acap:1 {CRYPTO}\r\na=pcfg:1 t=7 a=1\r\n", ""),  # no such transport
        ("a=tcap:1 RTP/SAVP\r\na=pcfg:1 t=1 a=1\r\n", ""),  # no such attribute
        (f"a=acap:1 {CRYPTO}\r\na=tcap:1 RTP/SAVP\r\na=pcfg:1 t=1 a=1 +med=3\r\n", ""),  # mandatory extension
        (f"a=acap:1 {CRYPTO}\r\na=tcap:1 RTP/SAVP\r\na=pcfg:1 t=1 a=1\r\n", "a=creq:cap-v0,med-v0\r\n"),
        (f"a=acap:1 {CRYPTO}\r\na=tcap:1 RTP/SAVP\r\na=pcfg:x t=1 a=1\r\n", ""),
        ("a=acap:1 acap:2 x\r\na=tcap:1 RTP/SAVP\r\na=pcfg:1 t=1 a=1\r\n", ""),
    ],
)
def test_what_cannot_be_taken_is_left_and_required_refuses(media, session):
    text = offer("m=audio 5000 RTP/AVP 0\r\n" + media, session)
    assert not answer(text)[1].secured
    with pytest.raises(NegotiationError):
        answer(text, MediaSecurity.REQUIRED)


def test_delete_attributes_and_unknown_extensions():
    media = (
        f"m=audio 5000 RTP/AVP 0\r\na=sendonly\r\na=acap:1 {CRYPTO}\r\na=acap:2 recvonly\r\n"
        "a=tcap:1 RTP/SAVP\r\na=pcfg:1 x=1 t=1 a=-m:1,2\r\n"
    )
    description = SessionDescription.parse(offer(media))
    first, actual = configurations(description, 0)
    assert (first.selected, actual.selected) == ("1 t=1 a=-m:1,2", "")
    assert [line.value[:8] for line in first.section.lines] == ["crypto:1", "recvonly"]
    assert "a=sendonly" in answer(offer(media))[0]
    assert KEY not in repr(description)


def test_the_number_of_configurations_is_bounded():
    many = "|".join("1" for _ in range(300))
    media = "m=audio 5000 RTP/AVP 0\r\na=acap:1 x\r\na=tcap:1 RTP/SAVP\r\n" + f"a=pcfg:1 t={many} a={many}\r\n" * 30
    assert len(configurations(SessionDescription.parse(offer(media)), 0)) == MAX_CONFIGURATIONS + 1


@given(st.lists(st.from_regex(r"\A(pcfg|acap|tcap|creq):[0-9a-z=|,:+\[\]/ -]{0,30}\Z"), max_size=12))
def test_any_attributes_fail_cleanly(attributes):
    text = offer("m=audio 5000 RTP/AVP 0\r\n" + "".join(f"a={one}\r\n" for one in attributes))
    try:
        answer(text)
    except SdpError:
        return
