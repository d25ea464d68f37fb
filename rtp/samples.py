"""What an application gives as audio, as 16-bit samples: converted where that is plain, else refused in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import UnsupportedAudioError

Samples = NDArray[np.int16]
_LOWEST, _HIGHEST = -32768, 32767


def as_samples(audio: ArrayLike) -> Samples:
    """Returns audio as one row of 16-bit samples.

    16-bit samples stay as they are. Other integers are taken for such samples, and floating-point numbers for a full
    scale of ±1. Two channels, as frames by two or two by frames, are averaged. Raises UnsupportedAudioError for what
    would come out as something else: values beyond the 16 bits or ±1, NaN, 8-bit integers, bytes, more channels.
    """
    if isinstance(audio, np.ndarray) and audio.dtype == np.int16 and audio.ndim == 1:
        return audio
    if isinstance(audio, bytes | bytearray | memoryview | str):
        raise UnsupportedAudioError(
            f"{type(audio).__name__} could be samples of any form: say which, as np.frombuffer(data, '<i2') does for "
            "16 bits, little-endian, or rtp.decode_pcmu(data) for G.711"
        )
    try:
        array = np.asarray(audio)
    except ValueError:
        raise UnsupportedAudioError("the samples make no array: their rows have different lengths") from None
    if not array.size:
        return np.zeros(0, np.int16)
    if array.dtype.kind == "f":
        return _of_floats(_mono(array.astype(np.float64)))
    if array.dtype.kind not in "iu" or array.dtype.itemsize == 1:
        raise UnsupportedAudioError(
            f"samples of {array.dtype} are not taken: give 16-bit integers, or floating-point numbers in ±1"
        )
    low, high = int(array.min()), int(array.max())
    if low < _LOWEST or high > _HIGHEST:
        raise UnsupportedAudioError(
            f"{array.dtype} samples from {low} to {high} are beyond 16 bits: shift them right, as by 16 for 32 bits"
        )
    return np.round(_mono(array.astype(np.float64))).astype(np.int16)


def _of_floats(array: NDArray[np.float64]) -> Samples:
    highest = float(np.abs(array).max())
    if not np.isfinite(highest):
        raise UnsupportedAudioError("there are samples that are no finite numbers")
    if highest > 1.0:
        raise UnsupportedAudioError(
            f"floating-point samples up to {highest:g} are beyond ±1: clip or scale them, or give integers"
        )
    return np.clip(np.round(array * (1 + _HIGHEST)), _LOWEST, _HIGHEST).astype(np.int16)


def _mono(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """One channel of one or two."""
    if array.ndim == 1:
        return array
    if array.ndim == 2 and array.shape[1] <= 2:
        return np.asarray(array.mean(axis=1))
    if array.ndim == 2 and array.shape[0] <= 2:
        return np.asarray(array.mean(axis=0))
    raise UnsupportedAudioError(f"samples of shape {array.shape} are neither one row nor frames of two channels")
