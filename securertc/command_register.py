"""What `securertc register` does, apart from reading its options."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sip import Credentials, NameAddr, Request, SipUri
from sip.dns_records import Resolver
from sip.outbound import OutboundRegistration
from sip.registration import Registration
from sip.transport import Flow, local_address_towards
from sip.websocket_settings import WebSocketSettings
from srtp.field_checks import check_fields

from .command_call import interrupts
from .endpoint import Endpoint, EndpointSettings
from .name_resolution import first_target
from .security_policy import SecurityPolicy
from .tls_files import TlsFiles


@dataclass(frozen=True, slots=True)
class RegisterOptions:
    """What the options of the command line say.

    `contacts` are URIs to register in place of our own address; `expires` is in seconds. `query` only asks,
    `remove_all` removes every binding, `once` leaves the binding to expire; otherwise it is refreshed for
    `duration` seconds, or until Ctrl-C, and then removed. `resolver` asks DNS. With an
    `instance`, a URN, the flow to the first hop is kept open (RFC 5626).
    """

    aor: str
    contacts: tuple[str, ...] = ()
    expires: int = 600
    query: bool = False
    remove_all: bool = False
    once: bool = False
    duration: float | None = None
    host: str | None = None
    port: int = 0
    tls: TlsFiles = field(default_factory=TlsFiles)
    credentials: tuple[Credentials, ...] = ()
    proxy: str | None = None
    allow_md5: bool = False
    resolver: Resolver | None = None
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)
    instance: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


async def run_register(options: RegisterOptions, console: Console) -> None:
    """Registers, asks or removes, and prints the bindings and what protected the exchange.

    Raises SipError when the registrar refuses or cannot be reached, and OSError when no port can be had.
    """
    aor = SipUri.parse(options.aor)
    hop = await first_target(SipUri.parse(options.proxy) if options.proxy is not None else aor, options.resolver)
    host = options.host or local_address_towards(hop.host, hop.port)
    settings = EndpointSettings(
        options.aor,
        policy=SecurityPolicy(allow_md5=options.allow_md5),
        credentials=options.credentials,
        tls=options.tls,
        outbound_proxy=options.proxy,
        resolver=options.resolver,
        websocket=options.websocket,
    )
    async with Endpoint(settings) as endpoint, interrupts() as interrupted:
        if hop.transport in ("udp", "tcp") or (hop.transport == "tls" and options.tls.certificate is not None):
            await endpoint.listen(hop.transport, host, options.port)
        user_agent = endpoint.user_agent
        flow = await user_agent.flow_for(_first_request(endpoint, aor))
        contacts = [NameAddr(SipUri.parse(uri)) for uri in options.contacts]
        if not contacts:
            contacts = [user_agent.contact(flow.transport, aor.user, secure=aor.secure, flow=flow)]
        if options.instance is not None:
            await _register_flow(endpoint, options.instance, options, interrupted, console)
            return
        registration = Registration(user_agent, aor, *contacts, expires=options.expires)
        try:
            done = await _ask(registration, options)
            console.print(f"{done} at {_way(flow)}{_proof(registration, endpoint)}", highlight=False, soft_wrap=True)
            console.print(bindings_table(options.aor, registration.bindings))
            if not (options.query or options.remove_all or options.once):
                await _keep(registration, options, interrupted, console)
        finally:
            await registration.stop()


async def _ask(registration: Registration, options: RegisterOptions) -> str:
    if options.query:
        await registration.query()
        return "asked"
    if options.remove_all:
        await registration.remove_all()
        return "removed all"
    granted = await registration.register()
    return f"registered for {granted} s"


async def _register_flow(
    endpoint: Endpoint, instance: str, options: RegisterOptions, interrupted: asyncio.Event, console: Console
) -> None:
    """Registers over a flow that is kept open (RFC 5626)."""
    hop = None if options.proxy is None else SipUri.parse(options.proxy)
    outbound = OutboundRegistration(
        endpoint.user_agent, SipUri.parse(options.aor), instance, [hop], expires=options.expires
    )
    try:
        granted = await outbound.register()
        [kept] = outbound.flows
        assert kept.registration is not None
        assert kept.flow is not None
        support = "a flow kept open" if kept.outbound else "a flow, which the other side does not keep to (RFC 5626)"
        done = f"registered for {granted} s over {support} at {_way(kept.flow)}"
        console.print(f"{done}{_proof(kept.registration, endpoint)}", highlight=False, soft_wrap=True)
        console.print(bindings_table(options.aor, kept.registration.bindings))
        if not options.once:
            await _keep(outbound, options, interrupted, console)
    finally:
        await outbound.stop()


async def _keep(
    registration: Registration | OutboundRegistration,
    options: RegisterOptions,
    interrupted: asyncio.Event,
    console: Console,
) -> None:
    """Keeps the binding fresh until it is to end, then removes it; raises what the refreshing met at the end."""
    console.print("kept until Ctrl-C" if options.duration is None else f"kept for {options.duration:g} s")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.duration):
            await interrupted.wait()
    failure = registration.failure
    await registration.unregister()
    if failure is not None:
        raise failure
    console.print("removed")


def _first_request(endpoint: Endpoint, aor: SipUri) -> Request:
    """A REGISTER, to find its way by."""
    request = Request("REGISTER", replace(aor, user=None))
    request.headers.add("To", str(NameAddr(aor)))
    endpoint.user_agent.add_outbound_route(request)
    return request


def _way(flow: Flow) -> str:
    host, port = flow.remote
    where = f"{flow.transport.upper()} {host}:{port}"
    if flow.peer is None or flow.peer.identity is None:
        return where if flow.secure else f"{where}, not encrypted"
    return f"{where}, {flow.peer.protocol}, proven to be {escape(flow.peer.identity)} ({flow.peer.kind})"


def _proof(registration: Registration, endpoint: Endpoint) -> str:
    if registration.digest_algorithm is None:
        return ""
    digest = endpoint.user_agent.digest
    proven = digest is not None and digest.last_proof
    return f"; Digest by {registration.digest_algorithm}" + (", the server proved itself too" if proven else "")


def bindings_table(aor: str, bindings: tuple[NameAddr, ...]) -> Table:
    """Returns the bindings as a table: contact, seconds left, preference, and GRUUs where there are any."""
    table = Table(title=f"Bindings of {escape(aor)}", title_justify="left")
    gruus = any(one.parameter("pub-gruu") for one in bindings)
    for column in ("contact", "expires", "q", *(("public GRUU",) if gruus else ())):
        table.add_column(column, overflow="fold")
    for one in bindings:
        row = [str(one.uri), one.parameter("expires") or "", one.parameter("q") or ""]
        table.add_row(*(escape(text) for text in (*row, *((one.parameter("pub-gruu") or "",) if gruus else ()))))
    return table
