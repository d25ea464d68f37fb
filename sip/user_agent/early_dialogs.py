"""Before a call is answered: its early dialogs on both sides, and what comes within them (RFC 3261 12.1, RFC 3262)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..dialog.dialog import Dialog
from ..dialog.reliable_provisional import RAck, ReliableReceiver, rseq_of
from ..errors import SipError, SipParseError
from ..message.header_values import NameAddr
from ..message.message import Request, Response
from ..transport.layer import Flow
from .capabilities import allow
from .session_modification import flow_to_target

if TYPE_CHECKING:
    from .exchange import ServerExchange
    from .user_agent import UserAgent

# Forks of one INVITE that are followed; the answers of others are processed without their early dialogs.
MAX_EARLY = 64


class CallerEarlyDialog:
    """One fork of our INVITE that has told its To tag. `answer` is the body of a reliable response of it."""

    def __init__(self, user_agent: UserAgent, dialog: Dialog, flow: Flow) -> None:
        self._user_agent = user_agent
        self.dialog = dialog
        self._flow = flow
        self._receiver = ReliableReceiver()
        self.answer = b""

    def receive_response(self, response: Response) -> bool:
        """Acknowledges a reliable response; False for one that is repeated or out of order, and counts no more (4)."""
        if rseq_of(response) is None:
            return True
        rack = self._receiver.receive(response)
        if rack is None:
            return False
        self.answer = self.answer or response.body
        self._user_agent.spawn(asyncio.ensure_future(self._acknowledge(rack)))
        return True

    async def _acknowledge(self, rack: RAck) -> None:
        prack = self.dialog.create_request("PRACK")
        prack.headers.add("RAck", str(rack))
        with contextlib.suppress(SipError):  # whoever does not hear of it repeats the response, or gives the call up
            await self._user_agent.request(prack, flow=flow_to_target(self.dialog, self._flow))

    def receive(self, exchange: ServerExchange, request: Request) -> None:
        """Answers a request of the callee's within the early dialog."""
        if request.method == "UPDATE":
            # RFC 3311 5.2: an offer meets ours, as long as that has no answer.
            status = 200 if not request.body else 488 if self.answer else 491
            _respond(self._user_agent, exchange, request, status, self.dialog)
        else:
            _respond(self._user_agent, exchange, request, 405, self.dialog)

    def abandon(self) -> None:
        """Forgets the early dialog."""
        self._user_agent.early_dialogs.pop(self.dialog.id, None)


class EarlyDialogs:
    """The early dialogs of an INVITE of ours, by To tag."""

    def __init__(self, user_agent: UserAgent, request: Request) -> None:
        self._user_agent = user_agent
        self._request = request
        self._dialogs: dict[str, CallerEarlyDialog] = {}

    def receive(self, response: Response, flow: Flow) -> bool:
        """Takes a provisional response; False for one that is to be passed over."""
        tag = response.to.tag
        if response.status == 100 or tag is None:
            return True
        try:
            reliable = rseq_of(response) is not None
            early = self._dialogs.get(tag) or self._add(tag, response, flow)
        except SipParseError:
            # Without a Contact there is nobody to send a PRACK to; one that asks for none may still be heard.
            return "100rel" not in response.option_tags("Require")
        if early is None:
            return not reliable
        return early.receive_response(response)

    def _add(self, tag: str, response: Response, flow: Flow) -> CallerEarlyDialog | None:
        if len(self._dialogs) >= MAX_EARLY:
            return None
        dialog = Dialog.of_caller(self._request, response, secure=flow.secure)
        early = self._dialogs[tag] = CallerEarlyDialog(self._user_agent, dialog, flow)
        self._user_agent.early_dialogs[dialog.id] = early
        return early

    def answer_of(self, tag: str) -> bytes:
        """Returns the body that came reliably before the 2xx of a fork, empty without one (RFC 3262 5)."""
        early = self._dialogs.get(tag)
        return b"" if early is None else early.answer

    def next_cseq(self, tag: str) -> int:
        """Returns the CSeq number that the last request of ours in a fork's dialog had; 0 without one."""
        early = self._dialogs.get(tag)
        return 0 if early is None else early.dialog.local_cseq

    def end(self) -> None:
        """The INVITE has its final response."""
        for early in self._dialogs.values():
            early.abandon()


def _respond(user_agent: UserAgent, exchange: ServerExchange, request: Request, status: int, dialog: Dialog) -> None:
    response = request.create_response(status)
    if response.success:
        user = getattr(dialog.local.uri, "user", None)
        contact: NameAddr = user_agent.contact(exchange.flow.transport, user, secure=dialog.secure, flow=exchange.flow)
        response.headers.add("Contact", str(contact))
    if status in (200, 405):
        response.headers.add("Allow", allow())
    user_agent.respond(exchange, response)
