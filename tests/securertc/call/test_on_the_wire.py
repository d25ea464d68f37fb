"""What really goes over the network, caught on its way and judged by libsrtp with the keys from the SDP."""

from __future__ import annotations

import asyncio
import base64
import re

import numpy as np
import pylibsrtp
import pytest

from rtp import RtpPacket, encode_pcmu, is_rtcp, parse_compound
from sdp import AudioNegotiation, LocalMedia
from securertc import MediaSecurity, MediaSession

SUITES = {
    "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}


class Relay(asyncio.DatagramProtocol):
    """The address that one end takes for the other's: keeps what comes, and passes it on from its twin."""

    def __init__(self) -> None:
        self.caught: list[bytes] = []
        self.twin: Relay | None = None
        self.target = ("", 0)
        self.transport: asyncio.DatagramTransport

    @classmethod
    async def open(cls, served: tuple[str, int]) -> Relay:
        _, relay = await asyncio.get_running_loop().create_datagram_endpoint(cls, ("127.0.0.1", 0))
        relay.target = served
        return relay

    @property
    def port(self) -> int:
        return self.transport.get_extra_info("sockname")[1]

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.caught.append(data)
        if self.twin is not None:
            self.twin.transport.sendto(data, self.twin.target)


def judge(sdp: str, suite: str) -> pylibsrtp.Session:
    """libsrtp with the key that an SDP states for its sender."""
    key = re.search(rf"a=crypto:\d+ {suite} inline:([A-Za-z0-9+/=]+)", sdp)[1]
    return pylibsrtp.Session(
        pylibsrtp.Policy(
            key=base64.b64decode(key),
            ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND,
            srtp_profile=SUITES[suite],
        )
    )


def through(sdp: str, port: int) -> str:
    return re.sub(r"m=audio \d+", f"m=audio {port}", sdp)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("security", [MediaSecurity.PREFERRED, MediaSecurity.REQUIRED])
async def test_all_that_leaves_is_srtp_to_libsrtp_too(nothing_left, melody, suite, security):
    ours, theirs = MediaSession("127.0.0.1"), MediaSession("127.0.0.1")
    before_ours = await Relay.open((ours.local_address, ours.local_port))
    before_theirs = await Relay.open((theirs.local_address, theirs.local_port))
    before_ours.twin, before_theirs.twin = before_theirs, before_ours
    local = [
        LocalMedia(session.local_address, session.local_port, security=security, crypto_suites=(suite,))
        for session in (ours, theirs)
    ]
    caller, callee = (AudioNegotiation(one) for one in local)
    offer = caller.create_offer()
    callee.receive_offer(through(offer, before_theirs.port))
    answer = callee.create_answer()
    theirs.start(callee.negotiated)
    ours.start(caller.receive_answer(through(answer, before_ours.port)))

    await asyncio.gather(ours.send_audio(melody), theirs.send_audio(melody[::-1]))
    heard = [await asyncio.wait_for(theirs.receive_audio(), 5) for _ in range(melody.size // 160)]
    assert np.concatenate(heard).size == melody.size
    ours.close()
    theirs.close()
    await asyncio.sleep(0.1)

    for relay, sdp, samples in ((before_ours, offer, melody), (before_theirs, answer, melody[::-1])):
        session = judge(sdp, suite)
        rtp = [packet for packet in relay.caught if not is_rtcp(packet)]
        rtcp = [packet for packet in relay.caught if is_rtcp(packet)]
        plain = [RtpPacket.parse(session.unprotect(packet)) for packet in rtp]
        assert b"".join(bytes(packet.payload) for packet in plain) == encode_pcmu(samples)
        for protected, packet in zip(rtp, plain, strict=True):
            assert bytes(packet.payload) not in protected
        last = parse_compound(session.unprotect_rtcp(rtcp[-1]))
        assert last[-1].TYPE == 203  # the BYE too
        assert all(packet[-14] & 0x80 for packet in rtcp)  # the E flag: encrypted
        relay.transport.close()
    assert theirs.statistics.authenticated == melody.size // 160


async def test_what_libsrtp_sends_is_heard_and_what_it_forges_is_not(nothing_left, melody):
    suite = "AES_CM_128_HMAC_SHA1_80"
    ours = MediaSession("127.0.0.1")
    caller = AudioNegotiation(LocalMedia(ours.local_address, ours.local_port, crypto_suites=(suite,)))
    offer = caller.create_offer()
    peer = await Relay.open(("127.0.0.1", 9))
    key = bytes(range(30))
    ours.start(
        caller.receive_answer(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {peer.port} RTP/SAVP 0\r\n"
            f"a=crypto:1 {suite} inline:{base64.b64encode(key).decode()}\r\na=rtcp-mux\r\n"
        )
    )
    assert suite in offer

    def sender(key: bytes) -> pylibsrtp.Session:
        return pylibsrtp.Session(
            pylibsrtp.Policy(key=key, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=SUITES[suite])
        )

    good, forger = sender(key), sender(bytes(30))
    target = (ours.local_address, ours.local_port)
    payload = encode_pcmu(melody)
    for number in range(10):
        packet = RtpPacket(0, number, number * 160, 77, payload[number * 160 : number * 160 + 160])
        forged = RtpPacket(0, number, number * 160, 77, bytes(160))
        peer.transport.sendto(forger.protect(forged.serialize()), target)
        peer.transport.sendto(forged.serialize(), target)
        peer.transport.sendto(good.protect(packet.serialize()), target)
    heard = [await asyncio.wait_for(ours.receive_audio(), 5) for _ in range(10)]
    assert encode_pcmu(np.concatenate(heard)) == payload
    assert ours.facts.authenticated == 10
    assert ours.facts.authentication_failures == 20
    ours.close()
    peer.transport.close()
