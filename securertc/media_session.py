"""The media of one call with its sockets: from audio frames to datagrams and back, whoever does the signalling."""

from __future__ import annotations

import asyncio
import contextlib
import time

import numpy as np

from rtp import Pacer, UdpSocket, bind_rtp_pair
from rtp.udp import Address
from sdp import NegotiatedAudio
from srtp import SrtpError

from .assurance import MediaFacts
from .errors import CallEndedError
from .media_statistics import MediaStatistics
from .media_stream import Datagram, MediaStream, Samples

_TICK = 0.05


class MediaSession:
    """RTP or SRTP audio over UDP sockets of its own, usable with any signalling.

    Create it on the running event loop, put `local_address` and `local_port` into the SDP, then start() with
    what was negotiated. Under SRTP nothing leaves in clear, RTCP included, and nothing that does not
    authenticate has any effect; without it only the signalled address is listened to.
    """

    def __init__(self, host: str) -> None:
        """Binds a pair of UDP ports on a numeric address; raises rtp.RtpError when there is none free."""
        rtp, rtcp = bind_rtp_pair(host)
        self._rtp = UdpSocket(rtp, self._received_rtp)
        self._rtcp = UdpSocket(rtcp, self._received_rtcp)
        self.local_address, self.local_port = self._rtp.local_address
        self._stream: MediaStream | None = None
        self._pacer = Pacer()
        self._sending = asyncio.Lock()
        self._on_air = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ended: str | None = None

    def start(self, agreed: NegotiatedAudio) -> None:
        """Starts media as negotiated; again after a renegotiation, where unchanged keys keep their state.

        Raises SecurityPolicyError when that would end the protection of a stream that has it.
        """
        if self._ended is not None:
            return
        now = time.monotonic()
        if self._stream is None:
            self._stream = MediaStream(agreed, now, unix_time=time.time())
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        else:
            self._stream.renegotiate(agreed, now)
        if self._pacer.interval != agreed.ptime / 1000:
            self._pacer = Pacer(agreed.ptime / 1000)

    @property
    def agreed(self) -> NegotiatedAudio | None:
        """What start() was last given."""
        return None if self._stream is None else self._stream.agreed

    @property
    def statistics(self) -> MediaStatistics:
        """The figures so far."""
        return MediaStatistics() if self._stream is None else self._stream.statistics

    @property
    def facts(self) -> MediaFacts:
        """The figures that the assurance report takes."""
        counts = self.statistics
        return MediaFacts(
            packets_sent=counts.packets_sent,
            authenticated=counts.authenticated,
            rtcp_authenticated=counts.rtcp_authenticated,
            authentication_failures=counts.authentication_failures,
            replays=counts.replays,
            discarded=counts.malformed + counts.foreign + counts.unexpected,
        )

    @property
    def silence(self) -> float:
        """For how many seconds nothing of the peer's has come; 0 while it need not send."""
        if self._stream is None or not self._stream.agreed.direction.receives:
            return 0.0
        return self._stream.silent_for(time.monotonic())

    async def send_audio(self, samples: Samples) -> None:
        """Sends 8 kHz samples in frames of the agreed packet time, each at its time; returns with the last sent.

        A part of a frame at the end is filled with silence. While the peer holds the call nothing is sent,
        but time goes by all the same. Raises CallEndedError before an agreement and after close().
        """
        if self._stream is None or self._ended is not None:
            raise CallEndedError(self._ended or "no media agreed yet")
        samples = np.asarray(samples, np.int16).reshape(-1)
        async with self._sending:
            start = 0
            while start < samples.size:
                agreed = self._stream.agreed
                length = agreed.codec.clock_rate * agreed.ptime // 1000
                frame = samples[start : start + length]
                if frame.size < length:
                    frame = np.concatenate((frame, np.zeros(length - frame.size, np.int16)))
                await self._send_frame(self._stream, frame)
                start += length

    async def _send_frame(self, stream: MediaStream, frame: Samples) -> None:
        delay = self._pacer.next_due(time.monotonic())
        if delay:
            await asyncio.sleep(delay)
        async with self._on_air:
            if self._ended is not None:
                raise CallEndedError(self._ended)
            datagram = stream.audio(frame, time.monotonic())
            if datagram is not None:
                self._send([datagram])

    async def send_digits(self, digits: str, *, milliseconds: int = 100, gap: int = 100) -> None:
        """Sends DTMF digits (RFC 4733), each for so long and with such a gap behind it; returns with the last sent.

        Audio that is being sent waits meanwhile. Raises UnsupportedDigitError when the peer takes none or for
        what is no digit, and CallEndedError as send_audio().
        """
        for digit in digits:
            async with self._on_air:
                if self._stream is None or self._ended is not None:
                    raise CallEndedError(self._ended or "no media agreed yet")
                began = time.monotonic()
                clock_rate = self._stream.agreed.codec.clock_rate
                for packet in self._stream.begin_digit(digit, milliseconds, began):
                    await asyncio.sleep(began + packet.due / clock_rate - time.monotonic())
                    datagram = self._stream.digit(packet) if self._ended is None else None
                    self._send([] if datagram is None else [datagram])
            await asyncio.sleep(gap / 1000)

    async def receive_digit(self) -> str:
        """Returns the next DTMF digit received, once it has ended; raises CallEndedError when there will be none.

        Digits that nobody fetches are kept, up to 256.
        """
        while True:
            digit = None if self._stream is None else self._stream.next_digit()
            if digit is not None:
                return digit
            if self._ended is not None:
                raise CallEndedError(self._ended)
            self._arrived.clear()
            await self._arrived.wait()

    async def receive_audio(self) -> Samples:
        """Returns the next frame received, in order, silence for a lost one.

        Frames that nobody fetches are kept for ten seconds. Raises CallEndedError when the call has ended and
        all frames have been fetched.
        """
        while True:
            frame = None if self._stream is None else self._stream.next_frame()
            if frame is not None:
                return frame
            if self._ended is not None:
                raise CallEndedError(self._ended)
            self._arrived.clear()
            await self._arrived.wait()

    def close(self, how: str = "local") -> None:
        """Says BYE in RTCP, hands out the frames still held, and closes the sockets; a second call does nothing."""
        if self._ended is not None:
            return
        self._ended = how
        if self._timer is not None:
            self._timer.cancel()
        if self._stream is not None:
            # A key that is used up protects no BYE; then none is sent.
            with contextlib.suppress(SrtpError):
                self._send(self._stream.close(time.monotonic()))
        self._rtp.close()
        self._rtcp.close()
        self._arrived.set()

    def _tick(self) -> None:
        if self._stream is None or self._ended is not None:
            return
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        with contextlib.suppress(SrtpError):
            self._send(self._stream.poll(time.monotonic()))
        self._arrived.set()

    def _send(self, datagrams: list[Datagram]) -> None:
        for datagram in datagrams:
            socket = self._rtcp if datagram.by_rtcp_socket else self._rtp
            socket.send(datagram.data, datagram.address)

    def _received_rtp(self, data: bytes, address: Address) -> None:
        self._received(data, address, by_rtcp_socket=False)

    def _received_rtcp(self, data: bytes, address: Address) -> None:
        self._received(data, address, by_rtcp_socket=True)

    def _received(self, data: bytes, address: Address, *, by_rtcp_socket: bool) -> None:
        if self._stream is not None:  # before an agreement nothing can be told from noise
            self._stream.receive(data, address, time.monotonic(), by_rtcp_socket=by_rtcp_socket)
            self._arrived.set()
