"""Parsing and writing messages: properties, hostile input, streams."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip import (
    AllContacts,
    Headers,
    KeepAlive,
    Limits,
    NameAddr,
    Request,
    SipParseError,
    SipUri,
    StreamParser,
    parse_message,
    parse_uri,
)
from sip.message.grammar import split_outside_quotes

INVITE = (
    b"INVITE sip:bob@biloxi.example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP client.atlanta.example.com:5060;branch=z9hG4bK74b43\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: Alice <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n"
    b"To: Bob <sip:bob@biloxi.example.com>\r\n"
    b"Call-ID: 3848276298220188511@atlanta.example.com\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:alice@client.atlanta.example.com;transport=tcp>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 4\r\n\r\nv=0\n"
)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_message_or_a_parse_error(data):
    for text in (data, INVITE[:60] + data, INVITE + data):
        with contextlib.suppress(SipParseError):
            parse_message(text)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_damaged_message_gives_a_message_or_a_parse_error(data):
    damaged = bytearray(INVITE)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        damaged[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        message = parse_message(bytes(damaged))
    except SipParseError as error:
        if error.request is not None:
            error.request.create_response(error.status).serialize()
        return
    parse_message(message.serialize())


@pytest.mark.parametrize("length", range(0, len(INVITE), 7))
def test_truncation_is_an_error(length):
    with pytest.raises(SipParseError):
        parse_message(INVITE[:length])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1))
def test_stream_in_any_pieces(sizes):
    stream = b"\r\n\r\n" + INVITE + INVITE + b"\r\n\r\n" + INVITE
    parser, found, position = StreamParser(), [], 0
    while position < len(stream):
        size = sizes[position % len(sizes)]
        found += parser.feed(stream[position : position + size])
        position += size
    assert sum(isinstance(one, Request) for one in found) == 3
    assert sum(isinstance(one, KeepAlive) for one in found) == 2
    assert all(one.body == b"v=0\n" for one in found if isinstance(one, Request))


@pytest.mark.parametrize(
    ("value", "status"),
    [(b"-1", 400), (b"99999999999999999999", 400), (b"4294967295", 413), (b"x", 400), (b"", 400), (b"1e3", 400)],
)
def test_stream_refuses_bad_content_length_before_it_allocates(value, status):
    parser = StreamParser()
    with pytest.raises(SipParseError) as error:
        parser.feed(INVITE.replace(b"Content-Length: 4", b"Content-Length: " + value))
    assert error.value.status == status
    assert error.value.request is not None
    with pytest.raises(SipParseError):
        parser.feed(INVITE)


def test_stream_without_content_length_is_refused():
    with pytest.raises(SipParseError) as error:
        StreamParser().feed(INVITE.replace(b"Content-Length: 4\r\n", b""))
    assert error.value.header == "Content-Length"


def test_stream_keeps_what_was_whole_before_a_fault():
    with pytest.raises(SipParseError) as error:
        StreamParser().feed(INVITE + b"garbage\r\n\r\n")
    assert [one.method for one in error.value.parsed] == ["INVITE"]


def test_endless_header_is_cut_off():
    parser = StreamParser(Limits(header_bytes=1000))
    for _ in range(10):
        assert parser.feed(b"A" * 100) == []
    with pytest.raises(SipParseError, match="1000"):
        parser.feed(b"A")


@pytest.mark.parametrize("name", [b"To\x01", b"To\x00", b"T o", b"To\xa0", b"", b"To\x0b"])
def test_only_space_and_tab_stand_before_the_colon(name):
    """Header smuggling: what we drop as another header, a proxy must not have read as To."""
    with pytest.raises(SipParseError):
        parse_message(INVITE.replace(b"Max-Forwards: 70", name + b": <sip:x@y>"))


def test_space_and_tab_may_stand_before_the_colon():
    assert parse_message(INVITE.replace(b"Call-ID:", b"Call-ID \t:")).call_id.startswith("3848")


@pytest.mark.parametrize("value", ["a\r\nInjected: yes", "a\nb", "a\rb", "a\0b"])
def test_headers_cannot_be_injected(value):
    with pytest.raises(SipParseError):
        Headers([("Subject", value)])
    with pytest.raises(SipParseError):
        Headers([(f"Subject{value}", "x")])
    with pytest.raises(SipParseError):
        NameAddr(SipUri("sip", "h"), value).__str__()


@pytest.mark.parametrize(
    "value", ['"Alice\\" <sip:a@h>', '"Alice\\', '"\\', '"a\\"<sip:a@h>', "<>", "<:>", "<sip:>", '"a" http://x']
)
@pytest.mark.parametrize("name", ["From", "To", "Contact"])
def test_broken_addresses_are_answered_400(name, value):
    """A display name that ends in a backslash among them (CVE-2021-43611)."""
    lines = [
        f"{name}: {value}".encode() if line.startswith(f"{name}:".encode()) else line for line in INVITE.split(b"\r\n")
    ]
    with pytest.raises(SipParseError) as error:
        parse_message(b"\r\n".join(lines))
    assert error.value.status == 400
    assert error.value.request is not None


@pytest.mark.parametrize(
    "text",
    [
        "sip:a\0b@h",
        'sip:a"b@h',
        "sip:a b@h",
        "sip:@h",
        "sip:",
        "sip",
        "sip:h:99999",
        "sip:h;a=",
        "1:x",
        "sip:u@[::1",
        "sip:a@bücher.example",
    ],
)
def test_bad_uris(text):
    with pytest.raises(SipParseError):
        parse_uri(text)


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.com",
        "sips:alice:pw@example.com:5061;transport=tls?subject=x",
        "sip:[2001:db8::1]:5060",
        "sip:%00@h",
        "tel:+1-201-555-0123",
        "sip:user;par=u%40h@example.com;lr",
        "http://example.com/?a=b#c",
    ],
)
def test_uris_round_trip(text):
    assert str(parse_uri(text)) == text


def test_uri_comparison_of_rfc3261_19_1_4():
    def same(one, other):
        return SipUri.parse(one).equivalent(SipUri.parse(other))

    assert same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp")
    assert same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5")
    assert same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5")
    assert not same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP")
    assert not same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060")
    assert not same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp")
    assert not same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off")


@pytest.mark.parametrize(
    "hostile",
    [b"<" * 15000, b'"' * 15000, b"," * 15000, b";" * 15000, b"<sip:a@b>," * 1500, b'"\\' * 7000, b"(" * 15000],
)
def test_hostile_values_take_linear_time(hostile):
    started = time.process_time()
    for name in (b"Contact", b"Via", b"Route", b"From"):
        with contextlib.suppress(SipParseError):
            parse_message(INVITE.replace(b"Max-Forwards: 70", name + b": " + hostile))
    assert time.process_time() - started < 5  # quadratic takes minutes


def test_response_copies_what_8_2_6_2_says():
    request = parse_message(INVITE)
    request.headers.add("Record-Route", "<sip:p;lr>")
    response = request.create_response(200, to_tag="t")
    for name in ("Via", "From", "Call-ID", "CSeq", "Record-Route"):
        assert response.headers.get_all(name) == request.headers.get_all(name)
    assert response.to.tag == "t"
    assert request.create_response(100).to.tag is None


def test_users_of_different_bytes_are_not_the_same():
    one, other = SipUri.parse("sip:%ff@h"), SipUri.parse("sip:%fe@h")
    assert not one.equivalent(other)
    assert one.address_of_record != other.address_of_record
    assert not SipUri.parse("sip:a%2Cb@h").equivalent(SipUri.parse("sip:a,b@h"))  # reserved characters differ escaped
    assert SipUri.parse("sip:%4a@h").address_of_record == "sip:J@h"


def test_to_with_quoted_control_characters_gets_its_tag():
    request = parse_message(INVITE.replace(b"To: Bob ", b'To: "NUL:\\\x00 \\"" '))
    assert request.create_response(404, to_tag="t").headers.get("To") == (
        '"NUL:\\\x00 \\"" <sip:bob@biloxi.example.com>;tag=t'
    )


def test_version_is_read_in_any_case():
    text = INVITE.replace(b"INVITE sip:bob@biloxi.example.com SIP/2.0", b"sip/2.0 200 OK", 1)
    assert parse_message(text).status == 200


@pytest.mark.parametrize("reason", [b"\r", b"O\0K", b"OK\n", b"\x7f"])
def test_control_characters_in_a_reason_phrase_are_refused(reason):
    """Found by fuzzing: it was parsed, and could not be written again."""
    rest = INVITE.partition(b"\r\n")[2]
    with pytest.raises(SipParseError):
        parse_message(b"SIP/2.0 200 " + reason + b"\r\n" + rest)


def test_contact_star_is_a_value_of_its_own_and_stands_alone():
    star = parse_message(INVITE.replace(b"<sip:alice@client.atlanta.example.com;transport=tcp>", b" * "))
    assert star.contact_values == AllContacts()
    assert str(star.contact_values) == "*"
    assert star.contacts == []
    plain = parse_message(INVITE)
    assert plain.contact_values == plain.contacts
    for row in (b"*, <sip:a@b>", b"*;q=1", b"<*>", b"*\r\nContact: <sip:a@b>"):
        with pytest.raises(SipParseError):
            parse_message(INVITE.replace(b"<sip:alice@client.atlanta.example.com;transport=tcp>", row))


@pytest.mark.parametrize("name", [b"Via", b"From", b"To", b"Call-ID", b"CSeq"])
@pytest.mark.parametrize("empty", [b"", b" ", b" \r\n "])
def test_a_mandatory_header_must_not_be_empty(name, empty):
    """Found by fuzzing: an empty Call-ID was parsed, and failed whoever asked for it."""
    lines = [name + b":" + empty if line.startswith(name + b":") else line for line in INVITE.split(b"\r\n")]
    with pytest.raises(SipParseError) as error:
        parse_message(b"\r\n".join(lines))
    assert (error.value.status, error.value.header) == (400, name.decode())
    assert (error.value.request is None) is (name == b"Via")


def split_one_by_one(text, separator):
    parts, in_brackets = [""], False
    for character in text:
        in_brackets = character == "<" or (in_brackets and character != ">")
        if character == separator and not in_brackets:
            parts.append("")
        else:
            parts[-1] += character
    return None if in_brackets else parts


@given(st.text("<>,;a", max_size=24), st.sampled_from(",;"))
def test_a_list_is_split_outside_brackets(text, separator):
    wanted = split_one_by_one(text, separator)
    if wanted is None:
        with pytest.raises(SipParseError, match="bracket"):
            split_outside_quotes(text, separator)
    else:
        assert split_outside_quotes(text, separator) == wanted


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("<sip:a@b>;tag=x", "x"),
        ("Al <sip:a@b;c=d>;tag=9.-!%*_+`'~", "9.-!%*_+`'~"),
        ("<sip:a@b>", None),
        ("sip:a@b;tag=x", "x"),
        ('"<sip:m@n>;tag=y" <sip:a@b>;tag=x', "x"),
        ("<sip:a@b> ; TAG=x", "x"),
        ("<sip:a@b>;y=z;tag=x", "x"),
        ("<sip:a@b;tag=y>", None),
    ],
)
def test_tags_are_the_same_without_parsing(value, tag):
    request = Request("INVITE", SipUri.parse("sip:b@c"))
    request.headers.add("From", value)
    request.headers.add("To", value)
    assert (request.from_tag, request.to_tag) == (request.from_.tag, request.to.tag) == (tag, tag)
