"""One audio stream without sockets: datagrams, samples and a clock in, datagrams and frames out."""

from __future__ import annotations

import base64
import ipaddress
import random
import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rtp import (
    EventPacket,
    Goodbye,
    MalformedRtpError,
    ReceiverReport,
    RtpPacket,
    SenderReport,
    SourceDescription,
    as_samples,
    event_of_digit,
    is_rtcp,
    ntp_time,
    round_trip,
    serialize_compound,
)
from rtp.rtcp import ReportBlock, RtcpPacket
from rtp.udp import Address
from sdp import NegotiatedAudio

from ..errors import SecurityPolicyError, UnsupportedDigitError
from .audio_receiver import AudioReceiver
from .audio_sender import AudioSender
from .statistics import MediaStatistics

Samples = NDArray[np.int16]
RTCP_INTERVAL = 5.0
_COMPENSATION = 1.21828  # e - 3/2 (RFC 3550 6.3.1)
# Frames held back by the jitter buffer go out when nothing has come for this long: the sender has paused.
_FLUSH_AFTER = 0.1


@dataclass(frozen=True, slots=True)
class Datagram:
    """Bytes for the wire, where to, and whether they leave by the RTCP socket."""

    data: bytes
    address: Address
    by_rtcp_socket: bool = False


class MediaStream:
    """RTP and RTCP of one agreement, protected as it says, in both directions.

    `now` is always in seconds of one steady clock; `unix_time` is the time of day at the `now` given first.
    Raises SecurityPolicyError while the keys of SRTP that was agreed on are still to come.
    With `packets` what is received is had by next_packet(), of any codec, and not as audio. `proven` says that ICE has
    found the address agreed on, which then stays.
    The CNAME is random for each stream, so that it tells nothing of the user (RFC 7022 4.2).
    """

    def __init__(
        self, agreed: NegotiatedAudio, now: float, *, unix_time: float, packets: bool = False, proven: bool = False
    ) -> None:
        _check_keys(agreed)
        self.agreed = agreed
        self._unix_offset = unix_time - now
        self._cname = base64.b64encode(secrets.token_bytes(12)).decode()
        self._sender = AudioSender(agreed)
        self._receiver = AudioReceiver(agreed, own_ssrc=lambda: self._sender.ssrc, packets=packets, proven=proven)
        self._reports = 0
        self._reported_packets = (0, 0)
        self._round_trip: float | None = None
        self._remote_loss: float | None = None
        self.started = now
        self.remote_goodbye = False
        self._next_report = now + self._report_interval()

    @property
    def ssrc(self) -> int:
        """Our SSRC."""
        return self._sender.ssrc

    @property
    def remote_ssrc(self) -> int | None:
        """The peer's SSRC that is reported on, None before the first packet that was the peer's."""
        return self._receiver.source

    def renegotiate(self, agreed: NegotiatedAudio, now: float, *, proven: bool = False) -> None:
        """Goes on with another agreement; raises SecurityPolicyError when it would end the protection."""
        _check_keys(agreed)
        self._receiver.update(agreed, now, proven=proven)
        self._sender.update(agreed)
        self.agreed = agreed

    def audio(self, samples: ArrayLike, now: float) -> Datagram | None:
        """Returns the datagram for a frame of samples, None while the agreement lets us send nothing.

        Raises UnsupportedAudioError for what makes no 16-bit samples (rtp.as_samples).
        """
        if not self.agreed.direction.sends:
            return None
        return Datagram(self._sender.audio(as_samples(samples), now), self._receiver.rtp_address)

    def packet(self, packet: RtpPacket, now: float) -> Datagram | None:
        """Returns the datagram for a packet of the application's, None while the agreement lets us send nothing."""
        if not self.agreed.direction.sends:
            return None
        return Datagram(self._sender.packet(packet, now), self._receiver.rtp_address)

    def next_packet(self) -> RtpPacket | None:
        """Returns the next RTP packet received, as it came; None when there is none."""
        return self._receiver.rtp.popleft() if self._receiver.rtp else None

    def begin_digit(self, digit: str, milliseconds: int, now: float) -> list[EventPacket]:
        """Returns the packets of a DTMF digit that begins at `now`, for digit() to send each when it is due.

        [] while the agreement lets us send nothing. Raises UnsupportedDigitError when the peer takes no telephone
        events, and for what is no digit.
        """
        if self.agreed.telephone_event_payload_type is None:
            raise UnsupportedDigitError("the peer takes no telephone events")
        try:
            event = event_of_digit(digit)
        except MalformedRtpError as error:
            raise UnsupportedDigitError(str(error)) from None
        return self._sender.begin_event(event, milliseconds, now) if self.agreed.direction.sends else []

    def digit(self, packet: EventPacket) -> Datagram | None:
        """Returns the datagram for a packet of begin_digit(), None when the agreement has changed against it."""
        payload_type = self.agreed.telephone_event_payload_type
        if payload_type is None or not self.agreed.direction.sends:
            return None
        return Datagram(self._sender.event(packet, payload_type), self._receiver.rtp_address)

    def next_digit(self) -> str | None:
        """Returns the next DTMF digit received, None when there is none."""
        return self._receiver.digits.popleft() if self._receiver.digits else None

    def receive(self, data: bytes, address: Address, now: float, *, by_rtcp_socket: bool) -> None:
        """Takes a datagram; frames of audio are then to be had by next_frame()."""
        # RTCP on the RTP port is known by its packet type, agreed or not: ours cannot be taken for it (RFC 5761 4).
        if by_rtcp_socket or is_rtcp(data):
            for packet in self._receiver.receive_rtcp(data, address, now):
                self._take_report(packet, now)
        else:
            self._receiver.receive_rtp(data, address, now)

    def next_frame(self) -> Samples | None:
        """Returns the next frame in order, None when none is ready."""
        return self._receiver.frames.popleft() if self._receiver.frames else None

    def poll(self, now: float) -> list[Datagram]:
        """Does what is due at `now`, to be called some ten times a second; returns the RTCP to be sent."""
        self._receiver.flush(now, pause=_FLUSH_AFTER)
        if now < self._next_report or self._held_without_address:
            return []
        self._reports += 1
        self._next_report = now + self._report_interval()
        return [self._rtcp(self._report(now))]

    def close(self, now: float) -> list[Datagram]:
        """Hands out the last frames and returns the RTCP BYE, protected as all else; [] if we never sent."""
        self._receiver.flush(now, pause=0.0)
        if self._held_without_address or not (self._sender.packets or self._reports):
            return []
        return [self._rtcp([*self._report(now), Goodbye((self._sender.ssrc,))])]

    @property
    def _held_without_address(self) -> bool:
        """Whether the peer took its address back, the old form of hold: RTCP stops too then (RFC 3264 8.4)."""
        return ipaddress.ip_address(self._receiver.rtp_address[0]).is_unspecified

    def silent_for(self, now: float) -> float:
        """Returns for how many seconds nothing of the peer's has come, RTP or RTCP."""
        heard = self._receiver.last_heard
        return now - (self.started if heard is None else heard)

    @property
    def statistics(self) -> MediaStatistics:
        """The counts up to now."""
        sender, receiver = self._sender, self._receiver
        jitter = receiver.statistics.summary.jitter if receiver.statistics else 0.0
        return MediaStatistics(
            crypto_suite=self.agreed.crypto_suite,
            packets_sent=sender.packets,
            octets_sent=sender.octets,
            packets_received=receiver.packets,
            octets_received=receiver.octets,
            expected=receiver.expected,
            lost=max(0, receiver.lost),
            late=receiver.late,
            concealed=receiver.concealed,
            jitter=jitter,
            round_trip=self._round_trip,
            remote_loss=self._remote_loss,
            rtcp_sent=sender.rtcp_packets,
            rtcp_received=receiver.rtcp_packets,
            authenticated=receiver.authenticated,
            rtcp_authenticated=receiver.rtcp_packets if self.agreed.secured else 0,
            authentication_failures=receiver.failures,
            replays=receiver.replays,
            malformed=receiver.malformed,
            foreign=receiver.foreign,
            unexpected=receiver.unexpected,
            overflowed=receiver.overflowed,
        )

    def _report_interval(self) -> float:
        """RFC 3550 6.3.1 for two members: the minimum, halved before the first, spread at random."""
        minimum = RTCP_INTERVAL if self._reports else RTCP_INTERVAL / 2
        return minimum * random.uniform(0.5, 1.5) / _COMPENSATION  # noqa: S311  # spreads load, keeps no secret

    def _report(self, now: float) -> list[RtcpPacket]:
        sender, receiver = self._sender, self._receiver
        blocks: tuple[ReportBlock, ...] = ()
        if receiver.statistics is not None and receiver.source is not None:
            blocks = (receiver.statistics.report_block(receiver.source, now),)
        # A sender is who sent since the last report but one (6.4).
        before_last, last = self._reported_packets
        self._reported_packets = (last, sender.packets)
        description = SourceDescription.with_cname(sender.ssrc, self._cname)
        if sender.packets == before_last:
            return [ReceiverReport(sender.ssrc, blocks), description]
        report = SenderReport(
            sender.ssrc,
            ntp_time(now + self._unix_offset),
            sender.timestamp_at(now),
            sender.packets & 0xFFFFFFFF,
            sender.octets & 0xFFFFFFFF,
            blocks,
        )
        return [report, description]

    def _rtcp(self, packets: list[RtcpPacket]) -> Datagram:
        data = self._sender.protect_rtcp(serialize_compound(packets))
        if self.agreed.rtcp_mux:
            return Datagram(data, self._receiver.rtp_address)
        return Datagram(data, self._receiver.rtcp_address, by_rtcp_socket=True)

    def _take_report(self, packet: RtcpPacket, now: float) -> None:
        receiver = self._receiver
        if isinstance(packet, SenderReport) and packet.ssrc == receiver.source and receiver.statistics:
            receiver.statistics.receive_sender_report(packet.ntp_time, now)
        if isinstance(packet, SenderReport | ReceiverReport):
            for block in packet.reports:
                if block.ssrc == self._sender.ssrc:
                    self._remote_loss = block.fraction_lost / 256
                    arrival = ntp_time(now + self._unix_offset)
                    trip = round_trip(arrival, block.last_sr, block.delay_since_last_sr)
                    self._round_trip = self._round_trip if trip is None else trip
        elif isinstance(packet, Goodbye) and receiver.source in packet.ssrcs:
            self.remote_goodbye = True


def _check_keys(agreed: NegotiatedAudio) -> None:
    if agreed.keys_pending:
        raise SecurityPolicyError("the keys of the media are not there yet", tier="media")
