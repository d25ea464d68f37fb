"""The tune that `securertc demo` plays: synthesised here, so that its WAV file is free of anybody's rights.

`python -m securertc.melody PATH` writes the file anew.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtp import read_wav, write_wav

SAMPLE_RATE = 8000
_BEAT = 0.25
# (beat, length in beats, semitones from A4): a broken F major seventh, a turn through G, home to C.
_NOTES = (
    (0, 3, -16), (1, 3, -9), (2, 3, -5), (3, 3, 0), (4, 4, 3), (5, 3, 0),
    (6, 4, -14), (7, 3, -7), (8, 3, -2), (9, 3, 2), (10, 4, 5), (11, 3, 2),
    (12, 6, -21), (12.5, 6, -9), (13, 6, -5), (13.5, 6, -2), (14, 6, 3), (15, 5, 7), (16, 4, 15),
)  # fmt: skip
_PARTIALS = ((1.0, 1.0), (2.0, 0.35), (3.0, 0.12), (4.0, 0.05))
_PEAK = 20000


def synthesise() -> NDArray[np.int16]:
    """Returns the tune, 5 seconds of mono samples at 8 kHz."""
    total = np.zeros(int(5.0 * SAMPLE_RATE))
    for beat, beats, semitones in _NOTES:
        start = int(beat * _BEAT * SAMPLE_RATE)
        note = _pluck(440.0 * 2 ** (semitones / 12), beats * _BEAT)[: total.size - start]
        total[start : start + note.size] += note
    fade = int(0.15 * SAMPLE_RATE)
    total[-fade:] *= np.linspace(1.0, 0.0, fade)
    samples: NDArray[np.int16] = np.round(total / np.abs(total).max() * _PEAK).astype(np.int16)
    return samples


def _pluck(frequency: float, seconds: float) -> NDArray[np.float64]:
    """A note that is struck and dies away; partials above the telephone band are left out."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    note = np.zeros(time.size)
    for multiple, level in _PARTIALS:
        if frequency * multiple < 3400:
            note += level * np.exp(-2.2 * multiple * time) * np.sin(2 * np.pi * frequency * multiple * time)
    ramp = np.minimum(1.0, np.minimum(time / 0.008, (seconds - time) / 0.03))
    shaped: NDArray[np.float64] = note * ramp
    return shaped


def shipped_melody() -> NDArray[np.int16]:
    """Returns the samples of the WAV file that ships with the package."""
    with resources.as_file(resources.files("securertc.demo") / "audio" / "melody.wav") as path:
        return read_wav(path, sample_rate=SAMPLE_RATE)


if __name__ == "__main__":
    write_wav(Path(sys.argv[1]), synthesise(), sample_rate=SAMPLE_RATE)
