"""The receiving half of an audio stream: datagrams and a clock in, frames of samples in order out."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rtp import (
    EventReceiver,
    JitterBuffer,
    Lost,
    MalformedRtcpError,
    MalformedRtpError,
    ReceivedEvent,
    ReceiverStatistics,
    RtpPacket,
    decode_pcma,
    decode_pcmu,
    parse_compound,
)
from rtp.rtcp import RtcpPacket
from rtp.udp import Address
from sdp import NegotiatedAudio
from srtp import AuthenticationError, Direction, MalformedPacketError, Policy, ReplayError, Session, SrtpError

from ..errors import SecurityPolicyError, UnsupportedCodecError
from .address_latch import AddressLatch, NewestNumbers

Samples = NDArray[np.int16]
DECODERS: dict[str, Callable[[bytes | bytearray | memoryview], Samples]] = {
    "PCMU": decode_pcmu,
    "PCMA": decode_pcma,
}
JITTER_DEPTH = 3
# Ten seconds of 20 ms frames for an application that does not read; older ones are dropped then.
MAX_FRAMES = 500
MAX_DIGITS = 256
MAX_PACKETS = 2048
_SOURCE_TIMEOUT = 1.0
KEY_OVERLAP = 5.0


class AudioReceiver:
    """Checks, orders and decodes what one side receives.

    Under SRTP a packet counts as the peer's when it authenticates, wherever it came from, and nothing else
    does; without SRTP only what comes from the signalled address and port is taken, so that nobody who
    merely guesses a port can be heard. Where to send is told by an `AddressLatch`, for RTP and for RTCP. With `packets`
    they are handed out as they come, of any codec and source, and neither ordered nor decoded. `own_ssrc` tells our own
    packets, should they come back. `proven` says that ICE has found the address agreed on.
    """

    def __init__(
        self, agreed: NegotiatedAudio, *, own_ssrc: Callable[[], int], packets: bool = False, proven: bool = False
    ) -> None:
        self._hand_out = packets
        self.rtp: deque[RtpPacket] = deque()
        self._own_ssrc = own_ssrc
        self.frames: deque[Samples] = deque()
        self.digits: deque[str] = deque()
        self._events = EventReceiver()
        self.source: int | None = None
        self.statistics: ReceiverStatistics | None = None
        self.last_heard: float | None = None
        self._last_audio = 0.0
        self.packets = self.octets = self.concealed = 0
        self.authenticated = self.rtcp_packets = 0
        self.failures = self.replays = self.malformed = 0
        self.foreign = self.unexpected = self.overflowed = 0
        self._earlier_expected = self._earlier_lost = 0
        self._buffer = JitterBuffer(depth=JITTER_DEPTH)
        self._session: Session | None = None
        self._previous: Session | None = None
        self._rtcp_session: Session | None = None
        self._previous_until = 0.0
        self._newest = NewestNumbers()
        self._rtp_latch = self._rtcp_latch = AddressLatch(("", 0))
        self._by_former_key = False
        self._agreed: NegotiatedAudio | None = None
        self.update(agreed, 0.0, proven=proven)

    @property
    def rtp_address(self) -> Address:
        """Where to send RTP, and RTCP that is multiplexed with it."""
        return self._rtp_latch.address

    @property
    def rtcp_address(self) -> Address:
        """Where to send RTCP."""
        return self._rtcp_latch.address

    def update(self, agreed: NegotiatedAudio, now: float, *, proven: bool = False) -> None:
        """Goes on with another agreement from `now` on; raises SecurityPolicyError when it would end the protection.

        That the address is `proven` says that ICE found it. Raises UnsupportedCodecError for a codec that is not
        decoded here. Packets under the former key are taken for a short while after a change: they may still be under
        way. What only changes the use of a key keeps the replay lists, and so does the former key when it comes back.
        """
        former = self._agreed
        if former is not None and former.inbound is not None and agreed.inbound is None:
            raise SecurityPolicyError("a stream that was secured cannot go on in clear", tier="media")
        if not self._hand_out and agreed.codec.encoding not in DECODERS:
            raise UnsupportedCodecError(f"{agreed.codec.encoding} is not decoded here, only handed out in packets")
        self._agreed = agreed
        self._decode = DECODERS.get(agreed.codec.encoding, decode_pcmu)
        own = agreed.receive_payload_type
        self._payload_type = agreed.payload_type if own is None else own
        rtp = _place(agreed.remote_address, agreed.remote_port)
        rtcp = _place(agreed.remote_rtcp_address or agreed.remote_address, agreed.remote_rtcp_port)
        self._rtp_latch = AddressLatch.going_on(self._rtp_latch, rtp, proven=proven)
        self._rtcp_latch = AddressLatch.going_on(self._rtcp_latch, rtcp, proven=proven)
        if agreed.inbound is not None and (former is None or former.inbound != agreed.inbound):
            if not _is_under(self._session, agreed.inbound):
                self._previous, self._previous_until, self._session = self._session, now + KEY_OVERLAP, self._previous
            self._session = _under(self._session, agreed.inbound)
        if agreed.rtcp_inbound is not None:
            self._rtcp_session = _under(self._rtcp_session, agreed.rtcp_inbound)

    @property
    def lost(self) -> int:
        """Packets that never came, over all sources."""
        return self._earlier_lost + (self.statistics.summary.lost if self.statistics else 0)

    @property
    def expected(self) -> int:
        """Packets that should have come, over all sources."""
        return self._earlier_expected + (self.statistics.summary.expected if self.statistics else 0)

    @property
    def late(self) -> int:
        """Packets that came after their turn."""
        return self._buffer.counters.late

    def receive_rtp(self, data: bytes, address: Address, now: float) -> None:
        """Takes a datagram that may be RTP; what is not the peer's is dropped and counted."""
        plain = self._admit(data, address, self.rtp_address, now, rtcp=False)
        if plain is None:
            return
        try:
            packet = RtpPacket.parse(plain)
        except MalformedRtpError:
            self.malformed += 1
            return
        if packet.ssrc == self._own_ssrc():
            self.unexpected += 1
            return
        if self._session is not None:
            self.authenticated += 1
            if self._newest.is_newer(packet.ssrc, packet.sequence_number) and not self._by_former_key:
                self._rtp_latch.heard(address)
        self.last_heard = now
        self._note(packet, now)

    def receive_rtcp(self, data: bytes, address: Address, now: float) -> tuple[RtcpPacket, ...]:
        """Takes a datagram that may be RTCP and returns its packets, () when it was dropped."""
        plain = self._admit(data, address, self.rtcp_address, now, rtcp=True)
        if plain is None:
            return ()
        try:
            packets = parse_compound(plain)
        except MalformedRtcpError:
            self.malformed += 1
            return ()
        if self._session is not None and not self._by_former_key:
            self._rtcp_latch.heard(address)
        self.rtcp_packets += 1
        self.last_heard = now
        return packets

    def flush(self, now: float, *, pause: float) -> None:
        """Hands out what the jitter buffer still holds once no audio has come for `pause` seconds."""
        if now - self._last_audio >= pause:
            for item in self._buffer.drain():
                self._play(item)
            self._add_digits(self._events.poll(now))

    def _admit(self, data: bytes, address: Address, expected: Address, now: float, *, rtcp: bool) -> bytes | None:
        """The plain packet in a datagram, or None when it is not to be taken."""
        if self._session is None:
            if address != expected:
                self.foreign += 1
                return None
            return data
        assert self._agreed is not None
        self._by_former_key = False
        apart = rtcp and self._agreed.rtcp_inbound is not None
        session = self._rtcp_session if apart and self._rtcp_session is not None else self._session
        try:
            return self._unprotect(session, data, rtcp=rtcp)
        except ReplayError:
            self.replays += 1
        except MalformedPacketError:
            self.malformed += 1
        except SrtpError as error:
            if isinstance(error, AuthenticationError) and self._previous is not None and now < self._previous_until:
                try:
                    plain = self._unprotect(self._previous, data, rtcp=rtcp)
                except SrtpError:
                    pass
                else:
                    self._by_former_key = True
                    return plain
            self.failures += 1
        return None

    @staticmethod
    def _unprotect(session: Session, data: bytes, *, rtcp: bool) -> bytes:
        return session.unprotect_rtcp(data) if rtcp else session.unprotect(data)

    def _note(self, packet: RtpPacket, now: float) -> None:
        assert self._agreed is not None
        if self._hand_out:
            self._keep(packet)
            # Several sources may send side by side; what is reported on is one of them as long as it lasts.
            if packet.ssrc != self.source and self.statistics and now - self._last_audio < _SOURCE_TIMEOUT:
                self.packets += 1
                self.octets += len(packet.payload)
                return
        if packet.ssrc != self.source or self.statistics is None:
            self._change_source(packet.ssrc)
        assert self.statistics is not None
        self.packets += 1
        self.octets += len(packet.payload)
        if not self.statistics.receive(packet.sequence_number, packet.timestamp, now):
            self.unexpected += 1
            return
        self._last_audio = now
        if self._hand_out:
            return
        self._buffer.push(packet)
        while len(self._buffer) >= JITTER_DEPTH:
            item = self._buffer.pop()
            if item is None:
                return
            self._play(item)

    def _change_source(self, ssrc: int) -> None:
        assert self._agreed is not None
        for item in self._buffer.drain():
            self._play(item)
        self._earlier_expected, self._earlier_lost = self.expected, self.lost
        self.source = ssrc
        self._events = EventReceiver()
        # A source is valid with its first packet: it has authenticated, or came from the signalled address.
        self.statistics = ReceiverStatistics(self._agreed.codec.clock_rate, min_sequential=1)

    def _play(self, item: RtpPacket | Lost) -> None:
        assert self._agreed is not None
        if isinstance(item, Lost):
            self.concealed += 1
            self._append(self._silence())
        elif item.payload_type == self._agreed.receive_telephone_event:
            self._take_event(item)
            self._append(self._silence())
        elif item.payload_type != self._payload_type:
            self.unexpected += 1
            self._append(self._silence())
        elif len(item.payload):
            self._append(self._decode(item.payload))

    def _take_event(self, packet: RtpPacket) -> None:
        try:
            found = self._events.receive(packet.payload, packet.timestamp, self.last_heard or 0.0)
        except MalformedRtpError:
            self.malformed += 1
            return
        self._add_digits(found)

    def _add_digits(self, events: list[ReceivedEvent]) -> None:
        for event in events:
            if event.digit is not None and len(self.digits) < MAX_DIGITS:
                self.digits.append(event.digit)

    def _silence(self) -> Samples:
        assert self._agreed is not None
        return np.zeros(self._agreed.codec.clock_rate * self._agreed.ptime // 1000, np.int16)

    def _keep(self, packet: RtpPacket) -> None:
        if len(self.rtp) >= MAX_PACKETS:
            self.rtp.popleft()
            self.overflowed += 1
        self.rtp.append(packet)

    def _append(self, frame: Samples) -> None:
        if len(self.frames) >= MAX_FRAMES:
            self.frames.popleft()
            self.overflowed += 1
        self.frames.append(frame)


def _place(host: str, port: int) -> Address:
    return ipaddress.ip_address(host).compressed, port


def _is_under(session: Session | None, policy: Policy) -> bool:
    """Whether the session's packets come under the keys of a policy."""
    under = None if session is None else session.inbound_policy
    return under is not None and policy.has_keys_of(under)


def _under(session: Session | None, policy: Policy) -> Session:
    """The session gone on with, if its keys are those of the policy, or a new one."""
    if session is None or not _is_under(session, policy):
        return Session(None, policy)
    if policy != session.inbound_policy:
        session.update_policy(Direction.INBOUND, policy)
    return session
