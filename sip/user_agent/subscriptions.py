"""Event subscriptions by a user agent (RFC 6665): subscribing, being notified, and serving a package of events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING

from ..callbacks import call_back
from ..dialog.dialog import Dialog, DialogId
from ..dialog.event_subscription import DEFAULT_EXPIRES, Event, Notifier, State, Subscriber
from ..errors import DialogError, RequestFailedError, SipError
from ..message.header_values import CSeq, NameAddr
from ..message.message import Request, Response, new_call_id, new_tag
from ..message.uri import SipUri
from ..transport.layer import Flow

if TYPE_CHECKING:
    from .exchange import ServerExchange
    from .user_agent import UserAgent

MAX_SUBSCRIPTIONS = 10000
Body = tuple[bytes, str | None]  # with its content type


class _Usage:
    """What both sides have: a dialog of its own, and a timer."""

    def __init__(self, user_agent: UserAgent) -> None:
        self._user_agent = user_agent
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.dialog: Dialog | None = None
        self.ended: asyncio.Future[str | None] = self._loop.create_future()

    def _at(self, due: float | None, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due is None or self.ended.done() else self._loop.call_at(due, then)

    def _end(self, reason: str | None) -> None:
        self._at(None, lambda: None)
        if self.dialog is not None:
            self._user_agent.subscriptions.pop(self.dialog.id, None)
        if not self.ended.done():
            self.ended.set_result(reason)

    def abandon(self) -> None:
        """Forgets the subscription without a word."""
        self._end("closed")

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        self._user_agent.spawn(asyncio.ensure_future(work))


class Subscription(_Usage):
    """A subscription of ours: start() subscribes, and it is refreshed until stop(); `ended` is done with the reason.

    `on_notify` hears of every NOTIFY of it. A NOTIFY is taken from the fork that answers first; others are refused
    with 481 (4.4.1 allows one subscription).
    """

    def __init__(
        self,
        user_agent: UserAgent,
        request: Request,
        on_notify: Callable[[Request], Awaitable[None] | None],
        *,
        expires: int = DEFAULT_EXPIRES,
    ) -> None:
        super().__init__(user_agent)
        self._request = request
        self._on_notify = on_notify
        self._machine = Subscriber(Event.of(request), expires=expires, timers=user_agent.timers)
        self._early: DialogId = request.call_id, request.from_.tag or "", ""

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._machine.state

    @property
    def resubscribe_in(self) -> float | None:
        """At its end, the seconds after which to subscribe anew; None: never."""
        return self._machine.resubscribe_in

    async def start(self) -> None:
        """Subscribes; returns with the 2xx. Raises RequestFailedError, and what UserAgent.request() does."""
        self._user_agent.subscriptions[self._early] = self  # its NOTIFY may come before the 2xx
        flow = await self._user_agent.flow_for(self._request)
        contact = self._user_agent.contact(flow.transport, getattr(self._request.from_.uri, "user", None), flow=flow)
        self._request.headers.set("Contact", str(contact))
        self._request.headers.set("Expires", str(self._machine.wanted))
        self._machine.subscribed(self._loop.time())
        self._schedule()
        try:
            response = await self._user_agent.request(self._request, flow=flow)
        except BaseException:
            self._close("failed")
            raise
        self._responded(response)
        if not response.success:
            raise RequestFailedError(response)
        if self.dialog is None and self.state is not State.TERMINATED:
            self._bind(Dialog.of_caller(self._request, response, secure=flow.secure))

    def _bind(self, dialog: Dialog) -> None:
        self.dialog = dialog
        self._user_agent.subscriptions.pop(self._early, None)
        self._user_agent.subscriptions[dialog.id] = self

    async def stop(self) -> None:
        """Unsubscribes, and waits for the last NOTIFY, for 64*T1 at the most (4.1.2.3)."""
        if self.ended.done():
            return
        self._machine.wanted = 0
        with contextlib.suppress(SipError):
            await self._subscribe()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._user_agent.timers.timeout):
                await asyncio.shield(self.ended)
        self._close("unsubscribed")

    async def _subscribe(self) -> None:
        if self.dialog is None:
            raise DialogError("there is no subscription yet")
        request = self.dialog.create_request("SUBSCRIBE")
        request.headers.add("Event", str(self._machine.event))
        request.headers.add("Expires", str(self._machine.wanted))
        for value in self._request.headers.get_all("Contact"):
            request.headers.add("Contact", value)
        self._machine.subscribed(self._loop.time())
        self._schedule()
        self._responded(await self._user_agent.request(request))

    def _responded(self, response: Response) -> None:
        self._machine.responded(response, self._loop.time())
        self._schedule()

    def receive(self, exchange: ServerExchange, request: Request) -> None:
        """Answers a NOTIFY; the first one may make the dialog (4.4.1)."""
        status = 405
        if request.method == "NOTIFY":
            if self.dialog is None:
                self._bind(Dialog.of_notified(self._request, request, secure=exchange.flow.secure))
            status = self._machine.notified(request, self._loop.time())
        self._user_agent.respond(exchange, request.create_response(status))
        if status == 200:
            call_back(self._user_agent.spawn, self._on_notify, request)
        self._schedule()

    def _schedule(self) -> None:
        if self.state is State.TERMINATED:
            self._close(self._machine.reason)
        else:
            self._at(self._machine.next_timer(), self._due)

    def _due(self) -> None:
        if self._machine.handle_timer(self._loop.time()) == "refresh":
            self._in_background(self._refresh())
        self._schedule()

    async def _refresh(self) -> None:
        with contextlib.suppress(SipError):  # timer N ends it, or the next refresh succeeds
            await self._subscribe()

    def _close(self, reason: str | None) -> None:
        self._user_agent.subscriptions.pop(self._early, None)
        self._end(reason)


class Publication(_Usage):
    """A subscription of somebody else's to events of ours: notify() sends a state, `ended` is done at its end."""

    def __init__(
        self, user_agent: UserAgent, request: Request, response: Response, notifier: Notifier, flow: Flow
    ) -> None:
        super().__init__(user_agent)
        self._machine = notifier
        self.dialog = Dialog.of_callee(request, response, secure=flow.secure)
        self._contact = response.headers.get("Contact") or ""
        self._body: tuple[bytes, str | None] = (b"", None)
        self._last: asyncio.Future[None] | None = None
        user_agent.subscriptions[self.dialog.id] = self

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._machine.state

    async def notify(self, body: bytes, content_type: str | None) -> None:
        """Sends the state of what was subscribed to; does nothing once the subscription has ended."""
        self._body = body, content_type
        if not self.ended.done():
            await self._notify()

    async def terminate(self, reason: str) -> None:
        """Ends the subscription with a NOTIFY (4.2.2)."""
        if not self.ended.done():
            self._machine.terminate(reason)
            await self._notify()

    async def _notify(self) -> None:
        """One at a time: the dialog's numbers are to arrive in their order."""
        before, mine = self._last, self._loop.create_future()
        self._last = mine
        try:
            if before is not None:
                await asyncio.shield(before)
            await self._notify_now()
        finally:
            mine.set_result(None)

    async def _notify_now(self) -> None:
        if self.dialog is None or self.ended.done():
            return
        told = self._machine.state_header(self._loop.time())
        request = self.dialog.create_request("NOTIFY")
        request.headers.add("Event", str(self._machine.event))
        request.headers.add("Subscription-State", str(told))
        request.headers.add("Contact", self._contact)
        body, content_type = self._body
        if content_type is not None:
            request.headers.add("Content-Type", content_type)
            request.body = body
        before = self._machine.state
        try:
            self._machine.notified(await self._user_agent.request(request))
        except SipError:
            self._machine.terminate("giveup")
        refused = before is not State.TERMINATED and self.state is State.TERMINATED and self._machine.reason == "giveup"
        if told.state is State.TERMINATED or refused:
            self._end(self._machine.reason)
        else:
            self._at(self._machine.next_timer(), self._due)

    def receive(self, exchange: ServerExchange, request: Request) -> None:
        """Answers a SUBSCRIBE that refreshes or ends it."""
        if request.method != "SUBSCRIBE" or Event.of(request) != self._machine.event:
            self._user_agent.respond(exchange, request.create_response(405 if request.method != "SUBSCRIBE" else 489))
            return
        response = self._machine.subscribe(request, self._loop.time())
        if response.success:
            response.headers.add("Contact", self._contact)
        self._user_agent.respond(exchange, response)
        if response.success:
            self._in_background(self._notify())

    def _due(self) -> None:
        if self._machine.handle_timer(self._loop.time()):
            self._in_background(self._notify())
        else:
            self._at(self._machine.next_timer(), self._due)


