"""Puts packets back into order and holds them until they are due."""

from __future__ import annotations

from dataclasses import dataclass

from .packet import RtpPacket

_MODULUS = 1 << 16


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands for one packet that did not come in time."""

    sequence_number: int


@dataclass(frozen=True, slots=True)
class JitterCounters:
    """How many packets were handed out, dropped (too late, duplicate, buffer full), or given up as lost."""

    played: int
    late: int
    duplicate: int
    overflow: int
    lost: int


class JitterBuffer:
    """Reorders one source by sequence number; holds `depth` packets before the first, at most `capacity`.

    Push packets as they come and pop one each time that a frame is wanted. A jump of the sequence number by
    more than `capacity`, or another SSRC, starts it anew.
    """

    def __init__(self, *, depth: int = 3, capacity: int = 100) -> None:
        if not 1 <= depth <= capacity < _MODULUS // 2:
            raise ValueError(f"depth {depth} and capacity {capacity} do not fit each other")
        self.depth = depth
        self.capacity = capacity
        self._packets: dict[int, RtpPacket] = {}
        self._next: int | None = None
        # Of the packets held that which is furthest on.
        self._furthest = 0
        self._ssrc: int | None = None
        self._buffering = True
        self._played = self._late = self._duplicate = self._overflow = self._lost = 0

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def counters(self) -> JitterCounters:
        """The counts since the start."""
        return JitterCounters(self._played, self._late, self._duplicate, self._overflow, self._lost)

    def push(self, packet: RtpPacket) -> bool:
        """Takes a packet; returns False when it is late or a duplicate, and so dropped."""
        if packet.ssrc != self._ssrc:
            self._restart(packet)
        sequence = packet.sequence_number
        if self._next is not None:
            ahead = (sequence - self._next) % _MODULUS
            if ahead >= _MODULUS - self.capacity:
                if self._played == 0 and self._buffering and self._fits_before(sequence):
                    self._next = sequence
                else:
                    self._late += 1
                    return False
            elif ahead >= self.capacity:
                self._overflow += len(self._packets)
                self._restart(packet)
        if sequence in self._packets:
            self._duplicate += 1
            return False
        if self._next is None:
            self._next = sequence
        if not self._packets or (sequence - self._furthest) % _MODULUS < _MODULUS // 2:
            self._furthest = sequence
        self._packets[sequence] = packet
        if len(self._packets) >= self.depth:
            self._buffering = False
        return True

    def pop(self) -> RtpPacket | Lost | None:
        """Returns the next packet in order, Lost where it is missing but later ones are here, or None to wait."""
        if self._next is None or self._buffering or not self._packets:
            # Run dry: wait for the depth again, or the gap that made it dry would come at every packet.
            self._buffering = self._buffering or not self._packets
            return None
        sequence = self._next
        self._next = (sequence + 1) % _MODULUS
        packet = self._packets.pop(sequence, None)
        if packet is None:
            self._lost += 1
            return Lost(sequence)
        self._played += 1
        return packet

    def drain(self) -> list[RtpPacket | Lost]:
        """Returns all that is left, in order, as at the end of a call."""
        self._buffering = False
        left = []
        while self._packets:
            item = self.pop()
            if item is None:
                break
            left.append(item)
        return left

    def _fits_before(self, sequence: int) -> bool:
        return not self._packets or (self._furthest - sequence) % _MODULUS < self.capacity

    def _restart(self, packet: RtpPacket) -> None:
        self._packets.clear()
        self._ssrc = packet.ssrc
        self._next = None
        self._buffering = True
