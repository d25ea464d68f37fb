"""The media of one call: sockets, SRTP, RTP and RTCP, from audio frames to datagrams and back."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtp import (
    Goodbye,
    JitterBuffer,
    Lost,
    Pacer,
    ReceiverReport,
    ReceiverStatistics,
    RtcpPacket,
    RtpError,
    RtpPacket,
    SenderReport,
    SourceDescription,
    UdpSocket,
    bind_rtp_pair,
    decode_pcma,
    decode_pcmu,
    encode_pcma,
    encode_pcmu,
    is_rtcp,
    ntp_time,
    parse_compound,
    serialize_compound,
)
from sdp import NegotiatedAudio
from srtp import Direction, Session, SrtpError

from .assurance import MediaFacts
from .errors import CallEndedError

Samples = NDArray[np.int16]
SAMPLE_RATE = 8000
FIRST_RTCP = 0.5
RTCP_INTERVAL = 5.0
# Frames kept for a reader that falls behind: 10 s.
MAX_FRAMES = 500
FLUSH_AFTER = 0.12
_CODECS = {"PCMU": (encode_pcmu, decode_pcmu), "PCMA": (encode_pcma, decode_pcma)}


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """The figures of a live call: packets each way, lost ones of those expected, jitter in seconds."""

    packets_sent: int
    packets_received: int
    lost: int
    jitter: float
    crypto_suite: str | None


class MediaSession:
    """RTP or SRTP audio over UDP sockets of its own, usable with any signalling.

    Create it, put `local_port` into the SDP, then start() with what was negotiated. Under SRTP nothing leaves
    in clear, RTCP included, and nothing that does not authenticate has any effect.
    """

    def __init__(self, host: str, *, clock_rate: int = SAMPLE_RATE) -> None:
        rtp, rtcp = bind_rtp_pair(host)
        self._rtp = UdpSocket(rtp, self._received_rtp_port)
        self._rtcp = UdpSocket(rtcp, self._received_rtcp_port)
        self.local_address, self.local_port = self._rtp.local_address
        self._clock_rate = clock_rate
        self._agreed: NegotiatedAudio | None = None
        self._srtp: Session | None = None
        self._remote = ("", 0)
        self._remote_rtcp = ("", 0)
        self._ssrc = secrets.randbits(32)
        self._cname = secrets.token_hex(12)  # RFC 7022 4.2: random, tells nothing of who we are
        # RFC 3711 3.3.1: starting below 2^15 keeps the ROC known if the first packets are lost.
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(32)
        self._pacer = Pacer()
        self._talking = False
        self._jitter = JitterBuffer()
        self._reception: ReceiverStatistics | None = None
        self._remote_ssrc: int | None = None
        self._frames: deque[Samples] = deque(maxlen=MAX_FRAMES)
        self._arrived = asyncio.Event()
        self._flush: asyncio.TimerHandle | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._packets_sent = self._octets_sent = 0
        self._received = self._discarded = 0
        self._ended: str | None = None

    def start(self, agreed: NegotiatedAudio) -> None:
        """Starts media as negotiated; again after a renegotiation, where unchanged keys keep their state."""
        previous = self._agreed
        self._agreed = agreed
        self._remote = (agreed.remote_address, agreed.remote_port)
        self._remote_rtcp = (agreed.remote_address, agreed.remote_rtcp_port)
        same = previous is not None and previous.outbound == agreed.outbound and previous.inbound == agreed.inbound
        if not same:
            self._srtp = Session(agreed.outbound, agreed.inbound) if agreed.secured else None
        if self._reporting is None:
            self._reporting = asyncio.ensure_future(self._report_regularly())

    @property
    def agreed(self) -> NegotiatedAudio | None:
        """What start() was last given."""
        return self._agreed

    @property
    def statistics(self) -> MediaStatistics:
        """The figures so far."""
        summary = None if self._reception is None else self._reception.summary
        return MediaStatistics(
            self._packets_sent,
            self._received,
            0 if summary is None else max(0, summary.lost),
            0.0 if summary is None else summary.jitter,
            None if self._agreed is None else self._agreed.crypto_suite,
        )

    @property
    def facts(self) -> MediaFacts:
        """What SRTP counted."""
        if self._srtp is None:
            return MediaFacts(self._packets_sent, 0, 0, 0, self._discarded)
        counters = self._srtp.state(Direction.INBOUND).rtp
        return MediaFacts(
            self._packets_sent,
            counters.processed,
            counters.authentication_failures,
            counters.replays + counters.too_old,
            self._discarded,
        )

    async def send_audio(self, samples: Samples) -> None:
        """Sends 8 kHz samples in frames of the agreed packet time, each at its time; returns with the last sent.

        A part of a frame at the end is filled with silence. Raises CallEndedError after close().
        """
        agreed = self._agreed
        if agreed is None:
            raise CallEndedError("no media agreed yet")
        length = self._clock_rate * agreed.ptime // 1000
        self._pacer.interval = agreed.ptime / 1000
        for start in range(0, len(samples), length):
            frame = np.asarray(samples[start : start + length], np.int16)
            if len(frame) < length:
                frame = np.concatenate((frame, np.zeros(length - len(frame), np.int16)))
            delay = self._pacer.next_due(time.monotonic())
            if delay:
                await asyncio.sleep(delay)
            if self._ended is not None:
                raise CallEndedError(self._ended)
            self._send_frame(agreed, frame)

    def _send_frame(self, agreed: NegotiatedAudio, frame: Samples) -> None:
        if agreed.direction.sends:
            encode = _CODECS[agreed.codec.encoding][0]
            packet = RtpPacket(
                agreed.payload_type,
                self._sequence,
                self._timestamp,
                self._ssrc,
                encode(frame),
                marker=not self._talking,
            ).serialize()
            self._talking = True
            self._rtp.send(packet if self._srtp is None else self._srtp.protect(packet), self._remote)
            self._sequence = (self._sequence + 1) & 0xFFFF
            self._packets_sent += 1
            self._octets_sent += len(frame)
        self._timestamp = (self._timestamp + len(frame)) & 0xFFFFFFFF

    async def receive_audio(self) -> Samples:
        """Returns the next frame received, in order, silence for a lost one.

        Raises CallEndedError when the call has ended and all frames have been read.
        """
        while not self._frames:
            if self._ended is not None:
                raise CallEndedError(self._ended)
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    def close(self, how: str = "local") -> None:
        """Says BYE in RTCP, hands out the frames still held, and closes the sockets."""
        if self._ended is not None:
            return
        if self._agreed is not None:
            with contextlib.suppress(SrtpError):
                self._send_rtcp(Goodbye((self._ssrc,)))
        self._drain()
        self._ended = how
        if self._flush is not None:
            self._flush.cancel()
        if self._reporting is not None:
            self._reporting.cancel()
        self._rtp.close()
        self._rtcp.close()
        self._arrived.set()

    # Receiving.

    def _received_rtp_port(self, data: bytes, address: tuple[str, int]) -> None:
        if is_rtcp(data):
            self._received_rtcp_port(data, address)
            return
        agreed = self._agreed
        if agreed is None or not agreed.direction.receives:
            self._discarded += 1
            return
        if self._srtp is None and address != self._remote:
            # Without authentication only the signalled source counts, or anybody could speak ("RTP bleed").
            self._discarded += 1
            return
        try:
            packet = RtpPacket.parse(data if self._srtp is None else self._srtp.unprotect(data))
        except (SrtpError, RtpError):
            self._discarded += 1
            return
        # Authenticated, so the sender may have moved (NAT, RFC 4961 symmetric RTP).
        self._remote = address
        if packet.payload_type != agreed.payload_type:
            self._discarded += 1
            return
        self._take(packet)

    def _take(self, packet: RtpPacket) -> None:
        if packet.ssrc != self._remote_ssrc:
            self._drain()
            self._remote_ssrc = packet.ssrc
            self._reception = ReceiverStatistics(self._clock_rate, min_sequential=1)
        assert self._reception is not None
        self._reception.receive(packet.sequence_number, packet.timestamp, time.monotonic())
        self._received += 1
        self._jitter.push(packet)
        while len(self._jitter) > self._jitter.depth:
            self._hand_out(self._jitter.pop())
        if self._flush is not None:
            self._flush.cancel()
        self._flush = asyncio.get_running_loop().call_later(FLUSH_AFTER, self._drain)

    def _drain(self) -> None:
        """Hands out what the jitter buffer holds: the source paused or ended."""
        for item in self._jitter.drain():
            self._hand_out(item)

    def _hand_out(self, item: RtpPacket | Lost | None) -> None:
        agreed = self._agreed
        if item is None or agreed is None:
            return
        if isinstance(item, Lost):
            self._frames.append(np.zeros(self._clock_rate * agreed.ptime // 1000, np.int16))
        else:
            decode = _CODECS[agreed.codec.encoding][1]
            self._frames.append(decode(bytes(item.payload)))
        self._arrived.set()

    def _received_rtcp_port(self, data: bytes, address: tuple[str, int]) -> None:
        if self._agreed is None or (self._srtp is None and address[0] != self._remote_rtcp[0]):
            self._discarded += 1
            return
        try:
            plain = data if self._srtp is None else self._srtp.unprotect_rtcp(data)
            packets = parse_compound(plain)
        except (SrtpError, RtpError):
            self._discarded += 1
            return
        self._remote_rtcp = address
        for packet in packets:
            if isinstance(packet, SenderReport) and packet.ssrc == self._remote_ssrc and self._reception is not None:
                self._reception.receive_sender_report(packet.ntp_time, time.monotonic())

    # RTCP.

    async def _report_regularly(self) -> None:
        delay = FIRST_RTCP
        while True:
            await asyncio.sleep(delay)
            with contextlib.suppress(SrtpError):
                self._send_rtcp()
            # RFC 3550 6.3.1: between half and one and a half of the interval, so that reports do not align.
            delay = RTCP_INTERVAL * (0.5 + secrets.randbelow(1000) / 1000)

    def _send_rtcp(self, *more: RtcpPacket) -> None:
        now = time.monotonic()
        blocks = ()
        if self._reception is not None and self._remote_ssrc is not None:
            blocks = (self._reception.report_block(self._remote_ssrc, now),)
        first: RtcpPacket = ReceiverReport(self._ssrc, blocks)
        if self._packets_sent:
            first = SenderReport(
                self._ssrc, ntp_time(time.time()), self._timestamp, self._packets_sent, self._octets_sent, blocks
            )
        data = serialize_compound((first, SourceDescription.with_cname(self._ssrc, self._cname), *more))
        if self._srtp is not None:
            data = self._srtp.protect_rtcp(data)
        mux = self._agreed is not None and self._agreed.rtcp_mux
        (self._rtp if mux else self._rtcp).send(data, self._remote if mux else self._remote_rtcp)
