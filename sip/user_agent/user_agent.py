"""The edge of the SIP layer: one user agent on asyncio, gluing transactions and dialogs to transports."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Awaitable, Callable

from ..callbacks import call_back
from ..dialog.dialog import DialogId, request_dialog_id
from ..dialog.session_timer import SessionTimerPolicy
from ..digest.client import DigestClient
from ..digest.server import DigestServer, Verdict
from ..discovery.locator import Locator
from ..discovery.target import add_received, next_hop, target_of, transport_name, transport_parameter
from ..discovery.target_health import TargetHealth
from ..errors import DialogError, SipError, SipParseError, TransportError
from ..message.grammar import Parameters
from ..message.header_values import CSeq, NameAddr
from ..message.message import Message, Request, Response, new_branch
from ..message.parser import DEFAULT_LIMITS, Limits
from ..message.uri import SipUri
from ..registrar.location_service import LocationService
from ..registrar.registrar import SUPPORTED as REGISTER_EXTENSIONS
from ..transaction.amplification import Allowance, size_of
from ..transaction.client import ClientTransaction
from ..transaction.load_limits import USER_AGENT_LIMITS, Admission, LoadLimits, kept_by
from ..transaction.server import ServerTransaction, server_key
from ..transaction.timers import DEFAULT_TIMERS, Timers
from ..transport.failover import Failover, is_large
from ..transport.layer import WILDCARDS, Flow, LocalAddress, TransportLayer, local_host_of, via_host
from ..transport.websocket_settings import WebSocketSettings
from .capabilities import METHODS, OPTION_TAGS, SESSION_BODIES, allow, body_types, supported
from .early_dialogs import CallerEarlyDialog
from .exchange import ClientExchange, ServerExchange
from .invite import IncomingInvite, OutgoingInvite
from .invite_dialog import InviteDialog
from .registration import route_to
from .request_validation import refuse_request
from .session_refresh import refusal_by
from .subscriptions import EventServer, Publication, Subscription
from .transactions import UserAgentTransactions

DEFAULT_SESSION_TIMERS = SessionTimerPolicy()
_NEVER_CHALLENGED = frozenset(("ACK", "CANCEL"))

_log = logging.getLogger(__name__)

Answer = Callable[[Request], Response | Awaitable[Response]]


class UserAgent(UserAgentTransactions):
    """Sends and answers requests on the addresses it listens on.

    `on_invite` gets every new INVITE that passed validation and, with an `authenticator`, Digest;
    `on_request` answers the methods of `extra_methods` (both may be coroutine functions; an exception in one is logged
    and answers 500), `registrar` REGISTERs of users that the `authenticator` has
    proven, `events` SUBSCRIBEs (RFC 6665). `digest` answers challenges of the realms it has
    credentials for. `outbound_proxy` is a Route that all requests outside dialogs start with; when its host is
    an address, `;maddr` may carry it beside the name that TLS must prove. A `locator` finds targets by DNS
    (RFC 3263); without it URIs say transport and port, and names are resolved to addresses alone. `limits` bound what
    others can make it keep, `message_limits` what one message may be.
    """

    def __init__(
        self,
        *,
        on_invite: Callable[[IncomingInvite], Awaitable[None] | None] | None = None,
        on_request: Answer | None = None,
        extra_methods: frozenset[str] = frozenset(),
        digest: DigestClient | None = None,
        authenticator: DigestServer | None = None,
        registrar: LocationService | None = None,
        outbound_proxy: SipUri | None = None,
        locator: Locator | None = None,
        tls_client: ssl.SSLContext | None = None,
        allow_wildcards: bool = False,
        timers: Timers = DEFAULT_TIMERS,
        session_timers: SessionTimerPolicy | None = DEFAULT_SESSION_TIMERS,
        events: EventServer | None = None,
        name: str = "securertc",
        websocket: WebSocketSettings | None = None,
        limits: LoadLimits = USER_AGENT_LIMITS,
        message_limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.on_invite = on_invite
        self._on_request = on_request
        self._registrar = registrar
        self._allowed = METHODS | extra_methods | (frozenset() if registrar is None else {"REGISTER"})
        self._allowed |= frozenset() if events is None else {"SUBSCRIBE"}
        self.digest = digest
        self._authenticator = authenticator
        self.outbound_proxy = outbound_proxy
        self.timers = timers
        self.session_timers = session_timers
        self._events = events
        self._locator = locator
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._transports = TransportLayer(
            received=self._received,
            malformed=self._answer_malformed,
            lost=self._flow_lost,
            tls_client=tls_client,
            allow_wildcards=allow_wildcards,
            limits=message_limits,
            max_connections=limits.connections,
            max_source_connections=limits.source_connections,
            connection_bytes=limits.connection_bytes,
            source_connection_bytes=limits.source_connection_bytes,
            first_message=limits.first_message,
            websocket=websocket,
        )
        # The flows that registrations are kept over, by transport and remote end (RFC 5626), and who hears their STUN.
        self.kept: set[tuple[str, tuple[str, int]]] = set()
        self.stun_keepers = self._transports.stun_keepers
        # The host of who can only be reached by a connection that he opened himself (RFC 7118 8.1).
        self._no_host = f"{secrets.token_hex(6)}.invalid"
        self._health = TargetHealth(self._loop.time)
        self._clients: dict[tuple[str, str], ClientExchange] = {}
        self._servers: dict[tuple[str, ...], ServerExchange] = {}
        # Which server transactions are one too many; new calls are shed before what belongs to calls.
        self.admission = Admission(limits)
        self._origins: dict[tuple[str, str | None, CSeq], ServerExchange] = {}
        self.dialogs: dict[DialogId, InviteDialog] = {}
        self.on_flow_lost: set[Callable[[Flow], None]] = set()  # hear of each connection that ended
        self.subscriptions: dict[DialogId, Subscription | Publication] = {}
        self.early_dialogs: dict[DialogId, CallerEarlyDialog | IncomingInvite] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._secret = secrets.token_bytes(16)
        self._closed = False

    # What is going on, for those who count that nothing is left behind.

    @property
    def active_transactions(self) -> int:
        """How many transactions are not terminated."""
        return len(self._clients) + len(self._servers)

    @property
    def active_dialogs(self) -> int:
        """How many dialogs are not ended."""
        return len(self.dialogs) + len(self.early_dialogs) + len(self.subscriptions)

    @property
    def connections(self) -> int:
        """How many TCP and TLS connections are open."""
        return self._transports.connections

    async def listen(
        self, transport: str, host: str, port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> LocalAddress:
        """Listens for requests; see TransportLayer.listen()."""
        return await self._transports.listen(transport, host, port, tls=tls)

    def replace_tls(self, *, client: ssl.SSLContext, server: ssl.SSLContext) -> None:
        """Has new connections use other TLS contexts, both ways; those that stand go on."""
        self._transports.replace_tls(client=client, server=server)

    def contact(self, transport: str, user: str | None, *, secure: bool = False, flow: Flow | None = None) -> NameAddr:
        """Returns our Contact for a transport: the address listened on, or else our end of the `flow` in use.

        Over the latter a peer or proxy reaches us as long as that connection stands. Raises TransportError when
        nothing listens on the transport and there is no flow of it, ValueError for a transport that there is not.
        """
        transport = transport_name(transport)
        local: tuple[str, int | None] | None = next(
            ((one.host, one.port) for one in self._transports.listening if one.transport == transport), None
        )
        if flow is not None and flow.transport == transport:
            local = self._sent_by(flow)
        if local is None:
            raise TransportError(f"nothing listens on {transport}")
        host = f"[{local[0]}]" if ":" in local[0] else local[0]
        parameters: Parameters = () if transport == "udp" else (("transport", transport_parameter(transport)),)
        if flow is not None and (flow.transport, flow.remote) in self.kept:
            parameters = (*parameters, ("ob", None))  # RFC 5626 4.3
        return NameAddr(SipUri("sips" if secure else "sip", host, user, None, local[1], parameters))

    async def close(self) -> None:
        """Ends everything at once: timers, dialogs (without BYE), connections and sockets."""
        self._closed = True
        for dialog in list(self.dialogs.values()):
            dialog.abandon()
        for other in (*self.early_dialogs.values(), *self.subscriptions.values()):
            other.abandon()
        for client in list(self._clients.values()):
            self._end_client(client)
            client.on_failure(TransportError("the user agent was closed"))
        for server in list(self._servers.values()):
            self._end_server(server)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._transports.close()

    # Sending requests.

    async def tries_for(self, request: Request) -> Failover:
        """Returns the targets of a request in the order to try them, found by DNS where there is a `locator`.

        Raises DiscoveryError when it finds none, and TransportError when a sips request would leave TLS.
        """
        return await self.tries_towards(next_hop(request), large=self._locator is not None and is_large(request))

    async def tries_towards(self, hop: SipUri, *, large: bool = False) -> Failover:
        """Returns the targets of a next hop's URI; see tries_for()."""
        if self._locator is None:
            found = [target_of(hop)]
        else:
            found = await self._locator.locate(hop, transports=self._transports.supported, large=large)
        return Failover(found, self._transports.flow_to, self._health)

    async def flow_for(self, request: Request) -> Flow:
        """Returns a flow for a request; raises TransportError when there is none."""
        return await (await self.tries_for(request)).flow(large=is_large(request))

    def start_request(
        self,
        request: Request,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failure: Callable[[SipError], None],
        *,
        branch: str | None = None,
    ) -> ClientExchange:
        """Sends a request over a flow in a transaction of its own; puts the Via on it.

        Raises TransportError for a sips request that would leave TLS (RFC 5630).
        """
        if isinstance(request.uri, SipUri) and request.uri.secure and not flow.secure:
            raise TransportError("a sips request goes by TLS only", target=via_host(flow.remote))
        transport = flow.transport.upper()
        via = f"SIP/2.0/{transport} {via_host(self._sent_by(flow))};branch={branch or new_branch()};rport"
        request.headers.prepend("Via", via)
        if "User-Agent" not in request.headers:
            request.headers.add("User-Agent", self._name)
        transaction = ClientTransaction(request, reliable=flow.reliable, timers=self.timers)
        exchange = ClientExchange(transaction, flow, on_response, on_failure)
        self._clients[transaction.key] = exchange
        self._do_client(exchange, transaction.start(self._loop.time()))
        return exchange

    def _sent_by(self, flow: Flow) -> tuple[str, int | None]:
        """Where responses shall come if the flow is gone: the address we listen on for its transport.

        A WebSocket client has none: browsers cannot be connected to.
        """
        for address in self._transports.listening:
            if address.transport == flow.transport and (":" in address.host) == (":" in flow.remote[0]):
                if address.host not in WILDCARDS:
                    return address.host, address.port
                return local_host_of(flow), address.port
        return (self._no_host, None) if flow.websocket else flow.local

    async def request(self, request: Request, *, flow: Flow | None = None, tries: Failover | None = None) -> Response:
        """Sends a request other than INVITE and returns its final response, after answering a challenge.

        It goes by `flow` as long as that stands, else to its targets, or `tries`, in turn until one answers. Raises
        TransportError, TransactionTimeoutError, or DigestError when the challenge cannot be answered, or the
        server's proof that it knows the secret is wrong.
        """
        self.add_outbound_route(request)
        if self.digest is not None:
            self.digest.anticipate(request)
        while True:
            large = is_large(request)
            if flow is None or flow.closed or (large and not flow.reliable):
                tries = tries or await self.tries_for(request)
                flow = await tries.flow(large=large)
            outcome, progress = await self._one_exchange(request, flow)
            if tries is not None and tries.goes_on_after(outcome, progress=progress):
                self.repeat(request)
                flow = None
                continue
            if isinstance(outcome, SipError):
                raise outcome
            if outcome.success and self.digest is not None:
                self.digest.verify(request, outcome)
            if outcome.status not in (401, 407) or self.digest is None:
                return outcome
            self.digest.authorize(request, outcome, source=flow.remote[0])
            self.renew(request)

    def add_outbound_route(self, request: Request) -> None:
        """Puts the outbound proxy's Route on a request outside any dialog that has none yet."""
        if self.outbound_proxy is not None and request.to.tag is None and "Route" not in request.headers:
            request.headers.add("Route", route_to(self.outbound_proxy))

    def repeat(self, request: Request) -> None:
        """Makes a request fit to be sent to another server: no Via of its last sending, no Digest answer once more."""
        request.headers.remove_first("Via")
        if self.digest is not None:
            self.digest.repeat(request)

    @staticmethod
    def renew(request: Request) -> None:
        """Makes a request fit to be sent once more: the next CSeq, and no Via of its last sending."""
        request.headers.remove_first("Via")
        request.headers.set("CSeq", str(CSeq(request.cseq.number + 1, request.method)))

    async def _one_exchange(self, request: Request, flow: Flow) -> tuple[Response | SipError, int]:
        """The final response or what went wrong, and the highest status of the provisional ones."""
        outcome: asyncio.Future[Response | SipError] = self._loop.create_future()

        def on_response(response: Response) -> None:
            if not response.provisional and not outcome.done():
                outcome.set_result(response)

        def on_failure(error: SipError) -> None:
            if not outcome.done():
                outcome.set_result(error)

        exchange = self.start_request(request, flow, on_response, on_failure)
        try:
            return await outcome, exchange.progress
        finally:
            if outcome.cancelled():
                self._end_client(exchange)

    def send_ack(self, ack: Request, flow: Flow) -> None:
        """Sends the ACK of a 2xx, which has no transaction; a flow that is gone is left to the peer's timers."""
        self.send_once(ack, flow)

    def send_once(self, request: Request, flow: Flow) -> None:
        """Sends a request without a transaction: once, whatever becomes of it."""
        if request.headers.get("Via") is None:
            transport = flow.transport.upper()
            request.headers.prepend(
                "Via", f"SIP/2.0/{transport} {via_host(self._sent_by(flow))};branch={new_branch()};rport"
            )
        try:
            flow.send(request.serialize())
        except TransportError:
            return

    # Receiving.

    def _received(self, message: Message, flow: Flow) -> None:
        if self._closed:
            return
        if isinstance(message, Response):
            self._received_response(message)
            return
        allowance = None if flow.reliable else Allowance(size_of(message))
        vias = message.vias
        top = add_received(vias[0], *flow.remote)
        message.headers.remove("Via")
        for via in (top, *vias[1:]):
            message.headers.add("Via", str(via))
        self._received_request(message, flow, allowance)

    def _received_response(self, response: Response) -> None:
        vias = response.vias
        exchange = self._clients.get((vias[0].branch or "", response.cseq.method)) if vias else None
        if exchange is None or len(vias) != 1:
            return  # 18.1.2 and 16.7: not ours
        self._do_client(exchange, exchange.transaction.receive(response, self._loop.time()))

    def _received_request(self, request: Request, flow: Flow, allowance: Allowance | None) -> None:
        now = self._loop.time()
        key = server_key(request)
        known = self._servers.get(key)
        if known is not None:
            if request.method != "ACK" and flow.remote[0] != known.flow.remote[0]:
                return  # nobody has anything sent to somebody else
            if known.allowance is not None and allowance is not None:
                known.allowance.add(allowance)
            self._do_server(known, known.transaction.receive(request, now))
            if request.method == "ACK":
                self._acknowledge(request, flow)
            return
        if request.method == "ACK":
            self._acknowledge(request, flow)
            return
        exchange = ServerExchange(ServerTransaction(request, reliable=flow.reliable, timers=self.timers), flow)
        exchange.allowance = allowance
        exchange.source, exchange.size = flow.remote[0], kept_by(request)
        refusal = self.admission.refuse(request, exchange.source, exchange.size)
        if refusal is not None:
            self._send_response(refusal, flow, allowance)
            return
        exchange.held = exchange.size
        self._servers[key] = exchange
        exchange.transaction.start(now)
        try:
            self._process(exchange, request)
        except SipParseError as error:
            self.respond(exchange, request.create_response(error.status, error.reason))
        except Exception:
            _log.exception("an error in answering a request")
            self._failed(exchange, request)
        if exchange.timer is None:
            self._do_server(exchange, [])

    def _acknowledge(self, ack: Request, flow: Flow) -> None:
        dialog = self.dialogs.get(request_dialog_id(ack))
        if dialog is not None:
            flow.prove()
            dialog.acknowledged(ack)

    def _process(self, exchange: ServerExchange, request: Request) -> None:
        registers = self._registrar is not None and request.method == "REGISTER"
        refusal = refuse_request(
            request,
            allowed=self._allowed,
            supported=REGISTER_EXTENSIONS if registers else OPTION_TAGS,
            body_types=body_types(request.method),
        )
        if refusal is None and request.method == "INVITE" and self.session_timers is not None:
            refusal = refusal_by(self.session_timers, request)
        if refusal is not None:
            self.respond(exchange, refusal)
        elif request.method == "CANCEL":
            self._cancel(exchange, request)
        elif request.to.tag is not None:
            self._process_in_dialog(exchange, request)
        elif self._is_merged(exchange, request):
            self.respond(exchange, request.create_response(482))
        elif self._admit(exchange, request):
            self._process_new(exchange, request)

    def _is_merged(self, exchange: ServerExchange, request: Request) -> bool:
        """8.2.2.2: the same request, arrived by another path."""
        exchange.origin = (request.call_id, request.from_.tag, request.cseq)
        return self._origins.setdefault(exchange.origin, exchange) is not exchange

    def _admit(self, exchange: ServerExchange, request: Request) -> bool:
        """Digest, where an authenticator is set; answers the request itself when it does not pass."""
        if self._authenticator is None or request.method in _NEVER_CHALLENGED:
            return True
        result = self._authenticator.check(request, source=exchange.flow.remote[0], datagram=not exchange.flow.reliable)
        if result.verdict is Verdict.ACCEPTED:
            exchange.authentication, exchange.ours, exchange.allowance = result, True, None
            exchange.flow.prove()
            return True
        self.respond(exchange, self._authenticator.refuse(request, result))
        return False

    def _process_new(self, exchange: ServerExchange, request: Request) -> None:
        if request.method == "INVITE":
            if self.on_invite is None:
                self.respond(exchange, request.create_response(480))
                return
            invite = exchange.invite = IncomingInvite(self, exchange, request)
            exchange.local_tag, exchange.ours = invite.local_tag, True
            call_back(self.spawn, self.on_invite, invite, failed=lambda: invite.give_up(500))
        elif request.method == "OPTIONS":
            self.respond(exchange, self._options(request))
        elif request.method in ("BYE", "NOTIFY"):
            self.respond(exchange, request.create_response(481))
        elif request.method == "SUBSCRIBE" and self._events is not None:
            self._events.subscribe(self, exchange, request)
        elif self._registrar is not None and request.method == "REGISTER":
            self.spawn(asyncio.ensure_future(self._register(exchange, request, self._registrar)))
        elif self._on_request is not None:
            exchange.ours = True
            self.answer_by(self._on_request, exchange, request)
        else:
            self.respond(exchange, request.create_response(405))

    def answer_by(self, answer: Answer, exchange: ServerExchange, request: Request) -> None:
        """Sends what a callback answers a request with; SipParseError has its own status, all else 500."""

        async def finish(answered: Awaitable[Response]) -> Response:
            try:
                return await answered
            except SipParseError as error:
                return request.create_response(error.status, error.reason)

        def ask() -> Response | Awaitable[Response]:
            try:
                found = answer(request)
            except SipParseError as error:
                return request.create_response(error.status, error.reason)
            return found if isinstance(found, Response) else finish(found)

        ask.__qualname__ = getattr(answer, "__qualname__", ask.__qualname__)
        call_back(
            self.spawn,
            ask,
            then=lambda response: self.respond(exchange, response),
            failed=lambda: self._failed(exchange, request),
        )

    def _failed(self, exchange: ServerExchange, request: Request) -> None:
        if not exchange.transaction.answered:
            self.respond(exchange, request.create_response(500))

    async def _register(self, exchange: ServerExchange, request: Request, registrar: LocationService) -> None:
        user = None if exchange.authenticated is None else exchange.authenticated[0]
        host, port = exchange.flow.remote
        try:
            response = await registrar.register(request, user=user, flow=f"{exchange.flow.transport}:{host}:{port}")
        except Exception:
            _log.exception("an error in answering a REGISTER")
            response = request.create_response(500)
        self.respond(exchange, response)

    def _process_in_dialog(self, exchange: ServerExchange, request: Request) -> None:
        id_ = request_dialog_id(request)
        dialog = self.dialogs.get(id_) or self.early_dialogs.get(id_) or self.subscriptions.get(id_)
        if dialog is None and (awaiting := self.subscriptions.get((*id_[:2], ""))) is not None:
            awaiting.receive(exchange, request)  # a NOTIFY before the 2xx to our SUBSCRIBE
            return
        if dialog is None or dialog.dialog is None:
            self.respond(exchange, request.create_response(481))
            return
        exchange.ours = True
        if isinstance(dialog, InviteDialog | IncomingInvite) and dialog.flow.remote == exchange.flow.remote:
            exchange.allowance = None  # nobody but who is there was told the tag
        try:
            dialog.dialog.receive_request(request)
        except DialogError as error:
            self.respond(exchange, request.create_response(error.status))
            return
        exchange.flow.prove()  # by the tags of the dialog
        if request.method == "OPTIONS":
            self.respond(exchange, self._options(request))
        else:
            dialog.receive(exchange, request)

    def _options(self, request: Request) -> Response:
        response = request.create_response(200)
        response.headers.add("Allow", allow(self._allowed))
        response.headers.add("Accept", ", ".join(sorted(SESSION_BODIES)))
        response.headers.add("Supported", supported())
        return response

    def _cancel(self, exchange: ServerExchange, request: Request) -> None:
        """9.2: the CANCEL has the branch of its INVITE."""
        key = server_key(request)
        invite = self._servers.get((*key[:-1], "INVITE"))
        if invite is None or invite.local_tag is None:
            self.respond(exchange, request.create_response(481))
            return
        self.respond(exchange, request.create_response(200, to_tag=invite.local_tag))
        if invite.invite is not None:
            invite.invite.cancel()

    def _answer_malformed(self, error: SipParseError, flow: Flow) -> None:
        """A request that cannot be parsed gets its 4xx without a transaction, if it can be answered at all."""
        request = error.request
        if request is None or self._closed:
            return
        allowance = None if flow.reliable else Allowance(size_of(request))
        vias = request.vias
        request.headers.remove("Via")
        for via in (add_received(vias[0], *flow.remote), *vias[1:]):
            request.headers.add("Via", str(via))
        reason = error.reason if error.status == 400 else None
        try:
            response = request.create_response(error.status, reason)
            self._send_response(response, flow, allowance)
        except SipParseError:
            return

    def _flow_lost(self, flow: Flow) -> None:
        for client in [one for one in self._clients.values() if one.flow is flow]:
            if client.transaction.request.method != "INVITE" or client.transaction.state.value != "accepted":
                self._end_client(client)
                client.on_failure(TransportError("the connection was lost", target=via_host(flow.remote)))
        if not self._closed:
            for hear in list(self.on_flow_lost):
                call_back(self.spawn, hear, flow)

    def invite(self, request: Request, *, tries: Failover | None = None) -> OutgoingInvite:
        """Returns the call that an INVITE makes, to `tries` where they are known; nothing is sent before its run()."""
        return OutgoingInvite(self, request, tries=tries)
