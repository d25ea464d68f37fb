"""Event subscriptions (RFC 6665), sans-IO: both sides' states, what their messages say, and when to act."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from srtp.field_checks import as_flag, check_fields

from ..errors import SipParseError
from ..message.grammar import is_token, parse_number, parse_parameters
from ..message.message import Request, Response
from ..transaction.timers import DEFAULT_TIMERS, Timers

DEFAULT_EXPIRES = 3600
MAX_EXPIRES = (1 << 32) - 1
# 4.1.3: after these nobody is to subscribe anew.
_FOR_GOOD = frozenset(("rejected", "noresource", "invariant"))
# 4.1.2.2 and 4.2.2: responses to a SUBSCRIBE or NOTIFY that end the subscription.
_ENDING = frozenset((404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604))
# A refresh goes out so long before the end, or when a quarter of the time is left.
_REFRESH_BEFORE = 60.0


class State(enum.Enum):
    """Where a subscription stands (4.1.2, 4.2.1)."""

    NOTIFY_WAIT = "notify-wait"
    PENDING = "pending"
    ACTIVE = "active"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """The value of a Subscription-State header field (8.2.3); `expires` and `retry_after` in seconds."""

    state: State
    expires: int | None = None
    reason: str | None = None
    retry_after: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, text: str) -> SubscriptionState:
        """Raises SipParseError for what is no state with parameters. A state nobody knows counts as pending."""
        word, semicolon, rest = text.strip().partition(";")
        if not is_token(word.strip()):
            raise SipParseError("no state", header="Subscription-State")
        found = {name.lower(): value for name, value in parse_parameters(semicolon + rest)}
        try:
            state = State(word.strip().lower())
        except ValueError:
            state = State.PENDING
        if state is State.NOTIFY_WAIT:
            state = State.PENDING
        return cls(state, _number(found.get("expires")), found.get("reason"), _number(found.get("retry-after")))

    def __str__(self) -> str:
        parts = [self.state.value]
        if self.expires is not None:
            parts.append(f"expires={self.expires}")
        if self.reason is not None:
            parts.append(f"reason={self.reason}")
        if self.retry_after is not None:
            parts.append(f"retry-after={self.retry_after}")
        return ";".join(parts)


def _number(text: str | None) -> int | None:
    return None if text is None else parse_number(text, MAX_EXPIRES, "Subscription-State")


@dataclass(frozen=True, slots=True)
class Event:
    """The value of an Event header field (8.2.1): the package, and which of several subscriptions to it."""

    package: str
    id: str | None = None

    @classmethod
    def of(cls, message: Request | Response) -> Event:
        """Raises SipParseError when there is none, or more than one (489 and 400 for a SUBSCRIBE)."""
        values = message.headers.get_all("Event")
        if len(values) != 1:
            raise SipParseError("exactly one is needed", header="Event", status=489 if not values else 400)
        package, semicolon, rest = values[0].strip().partition(";")
        if not is_token(package.strip()):
            raise SipParseError("no event package", header="Event")
        parameters = {name.lower(): value for name, value in parse_parameters(semicolon + rest)}
        return cls(package.strip().lower(), parameters.get("id"))

    def __str__(self) -> str:
        return self.package if self.id is None else f"{self.package};id={self.id}"


class Subscriber:
    """The subscriber's side of one subscription (4.1.2). `now` is seconds of any steady clock.

    handle_timer() is called when next_timer() is reached, and says what is to be done: "refresh" by a SUBSCRIBE,
    or "ended". `resubscribe_in` is set when a NOTIFY ends it: the seconds after which to subscribe anew; None: never.
    """

    def __init__(self, event: Event, *, expires: int = DEFAULT_EXPIRES, timers: Timers = DEFAULT_TIMERS) -> None:
        self.event = event
        self.wanted = expires
        self.state = State.NOTIFY_WAIT
        self.reason: str | None = None
        self.resubscribe_in: float | None = None
        self._timers = timers
        self._no_notify: float | None = None  # timer N
        self._end: float | None = None
        self._refresh: float | None = None

    def subscribed(self, now: float) -> None:
        """A SUBSCRIBE was sent: timer N runs until a NOTIFY comes (4.1.2.2, 4.1.2.4)."""
        self._refresh = None
        self._no_notify = now + self._timers.timeout

    def responded(self, response: Response, now: float) -> None:
        """Takes the final response to a SUBSCRIBE, whose Expires is the longest it may last (4.1.2.1)."""
        if self.state is State.TERMINATED:
            return
        if response.success:
            if response.status == 204:  # no NOTIFY will come (RFC 5839)
                self._no_notify = None
            if response.expires:  # 0 ends it, with a NOTIFY that is still to come (4.1.2.3)
                self._last(response.expires, now)
        elif self.state is State.NOTIFY_WAIT or response.status in _ENDING:
            self._terminate(None)
        else:
            self._no_notify = None  # 4.1.2.2: the subscription stands until its end

    def notified(self, notify: Request, now: float) -> int:
        """Takes a NOTIFY of the subscription's dialog and returns the status to answer it with.

        Raises SipParseError, of status 400, without an Event or Subscription-State that can be read.
        """
        if Event.of(notify) != self.event:
            return 481
        text = notify.headers.get("Subscription-State")
        if text is None:
            raise SipParseError("missing", header="Subscription-State")
        if self.state is State.TERMINATED:
            return 481
        told = SubscriptionState.parse(text)
        self._no_notify = None
        if told.state is State.TERMINATED:
            self._terminate(told.reason)
            if (told.reason or "").lower() not in _FOR_GOOD:
                self.resubscribe_in = float(told.retry_after or 0)
            return 200
        self.state = told.state
        if told.expires is not None:
            self._last(told.expires, now)
        elif self._end is None:
            self._last(self.wanted, now)
        return 200

    def next_timer(self) -> float | None:
        """Returns when handle_timer() wants to be called, or None."""
        due = [time for time in (self._no_notify, self._refresh, self._end) if time is not None]
        return None if self.state is State.TERMINATED or not due else min(due)

    def handle_timer(self, now: float) -> str | None:
        """Returns "refresh", "ended" or None."""
        if self.state is State.TERMINATED:
            return None
        for end, why in ((self._no_notify, "no NOTIFY came"), (self._end, "expired")):
            if end is not None and now >= end:
                self._terminate(why)
                return "ended"
        if self._refresh is not None and now >= self._refresh:
            self._refresh = None
            return "refresh"
        return None

    def _last(self, seconds: int, now: float) -> None:
        self._end = now + seconds
        self._refresh = now + max(seconds * 0.75, seconds - _REFRESH_BEFORE) if self.wanted else None

    def _terminate(self, reason: str | None) -> None:
        self.state = State.TERMINATED
        self.reason = reason
        self._no_notify = self._end = self._refresh = None


class Notifier:
    """The notifier's side of one subscription (4.2.1). `limit` is the longest it grants, in seconds.

    subscribe() takes each SUBSCRIBE; state_header() is what every NOTIFY has to say.
    """

    def __init__(self, event: Event, *, limit: int = DEFAULT_EXPIRES, minimum: int = 0, active: bool = True) -> None:
        self.event = event
        self._limit = limit
        self._minimum = minimum
        self.state = State.ACTIVE if as_flag(active, "active") else State.PENDING
        self.reason: str | None = None
        self._end = 0.0

    def subscribe(self, request: Request, now: float) -> Response:
        """Answers a SUBSCRIBE that is authorised: 200 with the time granted, or 423 (4.2.1.1). A NOTIFY follows.

        Expires 0 ends the subscription with that NOTIFY, or is a single look at the state.
        """
        wanted = request.expires
        wanted = self._limit if wanted is None else wanted
        if 0 < wanted < min(self._minimum, 3600):
            response = request.create_response(423)
            response.headers.add("Min-Expires", str(self._minimum))
            return response
        granted = min(wanted, self._limit)
        self._end = now + granted
        if granted == 0:
            self.terminate("timeout")
        response = request.create_response(200)
        response.headers.add("Expires", str(granted))
        return response

    def approve(self) -> None:
        """A pending subscription becomes active."""
        if self.state is State.PENDING:
            self.state = State.ACTIVE

    def terminate(self, reason: str) -> None:
        """Ends it; the NOTIFY that follows says so."""
        self.state = State.TERMINATED
        self.reason = reason

    def notified(self, response: Response) -> None:
        """Takes the final response to a NOTIFY, some of which end the subscription (4.2.2)."""
        if response.status in _ENDING:
            self.terminate("giveup")

    def next_timer(self) -> float | None:
        """Returns when the subscription ends if it is not refreshed, or None when it has ended."""
        return None if self.state is State.TERMINATED else self._end

    def handle_timer(self, now: float) -> bool:
        """Whether it has just ended: a NOTIFY has to say so."""
        if self.state is State.TERMINATED or now < self._end:
            return False
        self.terminate("timeout")
        return True

    def state_header(self, now: float) -> SubscriptionState:
        """Returns the Subscription-State of a NOTIFY sent now."""
        if self.state is State.TERMINATED:
            return SubscriptionState(State.TERMINATED, reason=self.reason)
        return SubscriptionState(self.state, expires=max(0, round(self._end - now)))
