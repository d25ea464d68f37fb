"""Counting for all tests of faults that run on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from leaks import counted


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fails the test when a task or a socket outlives it."""
    async with counted():
        yield
