"""One call of an endpoint, from either side."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from sdp import AudioNegotiation, MediaSecurity, NegotiatedAudio, SdpError
from sip import Request, SipError, SipUri
from sip.callbacks import call_back, result_of
from sip.dialog import ReferTarget, Replaces
from sip.message import Response
from sip.source import source_of
from sip.user_agent import IncomingInvite, InviteDialog

from ..assurance.report import SecurityReport, SignallingFacts, report
from ..errors import CallEndedError, CallRefusedError, SecurityPolicyError
from ..media.session import MediaSession
from ..media.statistics import MediaStatistics
from ..media.stream import Samples
from .messages import Info, info_of
from .transfer import IncomingTransfer, OutgoingTransfer

if TYPE_CHECKING:
    from .endpoint import Endpoint


class Call:
    """An established call. `remote_uri` is the other side as signalled, which nothing has proven (see `security`).

    `on_info` hears of INFOs of the kinds in `info_packages` (lower case) or of none; `on_transfer` is asked when the
    other side wants us to call somebody else, which is refused without it. Both may be coroutine functions; an
    exception in one is logged, answers 500 to an INFO, and declines a transfer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        dialog: InviteDialog,
        media: MediaSession,
        negotiation: AudioNegotiation,
        signalling: SignallingFacts,
        note: str,
    ) -> None:
        self._endpoint = endpoint
        self._dialog = dialog
        self._media = media
        self._negotiation = negotiation
        self._signalling = signalling
        self._note = note
        self.remote_uri = str(dialog.dialog.remote.uri)
        self._end_reason: str | None = None
        self._watch: asyncio.TimerHandle | None = None
        self.on_info: Callable[[Info], Awaitable[None] | None] | None = None
        self.info_packages: frozenset[str] = frozenset()
        self.on_transfer: Callable[[IncomingTransfer], Awaitable[None] | None] | None = None
        self._transfer: OutgoingTransfer | None = None
        dialog.on_reinvite = self._renegotiate
        dialog.offer = lambda: negotiation.create_offer().encode()
        dialog.on_refreshed = self._refreshed
        dialog.answers = {"INFO": self._informed, "REFER": self._referred, "NOTIFY": self._notified}
        dialog.ended.add_done_callback(self._dialog_ended)
        media.on_keying_failure = self._not_keyed
        self._watch_media()

    @property
    def agreed(self) -> NegotiatedAudio | None:
        """What the two sides negotiated, with keys that come after the answer once they are there."""
        return self._media.agreed or self._negotiation.negotiated

    @property
    def security(self) -> SecurityReport:
        """The four tiers as they stand now."""
        return report(self._signalling, self.agreed, self._media.facts, self._note)

    @property
    def statistics(self) -> MediaStatistics:
        """Packets, loss and jitter so far."""
        return self._media.statistics

    @property
    def active(self) -> bool:
        """Whether the call has not ended."""
        return not self._dialog.ended.done()

    async def send_audio(self, samples: ArrayLike) -> None:
        """Sends 16-bit samples of 8 kHz at their pace; raises CallEndedError when the call has ended.

        Other samples are converted where that is plain (rtp.as_samples), else UnsupportedAudioError is raised.
        """
        await self._media.send_audio(samples)

    async def receive_audio(self) -> Samples:
        """Returns the next frame of 16-bit samples received; raises CallEndedError when there will be none."""
        return await self._media.receive_audio()

    async def send_digits(self, digits: str) -> None:
        """Sends DTMF digits, 0 to 9, *, #, A to D.

        Raises UnsupportedDigitError when the peer takes none or for others, and CallEndedError when the call has ended.
        """
        await self._media.send_digits(digits)

    async def receive_digit(self) -> str:
        """Returns the next DTMF digit received; raises CallEndedError when there will be none."""
        return await self._media.receive_digit()

    async def hold(self) -> None:
        """Holds the other side by a re-INVITE: it sends no audio any more, until resume(); raises as renew() does."""
        self._negotiation.hold()
        try:
            await self.renew()
        except BaseException:
            self._negotiation.resume()
            raise

    async def resume(self) -> None:
        """Ends a hold; raises as renew() does, and the hold goes on then."""
        self._negotiation.resume()
        try:
            await self.renew()
        except BaseException:
            self._negotiation.hold()
            raise

    async def renew(self) -> None:
        """Offers the call's media anew by a re-INVITE; what is secured stays so.

        Raises CallRefusedError when the other side refuses, SdpError when its answer is not acceptable (the call goes
        on as it was in both cases), CallEndedError when the call has ended, and SipError when nothing could be asked.
        """
        self._must_be_active()
        if self.agreed is not None and self.agreed.secured:
            self._negotiation.local = replace(self._negotiation.local, security=MediaSecurity.REQUIRED)
        response = await self._dialog.reinvite(self._negotiation.create_offer().encode())
        if not response.success:
            raise CallRefusedError(f"{response.status} {response.reason}", status=response.status)
        self._media.start(self._negotiation.receive_answer(response.body))

    async def send_info(self, body: bytes, content_type: str, *, package: str | None = None) -> None:
        """Sends an INFO within the call, of an Info-Package or of none.

        Raises CallRefusedError when the other side does not take it, CallEndedError when the call has ended, and
        SipError when it cannot be sent.
        """
        self._must_be_active()
        headers = [] if package is None else [("Info-Package", package)]
        response = await self._dialog.request("INFO", headers=headers, body=body, content_type=content_type)
        if not response.success:
            raise CallRefusedError(f"{response.status} {response.reason}", status=response.status)

    async def transfer(self, to: str | Call) -> None:
        """Asks the other side to call a SIP URI, or to take over our other call; then ends both ours.

        Raises CallRefusedError when it does not, or does not reach whom it was to call: the calls go on then.
        CallEndedError and SipError as send_info().
        """
        self._must_be_active()
        if isinstance(to, Call):
            dialog = to._dialog.dialog
            target = ReferTarget(dialog.remote_target, Replaces.at_peer(dialog.id))
        else:
            target = ReferTarget(SipUri.parse(to))
        self._transfer = OutgoingTransfer(self._dialog, target, str(self._endpoint.aor))
        try:
            await self._transfer.run()
        finally:
            self._transfer = None
        await self.hangup()
        if isinstance(to, Call):
            await to.hangup()

    def _must_be_active(self) -> None:
        if not self.active:
            raise CallEndedError(self._end_reason or self._dialog.ended.result())

    def is_dialog(self, replaces: Replaces) -> bool:
        """Whether it is this call that a Replaces names."""
        return self.active and self._dialog.dialog.id == replaces.dialog_id

    async def hangup(self) -> None:
        """Ends the call; returns when the other side knows, or did not answer for a quarter of 64*T1."""
        self._media.close("local")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._endpoint.settings.timers.timeout / 4):
                await self._dialog.bye()

    async def wait_ended(self) -> str:
        """Waits for the end of the call and returns how it ended: "local", "remote", or what went wrong."""
        how = await asyncio.shield(self._dialog.ended)
        return self._end_reason or how

    def _dialog_ended(self, ended: asyncio.Future[str]) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._media.close(self._end_reason or ended.result())
        self._endpoint.forget(self)

    def _not_keyed(self, reason: str) -> None:
        """There will be no keys: a call that has agreed on SRTP does not go on without."""
        self._end_reason = reason
        self._endpoint.hang_up_soon(self)

    def _watch_media(self) -> None:
        """Hangs up when the peer has gone silent, RTCP included: its BYE may never come."""
        limit = self._endpoint.settings.media_timeout
        if limit is None or not self.active:
            return
        if self._media.silence >= limit:
            self._end_reason = f"no media for {limit:g} s"
            self._endpoint.hang_up_soon(self)
            return
        self._watch = asyncio.get_running_loop().call_later(min(1.0, limit / 4), self._watch_media)

    def _refreshed(self, response: Response) -> None:
        """A re-INVITE of the session timer was answered."""
        try:
            self._media.start(self._negotiation.receive_answer(response.body))
        except (SdpError, SecurityPolicyError):
            self._endpoint.hang_up_soon(self)

    async def _informed(self, request: Request) -> Response:
        found = info_of(request, self.info_packages)
        if isinstance(found, Response):
            return found
        if self.on_info is None:
            return request.create_response(415 if request.body else 200)
        await result_of(self.on_info, found)
        return request.create_response(200)

    def _referred(self, request: Request) -> Response:
        if self.on_transfer is None:
            return request.create_response(603)
        transfer = IncomingTransfer(self._endpoint, self._dialog, request)
        asyncio.get_running_loop().call_soon(self._ask_for_transfer, self.on_transfer, transfer)
        return request.create_response(202)

    def _ask_for_transfer(
        self, ask: Callable[[IncomingTransfer], Awaitable[None] | None], transfer: IncomingTransfer
    ) -> None:
        give_up = self._endpoint.in_background
        call_back(self._endpoint.keep_callback, ask, transfer, failed=lambda: give_up(transfer.give_up()))

    def _notified(self, request: Request) -> Response:
        """A NOTIFY counts only as long as a transfer of ours is under way (RFC 6665 4.1.3)."""
        status = 481 if self._transfer is None else self._transfer.notified(request)
        return request.create_response(status)

    def _renegotiate(self, request: Request) -> tuple[int, bytes]:
        """A re-INVITE of the peer: hold, resume, a new address or key (RFC 3264 8).

        What is secured stays so, whatever the policy would take from a new call.
        """
        agreed = self.agreed
        try:
            secure = self._dialog.request_flow.secure and path_is_secure(request)
            security, _ = self._endpoint.local_security(hop_is_secure=secure)
            if agreed is not None and agreed.secured:
                if security is MediaSecurity.OFF:
                    return 488, b""
                security = MediaSecurity.REQUIRED
            self._negotiation.local = replace(self._negotiation.local, security=security)
            if not request.body:
                self._dialog.on_ack = self._answered_by_ack
                return 200, self._negotiation.create_offer().encode()
            self._negotiation.receive_offer(request.body)
            answer = self._negotiation.create_answer()
        except (SdpError, SipError, SecurityPolicyError):
            return 488, b""
        if self._negotiation.negotiated is not None:
            self._media.start(self._negotiation.negotiated)
        return 200, answer.encode()

    def _answered_by_ack(self, ack: Request) -> None:
        """The answer to an offer of ours comes in the ACK (RFC 3261 13.2.1).

        Without one, media goes on as it was, if there is any. A call that has none and must have SRTP is ended,
        as is one whose answer is not acceptable.
        """
        self._dialog.on_ack = None
        try:
            if ack.body:
                self._media.start(self._negotiation.receive_answer(ack.body))
        except (SdpError, SecurityPolicyError):
            self._endpoint.hang_up_soon(self)
            return
        if self.agreed is None and self._endpoint.settings.policy.media is MediaSecurity.REQUIRED:
            self._endpoint.hang_up_soon(self)

    async def confirmed(self, *, answered_by_ack: bool) -> None:
        """Returns when the caller has acknowledged our 200, as its BYE does too.

        Raises CallEndedError when the call ends otherwise before that.
        """
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[None] = loop.create_future()

        def on_ack(ack: Request) -> None:
            if answered_by_ack:
                self._answered_by_ack(ack)
            if not acknowledged.done():
                acknowledged.set_result(None)

        self._dialog.on_ack = on_ack
        await asyncio.wait((acknowledged, self._dialog.ended), return_when=asyncio.FIRST_COMPLETED)
        if not acknowledged.done() and self._dialog.ended.result() != "remote":
            raise CallEndedError(self._dialog.ended.result())


