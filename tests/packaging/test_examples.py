"""The scripts of examples/ run as their first lines say."""

from __future__ import annotations

import asyncio
import functools
import re
import signal
import sys
from pathlib import Path

import numpy as np
from peers.authority import TestAuthority
from peers.tones import assert_tone, tone

from securertc import Endpoint, EndpointSettings, TlsFiles

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def test_every_example_is_tested_here() -> None:
    tested = set(re.findall(r'"(\w+\.py)"', Path(__file__).read_text()))
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


async def start(name: str, *arguments: str | Path) -> asyncio.subprocess.Process:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    # What runs in the background of a shell is deaf to Ctrl-C, and so would be what it starts.
    hear = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    environment = {"PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=-1, stderr=-2, preexec_fn=hear
    )


async def test_negotiate_and_protect() -> None:
    process = await start("negotiate_and_protect.py")
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    assert b"agreed: AES_CM_128_HMAC_SHA1_80" in printed
    assert b"the same packet again:" in printed


async def test_mikey_exchange() -> None:
    process = await start("mikey_exchange.py")
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed
    assert b"agreed: DHHMAC, AES_CM_128_HMAC_SHA1_80" in printed
    assert b"bob reads: hello" in printed


async def test_echo_endpoint(authority: TestAuthority) -> None:
    process = await start("echo_endpoint.py", "sip:echo@127.0.0.1", authority.issue("echo"), authority.ca_path)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
            assert line.startswith("answering on port "), line + (await process.stdout.read()).decode()
            uri = f"sip:echo@127.0.0.1:{line.split()[-1]};transport=tls"
            settings = EndpointSettings("sip:alice@127.0.0.1", tls=TlsFiles(ca_file=authority.ca_path))
            async with Endpoint(settings) as alice:
                call = await alice.call(uri)
                sending = asyncio.ensure_future(call.send_audio(tone(500, 3.0)))
                heard = [await call.receive_audio() for _ in range(75)]
                await call.hangup()
                await asyncio.gather(sending, return_exceptions=True)
            assert_tone(np.concatenate(heard), 500)
            while not line.startswith("media"):
                line = (await process.stdout.readline()).decode()
                assert line, "the example ended before its report"
            assert line == "media: secured\n"
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = await process.communicate()
    assert process.returncode == 0, rest.decode()
