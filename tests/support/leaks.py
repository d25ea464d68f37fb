"""What must not outlive a test: tasks and sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path


def open_sockets() -> int:
    """Counts the sockets of this process."""
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
    found = 0
    for link in links:
        with contextlib.suppress(OSError):
            found += os.readlink(link).startswith("socket:")
    return found


@contextlib.asynccontextmanager
async def counted() -> AsyncIterator[None]:
    """Fails when a task or a socket outlives what is within."""
    tasks, sockets = len(asyncio.all_tasks()), open_sockets()
    yield
    for _ in range(40):
        if len(asyncio.all_tasks()) <= tasks and open_sockets() <= sockets:
            break
        await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) <= tasks, asyncio.all_tasks()
    assert open_sockets() <= sockets
