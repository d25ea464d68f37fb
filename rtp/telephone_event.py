"""DTMF digits and other telephone events in RTP (RFC 4733): the payload, what is sent for an event, what was received.

A sender asks event_packets() for the packets of an event, and gives each its sequence number, SSRC and payload type;
a receiver gives the payloads of that payload type to an EventReceiver. Both are sans-IO; durations are in units of
the RTP timestamp.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from srtp.field_checks import check_fields

from .errors import MalformedRtpError

DTMF_DIGITS = "0123456789*#ABCD"
FLASH = 16
MAX_DURATION = 0xFFFF
TRANSMISSIONS = 3
_MAX_TOTAL_DURATION = 1 << 24
_MAX_EVENTS = 64
# Timestamps repeat after days; retransmissions come within the second.
_FORGET_AFTER = 60.0
_LENGTH = 4
_PAYLOAD = struct.Struct("!BBH")
_RANGE = re.compile(r"([0-9]{1,3})(?:-([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """One event report (2.3): the event's code, its duration so far, whether it is over, its power.

    `event` is 0 to 255, `duration` 0 to 65,535 timestamp units, `volume` 0 to 63 as dBm0 without its sign. Raises
    MalformedRtpError, naming the value, when one does not fit.
    """

    event: int
    duration: int
    end: bool = False
    volume: int = 10

    def __post_init__(self) -> None:
        check_fields(self)
        for name, bits in (("event", 8), ("duration", 16), ("volume", 6)):
            value = getattr(self, name)
            if not 0 <= value < 1 << bits:
                raise MalformedRtpError(f"{name} {value} does not fit {bits} bits")

    def serialize(self) -> bytes:
        """Returns the four bytes; the reserved bit is 0 (2.3.3)."""
        return _PAYLOAD.pack(self.event, self.end << 7 | self.volume, self.duration)


@dataclass(frozen=True, slots=True)
class EventPacket:
    """What one RTP packet of an event holds; `due` is when to send it, in units after the event's start."""

    due: int
    timestamp: int
    payload: bytes
    marker: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event that was received, when it is over: its code, first timestamp, whole duration and power."""

    event: int
    timestamp: int
    duration: int
    volume: int

    @property
    def digit(self) -> str | None:
        """The DTMF digit, None for other events."""
        return DTMF_DIGITS[self.event] if self.event < len(DTMF_DIGITS) else None


def event_of_digit(digit: str) -> int:
    """Returns the event of a DTMF digit (3.2); raises MalformedRtpError for what is none of 0-9, *, #, A-D."""
    code = DTMF_DIGITS.find(digit.upper()) if len(digit) == 1 else -1
    if code < 0:
        raise MalformedRtpError(f"{digit[:8]!r} is no DTMF digit")
    return code


def parse_events(payload: bytes | bytearray | memoryview) -> tuple[TelephoneEvent, ...]:
    """Returns the reports of a payload, consecutive events behind each other (2.5.1.5).

    Raises MalformedRtpError when its length is no multiple of four, it is empty, or it holds more than 64.
    """
    data = bytes(payload)
    if not data or len(data) % _LENGTH or len(data) > _LENGTH * _MAX_EVENTS:
        raise MalformedRtpError(f"{len(data)} bytes are no telephone events")
    return tuple(
        TelephoneEvent(event, duration, bool(flags & 0x80), flags & 0x3F)
        for event, flags, duration in _PAYLOAD.iter_unpack(data)
    )


