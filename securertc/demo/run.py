"""The demonstration: the SIP triangle on loopback, one secured call, real audio both ways, checked sample by sample."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, replace

from rich.console import Console

from sip import Credentials

from ..assurance.report import SecurityReport, TierStatus
from ..assurance.security_policy import SecurityPolicy
from ..call.call import Call, IncomingCall
from ..call.endpoint import Endpoint, EndpointSettings
from ..commands.audio import Listener
from ..commands.display import live_line, printable, report_table, shown
from ..commands.interruption import throwaway_directory
from ..media.stream import Samples
from .audio_comparison import AudioComparison, compare
from .triangle import Hop, Triangle, TriangleUser

CALLER, CALLER_DOMAIN = "alice", "local.edu"
CALLEE, CALLEE_DOMAIN = "joe", "remote.edu"
DIGEST_ALGORITHM = "SHA-256"
_POLICY = SecurityPolicy()
_SETUP_TIMEOUT = 20.0
# How long audio may be under way after the last frame was sent, before it counts as lost.
_SETTLE = 1.0


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came of it: the report and the audio of each side, and in words what fell short, () for nothing."""

    caller: SecurityReport
    callee: SecurityReport
    caller_to_callee: AudioComparison
    callee_to_caller: AudioComparison
    heard_by_callee: Samples
    shortfalls: tuple[str, ...]


async def run_demo(audio: Samples, console: Console) -> DemoResult:
    """Places the call, plays `audio` (8 kHz) to the callee and its reverse to the caller, and checks all of it.

    Everything is made for this one run and gone afterwards: the authority, the certificates, the password.
    Raises SipError or SecureRtcError when there is no call, TimeoutError when it takes too long.
    """
    with throwaway_directory("securertc-demo-") as directory:
        users = (
            TriangleUser(CALLER, CALLER_DOMAIN, f"phone1.{CALLER_DOMAIN}", secrets.token_urlsafe(24)),
            TriangleUser(CALLEE, CALLEE_DOMAIN, f"phone31.{CALLEE_DOMAIN}", secrets.token_urlsafe(24)),
        )
        arrived: asyncio.Queue[IncomingCall] = asyncio.Queue()
        hops: list[Hop] = []

        async with Triangle(users, directory, algorithm=DIGEST_ALGORITHM, on_hop=hops.append) as triangle:
            settings = [_settings(triangle, user) for user in users]
            async with (
                Endpoint(settings[1], on_call=arrived.put_nowait) as callee,
                Endpoint(settings[0]) as caller,
            ):
                console.print("  certificates  by an authority made for this run and thrown away after it")
                console.print(f"  {CALLER_DOMAIN}, {CALLEE_DOMAIN}: proxies; TLS proven both ways")
                console.print(f"  found by DNS{_asked_at(triangle)}", highlight=False)
                await callee.register()
                await caller.register()
                calls = await _set_up(caller, users[1].aor, arrived, console)
                _draw(hops, console)
                setting_up = len(hops)
                result = await _converse(*calls, audio, console)
                _draw(hops[setting_up:], console)
        unproven = {f"hop {hop.sender} to {hop.receiver}: its name is not proven" for hop in hops if not hop.proven}
        return replace(result, shortfalls=(*result.shortfalls, *sorted(unproven)))


def _asked_at(triangle: Triangle) -> str:
    return "" if triangle.name_server is None else f", asked over UDP at {triangle.name_server}"


def _draw(hops: list[Hop], console: Console) -> None:
    """Who sent what to whom, by which transport; the receiver's name is the one that TLS proved."""
    for hop in hops:
        line = f"  {hop.sender:>10} -> {hop.receiver:<17} {hop.what:<33.33} {hop.transport}"
        console.print(printable(line if hop.proven else f"{line} NOT PROVEN"), highlight=False, markup=False)
    console.print()


def _settings(triangle: Triangle, user: TriangleUser) -> EndpointSettings:
    return EndpointSettings(
        user.aor,
        policy=_POLICY,
        tls=triangle.files_of(user),
        credentials=(Credentials(user.domain, user.name, user.password),),
        outbound_proxy=triangle.outbound_proxy(user),
    )


