"""Dialogs (RFC 3261 12) and what is agreed on in them: PRACK, session timers, events, Replaces."""

from .dialog import Dialog, DialogId
from .event_subscription import Event, Notifier, State, Subscriber, SubscriptionState
from .reliable_provisional import RAck, ReliableReceiver, ReliableSender
from .replaces import ReferTarget, Replaces
from .session_timer import Refresher, SessionExpires, SessionTimer, SessionTimerPolicy

__all__ = [
    "Dialog",
    "DialogId",
    "Event",
    "Notifier",
    "RAck",
    "ReferTarget",
    "Refresher",
    "ReliableReceiver",
    "ReliableSender",
    "Replaces",
    "SessionExpires",
    "SessionTimer",
    "SessionTimerPolicy",
    "State",
    "Subscriber",
    "SubscriptionState",
]
