"""The demonstration: two endpoints call each other over loopback, and everything they claim is checked."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sip import Credentials

from .assurance import SecurityReport, TierStatus
from .audio_comparison import AudioComparison, compare_audio
from .call import Call, IncomingCall
from .endpoint import Endpoint, EndpointSettings, TlsFiles
from .errors import CallEndedError
from .media_session import MediaStatistics, Samples
from .throwaway_authority import ThrowawayAuthority

DOMAIN = "securertc.test"
_PASSWORD_LENGTH = 24
_ANSWER_TIMEOUT = 10.0
# After the last frame was sent: the time for it to come out of the jitter buffer at the other side.
_TAIL = 0.5

OnProgress = Callable[[str, MediaStatistics], None]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration found: the audio heard at each side, the report of each, and the shortfalls in words."""

    heard_by_callee: AudioComparison
    heard_by_caller: AudioComparison
    caller: SecurityReport
    callee: SecurityReport
    shortfalls: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every tier gave what was asked and all audio came out as it went in."""
        return not self.shortfalls


async def run_demo(samples: Samples, *, on_progress: OnProgress | None = None) -> DemoResult:
    """Plays `samples` (8 kHz) both ways through a call over TLS, Digest and SRTP, and returns what came of it.

    Raises what Endpoint.call() raises when the call cannot be made.
    """
    password = secrets.token_urlsafe(_PASSWORD_LENGTH)
    with tempfile.TemporaryDirectory(prefix="securertc-demo-") as directory:
        authority = ThrowawayAuthority(Path(directory))
        incoming: asyncio.Queue[IncomingCall] = asyncio.Queue()
        bob_settings = EndpointSettings(
            f"sip:bob@{DOMAIN}",
            tls=_files(authority, "bob"),
            realm=DOMAIN,
            users={"alice": password},
            digest_algorithms=("SHA-256",),
        )
        alice_settings = EndpointSettings(
            f"sip:alice@{DOMAIN}",
            tls=_files(authority, "alice"),
            credentials=(Credentials(DOMAIN, "alice", password),),
        )
        async with (
            Endpoint(bob_settings, on_call=incoming.put_nowait) as bob,
            Endpoint(alice_settings) as alice,
        ):
            address = await bob.listen("tls")
            await alice.listen("tls")
            # The domain is not in any DNS: maddr says where it lives, its certificate has to prove the name.
            uri = f"sip:bob@{DOMAIN}:{address.port};transport=tls;maddr={address.host}"
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                answering = asyncio.ensure_future(_answer(incoming))
                outgoing = await alice.call(uri)
                answered = await answering
            return await _talk(outgoing, answered, samples, alice, bob, on_progress)


def _files(authority: ThrowawayAuthority, name: str) -> TlsFiles:
    issued = authority.issue(name, sip_domains=(DOMAIN,), addresses=("127.0.0.1",))
    return TlsFiles(issued.certificate_path, issued.key_path, authority.certificate_path)


async def _answer(incoming: asyncio.Queue[IncomingCall]) -> Call:
    call = await incoming.get()
    call.ring()
    return await call.answer()


async def _talk(
    outgoing: Call,
    answered: Call,
    samples: Samples,
    alice: Endpoint,
    bob: Endpoint,
    on_progress: OnProgress | None,
) -> DemoResult:
    to_bob, to_alice = samples, samples[::-1].copy()
    listening = [asyncio.ensure_future(_listen(call)) for call in (outgoing, answered)]
    watching = asyncio.ensure_future(_watch(outgoing, answered, on_progress))
    try:
        await asyncio.gather(outgoing.send_audio(to_bob), answered.send_audio(to_alice))
        await asyncio.sleep(_TAIL)
    finally:
        watching.cancel()
    reports = outgoing.security, answered.security
    await outgoing.hangup()
    await answered.wait_ended()
    heard_by_alice, heard_by_bob = await asyncio.gather(*listening)
    encoding = "PCMU" if outgoing.agreed is None else outgoing.agreed.codec.encoding
    at_bob = compare_audio(to_bob, heard_by_bob, encoding)
    at_alice = compare_audio(to_alice, heard_by_alice, encoding)
    shortfalls = [f"caller: {text}" for text in reports[0].shortfalls(alice.settings.policy)]
    shortfalls += [f"callee: {text}" for text in reports[1].shortfalls(bob.settings.policy)]
    for side, found in zip(("caller", "callee"), reports, strict=True):
        if found.transaction.status is not TierStatus.SECURED:
            shortfalls.append(f"{side}: transaction: TLS with a proven peer was asked for")
        if found.transaction.fact("digest") != "SHA-256":
            shortfalls.append(f"{side}: transaction: Digest by SHA-256 was asked for")
    for side, audio in (("callee", at_bob), ("caller", at_alice)):
        if not audio.exact:
            shortfalls.append(f"{side}: the audio received is not the audio sent: {audio}")
    return DemoResult(at_bob, at_alice, *reports, tuple(shortfalls))


async def _listen(call: Call) -> Samples:
    frames: list[Samples] = []
    try:
        while True:
            frames.append(await call.receive_audio())
    except CallEndedError:
        return np.concatenate(frames) if frames else np.zeros(0, np.int16)


async def _watch(outgoing: Call, answered: Call, on_progress: OnProgress | None) -> None:
    while on_progress is not None:
        on_progress("caller", outgoing.statistics)
        on_progress("callee", answered.statistics)
        await asyncio.sleep(0.2)
