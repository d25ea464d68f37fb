"""What can go wrong with RTP and RTCP, each error with the facts."""

from __future__ import annotations


class RtpError(Exception):
    """Base of every error of this package."""


class MalformedRtpError(RtpError, ValueError):
    """Bytes are no RTP packet, or values make none; `offset` is the byte that the error is about, if one is."""

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (byte {offset})")
        self.offset = offset


class MalformedRtcpError(RtpError, ValueError):
    """Bytes are no RTCP packet; `offset` is where in the compound, `packet_type` which kind, where known."""

    def __init__(self, message: str, *, offset: int | None = None, packet_type: int | None = None) -> None:
        facts = [] if packet_type is None else [f"packet type {packet_type}"]
        facts += [] if offset is None else [f"byte {offset}"]
        super().__init__(f"{message} ({', '.join(facts)})" if facts else message)
        self.offset = offset
        self.packet_type = packet_type


class UnsupportedAudioError(RtpError, ValueError):
    """A WAV file, or samples, of a kind that is not handled; the message names what was found."""
