"""What one packet costs from Python: ours beside pylibsrtp in the same run, interleaved, on one core."""

from __future__ import annotations

import os
import statistics
import struct
import time
from collections.abc import Callable, Iterator

import pylibsrtp
import pytest

from srtp import Policy, Profile, Session

KEY, SALT = os.urandom(16), os.urandom(14)
POLICY = Policy(Profile.AES_CM_128_HMAC_SHA1_80, KEY, SALT)
PACKETS = 1000
ROUNDS = 41
# Payload bytes behind the 12 of the header; 160 make the packet of 172 bytes that telephony sends.
PAYLOADS = (20, 160, 1200)
Run = Callable[[], int]


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Pins the process to the last of its cores, where least else runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


def packets(payload: int) -> list[bytes]:
    body = os.urandom(payload)
    return [struct.pack("!BBHII", 0x80, 0, number, 160 * number, 0xCAFE) + body for number in range(PACKETS)]


def theirs(*, inbound: bool) -> pylibsrtp.Session:
    kind = pylibsrtp.Policy.SSRC_ANY_INBOUND if inbound else pylibsrtp.Policy.SSRC_ANY_OUTBOUND
    return pylibsrtp.Session(pylibsrtp.Policy(key=KEY + SALT, ssrc_type=kind))


def timed(operation: Callable[[bytes], bytes], data: list[bytes]) -> int:
    started = time.perf_counter_ns()
    for packet in data:
        operation(packet)
    return time.perf_counter_ns() - started


def timed_in_place(operation: Callable[[bytearray, int], int], data: list[bytes]) -> int:
    buffers = [bytearray(packet + bytes(10)) for packet in data]
    length = len(data[0])
    started = time.perf_counter_ns()
    for buffer in buffers:
        operation(buffer, length)
    return time.perf_counter_ns() - started


def runs_of(payload: int) -> dict[str, Run]:
    """Each run makes a session of its own, so that no index is used twice."""
    plain = packets(payload)
    sender = theirs(inbound=False)
    protected = [sender.protect(packet) for packet in plain]
    return {
        "protect": lambda: timed(Session(POLICY, None).protect, plain),
        "protect_into": lambda: timed_in_place(Session(POLICY, None).protect_into, plain),
        "unprotect": lambda: timed(Session(None, POLICY).unprotect, protected),
        "unprotect_into": lambda: timed_in_place(Session(None, POLICY).unprotect_into, protected),
        "pylibsrtp protect": lambda: timed(theirs(inbound=False).protect, plain),
        "pylibsrtp unprotect": lambda: timed(theirs(inbound=True).unprotect, protected),
    }


def interleaved(runs: dict[str, Run]) -> dict[str, float]:
    """Returns the median nanoseconds per packet of each run, the runs taking turns."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name].append(run() / PACKETS)
    return {name: statistics.median(values) for name, values in found.items()}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_beside_pylibsrtp(payload: int, capsys: pytest.CaptureFixture[str]) -> None:
    medians = interleaved(runs_of(payload))
    lines = [f"\nAES_CM_128_HMAC_SHA1_80, {12 + payload} bytes, {Session(POLICY, None).kernels} kernels"]
    for name, nanoseconds in medians.items():
        against = medians["pylibsrtp unprotect" if "unprotect" in name else "pylibsrtp protect"]
        lines.append(f"  {name:<20}{nanoseconds:8.0f} ns   {nanoseconds / against:6.3f} x pylibsrtp")
    with capsys.disabled():
        print("\n".join(lines))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_protect(benchmark, payload: int) -> None:
    plain = packets(payload)
    benchmark.extra_info["packets"] = PACKETS
    benchmark.pedantic(
        lambda protect: [protect(packet) for packet in plain],
        setup=lambda: ((Session(POLICY, None).protect,), {}),
        rounds=ROUNDS,
    )
