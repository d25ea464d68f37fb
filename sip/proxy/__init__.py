"""A proxy (RFC 3261 16): routing, forking and failover sans-IO, and the server that runs it."""

from .dns_resolver import DnsProxyResolver
from .events import ProxyTarget, Resolver, TargetSource
from .flow_tokens import FlowTokens
from .own_names import ListenAddress, ProxyIdentity, route_value
from .proxy import Proxy
from .routing import asks_for_flow, replace_values
from .server import Listener, Observer, ProxyServer
from .settings import ProxySettings
from .standing import Standing

__all__ = [
    "DnsProxyResolver",
    "FlowTokens",
    "ListenAddress",
    "Listener",
    "Observer",
    "Proxy",
    "ProxyIdentity",
    "ProxyServer",
    "ProxySettings",
    "ProxyTarget",
    "Resolver",
    "Standing",
    "TargetSource",
    "asks_for_flow",
    "replace_values",
    "route_value",
]
