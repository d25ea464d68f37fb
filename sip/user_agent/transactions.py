"""What drives the transactions of a user agent: outputs to flows, timers, responses whose flow is gone."""

from __future__ import annotations

import asyncio
from hashlib import blake2b

from ..digest.server import DigestServer
from ..discovery.locator import Locator
from ..discovery.target import response_address
from ..errors import SipError, TransactionTimeoutError, TransportError
from ..message.header_values import CSeq
from ..message.host_names import is_numeric
from ..message.message import Response
from ..transaction.amplification import Allowance, mark_stateless, shortened
from ..transaction.client import Deliver, Send, TimedOut
from ..transaction.client import Output as ClientOutput
from ..transaction.load_limits import Admission
from ..transaction.server import Output as ServerOutput
from ..transaction.timers import Timers
from ..transport.layer import Flow, TransportLayer, UdpFlow
from ..transport.response_failover import flow_for_response
from .exchange import ClientExchange, ServerExchange


class UserAgentTransactions:
    """The transactions of a UserAgent, which sets all of these."""

    admission: Admission
    timers: Timers
    _authenticator: DigestServer | None
    _locator: Locator | None
    _loop: asyncio.AbstractEventLoop
    _name: str
    _secret: bytes
    _transports: TransportLayer
    _clients: dict[tuple[str, str], ClientExchange]
    _servers: dict[tuple[str, ...], ServerExchange]
    _origins: dict[tuple[str, str | None, CSeq], ServerExchange]
    _tasks: set[asyncio.Task[None]]

    def spawn(self, work: asyncio.Task[None]) -> None:
        """Keeps a task of ours until it is done."""
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)

    def respond(self, exchange: ServerExchange, response: Response) -> None:
        """Sends a response in its transaction; a 2xx proves that we know the secret of who authenticated.

        A refusal of who is unknown has none: it is sent once, and nothing kept (RFC 3261 26.3.2.4).
        """
        if response.success and exchange.authentication is not None and self._authenticator is not None:
            self._authenticator.confirm(response, exchange.authentication)
        if response.status >= 300 and not exchange.ours and exchange.transaction.silent:
            tag = blake2b("\n".join(exchange.transaction.key).encode("utf-8", "surrogateescape"), key=self._secret)
            mark_stateless(exchange.transaction.request, response, tag.hexdigest()[:16])
            self._send_response(response, exchange.flow, exchange.allowance)
            exchange.transaction.transport_failed()
            self._end_server(exchange)
            return
        self._do_server(exchange, exchange.transaction.respond(response, self._loop.time()))
        self._keep_less(exchange)

    def _keep_less(self, exchange: ServerExchange) -> None:
        """Lets go of the request that was answered, and counts what is kept of it."""
        transaction = exchange.transaction
        if transaction.terminated or exchange.released:
            return
        if transaction.answered:
            transaction.release(written=False)
            exchange.released, exchange.invite = True, None
            held = transaction.kept + (0 if exchange.origin is None else len(exchange.origin[0]))
        else:
            held = exchange.size + transaction.provisional_size
        self.admission.resize(exchange.source, held - exchange.held)
        exchange.held = held

    def resend(self, exchange: ServerExchange, response: Response) -> None:
        """Sends a 2xx to an INVITE once more, which is not the transaction's work (13.3.1.4)."""
        self._send_response(response, exchange.flow, exchange.allowance, repeated=True)

    def _send_response(
        self, response: Response, flow: Flow, allowance: Allowance | None = None, *, repeated: bool = False
    ) -> bool:
        """Sends as much as `allowance` allows; False when the flow is gone."""
        if "Server" not in response.headers:
            response.headers.add("Server", self._name)
        data: bytes | None = response.serialize()
        assert data is not None
        if allowance is not None:
            if not allowance.admits(len(data), provisional=response.provisional, repeated=repeated):
                data = shortened(response, allowance)
            if data is None:
                return True  # as if it had been lost
        if isinstance(flow, UdpFlow):
            host, port = response_address(response.top_via)
            # A name, which only maddr can be, is not looked up in between.
            flow = flow.towards((host if is_numeric(host) else flow.remote[0], port))
        try:
            flow.send(data)
        except TransportError:
            return False
        return True

    async def _send_elsewhere(self, exchange: ServerExchange, response: Response) -> None:
        """Sends a response whose connection is gone over another one, which is used from then on."""
        try:
            if not exchange.flow.reliable:
                raise TransportError("the socket is closed")
            known = exchange.ours or exchange.flow.proves(response.top_via.host)
            exchange.flow = await flow_for_response(self._transports, self._locator, response, known=known)
            exchange.flow.send(response.serialize())
        except TransportError:
            exchange.transaction.transport_failed()
            self._end_server(exchange)

    # Driving the machines.

    def _do_client(self, exchange: ClientExchange, outputs: list[ClientOutput]) -> None:
        failure: SipError | None = None
        for output in outputs:
            if isinstance(output, Send):
                try:
                    exchange.flow.send(output.message.serialize())
                except TransportError as error:
                    exchange.transaction.transport_failed()
                    failure = error
            elif isinstance(output, Deliver):
                if output.response.provisional:
                    exchange.progress = max(exchange.progress, output.response.status)
                exchange.on_response(output.response)
            elif isinstance(output, TimedOut):
                method = exchange.transaction.request.method
                failure = TransactionTimeoutError(f"no answer to {method} in {self.timers.timeout:g} s")
                exchange.flow.distrust(self._loop.time() - self.timers.timeout)
        self._schedule_client(exchange)
        if failure is not None:
            exchange.on_failure(failure)

    def _schedule_client(self, exchange: ClientExchange) -> None:
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = None
        if exchange.transaction.terminated:
            self._end_client(exchange)
            return
        due = exchange.transaction.next_timer()
        if due is not None:
            exchange.timer = self._loop.call_at(due, self._client_timer, exchange)

    def _client_timer(self, exchange: ClientExchange) -> None:
        self._do_client(exchange, exchange.transaction.handle_timer(self._loop.time()))

    def forget(self, exchange: ClientExchange) -> None:
        """Ends a transaction that nobody waits for any more."""
        self._end_client(exchange)

    def _end_client(self, exchange: ClientExchange) -> None:
        if exchange.timer is not None:
            exchange.timer.cancel()
        self._clients.pop(exchange.transaction.key, None)

    def _do_server(self, exchange: ServerExchange, outputs: list[ServerOutput]) -> None:
        for output in outputs:
            if not isinstance(output, Send) or not isinstance(output.message, Response):
                continue
            message = output.message
            success = message.success and exchange.transaction.invite
            if not self._send_response(message, exchange.flow, exchange.allowance, repeated=success):
                self.spawn(asyncio.ensure_future(self._send_elsewhere(exchange, message)))
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = None
        due = exchange.transaction.next_timer()
        if exchange.transaction.terminated:
            self._end_server(exchange)
        elif due is not None:
            exchange.timer = self._loop.call_at(due, self._server_timer, exchange)

    def _server_timer(self, exchange: ServerExchange) -> None:
        self._do_server(exchange, exchange.transaction.handle_timer(self._loop.time()))

    def _end_server(self, exchange: ServerExchange) -> None:
        if exchange.timer is not None:
            exchange.timer.cancel()
        if self._servers.pop(exchange.transaction.key, None) is not None:
            self.admission.released(exchange.source, exchange.held)
            exchange.held = 0
        if exchange.origin is not None and self._origins.get(exchange.origin) is exchange:
            del self._origins[exchange.origin]
