"""WAV files in and out, by the standard library."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import UnsupportedAudioError
from .resampling import resample
from .samples import as_samples

Samples = NDArray[np.int16]
# What a file may say: from it follows how much is computed for each sample.
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000


def read_wav(path: str | Path, *, sample_rate: int = 8000) -> Samples:
    """Returns a WAV file's samples as mono 16-bit at `sample_rate` Hz.

    Takes PCM of 8, 16, 24 or 32 bits and any number of channels, which are averaged; another rate, from 1 to 768 kHz,
    is resampled, what is above half of the lower rate being filtered out before. Raises UnsupportedAudioError for other
    files, and OSError as open() does.
    """
    try:
        with open(path, "rb") as stream, wave.open(stream, "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise UnsupportedAudioError(f"{path} is no WAV file of PCM samples: {reason}") from None
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or channels <= 0:
        raise UnsupportedAudioError(f"{path} has {channels} channels at {rate} Hz")
    samples = _linear(data[: len(data) // (width * channels) * width * channels], width, path)
    if channels > 1:
        samples = samples.reshape(-1, channels).mean(axis=1)
    samples = resample(samples, rate, sample_rate)
    return np.clip(np.round(samples), -32768, 32767).astype(np.int16)


def _linear(data: bytes, width: int, path: str | Path) -> NDArray[np.float64]:
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) * 256
    if width == 2:
        return np.frombuffer(data, "<i2").astype(np.float64)
    if width == 3:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3).astype(np.int32)
        return ((parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) / 65536).astype(np.float64)
    if width == 4:
        return np.frombuffer(data, "<i4") / 65536
    raise UnsupportedAudioError(f"{path} has samples of {8 * width} bits")


def write_wav(path: str | Path | int, samples: ArrayLike, *, sample_rate: int = 8000) -> None:
    """Writes mono 16-bit samples to a path, or to a descriptor, which is closed then.

    Raises UnsupportedAudioError as as_samples() does, before a file is touched, and OSError as open() does.
    """
    try:
        row = as_samples(samples)
    except UnsupportedAudioError:
        if isinstance(path, int):
            os.close(path)
        raise
    # Opened here: of a file that it cannot open itself `wave` leaves half an object behind, which fails when freed.
    with open(path, "wb") as stream, wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(row.astype("<i2").tobytes())
