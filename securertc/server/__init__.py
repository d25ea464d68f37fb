"""A proxy with a registrar, made from its configuration file."""

from .configuration import ProxyConfig, parse_config, read_config
from .service import ProxyService

__all__ = [
    "ProxyConfig",
    "ProxyService",
    "parse_config",
    "read_config",
]
