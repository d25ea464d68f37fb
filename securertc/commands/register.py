"""What `securertc register` does, apart from reading its options."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.table import Table

from sip import Credentials, NameAddr, Request, SipUri
from sip.discovery import Resolver
from sip.transport import Flow, WebSocketSettings, local_address_towards
from sip.user_agent import OutboundRegistration, Registration
from srtp.field_checks import check_fields

from ..assurance.security_policy import SecurityPolicy
from ..call.endpoint import Endpoint, EndpointSettings
from ..errors import GivenUpError, NotRemovedError
from ..name_resolution import first_target
from ..tls_files import TlsFiles
from .call import NO_ANSWER
from .display import shown
from .interruption import LAST_ANSWER, interruption, unless


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

    Raises SipError when the registrar refuses or cannot be reached, OSError when no port can be had, GivenUpError when
    interrupted before it has answered, and NotRemovedError when what was to be removed may still be there.
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
    async with interruption() as interrupted, Endpoint(settings) as endpoint:
        if hop.transport in ("udp", "tcp") or (hop.transport == "tls" and options.tls.certificate is not None):
            await endpoint.listen(hop.transport, host, options.port)
        register = _register if options.instance is None else _register_flow
        await register(endpoint, options, interrupted, console)


async def _register(endpoint: Endpoint, options: RegisterOptions, interrupted: asyncio.Event, console: Console) -> None:
    beginning = asyncio.ensure_future(_begin(endpoint, options))
    if not await unless(interrupted, beginning):
        raise GivenUpError(NO_ANSWER)
    registration, done, flow = beginning.result()
    try:
        console.print(f"{done} at {_way(flow)}{_proof(registration, endpoint)}", highlight=False, soft_wrap=True)
        console.print(bindings_table(options.aor, registration.bindings))
        if options.remove_all and registration.bindings:
            raise NotRemovedError("not removed: the registrar keeps the bindings above")
        if not (options.query or options.remove_all or options.once):
            await _keep(registration, options, interrupted, console)
    finally:
        await registration.stop()


async def _begin(endpoint: Endpoint, options: RegisterOptions) -> tuple[Registration, str, Flow]:
    """Finds the registrar and asks it; returns what was done, in words, and the way to it."""
    aor, user_agent = SipUri.parse(options.aor), endpoint.user_agent
    flow = await user_agent.flow_for(_first_request(endpoint, aor))
    contacts = [NameAddr(SipUri.parse(uri)) for uri in options.contacts]
    if not contacts:
        contacts = [user_agent.contact(flow.transport, aor.user, secure=aor.secure, flow=flow)]
    registration = Registration(user_agent, aor, *contacts, expires=options.expires)
    return registration, await _ask(registration, options), flow


async def _ask(registration: Registration, options: RegisterOptions) -> str:
    if options.query:
        await registration.query()
        return "asked"
    if options.remove_all:
        return "removed all" if await registration.remove_all() else "asked to remove all"
    granted = await registration.register()
    return f"registered for {granted} s"


async def _register_flow(
    endpoint: Endpoint, options: RegisterOptions, interrupted: asyncio.Event, console: Console
) -> None:
    """Registers over a flow that is kept open (RFC 5626)."""
    assert options.instance is not None
    hop = None if options.proxy is None else SipUri.parse(options.proxy)
    outbound = OutboundRegistration(
        endpoint.user_agent, SipUri.parse(options.aor), options.instance, [hop], expires=options.expires
    )
    try:
        beginning = asyncio.ensure_future(outbound.register())
        if not await unless(interrupted, beginning):
            raise GivenUpError(NO_ANSWER)
        [kept] = outbound.flows
        assert kept.registration is not None
        assert kept.flow is not None
        support = "a flow kept open" if kept.outbound else "a flow, which the other side does not keep to (RFC 5626)"
        done = f"registered for {beginning.result()} s over {support} at {_way(kept.flow)}"
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
    """Keeps the binding fresh until it is to end, then removes it.

    Raises NotRemovedError when nothing confirms that, and what the refreshing met at the end.
    """
    console.print("kept until Ctrl-C" if options.duration is None else f"kept for {options.duration:g} s")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.duration):
            await interrupted.wait()
    failure = registration.failure
    if not await registration.unregister(timeout=LAST_ANSWER):
        reason = failure or registration.failure
        why = "" if reason is None else f": {reason}"
        raise NotRemovedError(f"not removed, so that it is left to expire{why}")
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
    return f"{where}, {flow.peer.protocol}, proven to be {shown(flow.peer.identity)} ({flow.peer.kind})"


def _proof(registration: Registration, endpoint: Endpoint) -> str:
    if registration.digest_algorithm is None:
        return ""
    digest = endpoint.user_agent.digest
    proven = digest is not None and digest.last_proof
    return f"; Digest by {shown(registration.digest_algorithm)}" + (", the server proved itself too" if proven else "")


def bindings_table(aor: str, bindings: tuple[NameAddr, ...]) -> Table:
    """Returns the bindings as a table: contact, seconds left, preference, and GRUUs where there are any."""
    table = Table(title=f"Bindings of {shown(aor)}", title_justify="left")
    gruus = any(one.parameter("pub-gruu") for one in bindings)
    for column in ("contact", "expires", "q", *(("public GRUU",) if gruus else ())):
        table.add_column(column, overflow="fold")
    for one in bindings:
        row = [str(one.uri), one.parameter("expires") or "", one.parameter("q") or ""]
        table.add_row(*(shown(text) for text in (*row, *((one.parameter("pub-gruu") or "",) if gruus else ()))))
    return table
