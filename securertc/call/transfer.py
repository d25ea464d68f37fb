"""Transferring a call (RFC 3515, 3891, 5589): asking the other side to call somebody else, and being asked to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from sip import Request, SipError
from sip.dialog import Event, ReferTarget, State, SubscriptionState
from sip.message import CONTENT_TYPE, status_fragment, status_of
from sip.user_agent import InviteDialog

from ..errors import CallEndedError, CallRefusedError, SecureRtcError

if TYPE_CHECKING:
    from .call import Call
    from .endpoint import Endpoint

_REFER = Event("refer")
# Until then whoever was asked has to say how it went (RFC 3515 2.4.4).
DURATION = 180


class OutgoingTransfer:
    """A REFER of ours: run() returns when the other side has the call that it was asked for."""

    def __init__(self, dialog: InviteDialog, target: ReferTarget, referred_by: str) -> None:
        self._dialog = dialog
        self._target = target
        self._referred_by = referred_by
        self._outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Raises CallRefusedError with the status that the REFER or the call asked for got, 0 when none was told in
        three minutes; CallEndedError when the call ended before; SipError when it cannot be asked."""
        response = await self._dialog.request(
            "REFER", headers=[("Refer-To", str(self._target)), ("Referred-By", f"<{self._referred_by}>")]
        )
        if not response.success:
            raise CallRefusedError(f"{response.status} {response.reason}", status=response.status)
        await asyncio.wait((self._outcome, self._dialog.ended), timeout=DURATION, return_when=asyncio.FIRST_COMPLETED)
        if self._outcome.done():
            status = self._outcome.result()
            if not 200 <= status < 300:
                raise CallRefusedError(f"the transfer was answered by {status}", status=status)
        elif self._dialog.ended.done():
            raise CallEndedError(self._dialog.ended.result())
        else:
            raise CallRefusedError("the other side did not say how the transfer went", status=0)

    def notified(self, notify: Request) -> int:
        """Takes a NOTIFY of the call and returns the status to answer it with; SipParseError for what is none."""
        if Event.of(notify).package != _REFER.package:
            return 489
        state = SubscriptionState.parse(notify.headers.get("Subscription-State") or "")
        status = status_of(notify.body) if notify.body else 100
        if not self._outcome.done() and (status >= 200 or state.state is State.TERMINATED):
            self._outcome.set_result(status)
        return 200


class IncomingTransfer:
    """The other side asks us to call `uri`, in place of a call that we are to take over there if `attended`.

    accept() does so, reject() does not; one of them, once. `referred_by` is who asks, as it says itself.
    """

    def __init__(self, endpoint: Endpoint, dialog: InviteDialog, request: Request) -> None:
        self._endpoint = endpoint
        self._dialog = dialog
        self._target = ReferTarget.of(request)
        self._event = Event("refer", str(request.cseq.number))
        self._last: asyncio.Future[None] = asyncio.ensure_future(self._notify(100, State.ACTIVE))
        self._answered = False
        self.uri = str(self._target.uri)
        self.attended = self._target.replaces is not None
        self.referred_by = request.headers.get("Referred-By")

    async def accept(self) -> Call:
        """Calls who was named, under our own policy, and returns that call; the old one is the other side's to end.

        Raises what Endpoint.call() does; the other side hears of it.
        """
        self._once()
        try:
            call = await self._endpoint.call(self.uri, replaces=self._target.replaces)
        except CallRefusedError as error:
            await self._tell(error.status if 300 <= error.status <= 699 else 503)
            raise
        except (SipError, SecureRtcError, OSError):
            await self._tell(503)
            raise
        await self._tell(200)
        return call

    async def reject(self, status: int = 603) -> None:
        """Does not call; `status` of 300 to 699 is what the other side hears."""
        self._once()
        await self._tell(status)

    async def give_up(self) -> None:
        """Declines, unless it was accepted or rejected."""
        if not self._answered:
            await self.reject(500)

    def _once(self) -> None:
        if self._answered:
            raise RuntimeError("the transfer was accepted or rejected before")
        self._answered = True

    async def _tell(self, status: int) -> None:
        await self._last  # in their order
        await self._notify(status, State.TERMINATED)

    async def _notify(self, status: int, state: State) -> None:
        told = (
            SubscriptionState(state, reason="noresource")
            if state is State.TERMINATED
            else SubscriptionState(state, expires=DURATION)
        )
        with contextlib.suppress(SipError):  # nobody is left to hear it
            await self._dialog.request(
                "NOTIFY",
                headers=[("Event", str(self._event)), ("Subscription-State", str(told))],
                body=status_fragment(status),
                content_type=CONTENT_TYPE,
            )
