from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.demultiplexing import DatagramKind, kind_of


@pytest.mark.parametrize(
    ("first", "last", "kind"),
    [
        (0, 3, DatagramKind.STUN),
        (4, 15, DatagramKind.UNKNOWN),
        (16, 19, DatagramKind.ZRTP),
        (20, 63, DatagramKind.DTLS),
        (64, 79, DatagramKind.TURN_CHANNEL),
        (80, 127, DatagramKind.QUIC),
        (128, 191, DatagramKind.RTP),
        (192, 255, DatagramKind.QUIC),
    ],
)
def test_ranges_of_rfc_7983_and_9443(first: int, last: int, kind: DatagramKind) -> None:
    assert {kind_of(bytes([byte, 0, 0, 0])) for byte in range(first, last + 1)} == {kind}


@given(first=st.integers(128, 191), second=st.integers(0, 255))
def test_rtcp_by_its_packet_type(first: int, second: int) -> None:
    """RFC 5761 4: payload types 64 to 95 are not used for RTP beside RTCP, with or without the marker."""
    expected = DatagramKind.RTCP if 64 <= (second & 127) <= 95 and second & 128 else DatagramKind.RTP
    assert kind_of(bytes([first, second])) is expected


@given(st.binary(max_size=40))
def test_anything_has_a_kind_in_any_buffer(data: bytes) -> None:
    assert kind_of(data) is kind_of(bytearray(data)) is kind_of(memoryview(data))


def test_nothing_and_too_little() -> None:
    assert kind_of(b"") is kind_of(b"\x80") is DatagramKind.UNKNOWN
