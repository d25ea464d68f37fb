"""Whole sessions by offer and answer (RFC 3264): several streams, re-offers, hold, and which keys go on."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_packets import rtp

from sdp import (
    PCMA,
    PCMU,
    Codec,
    Direction,
    LocalMedia,
    MediaSecurity,
    NegotiationError,
    NoKeying,
    Sdescriptions,
    SessionDescription,
    SessionNegotiation,
    groups_of,
)
from srtp import Session

OFF, PREFERRED, REQUIRED = MediaSecurity.OFF, MediaSecurity.PREFERRED, MediaSecurity.REQUIRED
H264 = Codec("H264", 90000, 102, fmtp="packetization-mode=1")
OPUS = Codec("opus", 48000, 111, channels=2)
KEY = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
OTHER_KEY = "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"
SUITE = "AES_CM_128_HMAC_SHA1_80"


def audio(port=4000, **more):
    return LocalMedia("192.0.2.1", port, **more)


def video(port=4002, **more):
    return LocalMedia("192.0.2.1", port, media="video", codecs=(H264,), **more)


def peer(*media):
    return SessionNegotiation(replace(one, address="198.51.100.7", port=one.port + 2000) for one in media)


def exchange(one, two, **how):
    offer = one.create_offer(**how)
    two.receive_offer(offer)
    answer = two.create_answer()
    one.receive_answer(answer)
    return offer, answer


def keys(text):
    return re.findall(r"a=crypto:\d+ \S+ inline:(\S+)", text)


def m_lines(text):
    return [line for line in text.split("\r\n") if line.startswith("m=")]


def talk(one, two):
    """Both directions of every accepted stream carry SRTP."""
    for a, b in zip(one.agreement.media, two.agreement.media, strict=True):
        assert (a is None) == (b is None)
        if a is None or not a.secured:
            continue
        assert (a.outbound, a.inbound) == (b.inbound, b.outbound)
        left, right = Session(a.outbound, a.inbound), Session(b.outbound, b.inbound)
        assert right.unprotect(left.protect(rtp(1))) == rtp(1)
        assert left.unprotect(right.protect(rtp(2))) == rtp(2)


STREAMS = st.builds(
    lambda media, security, mux, ptime, event, feedback, mki, suites: replace(
        video() if media == "video" else audio(telephone_event=event),
        security=security,
        rtcp_mux=mux,
        ptime=ptime,
        feedback=feedback,
        mki_length=mki,
        crypto_suites=tuple(suites),
    ),
    st.sampled_from(["audio", "video"]),
    st.sampled_from([OFF, PREFERRED, REQUIRED]),
    st.booleans(),
    st.integers(1, 200),
    st.none() | st.integers(96, 101),
    st.booleans(),
    st.integers(0, 4),
    st.permutations(["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"]),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(STREAMS, min_size=1, max_size=6), st.lists(st.sampled_from(["offer", "answer", "rekey"]), max_size=4))
def test_any_offer_of_ours_can_be_answered_again_and_again(streams, turns):
    streams = [replace(stream, port=4000 + 4 * number) for number, stream in enumerate(streams)]
    one = SessionNegotiation(streams)
    two = peer(*streams)
    exchange(one, two)
    for turn in turns:
        exchange(*((two, one) if turn == "answer" else (one, two)), rekey=turn == "rekey")
        talk(one, two)
    for number, stream in enumerate(streams):
        agreed = one.agreement.of_stream(number)
        assert agreed.index == number
        assert agreed.secured is (stream.security is not OFF)
        assert agreed.protocol.endswith("F") is stream.feedback
        assert ("SAVP" in agreed.protocol) is (stream.security is REQUIRED)
    talk(one, two)


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.from_regex(r"\A[a-z-]{1,12}(:[ -~]{0,20})?\Z"), max_size=8))
def test_order_of_lines_and_unknown_attributes_change_nothing(random, unknown):
    offerer = SessionNegotiation([audio(telephone_event=101), video()])
    parsed = SessionDescription.parse(offerer.create_offer())
    known = ("crypto", "key-mgmt", "rtcp", "mid", "ptime", "maxptime", "pcfg", "creq", "fingerprint", "send", "recv")
    extra = [f"a={text}\r\n" for text in unknown if not text.startswith((*known, "inactive", "rtpmap", "zrtp"))]
    text = "".join(f"{line.type}={line.value}\r\n" for line in parsed.lines)
    for section in parsed.media:
        head, *lines = section.serialize().splitlines(keepends=True)
        lines += extra
        random.shuffle(lines)
        text += head + "".join(lines)
    assert SessionDescription.parse(text).serialize() == text
    answerer = peer(audio(telephone_event=101), video())
    answerer.receive_offer(text)
    offerer.receive_answer(answerer.create_answer())
    talk(offerer, answerer)
    assert offerer.agreement.of_stream(0).telephone_event_payload_type == 101


def test_a_refresh_keeps_keys_and_a_new_address_or_a_wish_changes_them():
    one, two = SessionNegotiation([audio()]), peer(audio())
    offer, answer = exchange(one, two)
    first = one.agreement.of_stream(0)
    again, same_answer = exchange(one, two)
    assert keys(again)[0] == keys(offer)[0]
    assert keys(again)[1] != keys(offer)[1]  # never in force, so fresh
    assert keys(same_answer) == keys(answer)
    assert one.agreement.of_stream(0).outbound == first.outbound
    exchange(two, one)  # the other side refreshes
    assert (one.agreement.of_stream(0).outbound, one.agreement.of_stream(0).inbound) == (first.outbound, first.inbound)

    one.set_media(0, replace(one.media[0], port=4100))  # RFC 4568 7.1.4
    moved, answered = exchange(one, two)
    assert not set(keys(moved)) & {*keys(offer), *keys(again)}
    # Who is at the new address may not know our ROC.
    assert keys(answered) != keys(answer)
    talk(one, two)

    rekeyed, _ = exchange(one, two, rekey=True)
    assert not set(keys(rekeyed)) & set(keys(moved))
    talk(one, two)


def test_a_peer_that_moves_with_its_old_key_gets_a_new_one_of_ours():
    """Who is at the new address may not know our ROC (RFC 4568 7.1.4), whatever became of the peer's own key."""
    one, two = SessionNegotiation([audio()]), peer(audio())
    _, answer = exchange(one, two)
    two.receive_offer(one.create_offer().replace("m=audio 4000", "m=audio 4100"))
    again = two.create_answer()
    assert keys(again) != keys(answer)
    one.receive_answer(again)
    talk(one, two)


