"""One stream with its sockets: from audio frames or RTP packets to datagrams and back, whoever does the signalling."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from rtp import Pacer, RtpPacket, UdpSocket, as_samples, bind_rtp_pair
from rtp.udp import Address
from sdp import NegotiatedAudio
from sip.callbacks import call_back
from srtp import SrtpError
from srtp.field_checks import as_flag

from ..assurance.report import MediaFacts
from ..errors import CallEndedError, NoMediaYetError, SecureRtcError, SecurityPolicyError
from .late_keying import KeyedMedia, LateKeying, MediaPath
from .statistics import MediaStatistics
from .stream import Datagram, MediaStream, Samples

_TICK = 0.05


class MediaSession:
    """RTP or SRTP over UDP sockets of its own, usable with any signalling.

    Create it on the running event loop, put `local_address` and `local_port` into the SDP, then start() with
    what was negotiated. Under SRTP nothing leaves in clear, RTCP included, and nothing that does not
    authenticate has any effect; without it only the signalled address is listened to.

    With G.711 agreed on, what goes in and out is audio: send_audio() and receive_audio(), and digits. With `packets` it
    is RTP of any codec: send_rtp() and receive_rtp(). A `MediaBundle` has several over one transport.

    A path that is lost, as an `IceAgent` whose peer no longer consents to be sent to, ends the session by that reason,
    which all that wait for it raise as CallEndedError; `on_path_lost` hears it.

    Keys that come after the answer, as those of DTLS-SRTP do, are got by what key_by() is given: media starts once
    they are there, and keyed() waits for it; `on_keying_failure` hears why there will be none.
    """

    def __init__(self, host: str | MediaPath, *, packets: bool = False) -> None:
        """Binds a pair of UDP ports on a numeric address; raises rtp.RtpError when there is none free.

        Or takes another path for RTP and RTCP together, as an `IceAgent` that has gathered its candidates.
        """
        self._rtp: UdpSocket | MediaPath
        self._rtcp: UdpSocket | MediaPath
        if isinstance(host, str):
            rtp, rtcp = bind_rtp_pair(host)
            self._rtp = UdpSocket(rtp, self._received_rtp)
            self._rtcp = UdpSocket(rtcp, self._received_rtcp)
        else:
            self._rtp = self._rtcp = host
            host.attach(self._received_rtp)
            host.on_lost = self._path_lost
        self.local_address, self.local_port = self._rtp.local_address
        self._packets = as_flag(packets, "packets")
        self._stream: MediaStream | None = None
        self._pacer = Pacer()
        self._sending = asyncio.Lock()
        self._on_air = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ended: str | None = None
        self._agreed: NegotiatedAudio | None = None
        self._late_keying: LateKeying | None = None
        self._keying_failure: str | None = None
        self.on_keying_failure: Callable[[str], Awaitable[None] | None] | None = None
        self.on_path_lost: Callable[[str], Awaitable[None] | None] | None = None
        self._proven = False
        self._tasks: set[asyncio.Task[None]] = set()

    def key_by(self, late_keying: LateKeying) -> None:
        """Says what gets keys by a handshake on the media's port, before start(), as a `DtlsMedia`."""
        self._late_keying = late_keying
        late_keying.attach(self._send_keying, self._keyed, self._not_keyed)

    def start(self, agreed: NegotiatedAudio) -> None:
        """Starts media as negotiated; again after a renegotiation, where unchanged keys keep their state.

        Keys that are still to come are waited for, and meanwhile an earlier agreement goes on. Raises
        SecurityPolicyError when that would end the protection of a stream that has it, or there is nothing that
        could get the keys.
        """
        if self._ended is not None:
            return
        self._agreed = agreed
        if agreed.keys_pending:
            if self._late_keying is None:
                raise SecurityPolicyError("nothing here gets the keys of the media", tier="media")
            self._late_keying.start(agreed)
            return
        self._start_stream(agreed)

    async def keyed(self) -> NegotiatedAudio:
        """Waits until media may flow, and returns the agreement with its keys.

        Raises SecurityPolicyError when the handshake for them failed, and CallEndedError after close().
        """
        while True:
            if self._keying_failure is not None:
                raise SecurityPolicyError(self._keying_failure, tier="media")
            if self._ended is not None:
                raise CallEndedError(self._ended)
            if self._stream is not None and self._agreed is not None and not self._agreed.keys_pending:
                return self._stream.agreed
            self._arrived.clear()
            await self._arrived.wait()

    def _keyed(self, keyed: KeyedMedia) -> None:
        """The keys of what was agreed on are there."""
        agreed = self._agreed
        if agreed is None or self._ended is not None:
            return
        result = keyed.result
        agreed = replace(
            agreed,
            keying=result,
            outbound=result.outbound,
            inbound=result.inbound,
            crypto_suite=result.crypto_suite,
            rtcp_outbound=None if keyed.rtcp is None else keyed.rtcp[0],
            rtcp_inbound=None if keyed.rtcp is None else keyed.rtcp[1],
        )
        if keyed.address is not None:
            host, port = keyed.address
            self._proven = True
            agreed = replace(agreed, remote_address=host, remote_port=port, remote_rtcp_port=port)
        self._agreed = agreed
        self._start_stream(agreed)
        self._arrived.set()

    def _not_keyed(self, reason: str) -> None:
        self._keying_failure = reason
        self._arrived.set()
        if self.on_keying_failure is not None:
            call_back(self._keep, self.on_keying_failure, reason)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _path_lost(self, reason: str) -> None:
        if self._ended is not None:
            return
        self.close(reason)
        if self.on_path_lost is not None:
            call_back(self._keep, self.on_path_lost, reason)

    def _start_stream(self, agreed: NegotiatedAudio) -> None:
        now = time.monotonic()
        if self._stream is None:
            self._stream = MediaStream(agreed, now, unix_time=time.time(), packets=self._packets, proven=self._proven)
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        else:
            self._stream.renegotiate(agreed, now, proven=self._proven)
        if self._pacer.interval != agreed.ptime / 1000:
            self._pacer = Pacer(agreed.ptime / 1000)

    @property
    def agreed(self) -> NegotiatedAudio | None:
        """What start() was last given, with its keys once they are there."""
        return self._agreed

    @property
    def ssrc(self) -> int | None:
        """Our SSRC, None before media has started."""
        return None if self._stream is None else self._stream.ssrc

    @property
    def remote_ssrc(self) -> int | None:
        """The peer's SSRC, None before its first packet."""
        return None if self._stream is None else self._stream.remote_ssrc

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

    async def send_audio(self, samples: ArrayLike) -> None:
        """Sends 8 kHz samples in frames of the agreed packet time, each at its time; returns with the last sent.

        A part of a frame at the end is filled with silence. While the peer holds the call nothing is sent,
        but time goes by all the same. Other than 16-bit samples are converted where that is plain (rtp.as_samples), and
        otherwise UnsupportedAudioError is raised before anything is sent. Keys that are still to come are waited for.
        Raises NoMediaYetError before an agreement, CallEndedError after close(), and SecurityPolicyError when there
        will be no keys.
        """
        row = as_samples(samples)
        if self._stream is None and self._agreed is not None:
            await self.keyed()
        if self._stream is None or self._ended is not None:
            raise self._not_running()
        async with self._sending:
            start = 0
            while start < row.size:
                agreed = self._stream.agreed
                length = agreed.codec.clock_rate * agreed.ptime // 1000
                frame = row[start : start + length]
                if frame.size < length:
                    frame = np.concatenate((frame, np.zeros(length - frame.size, np.int16)))
                await self._send_frame(self._stream, frame)
                start += length

    def _not_running(self) -> SecureRtcError:
        return NoMediaYetError() if self._ended is None else CallEndedError(self._ended)

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

    async def send_rtp(self, packet: RtpPacket) -> None:
        """Sends a packet at once, protected as agreed; drops it while the peer holds the call.

        Payload type, timestamp, marker, CSRCs, header extension and payload go as they are. The SSRC becomes ours,
        and the sequence numbers go on from where the stream stands, by the same steps as the packets' own. Keys that
        are still to come are waited for. Raises NoMediaYetError before an agreement, CallEndedError after close(),
        SecurityPolicyError when there will be no keys, and SrtpError for a number sent before or a key used up.
        """
        if self._stream is None and self._agreed is not None:
            await self.keyed()
        async with self._on_air:
            if self._stream is None or self._ended is not None:
                raise self._not_running()
            datagram = self._stream.packet(packet, time.monotonic())
            if datagram is not None:
                self._send([datagram])

    async def receive_rtp(self) -> RtpPacket:
        """Returns the next packet of the peer's, authenticated and decrypted, in the order of arrival.

        Needs `packets`. Up to 2,048 packets that nobody fetches are kept. Raises CallEndedError when the session has
        ended and all have been fetched.
        """
        while True:
            packet = None if self._stream is None else self._stream.next_packet()
            if packet is not None:
                return packet
            if self._ended is not None:
                raise CallEndedError(self._ended)
            self._arrived.clear()
            await self._arrived.wait()

    async def send_digits(self, digits: str, *, milliseconds: int = 100, gap: int = 100) -> None:
        """Sends DTMF digits (RFC 4733), each for so long and with such a gap behind it; returns with the last sent.

        Audio that is being sent waits meanwhile. Raises UnsupportedDigitError when the peer takes none or for
        what is no digit, and CallEndedError as send_audio().
        """
        for digit in digits:
            async with self._on_air:
                if self._stream is None or self._ended is not None:
                    raise self._not_running()
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
        if self._late_keying is not None:
            self._late_keying.close()
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

    def _send_keying(self, data: bytes, address: Address, by_rtcp_socket: bool) -> None:
        (self._rtcp if by_rtcp_socket else self._rtp).send(data, address)

    def _received_rtp(self, data: bytes, address: Address) -> None:
        self._received(data, address, by_rtcp_socket=False)

    def _received_rtcp(self, data: bytes, address: Address) -> None:
        self._received(data, address, by_rtcp_socket=True)

    def _received(self, data: bytes, address: Address, *, by_rtcp_socket: bool) -> None:
        late = self._late_keying
        if late is not None and late.receive(data, address, by_rtcp_socket=by_rtcp_socket):
            return
        if self._stream is not None:  # before an agreement nothing can be told from noise
            self._stream.receive(data, address, time.monotonic(), by_rtcp_socket=by_rtcp_socket)
            self._arrived.set()
