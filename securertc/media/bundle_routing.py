"""Which stream of a BUNDLE group a packet is for (RFC 9143 9.2), told from what of it is not encrypted."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from rtp import HeaderExtension, MalformedRtpError
from sdp import NegotiatedMedia

MAX_SOURCES = 256
_EXTENSION = struct.Struct("!HH")


class BundleRouting:
    """The tables of a group: streams by mid, by SSRC and by payload type.

    SSRCs are learned by learn(), for packets that have authenticated only; the latest 256 are kept.
    """

    def __init__(self) -> None:
        self._streams: dict[int, frozenset[int]] = {}
        self._mids: dict[tuple[int, bytes], int] = {}
        self._extensions: frozenset[int] = frozenset()
        self._payload_types: dict[int, int] = {}
        self._sources: dict[int, int] = {}

    def update(self, media: Iterable[NegotiatedMedia]) -> None:
        """Goes on with the streams of another agreement; sources of streams that are no longer there are forgotten."""
        media = list(media)
        self._streams = {one.stream: _payload_types(one) for one in media}
        named = [one for one in media if one.mid is not None and one.mid_extension is not None]
        self._mids = {(one.mid_extension or 0, (one.mid or "").encode()): one.stream for one in named}
        self._extensions = frozenset(number for number, _ in self._mids)
        every = [number for numbers in self._streams.values() for number in numbers]
        # One that several streams have tells nothing.
        self._payload_types = {
            number: stream
            for stream, numbers in self._streams.items()
            for number in numbers
            if every.count(number) == 1
        }
        self._sources = {ssrc: stream for ssrc, stream in self._sources.items() if stream in self._streams}

    def stream_of(self, data: bytes) -> int | None:
        """Returns the stream of an RTP or SRTP packet, None for one that cannot be told or is of no stream.

        By its mid, else by its SSRC, else by a payload type that only one stream has. Whichever it is, the payload
        type must be one of that stream's.
        """
        if len(data) < 12:
            return None
        mid = self._mid_of(data)
        if mid is not None:
            stream = self._mids.get(mid)
        else:
            stream = self._sources.get(ssrc_of(data), self._payload_types.get(data[1] & 0x7F))
        return stream if stream is not None and data[1] & 0x7F in self._streams[stream] else None

    def learn(self, ssrc: int, stream: int) -> None:
        """Says that a packet of this source was taken by a stream."""
        self._sources.pop(ssrc, None)
        if len(self._sources) >= MAX_SOURCES:
            del self._sources[next(iter(self._sources))]
        self._sources[ssrc] = stream

    def _mid_of(self, data: bytes) -> tuple[int, bytes] | None:
        position = 12 + 4 * (data[0] & 0x0F)
        if not data[0] & 0x10 or len(data) < position + 4:
            return None
        profile, words = _EXTENSION.unpack_from(data, position)
        try:
            elements = HeaderExtension(profile, data[position + 4 : position + 4 + 4 * words]).elements()
        except MalformedRtpError:
            return None
        return next(((one.id, one.data) for one in elements if one.id in self._extensions), None)


def ssrc_of(data: bytes) -> int:
    """Returns the SSRC of an RTP packet."""
    return int.from_bytes(data[8:12])


def _payload_types(media: NegotiatedMedia) -> frozenset[int]:
    """The payload types that the peer may send."""
    # An answerer may have numbers of its own for what it takes; what it sends has the offerer's (RFC 3264 6.1).
    answered = media.receive_payload_type == media.codec.payload_type
    numbers = {shared.codec.payload_type if answered else shared.payload_type for shared in media.codecs}
    own = media.payload_type if media.receive_payload_type is None else media.receive_payload_type
    events = () if media.receive_telephone_event is None else (media.receive_telephone_event,)
    return frozenset((*numbers, own, *events))
