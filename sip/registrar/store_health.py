"""Whether a location store works: one line in the log when it begins to fail, and one when it works again."""

from __future__ import annotations

import logging

# A store that comes and goes gives two lines in so many seconds, and no more.
QUIET = 10.0
_log = logging.getLogger(__name__)


class StoreHealth:
    """Tells the log of the state of what a store does, such as "look-ups"; `failures` counts those of all time."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.failures = 0
        self._told_failing = False
        self._since_told = 0
        self._told_at = float("-inf")

    def failed(self, error: Exception, now: float) -> None:
        """Notes a failure; `now` is in seconds of any clock that does not go back."""
        self.failures += 1
        if not self._told_failing and now - self._told_at >= QUIET:
            self._told_failing, self._since_told = True, self.failures
            # Its words may hold what others have written.
            _log.error("the location store fails at %s: %s", self.what, _one_line(str(error)))

    def worked(self, now: float) -> None:
        """Notes a success."""
        if self._told_failing:
            self._told_failing, self._told_at = False, now
            count = self.failures - self._since_told + 1
            _log.warning("the location store works again at %s, after %d failures", self.what, count)


class SkippedRecords:
    """Counts the records that could not be read and were passed over, and tells the log of one in QUIET seconds."""

    def __init__(self) -> None:
        self.count = 0
        self._told_at = float("-inf")

    def add(self, error: Exception, now: float) -> None:
        """Counts one; `now` as for StoreHealth."""
        self.count += 1
        if now - self._told_at >= QUIET:
            self._told_at = now
            _log.warning("%s (%d passed over so far)", _one_line(str(error)), self.count)


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:500])
