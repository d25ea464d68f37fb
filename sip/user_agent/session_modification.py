"""Changing an established session: re-INVITE (RFC 3261 14) from our side, and what both sides do about glare."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from ..dialog.dialog import Dialog
from ..digest.client import MAX_CHALLENGES
from ..discovery.target import transport_parameter
from ..errors import DialogError, SipError
from ..message.header_values import NameAddr
from ..message.host_names import same_host
from ..message.message import Request, Response
from ..transport.layer import Flow
from .capabilities import allow

if TYPE_CHECKING:
    from .session_refresh import SessionRefresh
    from .user_agent import UserAgent

# Of a re-INVITE that meets 491.
MAX_TRIES = 8
# 12.2.1.2: these say that the other side knows the dialog no more.
GONE = frozenset((408, 481))


def glare_delay(*, owner: bool) -> float:
    """Returns the seconds to wait after a 491 (14.1), in units of 10 ms.

    The owner of the dialog's Call-ID waits 2.1 to 4 s and the other side up to 2 s, so that they do not meet again.
    """
    return (210 + secrets.randbelow(191) if owner else secrets.randbelow(201)) / 100


class OutgoingReinvite:
    """A re-INVITE of ours in a dialog: run() sends it and returns its final response, acknowledged."""

    def __init__(self, user_agent: UserAgent, dialog: Dialog, session: SessionRefresh) -> None:
        self._user_agent = user_agent
        self._dialog = dialog
        self._session = session
        self._ack: Request | None = None

    async def run(self, body: bytes, flow: Flow | None) -> Response:
        """Sends the offer, and once more after each challenge that may be answered: of the proxy, of the peer.

        Raises TransportError, TransactionTimeoutError, and DigestError for a challenge that credentials are not for.
        """
        request = self._request(body)
        way = flow if flow is not None and not flow.closed else await self._user_agent.flow_for(request)
        self._contact(request, way)
        response = await self._exchange(request, way)
        digest = self._user_agent.digest
        for _ in range(MAX_CHALLENGES):
            if response.status not in (401, 407) or digest is None:
                break
            digest.authorize(request, response, source=way.remote[0])
            response = await self._again(request, way)
        return response

    async def _again(self, request: Request, flow: Flow) -> Response:
        request.headers.remove_first("Via")
        self._dialog.local_cseq += 1
        request.headers.set("CSeq", f"{self._dialog.local_cseq} INVITE")
        return await self._exchange(request, flow)

    def _request(self, body: bytes) -> Request:
        request = self._dialog.create_request("INVITE")
        request.headers.add("Allow", allow())
        request.headers.add("Supported", "replaces")
        self._session.ask(request)
        if body:
            request.headers.add("Content-Type", "application/sdp")
            request.body = body
        return request

    def _contact(self, request: Request, flow: Flow) -> None:
        user = getattr(self._dialog.local.uri, "user", None)
        contact: NameAddr = self._user_agent.contact(flow.transport, user, secure=self._dialog.secure, flow=flow)
        request.headers.set("Contact", str(contact))

    async def _exchange(self, request: Request, flow: Flow) -> Response:
        final: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def on_response(response: Response) -> None:
            if response.provisional:
                return
            if response.success:
                self._acknowledge(request, response, flow)
            if not final.done():
                final.set_result(response)

        def on_failure(error: SipError) -> None:
            if not final.done():
                final.set_exception(error)
                final.exception()  # after a cancelled run() nobody else reads it

        self._ack = None
        self._user_agent.start_request(request, flow, on_response, on_failure)
        return await final

    def _acknowledge(self, request: Request, response: Response, flow: Flow) -> None:
        """Every 2xx gets the same ACK (13.2.2.4), to the target that its Contact names (12.2.1.2)."""
        if self._ack is None:
            self._dialog.refresh_target(response)
            self._ack = self._dialog.create_request("ACK", cseq=request.cseq.number)
            for name in ("Authorization", "Proxy-Authorization"):
                for value in request.headers.get_all(name):
                    self._ack.headers.add(name, value)
        self._user_agent.send_ack(self._ack, flow)


def flow_to_target(dialog: Dialog, flow: Flow) -> Flow | None:
    """The connection that a call came by, when it leads to the next hop; None where one has to be found.

    Without routes that is when the peer's Contact is its other end: it listens nowhere else. With routes, when
    TLS has proven the name of the first one there, on its port (RFC 5923): no address alone makes it the same.
    A WebSocket that the peer opened is the only way to him, whatever his Contact says (RFC 7118 5).
    """
    routes = dialog.route_set
    if not flow.reliable or flow.closed:
        return None
    if flow.websocket and flow.accepted:
        return flow
    if routes:
        hop = routes[0].sip_uri
        proven = flow.secure and hop.port == flow.remote[1] and flow.proves(hop.host)
        return flow if proven and (hop.secure or hop.transport == transport_parameter(flow.transport)) else None
    target = dialog.remote_target
    at_its_end = same_host(target.host, flow.remote[0]) and target.port == flow.remote[1]
    return flow if target.transport == transport_parameter(flow.transport) and at_its_end else None


def refuse_glare(request: Request, *, ours_pending: bool, theirs_pending: bool) -> Response | None:
    """Returns what refuses a re-INVITE that meets another (14.2), or None.

    491 while one of ours is not answered; 500 with Retry-After while the peer's last one is not finished.
    """
    if theirs_pending:
        response = request.create_response(500)
        response.headers.add("Retry-After", str(secrets.randbelow(11)))
        return response
    return request.create_response(491) if ours_pending else None


def pending_error() -> DialogError:
    """What a second re-INVITE meets while one is under way."""
    return DialogError("a re-INVITE is under way", status=491)
