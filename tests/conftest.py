"""Fixtures and rules for all tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import uvloop
from peers.authority import TestAuthority
from peers.process import missing_programs

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """The folder of message corpora beside the repository; skips where it is not, except in CI."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "vectors"
    if not folder.is_dir():
        if IN_CI:
            pytest.fail(f"the message corpora are not at {folder}")
        pytest.skip("the message corpora do not lie beside this checkout (../shared/vectors)")
    return folder


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    """A certificate authority of this test run."""
    return TestAuthority(tmp_path_factory.mktemp("authority"))


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A test marked every_loop runs once on each event loop that programs use."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.get_closest_marker("every_loop") is not None:
        factories["uvloop"] = uvloop.new_event_loop
    return factories


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each file in one process, and all tests that start peers in one, where tests are shared among several."""
    for item in items:
        peers = item.get_closest_marker("interop") is not None
        item.add_marker(pytest.mark.xdist_group("interop" if peers else item.path.name))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked interop("program", …) needs these programs: without them it skips, in CI it fails."""
    for marker in item.iter_markers("interop"):
        missing = missing_programs(*marker.args)
        if missing:
            pytest.skip(f"{', '.join(missing)} not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, where all peers are installed, a skipped interop test is a failure."""
    report = yield
    if IN_CI and report.skipped and item.get_closest_marker("interop") is not None:
        report.outcome = "failed"
        report.longrepr = f"an interop test may not skip in CI: {report.longrepr}"
    return report
