"""Damages SDP, a=crypto values and offers: only SdpError may come out, and what is taken must round-trip.

Run by hand: python tests/fuzz/fuzz_sdp.py [SECONDS [SEED]]. A finding is printed with its input and ends the run
with status 1.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from damage import fuzz

from sdp import (
    AudioNegotiation,
    BundlePolicy,
    Codec,
    CryptoAttribute,
    LocalMedia,
    MediaSecurity,
    SdpError,
    SessionDescription,
    SessionNegotiation,
)
from srtp import Session

PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"=",
    b"a=",
    b"m=audio ",
    b"c=IN IP4 ",
    b"a=crypto:",
    b"inline:",
    b"|",
    b"2^",
    b":",
    b";",
]
PIECES += [
    b"-1",
    b"99999999999999999999",
    b"0",
    b" ",
    b"\xff",
    "²".encode(),
    b"RTP/SAVP",
    b"a=rtcp:",
    b"a=sendonly\r\n",
    b"IP6 ::",
    b"a=acap:1 crypto:1 ",
    b"a=tcap:1 RTP/SAVP\r\n",
    b"a=pcfg:1 t=1 a=1\r\n",
    b"a=mid:",
    b"a=fmtp:",
    b"KDR=",
    b"UNENCRYPTED_SRTP",
    b"FEC_KEY=inline:",
    b"a=group:BUNDLE a v\r\n",
    b"a=bundle-only\r\n",
    b"a=rtcp-mux\r\n",
    b"a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
]
VALUES = [
    b"1 AES_CM_128_HMAC_SHA1_80 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:32",
    b"2 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20|1:4; "
    b"inline:QUJjZGVmMTIz|2:4 KDR=1 -x=y",
]
HEAD = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
OFFERS = [
    HEAD + b"m=audio 5000 RTP/%s 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=crypto:%s\r\na=rtcp-mux\r\n" % (profile, value) + b"m=video 6000 RTP/AVP 99\r\n"
    for profile in (b"SAVP", b"AVP", b"SAVPF")
    for value in VALUES
]
GROUPS = [
    HEAD + b"a=group:BUNDLE a v\r\n"
    b"m=audio 5000 RTP/%s 0\r\na=mid:a\r\na=rtcp-mux\r\na=crypto:%s\r\n"
    % (profile, VALUES[0])
    + b"m=video %d RTP/%s 99\r\na=mid:v\r\na=rtpmap:99 VP8/90000\r\na=%s\r\n" % (port, profile, flag)
    for profile in (b"SAVP", b"AVP")
    for port, flag in ((0, b"bundle-only"), (5002, b"rtcp-mux"))
]
VP8 = Codec("VP8", 90000, 99)


def check_description(data: bytes) -> None:
    with contextlib.suppress(SdpError):
        parsed = SessionDescription.parse(data)
        assert SessionDescription.parse(parsed.serialize()) == parsed


def check_crypto(data: bytes) -> None:
    with contextlib.suppress(SdpError):
        attribute = CryptoAttribute.parse(data.decode("utf-8", "replace"))
        assert CryptoAttribute.parse(attribute.serialize()) == attribute


def check_offer(data: bytes) -> None:
    for security in MediaSecurity:
        negotiation = AudioNegotiation(LocalMedia("192.0.2.2", 4000, security=security))
        with contextlib.suppress(SdpError):
            negotiation.receive_offer(data)
            SessionDescription.parse(negotiation.create_answer())
            agreed = negotiation.negotiated
            assert agreed is not None
            assert agreed.secured or security is not MediaSecurity.REQUIRED
            if agreed.secured:
                Session(agreed.outbound, agreed.inbound)


def check_answer(data: bytes) -> None:
    negotiation = AudioNegotiation(LocalMedia("192.0.2.2", 4000, security=MediaSecurity.REQUIRED))
    negotiation.create_offer()
    with contextlib.suppress(SdpError):
        assert negotiation.receive_answer(data).secured


def check_session(data: bytes) -> None:
    """Two streams that are agreed on, then an offer of the peer's, then one of ours."""
    media = [
        LocalMedia("192.0.2.2", 4000, security=MediaSecurity.PREFERRED),
        LocalMedia("192.0.2.2", 4002, media="video"),
    ]
    negotiation = SessionNegotiation(media)
    with contextlib.suppress(SdpError):
        negotiation.receive_offer(data)
        answer = negotiation.create_answer()
        assert negotiation.agreement is not None
        secured = [one.stream for one in negotiation.agreement.media if one is not None and one.secured]
        assert len(SessionDescription.parse(answer).media) == len(negotiation.agreement.media)
        negotiation.receive_offer(data)
        negotiation.create_answer()
        for stream in secured:
            agreed = negotiation.agreement.of_stream(stream)
            assert agreed is None or agreed.secured
        SessionDescription.parse(negotiation.create_offer())


def bundled(policy: BundlePolicy) -> SessionNegotiation:
    media = [
        LocalMedia("192.0.2.2", 4000, security=MediaSecurity.PREFERRED, mid="a"),
        LocalMedia("192.0.2.2", 4002, media="video", codecs=(VP8,), mid="v"),
    ]
    return SessionNegotiation(media, bundle=policy)


def check_group(data: bytes) -> None:
    """A group offered and answered, then our offer of it, then the first one again."""
    negotiation = bundled(BundlePolicy.ACCEPT)
    with contextlib.suppress(SdpError):
        negotiation.receive_offer(data)
        negotiation.create_answer()
        check_carried(negotiation)
        SessionDescription.parse(negotiation.create_offer())
        negotiation.withdraw()
        negotiation.receive_offer(data)
        negotiation.create_answer()
        check_carried(negotiation)


def check_group_answer(data: bytes) -> None:
    for policy in (BundlePolicy.OFFER, BundlePolicy.ONLY):
        negotiation = bundled(policy)
        negotiation.create_offer()
        with contextlib.suppress(SdpError):
            negotiation.receive_answer(data)
            check_carried(negotiation)


def check_carried(negotiation: SessionNegotiation) -> None:
    """Required media is secured, and what is carried goes where its carrier goes, under the same keys."""
    assert negotiation.agreement is not None
    for agreed in negotiation.agreement.media:
        if agreed is not None:
            assert agreed.secured or agreed.media == "audio"
            if agreed.bundled_with is not None:
                carrier = negotiation.agreement.of_stream(agreed.bundled_with)
                assert carrier is not None
                assert (carrier.remote_address, carrier.remote_port) == (agreed.remote_address, agreed.remote_port)
                assert (carrier.inbound, carrier.outbound) == (agreed.inbound, agreed.outbound)


if __name__ == "__main__":
    answers = [offer.partition(b"m=video")[0] for offer in OFFERS]
    checks = [(check_description, OFFERS), (check_crypto, VALUES), (check_offer, OFFERS), (check_answer, answers)]
    checks += [(check_session, OFFERS), (check_group, GROUPS), (check_group_answer, GROUPS)]
    sys.exit(fuzz(checks, PIECES, sys.argv[1:]))
