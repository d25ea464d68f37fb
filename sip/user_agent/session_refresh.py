"""The session timer of one call (RFC 4028), on asyncio: refreshes in time, and ends a call that no more is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ..dialog.session_timer import (
    LEAST_INTERVAL,
    Refresher,
    SessionTimer,
    SessionTimerPolicy,
    agreed_by,
    least_interval,
)
from ..errors import SessionIntervalError, SipError, SipParseError
from ..message.message import Request, Response

# Of a refresh that is refused for another reason than 408 and 481; the session goes on until its expiry (10).
MAX_REFUSALS = 3


class SessionRefresh:
    """Keeps what was agreed on, and acts when its time has come.

    `refresh` sends a refresh and returns whether the call still stands, `expired` ends the call. Without a `policy`
    no timer is asked for or agreed on.
    """

    def __init__(
        self, policy: SessionTimerPolicy | None, refresh: Callable[[], Awaitable[bool]], expired: Callable[[], None]
    ) -> None:
        self._policy = policy
        self._refresh = refresh
        self._expired = expired
        self._minimum = LEAST_INTERVAL
        self._due: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._refusals = 0
        self._stopped = False
        self.timer: SessionTimer | None = None

    def ask(self, request: Request) -> None:
        """Puts on a re-INVITE or UPDATE what goes on with the timer (7.4)."""
        if self._policy is None:
            return
        if self.timer is None:
            self._policy.ask(request, minimum=self._minimum)
            return
        refresher = Refresher.UAC if self.timer.refreshing else Refresher.UAS
        interval = max(self.timer.interval, self._minimum)
        SessionTimerPolicy(interval, min(self._policy.minimum, interval)).ask(
            request, refresher=refresher, minimum=self._minimum
        )

    def refused(self, response: Response) -> bool:
        """Takes note of a 422; whether the request may be sent once more, with its Min-SE (7.3)."""
        if self._policy is None or response.status != 422:
            return False
        try:
            wanted = least_interval(response)
        except SipParseError:
            return False
        higher = wanted > self._minimum
        self._minimum = max(self._minimum, wanted)
        return higher

    def agreed(self, response: Response) -> None:
        """Goes by a 2xx to a request of ours."""
        if self._policy is None:
            return
        try:
            self._start(agreed_by(response))
        except SipParseError:
            self._start(None)

    def refusal(self, request: Request) -> Response | None:
        """Returns the 422 for a request of the peer's whose interval is too small, or None.

        Raises SipParseError, as answer() does, for a Session-Expires or Min-SE that cannot be read.
        """
        return None if self._policy is None else refusal_by(self._policy, request)

    def answer(self, request: Request, response: Response) -> None:
        """Agrees in a 2xx to a request of the peer's that refusal() lets pass."""
        if self._policy is not None:
            self._minimum = max(self._minimum, least_interval(request))
            self._start(self._policy.answer(request, response))

    def stop(self) -> None:
        """The call has ended."""
        self._stopped = True
        self._cancel()
        if self._running is not None and self._running is not asyncio.current_task():
            self._running.cancel()

    def _cancel(self) -> None:
        for handle in (self._due, self._end):
            if handle is not None:
                handle.cancel()
        self._due = self._end = None

    def _start(self, timer: SessionTimer | None) -> None:
        self._cancel()
        self.timer = timer
        self._refusals = 0
        if timer is None or self._stopped:
            return
        loop = asyncio.get_running_loop()
        if timer.refreshing:
            self._due = loop.call_later(timer.due, self._refresh_soon)
        self._end = loop.call_later(timer.expiry, self._expired)

    def _refresh_soon(self) -> None:
        self._running = asyncio.ensure_future(self._refresh_once())

    async def _refresh_once(self) -> None:
        timer = self.timer
        try:
            stands = await self._refresh()
        except SipError:
            stands = False
        if not stands:
            self._expired()
        elif self.timer is timer and timer is not None and not self._stopped and self._refusals < MAX_REFUSALS:
            # Refused for now: once more when half of what was left has gone.
            self._refusals += 1
            rest = timer.interval / 2 ** (self._refusals + 1) / 2
            self._due = asyncio.get_running_loop().call_later(rest, self._refresh_soon)


def refusal_by(policy: SessionTimerPolicy, request: Request) -> Response | None:
    """Returns the 422 that an interval under the policy's minimum gets (5), or None."""
    try:
        policy.answer(request, request.create_response(200))
    except SessionIntervalError as error:
        response = request.create_response(422)
        response.headers.add("Min-SE", str(error.minimum))
        return response
    return None
