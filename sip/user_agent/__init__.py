"""A user agent (RFC 3261 8): calls, registrations, subscriptions and single requests."""

from .invite import IncomingInvite, OutgoingInvite
from .invite_dialog import InviteDialog
from .outbound import OutboundRegistration, is_instance, new_instance
from .registration import REMOVE_TIMEOUT, Registration
from .subscriptions import EventServer, Subscription
from .user_agent import UserAgent

__all__ = [
    "REMOVE_TIMEOUT",
    "EventServer",
    "IncomingInvite",
    "InviteDialog",
    "OutboundRegistration",
    "OutgoingInvite",
    "Registration",
    "Subscription",
    "UserAgent",
    "is_instance",
    "new_instance",
]
