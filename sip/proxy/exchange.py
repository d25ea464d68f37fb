"""The transactions of a proxy with what belongs to them, and the clock that wakes them."""

from __future__ import annotations

import heapq
from itertools import count

from ..dialog.dialog import DialogId
from ..transaction.amplification import Allowance
from ..transaction.client import ClientTransaction
from ..transaction.server import ServerTransaction
from ..transaction.timers import Timers
from .events import Way
from .response_context import Branch, ResponseContext

# No exchange is kept for longer than that after its end, however late it would have been woken.
_HORIZON = 40.0


class ServerExchange:
    """A server transaction: where its request came from, and where its responses go.

    `address` is where responses go when that is not the flow's remote end. `trying_at` is when a request other than
    INVITE is to be answered 100 (RFC 4320 4.1). `allowance` bounds what is sent to a UDP source that has proven
    nothing, and `awaited` is the dialog whose ACK from there will be a proof. `known` tells that the sender has proven
    who he is or what dialog he is in, `forwarded` that the request went on to somebody. `held` are the bytes of
    messages that it is counted for.
    """

    __slots__ = (
        "address",
        "allowance",
        "awaited",
        "context",
        "flow",
        "forwarded",
        "held",
        "known",
        "scheduled",
        "source",
        "transaction",
        "trying_at",
    )

    def __init__(self, transaction: ServerTransaction, flow: Way, address: tuple[str, int] | None, source: str) -> None:
        self.transaction = transaction
        self.flow = flow
        self.address = address
        self.source = source
        self.allowance: Allowance | None = None
        self.awaited: DialogId | None = None
        self.held = 0
        self.known = False
        self.forwarded = False
        self.context: ResponseContext | None = None
        self.trying_at: float | None = None
        self.scheduled: float | None = None

    def next_timer(self) -> float | None:
        """When it has to be woken."""
        due = self.transaction.next_timer()
        if self.trying_at is not None and (due is None or self.trying_at < due):
            return self.trying_at
        return due


class ClientExchange:
    """A client transaction: the branch it belongs to, and how it may have to end.

    Without a branch it is a CANCEL of ours, or lingers after all was answered: then `upstream` is the INVITE's server
    transaction, which late 2xx are for.
    `timer_c` is when an INVITE without final response is given up (16.8), `give_up` when a cancelled one without
    final response is (9.1).
    """

    __slots__ = (
        "branch",
        "cancel_sent",
        "cancel_wanted",
        "flow",
        "give_up",
        "proceeding",
        "rang",
        "scheduled",
        "timer_c",
        "transaction",
        "upstream",
    )

    def __init__(self, transaction: ClientTransaction, flow: Way, branch: Branch | None) -> None:
        self.transaction = transaction
        self.flow = flow
        self.branch = branch
        self.upstream: ServerExchange | None = None
        self.proceeding = False
        self.rang = False  # a provisional response other than 100 came
        self.cancel_wanted = False
        self.cancel_sent = False
        self.timer_c: float | None = None
        self.give_up: float | None = None
        self.scheduled: float | None = None

    def next_timer(self) -> float | None:
        """When it has to be woken."""
        due = self.transaction.next_timer()
        if self.timer_c is not None and (due is None or self.timer_c < due):
            due = self.timer_c
        if self.give_up is not None and (due is None or self.give_up < due):
            due = self.give_up
        return due


Exchange = ServerExchange | ClientExchange


class Clock:
    """When exchanges are to be woken.

    An exchange whose time moves back stays where it is, to be asked once more when it comes up: most do not last as
    long as their timers, and moving them each time would cost more.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Exchange]] = []
        self._count = count()

    def __len__(self) -> int:
        return len(self._heap)

    def schedule(self, exchange: Exchange, now: float) -> None:
        """Has an exchange woken at its next_timer()."""
        due = exchange.next_timer()
        if due is not None and (exchange.scheduled is None or due < exchange.scheduled):
            exchange.scheduled = due = min(due, now + _HORIZON)
            heapq.heappush(self._heap, (due, next(self._count), exchange))

    def next_due(self) -> float | None:
        """When something may be due."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[Exchange]:
        """Takes out those that are due by `now`; they are to be scheduled again."""
        heap = self._heap
        due: list[Exchange] = []
        while heap and heap[0][0] <= now:
            time, _, exchange = heapq.heappop(heap)
            if exchange.scheduled != time:
                continue  # was moved forward, and has had its turn
            exchange.scheduled = None
            wanted = exchange.next_timer()
            if wanted is None:
                continue
            if wanted > now:
                self.schedule(exchange, now)
            else:
                due.append(exchange)
        return due


def trying_delay(timers: Timers) -> float:
    """Returns how long timer E takes to be reset to T2: when a non-INVITE request deserves 100 (RFC 4320 4.1)."""
    interval = timers.t1
    passed = interval
    while interval < timers.t2:
        interval = min(2 * interval, timers.t2)
        if interval < timers.t2:
            passed += interval
    return passed
