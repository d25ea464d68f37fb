"""Which source a STUN transaction is of: one counts for one, so that copies of a request take nothing."""

from __future__ import annotations

Address = tuple[str, int]

MAX_TRANSACTIONS = 1024


class StunTransactions:
    """The latest 1,024 transactions that authenticated, each with where it came from first.

    A request says nothing of its source, and nothing of its time: who has caught one may send it from elsewhere, now
    or later. `forgotten` says that some are no longer known, and that one could be such a copy.
    """

    def __init__(self) -> None:
        self._sources: dict[bytes, Address] = {}
        self.forgotten = False

    def is_of(self, transaction_id: bytes, source: Address) -> bool:
        """Whether a transaction is this source's: that which it came from first, and comes from again."""
        first = self._sources.setdefault(transaction_id, source)
        if len(self._sources) > MAX_TRANSACTIONS:
            del self._sources[next(iter(self._sources))]
            self.forgotten = True
        return first == source
