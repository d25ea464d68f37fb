"""RTP packets and header extensions (RFC 3550 5, RFC 8285)."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtp_packets import random_rtp

from rtp import ExtensionElement, HeaderExtension, MalformedRtpError, RtpPacket, is_rtcp

words = st.integers(0, (1 << 32) - 1)
extensions = st.builds(
    HeaderExtension, st.integers(0, 0xFFFF), st.binary(max_size=64).map(lambda data: data + bytes(-len(data) % 4))
)
packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence_number=st.integers(0, 0xFFFF),
    timestamp=words,
    ssrc=words,
    payload=st.binary(max_size=300),
    marker=st.booleans(),
    csrcs=st.lists(words, max_size=15).map(tuple),
    extension=st.none() | extensions,
    padding_length=st.integers(0, 255),
)


@given(packets)
def test_round_trip(packet):
    assert RtpPacket.parse(packet.serialize()) == packet


@settings(max_examples=300)
@given(packets, st.data())
def test_truncated_packets_fail_cleanly(packet, data):
    whole = packet.serialize()
    with contextlib.suppress(MalformedRtpError):
        RtpPacket.parse(whole[: data.draw(st.integers(0, len(whole)))])


@settings(max_examples=500)
@given(st.binary(max_size=100))
def test_any_bytes_fail_cleanly(data):
    with contextlib.suppress(MalformedRtpError):
        packet = RtpPacket.parse(data)
        if packet.extension is not None:
            packet.extension.elements()


def test_packets_made_by_other_hands():
    rng = random.Random(1)
    for sequence in range(500):
        data = random_rtp(rng, sequence, 7)
        packet = RtpPacket.parse(data)
        assert (packet.sequence_number, packet.ssrc) == (sequence, 7)
        assert len(packet.serialize()) == len(data)


def test_payload_is_not_copied():
    data = bytearray(RtpPacket(0, 1, 2, 3, b"abc").serialize())
    packet = RtpPacket.parse(data)
    data[-1] = ord("z")
    assert bytes(packet.payload) == b"abz"


@pytest.mark.parametrize(
    ("name", "value"),
    [("payload_type", 128), ("sequence_number", 65536), ("timestamp", -1), ("ssrc", 1 << 32), ("padding_length", 256)],
)
def test_values_out_of_range_are_named(name, value):
    fields = {"payload_type": 0, "sequence_number": 0, "timestamp": 0, "ssrc": 0} | {name: value}
    with pytest.raises(MalformedRtpError, match=name):
        RtpPacket(**fields)
    with pytest.raises(MalformedRtpError):
        RtpPacket(0, 0, 0, 0, csrcs=(0,) * 16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        bytes(12),
        b"\x40" + bytes(11),
        b"\x8f" + bytes(11),
        b"\x90" + bytes(11),
        b"\x90" + bytes(11) + b"\xbe\xde\xff\xff",
        b"\xa0" + bytes(11),
        b"\xa0" + bytes(11) + b"\x05",
    ],
)
def test_bad_packets(data):
    with pytest.raises(MalformedRtpError):
        RtpPacket.parse(data)


def test_one_byte_elements():
    elements = (ExtensionElement(1, b"\x01"), ExtensionElement(14, bytes(16)))
    extension = HeaderExtension.one_byte(elements)
    assert extension.profile == 0xBEDE
    assert extension.elements() == elements
    # RFC 8285 4.2: padding anywhere, id 15 stops, id 0 with a length is passed over.
    odd = HeaderExtension(0xBEDE, bytes.fromhex("00 10aa 00 01bbbb 20cc f0 30dd".replace(" ", "")))
    assert odd.elements() == (ExtensionElement(1, b"\xaa"), ExtensionElement(2, b"\xcc"))


def test_two_byte_elements():
    elements = (ExtensionElement(1, b""), ExtensionElement(255, bytes(255)))
    extension = HeaderExtension.two_byte(elements, appbits=5)
    assert (extension.profile, extension.appbits) == (0x1005, 5)
    assert extension.elements() == elements


@pytest.mark.parametrize(
    ("profile", "data"), [(0xBEDE, b"\x14\0\0\0"), (0xBEDE, b"\0\0\0\x10"), (0x1000, b"\1\x09\0\0")]
)
def test_element_past_the_end(profile, data):
    with pytest.raises(MalformedRtpError):
        HeaderExtension(profile, data).elements()


@pytest.mark.parametrize(
    "make",
    [
        lambda: HeaderExtension(0xBEDE, b"abc"),
        lambda: HeaderExtension(0x10000, b""),
        lambda: HeaderExtension.one_byte((ExtensionElement(15, b"a"),)),
        lambda: HeaderExtension.one_byte((ExtensionElement(1, b""),)),
        lambda: HeaderExtension.two_byte((ExtensionElement(0, b""),)),
    ],
)
def test_elements_that_cannot_be(make):
    with pytest.raises(MalformedRtpError):
        make()


def test_unknown_profile_has_no_elements():
    assert HeaderExtension(0x1234, b"\x10\xaa\x00\x00").elements() == ()


@pytest.mark.parametrize(
    ("second", "expected"), [(200, True), (204, True), (192, True), (223, True), (128, False), (0, False), (224, False)]
)
def test_rtcp_is_told_from_rtp(second, expected):
    assert is_rtcp(bytes([0x80, second, 0, 0])) is expected
