"""The C kernels, checked by C programs: official vectors, the answers of other implementations, each table
against the portable one, sanitizers, another architecture, secrets in branches or indices."""

from __future__ import annotations

import hmac
import json
import platform
import random
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from native_programs import (
    CROSS_CC,
    CROSS_RUN,
    ROOT,
    SANITIZERS,
    VALGRIND,
    VALGRIND_TABLES,
    NativeBuilder,
    passes,
    require,
    run,
)

VECTORS = ROOT / "tests" / "vectors"
PARTS = ["kernels"]
CHECK_SOURCES = ["kernels_native/kernel_check.c", "kernels_native/kernel_random.c"]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def native_programs(native_builder: NativeBuilder) -> Path:
    programs = {"kernel_check": CHECK_SOURCES}
    if shutil.which("valgrind"):
        programs["kernel_secrets"] = ["kernels_native/kernel_secrets.c", "-Wl,--wrap=srtp_equal"]
    return native_builder.build(require("cc"), ["-O3"], PARTS, programs)


@pytest.fixture(scope="module")
def check_program(native_programs: Path) -> Path:
    return native_programs / "kernel_check"


@pytest.fixture(scope="module")
def secrets_program(native_programs: Path) -> Path:
    require("valgrind")
    return native_programs / "kernel_secrets"


@pytest.fixture(scope="module")
def sanitized_program(native_builder: NativeBuilder) -> Path:
    return native_builder.build(require("cc"), SANITIZERS, PARTS, {"kernel_check": CHECK_SOURCES}) / "kernel_check"


@pytest.fixture(scope="module")
def cross_program(native_builder: NativeBuilder) -> Path:
    programs = {"kernel_check": CHECK_SOURCES}
    return native_builder.build(require(CROSS_CC), ["-O3", "-static"], PARTS, programs) / "kernel_check"


