"""G.711, statistics, pacing, the jitter buffer, WAV files and sockets."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import random
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp import (
    JitterBuffer,
    Lost,
    Pacer,
    ReceiverStatistics,
    RtpPacket,
    UdpSocket,
    UnsupportedAudioError,
    bind_rtp_pair,
    decode_pcma,
    decode_pcmu,
    encode_pcma,
    encode_pcmu,
    read_wav,
    write_wav,
)

EVERY_SAMPLE = np.arange(-32768, 32768, dtype=np.int16)
EVERY_CODE = bytes(range(256))


def test_g711_against_cpythons_audioop():
    """By digests, since Python 3.13 has that module no more."""
    found = {
        "encode_pcmu": encode_pcmu(EVERY_SAMPLE),
        "encode_pcma": encode_pcma(EVERY_SAMPLE),
        "decode_pcmu": decode_pcmu(EVERY_CODE).astype("<i2").tobytes(),
        "decode_pcma": decode_pcma(EVERY_CODE).astype("<i2").tobytes(),
    }
    wanted = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "g711.json").read_text())
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == {
        name: digest for name, digest in wanted.items() if name != "source"
    }


@pytest.mark.parametrize(("encode", "decode"), [(encode_pcmu, decode_pcmu), (encode_pcma, decode_pcma)])
def test_g711_is_stable(encode, decode):
    once = decode(encode(EVERY_SAMPLE))
    assert (decode(encode(once)) == once).all()
    error = np.abs(once.astype(int) - EVERY_SAMPLE)
    assert (error <= np.maximum(16, np.abs(EVERY_SAMPLE.astype(int)) // 16 + 4)).all()
    assert decode(encode(np.zeros(0, np.int16))).size == 0


class Rfc3550:
    """RFC 3550 A.1, A.3 and A.8, as the C code there has it."""

    def __init__(self, seq):
        self.init(seq)
        self.max_seq = (seq - 1) & 0xFFFF
        self.probation = 2
        self.transit = self.jitter = 0

    def init(self, seq):
        self.base_seq = self.max_seq = seq
        self.bad_seq, self.cycles, self.received = 65537, 0, 0
        self.received_prior = self.expected_prior = 0

    def update(self, seq):
        udelta = (seq - self.max_seq) & 0xFFFF
        if self.probation:
            if seq == (self.max_seq + 1) & 0xFFFF:
                self.probation -= 1
                self.max_seq = seq
                if self.probation == 0:
                    self.init(seq)
                    self.received += 1
                    return 1
            else:
                self.probation = 1
                self.max_seq = seq
            return 0
        if udelta < 3000:
            if seq < self.max_seq:
                self.cycles += 65536
            self.max_seq = seq
        elif udelta <= 65536 - 100:
            if seq == self.bad_seq:
                self.init(seq)
            else:
                self.bad_seq = (seq + 1) & 0xFFFF
                return 0
        self.received += 1
        return 1

    def arrive(self, timestamp, arrival):
        transit = arrival - timestamp
        d = abs(transit - self.transit)
        self.transit = transit
        self.jitter += d - ((self.jitter + 8) >> 4)

    def fraction(self):
        expected = self.cycles + self.max_seq - self.base_seq + 1
        expected_interval, self.expected_prior = expected - self.expected_prior, expected
        received_interval, self.received_prior = self.received - self.received_prior, self.received
        lost = expected_interval - received_interval
        return 0 if expected_interval == 0 or lost <= 0 else (lost << 8) // expected_interval


@given(st.integers(0, 2**32 - 1), st.integers(0, 65535))
def test_statistics_follow_the_rfc(seed, start):
    rng = random.Random(seed)
    ours, reference = ReceiverStatistics(8000), Rfc3550(start)
    sequence, first = start, True
    for number in range(300):
        shown = rng.randrange(65536) if rng.random() < 0.01 else sequence & 0xFFFF
        arrival = number * 160 + rng.randrange(80)
        valid = ours.receive(shown, (number * 160) & 0xFFFFFFFF, (arrival + 0.5) / 8000)
        assert valid == bool(reference.update(shown))
        if valid:
            if first:
                reference.transit, first = arrival - number * 160, False
            else:
                reference.arrive(number * 160, arrival)
        sequence += rng.choice((1, 1, 1, 1, 2, 0, -1, 5))
        if number % 50 == 49 and reference.received:
            block = ours.report_block(1, 0.0)
            assert block.fraction_lost == min(255, reference.fraction())
            assert block.jitter == reference.jitter >> 4
            expected = reference.cycles + reference.max_seq - reference.base_seq + 1
            assert block.cumulative_lost == expected - reference.received
            assert block.highest_sequence == reference.cycles + reference.max_seq


def test_pacer_keeps_the_pace_and_does_not_burst():
    pacer = Pacer(0.02)
    assert pacer.next_due(10.0) == 0
    assert pacer.next_due(10.001) == pytest.approx(0.019)
    assert pacer.next_due(10.05) == 0  # late: at once
    assert pacer.next_due(10.05) == pytest.approx(0.01)  # and the pace is kept
    assert pacer.next_due(20.0) == 0  # a stall: no burst of 500
    assert pacer.next_due(20.0) == pytest.approx(0.02)
    with pytest.raises(ValueError, match="positive"):
        Pacer(0)


def packet(sequence, ssrc=1):
    return RtpPacket(0, sequence & 0xFFFF, 0, ssrc)


def played(buffer):
    out = []
    while (item := buffer.pop()) is not None:
        out.append(("lost" if isinstance(item, Lost) else "ok", item.sequence_number))
    return out


def test_jitter_buffer_reorders_and_reports_losses():
    buffer = JitterBuffer(depth=3)
    for sequence in (65534, 0, 65535, 2, 2):
        buffer.push(packet(sequence))
    assert played(buffer) == [("ok", 65534), ("ok", 65535), ("ok", 0), ("lost", 1), ("ok", 2)]
    assert not buffer.push(packet(1))
    found = buffer.counters
    assert (found.played, found.lost, found.duplicate, found.late) == (4, 1, 1, 1)


def test_jitter_buffer_is_bounded_and_follows_restarts():
    buffer = JitterBuffer(depth=1, capacity=10)
    for sequence in range(0, 60000, 7):
        buffer.push(packet(sequence))
        assert len(buffer) <= 10
    buffer.push(packet(5, ssrc=2))
    assert played(buffer) == [("ok", 5)]


@given(st.lists(st.integers(0, 65535), max_size=200))
def test_jitter_buffer_never_goes_back(sequences):
    buffer = JitterBuffer(depth=2, capacity=20)
    for sequence in sequences:
        buffer.push(packet(sequence))
        assert len(buffer) <= 20
        buffer.pop()
    assert len(buffer.drain()) <= 20


@pytest.mark.parametrize(
    ("width", "channels", "rate"), [(1, 1, 8000), (2, 1, 8000), (2, 2, 16000), (3, 1, 44100), (4, 2, 48000)]
)
def test_wav_of_other_formats(tmp_path, width, channels, rate):
    path = tmp_path / "in.wav"
    value = 1 << (8 * width - 3)
    sample = (128 + 32).to_bytes(1) if width == 1 else value.to_bytes(width, "little", signed=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(sample * channels * rate)
    samples = read_wav(path)
    assert abs(len(samples) - 8000) <= 1
    assert (np.abs(samples.astype(int) - 8192) <= 1).all()


def test_wav_round_trip(tmp_path):
    write_wav(tmp_path / "x.wav", EVERY_SAMPLE)
    assert (read_wav(tmp_path / "x.wav") == EVERY_SAMPLE).all()
    (tmp_path / "no.wav").write_bytes(b"RIFF")
    with pytest.raises(UnsupportedAudioError, match=r"no\.wav"):
        read_wav(tmp_path / "no.wav")
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "missing.wav")


def test_wav_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    """The `wave` module leaves half an object behind where it opens the file itself, which fails when it is freed."""
    unraisable = []
    before, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        with pytest.raises(FileNotFoundError):
            write_wav(tmp_path / "nowhere" / "heard.wav", np.zeros(8, np.int16))
        gc.collect()
    finally:
        sys.unraisablehook = before
    assert unraisable == []


@pytest.mark.parametrize("data", [b"", b"hi", b"RIFF", b"RIFF\x04\0\0\0WAVE"])
def test_what_is_no_wav_file_is_said(tmp_path, data):
    (tmp_path / "bad.wav").write_bytes(data)
    with pytest.raises(UnsupportedAudioError, match=r"bad\.wav is no WAV file of PCM samples: .+"):
        read_wav(tmp_path / "bad.wav")


async def test_udp_socket_delivers_and_closes():
    got = asyncio.Queue()
    receiver = UdpSocket.bind("127.0.0.1", 0, lambda data, address: got.put_nowait((data, address)))
    sender = UdpSocket.bind("127.0.0.1", 0, lambda *_: None)
    for number in range(200):
        sender.send(b"%d" % number, receiver.local_address)
    async with asyncio.timeout(2):
        received = [await got.get() for _ in range(200)]
    assert [int(data) for data, _ in received] == list(range(200))
    assert received[0][1] == sender.local_address
    address = receiver.local_address
    receiver.close()
    receiver.close()
    for _ in range(3):  # the port is closed now: ICMP errors come back and do no harm
        sender.send(b"x", address)
        await asyncio.sleep(0.01)
    sender.close()
    sender.send(b"x", address)
    assert sender.closed


def test_rtp_pair_is_even_and_odd():
    pairs = [bind_rtp_pair("127.0.0.1") for _ in range(20)]
    for rtp, rtcp in pairs:
        port = rtp.getsockname()[1]
        assert port % 2 == 0
        assert rtcp.getsockname()[1] == port + 1
        rtp.close()
        rtcp.close()