class EventServer:
    """Serves packages of events: `on_subscribe` gets every new Publication and returns the first state to notify,
    its body and content type (None for no body).

    `accept` says of a SUBSCRIBE by its status: 200 active, 202 pending, or a refusal; without it nobody may subscribe.
    Both may be coroutine functions; an exception in `accept` answers 500, one in `on_subscribe` ends the subscription.
    """

    def __init__(
        self,
        packages: Iterable[str],
        on_subscribe: Callable[[Publication], Body | Awaitable[Body]],
        *,
        accept: Callable[[Request], int | Awaitable[int]] = lambda _: 403,
        limit: int = DEFAULT_EXPIRES,
        minimum: int = 60,
    ) -> None:
        self.packages = frozenset(one.lower() for one in packages)
        self._on_subscribe = on_subscribe
        self._accept = accept
        self._limit = limit
        self._minimum = minimum

    def subscribe(self, user_agent: UserAgent, exchange: ServerExchange, request: Request) -> None:
        """Answers a SUBSCRIBE outside of dialogs; a NOTIFY follows at once where it is taken (4.2.1)."""
        event = Event.of(request)
        if event.package not in self.packages:
            response = request.create_response(489)
            response.headers.add("Allow-Events", ", ".join(sorted(self.packages)))
            user_agent.respond(exchange, response)
            return
        call_back(
            user_agent.spawn,
            self._accept,
            request,
            then=lambda status: self._accepted(user_agent, exchange, request, status),
            failed=lambda: user_agent.respond(exchange, request.create_response(500)),
        )

    def _accepted(self, user_agent: UserAgent, exchange: ServerExchange, request: Request, status: int) -> None:
        event = Event.of(request)
        if len(user_agent.subscriptions) >= MAX_SUBSCRIPTIONS:
            status = 503
        if status not in (200, 202):
            user_agent.respond(exchange, request.create_response(status))
            return
        notifier = Notifier(event, limit=self._limit, minimum=self._minimum, active=status == 200)
        response = notifier.subscribe(request, asyncio.get_running_loop().time())
        if not response.success:
            user_agent.respond(exchange, response)
            return
        granted = request.create_response(200, to_tag=new_tag())
        granted.headers.add("Expires", response.headers.get("Expires") or "0")
        user = getattr(request.uri, "user", None)
        granted.headers.add("Contact", str(user_agent.contact(exchange.flow.transport, user, flow=exchange.flow)))
        publication = Publication(user_agent, request, granted, notifier, exchange.flow)
        user_agent.respond(exchange, granted)
        call_back(
            user_agent.spawn,
            self._on_subscribe,
            publication,
            then=lambda state: user_agent.spawn(asyncio.ensure_future(publication.notify(*state))),
            failed=lambda: user_agent.spawn(asyncio.ensure_future(publication.terminate("deactivated"))),
        )


def subscribe_request(to: SipUri, from_: SipUri, event: Event) -> Request:
    """Returns a SUBSCRIBE outside of dialogs, for a Subscription."""
    request = Request("SUBSCRIBE", to.without_headers())
    request.headers.add("Max-Forwards", "70")
    request.headers.add("From", str(NameAddr(from_).with_tag(new_tag())))
    request.headers.add("To", str(NameAddr(to)))
    request.headers.add("Call-ID", new_call_id())
    request.headers.add("CSeq", str(CSeq(1, "SUBSCRIBE")))
    request.headers.add("Event", str(event))
    return request
