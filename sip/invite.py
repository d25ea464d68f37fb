"""Calls at the SIP level: an INVITE made, an INVITE received, and the dialog that comes of it (RFC 3261 13 to 15)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from .cancel import create_cancel
from .dialog import Dialog
from .errors import (
    CallCancelledError,
    DialogError,
    DigestError,
    RequestFailedError,
    SipError,
    SipParseError,
    TransactionTimeoutError,
    TransportError,
)
from .failover import is_large
from .header_values import NameAddr
from .message import Request, Response, new_branch, new_tag
from .session_modification import GONE, MAX_TRIES, OutgoingReinvite, glare_delay, pending_error, refuse_glare
from .target import transport_parameter
from .transport import Flow

if TYPE_CHECKING:
    from .failover import Failover
    from .user_agent import ClientExchange, ServerExchange, UserAgent

# How a re-INVITE is answered: (status, body) of the response.
ReInvite = Callable[[Request], tuple[int, bytes]]
MAX_CHALLENGES = 4


class OutgoingInvite:
    """An INVITE of ours: run() sends it and returns the dialog, cancel() gives it up.

    `on_progress` hears of every provisional response. `digest_algorithm` tells what answered a challenge.
    """

    def __init__(self, user_agent: UserAgent, request: Request, *, tries: Failover | None = None) -> None:
        self._user_agent = user_agent
        self._tries = tries
        self.request = request
        self.on_progress: Callable[[Response], None] | None = None
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

    async def run(self) -> InviteDialog:
        """Sends the INVITE, answers challenges, and returns the dialog of the first 2xx, acknowledged.

        Raises RequestFailedError for any other final response, CallCancelledError after cancel(), and
        TransportError, TransactionTimeoutError or DigestError.
        """
        user_agent = self._user_agent
        user_agent.add_outbound_route(self.request)
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
                self.request.headers.remove_first("Via")
                continue
            if not self._cancelled and tries.goes_on_after(response, progress=self._progress):
                self.request.headers.remove_first("Via")
                continue
            challenges += 1
            challenged = response.status in (401, 407) and user_agent.digest is not None and not self._cancelled
            if not challenged or challenges > MAX_CHALLENGES or user_agent.digest is None:
                return self._finish(response, flow)
            user_agent.digest.authorize(self.request, response, source=flow.remote[0])
            self.digest_algorithm = user_agent.digest.last_algorithm
            user_agent.renew(self.request)

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
        if self._last_wait is not None:
            self._last_wait.cancel()
            self._last_wait = None

    def _on_response(self, response: Response) -> None:
        if response.provisional:
            self._progress = max(self._progress, response.status)
            if self.on_progress is not None:
                self.on_progress(response)
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
        ack = dialog.create_request("ACK", cseq=self.request.cseq.number)
        for name in ("Authorization", "Proxy-Authorization"):
            for value in self.request.headers.get_all(name):
                ack.headers.add(name, value)
        self._acks[response.to.tag or ""] = ack
        self._user_agent.send_ack(ack, flow)
        return InviteDialog(self._user_agent, dialog, flow)


class IncomingInvite:
    """An INVITE received, to be accepted or rejected once.

    `cancelled` is done when the caller gave it up (487 has been sent then). `authenticated` is (username,
    algorithm) after Digest, else None.
    """

    def __init__(self, user_agent: UserAgent, exchange: ServerExchange, request: Request) -> None:
        self._user_agent = user_agent
        self._exchange = exchange
        self.request = request
        self.local_tag = new_tag()
        self.authenticated = exchange.authenticated
        self.cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def flow(self) -> Flow:
        """The way it came by."""
        return self._exchange.flow

    @property
    def pending(self) -> bool:
        """Whether it can still be answered."""
        return not self._exchange.transaction.answered

    def ring(self) -> None:
        """Sends 180."""
        response = self.request.create_response(180, to_tag=self.local_tag)
        self._add_contact(response)
        self._user_agent.respond(self._exchange, response)

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
        response.headers.add("Content-Type", "application/sdp")
        response.body = body
        dialog = Dialog.of_callee(self.request, response, secure=self.flow.secure)
        established = InviteDialog(self._user_agent, dialog, self.flow)
        self._user_agent.respond(self._exchange, response)
        established.repeat_until_acknowledged(self._exchange, response)
        return established

    def cancel(self) -> None:
        """The caller's CANCEL."""
        if self.pending:
            self.reject(487)
            if not self.cancelled.done():
                self.cancelled.set_result(None)

    def _add_contact(self, response: Response) -> None:
        uri = self.request.uri
        user = getattr(uri, "user", None)
        secure = getattr(uri, "secure", False)
        contact: NameAddr = self._user_agent.contact(self.flow.transport, user, secure=secure, flow=self.flow)
        response.headers.add("Contact", str(contact))
        response.headers.add("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS")


