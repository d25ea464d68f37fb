"""What pyproject.toml wants at least is what works: CI runs tests at the lowest bounds of all dependencies."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

import securertc

ROOT = Path(__file__).resolve().parents[2]
# The last versions seen to fail, or withdrawn by their makers.
TOO_OLD = {
    "aioice": (0, 10, 1),
    "pyopenssl": (25, 0),
    "cryptography": (45, 0, 0),
    "dnspython": (2, 6, 0),
    "websockets": (13, 0),
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lowest_bounds", ROOT / ".ci" / "lowest_bounds.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bounds(script: ModuleType) -> dict[str, str]:
    return script.lowest_bounds((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("package", TOO_OLD)
def test_versions_that_fail_are_not_allowed(script: ModuleType, package: str) -> None:
    assert tuple(int(part) for part in bounds(script)[package].split(".")) > TOO_OLD[package]


def test_ci_runs_the_tests_at_the_lowest_bounds() -> None:
    assert "\nmake test-lowest\n" in (ROOT / ".ci" / "run").read_text()
    assert "\ntest-lowest: " in (ROOT / "Makefile").read_text()


def test_every_requirement_has_a_lower_bound(script: ModuleType) -> None:
    assert len(bounds(script)) > 15
    text = (ROOT / "pyproject.toml").read_text()
    for unbounded in ('"click"', '"click<9"', '"click>=8,<9"'):
        with pytest.raises(ValueError, match="click"):
            script.lowest_bounds(text.replace('"click>=8.2"', unbounded))


@pytest.mark.skipif("AT_LOWEST_BOUNDS" not in os.environ, reason="make test-lowest runs it")
def test_this_is_what_is_installed_here(script: ModuleType) -> None:
    lint = {"build", "cython-lint", "mypy", "ruff"}
    for package, bound in bounds(script).items():
        if package not in lint:
            installed = importlib.metadata.version(package)
            assert installed.startswith(bound), f"{package} is {installed}, not {bound}"
    assert "site-packages" in securertc.__file__
