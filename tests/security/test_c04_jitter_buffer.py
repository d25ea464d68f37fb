"""A packet costs the same however many are held, in whatever order they come."""

from __future__ import annotations

import random
import time

import pytest

from rtp import JitterBuffer, RtpPacket

COUNT = 16_000
# One by one compared with all that are held they would take many times as long.
SECONDS = 2.0
CAPACITY = 20_000
FIRST = 0xF000  # so that the numbers wrap


def packet(number: int) -> RtpPacket:
    return RtpPacket(0, number & 0xFFFF, 0, 7, b"")


ORDERS = {
    "backwards": list(reversed(range(COUNT))),
    "in order": list(range(COUNT)),
    "at random": random.Random(4).sample(range(COUNT), COUNT),
    "from the middle": [COUNT // 2 + (-1) ** at * ((at + 1) // 2) for at in range(COUNT - 1)],
}


@pytest.mark.parametrize("order", ORDERS)
def test_pushing_many(order: str) -> None:
    buffer = JitterBuffer(depth=CAPACITY, capacity=CAPACITY)
    packets = [packet(FIRST + number) for number in ORDERS[order]]
    began = time.process_time()
    for one in packets:
        assert buffer.push(one)
    assert time.process_time() - began < SECONDS
    assert len(buffer) == len(packets)
    numbers = [item.sequence_number for item in buffer.drain()]
    assert numbers == [(FIRST + number) & 0xFFFF for number in sorted(ORDERS[order])]


def test_what_fits_before_is_the_same_as_by_comparing_with_all() -> None:
    chance = random.Random(11)
    for _ in range(300):
        capacity = chance.randrange(4, 40)
        buffer = JitterBuffer(depth=capacity, capacity=capacity)
        at = chance.randrange(1 << 16)
        for _ in range(60):
            number = (at + chance.randrange(-capacity, capacity)) & 0xFFFF
            fits = all((held - number) & 0xFFFF < capacity for held in buffer._packets)
            assert (
                buffer._fits_before(number) == fits or not buffer._packets or (number - buffer._next) & 0xFFFF < 1 << 15
            )
            buffer.push(packet(number))
            if chance.random() < 0.2:
                buffer.pop()
