"""What these tests share: an authority, endpoints on loopback that answer, and a count of what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from leaks import counted

from securertc import Call, Endpoint, EndpointSettings, IncomingCall, SecurityPolicy, TlsFiles
from securertc.demo.throwaway_authority import ThrowawayAuthority

HOST = "127.0.0.1"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> ThrowawayAuthority:
    return ThrowawayAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def tls_files(authority: ThrowawayAuthority) -> TlsFiles:
    issued = authority.issue("both", sip_domains=("local.example", "remote.example"), addresses=(HOST,))
    return TlsFiles(issued.certificate_path, issued.key_path, authority.certificate_path)


@dataclass
class Pair:
    """A caller and a callee that answers whatever comes, and how to reach the latter."""

    caller: Endpoint
    callee: Endpoint
    uri: str
    answered: asyncio.Queue[Call]
    incoming: asyncio.Queue[IncomingCall]

    async def establish(self) -> tuple[Call, Call]:
        """A call from caller to callee, seen from both sides."""
        ours = await self.caller.call(self.uri)
        return ours, await asyncio.wait_for(self.answered.get(), 5)


@pytest.fixture
def pair(tls_files: TlsFiles) -> Callable[..., contextlib.AbstractAsyncContextManager[Pair]]:
    """Makes a Pair: by policies, transport, whether the callee answers by itself, and more of the settings."""

    @contextlib.asynccontextmanager
    async def make(
        caller_policy: SecurityPolicy | None = None,
        callee_policy: SecurityPolicy | None = None,
        *,
        transport: str = "tls",
        answering: bool = True,
        caller: dict[str, Any] | None = None,
        callee: dict[str, Any] | None = None,
    ) -> AsyncIterator[Pair]:
        answered: asyncio.Queue[Call] = asyncio.Queue()
        incoming: asyncio.Queue[IncomingCall] = asyncio.Queue()
        tasks = set()

        async def answer(call: IncomingCall) -> None:
            answered.put_nowait(await call.answer())

        def on_call(call: IncomingCall) -> None:
            incoming.put_nowait(call)
            if answering:
                task = asyncio.ensure_future(answer(call))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        callee_settings = {"policy": callee_policy or SecurityPolicy(), "tls": tls_files, **(callee or {})}
        caller_settings = {"policy": caller_policy or SecurityPolicy(), "tls": tls_files, **(caller or {})}
        async with (
            Endpoint(EndpointSettings("sip:bob@remote.example", **callee_settings), on_call=on_call) as theirs,
            Endpoint(EndpointSettings("sip:alice@local.example", **caller_settings)) as ours,
        ):
            address = await theirs.listen(transport, HOST)
            await ours.listen(transport, HOST)
            uri = f"sip:bob@remote.example:{address.port};transport={transport};maddr={HOST}"
            yield Pair(ours, theirs, uri, answered, incoming)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return make


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fails the test when a task or a socket outlives it."""
    async with counted():
        yield


@pytest.fixture
def melody() -> np.ndarray:
    """A fifth of a second of sound that is nowhere the same as elsewhere."""
    return (np.sin(np.arange(1600) ** 1.3 / 20) * 12000).astype(np.int16)
