"""What our user agent understands: methods, option tags and bodies (RFC 3261 20.5, 20.37, 8.2.3)."""

from __future__ import annotations

# Outside and inside dialogs; MESSAGE, SUBSCRIBE and others only where somebody answers them.
METHODS = frozenset(("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY"))
# RFC 3262, 4028, 3891; the first two of an INVITE's call alone.
OPTION_TAGS = frozenset(("100rel", "timer", "replaces"))
SESSION_BODIES = frozenset(("application/sdp",))
# Whoever gets the body of one of these says whether it is understood.
_OTHER_BODIES = frozenset(("INFO", "MESSAGE", "NOTIFY", "REFER", "SUBSCRIBE", "PUBLISH"))


def allow(methods: frozenset[str] = METHODS) -> str:
    """Returns the value of an Allow header field."""
    return ", ".join(sorted(methods))


def supported() -> str:
    """Returns the value of a Supported header field."""
    return ", ".join(sorted(OPTION_TAGS))


def body_types(method: str) -> frozenset[str] | None:
    """Returns the media types that are understood in requests of a method; None when others decide that."""
    return None if method in _OTHER_BODIES else SESSION_BODIES