class IncomingCall:
    """A call that waits for its answer: answer() or reject(), once.

    `replaces` is the call of ours that it takes the place of (RFC 3891), which ends when this one is answered.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        invite: IncomingInvite,
        negotiation: AudioNegotiation,
        note: str,
        replaces: Call | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._invite = invite
        self.replaces = replaces
        self.source = source_of(invite.flow.remote[0])
        self._negotiation = negotiation
        self._note = note
        self.remote_uri = str(invite.request.from_.uri)
        self.authenticated_user = None if invite.authenticated is None else invite.authenticated[0]
        invite.cancelled.add_done_callback(lambda _: self._close())
        timeout = endpoint.settings.answer_timeout
        self._timer = asyncio.get_running_loop().call_later(timeout, self.reject, 480)

    @property
    def pending(self) -> bool:
        """Whether the caller still waits."""
        return self._invite.pending

    def ring(self) -> None:
        """Tells the caller that somebody is being alerted."""
        self._invite.ring()

    def reject(self, status: int = 603) -> None:
        """Refuses the call with a SIP status of 400 to 699; does nothing once it is answered.

        Raises ValueError for another status, and the caller waits on.
        """
        if type(status) is not int or not 400 <= status <= 699:
            raise ValueError(f"the status of a refusal is {status!r}, it must be a number from 400 to 699")
        if self._invite.pending:
            self._invite.reject(status)
            self._close()

    def _close(self) -> None:
        self._timer.cancel()
        self._endpoint.forget_incoming(self)

    def _must_be_pending(self) -> None:
        if not self._invite.pending:
            how = "the caller gave up" if self._invite.cancelled.done() else "the call was answered or refused before"
            raise CallRefusedError(how, status=487 if self._invite.cancelled.done() else 0)

    async def answer(self) -> Call:
        """Accepts the call and returns it once the caller has acknowledged: only then can it take our audio.

        Raises CallRefusedError when the caller gave up before, or its INVITE cannot make a dialog; OSError or RtpError
        when there are no ports for media, and the caller hears 500; CallEndedError when the call ended before it was
        acknowledged.
        """
        self._must_be_pending()
        offerless = not self._invite.request.body
        try:
            media = self._endpoint.open_media(self._invite.flow)
        except BaseException:
            self.reject(500)
            raise
        local = replace(self._negotiation.local, address=media.local_address, port=media.local_port)
        self._negotiation.local = local
        try:
            text = self._negotiation.create_offer() if offerless else self._negotiation.create_answer()
            dialog = self._invite.accept(text.encode())
        except (SipError, SdpError) as error:
            self._invite.reject(400)
            self._close()
            media.close("local")
            raise CallRefusedError(str(error), status=getattr(error, "status", 0)) from error
        facts = self._endpoint.facts_of(
            dialog.flow,
            None if self._invite.authenticated is None else self._invite.authenticated[1],
            self.authenticated_user,
            path=hops_of(self._invite.request),
        )
        call = Call(self._endpoint, dialog, media, self._negotiation, facts, self._note)
        self._timer.cancel()
        self._endpoint.forget_incoming(self)
        self._endpoint.remember(call)
        if self._negotiation.negotiated is not None:
            media.start(self._negotiation.negotiated)
        await call.confirmed(answered_by_ack=offerless)
        if self.replaces is not None:
            await self.replaces.hangup()
        return call


def path_is_secure(request: Request) -> bool:
    """Whether every hop that a request came over was TLS, as far as its Via rows tell; an answer goes back by them."""
    return all(via.transport in ("TLS", "WSS") for via in request.vias)


def hops_of(request: Request) -> tuple[str, ...]:
    """Returns the proxies that a request came through, the nearest first, as their Via rows name them."""
    return tuple(f"{via.host} ({via.transport})" for via in request.vias[:-1])
