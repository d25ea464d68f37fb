"""Fixtures of the SRTP tests."""

from __future__ import annotations

import pytest
from native_programs import NativeBuilder


@pytest.fixture(scope="session")
def native_builder(tmp_path_factory: pytest.TempPathFactory) -> NativeBuilder:
    """Builds C programs of the kernels and the core, in a directory of this test run."""
    return NativeBuilder(tmp_path_factory.mktemp("native"))
