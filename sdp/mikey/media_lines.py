"""Crypto sessions for the media lines of an SDP (RFC 4567 7.1)."""

from __future__ import annotations

from .header import SrtpId


def streams_of_media(ssrcs: tuple[int, ...], policy_no: int = 0) -> tuple[SrtpId, ...]:
    """Returns the map entries of media lines: two for each, as a stream may go both ways.

    `ssrcs` are ours, the initiator's, one for each line. The second entry of a line is the responder's, who fills
    in its SSRC.
    """
    return tuple(entry for ssrc in ssrcs for entry in (SrtpId(policy_no, ssrc), SrtpId(policy_no, 0)))
