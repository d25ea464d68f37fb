"""Transactions (RFC 3261 17): client and server, and the timers and limits of them all."""

from .client import ClientTransaction, client_key
from .load_limits import USER_AGENT_LIMITS, Admission, LoadLimits
from .server import ServerTransaction, server_key
from .timers import DEFAULT_TIMERS, Timers

__all__ = [
    "DEFAULT_TIMERS",
    "USER_AGENT_LIMITS",
    "Admission",
    "ClientTransaction",
    "LoadLimits",
    "ServerTransaction",
    "Timers",
    "client_key",
    "server_key",
]
