"""The edge of the proxy: its sockets, its timer, and the questions to location service and resolver, by asyncio."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..callbacks import call_back
from ..discovery.locator import Locator
from ..discovery.target import Target, add_received, response_address, target_of, transport_name
from ..errors import SipError, SipParseError, TransportError
from ..message.host_names import is_numeric
from ..message.message import Message, Request, Response
from ..message.parser import DEFAULT_LIMITS, Limits, parse_message
from ..message.uri import SipUri
from ..transaction.amplification import Allowance, size_of
from ..transaction.load_limits import LoadLimits
from ..transaction.timers import DEFAULT_TIMERS, Timers
from ..transport.layer import WILDCARDS, Flow, LocalAddress, TransportLayer
from ..transport.response_failover import flow_for_response
from ..transport.websocket_settings import WebSocketSettings
from .events import Connect, Distrust, Event, Locate, Resolve, Resolver, SendData, Serve, TargetSource, UseFlow
from .exchange import ServerExchange
from .flow_tokens import FlowTokens
from .own_names import ListenAddress, ProxyIdentity
from .proxy import Proxy
from .settings import ProxySettings
from .standing import Standing

# How exact timers are: all that is due within is done at once.
_TICK = 0.01
_LAG_INTERVAL = 0.25


@dataclass(frozen=True, slots=True)
class Listener:
    """An address to listen on: numeric, port 0 for any. `advertised` is the host that others are told instead of it.

    Raises ValueError for a transport that there is not.
    """

    transport: str
    host: str
    port: int = 0
    advertised: str | None = None
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "transport", transport_name(self.transport))


class ProxyHooks(Protocol):
    """What a server does beside forwarding: decides who may, and answers what is for itself."""

    def authorize(self, request: Request, flow: Flow) -> Response | Standing:
        """Returns the response that refuses a request other than CANCEL, or what is known of who sent it.

        An ACK that is refused is dropped. May take the credentials off a request.
        """
        ...

    async def serve(self, request: Request, flow: Flow, token: str) -> Response:
        """Answers a request for the server itself, such as REGISTER; `token` names the flow that it came by."""
        ...


# Hears of each message that is sent, with the flow it goes by, for those who draw or count it.
Observer = Callable[[bytes, Flow], Awaitable[None] | None]


class OpenHooks:
    """Everybody may do everything, and nothing is served but what the proxy itself answers."""

    def authorize(self, request: Request, flow: Flow) -> Response | Standing:
        return Standing.OPEN

    async def serve(self, request: Request, flow: Flow, token: str) -> Response:
        return request.create_response(405 if request.method == "REGISTER" else 404)


class UriResolver:
    """Takes URIs at their word: host, port and transport, without DNS but for the host's address."""

    async def resolve(self, uri: SipUri) -> Sequence[Target]:
        return (target_of(uri),)


