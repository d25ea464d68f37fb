"""A transaction-stateful proxy (RFC 3261 16), sans-IO: messages, answers and the time in, events out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..discovery.target import MAX_UDP_REQUEST, Target, add_received, secured
from ..discovery.target_health import TargetHealth, retry_after
from ..errors import SipParseError
from ..message.header_values import Via
from ..message.host_names import same_host
from ..message.message import Request, Response
from ..message.uri import SipUri, Uri
from ..source import source_of
from ..transaction.amplification import Allowance, size_of
from ..transaction.client import ClientTransaction, client_key
from ..transaction.load_limits import HeldBytes, LoadLimits, kept_by
from ..transaction.server import ServerState, ServerTransaction, server_key
from ..transaction.timers import DEFAULT_TIMERS, Timers
from .asserted_identity import Trusts, give_out_identity, take_in_identity
from .dialog_tokens import DialogTokens
from .events import Connect, Event, Locate, ProxyTarget, Resolve, SendData, Serve, UseFlow, Way
from .exchange import ClientExchange, ServerExchange, trying_delay
from .own_names import ProxyIdentity
from .passage import NO_PROOF, RouteProof, flows_alone, is_among, secure_ways, token_maker
from .record_route import alias_of, recorded_path, recorded_routes, records
from .response_context import Action, Branch, CancelBranch, Forward, ResponseContext, Start
from .routing import (
    asks_for_flow,
    forwarded_copy,
    next_routes,
    replace_values,
    return_address,
    take_in_routes,
    without_top_via,
)
from .settings import ProxySettings
from .standing import Standing
from .transactions import ProxyTransactions
from .validation import branch_with, incoming_breadth, loop_part, options_response, refuse_forwarding

# What comes to nothing by one flow or hop, and may by another (RFC 3263 4.3, RFC 5626 5.3).
_HOP_FAILED, _FLOW_FAILED = 503, 430
# Bytes that an ACK costs beside itself while it is on its way.
_ON_ITS_WAY = 2048
# Who may reach everybody; a hook that says nothing knows a stranger.
_UNBOUND = (Standing.OPEN, Standing.USER)
_TAG = 16  # characters of the To tag of a response without a transaction


# A request and the flow it came by, to the response that refuses it, or what is known of who sent it.
Authorize = Callable[[Request, Way], Response | Standing]
# A flow to the token that names it, or None where it cannot be found again.
TokenOf = Callable[[Way], str | None]


class Proxy(ProxyTransactions):
    """Forwards requests and responses.

    Feed it by receive_request(), receive_response(), handle_timer() and the answers to its events; each returns
    events for the edge to carry out, in order. `now` is seconds of any steady clock. `authorize` is asked for every
    request but CANCEL, and an ACK that it refuses is dropped; without it the proxy relays for everybody. `token_of`
    names the connections that dialogs are to be held to. Who `trusts` does not name cannot assert an identity
    (RFC 3325); by default that is everybody.

    What a stranger sends goes to contacts of our users, or within a dialog to its other end; the next hop is judged.
    """

    def __init__(
        self,
        identity: ProxyIdentity,
        *,
        settings: ProxySettings | None = None,
        limits: LoadLimits | None = None,
        timers: Timers = DEFAULT_TIMERS,
        authorize: Authorize | None = None,
        token_of: TokenOf | None = None,
        trusts: Trusts | None = None,
    ) -> None:
        super().__init__(limits or LoadLimits(), timers)
        self.identity = identity
        self.settings = settings or ProxySettings()
        self._trying_delay = trying_delay(timers)
        self._authorize = authorize or _relay
        self._tokens = DialogTokens(identity.secret)
        self._token_of = token_of or (lambda flow: None)
        self._trusts = trusts or (lambda flow: False)
        self._contexts: set[ResponseContext] = set()
        # ACKs have no transaction: what is kept of each on its way, and for whom. They relieve, and so are not counted
        # among the others, of whose bytes they have an eighth of their own.
        self._acks: dict[ResponseContext, tuple[str, int]] = {}
        held = self.admission.held
        self.held_acks = HeldBytes(held.most // 8, held.most_of_source // 8)
        self._now = 0.0
        self._health = TargetHealth(lambda: self._now)

    # What is going on, for those who count that nothing is left behind.

    @property
    def active_contexts(self) -> int:
        """How many requests are being forwarded."""
        return len(self._contexts)

    # What comes in.

    def receive_request(self, request: Request, flow: Way, now: float) -> list[Event]:
        """Takes a request that came by a flow; its header fields are changed.

        Raises SipParseError for one without the header fields that the parser asks for.
        """
        via = request.top_via
        key = server_key(request, via)
        exchange = self._servers.get(key)
        try:
            if exchange is not None and not self._passes_on_ack(request, exchange):
                if request.method != "ACK" and flow.remote[0] != exchange.flow.remote[0]:
                    return self._take_events()  # nobody has anything sent to somebody else
                if exchange.allowance is not None:
                    exchange.allowance.add(Allowance(size_of(request)))
                self._do_server(exchange, exchange.transaction.receive(request, now), now)
            else:
                self._take_new(request, via, key, flow, now)
        except SipParseError as error:
            exchange = self._servers.get(key)
            if exchange is not None and request.method != "ACK":
                self._respond(exchange, request.create_response(error.status), now)
        return self._take_events()

    def receive_response(self, response: Response, now: float, flow: Way | None = None) -> list[Event]:
        """Takes a response that came by a flow; one of no transaction of ours is dropped (RFC 6026 7.3)."""
        exchange = self._clients.get(client_key(response))
        if exchange is not None:
            if take_in_identity(response.headers, flow, self._trusts):
                upstream = exchange.upstream if exchange.branch is None else exchange.branch.context.server
                if upstream is not None:
                    give_out_identity(response.headers, upstream.flow, self._trusts)
            self._do_client(exchange, exchange.transaction.receive(response, now), now)
        return self._take_events()

    # The answers to events.

    def located(self, context: ResponseContext, targets: Sequence[ProxyTarget] | None, now: float) -> list[Event]:
        """Takes the answer to Locate: targets, none (480), or None for an address that does not exist (404)."""
        if context.stopped:
            return []
        candidate, context.candidate = context.candidate, None
        if candidate is not None:
            known = is_among(candidate, targets or ())
            actions = context.add_targets((candidate,)) if known else context.refuse(403)
            self._do_actions(context, actions, now)
            return self._take_events()
        context.located = True
        if context.secure and targets is not None:
            targets = secure_ways(targets)
        if targets is None:
            actions = context.refuse(404)
        elif context.flows_only and targets and not (targets := flows_alone(targets)):
            actions = context.refuse(403)
        elif context.server is None:
            # An ACK has one place to go to.
            actions = context.add_targets(sorted(targets, key=lambda one: -one.q)[:1])
        else:
            actions = context.add_targets(targets)
        self._do_actions(context, actions, now)
        return self._take_events()

    def location_failed(self, context: ResponseContext, now: float) -> list[Event]:
        """Takes it that Locate came to no answer: 500."""
        self._do_actions(context, context.refuse(500), now)
        return self._take_events()

    def resolved(self, branch: Branch, hops: Sequence[Target], now: float) -> list[Event]:
        """Takes the answer to Resolve: the hops in order of trial; without any the branch fails (RFC 3263: 503)."""
        if not branch.finished:
            self._now = now
            branch.hops = tuple(self._health.order(hops))
            branch.failure = _HOP_FAILED
            self._try_next_hop(branch, now)
        return self._take_events()

    def connected(self, branch: Branch, flow: Way, now: float) -> list[Event]:
        """Takes the answer to Connect or UseFlow: the flow to send by."""
        if not branch.finished:
            try:
                self._forward(branch, flow, now)
            except SipParseError as error:
                self._branch_failed(branch, error.status, now)
        return self._take_events()

    def unreachable(self, branch: Branch, now: float) -> list[Event]:
        """Takes it that there is no flow for Connect or UseFlow."""
        if not branch.finished:
            self._blame(branch, now)
            self._hop_failed(branch, _HOP_FAILED, now)
        return self._take_events()

    def respond(self, exchange: ServerExchange, response: Response, now: float) -> list[Event]:
        """Sends the response to a Serve."""
        self._respond(exchange, response, now)
        return self._take_events()

    def send_failed(self, sender: object, now: float) -> list[Event]:
        """Takes it that a SendData with this sender could not be sent (16.9)."""
        if isinstance(sender, ClientExchange) and not sender.transaction.terminated:
            sender.transaction.transport_failed()
            self._client_failed(sender, _HOP_FAILED, now)
        # A response that cannot be sent is dropped: the client repeats its request, or gives up.
        return self._take_events()

    def flow_lost(self, flow: Way, now: float) -> list[Event]:
        """Takes it that a connection ended: what waits for a final response on it fails at once."""
        for exchange in list(self._by_flow.get(flow, ())):
            if exchange.transaction.waiting:
                exchange.transaction.transport_failed()
                self._client_failed(exchange, _HOP_FAILED, now)
        return self._take_events()

    # Requests.

    @staticmethod
    def _passes_on_ack(request: Request, exchange: ServerExchange) -> bool:
        """Whether it is the ACK of a 2xx that has its INVITE's branch, as old clients send it (RFC 6026 7.1)."""
        return request.method == "ACK" and exchange.transaction.state is ServerState.ACCEPTED

    def _take_new(self, request: Request, via: Via, key: tuple[str, ...], flow: Way, now: float) -> None:
        size = 0 if flow.reliable else size_of(request)
        noted = add_received(via, *flow.remote)
        if noted is not via:
            values = request.vias[1:]
            replace_values(request.headers, "Via", [str(noted), *map(str, values)])
        address = return_address(noted, flow)
        if request.method == "CANCEL":
            self._cancel(request, key, flow, address, now)
            return
        exchange = None
        if request.method != "ACK":
            exchange = self._admit(request, key, flow, address, now)
            if exchange is None:
                return
            exchange.allowance = None if flow.reliable else Allowance(size)
        elif self._is_refused(request, key):
            return  # of a refusal that we keep nothing of
        else:
            self._note_ack(request, flow)
        part = loop_part(request, self.identity)
        found = refuse_forwarding(request, self.identity, part, understood=self.settings.proxy_require)
        standing = self._authorize(request, flow) if found is None else found
        if isinstance(standing, Response):
            if exchange is not None:
                if request.to.tag is not None:
                    proof = RouteProof(take_in_routes(request, self.identity), request, self._tokens)
                    if proof.source_proven(flow):
                        exchange.known, exchange.allowance = True, None
                self._respond(exchange, standing, now)
            return
        context = ResponseContext(request, exchange, incoming_breadth(request), part)
        context.asserted = take_in_identity(request.headers, flow, self._trusts)
        context.standing = standing
        taken = take_in_routes(request, self.identity)
        proof = RouteProof(taken, request, self._tokens) if any(taken.tokens) else NO_PROOF
        uri = request.uri
        context.secure = taken.secure or (isinstance(uri, SipUri) and uri.secure)
        if exchange is not None:
            exchange.context = context
            if standing is Standing.USER or proof.source_proven(flow):
                exchange.known, exchange.allowance = True, None
            by_flow = flow.reliable or not same_host(via.host, flow.remote[0]) or asks_for_flow(request)
            if by_flow and len(request.vias) == 1:
                context.inbound_token = self._token_of(flow)
        elif not self._take_ack(context, flow.remote[0]):
            return
        token = proof.flow
        if token is not None and token == self._token_of(flow):
            token = None
        self._find_targets(context, proof, token, flow, now, held=taken.held)
        if exchange is not None and not exchange.transaction.terminated:
            self._clock.schedule(exchange, now)

    def _is_refused(self, ack: Request, key: tuple[str, ...]) -> bool:
        """Whether an ACK is of a refusal that was sent without a transaction, by its To tag."""
        to = ack.headers.get("To") or ""
        return to[-_TAG - 1 : -_TAG] == "=" and to.endswith(self._stateless_tag(key))

    def _stateless_tag(self, key: tuple[str, ...]) -> str:
        return self.identity.seal("\n".join(key))

    def _admit(
        self, request: Request, key: tuple[str, ...], flow: Way, address: tuple[str, int] | None, now: float
    ) -> ServerExchange | None:
        """Makes the server transaction; None after answering one too many, without keeping anything."""
        source = source_of(flow.remote[0])
        held = kept_by(request)
        refusal = self.admission.refuse(request, source, held)
        if refusal is not None:
            self._events.append(SendData(flow, refusal.serialize(), address))
            return None
        transaction = ServerTransaction(request, reliable=flow.reliable, timers=self._timers, key=key)
        exchange = self._servers[key] = ServerExchange(transaction, flow, address, source)
        exchange.held = held
        transaction.start(now)
        return exchange

    def _cancel(
        self, request: Request, key: tuple[str, ...], flow: Way, address: tuple[str, int] | None, now: float
    ) -> None:
        """16.10. Answered without a transaction, so that nobody can make us keep anything by CANCEL.

        One that belongs to nothing is not forwarded: we never forward statelessly, so that what we would send could
        match nothing downstream.
        """
        invite = self._servers.get((*key[:-1], "INVITE"))
        response = request.create_response(481 if invite is None else 200, to_tag=self._stateless_tag(key))
        self._events.append(SendData(flow, response.serialize(), address))
        if invite is not None and invite.context is not None:
            self._do_actions(invite.context, invite.context.cancel(), now)

    def _find_targets(
        self, context: ResponseContext, proof: RouteProof, token: str | None, flow: Way, now: float, *, held: bool
    ) -> None:
        """16.5; a request that is `held` to a registered flow has no other way (RFC 5626 5.3.1)."""
        request, uri = context.request, context.request.uri
        passes = (
            context.standing in _UNBOUND or proof.leads_to(request, uri) or proof.passes_for_user(request, uri, flow)
        )
        self._contexts.add(context)
        if not isinstance(uri, SipUri):
            self._do_actions(context, context.refuse(416), now)
        elif uri.parameter("maddr") is not None or not self.identity.serves(uri):
            target = ProxyTarget(uri, flow=token, flow_failure=_FLOW_FAILED if held or not passes else None)
            if passes or token is not None:
                self._do_actions(context, context.add_targets((target,)), now)
            else:
                self._look_up_end(context, proof, target, now)
        elif uri.user is not None and request.method != "REGISTER":
            context.flows_only = not passes and "Route" in request.headers
            self._events.append(Locate(context, uri))
        elif "Route" in request.headers:
            actions = context.add_targets((ProxyTarget(uri),)) if passes else context.refuse(403)
            self._do_actions(context, actions, now)
        else:
            self._forget(context)
            self._serve(context, now)

    def _look_up_end(self, context: ResponseContext, proof: RouteProof, target: ProxyTarget, now: float) -> None:
        """A user of ours may have moved since the dialog was made: what he has registered now is as good."""
        request = context.request
        address = request.to.uri
        if (
            proof.receiver_ours
            and "Route" not in request.headers
            and isinstance(address, SipUri)
            and address.user is not None
            and self.identity.serves(address)
        ):
            context.candidate = target
            self._events.append(Locate(context, address))
        else:
            self._do_actions(context, context.refuse(403), now)

    def _serve(self, context: ResponseContext, now: float) -> None:
        """A request for this server itself."""
        exchange, request = context.server, context.request
        if exchange is None:
            return
        exchange.context = None
        if request.method == "OPTIONS":
            self._respond(exchange, options_response(request), now)
        else:
            self._events.append(Serve(exchange, request))

    def _take_ack(self, context: ResponseContext, source: str) -> bool:
        """Counts an ACK until it is sent on; False when it is one too many, which is as if it had been lost."""
        source, held = source_of(source), kept_by(context.request) + _ON_ITS_WAY
        self.held_acks.change(source, held)
        if self.held_acks.over(source):
            self.held_acks.change(source, -held)
            return False
        self._acks[context] = source, held
        return True

    def _forget(self, context: ResponseContext) -> None:
        self._contexts.discard(context)
        if context in self._acks:
            source, held = self._acks.pop(context)
            self.held_acks.change(source, -held)

    # Branches.

    def _start(self, branch: Branch, now: float) -> None:
        """Looks for the hops of a branch (16.6 step 7)."""
        request, target = branch.context.request, branch.target
        if target.flow is not None:
            self._events.append(UseFlow(branch, target.flow))
            return
        try:
            _, _, hop = next_routes(request, target.uri, target.path)
        except SipParseError as error:
            self._branch_failed(branch, error.status, now)
            return
        if not isinstance(hop, SipUri):
            self._branch_failed(branch, 416, now)
            return
        self._events.append(Resolve(branch, secured(hop) if branch.context.secure else hop))

    def _try_next_hop(self, branch: Branch, now: float) -> None:
        if branch.hops and not branch.context.stopped:
            branch.hop, branch.hops = branch.hops[0], branch.hops[1:]
            self._events.append(Connect(branch, branch.hop))
        else:
            self._hop_failed(branch, branch.failure, now)

    def _blame(self, branch: Branch, now: float, *, seconds: float | None = None) -> None:
        """Has the hop tried after others for a while (RFC 3263 4.3)."""
        if branch.hop is not None:
            self._now = now
            self._health.failed(branch.hop, retry_after=seconds)

    def _hop_failed(self, branch: Branch, status: int, now: float) -> None:
        """Goes on with the next hop, or the next way to the same target; without any the branch has failed."""
        branch.failure = status
        branch.exchange = None
        if branch.context.stopped:
            self._branch_failed(branch, 408, now)
        elif branch.fallback is not None:
            branch.hop = branch.fallback
            self._events.append(Connect(branch, branch.hop))
        elif branch.hops:
            self._try_next_hop(branch, now)
        elif _by_flow_only(branch) and branch.target.flow_failure is None:
            # The connection is gone: what can be reached without it still is.
            branch.target = replace(branch.target, flow=None)
            self._start(branch, now)
        elif branch.alternatives:
            branch.target, branch.alternatives = branch.alternatives[0], branch.alternatives[1:]
            branch.hop = None
            self._start(branch, now)
        elif _by_flow_only(branch) and status == _HOP_FAILED:
            self._branch_failed(branch, branch.target.flow_failure or status, now)
        else:
            self._branch_failed(branch, status, now)

    def _branch_failed(self, branch: Branch, status: int, now: float) -> None:
        self._do_actions(branch.context, branch.context.failed(branch, status), now)

    def _forward(self, branch: Branch, flow: Way, now: float) -> None:
        """Sends the request of a branch by a flow (16.6 steps 1 to 11)."""
        context, target = branch.context, branch.target
        request = context.request
        uri, routes, hop = next_routes(request, target.uri, target.path)
        if context.secure or (isinstance(uri, SipUri) and uri.secure):
            if not flow.secure:
                self._hop_failed(branch, _HOP_FAILED, now)  # RFC 5630: never downgraded
                return
            if isinstance(uri, SipUri) and not uri.secure:
                uri = secured(uri)  # a strict router's: what is behind it must not be in clear either
        branch_id = branch_with(secrets.token_hex(6), context.loop_part)
        sent_by = self.identity.address(flow.transport).sent_by
        forwarded = forwarded_copy(
            request,
            uri,
            via=f"SIP/2.0/{flow.transport.upper()} {sent_by}{alias_of(flow)};branch={branch_id}",
            record_route=self._record_routes(context, flow, hop, target.flow),
            routes=routes,
            max_breadth=branch.breadth,
            path=recorded_path(context, self.identity),
        )
        if context.asserted:
            give_out_identity(forwarded.headers, flow, self._trusts)
        data = forwarded.serialize()
        if request.method == "ACK":
            branch.finished = True
            self._forget(context)
            context.release()
            self._events.append(SendData(flow, data))
            return
        if len(data) > MAX_UDP_REQUEST and not flow.reliable and branch.fallback is None and branch.hop is not None:
            # 18.1.1: UDP after all where the peer has no TCP.
            branch.fallback = branch.hop
            branch.hop = replace(branch.hop, transport="tcp")
            self._events.append(Connect(branch, branch.hop))
            return
        branch.fallback = None
        if context.server is not None:
            context.server.forwarded = True
        transaction = ClientTransaction(forwarded, reliable=flow.reliable, timers=self._timers, branch=branch_id)
        exchange = branch.exchange = self._clients[transaction.key] = ClientExchange(transaction, flow, branch)
        if flow.reliable:
            self._by_flow.setdefault(flow, set()).add(exchange)
        if request.method == "INVITE":
            exchange.timer_c = now + self.settings.timer_c
        elif context.server is not None and context.server.trying_at is None:
            context.server.trying_at = now + self._trying_delay
            self._clock.schedule(context.server, now)
        transaction.start(now)
        self._events.append(SendData(flow, data, None, exchange))
        self._clock.schedule(exchange, now)

    def _record_routes(self, context: ResponseContext, flow: Way, hop: Uri, token: str | None) -> Sequence[str]:
        if not records(context, flow, always=self.settings.record_route):
            return ()
        return recorded_routes(context, self.identity, flow, token, token_maker(context, self._tokens, flow, hop))

    # Responses.

    def _deliver(self, exchange: ClientExchange, response: Response, now: float) -> None:
        """16.7, for a response that its client transaction let through."""
        branch, status = exchange.branch, response.status
        if branch is None:
            if exchange.upstream is not None and response.success:
                self._send_late(exchange.upstream, response)
            return
        invite = exchange.transaction.key[1] == "INVITE"
        if status < 200:
            exchange.proceeding = True
            exchange.rang = exchange.rang or status > 100
            if exchange.cancel_wanted:
                self._send_cancel(exchange, now)
            if status == 100 or not invite:
                return  # RFC 4320 4.1: nothing but 100 before the final response to others
            if exchange.timer_c is not None:
                exchange.timer_c = now + self.settings.timer_c
        else:
            exchange.timer_c = exchange.give_up = None
            exchange.transaction.release()
            if status == _HOP_FAILED:
                self._blame(branch, now, seconds=retry_after(response))
            elif self._health and branch.hop is not None:
                self._health.recovered(branch.hop)
            if status in (_HOP_FAILED, _FLOW_FAILED) and not branch.finished and (branch.hops or branch.alternatives):
                self._hop_failed(branch, status, now)
                return
            if status == _FLOW_FAILED and not branch.finished and branch.target.flow_failure is not None:
                # Nobody but who knows other flows is told so (RFC 5626 11.5).
                self._branch_failed(branch, branch.target.flow_failure, now)
                return
        headers = without_top_via(response.headers)
        if "Via" not in headers:
            # Meant for us, who asked nothing; a branch must end all the same.
            if status >= 200:
                self._branch_failed(branch, 502, now)
            return
        upstream = Response(status, response.reason, headers, response.body)
        context, server = branch.context, branch.context.server
        actions = context.received(branch, upstream)
        if server is not None and status >= 300 and not context.answered:
            # It waits for those of other branches.
            self._hold(server, server.held + kept_by(upstream))
        self._do_actions(context, actions, now)

    def _send_late(self, server: ServerExchange, response: Response) -> None:
        """A 2xx to an INVITE that was answered before goes up all the same (16.7 step 5)."""
        headers = without_top_via(response.headers)
        if "Via" in headers:
            upstream = Response(response.status, response.reason, headers, response.body)
            self._send_up(server, upstream, success=True)

    def _do_actions(self, context: ResponseContext, actions: Sequence[Action], now: float) -> None:
        server = context.server
        for action in actions:
            if isinstance(action, Forward):
                if server is None:
                    continue
                if action.late:
                    self._send_up(server, action.response, success=True)
                else:
                    self._respond(server, action.response, now)
            elif isinstance(action, Start):
                self._start(action.branch, now)
            elif isinstance(action, CancelBranch):
                exchange = action.branch.exchange
                if exchange is not None:
                    exchange.cancel_wanted = True
                    if exchange.proceeding:
                        self._send_cancel(exchange, now)
            elif server is not None:
                server.transaction.transport_failed()
                self._end_server(server)
        if context.answered and context.finished:
            self._forget(context)
            context.release()


def _relay(request: Request, flow: Way) -> Standing:
    return Standing.OPEN


def _by_flow_only(branch: Branch) -> bool:
    """Whether nothing but the target's flow was tried."""
    return branch.target.flow is not None and branch.hop is None
