"""An established call at the SIP level: what the sides may ask of each other (RFC 3261 12.2, 14, 15)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ..callbacks import call_back, result_of
from ..dialog.dialog import Dialog
from ..dialog.reliable_provisional import ReliableSender
from ..errors import DialogError, SipError, TransactionTimeoutError
from ..message.header_values import NameAddr
from ..message.message import Request, Response
from ..transport.layer import Flow
from .capabilities import METHODS, allow, supported
from .session_modification import (
    GONE,
    MAX_TRIES,
    OutgoingReinvite,
    flow_to_target,
    glare_delay,
    pending_error,
    refuse_glare,
)
from .session_refresh import SessionRefresh

if TYPE_CHECKING:
    from .exchange import ServerExchange
    from .user_agent import UserAgent

# How an offer in a re-INVITE or UPDATE is answered: (status, body) of the response.
Modification = Callable[[Request], tuple[int, bytes] | Awaitable[tuple[int, bytes]]]
# How another request within the dialog is answered.
Answer = Callable[[Request], Response | Awaitable[Response]]


class InviteDialog:
    """An established call: bye() ends it, `ended` is done when it has ended, by whichever side.

    The result of `ended` says how: "local", "remote", or what went wrong. `on_reinvite` answers the offers of
    re-INVITEs and UPDATEs; without it they are refused with 488 and the call goes on. `answers` has what answers
    requests of other methods. `offer` makes the body of a
    re-INVITE that refreshes the session, whose answer `on_refreshed` gets. All of them may be coroutine functions; an
    exception in one is logged, and answers 500 where an answer is due. `peer_methods` is the other side's Allow, as
    far as it has told.
    """

    def __init__(self, user_agent: UserAgent, dialog: Dialog, flow: Flow) -> None:
        self._user_agent = user_agent
        self.dialog = dialog
        self.flow = flow
        self.on_reinvite: Modification | None = None
        self.answers: dict[str, Answer] = {}
        self.offer: Callable[[], bytes | Awaitable[bytes]] | None = None
        self.on_refreshed: Callable[[Response], Awaitable[None] | None] | None = None
        self.request_flow = flow  # the one that the last request of the peer came by
        self.on_ack: Callable[[Request], Awaitable[None] | None] | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.reliable: ReliableSender | None = None  # of the provisional responses that the call began with
        self.peer_methods: frozenset[str] = frozenset()
        self.session = SessionRefresh(user_agent.session_timers, self._refresh, self.end_soon)
        self._repeat: asyncio.TimerHandle | None = None
        self._acknowledged = False
        self._invite_cseq: int | None = dialog.remote_cseq
        self._owner = dialog.remote_cseq is None  # of the Call-ID: the caller
        self._modifying = False  # a reinvite() or update() is under way
        self._answering = False  # on_reinvite has not answered an offer of the peer's yet
        self._offer_pending = False  # an offer of ours waits for the final response
        user_agent.dialogs[dialog.id] = self

    def heard(self, message: Request | Response) -> None:
        """Learns from a message of the peer's which methods it takes."""
        if "Allow" in message.headers:
            self.peer_methods = frozenset(method.upper() for method in message.option_tags("Allow"))

    async def bye(self) -> None:
        """Ends the call; returns when the BYE was answered, or could not be delivered."""
        if self.ended.done():
            return
        self._end("local")
        with contextlib.suppress(SipError):
            await self._user_agent.request(self.dialog.create_request("BYE"), flow=self._flow_to_target())

    async def request(
        self,
        method: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Response:
        """Sends a request of a method without rules of its own within the call, and returns its final response.

        A 408 or 481, or no answer, ends the call (12.2.1.2). Raises DialogError when it has ended already, and
        TransportError, TransactionTimeoutError or DigestError.
        """
        request = self.create_request(method)
        for name, value in headers:
            request.headers.add(name, value)
        if content_type is not None:
            request.headers.add("Content-Type", content_type)
        request.body = body
        return await self._exchange(request)

    def create_request(self, method: str) -> Request:
        """Returns a request within the call, without body; raises DialogError when it has ended."""
        if self.ended.done():
            raise DialogError("the call has ended")
        return self.dialog.create_request(method)

    async def _exchange(self, request: Request) -> Response:
        try:
            response = await self._user_agent.request(request, flow=self._flow_to_target())
        except TransactionTimeoutError:
            self.end_soon()
            raise
        if response.status in GONE:
            self.end_soon()
        self.heard(response)
        return response

    # Changing the session.

    async def reinvite(self, body: bytes) -> Response:
        """Offers the session anew by a re-INVITE and returns its final response, which may be a refusal.

        Glare is waited out (14.1), up to eight times. A 408 or 481, or no answer, ends the call. Raises DialogError
        while another INVITE is under way in the call or it has ended, and TransportError, TransactionTimeoutError or
        DigestError.
        """
        with self._modification():
            return await self._until_no_glare(lambda: self._one_reinvite(body), offers=True)

    async def update(self, body: bytes = b"") -> Response:
        """Sends an UPDATE (RFC 3311), with an offer or without, and returns its final response; else as reinvite()."""
        with self._modification():
            return await self._until_no_glare(lambda: self._one_update(body), offers=bool(body))

    @contextlib.contextmanager
    def _modification(self) -> Iterator[None]:
        if self.ended.done():
            raise DialogError("the call has ended")
        if self._modifying or self._repeat is not None:
            raise pending_error()
        self._modifying = True
        try:
            yield
        except TransactionTimeoutError:
            self.end_soon()
            raise
        finally:
            self._modifying = self._offer_pending = False

    async def _until_no_glare(self, once: Callable[[], Awaitable[Response]], *, offers: bool) -> Response:
        for _ in range(MAX_TRIES):
            if self._repeat is None:
                self._offer_pending = offers
                response = await once()
                if response.success:
                    self.session.agreed(response)
                    self.heard(response)
                elif self.session.refused(response):
                    continue
                if response.status in GONE:
                    self.end_soon()
                if response.status != 491:
                    return response
            # Meanwhile the peer's own may pass.
            self._offer_pending = False
            await asyncio.sleep(glare_delay(owner=self._owner))
            if self.ended.done():
                raise DialogError("the call has ended")
        raise pending_error()

    async def _one_reinvite(self, body: bytes) -> Response:
        return await OutgoingReinvite(self._user_agent, self.dialog, self.session).run(body, self._flow_to_target())

    async def _one_update(self, body: bytes) -> Response:
        request = self.create_request("UPDATE")
        request.headers.add("Contact", str(self._contact(self.flow)))
        request.headers.add("Allow", allow())
        self.session.ask(request)
        if body:
            request.headers.add("Content-Type", "application/sdp")
            request.body = body
        response = await self._user_agent.request(request, flow=self._flow_to_target())
        if response.success:
            self.dialog.refresh_target(response)
        return response

    async def _refresh(self) -> bool:
        """Refreshes the session (RFC 4028 7.4); whether the call still stands."""
        with contextlib.suppress(DialogError):  # another modification is under way, and refreshes as well
            if "UPDATE" in self.peer_methods:
                response = await self.update()
            else:
                response = await self.reinvite(b"" if self.offer is None else await result_of(self.offer))
                if response.success and self.on_refreshed is not None:
                    call_back(self._user_agent.spawn, self.on_refreshed, response)
            return response.status not in GONE
        return not self.ended.done()

    def _flow_to_target(self) -> Flow | None:
        return flow_to_target(self.dialog, self.flow)

    def end_soon(self) -> None:
        """Ends the call in the background."""
        self._user_agent.spawn(asyncio.ensure_future(self.bye()))

    def abandon(self) -> None:
        """Forgets the call without a BYE."""
        self._end("closed")

    # What the peer asks for.

    def acknowledged(self, ack: Request) -> None:
        """The ACK of our 2xx came."""
        if ack.cseq.number == self._invite_cseq and not self._acknowledged:
            self._acknowledged = True
            self._stop_repeating()
            if self.on_ack is not None:
                call_back(self._user_agent.spawn, self.on_ack, ack)

    def repeat_until_acknowledged(self, exchange: ServerExchange, response: Response) -> None:
        """Repeats a 2xx at T1, doubling to T2, for 64*T1; without an ACK by then the call is ended (13.3.1.4).

        To a UDP source that has proven nothing fewer are sent, and one BYE, to the source and not to its Contact:
        maybe nobody there has called.
        """
        loop, user_agent = asyncio.get_running_loop(), self._user_agent
        timers = user_agent.timers
        self._acknowledged = False
        self._invite_cseq = response.cseq.number
        give_up = loop.time() + timers.timeout

        def again(interval: float) -> None:
            if loop.time() >= give_up:
                if exchange.allowance is None:
                    self.end_soon()
                else:
                    user_agent.send_once(self.dialog.create_request("BYE"), exchange.flow)
                    self._end("local")
                return
            self._user_agent.resend(exchange, response)
            self._repeat = loop.call_later(min(2 * interval, timers.t2), again, min(2 * interval, timers.t2))

        self._stop_repeating()
        self._repeat = loop.call_later(timers.t1, again, timers.t1)

    def receive(self, exchange: ServerExchange, request: Request) -> None:
        """Answers a request within the dialog."""
        user_agent = self._user_agent
        self.request_flow = exchange.flow
        self.heard(request)
        answer = self.answers.get(request.method)
        if request.method == "BYE":
            user_agent.respond(exchange, request.create_response(200))
            self._end("remote")
        elif request.method in ("INVITE", "UPDATE"):
            self._modified(exchange, request)
        elif request.method == "PRACK" and self.reliable is not None:
            status, _ = self.reliable.acknowledge(request, asyncio.get_running_loop().time())
            user_agent.respond(exchange, request.create_response(status))
        elif answer is not None:
            user_agent.answer_by(answer, exchange, request)
        else:
            response = request.create_response(405 if request.method != "PRACK" else 481)
            response.headers.add("Allow", allow(METHODS - {"INFO", "REFER", "NOTIFY"} | self.answers.keys()))
            user_agent.respond(exchange, response)

    def _modified(self, exchange: ServerExchange, request: Request) -> None:
        """A re-INVITE, or an UPDATE, which needs no offer and no ACK (RFC 3311 5.2)."""
        user_agent = self._user_agent
        offers = request.method == "INVITE" or bool(request.body)
        refusal = self.session.refusal(request)
        if offers and refusal is None:
            theirs = self._repeat is not None or self._answering
            refusal = refuse_glare(request, ours_pending=self._offer_pending, theirs_pending=theirs)
        if refusal is not None:
            user_agent.respond(exchange, refusal)
            return
        if not offers:
            self._answer_modified(exchange, request, 200, b"")
        elif self.on_reinvite is None:
            self._answer_modified(exchange, request, 488, b"")
        else:
            self._answering = True
            call_back(
                user_agent.spawn,
                self.on_reinvite,
                request,
                then=lambda found: self._answer_modified(exchange, request, *found),
                failed=lambda: self._answer_modified(exchange, request, 500, b""),
            )

    def _answer_modified(self, exchange: ServerExchange, request: Request, status: int, body: bytes) -> None:
        user_agent = self._user_agent
        self._answering = False
        if self.ended.done():  # while the answer was awaited
            status, body = 481, b""
        response = request.create_response(status)
        if response.success:
            response.headers.add("Contact", str(self._contact(exchange.flow)))
            response.headers.add("Allow", allow())
            response.headers.add("Supported", supported())
            self.session.answer(request, response)
            if body:
                response.headers.add("Content-Type", "application/sdp")
                response.body = body
        user_agent.respond(exchange, response)
        if response.success and request.method == "INVITE":
            self.repeat_until_acknowledged(exchange, response)

    def _contact(self, flow: Flow) -> NameAddr:
        user = getattr(self.dialog.local.uri, "user", None)
        return self._user_agent.contact(flow.transport, user, secure=self.dialog.secure, flow=flow)

    def _end(self, how: str) -> None:
        self._stop_repeating()
        self.session.stop()
        self._user_agent.dialogs.pop(self.dialog.id, None)
        if not self.ended.done():
            self.ended.set_result(how)

    def _stop_repeating(self) -> None:
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