async def _set_up(
    caller: Endpoint, uri: str, arrived: asyncio.Queue[IncomingCall], console: Console
) -> tuple[Call, Call]:
    async def answer() -> Call:
        incoming = await arrived.get()
        incoming.ring()
        return await incoming.answer()

    started = time.monotonic()
    answering = asyncio.ensure_future(answer())
    try:
        async with asyncio.timeout(_SETUP_TIMEOUT):
            calls = await caller.call(uri), await answering
    finally:
        answering.cancel()
    console.print(f"  established in {(time.monotonic() - started) * 1000:.0f} ms\n")
    return calls


async def _converse(caller: Call, callee: Call, audio: Samples, console: Console) -> DemoResult:
    # Played backwards on the way back, so that nobody can take his own voice for the other's.
    back = audio[::-1].copy()
    at_caller, at_callee = Listener(caller), Listener(callee)
    try:
        async with live_line(console, caller):
            await asyncio.gather(caller.send_audio(audio), callee.send_audio(back))
            await _settle(at_caller, at_callee, len(audio))
        reports = caller.security, callee.security
        await caller.hangup()
        ended, *_ = await asyncio.gather(callee.wait_ended(), at_caller.finished(), at_callee.finished())
    finally:
        await asyncio.gather(at_caller.stop(), at_callee.stop())
    encoding = caller.agreed.codec.encoding if caller.agreed is not None else "PCMU"
    forth_heard = compare(audio, at_callee.heard, encoding=encoding)
    back_heard = compare(back, at_caller.heard, encoding=encoding)
    shortfalls = (*_fell_short(CALLER, reports[0]), *_fell_short(CALLEE, reports[1]))
    if ended != "remote":
        shortfalls += (f"{CALLEE}: the caller's BYE did not come; the call ended otherwise: {ended}",)
    for listener, result, lost in (
        (CALLEE, forth_heard, callee.statistics.lost),
        (CALLER, back_heard, caller.statistics.lost),
    ):
        if not result.exact:
            shortfalls += (f"audio heard by {listener}: {result}; packets lost: {lost}",)
    return DemoResult(*reports, forth_heard, back_heard, at_callee.heard, shortfalls)


async def _settle(at_caller: Listener, at_callee: Listener, samples: int) -> None:
    """Returns once both sides have heard everything, or nothing more comes."""
    before, changed = -1, time.monotonic()
    while time.monotonic() - changed < _SETTLE and min(at_caller.samples, at_callee.samples) < samples:
        heard = at_caller.samples + at_callee.samples
        if heard != before:
            before, changed = heard, time.monotonic()
        await asyncio.sleep(0.02)


def _fell_short(who: str, report: SecurityReport) -> tuple[str, ...]:
    """In words what one side asked for and did not get: TLS that proves a peer, Digest, SRTP."""
    found = list(report.shortfalls(_POLICY))
    if report.transaction.status is not TierStatus.SECURED:
        found.append(f"transaction: TLS with a proven peer was asked, the tier is {report.transaction.status.value}")
    digest = report.transaction.fact("digest")
    if who == CALLER and digest != DIGEST_ALGORITHM:  # the callee's first hop was asked when he registered
        found.append(f"transaction: Digest by {DIGEST_ALGORITHM} was asked, and was {digest}")
    for fact in ("authentication failures", "replays"):
        count = report.media.fact(fact)
        if count not in ("0", None):
            found.append(f"media: {fact}: {count}")
    return tuple(f"{who}: {text}" for text in found)


def print_result(result: DemoResult, console: Console) -> None:
    """Prints the comparison, both tables, and the verdict."""
    console.print()
    for direction, comparison in (
        (f"{CALLER} to {CALLEE}", result.caller_to_callee),
        (f"{CALLEE} to {CALLER}", result.callee_to_caller),
    ):
        console.print(f"  audio {direction}: ", end="")
        console.print(str(comparison), style="green" if comparison.exact else "bold red", highlight=False)
    for title, report in (
        (f"What {CALLER}, the caller, can prove", result.caller),
        (f"What {CALLEE}, the callee, can prove", result.callee),
    ):
        console.print()
        console.print(report_table(report, title))
    console.print()
    for shortfall in result.shortfalls:
        console.print(f"[bold red]fell short[/]  {shown(shortfall)}", highlight=False)
    if not result.shortfalls:
        console.print("[bold green]Every tier gave what was asked of it.[/]")
