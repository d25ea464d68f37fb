"""The sending half of a stream: samples or packets and a clock in, RTP or SRTP packets out."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtp import (
    EventPacket,
    ExtensionElement,
    HeaderExtension,
    RtpPacket,
    encode_pcma,
    encode_pcmu,
    event_packets,
)
from rtp.pacing import DEFAULT_MAX_LAG
from sdp import NegotiatedAudio
from srtp import Direction, Policy, Session

from ..errors import SecurityPolicyError, UnsupportedCodecError

Samples = NDArray[np.int16]
ENCODERS: dict[str, Callable[[Samples], bytes]] = {"PCMU": encode_pcmu, "PCMA": encode_pcma}


class AudioSender:
    """Numbers, stamps and protects what one side sends.

    SSRC, first timestamp and first sequence number are random (RFC 3550 5.1), the latter below 2^15, so that
    a loss at the very beginning cannot hide a rollover (RFC 4568 6.4).
    """

    def __init__(self, agreed: NegotiatedAudio) -> None:
        self.packets = 0
        self.octets = 0
        self.rtcp_packets = 0
        self.ssrc, self._sequence = _new_source()
        self._timestamp = secrets.randbits(32)
        self._due: float | None = None
        self._last: tuple[float, int] | None = None
        # What is added to the numbers of packets that the application makes.
        self._number_offset: int | None = None
        self._policy: Policy | None = None
        self._session: Session | None = None
        # Of a handshake of its own; kept when an agreement goes without, since its keys could come back.
        self._rtcp_session: Session | None = None
        self.update(agreed)

    def update(self, agreed: NegotiatedAudio) -> None:
        """Goes on with another agreement; raises SecurityPolicyError when it would end the protection.

        A new key keeps SSRC and numbers while the ROC is 0. Later it takes a new SSRC: RFC 3711 3.3.1 keeps
        the ROC of an SSRC under a new key, RFC 4568 7.1.4 starts it at 0, and peers do either. The sessions stay over
        all changes, so that a key that comes back uses none of its indexes again, of RTP or of RTCP.
        """
        if agreed.outbound is None and self._policy is not None:
            raise SecurityPolicyError("a stream that was secured cannot go on in clear", tier="media")
        self._agreed = agreed
        self._encode = ENCODERS.get(agreed.codec.encoding)
        self._mid = _mid_element(agreed)
        if agreed.outbound is not None and agreed.outbound != self._policy:
            if self._policy is not None and not agreed.outbound.has_keys_of(self._policy):
                self._leave_later_cycles()
            self._session = _under(self._session, agreed.outbound)
        self._policy = agreed.outbound
        if agreed.rtcp_outbound is not None:
            self._rtcp_session = _under(self._rtcp_session, agreed.rtcp_outbound)

    def _leave_later_cycles(self) -> None:
        assert self._session is not None
        if not self._session.roc(self.ssrc, Direction.OUTBOUND):
            return
        self._session.remove_stream(self.ssrc, Direction.OUTBOUND)
        self.ssrc, self._sequence = _new_source()
        self._number_offset = None

    def audio(self, samples: Samples, now: float) -> bytes:
        """Returns the packet for the next samples, which go out at `now` (seconds of a steady clock).

        After a pause the timestamp goes on by its length, and the marker bit says that sound begins
        (RFC 3551 4.1). Raises UnsupportedCodecError when the codec agreed on is not done here.
        """
        if self._encode is None:
            raise UnsupportedCodecError(f"{self._agreed.codec.encoding} is not encoded here")
        marker = self._resume(now)
        data = self._packet(self._agreed.payload_type, self._timestamp, self._encode(samples), marker=marker)
        self._last = (now, self._timestamp)
        self._advance(samples.size)
        return data

    def packet(self, packet: RtpPacket, now: float) -> bytes:
        """Returns what goes on the wire for a packet of the application's, which goes out at `now`.

        Its SSRC becomes ours. Its sequence number moves by as much as the first one's did, so that gaps and order
        stay; the rest is kept, and the mid added where a BUNDLE group wants it (RFC 9143 15.2). Raises SrtpError for
        a number that was sent already, which would use its key stream twice.
        """
        if self._number_offset is None:
            self._number_offset = self._sequence - packet.sequence_number
        number = (packet.sequence_number + self._number_offset) & 0xFFFF
        packet = replace(packet, ssrc=self.ssrc, sequence_number=number, extension=self._with_mid(packet.extension))
        data = self._protected(packet)
        self._sequence = (number + 1) & 0xFFFF
        self._last = (now, packet.timestamp)
        return data

    def _with_mid(self, extension: HeaderExtension | None) -> HeaderExtension | None:
        if self._mid is None:
            return extension
        elements = () if extension is None else extension.elements()
        if extension is not None and not elements and extension.data.strip(b"\0"):
            return extension  # of a kind of its own, which has no place for elements
        others = tuple(one for one in elements if one.id != self._mid.id)
        short = all(1 <= len(one.data) <= 16 and one.id <= 14 for one in (*others, self._mid))
        return (HeaderExtension.one_byte if short else HeaderExtension.two_byte)((*others, self._mid))

    def begin_event(self, event: int, milliseconds: int, now: float) -> list[EventPacket]:
        """Returns the packets of a telephone event that begins at `now` (RFC 4733), each to be sent by event().

        The audio goes on after the last one. Raises MalformedRtpError for what is no event, or lasts no time.
        """
        codec = self._agreed.codec
        self._resume(now)
        duration = milliseconds * codec.clock_rate // 1000
        packets = event_packets(event, self._timestamp, duration, codec.clock_rate * self._agreed.ptime // 1000)
        self._last = (now, self._timestamp)
        self._advance(packets[-1].due)
        return packets

    def event(self, report: EventPacket, payload_type: int) -> bytes:
        """Returns the packet for one of begin_event()'s."""
        return self._packet(payload_type, report.timestamp, report.payload, marker=report.marker)

    def _resume(self, now: float) -> bool:
        """Whether sound begins, at the very start or after a pause, by whose length the timestamp then goes on."""
        pause = 0.0 if self._due is None else now - self._due
        if self._due is not None and pause <= DEFAULT_MAX_LAG:
            return False
        self._timestamp = (self._timestamp + int(pause * self._agreed.codec.clock_rate)) & 0xFFFFFFFF
        self._due = now
        return True

    def _advance(self, units: int) -> None:
        assert self._due is not None
        self._timestamp = (self._timestamp + units) & 0xFFFFFFFF
        self._due += units / self._agreed.codec.clock_rate

    def _packet(self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool) -> bytes:
        extension = self._with_mid(None)
        packet = RtpPacket(
            payload_type, self._sequence, timestamp, self.ssrc, payload, marker=marker, extension=extension
        )
        data = self._protected(packet)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._number_offset = None
        return data

    def _protected(self, packet: RtpPacket) -> bytes:
        data = packet.serialize()
        if self._session is not None:
            data = self._session.protect(data)
        self.packets += 1
        self.octets += len(packet.payload)
        return data

    def protect_rtcp(self, compound: bytes) -> bytes:
        """Returns what goes on the wire for a compound RTCP packet: SRTCP wherever the media is SRTP."""
        self.rtcp_packets += 1
        session = self._session if self._agreed.rtcp_outbound is None else self._rtcp_session
        return compound if session is None else session.protect_rtcp(compound)

    def timestamp_at(self, now: float) -> int:
        """Returns the RTP timestamp of a moment, as a sender report needs it (RFC 3550 6.4.1)."""
        if self._last is None:
            return self._timestamp
        then, timestamp = self._last
        return (timestamp + int((now - then) * self._agreed.codec.clock_rate)) & 0xFFFFFFFF


def _mid_element(agreed: NegotiatedAudio) -> ExtensionElement | None:
    """The element that says which m= section packets are of, where a BUNDLE group has agreed on one."""
    if agreed.mid_extension is None or not agreed.mid:
        return None
    return ExtensionElement(agreed.mid_extension, agreed.mid.encode()[:255])


def _under(session: Session | None, policy: Policy) -> Session:
    """The session gone on with under a policy, or a new one."""
    if session is None:
        return Session(policy, None)
    if policy != session.outbound_policy:
        session.update_policy(Direction.OUTBOUND, policy)
    return session


def _new_source() -> tuple[int, int]:
    """A random SSRC and the sequence number to start it with."""
    return secrets.randbits(32), secrets.randbits(15)
