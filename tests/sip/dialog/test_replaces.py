"""Replaces (RFC 3891), Refer-To (RFC 3515) and message/sipfrag (RFC 3420)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip import Request, SipParseError, SipUri
from sip.dialog.replaces import ReferTarget, Replaces
from sip.message.sip_fragment import status_fragment, status_of


def test_the_example_of_the_rfc():
    """RFC 3891 6.1."""
    text = "425928@bobster.example.org;to-tag=7743;from-tag=6472"
    replaces = Replaces.parse(text)
    assert replaces == Replaces("425928@bobster.example.org", "7743", "6472")
    assert replaces.dialog_id == ("425928@bobster.example.org", "7743", "6472")
    assert str(replaces) == text
    assert Replaces.parse(text + ";early-only").early_only
    assert Replaces.at_peer(("id", "ours", "theirs")) == Replaces("id", "theirs", "ours")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "id",
        "id;to-tag=1",
        "id;from-tag=1",
        ";to-tag=1;from-tag=2",
        "id;to-tag=1;to-tag=2;from-tag=3",
        "id;to-tag;from-tag",
    ],
)
def test_what_names_no_dialog(text):
    with pytest.raises(SipParseError) as error:
        Replaces.parse(text)
    assert error.value.header == "Replaces"


def test_a_replaces_as_long_as_a_message():
    with pytest.raises(SipParseError):
        Replaces.parse("x" * 100000 + ";to-tag=1;from-tag=2")


def refer(*targets):
    request = Request("REFER", SipUri("sip", "example.com"))
    for target in targets:
        request.headers.add("Refer-To", target)
    return request


def test_the_addresses_of_the_rfcs():
    """RFC 3515 2.1, RFC 3891 6.1."""
    assert ReferTarget.of(refer("sip:alice@atlanta.example.com")).replaces is None
    attended = ReferTarget.of(
        refer("<sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>")
    )
    assert attended.uri == SipUri("sip", "denver.example.org", "dave")
    assert attended.replaces == Replaces("12345@192.168.118.3", "12345", "5FFE-3994")


@pytest.mark.parametrize(
    "targets",
    [
        (),
        ("sip:a@b", "sip:c@d"),
        ("tel:+4930123",),
        ("http://example.com/",),
        ("<sip:a@b;method=SUBSCRIBE>",),
        ("<sip:a@b?Replaces=x>",),
        ("<sip:a@b?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>",),
    ],
)
def test_what_is_not_called(targets):
    with pytest.raises(SipParseError):
        ReferTarget.of(refer(*targets))


TOKENS = st.text("abcXYZ0189-.!%*_+`'~", min_size=1, max_size=20)


@given(TOKENS, TOKENS, TOKENS, st.booleans())
def test_round_trip_through_a_uri(call_id, to_tag, from_tag, early_only):
    replaces = Replaces(call_id, to_tag, from_tag, early_only)
    target = ReferTarget(SipUri("sips", "example.com", "bob"), replaces)
    assert ReferTarget.of(refer(str(target))) == target


@pytest.mark.parametrize("status", [100, 180, 200, 486, 603])
def test_fragments(status):
    assert status_of(status_fragment(status)) == status


@pytest.mark.parametrize(
    "body", [b"", b"SIP/2.0", b"SIP/2.0 99 x", b"SIP/2.0 700 x", b"INVITE sip:a SIP/2.0\r\n", b"\xff" * 99]
)
def test_what_is_no_status(body):
    with pytest.raises(SipParseError):
        status_of(body)


def test_a_fragment_may_go_on_with_headers():
    assert status_of(b"SIP/2.0 200 OK\r\nContact: <sip:a@b>\r\n") == 200
