"""A stage for the sans-IO proxy: its clock, its flows and its answers, all in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from sip import Request, Response, SipError, SipUri, Timers
from sip.discovery.target import Target, target_of
from sip.message.parser import parse_message
from sip.proxy.events import Connect, Distrust, Event, Locate, ProxyTarget, Resolve, SendData, Serve, UseFlow
from sip.proxy.own_names import ListenAddress, ProxyIdentity
from sip.proxy.proxy import Proxy
from sip.proxy.settings import ProxySettings
from sip.transaction.load_limits import LoadLimits

IDENTITY = ProxyIdentity(
    (
        ListenAddress("udp", "192.0.2.1", 5060),
        ListenAddress("tcp", "192.0.2.1", 5060),
        ListenAddress("tls", "proxy.example.com", 5061),
    ),
    domains=frozenset(("example.com",)),
    aliases=frozenset(("192.0.2.1",)),
    secret=bytes(32),
)


@dataclass(eq=False)
class FakeFlow:
    transport: str
    remote: tuple[str, int]
    accepted: bool = False

    def prove(self) -> None:
        """What connections take note of."""

    @property
    def reliable(self) -> bool:
        return self.transport != "udp"

    @property
    def secure(self) -> bool:
        return self.transport == "tls"


@dataclass
class Sent:
    """A message that left the proxy."""

    message: Request | Response
    flow: FakeFlow
    address: tuple[str, int] | None
    time: float

    @property
    def what(self) -> str | int:
        return self.message.method if isinstance(self.message, Request) else self.message.status


@dataclass
class Stage:
    """Drives a proxy: `locations` and `servers` answer what it asks; what it sends is in `sent`."""

    settings: ProxySettings = field(default_factory=ProxySettings)
    limits: LoadLimits = field(default_factory=LoadLimits)
    identity: ProxyIdentity = IDENTITY
    timers: Timers = field(default_factory=Timers)
    authorize: object = None

    def __post_init__(self) -> None:
        self.now = 1000.0
        self.tokens: dict[str, FakeFlow] = {}
        self.proxy = Proxy(
            self.identity,
            settings=self.settings,
            limits=self.limits,
            timers=self.timers,
            authorize=self.authorize,
            token_of=lambda flow: next((name for name, one in self.tokens.items() if one is flow), None),
        )
        self.locations: dict[str, list[ProxyTarget] | None] = {}
        self.servers: dict[str, list[Target]] = {}
        self.down: set[Target] = set()
        self.flows: dict[Target, FakeFlow] = {}
        self.sent: list[Sent] = []
        self.served: list[Serve] = []
        self.distrusted: list[object] = []
        self.pending: list[Event] = []
        self.hold: tuple[type, ...] = ()
        self.caller = FakeFlow("udp", ("192.0.2.50", 5060))

    def run(self, events: list[Event]) -> None:
        """Carries out events; those of a type in `hold` wait in `pending`."""
        for event in events:
            if isinstance(event, self.hold):
                self.pending.append(event)
            else:
                self.run(self._answer(event))

    def release(self) -> None:
        """Carries out what was held."""
        held, self.pending, self.hold = self.pending, [], ()
        self.run(held)

    def _answer(self, event: Event) -> list[Event]:
        if isinstance(event, SendData):
            assert isinstance(event.flow, FakeFlow)
            self.sent.append(Sent(parse_message(event.data), event.flow, event.address, self.now))
            return []
        if isinstance(event, Locate):
            return self.proxy.located(event.context, self.locations.get(event.uri.address_of_record, []), self.now)
        if isinstance(event, Resolve):
            return self.proxy.resolved(event.branch, self._hops(event.uri), self.now)
        if isinstance(event, Connect):
            if event.hop in self.down:
                return self.proxy.unreachable(event.branch, self.now)
            flow = self.flows.setdefault(event.hop, FakeFlow(event.hop.transport, (event.hop.host, event.hop.port)))
            return self.proxy.connected(event.branch, flow, self.now)
        if isinstance(event, UseFlow):
            if event.token in self.tokens:
                return self.proxy.connected(event.branch, self.tokens[event.token], self.now)
            return self.proxy.unreachable(event.branch, self.now)
        if isinstance(event, Distrust):
            self.distrusted.append(event.flow)
            return []
        self.served.append(event)
        return []

    def _hops(self, uri: SipUri) -> list[Target]:
        try:
            return self.servers.get(uri.host) or [target_of(uri)]
        except SipError:
            return []

    # What the outside does.

    def request(self, request: Request, flow: FakeFlow | None = None) -> None:
        """The proxy receives a request, from the caller unless another flow is given."""
        message = parse_message(request.serialize())
        assert isinstance(message, Request)
        self.run(self.proxy.receive_request(message, flow or self.caller, self.now))

    def answer(self, sent: Sent, status: int, *, tag: str | None = "callee", **headers: str) -> None:
        """Somebody answers a request that the proxy sent."""
        assert isinstance(sent.message, Request)
        response = sent.message.create_response(status, to_tag=tag)
        for name, value in headers.items():
            response.headers.add(name.replace("_", "-"), value)
        message = parse_message(response.serialize())
        assert isinstance(message, Response)
        self.run(self.proxy.receive_response(message, self.now))

    def pass_time(self, seconds: float) -> None:
        """Lets time go by, waking the proxy whenever it wants."""
        until = self.now + seconds
        while (due := self.proxy.next_timer()) is not None and due <= until:
            self.now = max(self.now, due)
            self.run(self.proxy.handle_timer(self.now))
        self.now = until

    def take(self) -> list[Sent]:
        """Returns what was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent

    def settle(self) -> None:
        """Lets everything end, and checks that nothing is left."""
        self.pass_time(400)
        assert self.proxy.active_transactions == 0
        assert self.proxy.active_contexts == 0
        assert self.proxy.admission.total == 0
        assert self.proxy.admission.sources == 0
        assert self.proxy.next_timer() is None


def make_request(
    method: str = "INVITE",
    uri: str = "sip:bob@192.0.2.99",
    *,
    branch: str = "z9hG4bKcaller",
    to_tag: str | None = None,
    body: bytes = b"",
    via: str = "SIP/2.0/UDP 192.0.2.50:5060",
    cseq: int = 1,
    **headers: str,
) -> Request:
    """A request of the caller at 192.0.2.50."""
    request = Request(method, SipUri.parse(uri), body=body)
    request.headers.add("Via", f"{via};branch={branch}")
    request.headers.add("From", "<sip:alice@example.org>;tag=alice")
    request.headers.add("To", "<sip:bob@example.com>" + (f";tag={to_tag}" if to_tag else ""))
    request.headers.add("Call-ID", "call")
    request.headers.add("CSeq", f"{cseq} {method}")
    for name, value in headers.items():
        request.headers.add(name.replace("_", "-"), value)
    return request
