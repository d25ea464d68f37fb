"""The targets of one request, one after the other until one answers (RFC 3263 4.3), by TCP when it is large."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from ..discovery.target import MAX_UDP_REQUEST, Target
from ..discovery.target_health import TargetHealth, retry_after
from ..errors import SipError, TransactionTimeoutError, TransportError
from ..message.message import Request, Response
from .layer import Flow

# What start_request() puts on a request.
_VIA_SPACE = 140


class Failover:
    """Opens the flow to the first target that can be reached, and moves on to the next when that one fails.

    `connect` opens a flow and raises TransportError; `last_flow` is the one that flow() returned last. Raises
    ValueError without targets.
    """

    def __init__(
        self, targets: Sequence[Target], connect: Callable[[Target], Awaitable[Flow]], health: TargetHealth
    ) -> None:
        if not targets:
            raise ValueError("a request needs a target")
        self._targets = health.order(targets)
        self._connect = connect
        self._health = health
        self._moved: set[Target] = set()
        self.last_flow: Flow | None = None

    @property
    def target(self) -> Target:
        """The target that is tried now."""
        return self._targets[0]

    async def flow(self, *, large: bool = False) -> Flow:
        """Returns a flow to the target tried now, or the first behind it that can be reached.

        A `large` request goes by TCP where that is to be had, instead of UDP (RFC 3261 18.1.1). Raises
        TransportError, that of the last target, when none can be reached.
        """
        while True:
            if large:
                self._move_to_tcp()
            try:
                self.last_flow = await self._connect(self._targets[0])
                return self.last_flow
            except TransportError:
                if not self._advance(None):
                    raise

    def _move_to_tcp(self) -> None:
        """Puts TCP before the UDP target tried now, which stays for a peer that has no TCP."""
        target = self._targets[0]
        moved = replace(target, transport="tcp")
        if target.transport == "udp" and moved not in self._moved and not self._health.avoids(moved):
            self._moved.add(moved)
            self._targets.insert(0, moved)

    def goes_on_after(self, failure: SipError | Response, *, progress: int) -> bool:
        """Whether the request goes to another target, which flow() then leads to, with a new branch.

        It does after 503, after a timeout without any response, and after a lost connection before anything but
        100 came: `progress` is the highest status of a provisional response, 0 for none. A phone that rings
        elsewhere already must not be called a second time.
        """
        if isinstance(failure, Response):
            if failure.status != 503:
                self._health.recovered(self.target)
                return False
            return self._advance(retry_after(failure))
        if isinstance(failure, TransactionTimeoutError):
            return progress == 0 and self._advance(None)
        return isinstance(failure, TransportError) and progress <= 100 and self._advance(None)

    def skip(self) -> bool:
        """Goes on to the next target without blaming the one tried now; False when there is none."""
        if len(self._targets) == 1:
            return False
        del self._targets[0]
        return True

    def _advance(self, retry_after: float | None) -> bool:
        self._health.failed(self.target, retry_after=retry_after)
        return self.skip()


def is_large(request: Request) -> bool:
    """Whether a request, with the Via it is going to get, is too long for UDP (RFC 3261 18.1.1)."""
    return len(request.serialize()) + _VIA_SPACE > MAX_UDP_REQUEST
