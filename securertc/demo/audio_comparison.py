"""Whether the audio that came out is the audio that went in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtp import decode_pcma, decode_pcmu, encode_pcma, encode_pcmu

Samples = NDArray[np.int16]
_CODERS = {"PCMU": (encode_pcmu, decode_pcmu), "PCMA": (encode_pcma, decode_pcma)}


@dataclass(frozen=True, slots=True)
class AudioComparison:
    """How much of what was sent came out: all numbers are in samples.

    `offset` is where in the sent audio the received audio begins. `matching` samples are equal, `compared`
    were there on both sides, `expected` were sent.
    """

    expected: int
    compared: int
    matching: int
    offset: int

    @property
    def exact(self) -> bool:
        """Whether every sample sent came out, and nothing else."""
        return self.expected == self.compared == self.matching and self.offset == 0

    def __str__(self) -> str:
        if not self.expected:
            return "nothing was sent"
        if self.exact:
            return f"all {self.expected} samples exact"
        share = 100 * self.matching / self.expected
        return f"MISMATCH: {self.matching} of {self.expected} samples exact ({share:.1f} %)"


def through_codec(samples: Samples, encoding: str) -> Samples:
    """Returns what G.711 makes of `samples`: encoded and decoded again. `encoding` is PCMU or PCMA."""
    encode, decode = _CODERS[encoding]
    return decode(encode(samples))


def compare(sent: Samples, received: Samples, *, encoding: str) -> AudioComparison:
    """Compares the received samples with the sent ones as the codec leaves them.

    When the beginning was lost, the received audio is looked up in the sent audio. Samples received behind
    the end of what was sent count as mismatch unless they are silence, which a last, padded frame brings.
    """
    expected = through_codec(sent, encoding)
    offset = _find_offset(expected, received)
    compared = min(expected.size - offset, received.size)
    matching = int(np.count_nonzero(expected[offset : offset + compared] == received[:compared]))
    surplus = received[compared:]
    strange = int(np.count_nonzero(np.abs(surplus.astype(np.int32)) > 8))
    return AudioComparison(expected.size, compared, max(0, matching - strange), offset)


def _find_offset(expected: Samples, received: Samples) -> int:
    """Where `received` begins in `expected`: 0 unless only a later place matches its first 20 ms of sound."""
    sound = np.flatnonzero(np.abs(received.astype(np.int32)) > 8)
    if not sound.size or not expected.size:
        return 0
    start = int(sound[0])
    piece = received[start : start + 160]
    if np.array_equal(expected[start : start + piece.size], piece):
        return 0
    if piece.size < 16 or piece.size > expected.size:
        return 0
    windows = np.lib.stride_tricks.sliding_window_view(expected, piece.size)
    places = np.flatnonzero((windows[start:] == piece).all(axis=1))
    return int(places[0]) if places.size else 0
