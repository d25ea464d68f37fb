"""What is given as audio comes out as what was meant, or is refused in words: neither silence nor wrapped around."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtp import (
    UnsupportedAudioError,
    as_samples,
    decode_pcma,
    decode_pcmu,
    encode_pcma,
    encode_pcmu,
    read_wav,
    write_wav,
)
from sdp import Codec, Direction, NegotiatedAudio
from securertc import MediaSession
from securertc.media.stream import MediaStream

WAVE = np.round(np.sin(np.arange(800) / 5) * 12000).astype(np.int16)
FLOATS = WAVE / 32768
PLAIN: dict[str, object] = {
    "float32": FLOATS.astype(np.float32),
    "float64": FLOATS,
    "list of floats": FLOATS.tolist(),
    "int32": WAVE.astype(np.int32),
    "int64": WAVE.astype(np.int64),
    "list of integers": WAVE.tolist(),
    "big-endian": WAVE.astype(">i2"),
    "one column": WAVE.reshape(-1, 1),
    "stereo": np.stack((WAVE, WAVE), axis=1),
    "two channels one after the other": np.stack((WAVE, WAVE)),
    "stereo in floats": np.stack((FLOATS, FLOATS), axis=1).astype(np.float32),
    "left louder than right": np.stack((WAVE + 100, WAVE - 100), axis=1).astype(np.int32),
}
REFUSED: dict[str, tuple[object, str]] = {
    "bytes": (WAVE.tobytes(), "bytes could be"),
    "bytearray": (bytearray(WAVE.tobytes()), "bytearray could be"),
    "text": ("tone", "str could be"),
    "floats beyond one": (WAVE.astype(np.float32), "beyond ±1"),
    "a little beyond one": (FLOATS * 3, "beyond ±1"),
    "not a number": (np.array([0.5, np.nan]), "no finite"),
    "infinity": (np.array([0.5, np.inf]), "no finite"),
    "full scale of 32 bits": (WAVE.astype(np.int32) << 16, "beyond 16 bits"),
    "one too many": (np.array([32768]), "beyond 16 bits"),
    "unsigned 16 bits": (WAVE.view(np.uint16), "beyond 16 bits"),
    "unsigned 8 bits": (np.full(800, 128, np.uint8), "uint8"),
    "signed 8 bits": (np.full(800, 100, np.int8), "int8"),
    "booleans": (WAVE > 0, "bool"),
    "complex": (FLOATS.astype(complex), "complex128"),
    "objects": (np.array([object()]), "object"),
    "three channels": (np.stack((WAVE, WAVE, WAVE), axis=1), "shape"),
    "rows of different lengths": ([[1, 2], [3]], "different lengths"),
    "none": (None, "object"),
}
AGREED = NegotiatedAudio(
    remote_address="127.0.0.1",
    remote_port=9,
    remote_rtcp_port=9,
    rtcp_mux=True,
    protocol="RTP/AVP",
    codec=Codec("PCMU", 8000, 0),
    payload_type=0,
    direction=Direction.SENDRECV,
    ptime=100,
)


def by_stream(audio: object) -> np.ndarray:
    stream = MediaStream(AGREED, 0.0, unix_time=0.0)
    datagram = stream.audio(audio, 0.0)  # type: ignore[arg-type]
    assert datagram is not None
    return decode_pcmu(datagram.data[12:])


@pytest.mark.parametrize("kind", PLAIN)
def test_what_is_plain_is_converted(kind: str) -> None:
    samples = as_samples(PLAIN[kind])  # type: ignore[arg-type]
    assert samples.dtype == np.int16
    assert np.abs(samples.astype(int) - WAVE).max() <= 1


@pytest.mark.parametrize("encoding", [(encode_pcmu, decode_pcmu), (encode_pcma, decode_pcma)], ids=["PCMU", "PCMA"])
@pytest.mark.parametrize("kind", PLAIN)
def test_the_codecs_take_it(kind: str, encoding: tuple[Callable, Callable]) -> None:
    encode, decode = encoding
    heard = decode(encode(PLAIN[kind])).astype(int)
    assert heard.shape == WAVE.shape
    assert np.abs(heard - WAVE).max() <= 600


@pytest.mark.parametrize("kind", PLAIN)
def test_streams_and_files_take_it(kind: str, tmp_path: Path) -> None:
    assert np.abs(by_stream(PLAIN[kind]).astype(int) - WAVE).max() <= 600
    write_wav(tmp_path / "x.wav", PLAIN[kind])  # type: ignore[arg-type]
    assert np.abs(read_wav(tmp_path / "x.wav").astype(int) - WAVE).max() <= 1


@pytest.mark.parametrize("kind", PLAIN)
async def test_sessions_take_it(kind: str) -> None:
    session = MediaSession("127.0.0.1")
    sent: list[bytes] = []
    session._send = lambda datagrams: sent.extend(datagram.data for datagram in datagrams)  # type: ignore[method-assign]
    try:
        session.start(AGREED)
        await session.send_audio(PLAIN[kind])  # type: ignore[arg-type]
    finally:
        session.close()
    heard = decode_pcmu(sent[0][12:]).astype(int)
    assert heard.size == WAVE.size
    assert np.abs(heard - WAVE).max() <= 600


@pytest.mark.parametrize("kind", REFUSED)
async def test_all_else_is_refused_in_words(kind: str, tmp_path: Path) -> None:
    audio, words = REFUSED[kind]
    session = MediaSession("127.0.0.1")
    try:
        session.start(AGREED)
        with pytest.raises(UnsupportedAudioError, match=words):
            await session.send_audio(audio)  # type: ignore[arg-type]
        assert session.statistics.packets_sent == 0
    finally:
        session.close()
    for take in (as_samples, encode_pcmu, encode_pcma, by_stream):
        with pytest.raises(UnsupportedAudioError, match=words):
            take(audio)  # type: ignore[arg-type,operator]
    with pytest.raises(UnsupportedAudioError, match=words):
        write_wav(tmp_path / "x.wav", audio)  # type: ignore[arg-type]
    assert not (tmp_path / "x.wav").exists()


def test_full_scale_does_not_wrap_around() -> None:
    assert as_samples([1.0, -1.0]).tolist() == [32767, -32768]
    assert as_samples(np.array([[32767, 32767], [-32768, -32768]], np.int16)).tolist() == [32767, -32768]
    assert as_samples([]).size == 0


def test_16_bit_samples_are_not_copied() -> None:
    assert as_samples(WAVE) is WAVE


def tone_in_file(path: Path, frequency: float, rate: int, *, seconds: float = 1.0) -> None:
    moments = np.arange(int(rate * seconds)) / rate
    write_wav(path, np.sin(2 * np.pi * frequency * moments) * 0.5, sample_rate=rate)


def level(samples: np.ndarray, frequency: float | None = None) -> float:
    """In dB of full scale: of all, or of one frequency; the ends, where a tone is cut off, are left out."""
    middle = samples[800:-800].astype(float) / 32768
    if frequency is None:
        return 10 * np.log10(np.mean(middle**2) * 2 + 1e-12)
    part = np.exp(-2j * np.pi * frequency / 8000 * np.arange(middle.size))
    return 20 * np.log10(abs(np.dot(middle, part)) * 2 / middle.size + 1e-12)


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 32000, 44100, 48000, 96000])
def test_what_8_khz_cannot_carry_is_filtered_out(rate: int, tmp_path: Path) -> None:
    """Taken by interpolation, a tone of 5 kHz would be one of 3 kHz."""
    for frequency in (4100, 4500, 5000, 5400, 7000, 9000, 15000, 23000):
        if frequency < rate / 2:
            tone_in_file(tmp_path / "x.wav", frequency, rate)
            assert level(read_wav(tmp_path / "x.wav")) < -60, f"{frequency} Hz"


@pytest.mark.parametrize("rate", [4000, 11025, 16000, 22050, 32000, 44100, 48000, 96000])
def test_what_8_khz_can_carry_is_kept(rate: int, tmp_path: Path) -> None:
    for frequency in (100, 440, 1000, 1700, 3000, 3400, 3600):
        if frequency < 0.9 * rate / 2:
            tone_in_file(tmp_path / "x.wav", frequency, rate)
            samples = read_wav(tmp_path / "x.wav")
            assert abs(level(samples, frequency) - 20 * np.log10(0.5)) < 0.1, f"{frequency} Hz"
            assert abs(samples.size - 8000) <= 1


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2**31 - 1])
def test_rates_that_no_audio_has(rate: int, tmp_path: Path) -> None:
    """A file of a few kilobytes must not want gigabytes: what is computed follows from the rate that it says."""
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(20_000))
    with pytest.raises(UnsupportedAudioError, match=f"at {rate} Hz"):
        read_wav(path)


@pytest.mark.parametrize("rate", [1000, 44_101, 767_999, 768_000])
def test_odd_rates_take_no_long_time(rate: int, tmp_path: Path) -> None:
    tone_in_file(tmp_path / "x.wav", 300, rate, seconds=0.5)
    assert abs(read_wav(tmp_path / "x.wav").size - 4000) <= 1
