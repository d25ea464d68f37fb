"""SRTP with ffmpeg, keyed by a=crypto of an SDP: we decrypt what it sends, it plays what we send."""

from __future__ import annotations

import asyncio
import base64
import os

import numpy as np
import pytest
from peers.ffmpeg import FfmpegReceiver, FfmpegSender
from peers.process import LOOPBACK, free_ports
from peers.tones import assert_tone, read_samples, tone

from rtp import Pacer, RtpPacket, UdpSocket, decode_pcmu, encode_pcmu, is_rtcp
from sdp import CryptoAttribute, SessionDescription
from sdp.sdescriptions.policy import policy_of
from srtp import AuthenticationError, Policy, Session

SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
pytestmark = [pytest.mark.interop("ffmpeg"), pytest.mark.timeout(60), pytest.mark.parametrize("suite", SUITES)]


def describe(port: int, crypto: str) -> str:
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    lines += [f"m=audio {port} RTP/SAVP 0", "a=rtpmap:0 PCMU/8000", f"a=crypto:{crypto}"]
    return "\r\n".join(lines) + "\r\n"


async def test_we_decrypt_what_ffmpeg_sends(tmp_path, suite):
    key = base64.b64encode(os.urandom(30)).decode()
    received: list[bytes] = []
    socket = UdpSocket.bind(LOOPBACK, 0, lambda data, _: received.append(data))
    port = socket.local_address[1]
    with FfmpegSender(tmp_path, port=port, crypto_suite=suite, key=key, tone=700, seconds=2) as peer:
        assert await asyncio.to_thread(peer.wait, seconds=20) == 0
        await asyncio.sleep(0.1)
        sdp_text = peer.sdp_path.read_text() if peer.sdp_path.exists() else peer.log
    socket.close()

    # ffmpeg writes the SDP without a line break we could rely on in its log, so take the crypto line of either.
    line = next(part for part in sdp_text.splitlines() if part.startswith("a=crypto:"))
    policy = policy_of(CryptoAttribute.parse(line.removeprefix("a=crypto:")))
    session = Session(None, policy)
    packets = [RtpPacket.parse(session.unprotect(data)) for data in received if not is_rtcp(data)]
    assert len(packets) >= 90
    assert_tone(np.concatenate([decode_pcmu(packet.payload) for packet in packets]), 700)
    other = Session(None, Policy(policy.profile, os.urandom(16), os.urandom(14)))
    with pytest.raises(AuthenticationError):
        other.unprotect(received[0])


async def test_ffmpeg_plays_what_we_send(tmp_path, suite):
    key = base64.b64encode(os.urandom(30)).decode()
    crypto = f"1 {suite} inline:{key}"
    port = free_ports(2, even=True)
    text = describe(port, crypto)
    section = SessionDescription.parse(text).media[0]
    policy = policy_of(CryptoAttribute.parse(section.attribute("crypto")))
    session = Session(policy, None)
    socket = UdpSocket.bind(LOOPBACK, 0, lambda *_: None)
    pacer = Pacer()
    samples = tone(850, 4.0)
    with FfmpegReceiver(tmp_path, sdp=text, seconds=2) as peer:
        await asyncio.sleep(1.0)
        for number, start in enumerate(range(0, len(samples), 160)):
            payload = encode_pcmu(samples[start : start + 160])
            packet = RtpPacket(0, 1000 + number, 160 * number, 0xCAFE, payload).serialize()
            await asyncio.sleep(pacer.next_due(asyncio.get_running_loop().time()))
            socket.send(session.protect(packet), (LOOPBACK, port))
        assert await asyncio.to_thread(peer.wait, seconds=20) == 0
    socket.close()
    assert_tone(read_samples(peer.wav_path), 850)
