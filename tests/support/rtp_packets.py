"""RTP and RTCP packets for tests, made without the code under test."""

from __future__ import annotations

import random
import struct


def rtp(sequence: int, *, ssrc: int = 0xCAFEBABE, payload: bytes = b"payload", timestamp: int = 0) -> bytes:
    """Returns a plain RTP packet."""
    return struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, timestamp, ssrc) + payload


def rtcp(*, ssrc: int = 0xCAFEBABE, packet_type: int = 200, words: int = 6) -> bytes:
    """Returns a sender report's header with `words` words behind it."""
    return struct.pack("!BBHI", 0x80, packet_type, words, ssrc) + bytes(4 * (words - 1))


def random_rtp(rng: random.Random, sequence: int, ssrc: int) -> bytes:
    """Returns a packet with random CSRCs, extension, padding and payload."""
    csrcs = rng.choice((0, 0, 0, 1, 2, 15))
    extension = rng.random() < 0.2
    padding = rng.choice((0, 0, 0, 4, 17))
    first = 0x80 | bool(padding) << 5 | extension << 4 | csrcs
    packet = struct.pack("!BBHII", first, rng.randrange(256), sequence & 0xFFFF, rng.getrandbits(32), ssrc)
    packet += rng.randbytes(4 * csrcs)
    if extension:
        words = rng.choice((0, 1, 3))
        packet += struct.pack("!HH", rng.choice((0xBEDE, 0x1000, 0x1234)), words) + rng.randbytes(4 * words)
    packet += rng.randbytes(rng.choice((0, 1, 15, 16, 17, 20, 160, 161, 1200)))
    return packet + (bytes(padding - 1) + bytes((padding,)) if padding else b"")