def event_packets(event: int, timestamp: int, duration: int, step: int, *, volume: int = 10) -> list[EventPacket]:
    """Returns the packets of an event, in the order to send them.

    It lasts `duration` units (1 to 2^24) from `timestamp` on, and is reported every `step` units, the packet time of
    the audio or 50 ms. The first packet has the marker bit (2.5.1.2). The last one has the end bit, and goes out
    three times (2.5.1.4), so that the event outlasts the loss of two. An event longer than 65,535 units is reported
    in segments, the last packet of each three times (2.5.1.3). Raises MalformedRtpError when a value does not fit.
    """
    if not 1 <= duration <= _MAX_TOTAL_DURATION or not 1 <= step <= MAX_DURATION:
        raise MalformedRtpError(f"an event of {duration} units in steps of {step} cannot be sent")
    packets: list[EventPacket] = []
    for start in range(0, duration, MAX_DURATION):
        length = min(MAX_DURATION, duration - start)
        last = start + length == duration
        at = (timestamp + start) & 0xFFFFFFFF
        for elapsed in range(step, length, step):
            report = TelephoneEvent(event, elapsed, volume=volume).serialize()
            packets.append(EventPacket(start + elapsed, at, report, marker=not packets))
        final = TelephoneEvent(event, length, end=last, volume=volume).serialize()
        # At the same interval as the reports, so that it may come somewhat after the event's end.
        due = start + -(-length // step) * step
        for repeat in range(TRANSMISSIONS):
            packets.append(EventPacket(due + repeat * step, at, final, marker=not packets))
    # Retransmissions of a segment's end go out among the reports of the next one.
    return sorted(packets, key=lambda packet: packet.due)


class EventReceiver:
    """Puts events together from the packets that report them.

    Every event comes out once, however many of its packets came or were lost: with its end bit, with the start of
    another one, or by poll() when its packets cease for `timeout` seconds (2.5.2.2). Packets of an event that is
    over, and of one before it, are ignored.
    """

    def __init__(self, *, timeout: float = 0.2) -> None:
        self._timeout = timeout
        self._event: TelephoneEvent | None = None
        self._start = 0
        self._segment = 0
        self._heard = 0.0
        self._done: int | None = None

    @property
    def active(self) -> int | None:
        """The event that goes on, None when none does."""
        return None if self._event is None else self._event.event

    def receive(self, payload: bytes | bytearray | memoryview, timestamp: int, now: float) -> list[ReceivedEvent]:
        """Takes the payload of a packet, its timestamp, and the time in seconds; returns the events that are over.

        Raises MalformedRtpError when the payload holds no events; nothing changes then.
        """
        finished: list[ReceivedEvent] = []
        for report in parse_events(payload):
            finished += self._take(report, timestamp, now)
            timestamp = (timestamp + report.duration) & 0xFFFFFFFF
        return finished

    def poll(self, now: float) -> list[ReceivedEvent]:
        """Returns the event whose packets have ceased, if there is one."""
        return self._finish() if now - self._heard >= self._timeout else []

    def _take(self, report: TelephoneEvent, timestamp: int, now: float) -> list[ReceivedEvent]:
        if now - self._heard > _FORGET_AFTER:
            self._done = None
        if self._done is not None and not _is_after(timestamp, self._done):
            return []
        finished: list[ReceivedEvent] = []
        longest = 0
        current = self._event
        if current is None:
            self._start = self._segment = timestamp
        elif timestamp == self._segment:
            longest = current.duration  # of packets out of order, the one that tells most counts
        elif not _is_after(timestamp, self._segment):
            return []
        elif self._continues(current, report, timestamp):
            self._segment = timestamp
        else:
            finished = self._finish()
            self._start = self._segment = timestamp
        self._event = TelephoneEvent(report.event, max(longest, report.duration), report.end, report.volume)
        self._heard = now
        return finished + (self._finish() if report.end else [])

    def _continues(self, current: TelephoneEvent, report: TelephoneEvent, timestamp: int) -> bool:
        """Whether a report begins the next segment of an event longer than 65,535 units (2.5.2.3)."""
        gap = (timestamp - self._segment - MAX_DURATION) & 0xFFFFFFFF
        return current.duration == MAX_DURATION and report.event == current.event and gap == 0

    def _finish(self) -> list[ReceivedEvent]:
        event = self._event
        if event is None:
            return []
        self._event, self._done = None, self._segment
        duration = (self._segment - self._start & 0xFFFFFFFF) + event.duration
        return [ReceivedEvent(event.event, self._start, duration, event.volume)]


def parse_event_list(text: str) -> frozenset[int]:
    """Returns the events of an a=fmtp such as "0-15,66" (2.4.1); what is no event is left out."""
    events: set[int] = set()
    for item in text.split(",")[:256]:
        match = _RANGE.fullmatch(item.strip())
        if match is not None:
            first, last = int(match[1]), int(match[2] or match[1])
            events.update(range(first, min(last, 255) + 1))
    return frozenset(events)


def _is_after(timestamp: int, other: int) -> bool:
    """Whether a timestamp is later than another one, modulo 2^32."""
    return 0 < (timestamp - other) & 0xFFFFFFFF < 1 << 31
