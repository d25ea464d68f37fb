"""Negotiates security descriptions by offer and answer, then protects audio with the keys: no network at all.

Run: python examples/negotiate_and_protect.py
"""

from __future__ import annotations

import numpy as np

from rtp import RtpPacket, decode_pcmu, encode_pcmu
from sdp import AudioNegotiation, LocalMedia, MediaSecurity
from srtp import ReplayError, Session


def main() -> None:
    alice = AudioNegotiation(LocalMedia("192.0.2.1", 4000, security=MediaSecurity.REQUIRED))
    bob = AudioNegotiation(LocalMedia("192.0.2.2", 5000, security=MediaSecurity.REQUIRED))
    bob.receive_offer(alice.create_offer())
    for_alice = alice.receive_answer(bob.create_answer())
    for_bob = bob.negotiated
    assert for_bob is not None
    print("agreed:", for_alice.crypto_suite, "payload type", for_alice.payload_type)

    sender = Session(for_alice.outbound, for_alice.inbound)
    receiver = Session(for_bob.outbound, for_bob.inbound)
    samples = (8000 * np.sin(2 * np.pi * 440 * np.arange(160) / 8000)).astype(np.int16)
    packet = RtpPacket(for_alice.payload_type, 1, 160, 0x1234, encode_pcmu(samples))
    protected = sender.protect(packet.serialize())
    heard = decode_pcmu(RtpPacket.parse(receiver.unprotect(protected)).payload)
    print(f"{len(protected)} bytes sent, {len(heard)} samples heard")
    try:
        receiver.unprotect(protected)
    except ReplayError as error:
        print("the same packet again:", error)


if __name__ == "__main__":
    main()
