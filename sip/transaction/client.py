"""Client transactions (RFC 3261 17.1 with RFC 6026), sans-IO: responses and the time in, messages and events out."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..errors import SipError
from ..message.message import Request, Response, WrittenMessage
from .timers import DEFAULT_TIMERS, Timers


@dataclass(frozen=True, slots=True)
class Send:
    """A message for the transport to send to the request's target."""

    message: Request | Response | WrittenMessage


@dataclass(frozen=True, slots=True)
class Deliver:
    """A response for the transaction's user."""

    response: Response


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The other side did not answer in time; the transaction is over."""


Output = Send | Deliver | TimedOut


class ClientState(enum.Enum):
    """The states of both machines; CALLING and ACCEPTED are the INVITE one's, TRYING the other's."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    TERMINATED = "terminated"


class ClientTransaction:
    """One request and its responses.

    `reliable` says whether the transport is; `now` is seconds of any steady clock. start() once, then
    receive() for each matching response and handle_timer() when next_timer() is reached. With `branch`, that of
    the request's top Via, the request is handed over, and must not be changed any more.
    """

    __slots__ = (
        "_ack",
        "_end",
        "_interval",
        "_invite",
        "_request",
        "_retransmit",
        "_timers",
        "key",
        "reliable",
        "state",
    )

    def __init__(
        self, request: Request, *, reliable: bool, timers: Timers = DEFAULT_TIMERS, branch: str | None = None
    ) -> None:
        # A copy: the user changes the request to send it once more, while this transaction still lingers.
        self._request: Request | None = (
            Request(request.method, request.uri, request.headers.copy(), request.body) if branch is None else request
        )
        self.reliable = reliable
        self._timers = timers
        self._invite = request.method == "INVITE"
        self.state = ClientState.CALLING if self._invite else ClientState.TRYING
        self._interval = timers.t1
        self._retransmit: float | None = None  # timer A or E
        self._end: float | None = None  # timer B or F, then D, K or M
        self._ack: WrittenMessage | None = None
        # What responses match by (17.1.3): branch and the method of CSeq.
        self.key = ((request.top_via.branch or "") if branch is None else branch, request.method)

    @property
    def request(self) -> Request:
        """The request; raises SipError once it was released."""
        if self._request is None:
            raise SipError("the request was released")
        return self._request

    def release(self) -> None:
        """Lets go of the request, when there is a final response and nobody else asks for it."""
        self._request = None

    @property
    def terminated(self) -> bool:
        """Whether it is over and can be forgotten."""
        return self.state is ClientState.TERMINATED

    @property
    def waiting(self) -> bool:
        """Whether there is no final response yet."""
        return self.state in (ClientState.CALLING, ClientState.TRYING, ClientState.PROCEEDING)

    def start(self, now: float) -> list[Output]:
        """Returns the first sending of the request."""
        if not self.reliable:
            self._retransmit = now + self._interval
        self._end = now + self._timers.timeout
        return [Send(self.request)]

    def next_timer(self) -> float | None:
        """Returns when handle_timer() wants to be called, or None."""
        if self._retransmit is None or (self._end is not None and self._end < self._retransmit):
            return self._end
        return self._retransmit

    def handle_timer(self, now: float) -> list[Output]:
        """Does what is due by `now`."""
        if self._end is not None and now >= self._end:
            waiting = self.state in (ClientState.CALLING, ClientState.TRYING) or (
                self.state is ClientState.PROCEEDING and not self._invite
            )
            self._terminate()
            return [TimedOut()] if waiting else []
        if self._retransmit is not None and now >= self._retransmit:
            self._interval *= 2
            if not self._invite:
                limit = self._timers.t2
                self._interval = limit if self.state is ClientState.PROCEEDING else min(self._interval, limit)
            self._retransmit = now + self._interval
            return [Send(self.request)]
        return []

    def receive(self, response: Response, now: float) -> list[Output]:
        """Takes a response that matches by key."""
        if self._invite:
            return self._receive_invite(response, now)
        return self._receive_other(response, now)

    def transport_failed(self) -> None:
        """Ends the transaction: its request or ACK could not be carried."""
        self._terminate()

    def _receive_invite(self, response: Response, now: float) -> list[Output]:
        if self.state in (ClientState.CALLING, ClientState.PROCEEDING):
            self._retransmit = None
            if response.provisional:
                self.state, self._end = ClientState.PROCEEDING, None
            elif response.success:
                self.state, self._end = ClientState.ACCEPTED, now + self._timers.timeout
            else:
                self._ack = WrittenMessage(self._make_ack(response).serialize())
                self._complete(0.0 if self.reliable else self._timers.completed_invite, now)
                return [Send(self._ack), Deliver(response)]
            return [Deliver(response)]
        if self.state is ClientState.ACCEPTED and response.success:
            return [Deliver(response)]
        if self.state is ClientState.COMPLETED and response.status >= 300 and self._ack is not None:
            return [Send(self._ack)]
        return []

    def _receive_other(self, response: Response, now: float) -> list[Output]:
        if self.state not in (ClientState.TRYING, ClientState.PROCEEDING):
            return []
        if response.provisional:
            self.state = ClientState.PROCEEDING
        else:
            self._complete(0.0 if self.reliable else self._timers.t4, now)
        return [Deliver(response)]

    def _complete(self, linger: float, now: float) -> None:
        self._retransmit = None
        self.state, self._end = ClientState.COMPLETED, now + linger
        if not linger:
            self._terminate()

    def _terminate(self) -> None:
        self.state = ClientState.TERMINATED
        self._retransmit = self._end = None

    def _make_ack(self, response: Response) -> Request:
        """The ACK of a final response that is no success (17.1.1.3)."""
        ack = Request("ACK", self.request.uri)
        ack.headers.add("Via", str(self.request.top_via))
        for value in self.request.headers.get_all("Route"):
            ack.headers.add("Route", value)
        ack.headers.add("Max-Forwards", "70")
        ack.headers.add("From", self.request.headers.get("From") or "")
        ack.headers.add("To", response.headers.get("To") or "")
        ack.headers.add("Call-ID", self.request.call_id)
        ack.headers.add("CSeq", f"{self.request.cseq.number} ACK")
        return ack


def client_key(response: Response) -> tuple[str, str]:
    """Returns what a response matches by (17.1.3): branch of the top Via, and method."""
    via = response.headers.get("Via") or ""
    method = (response.headers.get("CSeq") or "").rpartition(" ")[2]
    first = via.partition(",")[0]
    # As we write it; who echoes it in other words is read at length.
    _, found, branch = first.rpartition(";branch=")
    if not found or ";" in branch or '"' in via:
        return response.top_via.branch or "", response.cseq.method
    return branch.rstrip(), method
