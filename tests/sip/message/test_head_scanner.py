"""The compiled scanner and writer against the parser in Python, which has the last word."""

from __future__ import annotations

import importlib.machinery

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip import Headers, NameAddr, Request, Response, SipParseError, SipUri, Via, parse_message
from sip.message import head_scanner, header_rows, message_writer
from sip.message import message as message_module
from sip.message import parser as parser_module
from sip.message import uri as uri_module
from sip.message.parser import DEFAULT_LIMITS, Limits, _check, _parse_unusual_head, parse_head

INVITE = (
    "INVITE sip:bob@biloxi.example.com;transport=tcp SIP/2.0\r\n"
    "Via: SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK74b43;rport;received=192.0.2.1\r\n"
    "Max-Forwards: 70\r\n"
    "Record-Route: <sip:p1.example.com;lr>\r\n"
    'From: "Alice A." <sips:alice@atlanta.example.com>;tag=9fxced76sl\r\n'
    "t: Bob the 1st <sip:bob@biloxi.example.com:5070;a=b;lr>\r\n"
    "Call-ID: 3848276298220188511@atlanta.example.com\r\n"
    "CSeq: 1 INVITE\r\n"
    'Contact: <sip:alice@client.atlanta.example.com>;+sip.instance="<urn:uuid:1>";q=0.5\r\n'
    'X-Other: anything, at all; "\r\n'
    "Expires: 3600\r\n"
    "Content-Type: application/sdp;charset=utf-8\r\n"
    "Content-Length: 4"
)
PIECES = [
    *('"', "\\", "<", ">", ",", ";", ":", "@", "%", "%4", "=", "[", "]", "*", "?", " ", "  ", "\t", "\r\n", "\r\n "),
    *("\r", "\n", "\0", "\x01", "\x7f", "ä", "\x85", "-1", "4294967296", "99999", "65536", "SIP/2.0", "sip:", "tel:1"),
    *("To: <sip:a@b>\r\n", "From: x\r\n", "l: 4\r\n", "Content-Length: 5\r\n", "Via: SIP/2.0/UDP h\r\n", ";lr", ";a=1"),
    *("CSeq: 1 BYE\r\n", "CSeq: 1 INVITE\r\n", "Max-Forwards: 256\r\n", "Expires: 1\r\n", "Contact: *\r\n", "i:\r\n"),
]


def outcome(parse, head, limits=DEFAULT_LIMITS):
    """All that can be told from outside of what parsing gave."""
    try:
        found = parse(head, limits=limits)
        length = parser_module.content_length(found)
    except SipParseError as error:
        request = None if error.request is None else (error.request.method, error.request.headers)
        return error.status, error.header, error.reason, request
    start = (found.method, found.uri) if isinstance(found, Request) else (found.status, found.reason)
    typed = (found.vias, found.from_, found.to, found.call_id, found.cseq, found.contact_values, found.routes)
    more = (found.record_routes, found.max_forwards, found.expires, found.content_type, list(found.headers.items()))
    return start, typed, more, length


def in_python(head, *, limits):
    return _parse_unusual_head(head, limits)


def same(head, limits=DEFAULT_LIMITS):
    fast, slow = outcome(parse_head, head, limits), outcome(in_python, head, limits)
    assert fast == slow
    return fast


def test_the_extensions_are_compiled():
    for module in (head_scanner, header_rows, message_writer):
        assert module.__file__.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))


def test_plain_message_needs_no_more_checks():
    start, rows, length, valid = head_scanner.scan_head(INVITE.encode(), 256, 16384)
    assert start == ("INVITE", "sip:bob@biloxi.example.com;transport=tcp")
    assert (length, valid) == (4, True)
    assert rows[4] == ("to", "t", "Bob the 1st <sip:bob@biloxi.example.com:5070;a=b;lr>")
    assert len(same(INVITE.encode())) == 4
    response = INVITE.replace("INVITE sip:bob@biloxi.example.com;transport=tcp SIP/2.0", "SIP/2.0 200 All is well")
    assert head_scanner.scan_head(response.encode(), 256, 16384)[0] == "SIP/2.0 200 All is well"
    assert same(response.encode())[0] == (200, "All is well")


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_a_damaged_head_is_the_same_either_way(data):
    head = INVITE
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(head)))
        end = start + data.draw(st.integers(0, 4))
        head = head[:start] + data.draw(st.sampled_from(PIECES) | st.characters(codec="utf-8")) + head[end:]
    same(head.encode())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(INVITE)))
def test_any_bytes_are_the_same_either_way(data, start):
    same(data)
    same(INVITE.encode()[:start] + data + INVITE.encode()[start:])