def test_the_answerer_that_moves_takes_a_new_key():
    one, two = SessionNegotiation([audio()]), peer(audio())
    offer, answer = exchange(one, two)
    two.set_media(0, replace(two.media[0], address="198.51.100.8"))
    again, other = exchange(one, two)
    assert keys(again)[0] == keys(offer)[0]
    assert keys(other) != keys(answer)
    talk(one, two)


def test_old_style_hold_keeps_the_keys():
    one, two = SessionNegotiation([audio()]), peer(audio())
    _, answer = exchange(one, two)
    held = one.create_offer().replace("192.0.2.1", "0.0.0.0")
    two.receive_offer(held)
    again = two.create_answer()
    assert keys(again) == keys(answer)
    assert two.agreement.of_stream(0).direction is Direction.INACTIVE
    one.receive_answer(again)
    exchange(one, two)
    assert two.agreement.of_stream(0).direction is Direction.SENDRECV
    talk(one, two)


def test_a_rejected_reoffer_leaves_what_was_agreed():
    one, two = SessionNegotiation([audio()]), peer(audio())
    exchange(one, two)
    before = one.agreement, two.agreement
    one.set_media(0, replace(one.media[0], codecs=(OPUS,)))
    with pytest.raises(NegotiationError):
        two.receive_offer(one.create_offer(rekey=True))
    one.withdraw()
    assert (one.agreement, two.agreement) == before
    one.set_media(0, replace(one.media[0], codecs=(PCMU,)))
    exchange(one, two)
    assert one.agreement.of_stream(0).outbound == before[0].of_stream(0).outbound


def test_hold_and_resume():
    one, two = SessionNegotiation([audio(), video()]), peer(audio(), video())
    exchange(one, two)
    one.hold(0)
    offer, answer = exchange(one, two)
    assert re.findall("a=(sendrecv|sendonly|recvonly|inactive)", offer) == ["sendonly", "sendrecv"]
    assert re.findall("a=(sendrecv|sendonly|recvonly|inactive)", answer) == ["recvonly", "sendrecv"]
    assert not two.agreement.of_stream(0).direction.sends
    two.hold()
    _, answer = exchange(one, two)
    assert re.findall("a=(sendrecv|sendonly|recvonly|inactive)", answer) == ["inactive", "sendonly"]
    one.resume()
    two.resume()
    exchange(one, two)
    assert [agreed.direction for agreed in one.agreement.media] == [Direction.SENDRECV] * 2
    # RFC 3711 9.1, RFC 4568 7.1.4: nothing moved, so no key changed in all that.
    assert (
        len({bytes(agreed.outbound.master_key) for agreed in (one.agreement.of_stream(0), *one.agreement.media)}) == 2
    )


def test_streams_are_rejected_removed_and_added_in_their_places():
    one, two = SessionNegotiation([audio(), video()]), peer(audio())
    _, answer = exchange(one, two)
    assert m_lines(answer)[1] == "m=video 0 RTP/SAVP 102"
    assert [refusal.code for refusal in one.agreement.refusals] == ["rejected"]
    assert one.agreement.media[1] is None
    assert two.agreement.media[1] is None
    two.add_media(replace(video(), address="198.51.100.7", port=6002))
    exchange(one, two)
    assert one.agreement.of_stream(1).index == 1
    one.remove_media(0)
    offer, answer = exchange(one, two)
    assert [line.split()[1] for line in m_lines(offer)] == ["0", "4002"]
    assert one.agreement.of_stream(0) is None
    assert one.agreement.of_stream(1) is not None
    one.add_media(audio(4010))
    offer, answer = exchange(one, two)
    assert [line.split()[1] for line in m_lines(offer)] == ["4010", "4002"]  # RFC 3264 8.1
    talk(one, two)
    with pytest.raises(NegotiationError, match="m= lines"):
        two.receive_offer(re.sub("m=video.*", "", offer, flags=re.DOTALL))


def test_glare_is_told():
    one, two = SessionNegotiation([audio()]), peer(audio())
    offer = one.create_offer()
    with pytest.raises(NegotiationError) as error:
        one.receive_offer(two.create_offer())
    assert error.value.status == 491
    two.withdraw()
    two.receive_offer(offer)
    with pytest.raises(NegotiationError) as error:
        two.create_offer()
    assert error.value.status == 491
    one.receive_answer(two.create_answer())
    with pytest.raises(NegotiationError):
        one.receive_answer(offer)


def test_each_answer_of_a_forked_offer_has_its_own_agreement():
    one, two, three = SessionNegotiation([audio()]), peer(audio()), peer(audio())
    offer = one.create_offer()
    other = one.fork()
    for negotiation, answerer in ((one, two), (other, three)):
        answerer.receive_offer(offer)
        negotiation.receive_answer(answerer.create_answer())
        talk(negotiation, answerer)
    assert one.agreement.of_stream(0).inbound != other.agreement.of_stream(0).inbound
    # Both know our key until it is changed (RFC 4568 7.3).
    assert one.agreement.of_stream(0).outbound == other.agreement.of_stream(0).outbound
    exchange(other, three, rekey=True)
    assert one.agreement.of_stream(0).outbound != other.agreement.of_stream(0).outbound
    talk(other, three)


@pytest.mark.parametrize("order", [("RTP/AVP", "RTP/SAVP"), ("RTP/SAVP", "RTP/AVP")])
def test_of_a_stream_offered_twice_the_secured_one_is_taken(order):
    crypto = f"a=crypto:1 {SUITE} inline:{KEY}\r\n"
    sections = [f"m=audio {5000 + 2 * n} {p} 0\r\n" + (crypto if "S" in p else "") for n, p in enumerate(order)]
    text = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n" + "".join(sections)
    two = peer(audio(security=PREFERRED))
    two.receive_offer(text)
    taken = order.index("RTP/SAVP")
    assert [line.split()[1] != "0" for line in m_lines(two.create_answer())] == [n == taken for n in (0, 1)]
    assert two.agreement.of_stream(0).secured


def test_a_secured_stream_never_goes_on_in_clear():
    one, two = SessionNegotiation([audio(security=PREFERRED)]), peer(audio(security=PREFERRED))
    exchange(one, two)
    plain = re.sub("a=crypto.*\r\n", "", one.create_offer())
    with pytest.raises(NegotiationError):
        two.receive_offer(plain)
    two.receive_offer(one.create_offer())
    with pytest.raises(NegotiationError, match="no keys"):
        one.receive_answer(re.sub("a=crypto.*\r\n", "", two.create_answer()))
    for settings_ in (OFF, PREFERRED):
        two.set_media(0, replace(two.media[0], security=settings_))
        if settings_ is OFF:
            with pytest.raises(NegotiationError):
                two.create_offer()
        else:
            assert keys(two.create_offer())
            two.withdraw()
    # Not by disabling the stream and offering it anew, either.
    two.receive_offer(re.sub("m=audio [0-9]+", "m=audio 0", plain))
    two.create_answer()
    with pytest.raises(NegotiationError):
        two.receive_offer(plain)