class InviteDialog:
    """An established call: bye() ends it, `ended` is done when it has ended, by whichever side.

    The result of `ended` says how: "local", "remote", or what went wrong. `on_reinvite` answers re-INVITEs; without
    it they are refused with 488 and the call goes on. `ack_body` is the body of the ACK, once one has come.
    """

    def __init__(self, user_agent: UserAgent, dialog: Dialog, flow: Flow) -> None:
        self._user_agent = user_agent
        self.dialog = dialog
        self.flow = flow
        self.on_reinvite: ReInvite | None = None
        self.request_flow = flow  # the one that the last request of the peer came by
        self.on_ack: Callable[[Request], None] | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._repeat: asyncio.TimerHandle | None = None
        self._acknowledged = False
        self._invite_cseq: int | None = dialog.remote_cseq
        self._owner = dialog.remote_cseq is None  # of the Call-ID: the caller
        self._modifying = False  # a reinvite() is under way
        self._invite_pending = False  # an INVITE of ours waits for its final response
        user_agent.dialogs[dialog.id] = self

    async def bye(self) -> None:
        """Ends the call; returns when the BYE was answered, or could not be delivered."""
        if self.ended.done():
            return
        self._end("local")
        with contextlib.suppress(SipError):
            await self._user_agent.request(self.dialog.create_request("BYE"), flow=self._flow_to_target())

    async def reinvite(self, body: bytes) -> Response:
        """Offers the session anew by a re-INVITE and returns its final response, which may be a refusal.

        Glare is waited out (14.1), up to eight times. A 408 or 481, or no answer, ends the call. Raises DialogError
        while another INVITE is under way in the call or it has ended, and TransportError, TransactionTimeoutError or
        DigestError.
        """
        if self.ended.done():
            raise DialogError("the call has ended")
        if self._modifying or self._repeat is not None:
            raise pending_error()
        self._modifying = True
        try:
            response = await self._reinvite_until_no_glare(body)
        except TransactionTimeoutError:
            self.end_soon()
            raise
        finally:
            self._modifying = self._invite_pending = False
        if response.status in GONE:
            self.end_soon()
        return response

    async def _reinvite_until_no_glare(self, body: bytes) -> Response:
        for _ in range(MAX_TRIES):
            if self._repeat is None:
                self._invite_pending = True
                response = await OutgoingReinvite(self._user_agent, self.dialog).run(body, self._flow_to_target())
                if response.status != 491:
                    return response
            # Meanwhile the peer's own may pass.
            self._invite_pending = False
            await asyncio.sleep(glare_delay(owner=self._owner))
            if self.ended.done():
                raise DialogError("the call has ended")
        raise pending_error()

    def _flow_to_target(self) -> Flow | None:
        """The connection that the call came by, when it leads to the next hop; None where one has to be found.

        Without routes that is when the peer's Contact is its other end: it listens nowhere else. With routes, when
        TLS has proven the name of the first one there, on its port (RFC 5923): no address alone makes it the same.
        A WebSocket that the peer opened is the only way to him, whatever his Contact says (RFC 7118 5).
        """
        flow, routes = self.flow, self.dialog.route_set
        if not flow.reliable or flow.closed:
            return None
        if flow.websocket and flow.accepted:
            return flow
        if routes:
            hop = routes[0].sip_uri
            proven = flow.secure and hop.port == flow.remote[1] and flow.proves(hop.host)
            return flow if proven and (hop.secure or hop.transport == transport_parameter(flow.transport)) else None
        target = self.dialog.remote_target
        named = (target.host.strip("[]"), target.port)
        return flow if target.transport == transport_parameter(flow.transport) and named == flow.remote else None

    def end_soon(self) -> None:
        """Ends the call in the background."""
        self._user_agent.spawn(asyncio.ensure_future(self.bye()))

    def abandon(self) -> None:
        """Forgets the call without a BYE."""
        self._end("closed")

    def acknowledged(self, ack: Request) -> None:
        """The ACK of our 2xx came."""
        if ack.cseq.number == self._invite_cseq and not self._acknowledged:
            self._acknowledged = True
            self._stop_repeating()
            if self.on_ack is not None:
                self.on_ack(ack)

    def repeat_until_acknowledged(self, exchange: ServerExchange, response: Response) -> None:
        """Repeats a 2xx at T1, doubling to T2, for 64*T1; without an ACK by then the call is ended (13.3.1.4)."""
        loop = asyncio.get_running_loop()
        timers = self._user_agent.timers
        self._acknowledged = False
        self._invite_cseq = response.cseq.number
        give_up = loop.time() + timers.timeout

        def again(interval: float) -> None:
            if loop.time() >= give_up:
                self.end_soon()
                return
            self._user_agent.resend(exchange, response)
            self._repeat = loop.call_later(min(2 * interval, timers.t2), again, min(2 * interval, timers.t2))

        self._stop_repeating()
        self._repeat = loop.call_later(timers.t1, again, timers.t1)

    def receive(self, exchange: ServerExchange, request: Request) -> None:
        """Answers a request within the dialog."""
        user_agent = self._user_agent
        self.request_flow = exchange.flow
        if request.method == "BYE":
            user_agent.respond(exchange, request.create_response(200))
            self._end("remote")
        elif request.method == "INVITE":
            self._reinvite(exchange, request)
        else:
            user_agent.respond(exchange, request.create_response(405))

    def _reinvite(self, exchange: ServerExchange, request: Request) -> None:
        user_agent = self._user_agent
        refusal = refuse_glare(request, ours_pending=self._invite_pending, theirs_pending=self._repeat is not None)
        if refusal is not None:
            user_agent.respond(exchange, refusal)
            return
        status, body = (488, b"") if self.on_reinvite is None else self.on_reinvite(request)
        response = request.create_response(status)
        if response.success:
            user = getattr(self.dialog.local.uri, "user", None)
            flow = exchange.flow
            contact: NameAddr = user_agent.contact(flow.transport, user, secure=self.dialog.secure, flow=flow)
            response.headers.add("Contact", str(contact))
            response.headers.add("Content-Type", "application/sdp")
            response.body = body
        user_agent.respond(exchange, response)
        if response.success:
            self.repeat_until_acknowledged(exchange, response)

    def _end(self, how: str) -> None:
        self._stop_repeating()
        self._user_agent.dialogs.pop(self.dialog.id, None)
        if not self.ended.done():
            self.ended.set_result(how)

    def _stop_repeating(self) -> None:
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat = None
