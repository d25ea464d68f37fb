"""SRTP and SRTCP with GStreamer, keyed by the a=crypto lines of an offer and answer of ours, with and without MKI."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time

import numpy as np
import pytest
from peers.gstreamer import GstreamerKey, GstreamerReceiver, GstreamerRtcpRelay, GstreamerSender
from peers.process import LOOPBACK, free_ports
from peers.tones import assert_tone, tone
from rtp_packets import rtcp

from rtp import Pacer, RtpPacket, UdpSocket, decode_pcmu, encode_pcmu, is_rtcp
from sdp import CryptoAttribute, LocalMedia, NegotiatedMedia, Sdescriptions, SessionNegotiation
from srtp import Session

# What GStreamer calls the cipher and the authentication of a suite; GCM has its own.
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": ("aes-128-icm", "hmac-sha1-80"),
    "AES_CM_128_HMAC_SHA1_32": ("aes-128-icm", "hmac-sha1-32"),
    "AES_256_CM_HMAC_SHA1_80": ("aes-256-icm", "hmac-sha1-80"),
    "AEAD_AES_128_GCM": ("aes-128-gcm", "null"),
    "AEAD_AES_256_GCM": ("aes-256-gcm", "null"),
}
SSRC = 0x11223344
pytestmark = [
    pytest.mark.interop("gst-launch-1.0"),
    pytest.mark.timeout(60),
    pytest.mark.parametrize(
        ("suite", "mki_length"),
        [*((suite, 0) for suite in SUITES), *((suite, 4) for suite in SUITES if suite != "AES_CM_128_HMAC_SHA1_32")],
    ),
]


@pytest.fixture(autouse=True, scope="module")
def srtp_plugin() -> None:
    for element in ("srtpdec", "rtppcmupay"):
        if subprocess.run(["gst-inspect-1.0", "--exists", element], check=False).returncode:
            pytest.skip(f"GStreamer has no {element}: plugins-good and plugins-bad are not installed")


def negotiate(suite: str, mki_length: int) -> tuple[NegotiatedMedia, GstreamerKey, GstreamerKey]:
    """What we agreed on, the key in our offer, and the key in the answer given for GStreamer."""
    keying = (Sdescriptions((suite,), mki_length),)
    ours = SessionNegotiation([LocalMedia(LOOPBACK, 4000, keying=keying)])
    theirs = SessionNegotiation([LocalMedia(LOOPBACK, 5000, keying=keying)])
    offer = ours.create_offer()
    theirs.receive_offer(offer)
    answer = theirs.create_answer()
    agreed = ours.receive_answer(answer).of_stream(0)
    assert agreed is not None
    return agreed, key_in(offer), key_in(answer)


def key_in(text: str) -> GstreamerKey:
    found = re.search(r"^a=crypto:(.*)\r\n", text, re.MULTILINE)
    assert found is not None
    line = CryptoAttribute.parse(found[1])
    key = line.keys[0]
    return GstreamerKey(bytes(key.key_and_salt).hex(), *SUITES[line.crypto_suite], key.mki.hex())


async def test_we_decrypt_what_gstreamer_sends(tmp_path, suite, mki_length):
    agreed, _, theirs = negotiate(suite, mki_length)
    received: list[bytes] = []
    socket = UdpSocket.bind(LOOPBACK, 0, lambda data, _: received.append(data))
    port = socket.local_address[1]
    with GstreamerSender(tmp_path, port=port, key=theirs, tone=700, packets=75) as peer:
        assert await asyncio.to_thread(peer.wait, seconds=30) == 0
        await asyncio.sleep(0.1)
    socket.close()
    session = Session(None, agreed.inbound)
    packets = [RtpPacket.parse(session.unprotect(data)) for data in received if not is_rtcp(data)]
    assert len(packets) >= 70
    assert_tone(np.concatenate([decode_pcmu(packet.payload) for packet in packets]), 700)


async def test_gstreamer_decrypts_what_we_send(tmp_path, suite, mki_length):
    agreed, ours, _ = negotiate(suite, mki_length)
    port = free_ports()
    session = Session(agreed.outbound, None)
    socket = UdpSocket.bind(LOOPBACK, 0, lambda *_: None)
    samples = tone(850, 20.0)
    pacer = Pacer()
    with GstreamerReceiver(tmp_path, port=port, key=ours, ssrc=SSRC, packets=75) as peer:
        # It takes the first 75 that come once it listens, and ends.
        for number, start in enumerate(range(0, len(samples), 160)):
            if not peer.running:
                break
            payload = encode_pcmu(samples[start : start + 160])
            packet = RtpPacket(0, number, 160 * number, SSRC, payload).serialize()
            await asyncio.sleep(pacer.next_due(time.monotonic()))
            socket.send(session.protect(packet), (LOOPBACK, port))
        assert await asyncio.to_thread(peer.wait, seconds=10) == 0
    socket.close()
    audio = np.frombuffer(peer.audio_path.read_bytes(), np.uint8)
    assert audio.size >= 70 * 160
    assert_tone(decode_pcmu(audio.tobytes()), 850)


async def relayed(relay: GstreamerRtcpRelay, listen: int, packets: list[bytes], received: list[bytes]) -> None:
    """Sends packets to the relay, over and over until one of each has come back."""
    socket = UdpSocket.bind(LOOPBACK, 0, lambda *_: None)
    for _ in range(200):
        if len(received) >= len(packets) or not relay.running:
            break
        socket.send(packets[len(received)], (LOOPBACK, listen))
        await asyncio.sleep(0.1)
    socket.close()


@pytest.mark.parametrize("decrypt", [False, True], ids=["we decrypt", "gstreamer decrypts"])
async def test_rtcp_with_gstreamer(tmp_path, suite, mki_length, decrypt):
    """Of one packet at a time, so that none is taken for another: it is sent again until it has come through."""
    agreed, ours, theirs = negotiate(suite, mki_length)
    received: list[bytes] = []
    socket = UdpSocket.bind(LOOPBACK, 0, lambda data, _: received.append(data))
    listen = free_ports()
    reports = [rtcp(ssrc=SSRC, words=words) for words in (6, 6, 12, 30)]
    if decrypt:
        session = Session(agreed.outbound, None)
        packets = [session.protect_rtcp(report) for report in reports]
    else:
        packets = reports
    key = ours if decrypt else theirs
    to = socket.local_address[1]
    with GstreamerRtcpRelay(tmp_path, listen=listen, to=to, key=key, ssrc=SSRC, decrypt=decrypt, packets=100) as relay:
        await relayed(relay, listen, packets, received)
    socket.close()
    if decrypt:
        assert received[: len(reports)] == reports
    else:
        receiver = Session(None, agreed.inbound)
        assert {receiver.unprotect_rtcp(data) for data in received} == set(reports)
