"""What one SIP message costs from Python: ours beside sipmessage in the same run, interleaved, on one core."""

from __future__ import annotations

import importlib.metadata
import os
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
import sipmessage

from sip import parse_message

MESSAGES = 500
ROUNDS = 41
# The INVITE of RFC 3261 24.2 (F1), its branch, tag and Call-ID other in every message, so that nothing is met twice.
INVITE = (
    "INVITE sip:bob@biloxi.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776{number:06}\r\n"
    "Max-Forwards: 70\r\n"
    "To: Bob <sip:bob@biloxi.com>\r\n"
    "From: Alice <sip:alice@atlanta.com>;tag=1928{number:06}\r\n"
    "Call-ID: a84b4c76e6{number:06}@pc33.atlanta.com\r\n"
    "CSeq: 314159 INVITE\r\n"
    "Contact: <sip:alice@pc33.atlanta.com>\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: 142\r\n\r\n"
)
Operation = Callable[[bytes], object]


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Pins the process to the last of its cores, where least else runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


def ours(data: bytes) -> bytes:
    return parse_message(data).serialize()


def theirs(data: bytes) -> bytes:
    return bytes(sipmessage.Message.parse(data))


def ours_read(data: bytes) -> bytes:
    """With the fields read that a transaction and a dialog want."""
    message = parse_message(data)
    _ = message.vias[0].branch, message.from_.tag, message.to.tag, message.cseq, message.call_id, message.contacts
    return message.serialize()


def theirs_read(data: bytes) -> bytes:
    message = sipmessage.Message.parse(data)
    _ = message.via[0].parameters.get("branch"), message.from_address.parameters.get("tag"), message.cseq
    _ = message.to_address.parameters.get("tag"), message.call_id, message.contact
    return bytes(message)


def interleaved(operations: dict[str, Operation], data: list[bytes]) -> dict[str, float]:
    """Returns the median nanoseconds per message of each operation, the operations taking turns."""
    found: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(ROUNDS):
        for name, operation in operations.items():
            started = time.perf_counter_ns()
            for one in data:
                operation(one)
            found[name].append((time.perf_counter_ns() - started) / len(data))
    return {name: statistics.median(values) for name, values in found.items()}


def test_beside_sipmessage(capsys: pytest.CaptureFixture[str]) -> None:
    """The aim is 3 x in the first line."""
    data = [INVITE.format(number=number).encode() + bytes(142) for number in range(MESSAGES)]
    assert ours(data[7]) == theirs(data[7]) == ours_read(data[7]) == theirs_read(data[7]) == data[7]
    pairs = {
        "parse, serialise": (ours, theirs),
        "parse, read 6 fields, serialise": (ours_read, theirs_read),
    }
    other = f"sipmessage {importlib.metadata.version('sipmessage')}"
    lines = [f"\nRFC 3261's INVITE, {len(data[0])} bytes, beside {other}"]
    for what, (mine, other_one) in pairs.items():
        medians = interleaved({"ours": mine, "theirs": other_one}, data)
        factor = medians["theirs"] / medians["ours"]
        lines.append(
            f"  {what:<32}{medians['ours']:8.0f} ns against {medians['theirs']:8.0f} ns   {factor:5.2f} x as fast"
        )
    with capsys.disabled():
        print("\n".join(lines))


def test_parse_and_serialise(benchmark) -> None:
    data = [INVITE.format(number=number).encode() + bytes(142) for number in range(MESSAGES)]
    benchmark.extra_info["messages"] = MESSAGES
    benchmark.pedantic(lambda: [ours(one) for one in data], rounds=ROUNDS)