def vector_file(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((VECTORS / name).read_text())
    return content


def word(data: bytes | str) -> str:
    text = data if isinstance(data, str) else data.hex()
    return text or "-"


def official_cases() -> Iterator[str]:
    """FIPS 197, SP 800-38A, RFC 3711 B.2, RFC 6188 7, RFC 2202, the GCM specification, RFC 7714."""
    aes = vector_file("aes.json")
    for case in aes["block"]:
        yield f"block {case['key']} {case['input']} {case['output']}"
    for case in aes["ctr"]:
        yield f"ctr {case['key']} {case['iv']} {case['input']} {case['output']}"
    for cm in (vector_file("rfc3711_b2.json"), *vector_file("rfc6188.json")["counter_mode"]):
        for case in cm["keystream"]:
            yield f"keystream {cm['session_key']} {cm['iv']} {16 * case['block']:08x} {case['output']}"
    for case in vector_file("rfc2202_hmac_sha1.json")["cases"]:
        yield f"hmac {case['key']} {word(case['data'])} {case['digest']}"
    for case in vector_file("gcm.json")["cases"]:
        texts = " ".join(word(case[name]) for name in ("aad", "plaintext", "ciphertext"))
        yield f"gcm {case['key']} {case['nonce']} {texts} {case['tag']}"


def foreign_cases() -> Iterator[str]:
    """Random inputs with the answers of other implementations: OpenSSL (cryptography) and hashlib."""
    source = random.Random(3711)
    for length in [*range(0, 300, 7), 160, 1200, 4096, 65535]:
        key = source.randbytes(source.choice((16, 24, 32)))
        iv = source.randbytes(12) + source.randbytes(3)[:2] + b"\x00\x00"
        data = source.randbytes(length)
        ctr = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
        yield f"ctr {word(key)} {word(iv)} {word(data)} {word(ctr.update(data))}"
        block = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        yield f"block {word(key)} {word(iv)} {word(block.update(iv))}"
        mac_key = source.randbytes(source.choice((0, 1, 20, 63, 64, 65, 94, 200)))
        yield f"hmac {word(mac_key)} {word(data)} {word(hmac.digest(mac_key, data, 'sha1'))}"
        nonce, aad = iv[:12], source.randbytes(source.choice((0, 12, 16, 20, 52, 200)))
        sealed = AESGCM(key).encrypt(nonce, data, aad)
        texts = f"{word(aad)} {word(data)} {word(sealed[:-16])}"
        yield f"gcm {word(key)} {word(nonce)} {texts} {word(sealed[-16:])}"


def all_cases() -> str:
    return "\n".join([*official_cases(), *foreign_cases()]) + "\n"


def test_vectors_on_every_table(check_program: Path) -> None:
    cases = all_cases()
    assert passes(run(check_program, "vectors", cases=cases)) == f"{cases.count(chr(10))} cases\n"


@pytest.mark.parametrize("kind", ["block", "ctr", "keystream", "hmac", "gcm"])
def test_a_wrong_answer_is_reported_by_every_table(check_program: Path, kind: str) -> None:
    tables = passes(run(check_program, "tables")).split()
    case = next(case for case in official_cases() if case.startswith(kind))
    wrong = case[:-1] + ("0" if case[-1] != "0" else "1")
    result = run(check_program, "vectors", cases=wrong + "\n")
    assert result.returncode == 1
    assert {line.split(":")[0] for line in result.stderr.splitlines()} == set(tables)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_table_agrees_with_the_portable_one(check_program: Path, seed: int) -> None:
    tables = passes(run(check_program, "tables")).split()
    expected = [f"{name}: 0 differences" for name in tables]
    assert passes(run(check_program, "random", str(seed))).splitlines() == expected


def test_sanitizers_find_nothing(sanitized_program: Path) -> None:
    passes(run(sanitized_program, "vectors", cases=all_cases()))
    passes(run(sanitized_program, "random", "4"))


def test_tables_of_this_cpu(check_program: Path) -> None:
    """The best table is the one that the CPU's flags promise, and the portable one is always there."""
    tables = passes(run(check_program, "tables")).split()
    assert tables[-1] == "portable"
    if platform.machine() == "x86_64" and Path("/proc/cpuinfo").exists():
        flags = set(Path("/proc/cpuinfo").read_text().split())
        needs = {
            "vaes512": {"vaes", "vpclmulqdq", "avx512bw", "avx512vl", "sha_ni"},
            "vaes256": {"vaes", "vpclmulqdq", "avx2", "sha_ni"},
            "aesni-shani": {"aes", "pclmulqdq", "sha_ni"},
            "aesni-avx512": {"aes", "pclmulqdq", "avx512bw", "avx512vl"},
            "aesni-avx2": {"aes", "pclmulqdq", "avx2"},
            "aesni": {"aes", "pclmulqdq"},
        }
        assert tables == [*(name for name, needed in needs.items() if needed <= flags), "portable"]


def test_the_environment_names_the_table(check_program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SRTP_KERNELS forces a table; a name that is not there gives none rather than another."""
    tables = passes(run(check_program, "tables")).split()
    for name in tables:
        monkeypatch.setenv("SRTP_KERNELS", name)
        assert passes(run(check_program, "chosen")) == f"{name}\n"
    monkeypatch.setenv("SRTP_KERNELS", "fastest")
    assert run(check_program, "chosen").returncode == 1
    monkeypatch.delenv("SRTP_KERNELS")
    assert passes(run(check_program, "chosen")) == f"{tables[0]}\n"


def test_aarch64_kernels_under_emulation(cross_program: Path) -> None:
    emulator = require(CROSS_RUN)
    assert passes(run(emulator, cross_program, "tables")).split() == ["armv8", "portable"]
    passes(run(emulator, cross_program, "vectors", cases=all_cases()))
    passes(run(emulator, cross_program, "random", "5"))


@pytest.mark.parametrize("module", ["session", "secret"])
def test_the_extension_compiles_for_aarch64(tmp_path: Path, module: str) -> None:
    """What Cython makes of our modules, and the packet logic; Python's headers do not differ among 64-bit CPUs."""
    compiler = require(CROSS_CC)
    source = tmp_path / f"{module}.c"
    cython = [sys.executable, "-m", "cython", "-3", str(ROOT / "srtp" / f"{module}.pyx"), "-o", str(source)]
    subprocess.run(cython, cwd=ROOT, check=True)
    includes = [f"-I{ROOT / 'srtp'}", f"-I{ROOT}", f"-I{sysconfig.get_path('include')}"]
    sources = [source, *sorted((ROOT / "srtp" / "core").glob("*.c"))] if module == "session" else [source]
    for one in sources:
        target = tmp_path / f"{one.stem}.o"
        subprocess.run([compiler, "-std=c11", *includes, "-c", str(one), "-o", str(target)], check=True)
        assert target.read_bytes()[18:20] == b"\xb7\0"  # EM_AARCH64


@pytest.mark.parametrize("table", VALGRIND_TABLES)
def test_no_branch_or_index_depends_on_a_secret(secrets_program: Path, table: str) -> None:
    result = run(require("valgrind"), *VALGRIND, secrets_program, table)
    if result.returncode == 3 and table != "portable":
        pytest.skip(f"valgrind offers no {table} here")
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize("leak", ["branch", "index"])
def test_a_leak_is_seen(secrets_program: Path, leak: str) -> None:
    result = run(require("valgrind"), *VALGRIND, secrets_program, leak)
    assert result.returncode == 9
    assert "ninitialised value" in result.stderr
