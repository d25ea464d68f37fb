"""INVITEs at the SIP level: one of ours, and one received, until there is a call (RFC 3261 13)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..callbacks import call_back
from ..dialog.dialog import Dialog
from ..dialog.reliable_provisional import ReliableSender
from ..dialog.session_timer import LEAST_INTERVAL, least_interval
from ..digest.client import MAX_CHALLENGES
from ..errors import (
    CallCancelledError,
    DigestError,
    RequestFailedError,
    SipError,
    SipParseError,
    TransactionTimeoutError,
    TransportError,
)
from ..message.header_values import NameAddr
from ..message.message import Request, Response, new_branch, new_tag
from ..transaction.cancel import create_cancel
from ..transport.failover import is_large
from ..transport.layer import Flow
from .capabilities import allow, supported
from .early_dialogs import EarlyDialogs
from .invite_dialog import InviteDialog

if TYPE_CHECKING:
    from ..transport.failover import Failover
    from .exchange import ClientExchange, ServerExchange
    from .user_agent import UserAgent


class OutgoingInvite:
    """An INVITE of ours: run() sends it and returns the dialog, cancel() gives it up.

    `on_progress` hears of every provisional response. `digest_algorithm` tells what answered a challenge, `answer`
    the session description that the 2xx, or a reliable response before it, answered ours with.
    """

    def __init__(self, user_agent: UserAgent, request: Request, *, tries: Failover | None = None) -> None:
        self._user_agent = user_agent
        self._tries = tries
        self.request = request
        self.on_progress: Callable[[Response], Awaitable[None] | None] | None = None
        self.flow: Flow | None = None
        self.response: Response | None = None
        self.digest_algorithm: str | None = None
        self._final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._progress = 0
        self._cancelled = False
        self._cancel_sent = False
        self._abandoned = False  # run() was cancelled
        self._exchange: ClientExchange | None = None
        self._last_wait: asyncio.TimerHandle | None = None  # for the final response after a CANCEL
        self._branch = new_branch()
        self._acks: dict[str, Request] = {}
        self._early = EarlyDialogs(user_agent, request)
        self._minimum = LEAST_INTERVAL  # of the session timer, by 422s

    async def run(self) -> InviteDialog:
        """Sends the INVITE, answers challenges, and returns the dialog of the first 2xx, acknowledged.

        Raises RequestFailedError for any other final response, CallCancelledError after cancel(), and
        TransportError, TransactionTimeoutError or DigestError.
        """
        user_agent = self._user_agent
        user_agent.add_outbound_route(self.request)
        self._ask()
        tries = self._tries = self._tries or await user_agent.tries_for(self.request)
        challenges = 0
        while True:
            flow = self._take(await tries.flow(large=is_large(self.request)))
            if self._cancelled:
                raise CallCancelledError("the call was cancelled")
            try:
                response = await self._one_try(flow)
            except (TransportError, TransactionTimeoutError) as error:
                if self._cancelled or not tries.goes_on_after(error, progress=self._progress):
                    raise
                user_agent.repeat(self.request)
                continue
            if not self._cancelled and tries.goes_on_after(response, progress=self._progress):
                user_agent.repeat(self.request)
                continue
            if response.status == 422 and self._asks_again(response):
                user_agent.repeat(self.request)
                user_agent.renew(self.request)
                continue
            challenges += 1
            challenged = response.status in (401, 407) and user_agent.digest is not None and not self._cancelled
            if not challenged or challenges > MAX_CHALLENGES or user_agent.digest is None:
                return self._finish(response, flow)
            user_agent.digest.authorize(self.request, response, source=flow.remote[0])
            self.digest_algorithm = user_agent.digest.last_algorithm
            user_agent.renew(self.request)

    def _ask(self) -> None:
        """Says which extensions we understand, and asks for a session timer (RFC 4028 7.1)."""
        headers = self.request.headers
        headers.set("Allow", allow())
        headers.set("Supported", supported())
        timers = self._user_agent.session_timers
        if timers is None:
            headers.set("Supported", "100rel, replaces")
        else:
            timers.ask(self.request, minimum=self._minimum)

    def _asks_again(self, response: Response) -> bool:
        """Asks for the longer interval that a 422 wants (RFC 4028 7.3); False when it says none, or none longer."""
        timers = self._user_agent.session_timers
        try:
            wanted = least_interval(response)
        except SipParseError:
            return False
        if timers is None or self._cancelled or wanted <= max(self._minimum, timers.interval):
            return False
        self._minimum = wanted
        timers.ask(self.request, minimum=wanted)
        return True

    def _take(self, flow: Flow) -> Flow:
        """Uses a flow, and tells the peer to come back by it where our Contact was for another one."""
        before, self.flow = self.flow, flow
        if before is not None and (before.transport, before.local) != (flow.transport, flow.local):
            for contact in self.request.contacts[:1]:
                uri = contact.sip_uri
                ours = self._user_agent.contact(flow.transport, uri.user, secure=uri.secure, flow=flow)
                self.request.headers.set("Contact", str(ours))
        return flow

    async def _one_try(self, flow: Flow) -> Response:
        self._final = asyncio.get_running_loop().create_future()
        self._branch, self._progress, self._cancel_sent = new_branch(), 0, False
        self._exchange = self._user_agent.start_request(
            self.request, flow, self._on_response, self._on_failure, branch=self._branch
        )
        try:
            return await asyncio.shield(self._final)
        except asyncio.CancelledError:
            self._abandoned = True
            if self._final.done() and self._final.exception() is None and self._final.result().success:
                self._dialog_of(self._final.result(), flow).end_soon()
            else:
                self.cancel()
            raise

    @property
    def answer(self) -> bytes:
        if self.response is None:
            return b""
        return self.response.body or self._early.answer_of(self.response.to.tag or "")

    def _finish(self, response: Response, flow: Flow) -> InviteDialog:
        self.response = response
        if not response.success:
            if self._cancelled and response.status == 487:
                raise CallCancelledError("the call was cancelled")
            raise RequestFailedError(response)
        dialog = self._dialog_of(response, flow)
        if self._user_agent.digest is not None:
            try:
                self._user_agent.digest.verify(self.request, response)
            except DigestError:
                dialog.end_soon()
                raise
        if self._cancelled:
            # The 2xx crossed the CANCEL (9.1): the call stands, and has to be ended.
            dialog.end_soon()
            raise CallCancelledError("the call was answered while it was cancelled")
        return dialog

    def cancel(self) -> None:
        """Gives the call up: CANCEL as soon as a provisional response allows it (9.1)."""
        self._cancelled = True
        if self._progress and not self._cancel_sent and not self._final.done() and self.flow is not None:
            self._cancel_sent = True
            cancel = create_cancel(self.request)
            ignore: Callable[[object], None] = lambda _: None  # noqa: E731  # the INVITE's own end counts
            self._user_agent.start_request(cancel, self.flow, ignore, ignore, branch=self._branch)
            wait = self._user_agent.timers.timeout
            self._last_wait = asyncio.get_running_loop().call_later(wait, self._give_up)

    def _give_up(self) -> None:
        """No final response came in 64*T1 after the CANCEL: the INVITE counts as cancelled (9.1)."""
        if self._exchange is not None:
            self._user_agent.forget(self._exchange)
        self._on_failure(CallCancelledError("the call was cancelled, and nobody answered"))

    def _stop_waiting(self) -> None:
        self._early.end()
        if self._last_wait is not None:
            self._last_wait.cancel()
            self._last_wait = None

    def _on_response(self, response: Response) -> None:
        if response.provisional:
            if self.flow is not None and not self._early.receive(response, self.flow):
                return
            self._progress = max(self._progress, response.status)
            if self.on_progress is not None:
                call_back(self._user_agent.spawn, self.on_progress, response)
            if self._cancelled:
                self.cancel()
            return
        self._stop_waiting()
        if not self._final.done():
            self._final.set_result(response)
            if not self._abandoned:
                return
        if response.success and self.flow is not None:
            self._repeated_success(response, self.flow)

    def _repeated_success(self, response: Response, flow: Flow) -> None:
        """A 2xx again: the same one wants its ACK again, one of another fork is acknowledged and ended.

        So is the first one, when nobody waits for it any more.
        """
        try:
            tag = response.to.tag or ""
            if tag in self._acks:
                self._user_agent.send_ack(self._acks[tag], flow)
            elif self._abandoned or self._final.exception() is not None or self._final.result().to.tag != tag:
                self._dialog_of(response, flow).end_soon()
            # Else run() has not had its turn yet, and will acknowledge it.
        except SipParseError:
            return

    def _on_failure(self, error: SipError) -> None:
        self._stop_waiting()
        if not self._final.done():
            self._final.set_exception(error)
            # Read it here too: after a cancelled run() nobody else does.
            self._final.exception()

    def _dialog_of(self, response: Response, flow: Flow) -> InviteDialog:
        dialog = Dialog.of_caller(self.request, response, secure=flow.secure)
        dialog.local_cseq = max(dialog.local_cseq, self._early.next_cseq(response.to.tag or ""))
        ack = dialog.create_request("ACK", cseq=self.request.cseq.number)
        for name in ("Authorization", "Proxy-Authorization"):
            for value in self.request.headers.get_all(name):
                ack.headers.add(name, value)
        self._acks[response.to.tag or ""] = ack
        self._user_agent.send_ack(ack, flow)
        established = InviteDialog(self._user_agent, dialog, flow)
        established.heard(response)
        established.session.agreed(response)
        return established


class IncomingInvite:
    """An INVITE received, to be accepted or rejected once.

    `cancelled` is done when the caller gave it up (487 has been sent then). `authenticated` is (username,
    algorithm) after Digest, else None. `dialog` is the early one, once the caller has been told of it.
    """

    def __init__(self, user_agent: UserAgent, exchange: ServerExchange, request: Request) -> None:
        self._user_agent = user_agent
        self._exchange = exchange
        self.request = request
        self.local_tag = new_tag()
        self.authenticated = exchange.authenticated
        self.cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.dialog: Dialog | None = None
        self._reliable: ReliableSender | None = None
        self._repeat: asyncio.TimerHandle | None = None

    @property
    def flow(self) -> Flow:
        """The way it came by."""
        return self._exchange.flow

    @property
    def pending(self) -> bool:
        """Whether it can still be answered."""
        return not self._exchange.transaction.answered

    def ring(self) -> None:
        """Sends 180, reliably where the caller wants or takes that (RFC 3262 3).

        A reliable one has to carry an offer where the INVITE had none, which is better made when the call is
        accepted: then it is sent as it always was, or not at all where the caller insists.
        """
        required = "100rel" in self.request.option_tags("Require")
        reliable = bool(self.request.body) and (required or "100rel" in self.request.option_tags("Supported"))
        if not self.pending or (required and not reliable):
            return
        response = self.request.create_response(180, to_tag=self.local_tag)
        self._add_contact(response)
        if not reliable:
            self._user_agent.respond(self._exchange, response)
            return
        if self.dialog is None:
            self.dialog = Dialog.of_callee(self.request, response, secure=self.flow.secure)
            self._user_agent.early_dialogs[self.dialog.id] = self
        if self._reliable is None:
            self._reliable = ReliableSender(timers=self._user_agent.timers)
        self._send_reliably(self._reliable, self._reliable.send(response, self._now()))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _send_reliably(self, reliable: ReliableSender, responses: list[Response]) -> None:
        for response in responses:
            self._user_agent.respond(self._exchange, response)
        self._stop_repeating()
        due = reliable.next_timer()
        if due is not None:
            self._repeat = asyncio.get_running_loop().call_at(due, self._again, reliable)

    def _again(self, reliable: ReliableSender) -> None:
        responses = reliable.handle_timer(self._now())
        if reliable.failed:
            self.reject(504)
            self._gave_up()
            return
        self._send_reliably(reliable, responses)

    def _stop_repeating(self) -> None:
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None

    def receive(self, exchange: ServerExchange, request: Request) -> None:
        """Answers a request of the caller's within the early dialog."""
        if exchange.allowance is None:
            self._exchange.allowance = None
        status = 405
        if request.method == "PRACK" and self._reliable is not None:
            if request.body:
                status = 488  # RFC 3262 5: an offer, before we have answered the first one
            else:
                status, following = self._reliable.acknowledge(request, self._now())
                self._send_reliably(self._reliable, following)
        elif request.method == "UPDATE":
            status = 500 if request.body else 200  # RFC 3311 5.2: the offer of the INVITE has no answer yet
        elif request.method == "BYE":
            status = 200
        response = request.create_response(status)
        if request.method == "UPDATE":
            self._add_contact(response)
        if status == 500:
            response.headers.add("Retry-After", "2")
        self._user_agent.respond(exchange, response)
        if request.method == "BYE":  # 15.1.2
            self.cancel()

    def reject(
        self, status: int, *, warning: str | None = None, warning_code: int = 399, reason: str | None = None
    ) -> None:
        """Sends a final refusal; `warning` becomes a Warning that tells the caller why, of `warning_code` (20.43)."""
        if not self.pending:
            return
        response = self.request.create_response(status, reason, to_tag=self.local_tag)
        if warning is not None:
            text = "".join(" " if ord(c) < 32 or c == "\x7f" else c for c in warning)[:300]
            text = text.replace("\\", "\\\\").replace('"', '\\"')
            response.headers.add("Warning", f'{warning_code} securertc "{text}"')
        self._end_early()
        self._user_agent.respond(self._exchange, response)

    def accept(self, body: bytes) -> InviteDialog:
        """Sends 200 with an SDP body and returns the dialog; the 200 is repeated until its ACK comes (13.3.1.4).

        Raises SipParseError when the INVITE's Contact or Record-Route cannot make a dialog, and
        CallCancelledError when it can no longer be answered.
        """
        if not self.pending:
            raise CallCancelledError("the call was cancelled")
        response = self.request.create_response(200, to_tag=self.local_tag)
        self._add_contact(response)
        response.headers.add("Supported", supported())
        response.headers.add("Content-Type", "application/sdp")
        response.body = body
        dialog = Dialog.of_callee(self.request, response, secure=self.flow.secure)
        if self.dialog is not None:
            dialog.remote_cseq, dialog.remote_target = self.dialog.remote_cseq, self.dialog.remote_target
        established = InviteDialog(self._user_agent, dialog, self.flow)
        established.heard(self.request)
        established.session.answer(self.request, response)
        established.reliable = self._reliable
        self._end_early()
        self._user_agent.respond(self._exchange, response)
        established.repeat_until_acknowledged(self._exchange, response)
        return established

    def give_up(self, status: int) -> None:
        """Refuses the call, if it is not answered, and has whoever was asked about it know by `cancelled`."""
        if self.pending:
            self.reject(status)
            self._gave_up()

    def cancel(self) -> None:
        """The caller's CANCEL."""
        if self.pending:
            self.reject(487)
            self._gave_up()

    def abandon(self) -> None:
        """Forgets the early dialog."""
        self._end_early()

    def _gave_up(self) -> None:
        if not self.cancelled.done():
            self.cancelled.set_result(None)

    def _end_early(self) -> None:
        self._stop_repeating()
        if self._reliable is not None:
            self._reliable.stop()
        if self.dialog is not None:
            self._user_agent.early_dialogs.pop(self.dialog.id, None)

    def _add_contact(self, response: Response) -> None:
        uri = self.request.uri
        user = getattr(uri, "user", None)
        secure = getattr(uri, "secure", False)
        contact: NameAddr = self._user_agent.contact(self.flow.transport, user, secure=secure, flow=self.flow)
        response.headers.add("Contact", str(contact))
        response.headers.add("Allow", allow())
