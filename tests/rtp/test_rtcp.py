"""RTCP packets and compounds (RFC 3550 6)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtp import (
    ApplicationDefined,
    Goodbye,
    MalformedRtcpError,
    ReceiverReport,
    ReportBlock,
    SdesChunk,
    SenderReport,
    SourceDescription,
    UnknownRtcpPacket,
    ntp_time,
    parse_compound,
    round_trip,
    serialize_compound,
)

word = st.integers(0, (1 << 32) - 1)
whole_words = st.binary(max_size=32).map(lambda data: data + bytes(-len(data) % 4))
blocks = st.lists(
    st.builds(ReportBlock, word, st.integers(0, 255), st.integers(-(1 << 23), (1 << 23) - 1), word, word, word, word),
    max_size=31,
).map(tuple)
senders = st.builds(SenderReport, word, st.integers(0, (1 << 64) - 1), word, word, word, blocks, whole_words)
receivers = st.builds(ReceiverReport, word, blocks, whole_words)
items = st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=255)), max_size=4).map(tuple)
others = st.one_of(
    st.builds(SourceDescription, st.lists(st.builds(SdesChunk, word, items), max_size=5).map(tuple)),
    st.builds(Goodbye, st.lists(word, max_size=31).map(tuple), st.text(max_size=60)),
    st.builds(ApplicationDefined, st.integers(0, 31), word, st.binary(min_size=4, max_size=4), whole_words),
    st.builds(UnknownRtcpPacket, st.integers(205, 223), st.integers(0, 31), whole_words),
)


@settings(max_examples=300)
@given(senders | receivers, st.lists(others, max_size=4))
def test_round_trip(first, more):
    packets = (first, *more)
    assert parse_compound(serialize_compound(packets)) == packets


@settings(max_examples=300)
@given(senders, st.lists(others, max_size=3), st.data())
def test_damage_fails_cleanly(first, more, data):
    whole = bytearray(serialize_compound((first, *more)))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(MalformedRtcpError):
        parse_compound(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@settings(max_examples=500)
@given(st.binary(max_size=100))
def test_any_bytes_fail_cleanly(data):
    for start in (b"", b"\x81\xc8\x00\x06", b"\x9f\xca\x00\x03", b"\xa1\xcb\x00\x01"):
        with contextlib.suppress(MalformedRtcpError):
            parse_compound(start + data, reduced_size=True)


def test_a_compound_starts_with_a_report():
    bye = Goodbye((1,)).serialize()
    with pytest.raises(MalformedRtcpError, match="SR or RR"):
        parse_compound(bye)
    assert parse_compound(bye, reduced_size=True) == (Goodbye((1,)),)
    with pytest.raises(MalformedRtcpError):
        serialize_compound((Goodbye((1,)),))


def test_only_the_last_is_padded():
    report = ReceiverReport(1).serialize()
    padded = b"\xa0\xc9\x00\x02" + report[4:] + b"\0\0\0\4"
    assert parse_compound(report + b"\xa0\xcb\x00\x01\0\0\0\4") == (ReceiverReport(1), Goodbye(()))
    assert parse_compound(padded) == (ReceiverReport(1),)
    with pytest.raises(MalformedRtcpError, match="padding"):
        parse_compound(padded + report)
    with pytest.raises(MalformedRtcpError, match="padding"):
        parse_compound(padded[:-1] + b"\xff")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\xc9",
        b"\x80\xc9\x00\x05" + bytes(8),
        b"\x40\xc9\x00\x01" + bytes(4),
        b"\x81\xc9\x00\x01" + bytes(4),
        b"\x80\xc8\x00\x01" + bytes(4),
    ],
)
def test_bad_compounds(data):
    with pytest.raises(MalformedRtcpError):
        parse_compound(data)


@pytest.mark.parametrize("body", [b"\0\0\0\1\1\x09ab", b"\0\0\0\1\1\2ab", b""])
def test_bad_sdes(body):
    packet = b"\x81\xca" + (len(body) // 4).to_bytes(2) + body
    with pytest.raises(MalformedRtcpError):
        parse_compound(ReceiverReport(1).serialize() + packet)


def test_values_out_of_range():
    with pytest.raises(MalformedRtcpError, match="fraction_lost"):
        ReportBlock(1, 256, 0, 0, 0, 0, 0)
    with pytest.raises(MalformedRtcpError):
        ReportBlock(1, 0, 1 << 23, 0, 0, 0, 0)
    with pytest.raises(MalformedRtcpError):
        Goodbye(tuple(range(32)))


def test_ntp_and_round_trip():
    assert ntp_time(0) >> 32 == 2208988800
    now = ntp_time(1_000_000.5)
    assert now & 0xFFFFFFFF == 1 << 31
    last_sr = (now - (3 << 32)) >> 16 & 0xFFFFFFFF
    assert round_trip(now, last_sr, 2 << 16) == pytest.approx(1.0)
    assert round_trip(now, 0, 0) is None
