"""How many connections there are at once, in all and of one source, and which of them go when a place is needed."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from ..source import source_of

IDLE_TIMEOUT = 3600.0
# Of the connections that have proven themselves, how many are looked at for one that is long idle.
_LOOKED_AT = 8


class Connection(Protocol):
    """What holds a place: a connection, or one whose TLS handshake is not done."""

    accepted: bool
    remote: tuple[str, int]
    last_used: float

    def close(self) -> None:
        """Ends it, taking leave where that is the custom."""

    def abort(self) -> None:
        """Ends it at once."""


class Standing(enum.IntEnum):
    """What is known of a connection that a peer opened; those of a lower standing go first."""

    SILENT = 0  # not one whole message came by it
    HEARD = 1
    PROVEN = 2  # by a certificate, by Digest, as a party of a call or as registered; and all that we opened


class ConnectionPlaces:
    """The places of all connections, `most` of them, of those that peers opened `most_of_source` of one source.

    When there is none left, the connection of the lowest standing that has been quiet for the longest time makes room.
    Those that have proven themselves only do when they are idle for an hour.
    """

    def __init__(self, most: int, most_of_source: int | None) -> None:
        self.most = most
        self.most_of_source = most_of_source
        self._standing: dict[Connection, Standing] = {}
        # By standing, in the order in which something was heard of them.
        self._queues: tuple[dict[Connection, None], ...] = ({}, {}, {})
        self._by_source: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._standing)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._standing))

    def take(self, connection: Connection, *, instead_of: Connection | None = None) -> bool:
        """Gives a connection a place, that of another one where it follows on that; False when there is none."""
        if instead_of is not None:
            if instead_of not in self._standing:
                return False  # it had to make room
            self.release(instead_of)
        source = source_of(connection.remote[0])
        most = self.most_of_source
        if connection.accepted and most is not None and self._by_source.get(source, 0) >= most:
            return False
        if len(self._standing) >= self.most and not self._make_room():
            return False
        standing = Standing.SILENT if connection.accepted else Standing.PROVEN
        self._standing[connection] = standing
        self._queues[standing][connection] = None
        if connection.accepted:
            self._by_source[source] = self._by_source.get(source, 0) + 1
        return True

    def release(self, connection: Connection) -> None:
        """Takes a connection that has ended off the count."""
        standing = self._standing.pop(connection, None)
        if standing is None:
            return
        del self._queues[standing][connection]
        if connection.accepted:
            source = source_of(connection.remote[0])
            left = self._by_source[source] - 1
            if left:
                self._by_source[source] = left
            else:
                del self._by_source[source]

    def heard(self, connection: Connection) -> None:
        """Takes note of a whole message that came by a connection."""
        standing = self._standing.get(connection)
        if standing is not None:
            self._move(connection, standing, Standing.HEARD if standing is Standing.SILENT else standing)

    def proven(self, connection: Connection) -> None:
        """Takes note that the peer has proven something that strangers cannot."""
        standing = self._standing.get(connection)
        if standing is not None and standing is not Standing.PROVEN:
            self._move(connection, standing, Standing.PROVEN)

    def shed_silent(self) -> None:
        """Ends the connection that has been silent for the longest time, if there is any."""
        silent = self._queues[Standing.SILENT]
        if silent:
            self._drop(next(iter(silent)))

    def _move(self, connection: Connection, before: Standing, after: Standing) -> None:
        del self._queues[before][connection]
        self._queues[after][connection] = None
        self._standing[connection] = after

    def _make_room(self) -> bool:
        for standing in (Standing.SILENT, Standing.HEARD):
            for connection in self._queues[standing]:
                self._drop(connection)
                return True
        now = time.monotonic()
        for connection in list(islice(self._queues[Standing.PROVEN], _LOOKED_AT)):
            if now - connection.last_used > IDLE_TIMEOUT:
                self._drop(connection)
                return True
            self._move(connection, Standing.PROVEN, Standing.PROVEN)
        return False

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self.release(connection)