class ProxyServer:
    """A proxy on the network. start() it, and close() it; both are what `async with` does.

    `location` finds the users of `domains`, `resolver` the servers of all else, and `response_locator`
    senders whose connection is gone (RFC 3263 5; None: by their address alone). A listener with a wildcard address
    needs a name to be `advertised`. `tls_client` is used for outgoing TLS; without it there is none. Who proves a name
    of `trust_domain` by its certificate may assert identities (RFC 3325); of nobody else they are passed on.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        domains: frozenset[str],
        location: TargetSource,
        resolver: Resolver | None = None,
        response_locator: Locator | None = None,
        hooks: ProxyHooks | None = None,
        aliases: frozenset[str] = frozenset(),
        settings: ProxySettings | None = None,
        limits: LoadLimits | None = None,
        message_limits: Limits = DEFAULT_LIMITS,
        timers: Timers = DEFAULT_TIMERS,
        tls_client: ssl.SSLContext | None = None,
        allow_wildcards: bool = False,
        secret: bytes | None = None,
        trust_domain: frozenset[str] = frozenset(),
        name: str = "securertc",
        observer: Observer | None = None,
        websocket: WebSocketSettings | None = None,
    ) -> None:
        self._listeners = listeners
        self._domains = domains
        self._aliases = aliases
        self._location = location
        self._resolver = resolver or UriResolver()
        self._response_locator = response_locator
        self._hooks = hooks or OpenHooks()
        self._settings = settings
        self._limits = limits or LoadLimits()
        self._timers = timers
        self._secret = secret or secrets.token_bytes(32)
        self._name = name
        self._trust_domain = trust_domain
        self._observer = observer
        self._transports = TransportLayer(
            received=self._received,
            malformed=self._answer_malformed,
            lost=self._flow_lost,
            tls_client=tls_client,
            allow_wildcards=allow_wildcards,
            limits=message_limits,
            max_connections=self._limits.connections,
            max_source_connections=self._limits.source_connections,
            connection_bytes=self._limits.connection_bytes,
            source_connection_bytes=self._limits.source_connection_bytes,
            first_message=self._limits.first_message,
            websocket=websocket,
        )
        self.tokens = FlowTokens(self._transports, self._secret)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False
        self.proxy: Proxy

    def replace_tls(self, *, client: ssl.SSLContext, server: ssl.SSLContext) -> None:
        """Has new connections use other TLS contexts, both ways; those that stand go on."""
        self._transports.replace_tls(client=client, server=server)

    @property
    def connections(self) -> int:
        """How many TCP and TLS connections are open."""
        return self._transports.connections

    @property
    def max_connections(self) -> int:
        """How many connections there may be, by the limits and the process's descriptors."""
        return self._transports.max_connections

    @property
    def questions(self) -> int:
        """How many questions to location service, resolver and network are open."""
        return len(self._tasks)

    @property
    def listening(self) -> list[LocalAddress]:
        """The addresses listened on."""
        return self._transports.listening

    async def start(self) -> None:
        """Listens on all addresses; raises OSError as bind() does, and TransportError for what cannot be served."""
        addresses = []
        for one in self._listeners:
            local = await self._transports.listen(one.transport, one.host, one.port, tls=one.tls)
            if one.advertised is None and local.host in WILDCARDS:
                raise TransportError(f"listening on {local.host} needs a name that others reach it by")
            addresses.append(ListenAddress(one.transport, one.advertised or local.host, local.port))
        own = {one.host for one in self._transports.listening if one.host not in WILDCARDS}
        identity = ProxyIdentity(tuple(addresses), self._domains, self._aliases | own, self._secret)
        self.proxy = Proxy(
            identity,
            settings=self._settings,
            limits=self._limits,
            timers=self._timers,
            authorize=self._authorize,  # type: ignore[arg-type]  # all our ways are flows
            token_of=self.tokens.token_of,  # type: ignore[arg-type]
            trusts=self._trusts,  # type: ignore[arg-type]
        )
        self._watch = self._loop.call_later(_LAG_INTERVAL, self._measure_lag, self._loop.time() + _LAG_INTERVAL)

    def _authorize(self, request: Request, flow: Flow) -> Response | Standing:
        """What the hook says; a request that it fails on, or says neither of, may not pass."""
        try:
            found: object = self._hooks.authorize(request, flow)
            if found is None:  # a hook that knows of nothing against it has not said who it is
                return Standing.STRANGER
            if not isinstance(found, Response | Standing):
                raise TypeError(f"authorize() returned a {type(found).__name__}, no Response and no Standing")
            return found
        except SipParseError:
            raise
        except Exception as error:
            self._report(error)
            return request.create_response(500)

    async def close(self) -> None:
        """Ends everything at once."""
        self._closed = True
        for handle in (self._timer, self._watch):
            if handle is not None:
                handle.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transports.close()

    async def __aenter__(self) -> ProxyServer:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _trusts(self, flow: Flow) -> bool:
        return any(flow.proves(name) for name in self._trust_domain)

    # What comes in.

    def _received(self, message: Message, flow: Flow) -> None:
        if self._closed:
            return
        now = self._loop.time()
        if isinstance(message, Request):
            self._carry_out(self.proxy.receive_request(message, flow, now))
        else:
            self._carry_out(self.proxy.receive_response(message, now, flow))

    def _flow_lost(self, flow: Flow) -> None:
        self.tokens.forget(flow)
        if not self._closed:
            self._carry_out(self.proxy.flow_lost(flow, self._loop.time()))

    def _answer_malformed(self, error: SipParseError, flow: Flow) -> None:
        """A request that cannot be parsed gets its 4xx without a transaction, if it can be answered at all."""
        request = error.request
        if request is None or self._closed:
            return
        try:
            via = add_received(request.top_via, *flow.remote)
            response = request.create_response(error.status, error.reason if error.status == 400 else None)
        except SipParseError:
            return
        data = response.serialize()
        if flow.reliable:
            self._send(SendData(flow, data))
        elif Allowance(size_of(request)).admits(len(data)):
            self._send(SendData(flow, data, response_address(via)))

    # What goes out.

    def _carry_out(self, events: list[Event]) -> None:
        queue = deque(events)
        now = self._loop.time()
        while queue:
            event = queue.popleft()
            kind = type(event)
            if kind is SendData:
                assert isinstance(event, SendData)
                if not self._send(event) and event.sender is not None:
                    queue += self.proxy.send_failed(event.sender, now)
            else:
                queue += self._answer(event, now)
        self._set_timer()

    def _answer(self, event: Event, now: float) -> list[Event]:
        """Answers an event at once where that can be done; a task does the others."""
        if isinstance(event, Resolve):
            if is_numeric(event.uri.parameter("maddr") or event.uri.host):
                try:
                    return self.proxy.resolved(event.branch, (target_of(event.uri),), now)
                except TransportError:
                    return self.proxy.resolved(event.branch, (), now)
            self._ask(self._resolve(event))
        elif isinstance(event, Connect):
            flow = self._flow_at_hand(event.hop)
            if flow is not None:
                return self.proxy.connected(event.branch, flow, now)
            self._ask(self._connect(event))
        elif isinstance(event, UseFlow):
            flow = self.tokens.flow_of(event.token)
            if flow is None:
                return self.proxy.unreachable(event.branch, now)
            return self.proxy.connected(event.branch, flow, now)
        elif isinstance(event, Locate):
            self._ask(self._locate(event))
        elif isinstance(event, Serve):
            self._ask(self._serve(event))
        elif isinstance(event, Distrust):
            assert isinstance(event.flow, Flow)
            event.flow.distrust(event.since)
        return []

    def _flow_at_hand(self, hop: Target) -> Flow | None:
        if hop.transport == "udp":
            return self._transports.udp_flow((hop.host, hop.port)) if is_numeric(hop.host) else None
        return self._transports.open_flow(hop)

    def _send(self, event: SendData) -> bool:
        """Sends; False when that failed for sure."""
        flow = event.flow
        assert isinstance(flow, Flow)
        if self._observer is not None:
            call_back(self._keep, self._observer, event.data, flow)
        if event.address is not None and (not flow.reliable or flow.closed):
            return self._send_elsewhere(event, flow)
        try:
            flow.send(event.data)
        except TransportError:
            return False
        return True

    def _send_elsewhere(self, event: SendData, flow: Flow) -> bool:
        if flow.reliable:
            self._ask(self._send_anew(event))
            return True
        host, port = event.address or flow.remote
        if not is_numeric(host):
            return False  # only maddr can be a name here, and is looked up for nobody
        way = self._transports.udp_flow((host.strip("[]"), port))
        try:
            if way is not None:
                way.send(event.data)
        except TransportError:
            return False
        return way is not None

    # The questions that take time.

    def _ask(self, question: Coroutine[Any, Any, None]) -> None:
        self._keep(self._loop.create_task(question))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _locate(self, event: Locate) -> None:
        context = event.context
        try:
            targets = await self._location.targets(event.uri, context.request)
        except Exception as error:
            self._report(error)
            self._carry_out(self.proxy.location_failed(context, self._loop.time()))
            return
        self._carry_out(self.proxy.located(context, targets, self._loop.time()))

    async def _resolve(self, event: Resolve) -> None:
        try:
            hops = await self._resolver.resolve(event.uri)
        except Exception as error:
            self._report(error)
            hops = ()
        self._carry_out(self.proxy.resolved(event.branch, hops, self._loop.time()))

    async def _connect(self, event: Connect) -> None:
        try:
            flow = await self._transports.flow_to(event.hop)
        except TransportError:
            self._carry_out(self.proxy.unreachable(event.branch, self._loop.time()))
            return
        self._carry_out(self.proxy.connected(event.branch, flow, self._loop.time()))

    async def _serve(self, event: Serve) -> None:
        flow = event.exchange.flow
        assert isinstance(flow, Flow)
        try:
            response = await self._hooks.serve(event.request, flow, self.tokens.token_of(flow))
        except Exception as error:
            self._report(error)
            response = event.request.create_response(500)
        self._carry_out(self.proxy.respond(event.exchange, response, self._loop.time()))

    def _report(self, error: Exception) -> None:
        """Whatever goes wrong in what was asked, the request is answered; only what should not happen is shown."""
        if not isinstance(error, SipError):
            self._loop.call_exception_handler({"message": "a question of the proxy failed", "exception": error})

    async def _send_anew(self, event: SendData) -> None:
        """A response whose connection is closed goes over a new one (18.2.2, RFC 3263 5)."""
        try:
            response = parse_message(event.data)
            assert isinstance(response, Response)
            flow, sender = event.flow, event.sender
            assert isinstance(flow, Flow)
            known = (isinstance(sender, ServerExchange) and sender.known) or flow.proves(response.top_via.host)
            way = await flow_for_response(self._transports, self._response_locator, response, known=known)
            way.send(event.data)
        except SipError:
            return

    # Time.

    def _set_timer(self) -> None:
        due = self.proxy.next_timer()
        if due is None or (self._timer is not None and self._timer_at <= due):
            return
        due = max(due, self._loop.time() + _TICK)
        if self._timer is not None:
            if self._timer_at <= due:
                return  # or it would be put off by every message, and never come to its turn
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_at(self._timer_at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._carry_out(self.proxy.handle_timer(self._loop.time()))

    def _measure_lag(self, due: float) -> None:
        """How late the loop runs tells better than any count whether there is too much to do."""
        now = self._loop.time()
        self.proxy.admission.lag = now - due
        self._watch = self._loop.call_at(now + _LAG_INTERVAL, self._measure_lag, now + _LAG_INTERVAL)
