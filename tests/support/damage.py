"""Inputs damaged at random, for the fuzzers: seeded, so that a finding can be made again."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence

Check = Callable[[bytes], None]


def damage(source: random.Random, data: bytes, others: Sequence[bytes], pieces: Sequence[bytes]) -> bytes:
    """Returns `data` with one to eight parts replaced by pieces, noise or parts of others, or repeated."""
    out = bytearray(data)
    for _ in range(source.randint(1, 8)):
        start = source.randint(0, len(out))
        end = min(len(out), start + source.choice((0, 0, 1, 2, 8, 40)))
        kind = source.randrange(4)
        if kind == 0:
            out[start:end] = source.choice(pieces) * source.choice((1, 1, 1, 2, 50))
        elif kind == 1:
            out[start:end] = source.randbytes(source.randint(0, 4))
        elif kind == 2:
            other = source.choice(others)
            at = source.randrange(len(other))
            out[start:end] = other[at : at + source.randint(1, 60)]
        else:
            out[start:end] = out[start:end] * 2
    return bytes(out)


def fuzz(checks: Sequence[tuple[Check, Sequence[bytes]]], pieces: Sequence[bytes], arguments: Sequence[str]) -> int:
    """Runs the checks on damaged inputs in turn for SECONDS (600) from SEED (0), the two `arguments`.

    Returns 0, or 1 after printing the input on which a check raised.
    """
    seconds = float(arguments[0]) if arguments else 600.0
    seed = int(arguments[1]) if arguments[1:] else 0
    source = random.Random(seed)
    end, runs = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        check, inputs = checks[runs % len(checks)]
        data = damage(source, source.choice(inputs), inputs, pieces)
        try:
            check(data)
        except Exception as error:
            print(f"{check.__name__} failed with {error!r} on\n{data!r}")
            return 1
        runs += 1
    print(f"{sys.argv[0]}: {runs} inputs in {seconds:.0f} s, seed {seed}: nothing found")
    return 0
