"""What the interop tests share: endpoints of ours, recorded and played beside a peer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray
from peers.authority import TestAuthority
from peers.tones import tone

from securertc import Call, CallEndedError, Endpoint, EndpointSettings, IncomingCall, SecurityPolicy, TlsFiles

Samples = NDArray[np.int16]


@dataclass
class OurSide:
    """An endpoint that answers every call; `calls` are those established."""

    endpoint: Endpoint
    port: int
    calls: asyncio.Queue[Call]
    answering: set[asyncio.Task[None]] = field(default_factory=set)


@contextlib.asynccontextmanager
async def our_side(settings: EndpointSettings, *, transport: str = "tls", port: int = 0) -> AsyncIterator[OurSide]:
    calls: asyncio.Queue[Call] = asyncio.Queue()
    answering: set[asyncio.Task[None]] = set()

    async def answer(incoming: IncomingCall) -> None:
        incoming.ring()
        calls.put_nowait(await incoming.answer())

    def on_call(incoming: IncomingCall) -> None:
        task = asyncio.ensure_future(answer(incoming))
        answering.add(task)
        task.add_done_callback(answering.discard)

    async with Endpoint(settings, on_call=on_call) as endpoint:
        address = await endpoint.listen(transport, "127.0.0.1", port)
        yield OurSide(endpoint, address.port, calls, answering)


@pytest.fixture
def settings(authority: TestAuthority) -> Callable[..., EndpointSettings]:
    """Makes settings with a certificate of the test's authority."""

    def make(name: str, *, policy: SecurityPolicy | None = None, **more: object) -> EndpointSettings:
        tls = TlsFiles(authority.issue(name), None, authority.ca_path)
        aor = str(more.pop("aor", f"sip:{name}@127.0.0.1"))
        return EndpointSettings(aor, policy=policy or SecurityPolicy(), tls=tls, **more)  # type: ignore[arg-type]

    return make


async def converse(call: Call, *, frequency: float, seconds: float) -> Samples:
    """Plays a tone into a call and returns what is heard meanwhile."""
    heard: list[Samples] = []

    async def listen() -> None:
        with contextlib.suppress(CallEndedError):
            while True:
                heard.append(await call.receive_audio())

    listening = asyncio.ensure_future(listen())
    await call.send_audio(tone(frequency, seconds))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    return np.concatenate(heard) if heard else np.zeros(0, np.int16)


@pytest.fixture
def ours() -> Callable[..., contextlib.AbstractAsyncContextManager[OurSide]]:
    return our_side


@pytest.fixture
def talk() -> Callable[..., object]:
    return converse
