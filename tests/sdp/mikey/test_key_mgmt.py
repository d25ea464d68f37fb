"""Key management in SDP and RTSP (RFC 4567): the RFC's examples, the rules, and a MIKEY exchange through both."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdp import KeyManagementError, SessionDescription
from sdp.mikey import (
    Id,
    Initiator,
    Kemac,
    KeyMgmtAttribute,
    KeyMgmtSpec,
    Message,
    MikeyRefusedError,
    Mode,
    Ourselves,
    Peer,
    Proposal,
    Rand,
    ReplayCache,
    Responder,
    T,
    V,
    nai_id,
    parse_key_mgmt_header,
    serialize_key_mgmt_header,
    streams_of_media,
    take_key_mgmt,
    uri_id,
)
from sdp.mikey.key_mgmt import check_answered_key_mgmt, key_mgmt_attributes, refusal_of
from srtp import SecretBytes

NOW = 1_800_000_000.0
OFFERED = (
    "AQAFgM0XflABAAAAAAAAAAAAAAsAyONQ6gAAAAAGEEoo2pee4hp2UaDX8ZE22YwKAAAPZG9uYWxkQGR1Y2suY29tAQAAAAAAAQAk0JKpgaVkDaawi9wh"
    "VBtBt0KZ14ymNuu62+Nv3ozPLygwK/GbAV9iemnGUIZ19fWQUOSrzKTAv9zV"
)
ANSWERED = "AQEFgM0XflABAAAAAAAAAAAAAAYAyONQ6gAAAAAJAAAQbWlja2V5QG1vdXNlLmNvbQABn8HdGE5BMDXFIuGEga+62AgY5cc="
HEAD = "v=0\r\no=alice 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
AUDIO = "m=audio 49000 RTP/SAVP 98\r\n"
PLAIN = "m=video 52230 RTP/AVP 31\r\n"
WORD = base64.b64encode(b"message").decode()


def parse(text: str) -> SessionDescription:
    return SessionDescription.parse(text)


def test_the_messages_of_rfc_4567_parse() -> None:
    offer = parse(f"{HEAD}a=key-mgmt:mikey {OFFERED}\r\n{AUDIO}{PLAIN}")
    (attribute,) = key_mgmt_attributes(offer)
    message = Message.parse(attribute.data)
    assert message.serialize() == attribute.data
    assert [type(one) for one in message.payloads][:3] == [T, Rand, Id]
    assert message.header.csb_id == 0xCD177E50
    assert message.all(Id)[0] == nai_id("donald@duck.com")
    assert len(message.all(Kemac)[0].data) == 36
    answer = Message.parse(KeyMgmtAttribute.parse(f"mikey {ANSWERED}").data)
    assert answer.header.csb_id == message.header.csb_id
    assert answer.all(T) == message.all(T)
    assert answer.all(Id)[0] == nai_id("mickey@mouse.com")
    assert isinstance(answer.payloads[-1], V)


def test_the_media_level_overrides_the_session_level() -> None:
    other = base64.b64encode(b"other").decode()
    offer = parse(f"{HEAD}a=key-mgmt:mikey {WORD}\r\n{AUDIO}a=key-mgmt:mikey {other}\r\n{AUDIO}{PLAIN}")
    first, second, third = (take_key_mgmt(offer, section) for section in offer.media)
    assert first is not None
    assert (first.attribute.data, first.session_level) == (b"other", False)
    assert second is not None
    assert (second.attribute.data, second.session_level) == (b"message", True)
    assert third is None, "RTP/AVP is not affected"


def test_the_offerers_preference_is_followed_and_reasons_given() -> None:
    lines = "".join(f"a=key-mgmt:{name} {WORD}\r\n" for name in ("keyp1", "mikey", "MIKEY", "keyp2"))
    offer = parse(f"{HEAD}{lines}{AUDIO}")
    taken = take_key_mgmt(offer, offer.media[0])
    assert taken is not None
    assert taken.attribute.prtcl_id == "mikey"
    assert taken.prtcl_ids == ("keyp1", "mikey", "MIKEY", "keyp2")
    assert [(one.subject, one.code) for one in taken.refusals] == [
        ("a=key-mgmt:(a protocol of 5 characters)", "protocol"),
        ("a=key-mgmt:(a protocol of 5 characters)", "protocol"),
        ("a=key-mgmt:(a protocol of 5 characters)", "protocol"),
    ]
    with pytest.raises(KeyManagementError) as caught:
        take_key_mgmt(offer, offer.media[0], supported=("none",))
    assert (caught.value.status, len(caught.value.refusals)) == (488, 4)
    assert caught.value.warning("pc33.example.com") == '306 pc33.example.com "Attribute not understood"'


@pytest.mark.parametrize("value", ["", "mikey", "mikey ", "mikey %%%", "mi-key AAAA", "mikey AAAA====", "mikey A"])
def test_a_malformed_attribute_is_refused(value: str) -> None:
    with pytest.raises(KeyManagementError):
        KeyMgmtAttribute.parse(value)


def test_what_is_too_much_is_refused() -> None:
    with pytest.raises(KeyManagementError):
        KeyMgmtAttribute.parse("mikey " + "A" * 10_000_000)
    offer = parse(HEAD + AUDIO + f"a=key-mgmt:mikey {WORD}\r\n" * 33)
    with pytest.raises(KeyManagementError):
        take_key_mgmt(offer, offer.media[0])


@given(st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True), st.binary(min_size=1, max_size=60))
def test_attributes_and_headers_survive_a_round_trip(name: str, data: bytes) -> None:
    attribute = KeyMgmtAttribute(name, data)
    assert KeyMgmtAttribute.parse(attribute.serialize()) == attribute
    assert KeyMgmtAttribute.parse("  " + attribute.serialize().rstrip("=")) == attribute
    specs = (KeyMgmtSpec(name, data, "rtsp://example.com/a,b;c=d"), KeyMgmtSpec(name, data))
    assert parse_key_mgmt_header(serialize_key_mgmt_header(specs)) == specs


def test_an_answer_has_exactly_one_of_the_offered_protocols() -> None:
    line = f"a=key-mgmt:mikey {WORD}\r\n"
    cases = [(HEAD + AUDIO, False), (HEAD + AUDIO + line, True), (HEAD + line + AUDIO, True)]
    cases += [(HEAD + AUDIO + line * 2, False), (HEAD + PLAIN, False)]
    cases += [(HEAD + AUDIO + line.replace("mikey", "keyp1"), False)]
    for text, accepted in cases:
        answer = parse(text)
        if accepted:
            assert check_answered_key_mgmt(answer, answer.media[0], ("mikey",)).data == b"message"
        else:
            with pytest.raises(KeyManagementError):
                check_answered_key_mgmt(answer, answer.media[0], ("mikey",))


def parties() -> tuple[Initiator, Responder]:
    psk = SecretBytes(bytes(range(20)))
    alice, bob = Ourselves(uri_id("sip:alice@example.com")), Ourselves(uri_id("sip:bob@example.com"))
    proposal = Proposal(mode=Mode.PSK, streams=streams_of_media((1, 2)), sdp_ids=("mikey", "keyp1"))
    initiator = Initiator(proposal, alice, Peer(bob.identity, psk))
    return initiator, Responder(bob, lambda _: Peer(alice.identity, psk), ReplayCache())


def test_mikey_through_an_offer_and_its_answer() -> None:
    """Two media lines under one session level message: each has its own keys for either direction."""
    initiator, responder = parties()
    mikey = KeyMgmtAttribute("mikey", initiator.create_message(NOW)).serialize()
    text = f"{HEAD}a=key-mgmt:{mikey}\r\na=key-mgmt:keyp1 {WORD}\r\n{AUDIO}{AUDIO}"
    offer = parse(text)
    taken = take_key_mgmt(offer, offer.media[0])
    assert taken is not None
    accepted = responder.receive(taken.attribute.data, NOW, ssrcs=(3, 4), sdp_ids=taken.prtcl_ids)
    assert accepted.response is not None
    reply = KeyMgmtAttribute("mikey", accepted.response).serialize()
    answer = parse(f"{HEAD}a=key-mgmt:{reply}\r\n{AUDIO}{AUDIO}")
    answered = check_answered_key_mgmt(answer, answer.media[0], ("mikey", "keyp1"))
    bundle = initiator.receive(answered.data, NOW)
    keys = set()
    for line in (0, 1):
        out, back = bundle.media_sessions(line, initiator=True)
        theirs_out, theirs_back = accepted.bundle.media_sessions(line, initiator=False)
        assert (out, back) == (theirs_back, theirs_out)
        assert (out.ssrc, back.ssrc) == (1 + line, 3 + line)
        keys |= {bytes(out.policy.master_key), bytes(back.policy.master_key)}
    assert len(keys) == 4
    with pytest.raises(MikeyRefusedError):
        bundle.media_sessions(2, initiator=True)


def test_a_peeled_off_protocol_is_found_out() -> None:
    initiator, responder = parties()
    mikey = KeyMgmtAttribute("mikey", initiator.create_message(NOW)).serialize()
    offer = parse(f"{HEAD}a=key-mgmt:{mikey}\r\n{AUDIO}")
    taken = take_key_mgmt(offer, offer.media[0])
    assert taken is not None
    with pytest.raises(MikeyRefusedError) as caught:
        responder.receive(taken.attribute.data, NOW, sdp_ids=taken.prtcl_ids)
    refusal = refusal_of(caught.value)
    assert (refusal.status, refusal.warning_code, refusal.response) == (488, 306, caught.value.response)
    assert refusal.response is not None


def test_the_header_of_rfc_4567_section_5_3() -> None:
    value = f'prot=mikey; uri="rtsp://movie.example.com/action";\r\n        data="{ANSWERED}"'
    (spec,) = parse_key_mgmt_header(value)
    assert (spec.prot, spec.uri) == ("mikey", "rtsp://movie.example.com/action")
    assert Message.parse(spec.data).header.csb_id == 0xCD177E50
    (empty,) = parse_key_mgmt_header(f'prot=mikey; uri=""; data="{WORD}"')
    assert empty == KeyMgmtSpec("mikey", b"message")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "prot=mikey",
        f'data="{WORD}"',
        f'prot=mikey; prot=mikey; data="{WORD}"',
        f'prot=mikey; data="{WORD}",',
        f'prot=mikey; data="{WORD}" x',
        f'prot=mikey; other=1; data="{WORD}"',
        f'prot=mikey; uri="rtsp://a b"; data="{WORD}"',
        'prot=mikey; data="%"',
        'prot=mikey; data="AAAA',
        ", ".join([f'prot=mikey; data="{WORD}"'] * 33),
    ],
)
def test_a_malformed_header_is_refused(value: str) -> None:
    with pytest.raises(KeyManagementError):
        parse_key_mgmt_header(value)


def test_a_uri_cannot_end_its_quotes() -> None:
    with pytest.raises(KeyManagementError):
        KeyMgmtSpec("mikey", b"x", 'rtsp://a"; data="').serialize()
