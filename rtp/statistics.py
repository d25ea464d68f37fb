"""What a receiver knows of one source: validity, loss and jitter (RFC 3550 A.1, A.3, A.8)."""

from __future__ import annotations

from dataclasses import dataclass

from .rtcp import ReportBlock

MAX_DROPOUT = 3000
MAX_MISORDER = 100
MIN_SEQUENTIAL = 2
_SEQUENCE_MODULUS = 1 << 16
_NO_BAD_SEQUENCE = _SEQUENCE_MODULUS + 1


@dataclass(frozen=True, slots=True)
class ReceptionSummary:
    """`received`, `expected` and `lost` in packets since the source began (`lost` is negative when duplicates
    outweigh losses); `jitter` in seconds."""

    received: int
    expected: int
    lost: int
    jitter: float


class ReceiverStatistics:
    """Follows one SSRC whose timestamps run at `clock_rate` Hz.

    A source is valid after `min_sequential` packets in a row (A.1); under SRTP, where every packet counted
    here has authenticated, 1 is the right value.
    """

    def __init__(self, clock_rate: int, *, min_sequential: int = MIN_SEQUENTIAL) -> None:
        self.clock_rate = clock_rate
        self._min_sequential = min_sequential
        self._probation = min_sequential
        self._max_sequence: int | None = None
        self._base_sequence = 0
        self._bad_sequence = _NO_BAD_SEQUENCE
        self._cycles = 0
        self._received = 0
        self._expected_prior = 0
        self._received_prior = 0
        self._transit: int | None = None
        self._jitter_q4 = 0  # 16 times the jitter, as A.8 keeps it
        self._last_sr = 0
        self._last_sr_arrival: float | None = None

    def receive(self, sequence_number: int, timestamp: int, arrival_time: float) -> bool:
        """Takes note of one packet that arrived at `arrival_time` (seconds of any steady clock).

        Returns whether it belongs to a valid source: False during probation and for a single wild jump of
        the sequence number.
        """
        if self._max_sequence is None:
            self._restart(sequence_number)
            self._max_sequence = (sequence_number - 1) % _SEQUENCE_MODULUS
            self._probation = self._min_sequential
        if not self._update_sequence(sequence_number):
            return False
        self._update_jitter(timestamp, arrival_time)
        return True

    def receive_sender_report(self, ntp_time: int, arrival_time: float) -> None:
        """Takes note of an SR: its 64-bit NTP time, and when it arrived on the clock of receive()."""
        self._last_sr = ntp_time >> 16 & 0xFFFFFFFF
        self._last_sr_arrival = arrival_time

    @property
    def extended_highest_sequence(self) -> int:
        """The highest sequence number received, with the count of its cycles above 16 bits."""
        return self._cycles + (self._max_sequence or 0)

    @property
    def summary(self) -> ReceptionSummary:
        """The counts since the source began."""
        expected = self._expected
        jitter = (self._jitter_q4 / 16) / self.clock_rate
        return ReceptionSummary(self._received, expected, expected - self._received, jitter)

    def report_block(self, ssrc: int, now: float) -> ReportBlock:
        """Returns the report block for the source, and starts the next interval of its fraction lost."""
        expected = self._expected
        lost = max(-0x800000, min(0x7FFFFF, expected - self._received))
        expected_interval = expected - self._expected_prior
        lost_interval = expected_interval - (self._received - self._received_prior)
        self._expected_prior = expected
        self._received_prior = self._received
        fraction = 0
        if expected_interval > 0 and lost_interval > 0:
            fraction = min(255, (lost_interval << 8) // expected_interval)
        delay = 0
        if self._last_sr_arrival is not None:
            delay = min(0xFFFFFFFF, max(0, int((now - self._last_sr_arrival) * 65536)))
        highest = self.extended_highest_sequence & 0xFFFFFFFF
        return ReportBlock(ssrc, fraction, lost, highest, self._jitter_q4 >> 4, self._last_sr, delay)

    @property
    def _expected(self) -> int:
        if self._max_sequence is None or not self._received:
            return 0
        return self.extended_highest_sequence - self._base_sequence + 1

    def _restart(self, sequence_number: int) -> None:
        self._base_sequence = sequence_number
        self._max_sequence = sequence_number
        self._bad_sequence = _NO_BAD_SEQUENCE
        self._cycles = 0
        self._received = 0
        self._received_prior = 0
        self._expected_prior = 0

    def _update_sequence(self, sequence_number: int) -> bool:
        assert self._max_sequence is not None
        delta = (sequence_number - self._max_sequence) % _SEQUENCE_MODULUS
        if self._probation:
            if delta == 1:
                self._probation -= 1
                self._max_sequence = sequence_number
                if self._probation == 0:
                    self._restart(sequence_number)
                    self._received = 1
                    return True
            else:
                self._probation = max(self._min_sequential - 1, 1)
                self._max_sequence = sequence_number
            return False
        if delta < MAX_DROPOUT:
            if sequence_number < self._max_sequence:
                self._cycles += _SEQUENCE_MODULUS
            self._max_sequence = sequence_number
        elif delta <= _SEQUENCE_MODULUS - MAX_MISORDER:
            if sequence_number != self._bad_sequence:
                self._bad_sequence = (sequence_number + 1) % _SEQUENCE_MODULUS
                return False
            # Two in a row: the other side restarted without telling us.
            self._restart(sequence_number)
        self._received += 1
        return True

    def _update_jitter(self, timestamp: int, arrival_time: float) -> None:
        arrival = int(arrival_time * self.clock_rate)
        transit = (arrival - timestamp) & 0xFFFFFFFF
        if self._transit is not None:
            difference = (transit - self._transit) & 0xFFFFFFFF
            difference = min(difference, (1 << 32) - difference)
            self._jitter_q4 += difference - ((self._jitter_q4 + 8) >> 4)
        self._transit = transit
