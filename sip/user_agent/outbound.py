"""Registrations over flows that are kept open, for user agents behind NAT (RFC 5626 4): the edge."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from srtp.field_checks import check_fields

from ..discovery.target_health import retry_after
from ..errors import RequestFailedError, SipError, TransportError
from ..message.grammar import quote
from ..message.header_values import NameAddr
from ..message.message import Response
from ..message.uri import SipUri
from ..transport.flow import Flow, via_host
from ..transport.keep_alive import (
    DEFAULT_KEEP_ALIVE_TIMES,
    CrlfKeepAlive,
    KeepAliveTimes,
    StunKeepAlive,
    Uniform,
    flow_timer_of,
)
from ..transport.stream_flow import StreamFlow
from .registration import DEFAULT_EXPIRES, MIN_REFRESH, REMOVE_TIMEOUT, Registration

if TYPE_CHECKING:
    from .user_agent import UserAgent

MAX_FLOWS = 4
# First Hop Lacks Outbound Support (RFC 5626 11.6).
LACKS_OUTBOUND = 439
_INSTANCE = re.compile(r"urn:[!#-;=?-\[\]-~]{1,240}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OutboundTimes:
    """Seconds to wait before a flow is tried again (4.5), and those of keep-alives."""

    base_all_failed: float = 30.0
    base: float = 90.0
    longest: float = 1800.0
    keep_alive: KeepAliveTimes = field(default_factory=lambda: DEFAULT_KEEP_ALIVE_TIMES)

    def __post_init__(self) -> None:
        check_fields(self)

    def retry_delay(self, failures: int, *, all_failed: bool, uniform: Uniform) -> float:
        """Returns how long to wait after so many failures in a row: 50 to 100 % of a bound that doubles."""
        base = self.base_all_failed if all_failed else self.base
        longest = min(self.longest, base * 2 ** min(failures, 16))
        return uniform(0.5 * longest, longest)


DEFAULT_OUTBOUND_TIMES = OutboundTimes()


def new_instance() -> str:
    """Returns a new instance identifier (4.1), to be kept for as long as the user agent is installed."""
    return f"urn:uuid:{uuid.uuid4()}"


def is_instance(text: str) -> bool:
    """Whether a text can be an instance identifier: a URN (4.1)."""
    return _INSTANCE.fullmatch(text) is not None


class OutboundRegistration:
    """An address-of-record registered over one flow to each of `proxies` (1 to 4), kept until unregister().

    `instance` is the URN of this user agent, the same after every start. A proxy is a SIP URI that a Route is made
    of; None registers at the registrar itself. Raises ValueError for another number of proxies, and for an instance
    that is no URN.
    """

    def __init__(
        self,
        user_agent: UserAgent,
        aor: SipUri,
        instance: str,
        proxies: Sequence[SipUri | None] = (None,),
        *,
        expires: int = DEFAULT_EXPIRES,
        times: OutboundTimes = DEFAULT_OUTBOUND_TIMES,
        uniform: Uniform | None = None,
    ) -> None:
        if not 1 <= len(proxies) <= MAX_FLOWS:
            raise ValueError(f"one to {MAX_FLOWS} proxies")
        if not is_instance(instance):
            raise ValueError(f"{instance[:40]!r} is no URN")
        self.times = times
        self.uniform = uniform or random.SystemRandom().uniform
        self.flows = tuple(
            KeptFlow(self, user_agent, aor, (instance, number), proxy, expires)
            for number, proxy in enumerate(proxies, 1)
        )

    @property
    def active(self) -> bool:
        """Whether we are registered over any flow, as far as we know."""
        return any(one.registered for one in self.flows)

    @property
    def failure(self) -> SipError | None:
        """Why there is no flow at all; None while there is one."""
        return None if self.active else next((one.failure for one in self.flows if one.failure is not None), None)

    async def register(self) -> int:
        """Registers over all flows and returns the seconds granted by the first; the flows are kept from then on.

        Raises what Registration.register() raises when none of them came about; nothing is kept then.
        """
        try:
            results = await asyncio.gather(*(one.start() for one in self.flows), return_exceptions=True)
        except BaseException:
            await self.stop()
            raise
        granted = [one for one in results if isinstance(one, int)]
        if not granted:
            await self.stop()
            raise next(one for one in results if isinstance(one, BaseException))
        for one in self.flows:
            one.keep()
        return granted[0]

    async def unregister(self, *, timeout: float = REMOVE_TIMEOUT) -> bool:  # noqa: ASYNC109  # it does not raise
        """Removes the bindings, and returns whether the registrar has confirmed that within `timeout` seconds.

        What goes wrong is left to their expiry. False, too, when a flow was lost with the binding that it had.
        """
        return all(await asyncio.gather(*(one.end(timeout) for one in self.flows)))

    async def stop(self) -> None:
        """Lets go of the flows, and leaves the bindings to expire."""
        await asyncio.gather(*(one.stop() for one in self.flows))

    def retry_delay(self, failures: int) -> float:
        """Returns the seconds to wait before a flow is tried again."""
        return self.times.retry_delay(failures, all_failed=not self.active, uniform=self.uniform)


class KeptFlow:
    """One flow, and the registration over it with its reg-id.

    `flow` is None while there is none, `failure` says why. `outbound` tells whether registrar and first hop keep to
    RFC 5626; without, no keep-alives are sent, and only the end of a connection is noticed. `recovered` counts how
    often it had to be made anew, `registration` is the binding's.
    """

    def __init__(
        self,
        owner: OutboundRegistration,
        user_agent: UserAgent,
        aor: SipUri,
        identity: tuple[str, int],
        proxy: SipUri | None,
        expires: int,
    ) -> None:
        self._owner = owner
        self._user_agent = user_agent
        self._aor = aor
        self.instance, self.reg_id = identity
        self.proxy = proxy
        self._expires = expires
        self.flow: Flow | None = None
        self.failure: SipError | None = None
        self.registered = False
        self.outbound = False
        self.recovered = 0
        self.registration: Registration | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._keep_alive: CrlfKeepAlive | StunKeepAlive | None = None
        self._refresh_at = 0.0
        self._stirred = asyncio.Event()
        self._lost = False

    async def start(self) -> int:
        """Registers and returns the seconds granted; raises as Registration.register() does."""
        try:
            return await self._establish()
        except SipError as error:
            self._failed(error)
            raise

    def keep(self) -> None:
        """Keeps the flow from now on, also when there is none yet."""
        if self._keeping is None:
            self._keeping = asyncio.ensure_future(self._keep())

    async def stop(self) -> None:
        """Lets go of the flow."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        self._release()

    async def end(self, timeout: float = REMOVE_TIMEOUT) -> bool:  # noqa: ASYNC109  # it does not raise
        """Removes the binding and lets go of the flow; returns whether none is left."""
        registration, registered = self.registration, self.registered
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        removed = registration is None
        if registration is not None and registered:
            removed = await registration.remove(timeout)
            self.failure = registration.failure
        self._release()
        return removed

    def heard(self) -> None:
        """Something came by the connection."""
        if isinstance(self._keep_alive, CrlfKeepAlive):
            self._keep_alive.heard(asyncio.get_running_loop().time())
            self._stirred.set()

    def lost(self) -> None:
        """The connection has ended."""
        self._lost = True
        self._stirred.set()

    def _stun(self, data: bytes) -> None:
        if isinstance(self._keep_alive, StunKeepAlive):
            self._keep_alive.receive(data, asyncio.get_running_loop().time())
            self._stirred.set()

    async def _establish(self) -> int:
        """Makes the flow, to the first server of the hop that lets us register over it (4.2.1)."""
        tries = await self._user_agent.tries_towards(self._first_hop())
        while True:
            flow = await tries.flow()
            if (flow.transport, flow.remote) in self._user_agent.kept:
                # Two flows to one server would end together.
                if tries.skip():
                    continue
                raise TransportError("another registration keeps this flow", target=via_host(flow.remote))
            try:
                return await self._register_over(flow)
            except SipError as error:
                self._release()
                failure = error.response if isinstance(error, RequestFailedError) else error
                if not tries.goes_on_after(failure, progress=0):
                    raise

    async def _register_over(self, flow: Flow) -> int:
        contact = self._user_agent.contact(flow.transport, self._aor.user, secure=self._aor.secure, flow=flow)
        self.flow, self._lost = flow, False
        self._user_agent.kept.add((flow.transport, flow.remote))
        registration = self.registration = Registration(
            self._user_agent,
            self._aor,
            self._contact(contact, outbound=True),
            expires=self._expires,
            route=self.proxy,
            flow=flow,
        )
        try:
            granted = await registration.send()
        except RequestFailedError as error:
            if error.status != LACKS_OUTBOUND:
                raise
            registration.contacts = (self._contact(contact, outbound=False),)
            granted = await registration.send()
        self._registered(registration, flow, granted)
        return granted

    def _first_hop(self) -> SipUri:
        if self.proxy is not None:
            return self.proxy
        return SipUri(self._aor.scheme, self._aor.host, port=self._aor.port, parameters=self._aor.parameters)

    def _contact(self, contact: NameAddr, *, outbound: bool) -> NameAddr:
        uri = contact.sip_uri
        parameters = (("+sip.instance", quote(f"<{self.instance}>")),)
        if not outbound:
            return NameAddr(uri, "", parameters)
        ours = SipUri(uri.scheme, uri.host, uri.user, None, uri.port, (*uri.parameters, ("ob", None)))
        return NameAddr(ours, "", (*parameters, ("reg-id", str(self.reg_id))))

    def _registered(self, registration: Registration, flow: Flow, granted: int) -> None:
        response = registration.response
        assert response is not None
        loop = asyncio.get_running_loop()
        self.failure, self.registered = None, True
        self.outbound = "outbound" in response.option_tags("Require")
        self._refresh_at = loop.time() + max(MIN_REFRESH, granted * 0.8)
        times = self._owner.times.keep_alive
        interval = times.interval(flow_timer_of(response), reliable=flow.reliable)
        if self._keep_alive is not None:
            return  # a refresh: the keep-alives go on
        if self.outbound or speaks_outbound(response):
            kind: Callable[..., CrlfKeepAlive | StunKeepAlive] = CrlfKeepAlive if flow.reliable else StunKeepAlive
            self._keep_alive = kind(loop.time(), interval, times, self._owner.uniform)
        if isinstance(flow, StreamFlow):
            flow.watcher = self
        else:
            self._user_agent.stun_keepers[flow.remote] = self._stun

    async def _keep(self) -> None:
        """Keeps the flow, and makes it anew when it fails, until cancelled (4.4, 4.5)."""
        failures = 0
        while True:
            if self.registered:
                error = await self._until_failed()
                # 4.5: it was a success only if a keep-alive was answered too, where there are any.
                good = self._keep_alive is None or self._keep_alive.answered
                self._failed(error)
                failures = 0 if good else failures + 1
            else:
                failures += 1
            if failures:
                await asyncio.sleep(max(self._owner.retry_delay(failures), self._asked_to_wait()))
            try:
                await self._establish()
                self.recovered += 1
            except SipError as error:
                self._failed(error)

    async def _until_failed(self) -> SipError:
        """Pings and refreshes as long as the flow stands; returns why it does not."""
        loop = asyncio.get_running_loop()
        assert self.flow is not None
        while True:
            now = loop.time()
            if self._lost or self.flow.closed:
                return TransportError("the connection was lost")
            due = self._refresh_at
            try:
                if now >= due:
                    await self._refresh()
                    due = self._refresh_at
                if self._keep_alive is not None:
                    data = self._keep_alive.handle_timer(now)
                    if data is not None:
                        self.flow.send(data)
                    if self._keep_alive.failure is not None:
                        return TransportError(self._keep_alive.failure)
                    due = min(due, self._keep_alive.next_timer())
            except SipError as error:
                return error
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._stirred.wait()
            self._stirred.clear()

    async def _refresh(self) -> None:
        assert self.registration is not None
        assert self.flow is not None
        granted = await self.registration.send()
        self._registered(self.registration, self.flow, granted)

    def _failed(self, error: SipError) -> None:
        self.failure = error
        flow = self.flow
        self._release()
        if isinstance(flow, StreamFlow):
            flow.abort()  # nothing may take it for a way to the proxy any more

    def _release(self) -> None:
        flow, self.flow = self.flow, None
        self.registered, self._keep_alive = False, None
        if flow is None:
            return
        self._user_agent.kept.discard((flow.transport, flow.remote))
        if isinstance(flow, StreamFlow):
            flow.watcher = None
        else:
            self._user_agent.stun_keepers.pop(flow.remote, None)

    def _asked_to_wait(self) -> float:
        error = self.failure
        return (retry_after(error.response) or 0.0) if isinstance(error, RequestFailedError) else 0.0


def speaks_outbound(response: Response) -> bool:
    """Whether a registration's response shows that the first hop answers keep-alives (RFC 5626 4.4 and 8)."""
    if response.headers.get("Flow-Timer") is not None:
        return True
    path = response.path
    return bool(path) and isinstance(path[-1].uri, SipUri) and path[-1].uri.parameter("ob") is not None
