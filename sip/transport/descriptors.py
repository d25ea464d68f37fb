"""How many descriptors the process may have, and how many of them connections may take."""

from __future__ import annotations

import contextlib
import resource

# The others are for listening, media, name servers, files and what else the program opens.
_SHARE = 0.75


def raise_descriptor_limit() -> int:
    """Raises the process's limit of open descriptors to what it may be raised to, and returns what it is then.

    For programs to call at their start: it is the process's, and so no library's business.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # No system lets them be without any limit.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def allowed_connections(wanted: int) -> int:
    """Returns how many connections there may be at once: as many as wanted, and three descriptors of four at most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(min(wanted, int(soft * _SHARE)), 1)
