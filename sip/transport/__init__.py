"""How SIP crosses the network (RFC 3261 18, 5922, 5923, 5626, 7118): UDP, TCP, TLS and WebSocket."""

from .descriptors import allowed_connections, raise_descriptor_limit
from .failover import Failover
from .flow import Flow, LocalAddress, via_host
from .keep_alive import KeepAliveTimes
from .layer import WILDCARDS, TransportLayer, local_address_towards, local_host_of, reason_of
from .tls import VerifiedPeer, client_context, server_context, verify_identity
from .websocket_settings import WebSocketSettings

__all__ = [
    "WILDCARDS",
    "Failover",
    "Flow",
    "KeepAliveTimes",
    "LocalAddress",
    "TransportLayer",
    "VerifiedPeer",
    "WebSocketSettings",
    "allowed_connections",
    "client_context",
    "local_address_towards",
    "local_host_of",
    "raise_descriptor_limit",
    "reason_of",
    "server_context",
    "verify_identity",
    "via_host",
]
