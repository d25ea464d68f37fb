"""The order in which the servers of SRV records are tried (RFC 2782, usage rules)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .dns_records import Srv

# randint(low, high) returns a whole number of both bounds or between, as random.Random.randint() does.
RandomInteger = Callable[[int, int], int]


def order_servers(records: Iterable[Srv], randint: RandomInteger) -> list[Srv]:
    """Returns the records by priority, and at random by weight where that is equal."""
    ordered: list[Srv] = []
    records = list(records)
    for priority in sorted({record.priority for record in records}):
        # Those of weight 0 stand first, so that they have their small chance.
        waiting = sorted(
            (one for one in records if one.priority == priority), key=lambda one: (one.weight > 0, one.target)
        )
        while waiting:
            ordered.append(waiting.pop(_pick(waiting, randint)))
    return ordered


def _pick(waiting: list[Srv], randint: RandomInteger) -> int:
    """The first whose running sum of weights reaches a random number from 0 to their total."""
    wanted = randint(0, sum(record.weight for record in waiting))
    running = 0
    for index, record in enumerate(waiting):
        running += record.weight
        if running >= wanted:
            return index
    return len(waiting) - 1
