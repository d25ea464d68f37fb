"""What a proxy or user agent takes on at once, and what it sheds first when that is too much."""

from __future__ import annotations

from dataclasses import dataclass, fields

from srtp.field_checks import at_least, check_fields

from ..message.message import Request, Response
from ..source import source_of


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Bounds on what others can make a proxy or user agent keep.

    `transactions` are all server transactions, those that only linger included; `source_transactions` those of one
    address. Above `shed_at` of either, or when a proxy runs `max_lag` seconds late, requests outside dialogs are
    answered 503 with Retry-After; requests inside dialogs only at the bounds themselves.

    `transaction_bytes` and `source_transaction_bytes` bound in the same way what the transactions keep of messages, in
    all and for one source: requests until they are answered, responses that may have to be sent again, and what comes
    back while a request forks.

    `connections` and `source_connections` are open TCP, TLS and WebSocket connections, never more than the process's
    descriptors allow. `connection_bytes` and `source_connection_bytes` are what these keep together: what peers do not
    read, and messages that are not all there; beyond them the connection that wants more is closed. `first_message`
    are the seconds that a connection has for its first whole message.

    One source is an IPv4 address, or the /64 of an IPv6 address.
    """

    transactions: int = 400_000
    source_transactions: int = 200_000
    shed_at: float = 0.8
    max_lag: float = 1.0
    retry_after: int = 5
    connections: int = 10_000
    source_connections: int = 1_000
    connection_bytes: int = 64 << 20
    source_connection_bytes: int = 16 << 20
    first_message: float = 30.0
    transaction_bytes: int = 256 << 20
    source_transaction_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        check_fields(self)
        at_least(self, 0, *(one.name for one in fields(self)))


# Of a program that makes and takes calls itself.
USER_AGENT_LIMITS = LoadLimits(
    10_000,
    10_000,
    connections=1_000,
    source_connections=1_000,
    connection_bytes=16 << 20,
    transaction_bytes=32 << 20,
    source_transaction_bytes=16 << 20,
)
# What a header field costs beside its characters.
_ROW = 160


def kept_by(message: Request | Response) -> int:
    """Returns about how many bytes of memory a message takes up, by its parts."""
    headers = message.headers
    rows = headers.rows
    size = headers.size
    if not size:
        for row in rows:
            value = row[2]
            size += len(value) if value.isascii() else 4 * len(value)
    return size + len(message.body) + _ROW * len(rows)


class HeldBytes:
    """Counts the bytes that are kept for others, in all and by source, against a bound for each."""

    __slots__ = ("_by_source", "most", "most_of_source", "total")

    def __init__(self, most: int, most_of_source: int) -> None:
        self.most = most
        self.most_of_source = most_of_source
        self.total = 0
        self._by_source: dict[str, int] = {}

    @property
    def sources(self) -> int:
        """For how many sources anything is kept."""
        return len(self._by_source)

    def of(self, source: str) -> int:
        """How much is kept for one source."""
        return self._by_source.get(source, 0)

    def change(self, source: str, by: int) -> None:
        """Takes note that so much more, or less, is kept for a source."""
        if by:
            self.total += by
            left = self._by_source.get(source, 0) + by
            if left:
                self._by_source[source] = left
            else:
                self._by_source.pop(source, None)

    def over(self, source: str) -> bool:
        """Whether more is kept than one of the bounds."""
        return self.total > self.most or self._by_source.get(source, 0) > self.most_of_source


class Admission:
    """Counts server transactions and what they keep, and says which requests are one too many."""

    def __init__(self, limits: LoadLimits) -> None:
        self.limits = limits
        self.lag = 0.0  # seconds that the proxy runs late; the edge measures it
        self.total = 0
        self.refused = 0
        self.held = HeldBytes(limits.transaction_bytes, limits.source_transaction_bytes)
        self._by_source: dict[str, int] = {}
        self._shed_total = int(limits.transactions * limits.shed_at)
        self._shed_source = int(limits.source_transactions * limits.shed_at)
        self._shed_bytes = int(limits.transaction_bytes * limits.shed_at)
        self._shed_source_bytes = int(limits.source_transaction_bytes * limits.shed_at)

    @property
    def sources(self) -> int:
        """How many addresses have transactions."""
        return len(self._by_source)

    def refuse(self, request: Request, source: str, size: int = 0) -> Response | None:
        """Returns the 503 for a request that is one too many, or None after admitting it: call released() later.

        `size` is what is kept of it, of which resize() and released() have to be told.
        """
        source = source_of(source)
        of_source = self._by_source.get(source, 0)
        held = self.held.total + size
        held_of_source = self.held.of(source) + size
        if (
            of_source >= self._shed_source
            or self.total >= self._shed_total
            or held > self._shed_bytes
            or held_of_source > self._shed_source_bytes
            or self.lag > self.limits.max_lag
        ):
            at_bound = of_source >= self.limits.source_transactions or self.total >= self.limits.transactions
            at_bound = at_bound or held > self.held.most or held_of_source > self.held.most_of_source
            if at_bound or request.to_tag is None:
                self.refused += 1
                response = request.create_response(503)
                response.headers.add("Retry-After", str(self.limits.retry_after))
                return response
        self._by_source[source] = of_source + 1
        self.total += 1
        self.held.change(source, size)
        return None

    def resize(self, source: str, by: int) -> None:
        """Takes note that so much more, or less, is kept by a transaction."""
        self.held.change(source_of(source), by)

    def released(self, source: str, size: int = 0) -> None:
        """Takes note that an admitted request's transaction is over, which kept `size` bytes until now."""
        source = source_of(source)
        self.held.change(source, -size)
        self.total -= 1
        left = self._by_source[source] - 1
        if left:
            self._by_source[source] = left
        else:
            del self._by_source[source]
