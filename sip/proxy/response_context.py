"""What a proxy knows of one request that it forwards: targets, branches, responses (RFC 3261 16.5 to 16.10).

Sans-IO: what happens to the branches goes in, what is to be done comes out. Forks in parallel where q is equal, and
one group after the other in falling order of q; never more at once than Max-Breadth allows (RFC 5393 5.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..message.message import Request, Response
from ..message.uri import SipUri, Uri
from .events import ProxyTarget
from .response_choice import choose_response
from .standing import Standing

if TYPE_CHECKING:
    from ..discovery.target import Target
    from .exchange import ClientExchange, ServerExchange


class Branch:
    """One target that a request is forwarded to, with the hops that may be tried for it (16.6 step 7)."""

    __slots__ = (
        "alternatives",
        "breadth",
        "context",
        "exchange",
        "failure",
        "fallback",
        "finished",
        "hop",
        "hops",
        "target",
    )

    def __init__(self, context: ResponseContext, target: ProxyTarget, breadth: int) -> None:
        self.context = context
        self.target = target
        self.breadth = breadth
        self.hop: Target | None = None  # the one being tried
        self.hops: tuple[Target, ...] = ()  # those not tried yet
        self.alternatives = target.alternatives
        self.fallback: Target | None = None  # to be tried if the hop by TCP, instead of UDP, cannot be reached
        self.exchange: ClientExchange | None = None
        self.failure = 408  # what it comes to when no hop is left
        self.finished = False


@dataclass(frozen=True, slots=True)
class Start:
    """Forward the request to a branch's target."""

    branch: Branch


@dataclass(frozen=True, slots=True)
class Forward:
    """Send a response upstream; `late` when a final one was sent before."""

    response: Response
    late: bool = False


