"""Media of a call: sockets, keys that come late, ICE, RTCP and audio."""

from typing import TYPE_CHECKING

from .bundle import MediaBundle
from .session import MediaSession
from .statistics import MediaStatistics

if TYPE_CHECKING:
    from .dtls_media import DtlsMedia
    from .ice_agent import IceAgent

__all__ = [
    "DtlsMedia",
    "IceAgent",
    "MediaBundle",
    "MediaSession",
    "MediaStatistics",
]


def __getattr__(name: str) -> object:
    """Import what needs an extra, or takes long to load, when it is asked for."""
    if name == "DtlsMedia":
        from .dtls_media import DtlsMedia

        return DtlsMedia
    if name == "IceAgent":
        from .ice_agent import IceAgent

        return IceAgent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
