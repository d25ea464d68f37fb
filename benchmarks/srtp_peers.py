"""Builds the C programs that ours is compared with: libsrtp over OpenSSL, and Intel's multi-buffer library.

Debian's own libsrtp2 is linked with NSS and several times slower, so its source is built again with OpenSSL. What
cannot be built here is left out, with the reason.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

NATIVE = Path(__file__).parent / "native"
LIBSRTP = "libsrtp-2.7.0"
LIBSRTP_URL = "http://deb.debian.org/debian/pool/main/libs/libsrtp2/libsrtp2_2.7.0.orig.tar.gz"
LIBSRTP_SHA256 = "54facb1727a557c2a76b91194dcb2d0a453aaf8e2d0cbbf1e3c2848c323e28ad"


@dataclass(frozen=True, slots=True)
class Peers:
    """The programs that could be built, and why the others could not."""

    programs: tuple[Path, ...]
    missing: tuple[str, ...]


def build(directory: Path) -> Peers:
    """Builds into a directory, where a later run finds what has been built."""
    directory.mkdir(parents=True, exist_ok=True)
    programs, missing = [], []
    for name, make in (("libsrtp_bench", _libsrtp), ("ipsec_mb_bench", _ipsec_mb)):
        program = directory / name
        source = NATIVE / f"{name}.c"
        try:
            if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
                make(directory, source, program)
            programs.append(program)
        except (OSError, subprocess.CalledProcessError) as error:
            missing.append(f"{name}: {error}")
    return Peers(tuple(programs), tuple(missing))


def _libsrtp(directory: Path, source: Path, program: Path) -> None:
    tree = directory / LIBSRTP
    library = tree / "libsrtp2.a"
    if not library.exists():
        archive = directory / f"{LIBSRTP}.tar.gz"
        with urllib.request.urlopen(LIBSRTP_URL, timeout=60) as response:
            data = response.read()
        if hashlib.sha256(data).hexdigest() != LIBSRTP_SHA256:
            raise OSError(f"{LIBSRTP_URL} is not the file it was")
        archive.write_bytes(data)
        with tarfile.open(archive) as opened:
            opened.extractall(directory, filter="data")
        _run(["./configure", "--enable-openssl", "CFLAGS=-O3"], tree)
        _run(["make", "libsrtp2.a"], tree)
    include = [f"-I{tree / 'include'}", f"-I{tree / 'crypto' / 'include'}"]
    _run(["cc", "-O3", "-std=gnu11", *include, str(source), str(library), "-lcrypto", "-o", str(program)], directory)


def _ipsec_mb(directory: Path, source: Path, program: Path) -> None:
    _run(["cc", "-O3", "-std=gnu11", str(source), "-lIPSec_MB", "-o", str(program)], directory)


def _run(command: list[str], directory: Path) -> None:
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