@dataclass(frozen=True, slots=True)
class CancelBranch:
    """Send CANCEL for a branch, as soon as it has a provisional response (9.1)."""

    branch: Branch


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There is nothing to be answered: a non-INVITE request whose time is over (RFC 4320 4.2)."""


Action = Start | Forward | CancelBranch | GiveUp


class ResponseContext:
    """The response context of one request (16.6).

    add_targets() once they are known, then received() for what comes of the branches; each returns what is to be
    done. `answered` tells that a final response went upstream, `finished` that no branch is open any more.
    """

    __slots__ = (
        "_breadth",
        "_invite",
        "_request",
        "_seen",
        "_stopped",
        "_waiting",
        "answered",
        "asserted",
        "branches",
        "candidate",
        "flows_only",
        "inbound_token",
        "located",
        "loop_part",
        "responses",
        "secure",
        "server",
        "standing",
    )

    def __init__(self, request: Request, server: ServerExchange | None, breadth: int, loop_part: str) -> None:
        self._request: Request | None = request
        self._invite = request.method == "INVITE"
        self.server = server
        self.loop_part = loop_part
        self.inbound_token: str | None = None  # of the flow that the request came by, to be recorded
        self.standing = Standing.OPEN  # of who sent it
        self.asserted = False  # the request has an identity that the trust domain asserts
        self.secure = False  # the request is for a sips URI
        self.located = False  # its targets are those of a user of ours
        self.flows_only = False  # its Route leads elsewhere: it goes by flows, which no Route decides on
        self.candidate: ProxyTarget | None = None  # good if it is a contact of the user that is asked for
        self.branches: list[Branch] = []
        self.responses: list[Response] = []
        self.answered = False
        self._breadth = breadth
        self._stopped = False  # no new branches: cancelled, accepted or refused everywhere
        self._waiting: list[list[ProxyTarget]] = []
        self._seen: list[Uri] = []

    @property
    def request(self) -> Request:
        """The request; not to be asked for once it was released."""
        assert self._request is not None
        return self._request

    def release(self) -> None:
        """Lets go of all that was needed to come to an answer, and leaves no cycle of references behind.

        Client transactions linger after that: a late 2xx that one lets through goes up by its `upstream`.
        """
        for branch in self.branches:
            exchange, branch.exchange = branch.exchange, None
            if exchange is not None:
                exchange.branch = None
                exchange.upstream = self.server if self._invite else None
        if self.server is not None:
            self.server.context = None
        self._request = None
        self._waiting, self._seen, self.branches, self.responses = [], [], [], []

    @property
    def stopped(self) -> bool:
        """Whether no new branch may be started."""
        return self._stopped

    @property
    def finished(self) -> bool:
        """Whether nothing is open: neither branches nor targets to try."""
        return not self._waiting and all(branch.finished for branch in self.branches)

    def add_targets(self, targets: Sequence[ProxyTarget]) -> list[Action]:
        """Takes the targets, each URI once, and starts the first group; 480 when there are none."""
        if len(targets) == 1 and not self._seen and not self._stopped:
            self._waiting = [[targets[0]]]
            return self._advance()
        groups: dict[int, list[ProxyTarget]] = {}
        for target in targets:
            if any(_same(target.uri, seen) for seen in self._seen):
                continue
            self._seen.append(target.uri)
            groups.setdefault(target.q, []).append(target)
        if self._stopped:
            return []
        if not groups:
            return self.refuse(480)
        self._waiting = [groups[q] for q in sorted(groups, reverse=True)]
        return self._advance()

    def refuse(self, status: int) -> list[Action]:
        """Ends it with a response of ours, when no branch was started."""
        if self.answered:
            return []
        self._waiting.clear()
        if status == 408 and not self._invite:
            self.answered = self._stopped = True
            return [GiveUp()]
        return self._forward_final(self.request.create_response(status))

    def received(self, branch: Branch, response: Response) -> list[Action]:
        """Takes a response, its top Via removed, other than 100."""
        if response.provisional:
            return [] if self.answered else [Forward(response)]
        branch.finished = True
        if response.success:
            return self._received_success(response)
        if not self.answered:
            self.responses.append(response)
        if response.status >= 600:
            return [*self._stop(), *self._advance()]
        return self._advance()

    def failed(self, branch: Branch, status: int) -> list[Action]:
        """Takes the end of a branch without a response: 408 for a timeout, 503 for a transport error (16.9)."""
        if branch.finished:
            return []
        branch.finished = True
        if not self.answered and not (status == 408 and (self._stopped or not self._invite)):
            self.responses.append(self.request.create_response(status))
        return self._advance()

    def cancel(self) -> list[Action]:
        """Takes a CANCEL from upstream (16.10): no new branches, CANCEL to all that are pending."""
        if self.answered:
            return []
        return [*self._stop(), *self._advance()]

    def _received_success(self, response: Response) -> list[Action]:
        if self.answered:
            # Every 2xx to an INVITE goes up, whatever was sent before (16.7 step 5).
            return [Forward(response, late=True)] if self._invite else []
        self.answered = True
        return [Forward(response), *self._stop()]

    def _stop(self) -> list[Action]:
        self._stopped = True
        self._waiting.clear()
        if not self._invite:
            return []  # 9.1: nothing else is cancelled
        open_branches = [branch for branch in self.branches if not branch.finished]
        actions: list[Action] = []
        for branch in open_branches:
            if branch.exchange is None:
                branch.finished = True  # its hops are still looked for
            else:
                actions.append(CancelBranch(branch))
        return actions

    def _advance(self) -> list[Action]:
        """Starts what may be started; once nothing is left, chooses the best response."""
        active = [branch for branch in self.branches if not branch.finished]
        if self._waiting and not self._stopped:
            return self._start_group(active)
        if active or self.answered:
            return []
        best = choose_response(self.request, self.responses, cancelled=self._stopped)
        if best is None:
            self.answered = True
            return [GiveUp()]
        return self._forward_final(best)

    def _start_group(self, active: list[Branch]) -> list[Action]:
        group = self._waiting[0]
        free = self._breadth - sum(branch.breadth for branch in active)
        if free < 1 or (active and self.branches[-1].target.q != group[0].q):
            return []  # those before come first
        starting = group[:free]
        del group[: len(starting)]
        if not group:
            del self._waiting[0]
        share, more = divmod(free, len(starting))
        actions: list[Action] = []
        for number, target in enumerate(starting):
            branch = Branch(self, target, share + (number < more))
            self.branches.append(branch)
            actions.append(Start(branch))
        return actions

    def _forward_final(self, response: Response) -> list[Action]:
        self.answered = True
        self._stopped = True
        return [Forward(response)]


def _same(one: Uri, other: Uri) -> bool:
    if isinstance(one, SipUri) and isinstance(other, SipUri):
        return one.equivalent(other)
    return str(one) == str(other)