def test_every_keying_attribute_that_is_not_taken_has_its_reason():
    text = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
        "a=key-mgmt:mikey AQAFgM0XflABAAAAAAAAAAAAAAsAyO==\r\n"
        "m=audio 5000 RTP/AVP 0\r\na=fingerprint:sha-256 AA:BB\r\na=zrtp-hash:1.10 00\r\n"
        f"a=crypto:1 AES_CM_999 inline:{KEY}\r\na=crypto:2 {SUITE} inline:{OTHER_KEY}\r\n"
        f"a=crypto:3 {SUITE} inline:x\r\n"
        f"m=video 5002 RTP/SAVP 99\r\na=crypto:1 {SUITE} inline:AAAA{OTHER_KEY[4:]}\r\n"
    )
    two = peer(audio(security=PREFERRED))
    two.receive_offer(text)
    two.create_answer()
    found = [(refusal.subject, refusal.code) for refusal in two.agreement.refusals]
    assert sorted(found) == sorted(
        [
            ("a=crypto:1 (a suite of 10 characters)", "suite"),
            (f"a=crypto:3 {SUITE}", "base64"),
            ("a=key-mgmt", "method"),
            ("a=fingerprint", "method"),
            ("a=zrtp-hash", "method"),
            ("m=video RTP/SAVP", "media"),
            (f"a=crypto:1 {SUITE}", "media"),
        ]
    )
    assert all(refusal.text for refusal in two.agreement.refusals)
    assert KEY not in repr(two.agreement)
    assert OTHER_KEY not in repr(two.agreement)


def test_attributes_of_the_answerer_and_of_groups():
    text = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=group:BUNDLE a v gone\r\n"
        "m=audio 5000 RTP/AVP 111 8 101\r\na=mid:a\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:40\r\na=maxptime:30\r\n"
        "a=rtcp:5011 IN IP4 192.0.2.10\r\n"
        "m=video 0 RTP/AVP 99\r\na=mid:v\r\na=bundle-only\r\n"
    )
    [group] = groups_of(SessionDescription.parse(text))
    assert (group.semantics, group.mids) == ("BUNDLE", ("a", "v"))
    two = peer(audio(security=OFF, codecs=(PCMA, OPUS), telephone_event=97), video(security=OFF))
    two.receive_offer(text)
    answer = two.create_answer()
    agreed = two.agreement.of_stream(0)
    assert (agreed.codec, agreed.mid, agreed.ptime) == (PCMA, "a", 30)
    assert (agreed.remote_rtcp_address, agreed.remote_rtcp_port) == ("192.0.2.10", 5011)
    assert [(shared.codec.encoding, shared.fmtp) for shared in agreed.codecs] == [
        ("PCMA", ""),
        ("opus", "useinbandfec=1"),
    ]
    assert m_lines(answer) == ["m=audio 6000 RTP/AVP 8 101", "m=video 0 RTP/AVP 99"]
    assert re.findall("a=mid:(.*)\r\n", answer) == ["a", "v"]
    assert "a=group" not in answer  # every stream has a transport of its own
    assert "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n" in answer


def test_an_answer_with_other_payload_types():
    one = SessionNegotiation([audio(security=OFF, codecs=(PCMU, OPUS), telephone_event=101)])
    one.create_offer()
    one.receive_answer(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 5000 RTP/AVP 100 0 99\r\n"
        "a=rtpmap:100 OPUS/48000/2\r\na=rtpmap:99 telephone-event/48000\r\na=recvonly\r\n"
    )
    agreed = one.agreement.of_stream(0)
    assert (agreed.codec, agreed.payload_type, agreed.receive_payload_type) == (OPUS, 100, 111)
    assert (agreed.telephone_event_payload_type, agreed.direction) == (99, Direction.SENDONLY)


@pytest.mark.parametrize(
    "change",
    [
        ("RTP/SAVP", "RTP/AVP"),
        ("RTP/SAVP", "RTP/SAVPF"),
        ("m=audio", "m=video"),
        ("RTP/SAVP 0", "RTP/SAVP 18"),
        ("198.51.100.7", "host.example"),
    ],
)
def test_answers_that_do_not_fit_the_offer(change):
    one, two = SessionNegotiation([audio()]), peer(audio())
    two.receive_offer(one.create_offer())
    answer = two.create_answer()
    with pytest.raises(NegotiationError):
        one.receive_answer(answer.replace(*change))
    assert one.agreement is None
    one.receive_answer(answer)


def test_methods_and_an_empty_session():
    with pytest.raises(NegotiationError):
        SessionNegotiation([audio(keying=(NoKeying(),))]).create_offer()
    empty = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n"
    two = peer(audio())
    two.receive_offer(empty)
    assert m_lines(two.create_answer()) == []
    with pytest.raises(NegotiationError):
        SessionNegotiation([audio(keying=(Sdescriptions(keys_per_line=2),))]).create_offer()
