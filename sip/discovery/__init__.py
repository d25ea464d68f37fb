"""Where a request goes (RFC 3263): NAPTR, SRV and addresses, and which of them to avoid for now."""

from typing import TYPE_CHECKING

from .dns_records import HostAddress, Naptr, Question, Record, RecordType, Resolver, Srv
from .locator import Locator
from .server_location import DiscoveryRules, locate, locate_response
from .target import SECURE_TRANSPORTS, TRANSPORTS, Target, default_port, next_hop, target_of, transport_name
from .target_health import TargetHealth

if TYPE_CHECKING:
    from .dns_resolver import DnsResolver

__all__ = [
    "SECURE_TRANSPORTS",
    "TRANSPORTS",
    "DiscoveryRules",
    "DnsResolver",
    "HostAddress",
    "Locator",
    "Naptr",
    "Question",
    "Record",
    "RecordType",
    "Resolver",
    "Srv",
    "Target",
    "TargetHealth",
    "default_port",
    "locate",
    "locate_response",
    "next_hop",
    "target_of",
    "transport_name",
]


def __getattr__(name: str) -> object:
    """Import what needs an extra, or takes long to load, when it is asked for."""
    if name == "DnsResolver":
        from .dns_resolver import DnsResolver

        return DnsResolver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
