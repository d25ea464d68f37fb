"""One call of an endpoint, from either side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sdp import AudioNegotiation, NegotiatedAudio, SdpError
from sip import Request, SipError
from sip.invite import IncomingInvite, InviteDialog

from .assurance import SecurityReport, SignallingFacts, report
from .errors import CallRefusedError
from .media_session import MediaSession
from .media_statistics import MediaStatistics
from .media_stream import Samples

if TYPE_CHECKING:
    from .endpoint import Endpoint


class Call:
    """An established call. `remote_uri` is the other side as signalled, which nothing has proven (see `security`)."""

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
        dialog.on_reinvite = self._renegotiate
        dialog.ended.add_done_callback(self._dialog_ended)

    @property
    def agreed(self) -> NegotiatedAudio | None:
        """What the two sides negotiated."""
        return self._negotiation.negotiated

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

    async def send_audio(self, samples: Samples) -> None:
        """Sends 16-bit samples of 8 kHz at their pace; raises CallEndedError when the call has ended."""
        await self._media.send_audio(samples)

    async def receive_audio(self) -> Samples:
        """Returns the next frame of 16-bit samples received; raises CallEndedError when there will be none."""
        return await self._media.receive_audio()

    async def hangup(self) -> None:
        """Ends the call; returns when the other side knows, or cannot be told."""
        self._media.close("local")
        await self._dialog.bye()

    async def wait_ended(self) -> str:
        """Waits for the end of the call and returns how it ended: "local" or "remote"."""
        return await asyncio.shield(self._dialog.ended)

    def _dialog_ended(self, ended: asyncio.Future[str]) -> None:
        self._media.close(ended.result())
        self._endpoint.forget(self)

    def _renegotiate(self, request: Request) -> tuple[int, bytes]:
        """A re-INVITE of the peer: hold, resume, a new address or key (RFC 3264 8)."""
        if not request.body:
            return 488, b""
        try:
            self._negotiation.receive_offer(request.body)
            answer = self._negotiation.create_answer()
        except (SdpError, SipError):
            return 488, b""
        if self._negotiation.negotiated is not None:
            self._media.start(self._negotiation.negotiated)
        return 200, answer.encode()


class IncomingCall:
    """A call that waits for its answer: answer() or reject(), once."""

    def __init__(
        self,
        endpoint: Endpoint,
        invite: IncomingInvite,
        media: MediaSession,
        negotiation: AudioNegotiation,
        note: str,
    ) -> None:
        self._endpoint = endpoint
        self._invite = invite
        self._media = media
        self._negotiation = negotiation
        self._note = note
        self.remote_uri = str(invite.request.from_.uri)
        self.authenticated_user = None if invite.authenticated is None else invite.authenticated[0]
        invite.cancelled.add_done_callback(lambda _: media.close("remote"))

    @property
    def pending(self) -> bool:
        """Whether the caller still waits."""
        return self._invite.pending

    def ring(self) -> None:
        """Tells the caller that somebody is being alerted."""
        self._invite.ring()

    def reject(self, status: int = 603) -> None:
        """Refuses the call with a SIP status of 400 to 699."""
        self._invite.reject(status)
        self._media.close("local")

    async def answer(self) -> Call:
        """Accepts the call.

        Raises CallRefusedError when the caller gave up before, or its INVITE cannot make a dialog.
        """
        offerless = not self._invite.request.body
        try:
            text = self._negotiation.create_offer() if offerless else self._negotiation.create_answer()
            dialog = self._invite.accept(text.encode())
        except SipError as error:
            self._media.close("local")
            self._invite.reject(400)
            raise CallRefusedError.from_sip(error) from error
        facts = self._endpoint.facts_of(
            dialog.flow,
            None if self._invite.authenticated is None else self._invite.authenticated[1],
            self.authenticated_user,
        )
        call = Call(self._endpoint, dialog, self._media, self._negotiation, facts, self._note)
        self._endpoint.remember(call)
        if self._negotiation.negotiated is not None:
            self._media.start(self._negotiation.negotiated)
        elif offerless:
            dialog.on_ack = lambda ack: self._answered_by_ack(call, ack)
        return call

    def _answered_by_ack(self, call: Call, ack: Request) -> None:
        """The answer to an offer of ours comes in the ACK (RFC 3261 13.2.1); without a good one there is no media."""
        try:
            self._media.start(self._negotiation.receive_answer(ack.body))
        except SdpError:
            # Signalling-only test callers leave the SDP out; the call stays up without media, nothing is sent.
            if ack.body:
                self._endpoint.hang_up_soon(call)
