"""With CI=true an interop test that skips fails the run; elsewhere it skips and says which program is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
ABSENT = """
import pytest

@pytest.mark.interop("no-such-program-here")
def test_needs_a_peer():
    raise AssertionError("must not run without its peer")
"""
SKIPPING = """
import pytest

@pytest.mark.interop
def test_skips_by_itself():
    pytest.skip("for no good reason")
"""
ORDINARY = """
import pytest

def test_skips_by_itself():
    pytest.skip("not for this processor")
"""


def run(folder: Path, source: str, *, ci: str | None) -> subprocess.CompletedProcess[str]:
    shutil.copy(TESTS / "conftest.py", folder / "conftest.py")
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = interop: needs peers\n")
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment["PYTHONPATH"] = str(TESTS / "support")
    if ci is not None:
        environment["CI"] = ci
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("source", [ABSENT, SKIPPING])
def test_a_skipped_interop_test_fails_in_ci(tmp_path: Path, source: str) -> None:
    done = run(tmp_path, source, ci="true")
    assert done.returncode == 1, done.stdout
    assert "an interop test may not skip in CI" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_elsewhere_it_skips_and_names_the_program(tmp_path: Path) -> None:
    done = run(tmp_path, ABSENT, ci=None)
    assert done.returncode == 0, done.stdout
    assert "no-such-program-here not installed" in done.stdout
    assert "1 skipped" in done.stdout


def test_other_tests_may_skip_in_ci(tmp_path: Path) -> None:
    done = run(tmp_path, ORDINARY, ci="true")
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
