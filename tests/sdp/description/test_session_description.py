"""Session descriptions (RFC 8866): byte-exact round trips, errors with line numbers, bounds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdp import SdpError, SdpParseError, SessionDescription

# RFC 8866 5, with an unknown attribute and media added.
EXAMPLE = (
    "v=0\r\no=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\ns=Call to John Smith\r\ni=SDP Offer #1\r\n"
    "u=http://www.jdoe.example.com/home.html\r\ne=Jane Doe <jane@jdoe.example.com>\r\np=+1 617 555-6011\r\n"
    "c=IN IP4 198.51.100.1\r\nt=0 0\r\na=x-unknown:value: with colons\r\n"
    "m=audio 49170 RTP/AVP 0\r\nm=audio 49180 RTP/AVP 0\r\n"
    "m=video 51372/2 RTP/AVP 99\r\nc=IN IP6 2001:db8::2\r\na=rtpmap:99 h263-1998/90000\r\na=x-flag\r\n"
)


def test_example_round_trips_byte_for_byte():
    parsed = SessionDescription.parse(EXAMPLE)
    assert parsed.serialize() == EXAMPLE
    assert parsed.origin.session_id == 3724394400
    assert [section.port for section in parsed.media] == [49170, 49180, 51372]
    assert parsed.address_of(parsed.media[0]) == "198.51.100.1"
    assert parsed.address_of(parsed.media[2]) == "2001:db8::2"
    assert parsed.media[2].port_count == 2
    assert parsed.media[2].rtpmaps()[99].encoding == "h263-1998"
    assert parsed.media[2].attribute("x-flag") == ""
    assert parsed.attributes("x-unknown") == ("value: with colons",)


def test_bare_line_feeds_are_taken():
    assert SessionDescription.parse(EXAMPLE.replace("\r\n", "\n")).serialize() == EXAMPLE
    assert SessionDescription.parse(EXAMPLE.encode()).serialize() == EXAMPLE


@given(
    st.permutations(["a=one", "a=two:2", "b=AS:64", "a=crypto:1 x", "i=info"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=40),
)
def test_order_and_unknown_lines_survive(lines, text):
    whole = EXAMPLE + "".join(f"{line}\r\n" for line in [*lines, f"a=x:{text}"])
    assert SessionDescription.parse(whole).serialize() == whole


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("v=0", "v=1"), 1),
        (("v=0\r\n", ""), 1),
        (("o=jdoe ", "o="), 2),
        (("3724394405", "-1"), 2),
        (("s=Call to John Smith\r\n", ""), 3),
        (("i=SDP", "iSDP"), 4),
        (("t=0 0", "=0 0"), 9),
        (("m=audio 49170", "m=audio"), 11),
        (("49170", "70000"), 11),
        (("49170", "-5"), 11),
        (("a=x-flag", "o=x"), 16),
        (("a=x-flag", "a=x\0"), 16),
        (("a=x-flag", "a=x\ry"), 16),
    ],
)
def test_errors_name_the_line(change, line):
    with pytest.raises(SdpParseError) as error:
        SessionDescription.parse(EXAMPLE.replace(*change, 1))
    assert error.value.line == line


def test_not_utf8_names_the_line():
    with pytest.raises(SdpParseError) as error:
        SessionDescription.parse(EXAMPLE.encode().replace(b"John", b"\xff\xfe"))
    assert error.value.line == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=0",
        "v=0\r\n" * 3,
        EXAMPLE + "a=x\r\n" * 10**6,
        EXAMPLE + "a=" + "x" * 10**7,
        EXAMPLE + "m=audio 1 RTP/AVP 0\r\n" * 100,
    ],
)
def test_hostile_texts_are_refused_quickly(text):
    started = time.process_time()
    with pytest.raises(SdpParseError):
        SessionDescription.parse(text)
    assert time.process_time() - started < 2


@settings(max_examples=500)
@given(st.data())
def test_damage_fails_cleanly(data):
    damaged = bytearray(EXAMPLE.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position : position + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=5))
    try:
        SessionDescription.parse(bytes(damaged)).serialize()
    except SdpError:
        return


def test_keys_are_hidden_in_repr():
    text = EXAMPLE + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRETSECRET\r\nk=clear:SECRET\r\n"
    assert "SECRET" not in repr(SessionDescription.parse(text))
