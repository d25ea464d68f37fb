"""Where forward error correction of a stream goes (RFC 2733 11), which FEC_KEY depends on (RFC 4568 6.3.5)."""

from __future__ import annotations

from ..description.media_attributes import format_parameters
from ..description.session_description import MediaDescription, SessionDescription, numeric_address


def fec_goes_elsewhere(description: SessionDescription, section: MediaDescription) -> bool:
    """Whether a section sends its FEC to another address or port than its media: then it has keys of its own.

    RFC 2733 11.1 says so by `a=fmtp:FORMAT PORT IN IP4 ADDRESS` of a parityfec format.
    """
    address = description.address_of(section) or ""
    for number, rtpmap in section.rtpmaps().items():
        if rtpmap.encoding.lower() != "parityfec" or str(number) not in section.formats:
            continue
        port, *place = format_parameters(section, number).split()[:4] or [""]
        if not (port.isascii() and port.isdigit() and len(port) <= 5):
            continue
        elsewhere = len(place) == 3 and numeric_address(place[2]) != numeric_address(address)
        if int(port) != section.port or elsewhere:
            return True
    return False
