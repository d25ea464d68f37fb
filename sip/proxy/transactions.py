"""The transactions of a proxy at work: what drives their machines, and what their ends mean for the branches.

Sans-IO like all of the proxy: Proxy adds the rules by which requests and responses are forwarded.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..dialog.dialog import DialogId
from ..message.message import Request, Response, WrittenMessage
from ..transaction.amplification import mark_stateless, shortened, tags_of
from ..transaction.cancel import create_cancel
from ..transaction.client import ClientTransaction, Deliver, Send
from ..transaction.client import Output as ClientOutput
from ..transaction.load_limits import Admission, LoadLimits
from ..transaction.server import Output as ServerOutput
from ..transaction.timers import Timers
from .events import Distrust, Event, SendData, Way
from .exchange import ClientExchange, Clock, ServerExchange
from .response_context import Branch


class ProxyTransactions:
    """Keeps the server and client transactions of a proxy, wakes them in time and collects the events they cause.

    What a response or a failure means for the request is said by the three methods that raise NotImplementedError.
    """

    def __init__(self, limits: LoadLimits, timers: Timers) -> None:
        self.admission = Admission(limits)
        self._timers = timers
        self._servers: dict[tuple[str, ...], ServerExchange] = {}
        self._clients: dict[tuple[str, str], ClientExchange] = {}
        self._awaited: dict[DialogId, ServerExchange] = {}
        self._by_flow: dict[Way, set[ClientExchange]] = {}
        self._clock = Clock()
        self._events: list[Event] = []

    @property
    def active_transactions(self) -> int:
        """How many transactions are not terminated."""
        return len(self._servers) + len(self._clients)

    def next_timer(self) -> float | None:
        """Returns when handle_timer() wants to be called, or None."""
        return self._clock.next_due()

    def handle_timer(self, now: float) -> list[Event]:
        """Does what is due by `now`."""
        for exchange in self._clock.pop_due(now):
            if isinstance(exchange, ServerExchange):
                self._wake_server(exchange, now)
            else:
                self._wake_client(exchange, now)
        return self._take_events()

    # What the forwarding rules say.

    def _deliver(self, exchange: ClientExchange, response: Response, now: float) -> None:
        """Takes a response that a client transaction let through."""
        raise NotImplementedError

    def _hop_failed(self, branch: Branch, status: int, now: float) -> None:
        """Takes it that the hop of a branch came to nothing: another may be tried."""
        raise NotImplementedError

    def _branch_failed(self, branch: Branch, status: int, now: float) -> None:
        """Takes it that a branch ended without a response."""
        raise NotImplementedError

    def _blame(self, branch: Branch, now: float) -> None:
        """Takes it that the hop of a branch did not answer."""
        raise NotImplementedError

    # Driving the machines.

    def _respond(self, exchange: ServerExchange, response: Response, now: float) -> None:
        transaction = exchange.transaction
        if response.status < 200:
            before = transaction.provisional_size
            self._do_server(exchange, transaction.respond(response, now), now)
            self._hold(exchange, exchange.held + transaction.provisional_size - before)
            return
        exchange.trying_at = exchange.context = None
        if response.status >= 300 and not (exchange.known or exchange.forwarded) and transaction.silent:
            self._refuse_once(exchange, response)
            return
        self._do_server(exchange, transaction.respond(response, now), now)
        if transaction.answered:
            transaction.release()
            if not transaction.terminated:
                self._hold(exchange, transaction.kept)

    def _hold(self, exchange: ServerExchange, held: int) -> None:
        """Counts what is kept for a server transaction."""
        self.admission.held.change(exchange.source, held - exchange.held)
        exchange.held = held

    def _refuse_once(self, exchange: ServerExchange, response: Response) -> None:
        """A refusal of ours to somebody unknown is sent once and nothing kept (RFC 3261 26.3.2.4).

        A retransmission of the request gets it again, with the same tag (8.2.7), by which its ACK is known.
        """
        transaction = exchange.transaction
        mark_stateless(transaction.request, response, self._stateless_tag(transaction.key))
        self._send_up(exchange, response)
        transaction.transport_failed()
        self._end_server(exchange)

    def _stateless_tag(self, key: tuple[str, ...]) -> str:
        """Returns the To tag of a response without a transaction, for requests and ACKs with this key."""
        raise NotImplementedError

    def _send_up(self, exchange: ServerExchange, message: Response | WrittenMessage, *, success: bool = False) -> None:
        """Sends a response as far as its source may be sent anything; `success` for a 2xx to an INVITE."""
        data = message.serialize()
        if exchange.allowance is not None:
            response = message if isinstance(message, Response) else None
            if success and response is not None and exchange.awaited is None:
                self._await_proof(exchange, response)
            provisional = response is not None and response.status < 200
            if not exchange.allowance.admits(len(data), provisional=provisional, repeated=success):
                short = None if response is None else shortened(response, exchange.allowance)
                if short is None:
                    return
                data = short
        self._events.append(SendData(exchange.flow, data, exchange.address, exchange))

    def _await_proof(self, exchange: ServerExchange, success: Response) -> None:
        """Whoever acknowledges a 2xx from where the INVITE came from has got it: he is there."""
        id_ = tags_of(success)
        if self._awaited.setdefault(id_, exchange) is exchange:
            exchange.awaited = id_

    def _note_ack(self, ack: Request, flow: Way) -> None:
        """Takes note of what an ACK proves, whether or not it gets any farther."""
        exchange = self._awaited.get(tags_of(ack)) if self._awaited else None
        if exchange is not None and exchange.flow.remote == flow.remote:
            exchange.allowance = None

    def _do_server(self, exchange: ServerExchange, outputs: Sequence[ServerOutput], now: float) -> None:
        for output in outputs:
            if isinstance(output, Send):
                message = output.message
                assert not isinstance(message, Request)
                success = exchange.transaction.invite and isinstance(message, Response) and message.success
                self._send_up(exchange, message, success=success)
        if exchange.transaction.terminated:
            self._end_server(exchange)
        else:
            self._clock.schedule(exchange, now)

    def _wake_server(self, exchange: ServerExchange, now: float) -> None:
        if exchange.trying_at is not None and now >= exchange.trying_at:
            exchange.trying_at = None
            trying = exchange.transaction.request.create_response(100)
            self._do_server(exchange, exchange.transaction.respond(trying, now), now)
        else:
            self._do_server(exchange, exchange.transaction.handle_timer(now), now)

    def _end_server(self, exchange: ServerExchange) -> None:
        if exchange.awaited is not None:
            del self._awaited[exchange.awaited]
            exchange.awaited = None
        if self._servers.pop(exchange.transaction.key, None) is not None:
            self.admission.released(exchange.source, exchange.held)
            exchange.held = 0

    def _do_client(self, exchange: ClientExchange, outputs: Sequence[ClientOutput], now: float) -> None:
        timed_out = False
        for output in outputs:
            if isinstance(output, Send):
                self._events.append(SendData(exchange.flow, output.message.serialize(), None, exchange))
            elif isinstance(output, Deliver):
                self._deliver(exchange, output.response, now)
            else:
                timed_out = True
        if timed_out:
            if exchange.flow.reliable:
                self._events.append(Distrust(exchange.flow, now - self._timers.timeout))
            self._client_failed(exchange, 408, now)
        elif exchange.transaction.terminated:
            self._end_client(exchange)
        else:
            self._clock.schedule(exchange, now)

    def _wake_client(self, exchange: ClientExchange, now: float) -> None:
        if exchange.give_up is not None and now >= exchange.give_up:
            exchange.transaction.transport_failed()
            self._client_failed(exchange, 408, now)
        elif exchange.timer_c is not None and now >= exchange.timer_c:
            exchange.timer_c = None
            if exchange.proceeding:
                self._send_cancel(exchange, now)
            else:
                exchange.transaction.transport_failed()
                self._client_failed(exchange, 408, now)
        else:
            self._do_client(exchange, exchange.transaction.handle_timer(now), now)

    def _client_failed(self, exchange: ClientExchange, status: int, now: float) -> None:
        """A client transaction ended without a final response."""
        self._end_client(exchange)
        branch = exchange.branch
        if branch is None or branch.finished or branch.exchange is not exchange:
            return
        if exchange.cancel_sent:
            self._branch_failed(branch, 408, now)
        elif exchange.rang:
            # A phone that rings must not be called a second time.
            self._branch_failed(branch, status, now)
        else:
            self._blame(branch, now)
            self._hop_failed(branch, status, now)

    def _end_client(self, exchange: ClientExchange) -> None:
        self._clients.pop(exchange.transaction.key, None)
        if exchange.flow.reliable:
            using = self._by_flow.get(exchange.flow)
            if using is not None:
                using.discard(exchange)
                if not using:
                    del self._by_flow[exchange.flow]

    def _send_cancel(self, exchange: ClientExchange, now: float) -> None:
        """9.1: a CANCEL for a pending INVITE, which goes where that went."""
        if exchange.cancel_sent or not exchange.transaction.waiting:
            return
        exchange.cancel_sent = True
        exchange.timer_c = None
        exchange.give_up = now + self._timers.timeout
        self._clock.schedule(exchange, now)
        invite = exchange.transaction.request
        cancel = create_cancel(invite)
        cancel.headers.prepend("Via", invite.headers.get("Via") or "")
        branch = exchange.transaction.key[0]
        transaction = ClientTransaction(cancel, reliable=exchange.flow.reliable, timers=self._timers, branch=branch)
        sending = self._clients[transaction.key] = ClientExchange(transaction, exchange.flow, None)
        self._do_client(sending, transaction.start(now), now)

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events
