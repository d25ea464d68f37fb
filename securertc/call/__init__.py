"""Endpoints and calls."""

from .call import Call, IncomingCall
from .endpoint import Endpoint, EndpointSettings
from .messages import Info, TextMessage
from .transfer import IncomingTransfer

__all__ = [
    "Call",
    "Endpoint",
    "EndpointSettings",
    "IncomingCall",
    "IncomingTransfer",
    "Info",
    "TextMessage",
]
