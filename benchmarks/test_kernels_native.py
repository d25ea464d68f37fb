"""Prints what each C kernel costs per packet, and Intel's multi-buffer library beside it where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NATIVE = Path(__file__).parent / "native"
FLAGS = ["-O3", "-std=c11", "-fno-strict-aliasing", f"-I{ROOT / 'srtp'}"]
ROUNDS = "101"


def compiler() -> str:
    path = shutil.which("cc")
    if path is None:
        pytest.skip("cc is not installed")
    return path


def show(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = subprocess.run([program, ROUNDS], check=True, capture_output=True, text=True)
    with capsys.disabled():
        print(f"\n{result.stdout}")


def test_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernels = sorted((ROOT / "srtp" / "kernels").glob("*.c"))
    program = tmp_path / "kernel_bench"
    subprocess.run([compiler(), *FLAGS, NATIVE / "kernel_bench.c", *kernels, "-o", program], check=True)
    show(program, capsys)


def test_ipsec_mb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "ipsec_mb_bench"
    if not Path("/usr/include/intel-ipsec-mb.h").exists():
        pytest.skip("libipsec-mb-dev is not installed")
    source = NATIVE / "ipsec_mb_bench.c"
    subprocess.run([compiler(), "-O3", "-std=gnu11", source, "-lIPSec_MB", "-o", program], check=True)
    show(program, capsys)
