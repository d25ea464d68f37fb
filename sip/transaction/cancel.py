"""The CANCEL of an INVITE (RFC 3261 9.1)."""

from __future__ import annotations

from ..message.header_values import CSeq
from ..message.message import Request

_COPIED = ("Route", "From", "To", "Call-ID")


def create_cancel(invite: Request) -> Request:
    """Returns the CANCEL of an INVITE as it was sent, without Via: its branch has to be that of the INVITE."""
    cancel = Request("CANCEL", invite.uri)
    for name in _COPIED:
        for value in invite.headers.get_all(name):
            cancel.headers.add(name, value)
    cancel.headers.add("Max-Forwards", "70")
    cancel.headers.add("CSeq", str(CSeq(invite.cseq.number, "CANCEL")))
    return cancel
