"""The sdist and the wheel: built with isolation, installed into empty environments, complete and nothing more."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("srtp", "rtp", "sdp", "sip", "securertc")
pytestmark = pytest.mark.timeout(600)
CHECK = """
import importlib.resources, srtp, rtp, sdp, sip, securertc
assert "site-packages" in srtp.__file__, srtp.__file__
assert (importlib.resources.files("securertc.demo") / "audio" / "melody.wav").is_file()
policy = srtp.Policy(srtp.Profile.AES_CM_128_HMAC_SHA1_80, bytes(16), bytes(14))
packet = bytes([128, 0, 0, 1]) + bytes(8) + b"payload"
assert srtp.Session(None, policy).unprotect(srtp.Session(policy, None).protect(packet)) == packet
"""


def run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, from a copy of what git tracks."""
    source = tmp_path_factory.mktemp("source")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", "dist", ".", cwd=source)
    run(sys.executable, "-c", "from setuptools import build_meta; build_meta.build_sdist('dist')", cwd=source)
    return source / "dist"


def test_wheel_holds_the_packages_and_nothing_else(built: Path):
    [wheel] = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    for wanted in (
        "sdp/dtls/dtls_connection.py",
        "srtp/session.pyi",
        "srtp/secret.pyi",
        "sip/message/head_scanner.pyi",
    ):
        assert wanted in names
    for extension in (
        "srtp/session.",
        "srtp/secret.",
        "sip/message/head_scanner.",
        "sip/message/header_rows.",
        "sip/message/message_writer.",
    ):
        assert sum(name.startswith(extension) and name.endswith(".so") for name in names) == 1
    assert not [name for name in names if name.endswith((".c", ".txt")) and ".dist-info" not in name]


def test_sdist_holds_what_building_needs(built: Path):
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "LICENSE",
        "README.md",
        "setup.py",
        "srtp/session.pyx",
        "srtp/kernels/kernels.h",
        "srtp/core/protect.c",
        "sip/message/head_scanner.pyx",
    }
    assert wanted <= names
    assert not {"srtp/session.c", "sip/message/head_scanner.c"} & names


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_installs_into_an_empty_environment(built: Path, tmp_path: Path, kind: str):
    [distribution] = built.glob(kind)
    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", distribution, cwd=tmp_path)
    run(python, "-c", CHECK, cwd=tmp_path)
    run(tmp_path / "venv" / "bin" / "securertc", "--version", cwd=tmp_path)
