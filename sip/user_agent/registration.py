"""Keeping a binding at a registrar (RFC 3261 10)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

from ..errors import RequestFailedError, SipError, SipParseError, TransactionTimeoutError, TransportError
from ..message.grammar import parse_number
from ..message.header_values import CSeq, NameAddr
from ..message.message import Request, Response, new_call_id, new_tag
from ..message.uri import SipUri
from ..transport.flow import Flow, via_host

if TYPE_CHECKING:
    from ..transport.flow import Flow
    from .user_agent import UserAgent

DEFAULT_EXPIRES = 600
MIN_REFRESH = 5.0
RETRY_DELAY = 30.0
# Seconds that a registrar has to confirm that a binding is removed.
REMOVE_TIMEOUT = 2.0
# A connection that is lost is replaced within so many seconds, at random: a server that comes up again has many to.
RECOVERY_SPREAD = 2.0


def route_to(proxy: SipUri) -> str:
    """Returns the Route value that leads through a proxy, which is taken for a loose router."""
    parameters = proxy.parameters if proxy.loose_router else (*proxy.parameters, ("lr", None))
    return str(NameAddr(SipUri(proxy.scheme, proxy.host, proxy.user, None, proxy.port, parameters)))


class Registration:
    """The binding of one address-of-record to our Contact, and to `more` contacts, refreshed until unregister().

    When the connection is lost by which it was registered, it is registered anew by another one soon (RFC 5626 4.5):
    whoever has no address of his own, a WebSocket client, is reached by that connection alone.
    `bindings` are those of the address-of-record, ours and others', as the registrar told them last; GRUUs stand
    in their pub-gruu and temp-gruu where the contact has a +sip.instance (RFC 5627). With a `flow` it is registered by
    that alone, through `route` where there is one (RFC 5626); `response` is the registrar's last.
    """

    def __init__(
        self,
        user_agent: UserAgent,
        aor: SipUri,
        contact: NameAddr,
        *more: NameAddr,
        expires: int = DEFAULT_EXPIRES,
        route: SipUri | None = None,
        flow: Flow | None = None,
    ) -> None:
        self._user_agent = user_agent
        self.aor = aor
        self.contact = contact
        self.contacts = (contact, *more)
        self.expires = expires
        self.bindings: tuple[NameAddr, ...] = ()
        self.digest_algorithm: str | None = None
        self.failure: SipError | None = None
        self.response: Response | None = None
        self._route = route
        self._given_flow = flow
        self._call_id = new_call_id()
        self._cseq = 0
        self._refreshing: asyncio.Task[None] | None = None
        self._flow: Flow | None = None
        self._lost = asyncio.Event()

    @property
    def active(self) -> bool:
        """Whether the binding stands, as far as we know."""
        return self._refreshing is not None and not self._refreshing.done() and self.failure is None

    async def register(self) -> int:
        """Registers, and keeps the binding fresh from then on; returns the seconds that the registrar granted.

        Raises RequestFailedError when the registrar refuses, and what UserAgent.request() raises.
        """
        granted = await self.send()
        if self._refreshing is None:
            self._refreshing = asyncio.ensure_future(self._refresh(granted))
            self._user_agent.on_flow_lost.add(self._flow_lost)
        return granted

    async def unregister(self, *, timeout: float = REMOVE_TIMEOUT) -> bool:  # noqa: ASYNC109  # it does not raise
        """Removes the binding, and returns whether the registrar has confirmed that within `timeout` seconds.

        What goes wrong stands in `failure`, and the binding is left to its expiry. False, too, when nothing was
        registered.
        """
        if self._refreshing is None:
            return False
        await self.stop()
        return await self.remove(timeout)

    async def remove(self, timeout: float = REMOVE_TIMEOUT) -> bool:  # noqa: ASYNC109  # it does not raise
        """Asks for the binding to be removed, and returns what unregister() does."""
        try:
            async with asyncio.timeout(timeout):
                await self.send(expires=0)
        except TimeoutError:
            self.failure = TransactionTimeoutError(f"no answer in {timeout:g} s")
        except SipError as error:
            self.failure = error
        else:
            ours = [contact for contact in self.contacts if self._is_bound(contact)]
            self.failure = SipError(f"the registrar keeps {ours[0].uri}") if ours else None
        return self.failure is None

    def _is_bound(self, contact: NameAddr) -> bool:
        """Whether a contact of ours is among the bindings that the registrar told last, and is to stay."""
        uri = contact.uri
        for one in self.bindings:
            same = (
                one.uri.equivalent(uri)
                if isinstance(one.uri, SipUri) and isinstance(uri, SipUri)
                else str(one.uri) == str(uri)
            )
            if same and one.parameter("expires") != "0":
                return True
        return False

    async def stop(self) -> None:
        """Ends the refreshing, and leaves the binding to expire."""
        self._user_agent.on_flow_lost.discard(self._flow_lost)
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
            self._refreshing = None

    async def query(self) -> tuple[NameAddr, ...]:
        """Returns the bindings without changing any (10.2.3); raises as register() does."""
        await self._exchange(self._request(None, ()))
        return self.bindings

    async def remove_all(self) -> bool:
        """Removes every binding of the address-of-record, others' too (10.2.2), and returns whether none is left.

        Raises as register() does.
        """
        await self._exchange(self._request(0, ("*",)))
        return all(one.parameter("expires") == "0" for one in self.bindings)

    async def _refresh(self, granted: int) -> None:
        delay = max(MIN_REFRESH, granted * 0.8)
        while True:
            await self._wait(delay)
            try:
                granted = await self.send()
            except SipError as error:
                self.failure, delay = error, RETRY_DELAY
            else:
                self.failure, delay = None, max(MIN_REFRESH, granted * 0.8)

    async def _wait(self, delay: float) -> None:
        """Waits for the time to refresh, or for the loss of the connection."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._lost.wait()
                await asyncio.sleep(random.uniform(0, RECOVERY_SPREAD))  # noqa: S311  # no secret
        self._lost.clear()

    def _flow_lost(self, flow: Flow) -> None:
        if flow is self._flow:
            self._lost.set()

    async def send(self, *, expires: int | None = None) -> int:
        """Registers once, for `expires` seconds or as long as always, and returns the seconds granted.

        Raises as register() does, and TransportError when the flow it is to go by is gone.
        """
        expires = self.expires if expires is None else expires
        contacts = tuple(str(one) for one in self.contacts)
        try:
            response = await self._exchange(self._request(expires, contacts))
        except RequestFailedError as error:
            if error.status != 423 or not expires:
                raise
            # 10.2.8: the registrar says how long it wants to be asked for.
            asked = error.response.headers.get("Min-Expires") or ""
            self.expires = expires = parse_number(asked, (1 << 31) - 1, "Min-Expires")
            response = await self._exchange(self._request(expires, contacts))
        return self._granted(response, expires)

    async def _exchange(self, request: Request) -> Response:
        if self._given_flow is not None:
            flow = self._given_flow
            if flow.closed:
                raise TransportError("the flow is gone", target=via_host(flow.remote))
            if flow.secure and not flow.accepted and not flow.stands():
                raise TransportError("the server's certificate is no longer good", target=via_host(flow.remote))
            response = await self._user_agent.request(request, flow=flow)
        else:
            self._user_agent.add_outbound_route(request)
            tries = await self._user_agent.tries_for(request)
            response = await self._user_agent.request(request, tries=tries)
            self._flow = tries.last_flow
        self._cseq = max(self._cseq, request.cseq.number)
        if not response.success:
            raise RequestFailedError(response)
        if self._user_agent.digest is not None and "Authorization" in request.headers:
            self.digest_algorithm = self._user_agent.digest.last_algorithm
        self.bindings, self.response = tuple(response.contacts), response
        return response

    def _request(self, expires: int | None, contacts: tuple[str, ...]) -> Request:
        self._cseq += 1
        request = Request(
            "REGISTER", SipUri(self.aor.scheme, self.aor.host, port=self.aor.port, parameters=self.aor.parameters)
        )
        aor = NameAddr(SipUri(self.aor.scheme, self.aor.host, self.aor.user))
        request.headers.add("Max-Forwards", "70")
        request.headers.add("From", str(aor.with_tag(new_tag())))
        request.headers.add("To", str(aor))
        request.headers.add("Call-ID", self._call_id)
        request.headers.add("CSeq", str(CSeq(self._cseq, "REGISTER")))
        request.headers.add("Supported", "path, gruu" if self._given_flow is None else "path, gruu, outbound")
        if self._route is not None:
            request.headers.add("Route", route_to(self._route))
        for contact in contacts:
            request.headers.add("Contact", contact)
        if expires is not None:
            request.headers.add("Expires", str(expires))
        return request

    def _granted(self, response: Response, asked: int) -> int:
        try:
            for contact in response.contacts:
                if isinstance(contact.uri, SipUri) and contact.uri.equivalent(self.contact.sip_uri):
                    value = contact.parameter("expires")
                    if value is not None:
                        return parse_number(value, (1 << 31) - 1, "expires")
            return response.expires if response.expires is not None else asked
        except SipParseError:
            return asked
