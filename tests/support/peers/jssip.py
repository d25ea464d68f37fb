"""JsSIP, a SIP stack of browsers, as a peer: run by node, which npm installs it for."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from .process import PeerError

SOURCE = Path(__file__).with_name("jssip")
# Where npm puts it, once for all runs.
MODULES = Path(__file__).resolve().parents[3] / "build" / "jssip"


def install() -> None:
    """Installs what package.json says, where it is not installed yet; raises PeerError when npm cannot."""
    wanted = (SOURCE / "package.json").read_text()
    MODULES.mkdir(parents=True, exist_ok=True)
    installed = MODULES / "installed.json"  # what of package.json was installed whole
    with (MODULES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at it
        if installed.exists() and installed.read_text() == wanted:
            return
        shutil.copy(SOURCE / "package.json", MODULES)
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=MODULES, capture_output=True, text=True, timeout=100)
        if done.returncode:
            raise PeerError(f"npm could not install JsSIP: {done.stderr[-2000:]}")
        installed.write_text(wanted)


class JsSipPhone:
    """A phone in a browser that is none. do() gives it a command, expect() waits for one of its events."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.seen: list[dict[str, Any]] = []

    async def do(self, command: str, **more: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": command, **more}).encode() + b"\n")
        await self._process.stdin.drain()

    async def expect(self, event: str) -> dict[str, Any]:
        """Returns the next event of a name, which has to come in 20 s; those before it are in `seen`."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(20):
                while line := await self._process.stdout.readline():
                    with contextlib.suppress(ValueError):
                        found: dict[str, Any] = json.loads(line)
                        self.seen.append(found)
                        if found["event"] == event:
                            return found
        except TimeoutError:
            raise PeerError(f"JsSIP had no {event}, but {self.seen}") from None
        raise PeerError(f"JsSIP ended before {event}: {self.seen}")


@contextlib.asynccontextmanager
async def jssip_phone(url: str, uri: str, password: str, *, ca_path: Path, **more: Any) -> AsyncIterator[JsSipPhone]:
    """Runs a phone for `uri`, sip:NAME@DOMAIN, that connects to the WebSocket `url`."""
    name = uri.removeprefix("sip:").partition("@")[0]
    settings = {"url": url, "uri": uri, "user": name, "password": password, "media_port": 40000, **more}
    environment = {
        **os.environ,
        "NODE_PATH": str(MODULES / "node_modules"),
        "NODE_EXTRA_CA_CERTS": str(ca_path),
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SOURCE / "phone.cjs"),
        json.dumps(settings),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        yield JsSipPhone(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
