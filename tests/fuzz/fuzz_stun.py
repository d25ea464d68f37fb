"""Damages STUN messages, DTLS records and fingerprints: only SdpError may come out, and no stranger may be believed.

Run by hand: python tests/fuzz/fuzz_stun.py [SECONDS [SEED]]. A finding is printed with its input and ends the run
with status 1.
"""

from __future__ import annotations

import contextlib
import json
import struct
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from damage import fuzz

from rtp.demultiplexing import DatagramKind, kind_of
from sdp.dtls.dtls_records import datagrams_of, record_headers
from sdp.dtls.fingerprint import Fingerprint, read_fingerprints
from sdp.errors import SdpError
from sdp.ice.attributes import IceCandidate, IceCredentials
from sdp.ice.lite import IceLite
from sdp.ice.stun import StunAttribute, StunClass, StunMessage, decode_error, decode_xor_address

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rfc5769.json").read_text())
CREDENTIALS = IceCredentials("evtj", VECTORS["password"])
SOURCE = ("192.0.2.9", 9)
MESSAGES = [bytes.fromhex(value) for name, value in VECTORS.items() if name.startswith("re")]
MESSAGES.append(
    StunMessage(
        StunClass.REQUEST,
        attributes=((StunAttribute.USERNAME, b"evtj:x"), (StunAttribute.USE_CANDIDATE, b""), (0x7001, b"unknown")),
    ).serialize(VECTORS["password"].encode())
)
RECORD = bytes.fromhex("16fefd0000000000000000000a") + bytes(range(10))
RECORDS = [RECORD, RECORD * 3, bytes.fromhex("15fefd000100000000000700020228")]
FINGERPRINTS = [
    b"sha-256 " + b":".join([b"AB"] * 32),
    b"SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB",
]
CANDIDATES = [
    b"1 1 UDP 2130706431 192.0.2.1 5000 typ host",
    b"2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
]
PIECES = [b"\0\x06\0\x04", b"\0\x08\0\x14", b"\x80\x28\0\x04", b"\0\x20\0\x08", b"\0\x25\0\0", b"\xff\xff", b"\0\0\0\0"]
PIECES += [b"\x21\x12\xa4\x42", b"\x16\xfe\xfd", b":", b" ", b"-1", b"99999999999999999999", b"\xff", "²".encode()]


def repaired(data: bytes) -> bytes:
    """The message with its length and its FINGERPRINT right, so that the damage gets past them."""
    body = data[20:-8] if data[-8:-4] == b"\x80\x28\0\x04" else data[20:]
    body += bytes(-len(body) % 4)
    start = data[:2] + struct.pack("!H", (len(body) + 8) & 0xFFFF) + data[4:20] + body
    return start + b"\x80\x28\0\x04" + struct.pack("!I", zlib.crc32(start) ^ 0x5354554E)


def check_message(data: bytes) -> None:
    for one in (data, repaired(data)):
        with contextlib.suppress(SdpError):
            message = StunMessage.parse(one)
            message.is_authentic(b"key")
            if not message.has_integrity:
                assert StunMessage.parse(message.serialize(fingerprint=False)) == message
            for kind, decode in ((StunAttribute.XOR_MAPPED_ADDRESS, decode_xor_address),):
                decode(message.attribute(kind) or b"", message.transaction_id)
        with contextlib.suppress(SdpError):
            decode_error(one)


def check_agent(data: bytes) -> None:
    for one in (data, repaired(data)):
        agent = IceLite((("192.0.2.1", 5000),), CREDENTIALS)
        reply = agent.receive_datagram(one, SOURCE)
        if reply.event is not None:
            assert StunMessage.parse(one).is_authentic(VECTORS["password"].encode())
        assert bool(agent.validated) is (reply.event is not None)
        assert kind_of(one) is DatagramKind.STUN or reply.datagram is None


def check_records(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert [one.end for one in record_headers(data)][-1:] in ([], [len(data)])
        assert b"".join(datagrams_of(data, 60)) == data
    kind_of(data)


def check_fingerprint(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(SdpError):
        fingerprint = Fingerprint.parse(text)
        assert Fingerprint.parse(fingerprint.serialize()) == fingerprint
    with contextlib.suppress(SdpError):
        assert any(one.known for one in read_fingerprints([text, text]))


def check_candidate(data: bytes) -> None:
    candidate = IceCandidate.parse(data.decode("utf-8", "replace"))
    if candidate is not None:
        assert IceCandidate.parse(candidate.serialize()) == candidate


if __name__ == "__main__":
    checks = [
        (check_message, MESSAGES),
        (check_agent, MESSAGES),
        (check_records, RECORDS),
        (check_fingerprint, FINGERPRINTS),
        (check_candidate, CANDIDATES),
    ]
    sys.exit(fuzz(checks, PIECES, sys.argv[1:]))
