"""Server transactions (RFC 3261 17.2 with RFC 6026), sans-IO: requests and the time in, messages and events out."""

from __future__ import annotations

import enum

from ..errors import SipError
from ..message.header_values import BRANCH_COOKIE, Via
from ..message.message import Request, Response, WrittenMessage
from .client import Send, TimedOut
from .load_limits import kept_by
from .timers import DEFAULT_TIMERS, Timers

Output = Send | TimedOut
TRYING_DELAY = 0.2


class ServerState(enum.Enum):
    """The states of both machines; ACCEPTED and CONFIRMED are the INVITE one's, TRYING the other's."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


def server_key(request: Request, via: Via | None = None) -> tuple[str, ...]:
    """Returns what requests match by (17.2.3): branch, sent-by and method, ACK counting as INVITE.

    A branch without the cookie is RFC 2543's: then Call-ID, From tag, CSeq number and top Via do. `via` is the top
    Via where that is known already.
    """
    via = request.top_via if via is None else via
    method = "INVITE" if request.method == "ACK" else request.method
    host, port = via.sent_by
    sent_by = (host, str(port))
    branch = via.branch or ""
    if branch.startswith(BRANCH_COOKIE) and branch != BRANCH_COOKIE:
        return (branch, *sent_by, method)
    via_text = f"{via.transport} {via.host} {via.port} {branch}"
    return (request.call_id, request.from_.tag or "", str(request.cseq.number), via_text, method)


class ServerTransaction:
    """One request received and the responses to it.

    respond() sends; receive() takes retransmissions of the request, and the ACK of an INVITE. After a 2xx to an
    INVITE the transaction only absorbs retransmissions (RFC 6026): repeating the 2xx is the dialog's work.
    """

    __slots__ = (
        "_end",
        "_interval",
        "_invite",
        "_last",
        "_request",
        "_retransmit",
        "_timers",
        "_trying",
        "key",
        "reliable",
        "state",
    )

    def __init__(
        self,
        request: Request,
        *,
        reliable: bool,
        timers: Timers = DEFAULT_TIMERS,
        key: tuple[str, ...] | None = None,
    ) -> None:
        self._request: Request | None = request
        self.reliable = reliable
        self.key = server_key(request) if key is None else key
        self._timers = timers
        self._invite = request.method == "INVITE"
        self.state = ServerState.PROCEEDING if self._invite else ServerState.TRYING
        self._last: Response | WrittenMessage | None = None
        self._interval = timers.t1
        self._retransmit: float | None = None  # timer G
        self._end: float | None = None  # timer H, I, J or L
        self._trying: float | None = None  # when a 100 is due, for lack of any other response

    @property
    def request(self) -> Request:
        """The request; raises SipError once it was released."""
        if self._request is None:
            raise SipError("the request was released")
        return self._request

    def release(self, *, written: bool = True) -> None:
        """Lets go of the request, when a final response was sent and nobody else asks for it.

        Keeps that as bytes, or as it is where who sends it reads it again.
        """
        self._request = None
        if written and self._last is not None:
            self._last = WrittenMessage(self._last.serialize())

    @property
    def provisional_size(self) -> int:
        """How many bytes are kept of the last response, of a transaction that is not answered."""
        return kept_by(self._last) if isinstance(self._last, Response) else 0

    @property
    def kept(self) -> int:
        """How many bytes are kept of messages, by an answered transaction that was released."""
        size = sum(map(len, self.key))
        last = self._last
        if last is None:
            return size
        return size + (len(last.data) if isinstance(last, WrittenMessage) else kept_by(last))

    @property
    def terminated(self) -> bool:
        """Whether it is over and can be forgotten."""
        return self.state is ServerState.TERMINATED

    @property
    def invite(self) -> bool:
        """Whether the request is an INVITE."""
        return self._invite

    @property
    def silent(self) -> bool:
        """Whether nothing was sent yet."""
        return self._last is None and not self.answered

    @property
    def answered(self) -> bool:
        """Whether a final response was sent."""
        return self.state not in (ServerState.TRYING, ServerState.PROCEEDING)

    def start(self, now: float) -> None:
        """Has an INVITE answered with 100 if nothing else is in 200 ms (17.2.1)."""
        if self._invite:
            self._trying = now + TRYING_DELAY

    def receive(self, request: Request, now: float) -> list[Output]:
        """Takes a request that matches by key: a retransmission, or the ACK."""
        if request.method == "ACK":
            if self.state is ServerState.COMPLETED:
                self._retransmit = None
                self.state, self._end = ServerState.CONFIRMED, now + (0.0 if self.reliable else self._timers.t4)
                if self.reliable:
                    self._terminate()
            return []
        if self.state in (ServerState.PROCEEDING, ServerState.COMPLETED) and self._last is not None:
            return [Send(self._last)]
        return []

    def respond(self, response: Response, now: float) -> list[Output]:
        """Sends a response; one after the final one is dropped, as it comes too late."""
        if self.answered:
            return []
        self._trying = None
        self._last = response
        if response.provisional:
            self.state = ServerState.PROCEEDING
        elif self._invite and response.success:
            self._last = None
            self.state, self._end = ServerState.ACCEPTED, now + self._timers.timeout
        elif self._invite:
            self.state, self._end = ServerState.COMPLETED, now + self._timers.timeout
            if not self.reliable:
                self._retransmit = now + self._interval
        else:
            self.state, self._end = ServerState.COMPLETED, now + (0.0 if self.reliable else self._timers.timeout)
            if self.reliable:
                self._terminate()
        return [Send(response)]

    def next_timer(self) -> float | None:
        """Returns when handle_timer() wants to be called, or None."""
        due = self._end
        if self._retransmit is not None and (due is None or self._retransmit < due):
            due = self._retransmit
        return self._trying if self._trying is not None and (due is None or self._trying < due) else due

    def handle_timer(self, now: float) -> list[Output]:
        """Does what is due by `now`; TimedOut says that the ACK of a refusal never came (timer H)."""
        if self._trying is not None and now >= self._trying:
            return self.respond(self.request.create_response(100), now)
        if self._end is not None and now >= self._end:
            unconfirmed = self._invite and self.state is ServerState.COMPLETED
            self._terminate()
            return [TimedOut()] if unconfirmed else []
        if self._retransmit is not None and now >= self._retransmit and self._last is not None:
            self._interval = min(2 * self._interval, self._timers.t2)
            self._retransmit = now + self._interval
            return [Send(self._last)]
        return []

    def transport_failed(self) -> None:
        """Ends the transaction: its response could not be carried."""
        self._terminate()

    def _terminate(self) -> None:
        self.state = ServerState.TERMINATED
        self._retransmit = self._end = self._trying = None
