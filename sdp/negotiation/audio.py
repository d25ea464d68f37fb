"""Offer/answer of one audio stream: what a simple telephone needs of `session_negotiation.py`."""

from __future__ import annotations

from dataclasses import replace

from ..errors import NegotiationError
from .agreement import LocalMedia, NegotiatedMedia
from .bundle import BundlePolicy
from .session import SessionNegotiation


class AudioNegotiation:
    """One audio stream negotiated by offers and answers; sans-IO, SDP text in and out.

    Either create_offer() then receive_answer(), or receive_offer() then create_answer(). A later offer in
    either direction renegotiates, and takes the place of one that was never answered. `negotiated` is the last
    agreement, and `local` can be replaced at any time.
    """

    def __init__(self, local: LocalMedia) -> None:
        # Of a BUNDLE group the one stream can be taken without having to share its transport.
        self._session = SessionNegotiation((local,), bundle=BundlePolicy.ACCEPT)
        self.negotiated: NegotiatedMedia | None = None

    @property
    def local(self) -> LocalMedia:
        """What this side has."""
        return self._session.media[0]

    @local.setter
    def local(self, media: LocalMedia) -> None:
        self._session.set_media(0, media)

    def hold(self) -> None:
        """Holds the peer (RFC 3264 8.4): create_offer() then tells it."""
        self._session.hold()

    def resume(self) -> None:
        """Ends a hold."""
        self._session.resume()

    def create_offer(self, *, rekey: bool = False) -> str:
        """Returns an offer.

        Every `a=crypto` line in it has a key of its own (RFC 4568 6.1): a fresh one, but for the line in force,
        whose key stays where the transport address does, unless `rekey`.
        """
        self._session.withdraw()
        return self._session.create_offer(rekey=rekey)

    def receive_answer(self, text: str | bytes) -> NegotiatedMedia:
        """Takes the answer to create_offer() and returns the agreement.

        Raises SdpParseError for what is no SDP, and NegotiationError when the answer rejects the stream, has no
        codec of the offer, or does not give the security that was required: RFC 4568 5.1.3's checks of
        tag, suite and key among them. Nothing changes then.
        """
        answered = self._session.fork()
        agreed = answered.receive_answer(text).of_stream(0)
        if agreed is None:
            raise NegotiationError("the answer rejects the audio stream")
        self._session, self.negotiated = answered, agreed
        return agreed

    def receive_offer(self, text: str | bytes) -> None:
        """Takes an offer; create_answer() then answers it.

        Raises SdpParseError for what is no SDP, and NegotiationError (status 488) when no audio stream of it
        can be accepted; its `refusals` say why for every line that was looked at.
        """
        self._session.withdraw()
        self._session.receive_offer(text)
        streams, refusals = self._session.acceptable
        if not streams:
            self._session.withdraw()
            raise NegotiationError("no audio stream of the offer is acceptable", refusals=refusals)

    def create_answer(self, *, rekey: bool = False) -> str:
        """Returns the answer to the offer received, with exactly one `a=crypto` line and our own key if secured.

        Sets `negotiated`. Raises NegotiationError when no offer was received.
        """
        answer = self._session.create_answer(rekey=rekey)
        agreement = self._session.agreement
        agreed = None if agreement is None else agreement.of_stream(0)
        if agreement is not None and agreed is not None:
            self.negotiated = replace(agreed, refusals=agreement.refusals)
        return answer
