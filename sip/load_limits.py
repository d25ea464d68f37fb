"""What a proxy or user agent takes on at once, and what it sheds first when that is too much."""

from __future__ import annotations

from dataclasses import dataclass

from srtp.field_checks import check_fields

from .message import Request, Response


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Bounds on what others can make a proxy or user agent keep.

    `transactions` are all server transactions, those that only linger included; `source_transactions` those of one
    address. Above `shed_at` of either, or when a proxy runs `max_lag` seconds late, requests outside dialogs are
    answered 503 with Retry-After; requests inside dialogs only at the bounds themselves. `connections` and
    `source_connections` are open TCP and TLS connections.
    """

    transactions: int = 400_000
    source_transactions: int = 200_000
    shed_at: float = 0.8
    max_lag: float = 1.0
    retry_after: int = 5
    connections: int = 10_000
    source_connections: int = 1_000

    def __post_init__(self) -> None:
        check_fields(self)


# Of a program that makes and takes calls itself.
USER_AGENT_LIMITS = LoadLimits(10_000, 10_000, connections=1_000, source_connections=1_000)


class Admission:
    """Counts server transactions, and says which requests are one too many."""

    def __init__(self, limits: LoadLimits) -> None:
        self.limits = limits
        self.lag = 0.0  # seconds that the proxy runs late; the edge measures it
        self.total = 0
        self.refused = 0
        self._by_source: dict[str, int] = {}
        self._shed_total = int(limits.transactions * limits.shed_at)
        self._shed_source = int(limits.source_transactions * limits.shed_at)

    @property
    def sources(self) -> int:
        """How many addresses have transactions."""
        return len(self._by_source)

    def refuse(self, request: Request, source: str) -> Response | None:
        """Returns the 503 for a request that is one too many, or None after admitting it: call released() later."""
        of_source = self._by_source.get(source, 0)
        if of_source >= self._shed_source or self.total >= self._shed_total or self.lag > self.limits.max_lag:
            at_bound = of_source >= self.limits.source_transactions or self.total >= self.limits.transactions
            if at_bound or request.to.tag is None:
                self.refused += 1
                response = request.create_response(503)
                response.headers.add("Retry-After", str(self.limits.retry_after))
                return response
        self._by_source[source] = of_source + 1
        self.total += 1
        return None

    def released(self, source: str) -> None:
        """Takes note that an admitted request's transaction is over."""
        self.total -= 1
        left = self._by_source[source] - 1
        if left:
            self._by_source[source] = left
        else:
            del self._by_source[source]
