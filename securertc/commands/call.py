"""What `securertc call` and `securertc answer` do, apart from reading their options."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from sip import Credentials, SipUri, TransportError
from sip.discovery import Resolver, transport_name
from sip.transport import WebSocketSettings, local_address_towards, reason_of, via_host
from srtp.field_checks import check_fields

from ..assurance.report import SecurityReport
from ..assurance.security_policy import SecurityPolicy
from ..call.call import Call, IncomingCall
from ..call.endpoint import Endpoint, EndpointSettings
from ..errors import CallEndedError, GivenUpError
from ..media.stream import Samples
from ..name_resolution import first_target
from ..tls_files import TlsFiles
from .audio import Listener
from .display import live_line, shown
from .interruption import LAST_ANSWER, interruption, unless

LOOPBACK = "127.0.0.1"
NO_ANSWER = "given up before the registrar answered: if it has registered us after all, that is left to expire"


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What the options of the command line say.

    `audio` is what to play, `duration` in seconds, None without end; `resolver` asks DNS. With an
    `instance`, a URN, we register over a flow that is kept open (RFC 5626).
    """

    aor: str
    policy: SecurityPolicy
    audio: Samples
    host: str | None = None
    port: int = 0
    tls: TlsFiles = field(default_factory=TlsFiles)
    credentials: tuple[Credentials, ...] = ()
    proxy: str | None = None
    register: bool = False
    duration: float | None = None
    resolver: Resolver | None = None
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)
    instance: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Answering:
    """What `answer` adds: what to listen on, and who may call by Digest (none: anybody)."""

    transport: str
    users: dict[str, str]
    realm: str | None
    digest_algorithms: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "transport", transport_name(self.transport))


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What came of a call: its last report, what was heard, how it ended."""

    report: SecurityReport
    heard: Samples
    how: str


async def run_call(uri: str, options: CallOptions, console: Console) -> CallOutcome:
    """Calls, plays the audio, and returns what came of it.

    Raises what Endpoint.call() raises when there is no call, TransportError when no port can be had, and
    GivenUpError when interrupted before there is a call.
    """
    target = await first_target(SipUri.parse(options.proxy or uri), options.resolver)
    host = options.host or local_address_towards(target.host, target.port)
    async with interruption() as interrupted, Endpoint(_settings(options, host)) as endpoint:
        if target.transport not in ("ws", "wss"):  # a WebSocket client is reached by its connection alone
            await _listen(endpoint, target.transport, host, options)
        if options.register:
            await _register(endpoint, interrupted, console)
        console.print(f"calling {shown(uri)}", highlight=False)
        calling = asyncio.ensure_future(endpoint.call(uri, on_progress=lambda status: _progress(status, console)))
        if not await unless(interrupted, calling):
            await _unregister(endpoint, options, console)
            raise GivenUpError("given up before there was a call")
        return await _talk(endpoint, calling.result(), options, interrupted, console)


async def run_answer(answering: Answering, options: CallOptions, console: Console) -> CallOutcome:
    """Waits for one call, answers it, plays the audio, and returns what came of it.

    Raises SipError when registering fails or the port cannot be had, and GivenUpError when interrupted before there
    is a call. Who else calls meanwhile hears 486.
    """
    host = options.host or LOOPBACK
    arrived: asyncio.Queue[IncomingCall] = asyncio.Queue()
    settings = _settings(options, host, answering)
    async with interruption() as interrupted, Endpoint(settings, on_call=arrived.put_nowait) as endpoint:
        address = await _listen(endpoint, answering.transport, host, options)
        if address is not None:
            console.print(f"listening on {answering.transport.upper()} {address}", highlight=False)
        if options.register:
            await _register(endpoint, interrupted, console)
        answered = asyncio.ensure_future(_answer_one(arrived, console))
        if not await unless(interrupted, answered):
            await _unregister(endpoint, options, console)
            raise GivenUpError("given up before there was a call")
        return await _talk(endpoint, answered.result(), options, interrupted, console)


async def _answer_one(arrived: asyncio.Queue[IncomingCall], console: Console) -> Call:
    """Answers the first call that stands then."""
    while True:
        incoming = await arrived.get()
        who = incoming.authenticated_user
        proof = f"proven to be {who} by Digest" if who else "unproven"
        console.print(shown(f"call from {incoming.remote_uri}, {proof}"), highlight=False)
        incoming.ring()
        with contextlib.suppress(CallEndedError):
            return await incoming.answer()
        console.print("the caller gave up")


def _settings(options: CallOptions, host: str, answering: Answering | None = None) -> EndpointSettings:
    return EndpointSettings(
        options.aor,
        policy=options.policy,
        credentials=options.credentials,
        tls=options.tls,
        outbound_proxy=options.proxy,
        resolver=options.resolver,
        instance=options.instance,
        media_host=host,
        realm=answering.realm if answering else None,
        users=answering.users if answering else {},
        digest_algorithms=answering.digest_algorithms if answering else (),
        max_calls=1,
        websocket=options.websocket,
    )


async def _listen(endpoint: Endpoint, transport: str, host: str, options: CallOptions) -> str | None:
    """Listens where we can: without a certificate a TLS peer reaches us over the connection we open to it."""
    if transport in ("tls", "wss") and options.tls.certificate is None:
        return None
    try:
        address = await endpoint.listen(transport, host, options.port)
    except OSError as error:
        reason = f"cannot be listened on: {reason_of(error)}"
        raise TransportError(reason, target=via_host((host, options.port))) from None
    return via_host((address.host, address.port))


async def _register(endpoint: Endpoint, interrupted: asyncio.Event, console: Console) -> None:
    registering = asyncio.ensure_future(endpoint.register())
    if not await unless(interrupted, registering):
        raise GivenUpError(NO_ANSWER)
    console.print(f"registered {shown(endpoint.settings.aor)} for {registering.result()} s", highlight=False)


async def _unregister(endpoint: Endpoint, options: CallOptions, console: Console) -> None:
    if options.register and not await endpoint.unregister(timeout=LAST_ANSWER):
        console.print("not removed at the registrar: it is left to expire", highlight=False)


def _progress(status: int, console: Console) -> None:
    if status in (180, 183):
        console.print("ringing")


async def _talk(
    endpoint: Endpoint, call: Call, options: CallOptions, interrupted: asyncio.Event, console: Console
) -> CallOutcome:
    """Plays and listens until the audio or the time is over, either side hangs up, or Ctrl-C; ends everything then."""
    listener = Listener(call)
    playing = asyncio.ensure_future(_play(call, options))
    ended = asyncio.ensure_future(call.wait_ended())
    stopped = asyncio.ensure_future(interrupted.wait())
    try:
        async with live_line(console, call):
            await asyncio.wait((playing, ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        how = _in_words(ended.result()) if ended.done() else "hung up"
        report = call.security
        hanging_up = unless(interrupted, asyncio.ensure_future(call.hangup()), patience=LAST_ANSWER)
        await asyncio.gather(hanging_up, _unregister(endpoint, options, console))
        await listener.finished()
    finally:
        for task in (playing, ended, stopped):
            task.cancel()
        await asyncio.gather(playing, ended, stopped, listener.stop(), return_exceptions=True)
    return CallOutcome(report, listener.heard, how)


def _in_words(how: str) -> str:
    return "the other side hung up" if how == "remote" else f"the call has ended: {how}"


async def _play(call: Call, options: CallOptions) -> None:
    with contextlib.suppress(CallEndedError, TimeoutError):
        async with asyncio.timeout(options.duration):
            await call.send_audio(options.audio)
            if options.duration is not None:
                await asyncio.Event().wait()  # the time is not over yet


def read_users(path: Path) -> dict[str, str]:
    """Returns the users of a file of NAME:PASSWORD lines; raises ValueError naming the line that is none."""
    users: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        if not colon or not name or not password:
            raise ValueError(f"line {number} is not NAME:PASSWORD")
        users[name] = password
    return users
