"""Offers as browsers make them: audio, video and a data channel in one BUNDLE group, keyed by DTLS-SRTP over ICE."""

from __future__ import annotations

import re

import pytest

from sdp import (
    PCMU,
    BundlePolicy,
    Codec,
    LocalMedia,
    MediaSecurity,
    NegotiationError,
    SessionDescription,
    SessionNegotiation,
)
from sdp.dtls import DtlsCertificate, DtlsSrtp
from sdp.ice.attributes import IceDescription
from sdp.ice.lite import IceLite

FINGERPRINT = ":".join(f"{number:02X}" for number in range(0x40, 0x60))
OPUS = Codec("opus", 48000, 111, 2)
VP8 = Codec("VP8", 90000, 96)
PLACE = ("192.0.2.1", 4000)

_ICE = (
    "a=ice-ufrag:4ZcD\r\na=ice-pwd:2/1muCWoOi3uLifh0NuRHlZn\r\na=ice-options:trickle\r\n"
    f"a=fingerprint:sha-256 {FINGERPRINT}\r\na=setup:actpass\r\n"
)
_EXTENSIONS = (
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
    "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
    "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
)
# "balanced": every section has its transport, and says so.
CHROME = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n"
    "a=extmap-allow-mixed\r\na=msid-semantic: WMS stream\r\n"
    "m=audio 51472 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 198.51.100.7\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=candidate:842163049 1 udp 1677729535 198.51.100.7 51472 typ srflx raddr 10.0.0.5 rport 51472 generation 0"
    " network-cost 999\r\n"
    f"{_ICE}a=mid:0\r\n{_EXTENSIONS}a=sendrecv\r\na=msid:stream track\r\na=rtcp-mux\r\na=rtcp-rsize\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
    "a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\n"
    "a=rtpmap:126 telephone-event/8000\r\na=ssrc:3735928559 cname:abcdefgh\r\na=ssrc:3735928559 msid:stream track\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    f"{_ICE}a=mid:1\r\na=extmap:14 urn:ietf:params:rtp-hdrext:toffset\r\n{_EXTENSIONS}a=sendrecv\r\n"
    "a=msid:stream track2\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\n"
    "a=rtcp-fb:96 nack pli\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\n"
    "a=ssrc-group:FID 11 12\r\na=ssrc:11 cname:abcdefgh\r\na=ssrc:12 cname:abcdefgh\r\n"
    f"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n{_ICE}a=mid:2\r\n"
    "a=sctp-port:5000\r\na=max-message-size:262144\r\n"
)
# "max-bundle", as Firefox writes it: fingerprint and options before the first section, the others bundle-only.
FIREFOX = (
    "v=0\r\no=mozilla...THIS_IS_SDPARTA-99.0 2545 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=sendrecv\r\n"
    f"a=fingerprint:sha-256 {FINGERPRINT}\r\na=group:BUNDLE 0 1 2\r\na=ice-options:trickle\r\n"
    "a=msid-semantic:WMS *\r\n"
    "m=audio 51472 UDP/TLS/RTP/SAVPF 109 9 0 8 101\r\nc=IN IP4 198.51.100.7\r\n"
    "a=candidate:0 1 UDP 2122252543 198.51.100.7 51472 typ host\r\na=sendrecv\r\n"
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
    "a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level\r\n"
    "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=end-of-candidates\r\n"
    "a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\r\na=fmtp:101 0-15\r\n"
    "a=ice-pwd:3c9e2e0a1a5f4b1d8a7c6b5a49382716\r\na=ice-ufrag:8aa4f3c1\r\na=mid:0\r\na=msid:{a} {b}\r\na=rtcp-mux\r\n"
    "a=rtpmap:109 opus/48000/2\r\na=rtpmap:9 G722/8000/1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000/1\r\na=setup:actpass\r\na=ssrc:123 cname:{c}\r\n"
    "m=video 0 UDP/TLS/RTP/SAVPF 120 124\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\na=sendrecv\r\n"
    "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=fmtp:120 max-fs=12288;max-fr=60\r\na=mid:1\r\n"
    "a=msid:{a} {d}\r\na=rtcp-fb:120 nack\r\na=rtpmap:120 VP8/90000\r\na=rtpmap:124 rtx/90000\r\na=fmtp:124 apt=120\r\n"
    "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\na=sendrecv\r\na=mid:2\r\n"
    "a=sctp-port:5000\r\na=max-message-size:1073741823\r\n"
)


