"""The transactions of a user agent with what belongs to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..digest.server import Authentication
from ..errors import SipError
from ..message.header_values import CSeq
from ..message.message import Response
from ..transaction.amplification import Allowance
from ..transaction.client import ClientTransaction
from ..transaction.server import ServerTransaction
from ..transport.flow import Flow

if TYPE_CHECKING:
    from .invite import IncomingInvite


@dataclass(slots=True, eq=False)
class ClientExchange:
    """A client transaction with its flow, and who hears of it."""

    transaction: ClientTransaction
    flow: Flow
    on_response: Callable[[Response], None]
    on_failure: Callable[[SipError], None]
    timer: asyncio.TimerHandle | None = None
    progress: int = 0  # the highest status of its provisional responses


@dataclass(slots=True, eq=False)
class ServerExchange:
    """A server transaction with its flow; `invite` is what CANCEL is reported to until it is answered.

    `allowance` bounds what is sent to a UDP source that has proven nothing. `ours` tells that the request is of a
    dialog or a user that we know, or was given to the application: only then anything is kept of a refusal.
    """

    transaction: ServerTransaction
    flow: Flow
    invite: IncomingInvite | None = None
    timer: asyncio.TimerHandle | None = None
    authentication: Authentication | None = None  # what Digest proved
    allowance: Allowance | None = None
    ours: bool = False
    origin: tuple[str, str | None, CSeq] | None = None  # what merged requests have in common
    source: str = ""
    size: int = 0  # bytes of memory that the request takes up
    held: int = 0  # those of messages that it is counted for now
    released: bool = False  # the request was let go
    local_tag: str | None = None  # of an INVITE, which outlives `invite`

    @property
    def authenticated(self) -> tuple[str, str] | None:
        """Who, by which algorithm; None without proof."""
        found = self.authentication
        return None if found is None else (found.username or "", found.algorithm or "")
