"""Reliable provisional responses (RFC 3262), sans-IO: RSeq and RAck, both sides of them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from ..errors import SipParseError
from ..message.grammar import parse_number
from ..message.header_values import CSeq
from ..message.message import Request, Response
from ..transaction.timers import DEFAULT_TIMERS, Timers

MAX_RSEQ = (1 << 32) - 1
# 3: the first RSeq is chosen from 1 to 2**31 - 1, so that it never wraps within a call.
MAX_FIRST_RSEQ = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class RAck:
    """The value of a RAck header field (7.2): which response a PRACK acknowledges."""

    rseq: int
    cseq: CSeq

    @classmethod
    def parse(cls, text: str) -> RAck:
        """Raises SipParseError for what is not a response number, a sequence number and a method."""
        first, _, rest = text.strip().partition(" ")
        try:
            return cls(parse_number(first, MAX_RSEQ, "RAck"), CSeq.parse(rest.strip()))
        except SipParseError as error:
            raise SipParseError(error.reason, header="RAck") from None

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq}"


def rseq_of(response: Response) -> int | None:
    """Returns the RSeq of a provisional response that was sent reliably; None for any other.

    Raises SipParseError when the response asks for an acknowledgement and has no RSeq that can be read.
    """
    if not 100 < response.status < 200 or "100rel" not in response.option_tags("Require"):
        return None
    found = response.headers.get("RSeq")
    if found is None:
        raise SipParseError("missing", header="RSeq")
    return parse_number(found.strip(), MAX_RSEQ, "RSeq")


class ReliableSender:
    """The UAS's reliable provisional responses to one INVITE (3): one at a time, repeated until its PRACK.

    `now` is seconds of any steady clock. send() takes a response, acknowledge() a PRACK; handle_timer() is called
    when next_timer() is reached.
    """

    def __init__(self, *, timers: Timers = DEFAULT_TIMERS, first: int | None = None) -> None:
        self._timers = timers
        self._next = 1 + secrets.randbelow(MAX_FIRST_RSEQ) if first is None else first
        self._pending: tuple[RAck, Response] | None = None
        self._late: RAck | None = None  # of a response that a final one overtook
        self._queue: list[Response] = []
        self._interval = timers.t1
        self._retransmit = self._end = 0.0
        self.failed = False

    @property
    def pending(self) -> Response | None:
        """The response that waits for its PRACK."""
        return None if self._pending is None else self._pending[1]

    def send(self, response: Response, now: float) -> list[Response]:
        """Takes a provisional response and returns what is to be sent now.

        One sent before and not acknowledged yet holds it back: 3 forbids a second one until then.
        """
        if self._pending is not None:
            self._queue.append(response)
            return []
        response.headers.add("Require", "100rel")
        response.headers.set("RSeq", str(self._next))
        self._pending = RAck(self._next, response.cseq), response
        self._next += 1
        self._interval = self._timers.t1
        self._retransmit, self._end = now + self._interval, now + self._timers.timeout
        return [response]

    def acknowledge(self, prack: Request, now: float) -> tuple[int, list[Response]]:
        """Takes a PRACK and returns the status to answer it with, 200 or 481, and what is to be sent next.

        Raises SipParseError when it has no RAck that can be read.
        """
        text = prack.headers.get("RAck")
        if text is None:
            raise SipParseError("missing", header="RAck")
        rack = RAck.parse(text)
        if rack == self._late:
            self._late = None
            return 200, []
        if self._pending is None or rack != self._pending[0]:
            return 481, []
        self._pending = None
        return 200, self.send(self._queue.pop(0), now) if self._queue else []

    def stop(self) -> None:
        """Ends repeating: the final response was sent (3). The PRACK of what waits for it may still come."""
        self._late = None if self._pending is None else self._pending[0]
        self._pending = None
        self._queue.clear()

    def next_timer(self) -> float | None:
        """Returns when handle_timer() wants to be called, or None."""
        return None if self._pending is None else min(self._retransmit, self._end)

    def handle_timer(self, now: float) -> list[Response]:
        """Returns what is to be sent again by `now`. After 64*T1 `failed` is set: the INVITE deserves a 5xx (3)."""
        if self._pending is None:
            return []
        if now >= self._end:
            self.failed = True
            self.stop()
            return []
        if now < self._retransmit:
            return []
        self._interval *= 2  # without the limit of T2 (3)
        self._retransmit = now + self._interval
        return [self._pending[1]]


class ReliableReceiver:
    """The UAC's view of the reliable provisional responses of one early dialog (4)."""

    def __init__(self) -> None:
        self._last: int | None = None

    def receive(self, response: Response) -> RAck | None:
        """Returns what the PRACK of a response has to carry; None for one that is repeated or out of order.

        Only responses for which rseq_of() is a number belong here; SipParseError is rseq_of()'s.
        """
        rseq = rseq_of(response)
        if rseq is None or (self._last is not None and rseq != self._last + 1):
            return None
        self._last = rseq
        return RAck(rseq, response.cseq)
