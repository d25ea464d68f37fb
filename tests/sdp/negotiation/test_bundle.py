"""BUNDLE (RFC 9143) by offer and answer: groups taken, refused in part, offered, and kept over re-offers."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdp import (
    BundlePolicy,
    Codec,
    LocalMedia,
    MediaSecurity,
    NegotiationError,
    SdpError,
    SessionDescription,
    SessionNegotiation,
)
from sdp.negotiation.bundle import candidates, enabled_in, group_members

OFF, PREFERRED, REQUIRED = MediaSecurity.OFF, MediaSecurity.PREFERRED, MediaSecurity.REQUIRED
VP8 = Codec("VP8", 90000, 96)
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
# RFC 9143 7.2.2, the second example's bundle-only line among them.
EXAMPLE = (
    "v=0\r\no=alice 2890844526 2890844526 IN IP6 2001:db8::3\r\ns=-\r\nc=IN IP6 2001:db8::3\r\nt=0 0\r\n"
    "a=group:BUNDLE foo bar\r\n"
    "m=audio 10000 RTP/AVP 0 8 97\r\nb=AS:200\r\na=mid:foo\r\na=rtcp-mux\r\na=rtpmap:0 PCMU/8000\r\n"
    f"a=rtpmap:8 PCMA/8000\r\na=rtpmap:97 iLBC/8000\r\na=extmap:1 {MID}\r\n"
    "m=video 10002 RTP/AVP 31 96\r\nb=AS:1000\r\na=mid:bar\r\na=rtcp-mux\r\na=rtpmap:31 H261/90000\r\n"
    f"a=rtpmap:96 VP8/90000\r\na=extmap:1 {MID}\r\n"
)
BUNDLE_ONLY = EXAMPLE.replace("m=video 10002", "m=video 0").replace(
    "a=mid:bar\r\na=rtcp-mux\r\n", "a=mid:bar\r\na=bundle-only\r\n"
)


def session(policy, *, security=REQUIRED, address="192.0.2.1", port=4000, videos=1, **more):
    media = [LocalMedia(address, port, security=security, **more)]
    media += [
        LocalMedia(address, port + 2 + 2 * n, media="video", codecs=(VP8,), security=security, **more)
        for n in range(videos)
    ]
    return SessionNegotiation(media, bundle=policy)


def answered(offer, policy=BundlePolicy.ACCEPT, **more):
    two = session(policy, address="198.51.100.7", port=6000, **more)
    two.receive_offer(offer)
    return two, two.create_answer()


def sections(text):
    return SessionDescription.parse(text).media


def groups(text):
    return re.findall(r"^a=group:BUNDLE ?(.*)\r$", text, re.MULTILINE)


def distinct(values):
    """The values that differ; policies have keys, and no hash."""
    return [value for index, value in enumerate(values) if value not in values[:index]]


def m_lines(text):
    return re.findall(r"^(m=\S+ \d+)", text, re.MULTILINE)


def test_the_example_of_the_rfc_is_answered_as_there():
    two, answer = answered(EXAMPLE, security=OFF)
    assert groups(answer) == ["foo bar"]
    assert m_lines(answer) == ["m=audio 6000", "m=video 6000"]
    first, second = sections(answer)
    assert (first.attribute("rtcp-mux"), second.attribute("rtcp-mux")) == ("", None)  # in the tagged section only
    assert first.attribute("extmap") == second.attribute("extmap") == f"1 {MID}"
    assert [section.attribute("mid") for section in (first, second)] == ["foo", "bar"]
    audio, video = two.agreement.media
    assert (audio.bundled_with, video.bundled_with) == (None, 0)
    assert {(one.remote_address, one.remote_port, one.remote_rtcp_port) for one in (audio, video)} == {
        ("2001:db8::3", 10000, 10000)
    }
    assert {(one.rtcp_mux, one.mid_extension) for one in (audio, video)} == {(True, 1)}


def test_bundle_only_needs_the_group():
    two, answer = answered(BUNDLE_ONLY, security=OFF)
    assert (groups(answer), m_lines(answer)) == (["foo bar"], ["m=audio 6000", "m=video 6000"])
    assert "bundle-only" not in answer
    assert two.agreement.of_stream(1).remote_port == 10000
    two, answer = answered(BUNDLE_ONLY, BundlePolicy.OFF, security=OFF)
    assert (groups(answer), m_lines(answer)) == ([], ["m=audio 6000", "m=video 0"])
    # Outside a group the attribute says nothing (6), and port 0 rejects.
    _, answer = answered(BUNDLE_ONLY.replace("BUNDLE foo bar", "BUNDLE foo"), security=OFF)
    assert (groups(answer), m_lines(answer)) == (["foo"], ["m=audio 6000", "m=video 0"])


def test_without_a_group_every_stream_has_its_transport():
    two, answer = answered(EXAMPLE, BundlePolicy.OFF, security=OFF)
    assert (groups(answer), m_lines(answer)) == ([], ["m=audio 6000", "m=video 6002"])
    assert [one.bundled_with for one in two.agreement.media] == [None, None]
    assert [one.remote_port for one in two.agreement.media] == [10000, 10002]


def test_a_rejected_first_section_leaves_the_group_to_the_next():
    offer = EXAMPLE.replace("RTP/AVP 0 8 97", "RTP/AVP 97")
    two, answer = answered(offer, security=OFF)
    assert (groups(answer), m_lines(answer)) == (["bar"], ["m=audio 0", "m=video 6002"])
    assert two.agreement.of_stream(1).remote_port == 10002
    # A bundle-only section cannot lead it.
    only = BUNDLE_ONLY.replace("RTP/AVP 0 8 97", "RTP/AVP 97")
    with pytest.raises(NegotiationError, match="no audio or video stream"):
        answered(only, security=OFF)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("a=mid:bar", "a=mid:foo"),
        lambda text: text.replace("BUNDLE foo bar", "BUNDLE foo foo"),
        lambda text: text.replace("a=rtcp-mux\r\n", ""),
        lambda text: text.replace("BUNDLE", "LS"),
        lambda text: text.replace("a=group:BUNDLE foo bar\r\n", ""),
    ],
)
def test_what_is_no_group_is_not_answered_with_one(change):
    _, answer = answered(change(EXAMPLE), security=OFF)
    assert (groups(answer), m_lines(answer)) == ([], ["m=audio 6000", "m=video 6002"])


def test_another_transport_protocol_stands_alone():
    offer = EXAMPLE.replace("m=video 10002 RTP/AVP", "m=video 10002 RTP/AVPF")
    two, answer = answered(offer, security=OFF)
    assert (groups(answer), m_lines(answer)) == (["foo"], ["m=audio 6000", "m=video 6002"])
    assert two.agreement.of_stream(1).bundled_with is None


@pytest.mark.parametrize("policy", [BundlePolicy.OFFER, BundlePolicy.ONLY])
@pytest.mark.parametrize("security", MediaSecurity)
def test_our_offers(policy, security):
    one = session(policy, security=security, videos=2)
    offer = one.create_offer()
    assert groups(offer) == ["0 1 2"]
    only = policy is BundlePolicy.ONLY
    assert m_lines(offer) == ["m=audio 4000", *(["m=video 0"] * 2 if only else ["m=video 4002", "m=video 4004"])]
    for section in sections(offer)[1:]:
        assert (section.attribute("bundle-only") is not None) is only
        for name in ("rtcp-mux", "crypto"):
            expected = not only and (name != "crypto" or security is not OFF)
            assert (section.attribute(name) is not None) is expected, name
        assert section.attribute("extmap") == f"1 {MID}"
    two, answer = answered(offer, security=security, videos=2)
    agreed = one.receive_answer(answer)
    assert [stream.bundled_with for stream in agreed.media] == [None, 0, 0]
    assert distinct([stream.outbound for stream in agreed.media]) == [two.agreement.media[0].inbound]
    assert distinct([stream.inbound for stream in agreed.media]) == [two.agreement.media[0].outbound]
    assert (agreed.media[0].outbound is None) is (security is OFF)
    assert {stream.remote_port for stream in agreed.media} == {6000}
    assert len(re.findall("a=crypto", answer)) == (security is not OFF)
    offered = len(re.findall("a=crypto", offer))
    refusals = [one for one in two.agreement.refusals if one.subject.startswith("a=crypto")]
    assert len(refusals) == max(0, offered - 1)  # each line that was not taken has its reason


def test_a_peer_without_bundle_takes_the_streams_one_by_one():
    for policy, ports in ((BundlePolicy.OFFER, [6000, 6002]), (BundlePolicy.ONLY, [6000])):
        one = session(policy)
        _, answer = answered(one.create_offer(), BundlePolicy.OFF)
        agreed = [stream for stream in one.receive_answer(answer).media if stream is not None]
        assert [stream.remote_port for stream in agreed] == ports
        assert all(stream.bundled_with is None for stream in agreed)
        assert len(distinct([stream.outbound for stream in agreed])) == len(ports)  # and keys one by one too
        assert not groups(one.create_offer())


def test_the_answerer_may_lead_with_another_section():
    """7.3.1: our first one is rejected; then the address and the keys of the next one hold."""
    one = session(BundlePolicy.OFFER)
    two = SessionNegotiation(
        [LocalMedia("198.51.100.7", 6002, media="video", codecs=(VP8,))], bundle=BundlePolicy.ACCEPT
    )
    two.receive_offer(one.create_offer())
    answer = two.create_answer()
    assert (groups(answer), m_lines(answer)) == (["1"], ["m=audio 0", "m=video 6002"])
    [rejected, video] = one.receive_answer(answer).media
    assert rejected is None
    assert (video.outbound, video.inbound) == (two.agreement.media[1].inbound, two.agreement.media[1].outbound)


def test_re_offers_keep_group_port_and_keys():
    one, two = session(BundlePolicy.ONLY), None
    two, answer = answered(one.create_offer())
    before = one.receive_answer(answer).media[0]
    for offering, answering, port in ((one, two, 4000), (two, one, 6000), (one, two, 4000)):
        offer = offering.create_offer()
        assert m_lines(offer) == [f"m=audio {port}", f"m=video {port}"]  # 7.5: the address of the group for all
        assert "bundle-only" not in offer
        assert len(sections(offer)[0].attributes("crypto")) >= 1
        assert not sections(offer)[1].attributes("crypto")
        answering.receive_offer(offer)
        offering.receive_answer(answering.create_answer())
        assert distinct([stream.outbound for stream in one.agreement.media]) == [before.outbound]
        assert distinct([stream.inbound for stream in two.agreement.media]) == [before.outbound]
    offer = one.create_offer(rekey=True)
    two.receive_offer(offer)
    one.receive_answer(two.create_answer())
    [policy] = distinct([stream.outbound for stream in one.agreement.media])
    assert policy != before.outbound


def test_a_stream_is_added_to_the_group_and_its_leader_removed():
    one = session(BundlePolicy.ONLY)
    two, answer = answered(one.create_offer(), videos=2)
    one.receive_answer(answer)
    one.add_media(LocalMedia("192.0.2.1", 4006, media="video", codecs=(VP8,)))
    offer = one.create_offer()
    assert (groups(offer), m_lines(offer)) == (["0 1 2"], ["m=audio 4000", "m=video 4000", "m=video 4000"])
    two.receive_offer(offer)
    agreed = one.receive_answer(two.create_answer())
    assert [stream.bundled_with for stream in agreed.media] == [None, 0, 0]
    old = agreed.media[0].outbound
    one.remove_media(0)
    offer = one.create_offer()
    assert (groups(offer), m_lines(offer)) == (["1 2"], ["m=audio 0", "m=video 4002", "m=video 4002"])
    two.receive_offer(offer)
    answer = two.create_answer()
    agreed = one.receive_answer(answer)
    assert agreed.media[0] is None
    assert [stream.bundled_with for stream in agreed.media[1:]] == [None, 1]
    # Another transport address: another key (RFC 4568 7.1.4).
    assert old not in [stream.outbound for stream in agreed.media[1:]]
    assert two.agreement.media[2].inbound == agreed.media[2].outbound


def test_the_leader_of_a_group_cannot_be_rejected_alone():
    one = session(BundlePolicy.OFFER)
    two, answer = answered(one.create_offer())
    one.receive_answer(answer)
    two.remove_media(0)
    with pytest.raises(NegotiationError, match="carries the BUNDLE group"):
        two.receive_offer(one.create_offer())
    assert two.agreement.media[0] is not None


def test_re_offers_of_rfc_8843_are_taken():
    """There the sections behind the first one had port 0 and a=bundle-only again, in offers and in answers."""
    one = session(BundlePolicy.OFFER)
    two, answer = answered(one.create_offer())
    old = answer.replace("m=video 6000", "m=video 0") + "a=bundle-only\r\n"
    assert one.receive_answer(old).media[1].remote_port == 6000
    offer = one.create_offer().replace("m=video 4000", "m=video 0") + "a=bundle-only\r\n"
    two.receive_offer(offer)
    assert m_lines(two.create_answer()) == ["m=audio 6000", "m=video 6000"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("BUNDLE 0 1", "BUNDLE 1 0"), "without a transport"),
        (lambda text: text.replace("a=mid:1", "a=mid:2").replace("BUNDLE 0 1", "BUNDLE 0 2"), "was not offered in it"),
        (lambda text: text.replace("a=rtcp-mux\r\n", ""), "without a=rtcp-mux"),
        (lambda text: text.replace("BUNDLE 0 1", "BUNDLE 0"), "out of its group"),
        (lambda text: text.replace("a=group:BUNDLE 0 1\r\n", ""), "out of its group"),
        (lambda text: re.sub("a=crypto.*\r\n", "", text), "SRTP is required"),
    ],
)
def test_answers_that_do_not_fit_the_group(change, reason):
    one = session(BundlePolicy.ONLY)
    _, answer = answered(one.create_offer())
    with pytest.raises(NegotiationError, match=reason):
        one.receive_answer(change(answer))
    assert one.agreement is None
    assert one.receive_answer(answer).media[1].secured


def test_no_stream_is_carried_with_less_security_than_it_asks_for():
    offer = session(BundlePolicy.ONLY, security=OFF).create_offer()
    two = session(BundlePolicy.ACCEPT, security=OFF, address="198.51.100.7", port=6000)
    two.set_media(1, replace(two.media[1], security=REQUIRED))
    two.receive_offer(offer)
    answer = two.create_answer()
    assert (groups(answer), m_lines(answer)) == (["0"], ["m=audio 6000", "m=video 0"])
    assert any("not allowed" in refusal.text for refusal in two.agreement.refusals)


def test_an_answer_cannot_carry_a_stream_by_keys_that_its_policy_has_not():
    one = session(BundlePolicy.OFFER, security=PREFERRED)
    one.set_media(1, replace(one.media[1], security=OFF))
    offer = one.create_offer()
    _, answer = answered(offer, security=PREFERRED)
    with pytest.raises(NegotiationError, match="keyed by sdescriptions, which is not allowed"):
        one.receive_answer(answer)


def test_a_stream_that_leaves_its_group_has_new_keys():
    one = session(BundlePolicy.ONLY)
    two, answer = answered(one.create_offer())
    one.receive_answer(answer)
    old = one.agreement.media[1].outbound
    one.set_media(1, replace(one.media[1], rtcp_mux=False))
    offer = one.create_offer()
    assert groups(offer) == ["0"]
    assert m_lines(offer) == ["m=audio 4000", "m=video 4002"]
    two.receive_offer(offer)
    agreed = one.receive_answer(two.create_answer())
    assert agreed.media[1].bundled_with is None
    assert agreed.media[0].outbound == old  # the others' go on
    assert len(distinct([agreed.media[0].outbound, agreed.media[1].outbound])) == 2
    assert two.agreement.media[1].inbound == agreed.media[1].outbound
    assert len(distinct([stream.outbound for stream in two.agreement.media])) == 2


def test_a_secured_group_never_goes_on_in_clear():
    one = session(BundlePolicy.ONLY, security=PREFERRED)
    two, answer = answered(one.create_offer(), security=PREFERRED)
    one.receive_answer(answer)
    offer = re.sub("a=crypto.*\r\n", "", one.create_offer())
    with pytest.raises(NegotiationError):
        two.receive_offer(offer)
    assert all(stream.secured for stream in two.agreement.media)


@given(
    st.lists(st.sampled_from(["audio", "video", "text"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["0", "10000", "10002"]), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "x"]), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_any_group_fails_cleanly_or_is_answered_by_the_rules(kinds, ports, only, mids):
    text = EXAMPLE[: EXAMPLE.index("a=group")] + f"a=group:BUNDLE {' '.join(mids)}\r\n"
    for number, kind in enumerate(kinds):
        formats = "0" if kind == "audio" else "96\r\na=rtpmap:96 VP8/90000"
        flag = "bundle-only" if only[number] else "rtcp-mux"
        text += f"m={kind} {ports[number]} RTP/AVP {formats}\r\na=mid:{'abcdef'[number]}\r\na={flag}\r\n"
    two = session(BundlePolicy.ACCEPT, security=OFF, videos=2)
    try:
        two.receive_offer(text)
        answer = two.create_answer()
    except SdpError:
        return
    parsed = SessionDescription.parse(answer)
    offered = SessionDescription.parse(text)
    members = group_members(parsed)
    assert len(parsed.media) == len(kinds)
    assert set(members) <= set(enabled_in(offered, group_members(offered)))
    if members:
        tagged = members[0]
        assert tagged in candidates(offered, group_members(offered))
        assert {parsed.media[index].port for index in members} == {parsed.media[tagged].port}
        assert [index for index in members if parsed.media[index].attribute("rtcp-mux") is not None] == [tagged]
        again = SessionNegotiation(two.media, bundle=BundlePolicy.ACCEPT)
        again.receive_offer(text)
    for index, section in enumerate(parsed.media):
        assert section.attribute("bundle-only") is None
        assert section.port == 0 or offered.media[index].port or index in members


def test_one_transport_for_all_is_for_groups_only():
    def shared(policy, port):
        media = [LocalMedia("192.0.2.1", port), LocalMedia("192.0.2.1", port, media="video", codecs=(VP8,))]
        return SessionNegotiation(media, bundle=policy)

    one, two = shared(BundlePolicy.OFFER, 4000), shared(BundlePolicy.ACCEPT, 6000)
    offer = one.create_offer()
    assert m_lines(offer) == ["m=audio 4000", "m=video 0"]
    two.receive_offer(offer)
    answer = two.create_answer()
    assert m_lines(answer) == ["m=audio 6000", "m=video 6000"]
    assert one.receive_answer(answer).media[1].bundled_with == 0
    # Without a group the second stream has no place.
    _, answer = answered(offer, BundlePolicy.OFF)
    assert m_lines(answer) == ["m=audio 6000", "m=video 0"]
    two = shared(BundlePolicy.ACCEPT, 6000)
    two.receive_offer(session(BundlePolicy.OFF).create_offer())
    assert m_lines(two.create_answer()) == ["m=audio 6000", "m=video 0"]
    assert [refusal.code for refusal in two.agreement.refusals if refusal.subject.startswith("m=")] == ["bundle"]
