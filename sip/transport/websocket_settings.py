"""How SIP is carried over WebSocket, for clients and servers (RFC 7118)."""

from __future__ import annotations

from dataclasses import dataclass

from srtp.field_checks import check_fields


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """`origins`: the web pages whose scripts may connect, as `https://example.com` (None: all); who is no browser
    sends none, and may. `ping_interval`: seconds between the pings that keep a connection open and find out a dead
    one (0: none). `path` is what a client asks of a server.
    """

    origins: tuple[str, ...] | None = None
    ping_interval: float = 30.0
    path: str = "/"

    def __post_init__(self) -> None:
        check_fields(self)
