"""When the next frame is due: an even pace that does not drift, and does not burst after a stall."""

from __future__ import annotations

DEFAULT_INTERVAL = 0.020
DEFAULT_MAX_LAG = 0.2


class Pacer:
    """Says when frames of `interval` seconds are due, on the caller's clock.

    A sender that comes late is due at once, so that the average pace is kept; one that lags more than
    `max_lag` seconds starts a new schedule instead of sending a burst.
    """

    def __init__(self, interval: float = DEFAULT_INTERVAL, *, max_lag: float = DEFAULT_MAX_LAG) -> None:
        if interval <= 0:
            raise ValueError(f"interval is {interval} s, it must be positive")
        self.interval = interval
        self.max_lag = max_lag
        self._start: float | None = None
        self._frames = 0

    def next_due(self, now: float) -> float:
        """Counts one frame and returns the seconds to wait before it goes out: 0 or more."""
        if self._start is None or now - (self._start + self._frames * self.interval) > self.max_lag:
            self._start = now
            self._frames = 0
        due = self._start + self._frames * self.interval
        self._frames += 1
        return max(0.0, due - now)
