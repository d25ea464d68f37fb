"""Pure tones, written for a peer to play and found again in what it, or we, decoded."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 8000


def tone(frequency: float, seconds: float, *, amplitude: float = 8000.0) -> NDArray[np.int16]:
    """Returns `seconds` of a sine of `frequency` Hz as 8 kHz samples."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.round(amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def write_tone(path: Path, frequency: float, *, seconds: float = 120.0) -> Path:
    """Writes a mono 16-bit WAV file of 8 kHz and returns its path."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(tone(frequency, seconds).astype("<i2").tobytes())
    return path


def read_samples(path: Path) -> NDArray[np.int16]:
    """Returns the samples of a mono 16-bit WAV file, also of one that a killed writer left unfinished."""
    data = path.read_bytes()
    start = data.index(b"data") + 8
    return np.frombuffer(data[start : start + (len(data) - start) // 2 * 2], dtype="<i2").astype(np.int16)


def dominant_frequency(samples: NDArray[np.int16]) -> tuple[float, float]:
    """Returns the strongest frequency of 8 kHz samples in Hz, and its share of the signal's energy (0 to 1).

    White noise, which is what a wrong key decodes to, has a share near 0; a clean tone is near 1.
    """
    signal = samples.astype(np.float64) * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(signal)) ** 2
    spectrum[:3] = 0
    if not spectrum.any():
        return 0.0, 0.0
    peak = int(np.argmax(spectrum))
    share = float(spectrum[max(peak - 3, 0) : peak + 4].sum() / spectrum.sum())
    return peak * SAMPLE_RATE / len(samples), share


def assert_tone(samples: NDArray[np.int16], frequency: float, *, seconds: float = 1.0) -> None:
    """Fails unless `samples` hold at least `seconds` of a clean tone of `frequency` Hz (within 5 Hz).

    Looks at the middle of the sounding part, so that silence before and after does not count.
    """
    sounding = np.flatnonzero(np.abs(samples.astype(np.int32)) > 500)
    assert sounding.size, f"silence instead of {frequency} Hz ({len(samples)} samples)"
    part = samples[sounding[0] : sounding[-1] + 1]
    wanted = int(seconds * SAMPLE_RATE)
    assert len(part) >= wanted, f"only {len(part) / SAMPLE_RATE:.2f} s of sound instead of {seconds} s"
    middle = (len(part) - wanted) // 2
    found, share = dominant_frequency(part[middle : middle + wanted])
    assert abs(found - frequency) < 5, f"{found:.0f} Hz instead of {frequency} Hz"
    assert share > 0.8, f"{frequency} Hz holds only {share:.0%} of the energy"
