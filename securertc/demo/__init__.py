"""Demonstrations: two domains on one machine, with DNS, certificates and sound of their own."""

from .throwaway_authority import ThrowawayAuthority

__all__ = [
    "ThrowawayAuthority",
]
