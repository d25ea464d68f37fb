"""Whom a proxy forwards for, and where to: strangers reach our users, and nobody else by us."""

from __future__ import annotations

import enum

from ..discovery.target import default_port
from ..message.host_names import bare_host
from ..message.uri import SipUri, Uri


class Standing(enum.Enum):
    """What is known of who sent a request.

    A USER of ours has proven it, and may reach everybody. A STRANGER reaches the contacts of our users, and within a
    dialog whom he talks to there. With OPEN nobody is asked: the proxy relays for everybody.
    """

    STRANGER = "stranger"
    USER = "user"
    OPEN = "open"


def place_of(uri: Uri) -> tuple[str, int] | None:
    """Returns the host and port that a request with this next-hop URI is sent to, as text; None for no SIP URI."""
    if not isinstance(uri, SipUri):
        return None
    host = bare_host(uri.parameter("maddr") or uri.host)
    transport = uri.transport or "udp"
    if uri.secure:
        transport = "wss" if transport in ("ws", "wss") else "tls"
    return host, uri.port or default_port(transport)
