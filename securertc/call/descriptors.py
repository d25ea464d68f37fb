"""How many calls the process's descriptors are for."""

from __future__ import annotations

import logging
import resource

from sip.transport import allowed_connections

_log = logging.getLogger(__name__)
# The sockets of a call's RTP and RTCP.
PER_CALL = 2
# For listening, name servers, files and what else the program opens.
_RESERVE = 64


def calls_that_fit(wanted: int, *, connections: int) -> int:
    """Returns how many calls may have media at once: as many as wanted, or what is left beside the connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    left = soft - allowed_connections(connections) - _RESERVE
    return max(min(wanted, left // PER_CALL), 1)


def warn_of_fewer_calls(fitting: int, wanted: int) -> None:
    """Says how many calls the descriptors are for, where that is fewer than the settings want."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    _log.warning(
        "the process may open %d descriptors, which is for %d calls at once and not for max_calls=%d: "
        "raise that limit (ulimit -n), or lower limits.connections",
        soft,
        fitting,
        wanted,
    )
