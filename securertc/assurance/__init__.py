"""What a call may lack, and the report of what each tier of security gave it."""

from .report import MediaFacts, SecurityReport, SignallingFacts, Tier, TierStatus, report
from .security_policy import SecurityPolicy

__all__ = [
    "MediaFacts",
    "SecurityPolicy",
    "SecurityReport",
    "SignallingFacts",
    "Tier",
    "TierStatus",
    "report",
]
