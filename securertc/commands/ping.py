"""What `securertc ping` does, apart from reading its options: OPTIONS requests, and what answered them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from rich.console import Console

from sip import Credentials, CSeq, NameAddr, Request, Response, SipError, SipUri, TransactionTimeoutError
from sip.discovery import Resolver
from sip.message import new_call_id, new_tag
from sip.transport import Flow, WebSocketSettings, via_host
from srtp.field_checks import check_fields

from ..call.endpoint import Endpoint, EndpointSettings
from ..tls_files import TlsFiles
from .display import shown

DEFAULT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class PingOptions:
    """What the options of the command line say; `interval` and `timeout` are in seconds."""

    aor: str
    count: int = 1
    interval: float = 1.0
    timeout: float = DEFAULT_TIMEOUT
    max_forwards: int = 70
    tls: TlsFiles = field(default_factory=TlsFiles)
    credentials: tuple[Credentials, ...] = ()
    proxy: str | None = None
    resolver: Resolver | None = None
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(slots=True)
class PingResult:
    """How many requests were sent, and the round-trip times of those answered, in seconds."""

    sent: int = 0
    times: list[float] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line: how many were answered, and how fast."""
        text = f"{len(self.times)} of {self.sent} answered"
        if not self.times:
            return text
        mean = sum(self.times) / len(self.times)
        return f"{text}, {_milliseconds(min(self.times))} / {_milliseconds(mean)} / {_milliseconds(max(self.times))} ms"


async def run_ping(uri: SipUri, options: PingOptions, console: Console) -> PingResult:
    """Sends OPTIONS requests one after the other, prints what became of each, and returns what came of all.

    Any final response is an answer, also a refusal: something understood SIP there. Raises OSError for unusable
    TLS files.
    """
    result = PingResult()
    settings = EndpointSettings(
        options.aor,
        tls=options.tls,
        credentials=options.credentials,
        outbound_proxy=options.proxy,
        resolver=options.resolver,
        websocket=options.websocket,
    )
    async with Endpoint(settings) as endpoint:
        for number in range(options.count):
            if number:
                await asyncio.sleep(options.interval)
            result.sent += 1
            await _ping(endpoint, _request(uri, endpoint.aor, options), options.timeout, result, console)
    return result


async def _ping(endpoint: Endpoint, request: Request, timeout: float, result: PingResult, console: Console) -> None:  # noqa: ASYNC109  # the time for one of many
    user_agent = endpoint.user_agent
    user_agent.add_outbound_route(request)
    started = time.perf_counter()
    try:
        async with asyncio.timeout(timeout):
            tries = await user_agent.tries_for(request)
            response = await user_agent.request(request, tries=tries)
    except (TimeoutError, TransactionTimeoutError):
        console.print(f"no answer in {timeout:g} s", highlight=False)
        return
    except SipError as error:
        console.print(f"failed: {shown(str(error))}", highlight=False, soft_wrap=True)
        return
    elapsed = time.perf_counter() - started
    result.times.append(elapsed)
    way = "" if tries.last_flow is None else f" from {way_of(tries.last_flow)}"
    console.print(f"{_said(response)}{way}: {_milliseconds(elapsed)} ms", highlight=False, soft_wrap=True)


def way_of(flow: Flow) -> str:
    """Returns a flow in words: transport, address, and what TLS proved."""
    where = f"{flow.transport.upper()} {via_host(flow.remote)}"
    if not flow.secure or flow.peer is None:
        return f"{where}, not encrypted"
    proof = "" if flow.peer.identity is None else f", proven to be {flow.peer.identity} ({flow.peer.kind})"
    return shown(f"{where}, {flow.peer.protocol}{proof}")


def _said(response: Response) -> str:
    server = response.headers.get("Server") or response.headers.get("User-Agent")
    return shown(f"{response.status} {response.reason}" + (f" by {server}" if server else ""))


def _request(uri: SipUri, aor: SipUri, options: PingOptions) -> Request:
    request = Request("OPTIONS", uri.without_headers())
    request.headers.add("Max-Forwards", str(options.max_forwards))
    request.headers.add("From", str(NameAddr(aor).with_tag(new_tag())))
    request.headers.add("To", str(NameAddr(SipUri(uri.scheme, uri.host, uri.user, None, uri.port))))
    request.headers.add("Call-ID", new_call_id())
    request.headers.add("CSeq", str(CSeq(1, "OPTIONS")))
    request.headers.add("Accept", "application/sdp")
    return request


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f}"
