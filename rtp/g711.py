"""PCMU and PCMA (ITU-T G.711, RFC 3551 4.5.14) by table."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .samples import as_samples

Samples = NDArray[np.int16]


@functools.cache
def _pcmu_decoding() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    exponent, mantissa = (code >> 4) & 7, code & 0x0F
    magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


@functools.cache
def _pcma_decoding() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, code & 0x0F
    linear = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, linear, (linear + 0x100) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _segment(magnitude: NDArray[np.int32], first_end: int) -> NDArray[np.int32]:
    """The segment (exponent) of each magnitude: how many of the doubling ends it lies beyond."""
    ends = ((first_end + 1) << np.arange(8)) - 1
    return np.searchsorted(ends, magnitude).astype(np.int32)


@functools.cache
def _pcmu_encoding() -> NDArray[np.uint8]:
    # Indexed by the sample's upper 14 bits, as the standard's mu-law takes 14-bit samples.
    sample = np.arange(1 << 14, dtype=np.int32)
    sample = np.where(sample >= 1 << 13, sample - (1 << 14), sample)
    magnitude = np.minimum(np.where(sample < 0, -sample, sample), 8159) + 33
    exponent = _segment(magnitude, 0x3F)
    code = exponent << 4 | (magnitude >> (exponent + 1)) & 0x0F
    code = np.where(exponent >= 8, 0x7F, code)
    return (np.where(sample < 0, code | 0x80, code) ^ 0xFF).astype(np.uint8)


@functools.cache
def _pcma_encoding() -> NDArray[np.uint8]:
    # Indexed by the sample's upper 13 bits, as the standard's A-law takes 13-bit samples.
    sample = np.arange(1 << 13, dtype=np.int32)
    sample = np.where(sample >= 1 << 12, sample - (1 << 13), sample)
    magnitude = np.where(sample < 0, -sample - 1, sample)
    exponent = _segment(magnitude, 0x1F)
    code = exponent << 4 | (magnitude >> np.maximum(exponent, 1)) & 0x0F
    return (np.where(sample < 0, code, code | 0x80) ^ 0x55).astype(np.uint8)


def encode_pcmu(samples: ArrayLike) -> bytes:
    """Returns one mu-law byte for each 16-bit sample; raises UnsupportedAudioError as as_samples() does."""
    encoded: bytes = _pcmu_encoding()[(as_samples(samples).astype(np.int32) >> 2) & 0x3FFF].tobytes()
    return encoded


def decode_pcmu(data: bytes | bytearray | memoryview) -> Samples:
    """Returns a 16-bit sample for each mu-law byte."""
    return _pcmu_decoding()[np.frombuffer(data, np.uint8)]


def encode_pcma(samples: ArrayLike) -> bytes:
    """Returns one A-law byte for each 16-bit sample; raises UnsupportedAudioError as as_samples() does."""
    encoded: bytes = _pcma_encoding()[(as_samples(samples).astype(np.int32) >> 3) & 0x1FFF].tobytes()
    return encoded


def decode_pcma(data: bytes | bytearray | memoryview) -> Samples:
    """Returns a 16-bit sample for each A-law byte."""
    return _pcma_decoding()[np.frombuffer(data, np.uint8)]
