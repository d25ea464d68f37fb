"""Session timers (RFC 4028), sans-IO: what both sides agree on, when to refresh, and when a session counts as dead."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from srtp.field_checks import check_fields

from ..errors import SessionIntervalError, SipParseError
from ..message.grammar import parse_number
from ..message.message import Request, Response

# RFC 4028 4: the recommended interval, and 5: the least Min-SE there is.
DEFAULT_INTERVAL = 1800
LEAST_INTERVAL = 90
MAX_INTERVAL = (1 << 32) - 1


class Refresher(enum.Enum):
    """Who refreshes the session, as Session-Expires names it: by the roles in the request that set the timer."""

    UAC = "uac"
    UAS = "uas"


@dataclass(frozen=True, slots=True)
class SessionExpires:
    """The value of a Session-Expires header field; `interval` in seconds."""

    interval: int
    refresher: Refresher | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def parse(cls, text: str) -> SessionExpires:
        """Raises SipParseError for what is no number of seconds, and for a refresher that is neither uac nor uas."""
        value, *parameters = (part.strip() for part in text.split(";"))
        refresher: Refresher | None = None
        for parameter in parameters:
            name, _, found = parameter.partition("=")
            if name.strip().lower() == "refresher":
                try:
                    refresher = Refresher(found.strip().lower())
                except ValueError:
                    raise SipParseError(f"no refresher: {found[:20]!r}", header="Session-Expires") from None
        return cls(parse_number(value, MAX_INTERVAL, "Session-Expires"), refresher)

    def __str__(self) -> str:
        return f"{self.interval}" + ("" if self.refresher is None else f";refresher={self.refresher.value}")


def session_expires(message: Request | Response) -> SessionExpires | None:
    """Returns the Session-Expires of a message; None without one."""
    text = message.headers.get("Session-Expires")
    return None if text is None else SessionExpires.parse(text)


def least_interval(message: Request | Response) -> int:
    """Returns the Min-SE of a message in seconds, never less than the RFC's 90."""
    text = message.headers.get("Min-SE")
    return (
        LEAST_INTERVAL
        if text is None
        else max(LEAST_INTERVAL, parse_number(text.split(";")[0].strip(), MAX_INTERVAL, "Min-SE"))
    )


@dataclass(frozen=True, slots=True)
class SessionTimer:
    """What was agreed on: the interval in seconds, and whether it is this side that refreshes."""

    interval: int
    refreshing: bool

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def due(self) -> float:
        """Seconds after the last refresh at which this side acts: by a refresh, or by the BYE of 10.

        The refresher has half of the interval left (7.2).
        """
        return self.interval / 2 if self.refreshing else self.expiry

    @property
    def expiry(self) -> float:
        """Seconds after the last refresh at which this side ends the session, shortly before its expiration (10)."""
        return self.interval - min(32.0, self.interval / 3)


@dataclass(frozen=True, slots=True)
class SessionTimerPolicy:
    """What this side asks for and puts up with; both in seconds, `minimum` at least 90."""

    interval: int = DEFAULT_INTERVAL
    minimum: int = LEAST_INTERVAL

    def __post_init__(self) -> None:
        check_fields(self)
        if not LEAST_INTERVAL <= self.minimum <= self.interval:
            raise ValueError(f"the session interval {self.interval} s is under the least one, {self.minimum} s")

    def ask(self, request: Request, *, refresher: Refresher | None = None, minimum: int = LEAST_INTERVAL) -> None:
        """Puts on an INVITE or UPDATE what asks for a timer (7.1); `minimum` is the largest Min-SE met so far."""
        least = max(self.minimum, minimum)
        request.headers.set("Session-Expires", str(SessionExpires(max(self.interval, least), refresher)))
        if least > LEAST_INTERVAL:
            request.headers.set("Min-SE", str(least))
        if "timer" not in request.option_tags("Supported"):
            request.headers.add("Supported", "timer")

    def answer(self, request: Request, response: Response) -> SessionTimer | None:
        """Agrees as the UAS (9) and writes it into a 2xx; None for no timer.

        Raises SessionIntervalError, which names the Min-SE for a 422, when the interval asked for is too small.
        """
        wanted = session_expires(request)
        if wanted is None:
            return None
        supported = "timer" in request.option_tags("Supported")
        if wanted.interval < self.minimum:
            if supported:
                raise SessionIntervalError(wanted.interval, minimum=self.minimum)
            return None  # who does not know 422 cannot ask again, and nobody may lengthen the interval
        # A caller that knows no timers leaves refreshing to us, if a proxy wants one (table 2).
        refresher = (wanted.refresher or Refresher.UAC) if supported else Refresher.UAS
        # 9: never longer than what was asked for, never shorter than the caller's Min-SE.
        interval = min(wanted.interval, max(self.interval, least_interval(request)))
        response.headers.set("Session-Expires", str(SessionExpires(interval, refresher)))
        if supported:  # a MUST for uac, a SHOULD for uas (9)
            response.headers.add("Require", "timer")
        return SessionTimer(interval, refresher is Refresher.UAS)


def agreed_by(response: Response) -> SessionTimer | None:
    """Returns what a 2xx agrees on, seen by the UAC (7.2); None when the other side wants no timer.

    Raises SipParseError when the Session-Expires cannot be read or is under the RFC's least interval.
    """
    found = session_expires(response)
    if found is None:
        return None
    if found.interval < LEAST_INTERVAL:
        raise SipParseError(f"{found.interval} is under {LEAST_INTERVAL}", header="Session-Expires")
    return SessionTimer(found.interval, found.refresher is not Refresher.UAS)
