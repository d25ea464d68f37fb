"""Telephone events (RFC 4733): what is sent, what is received in spite of loss and disorder, and bad input."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtp import MalformedRtpError
from rtp.telephone_event import (
    DTMF_DIGITS,
    EventReceiver,
    ReceivedEvent,
    TelephoneEvent,
    event_of_digit,
    event_packets,
    parse_event_list,
    parse_events,
)


def received(packets, *, step=160):
    receiver = EventReceiver()
    found = []
    for packet in packets:
        found += receiver.receive(packet.payload, packet.timestamp, packet.due / 8000)
    return found + receiver.poll(packets[-1].due / 8000 + 1 if packets else 1.0)


def test_the_example_of_the_rfc():
    """RFC 4733 5, table 5: the digits 9, 1 and 1, reported every 50 ms; our end bit is not deferred."""
    nine = event_packets(9, 0, 1600, 400, volume=7)
    assert [packet.due // 8 for packet in nine] == [50, 100, 150, 200, 250, 300]
    assert [(packet.timestamp, packet.marker) for packet in nine] == [(0, True)] + [(0, False)] * 5
    assert [parse_events(packet.payload)[0].duration for packet in nine] == [400, 800, 1200, 1600, 1600, 1600]
    assert nine[0].payload == bytes.fromhex("0907 0190")
    assert nine[-1].payload == bytes.fromhex("0987 0640")
    one = event_packets(1, 7040, 2000, 400)
    assert [880 + packet.due // 8 for packet in one] == [930, 980, 1030, 1080, 1130, 1180, 1230]
    again = event_packets(1, 11200, 1760, 400)
    assert [1400 + packet.due // 8 for packet in again] == [1450, 1500, 1550, 1600, 1650, 1700, 1750]
    assert [parse_events(packet.payload)[0].duration for packet in again[-3:]] == [1760] * 3
    assert len(nine) + len(one) + len(again) == 20
    receiver = EventReceiver()
    found = [
        event
        for start, packets in ((0, nine), (7040, one), (11200, again))
        for packet in packets
        for event in receiver.receive(packet.payload, packet.timestamp, (start + packet.due) / 8000)
    ]
    assert found == [ReceivedEvent(9, 0, 1600, 7), ReceivedEvent(1, 7040, 2000, 10), ReceivedEvent(1, 11200, 1760, 10)]


@settings(deadline=None)
@given(
    st.integers(0, 255),
    st.integers(0, 0xFFFFFFFF),
    st.integers(1, 140_000),
    st.sampled_from([160, 400, 800, 65535]),
)
def test_every_event_arrives_once_with_its_whole_duration(event, timestamp, duration, step):
    packets = event_packets(event, timestamp, duration, step, volume=63)
    assert received(packets) == [ReceivedEvent(event, timestamp, duration, 63)]
    assert [packet.marker for packet in packets].count(True) == 1
    assert packets[0].marker
    ends = [parse_events(packet.payload)[0].end for packet in packets]
    assert ends.count(True) == 3


@settings(deadline=None)
@given(st.integers(0, 0xFFFFFFFF), st.data())
def test_loss_of_any_but_one_final_packet_and_disorder(timestamp, data):
    packets = event_packets(5, timestamp, 1600, 160)
    kept = data.draw(st.lists(st.sampled_from(packets[:-3]), unique=True))
    finals = data.draw(st.lists(st.sampled_from(packets[-3:]), min_size=1))
    order = data.draw(st.permutations(kept))
    assert received([*order, *finals]) == [ReceivedEvent(5, timestamp, 1600, 10)]
    # Without any final packet it ends when its packets cease, with the duration that was told.
    if kept:
        longest = max(parse_events(packet.payload)[0].duration for packet in kept)
        assert received(order) == [ReceivedEvent(5, timestamp, longest, 10)]


def test_the_next_event_ends_the_one_before():
    receiver = EventReceiver()
    assert receiver.receive(TelephoneEvent(1, 400).serialize(), 0, 0.05) == []
    assert receiver.active == 1
    assert receiver.receive(TelephoneEvent(2, 400).serialize(), 1600, 0.25) == [ReceivedEvent(1, 0, 400, 10)]
    assert receiver.poll(0.3) == []
    assert receiver.poll(0.5) == [ReceivedEvent(2, 1600, 400, 10)]
    # Late packets of both are ignored, the end bit of the first among them.
    assert receiver.receive(TelephoneEvent(1, 800, end=True).serialize(), 0, 0.55) == []
    assert receiver.receive(TelephoneEvent(2, 800, end=True).serialize(), 1600, 0.56) == []
    assert receiver.active is None
    # The same digit again is another event.
    [again] = receiver.receive(TelephoneEvent(2, 800, end=True).serialize(), 3200, 0.7)
    assert again.digit == "2"


def test_several_events_in_one_packet():
    payload = TelephoneEvent(1, 400, end=True).serialize() + TelephoneEvent(2, 300, end=True).serialize()
    assert EventReceiver().receive(payload, 0xFFFFFFFF, 0.0) == [
        ReceivedEvent(1, 0xFFFFFFFF, 400, 10),
        ReceivedEvent(2, 399, 300, 10),
    ]


def test_events_go_on_being_heard_after_days():
    receiver = EventReceiver()
    assert receiver.receive(TelephoneEvent(1, 400, end=True).serialize(), 0, 0.0)
    assert receiver.receive(TelephoneEvent(1, 400, end=True).serialize(), 0x90000000, 302_000.0)


def test_digits_and_lists():
    assert [event_of_digit(digit) for digit in "09*#AdD"] == [0, 9, 10, 11, 12, 15, 15]
    assert len(DTMF_DIGITS) == 16
    assert ReceivedEvent(16, 0, 1, 0).digit is None
    assert parse_event_list("0-15,66, 70") == frozenset((*range(16), 66, 70))
    assert parse_event_list("0-99999,x,300,250-999,9-3") == frozenset(range(250, 256))
    for digit in ("", "12", "E", "é"):
        with pytest.raises(MalformedRtpError):
            event_of_digit(digit)


@given(st.binary(max_size=300), st.integers(0, 0xFFFFFFFF), st.floats(0, 1e6))
def test_any_payload_fails_cleanly(payload, timestamp, now):
    receiver = EventReceiver()
    try:
        events = parse_events(payload)
    except MalformedRtpError:
        with pytest.raises(MalformedRtpError):
            receiver.receive(payload, timestamp, now)
        assert receiver.active is None
        return
    if all(not payload[at + 1] & 0x40 for at in range(0, len(payload), 4)):  # the reserved bit is ignored
        assert b"".join(event.serialize() for event in events) == payload
    assert len(receiver.receive(payload, timestamp, now)) <= len(events)


@pytest.mark.parametrize("values", [(256, 1), (-1, 1), (1, 65536), (1, 1, False, 64)])
def test_values_that_do_not_fit(values):
    with pytest.raises(MalformedRtpError):
        TelephoneEvent(*values)


@pytest.mark.parametrize("values", [(1, 0, 0, 160), (1, 0, 1 << 25, 160), (1, 0, 160, 0), (256, 0, 160, 160)])
def test_events_that_cannot_be_sent(values):
    with pytest.raises(MalformedRtpError):
        event_packets(*values)