def ours(policy: BundlePolicy = BundlePolicy.ACCEPT) -> SessionNegotiation:
    ice = IceLite((PLACE,)).description
    common = {
        "keying": (DtlsSrtp(DtlsCertificate.generate()),),
        "security": MediaSecurity.REQUIRED,
        "attributes": ice.media_lines(),
        "session_attributes": ice.session_lines(),
    }
    audio = LocalMedia(*PLACE, codecs=(PCMU,), telephone_event=101, **common)
    return SessionNegotiation([audio, LocalMedia(*PLACE, media="video", codecs=(VP8,), **common)], bundle=policy)


@pytest.mark.parametrize(("offer", "mid", "video"), [(CHROME, 4, 96), (FIREFOX, 3, 120)], ids=["chrome", "firefox"])
def test_audio_and_video_share_a_transport(offer: str, mid: int, video: int) -> None:
    negotiation = ours()
    negotiation.receive_offer(offer)
    answer = negotiation.create_answer()
    parsed = SessionDescription.parse(answer)
    assert "a=group:BUNDLE 0 1\r\n" in answer  # the data channel is no stream of ours
    assert [section.port for section in parsed.media] == [4000, 4000, 0]
    assert [section.attribute("mid") for section in parsed.media] == ["0", "1", "2"]
    assert answer.count("a=extmap:") == answer.count(f"a=extmap:{mid} urn:ietf:params:rtp-hdrext:sdes:mid\r\n") == 2
    first, second, _ = parsed.media
    for name in ("setup", "rtcp-mux", "ice-ufrag", "candidate"):
        assert first.attributes(name), name
        assert not second.attributes(name), name
    assert answer.count("a=fingerprint:") == 1
    assert first.attribute("setup") == "active"
    assert negotiation.agreement is not None
    audio, carried, none = negotiation.agreement.media
    assert none is None
    assert audio is not None
    assert carried is not None
    assert (audio.codec, audio.mid, audio.mid_extension, audio.bundled_with) == (PCMU, "0", mid, None)
    assert (carried.payload_type, carried.mid, carried.mid_extension, carried.bundled_with) == (video, "1", mid, 0)
    assert (audio.remote_address, audio.remote_port) == ("198.51.100.7", 51472)
    assert (carried.remote_address, carried.remote_port) == ("198.51.100.7", 51472)
    assert audio.keying is carried.keying
    assert audio.keys_pending
    assert carried.keys_pending
    assert audio.telephone_event_payload_type == (126 if offer is CHROME else 101)
    description = IceDescription.of(SessionDescription.parse(offer), audio.remote_section)
    assert description is not None
    assert len(description.candidates) == 1


@pytest.mark.parametrize("offer", [CHROME, FIREFOX], ids=["chrome", "firefox"])
def test_attributes_of_transport_in_every_section_where_a_peer_wants_that(offer: str) -> None:
    negotiation = SessionNegotiation(ours().media, bundle=BundlePolicy.ACCEPT, repeat_transport=True)
    negotiation.receive_offer(offer)
    first, second, _ = SessionDescription.parse(negotiation.create_answer()).media
    for name in ("setup", "rtcp-mux", "ice-ufrag", "candidate"):
        assert first.attributes(name) == second.attributes(name) != (), name


def test_without_video_of_ours_and_without_groups() -> None:
    for offer in (CHROME, FIREFOX):
        negotiation = ours()
        negotiation.remove_media(1)
        negotiation.receive_offer(offer)
        assert re.findall("a=group:(.*)\r\n", negotiation.create_answer()) == ["BUNDLE 0"]
        negotiation = ours(BundlePolicy.OFF)
        negotiation.receive_offer(offer)
        answer = negotiation.create_answer()
        assert "a=group" not in answer
        # One port for both streams is for a group only.
        assert re.findall(r"m=\S+ \d+", answer) == ["m=audio 4000", "m=video 0", "m=application 0"]


def test_a_browser_that_has_no_keys_is_refused_with_reasons() -> None:
    negotiation = ours()
    with pytest.raises(NegotiationError, match="no audio or video stream") as error:
        negotiation.receive_offer(re.sub("a=fingerprint.*\r\n", "", CHROME))
    assert error.value.status == 488


def test_a_re_offer_of_a_browser_that_ends_its_video() -> None:
    negotiation = ours()
    negotiation.receive_offer(CHROME)
    negotiation.create_answer()
    later = CHROME.replace("BUNDLE 0 1 2", "BUNDLE 0").replace("m=video 9", "m=video 0")
    negotiation.receive_offer(later)
    answer = negotiation.create_answer()
    assert re.findall("a=group:(.*)\r\n", answer) == ["BUNDLE 0"]
    assert negotiation.agreement is not None
    assert [one is not None for one in negotiation.agreement.media] == [True, False, False]
