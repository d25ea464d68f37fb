"""Damages RTP, RTCP and SRTP packets: only RtpError and SrtpError may come out, and nothing forged changes state.

Run by hand: python tests/fuzz/fuzz_rtp.py [SECONDS [SEED]]. A finding is printed with its input and ends the run
with status 1.
"""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from damage import fuzz
from rtp_packets import random_rtp, rtcp

from rtp import (
    ExtensionElement,
    Goodbye,
    HeaderExtension,
    ReceiverReport,
    ReportBlock,
    RtpError,
    RtpPacket,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialize_compound,
)
from srtp import AuthenticationError, Direction, MalformedPacketError, Policy, Profile, ReplayError, Session

RNG = random.Random(0)
PIECES = [
    b"\x80",
    b"\x90\x00",
    b"\xbf",
    b"\xff\xff",
    b"\0\0",
    b"\xbe\xde",
    b"\x10\0",
    b"\x81\xc8",
    b"\x80\xc9\0\1",
    b"\xa0",
    b"\x81\xca",
]
PACKETS = [random_rtp(RNG, number, 1) for number in range(200)]
PACKETS += [
    RtpPacket(0, 200 + number, 0, 1, b"payload", extension=extension).serialize()
    for number, extension in enumerate(
        (
            HeaderExtension.one_byte(tuple(ExtensionElement(number, bytes(number)) for number in (1, 3, 14))),
            HeaderExtension.two_byte(tuple(ExtensionElement(number, bytes(255 - number)) for number in (1, 16, 255))),
        )
    )
]
COMPOUNDS = [
    serialize_compound(
        (
            SenderReport(1, 2, 3, 4, 5, (ReportBlock(1, 2, -3, 4, 5, 6, 7),)),
            SourceDescription.with_cname(1, "somebody"),
            Goodbye((1,), "gone"),
        )
    ),
    serialize_compound((ReceiverReport(1), SourceDescription.with_cname(2, "x" * 255))),
    rtcp(),
]
POLICY = Policy(Profile.AES_CM_128_HMAC_SHA1_80, bytes(16), bytes(14), mki=b"m")
SENDER, RECEIVER = Session(POLICY, None), Session(None, POLICY)
PROTECTED = [SENDER.protect(packet) for packet in PACKETS] + [SENDER.protect_rtcp(rtcp()) for _ in range(20)]
for packet in PROTECTED[::2]:
    with contextlib.suppress(MalformedPacketError, AuthenticationError):
        RECEIVER.unprotect(packet)


def check_packet(data: bytes) -> None:
    with contextlib.suppress(RtpError):
        packet = RtpPacket.parse(data)
        assert RtpPacket.parse(packet.serialize()) == packet
        if packet.extension is not None:
            packet.extension.elements()


def check_compound(data: bytes) -> None:
    for reduced_size in (False, True):
        with contextlib.suppress(RtpError):
            packets = parse_compound(data, reduced_size=reduced_size)
            again = b"".join(packet.serialize() for packet in packets)
            assert parse_compound(again, reduced_size=True) == packets


def check_unprotect(data: bytes) -> None:
    if data in PROTECTED:
        return
    before = [(one.roc, one.rtp_replay, one.rtcp_replay) for one in RECEIVER.state(Direction.INBOUND).streams]
    for operation in (RECEIVER.unprotect, RECEIVER.unprotect_rtcp):
        try:
            operation(data)
        except (AuthenticationError, MalformedPacketError, ReplayError):
            continue
        raise AssertionError("a forged packet was taken")
    after = [(one.roc, one.rtp_replay, one.rtcp_replay) for one in RECEIVER.state(Direction.INBOUND).streams]
    assert before == after


if __name__ == "__main__":
    checks = [(check_packet, PACKETS), (check_compound, COMPOUNDS), (check_unprotect, PROTECTED)]
    sys.exit(fuzz(checks, PIECES, sys.argv[1:]))