@settings(max_examples=300, deadline=None)
@given(st.permutations(INVITE.split("\r\n")[1:]), st.integers(0, 13), st.integers(0, 13))
def test_header_fields_in_any_order_missing_or_doubled(rows, first, last):
    same("\r\n".join([INVITE.split("\r\n")[0], *rows[first:], *rows[:last]]).encode())


def test_truncated_heads_are_the_same_either_way():
    for length in range(len(INVITE)):
        same(INVITE.encode()[:length])


@pytest.mark.parametrize("corpus", ["rfc4475", "rfc5118"])
def test_corpus_is_the_same_either_way(shared_vectors, corpus):
    for path in sorted((shared_vectors / corpus).iterdir()):
        data = path.read_bytes()
        for text in (data, data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
            same(text.partition(b"\r\n\r\n")[0])


VALUES = {
    Via: ("SIP/2.0/UDP pc33.example.com:5060;branch=z9hG4bK1;rport;ttl=3;received=[2001:db8::1]", "SIP/2.0/tcp a."),
    NameAddr: (
        '"Alice A." <sips:alice@example.com:5061;lr;a=b>;tag=1;x',
        "Bob B <sip:b?c@h>;q=0.5",
        "<tel:+1>",
        "sip:a",
    ),
    uri_module: ("sip:alice@example.com:5061;transport=tcp;lr;lr;x=[:]", "SIPS:%41:b@[::1];a=%20?x=y", "tel:+1;a=b"),
}


@settings(max_examples=800, deadline=None)
@given(st.data())
def test_plain_values_are_the_same_as_the_long_way(data):
    kind = data.draw(st.sampled_from(list(VALUES)))
    text = data.draw(st.sampled_from(VALUES[kind]))
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 3))
        text = text[:start] + data.draw(st.sampled_from(PIECES) | st.characters(codec="utf-8")) + text[end:]
    found = []
    for parse in (getattr(kind, "parse", None) or kind.parse_uri, kind._parse_any):
        try:
            found.append(parse(text))
        except SipParseError as error:
            found.append((error.status, error.header, error.reason))
    assert found[0] == found[1]


def test_limits_are_the_same_either_way():
    for rows in (11, 12):
        for width in (40, 90, 200):
            same(INVITE.encode(), Limits(rows=rows, row_bytes=width))
    assert outcome(parse_head, INVITE.encode(), Limits(rows=11))[0] == 513


def test_what_is_called_valid_passes_every_check():
    message = parse_head(INVITE.encode())
    message.headers._typed.clear()
    _check(message)


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["Subject", "X", "Content-Length", "l"]), texts), max_size=6), st.binary())
def test_writer_is_the_same_as_in_python(rows, body):
    headers = Headers(rows)
    text = "".join(f"{name}: {value}\r\n" for key, name, value in headers.rows if key != "content-length")
    wanted = f"SIP/2.0 200 ö\r\n{text}Content-Length: {len(body)}\r\n\r\n".encode() + body
    assert Response(200, "ö", headers, body).serialize() == wanted
    assert message_module.write_message("SIP/2.0 200 ö", headers.rows, body) == wanted


def test_writer_refuses_lone_surrogates():
    with pytest.raises(UnicodeEncodeError):
        message_writer.write_message("\ud800", [], b"")
    with pytest.raises(UnicodeEncodeError):
        message_writer.write_message("x", [("a", "A", "\udfff")], b"")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.just("X"), texts), max_size=6), st.sampled_from("abcd"))
def test_rows_are_found_as_in_python(rows, key):
    values = [value for name, _, value in rows if name == key]
    assert header_rows.all_values(rows, key) == values
    assert header_rows.first_value(rows, key) == (values[0] if values else None)
    assert header_rows.has_any(rows, frozenset((key, "e"))) is bool(values)
    assert header_rows.has_any(rows, frozenset()) is False


def test_typed_values_follow_every_change():
    message = parse_message(INVITE.encode() + b"\r\n\r\nv=0\n")
    assert message.to.tag is None
    assert message.to is message.to
    message.headers.set("To", "<sip:bob@example.com>;tag=1")
    assert message.to.tag == "1"
    message.headers.prepend("v", "SIP/2.0/UDP new.example.com")
    assert [via.host for via in message.vias] == ["new.example.com", "[2001:db8::1]"]
    message.headers.remove_first("Via")
    assert len(message.vias) == 1
    copy = message.headers.copy()
    message.headers.remove("Contact")
    assert message.contacts == []
    assert Request("INVITE", message.uri, copy).contacts[0].parameter("q") == "0.5"
    message.headers.add("Contact", "*")
    assert str(message.contact_values) == "*"
    message.vias.clear()
    assert len(message.vias) == 1
    message.uri = SipUri.parse("sip:carol@example.com")
    assert message.serialize().startswith(b"INVITE sip:carol@example.com SIP/2.0\r\n")
