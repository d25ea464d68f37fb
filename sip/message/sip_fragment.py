"""message/sipfrag bodies (RFC 3420) as REFER's notifications have them: a status line, and what may follow it."""

from __future__ import annotations

import re

from ..errors import SipParseError
from .reasons import REASONS

CONTENT_TYPE = "message/sipfrag"
MAX_LENGTH = 65535
_STATUS_LINE = re.compile(rb"SIP/2\.0 ([1-6][0-9][0-9]) ([^\r\n]*)(?:\r?\n|\Z)", re.IGNORECASE)


def status_fragment(status: int) -> bytes:
    """Returns the body that tells how far the request that a REFER asked for has come (RFC 3515 2.4.5)."""
    return f"SIP/2.0 {status} {REASONS.get(status, 'Unknown')}\r\n".encode()


def status_of(body: bytes) -> int:
    """Returns the status that a body begins with; raises SipParseError when it begins with none."""
    found = _STATUS_LINE.match(body[:MAX_LENGTH].lstrip(b"\r\n"))
    if found is None:
        raise SipParseError("the fragment begins with no status line")
    return int(found[1])
