"""The timer values of RFC 3261 17 (Table 4), in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from srtp.field_checks import above_zero, check_fields


@dataclass(frozen=True, slots=True)
class Timers:
    """T1, the round-trip estimate; T2, the longest retransmission interval; T4, how long a message may live.

    `completed_invite` is timer D, at least 32 s on unreliable transports.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    completed_invite: float = 32.0

    def __post_init__(self) -> None:
        check_fields(self)
        above_zero(self, "t1", "t2", "t4", "completed_invite")

    @property
    def timeout(self) -> float:
        """64*T1: timers B, F, H, J, L and M."""
        return 64 * self.t1


DEFAULT_TIMERS = Timers()
