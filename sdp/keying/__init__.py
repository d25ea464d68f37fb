"""The one interface of keying methods, and the method that keys nothing."""

from .method import (
    KeyingAnswer,
    KeyingMethod,
    KeyingOffer,
    KeyingProposal,
    KeyingResult,
    KeyingState,
    LocalSection,
    RemoteSection,
)
from .none import NoKeying

__all__ = [
    "KeyingAnswer",
    "KeyingMethod",
    "KeyingOffer",
    "KeyingProposal",
    "KeyingResult",
    "KeyingState",
    "LocalSection",
    "NoKeying",
    "RemoteSection",
]
