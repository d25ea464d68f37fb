"""The examples in README.md and docs/ run as they stand."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.authority import TestAuthority

from securertc import CallEndedError, Endpoint, EndpointSettings, IncomingCall, TlsFiles

README = Path(__file__).resolve().parents[2] / "README.md"
DOCS = sorted((README.parent / "docs").glob("*.md"))
PACKAGES = ("srtp", "rtp", "sdp", "sdp.mikey", "sip", "securertc")


def example(package: str) -> str:
    """The Python block below the heading of a package."""
    found = re.search(rf"^## {re.escape(package)}\n+```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"README.md has no example of {package}"
    return found[1]


@pytest.mark.parametrize("package", PACKAGES)
def test_example_runs_and_uses_its_package(package: str) -> None:
    code = example(package)
    assert re.search(rf"^(from|import) {re.escape(package)}\b", code, re.MULTILINE)
    exec(compile(code, f"README.md, {package}", "exec"), {"__name__": "example"})


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_examples_of_the_docs_run(path: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
        exec(compile(block, path.name, "exec"), {"__name__": "example"})


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    commands = re.findall(r"^    make (\w+)", README.read_text(), re.MULTILINE)
    assert commands == ["demo", "test"]
    makefile = (README.parent / "Makefile").read_text()
    assert all(re.search(rf"^{command}:", makefile, re.MULTILINE) for command in commands)


async def test_call_of_the_securertc_example(
    authority: TestAuthority, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs its call() against an endpoint that asks for the password of the example."""
    monkeypatch.chdir(authority.directory)
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(example("securertc"), "README.md, securertc", "exec"), namespace)
    answering: list[asyncio.Task[str]] = []

    async def answer(incoming: IncomingCall) -> str:
        call = await incoming.answer()
        with contextlib.suppress(CallEndedError):
            await call.send_audio(np.zeros(80_000, np.int16))
        return await call.wait_ended()

    def on_call(incoming: IncomingCall) -> None:
        answering.append(asyncio.ensure_future(answer(incoming)))

    settings = EndpointSettings(
        "sip:bob@example.com",
        tls=TlsFiles(authority.issue("example.com"), None, authority.ca_path),
        realm="example.com",
        users={"alice": "secret"},
    )
    async with Endpoint(settings, on_call=on_call) as bob, asyncio.timeout(20):
        port = (await bob.listen("tls", "127.0.0.1")).port
        await namespace["call"](f"sip:bob@example.com:{port};transport=tls;maddr=127.0.0.1", np.zeros(8000, np.int16))
        assert await asyncio.gather(*answering) == ["remote"]
    printed = capsys.readouterr().out
    assert re.search(r"^media secured .*AEAD_AES_256_GCM", printed, re.MULTILINE), printed
