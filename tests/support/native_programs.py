"""C programs that check the kernels and the core without Python, built by a test with the flags it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRTP_TESTS = ROOT / "tests" / "srtp"
# DWARF 4: older valgrinds cannot read what newer compilers write by default.
FLAGS = ["-std=c11", "-gdwarf-4", "-Wall", "-Wextra", "-Werror", "-fno-strict-aliasing", f"-I{ROOT / 'srtp'}"]
SANITIZERS = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
THREAD_SANITIZER = ["-O1", "-fsanitize=thread", "-pthread"]
CROSS_CC = "aarch64-linux-gnu-gcc"
CROSS_RUN = "qemu-aarch64"
VALGRIND = ["-q", "--error-exitcode=9", "--exit-on-first-error=no"]
# The tables that valgrind can run: it has no SHA-NI, no VAES and no AVX-512.
VALGRIND_TABLES = ["portable", "aesni", "aesni-avx2"]


def require(program: str) -> str:
    """The path of a program; without it the test is skipped, except in CI, where it fails."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return path


def compile_files(directory: Path, compiler: str, flags: list[str], sources: list[Path]) -> list[str]:
    """Compiles each file by itself, as many at a time as there are CPUs; returns the object files."""

    def compile_file(source: Path) -> str:
        target = directory / f"{source.parent.name}-{source.stem}.o"
        subprocess.run([compiler, *FLAGS, *flags, "-c", str(source), "-o", str(target)], check=True)
        return str(target)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_file, sources))


class NativeBuilder:
    """Builds programs in a directory; what was compiled for one with the same flags serves the next."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._objects: dict[tuple[str, ...], dict[Path, str]] = {}

    def build(self, compiler: str, flags: list[str], parts: list[str], programs: dict[str, list[str]]) -> Path:
        """Builds programs, each from sources under tests/srtp, linker options among them, and the `parts` of srtp
        ("kernels", "core").

        Returns the directory they are in.
        """
        objects = self._objects.setdefault((compiler, *flags), {})
        directory = self._directory / str(list(self._objects).index((compiler, *flags)))
        directory.mkdir(exist_ok=True)
        common = [source for part in parts for source in sorted((ROOT / "srtp" / part).glob("*.c"))]
        own = {
            program: [SRTP_TESTS / one for one in sources if not one.startswith("-")]
            for program, sources in programs.items()
        }
        missing = list({*common, *(source for sources in own.values() for source in sources)} - set(objects))
        objects.update(zip(missing, compile_files(directory, compiler, flags, missing), strict=True))
        for program, sources in programs.items():
            linked = [objects[source] for source in (*own[program], *common)]
            options = [one for one in sources if one.startswith("-")]
            subprocess.run([compiler, *flags, *linked, *options, "-o", str(directory / program)], check=True)
        return directory


def run(*command: str | Path, cases: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a program with the cases on its standard input."""
    return subprocess.run([str(part) for part in command], input=cases, capture_output=True, text=True, timeout=240)


def passes(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout
