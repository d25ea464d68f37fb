"""The C core, checked by C programs without Python: vectors, random packets, sanitizers, another architecture,
threads, secrets in branches or indices."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from native_programs import (
    CROSS_CC,
    CROSS_RUN,
    ROOT,
    SANITIZERS,
    THREAD_SANITIZER,
    VALGRIND,
    VALGRIND_TABLES,
    NativeBuilder,
    passes,
    require,
    run,
)

PARTS = ["core", "kernels"]
SETUP = "core_native/core_setup.c"
CHECK = {"core_check": ["core_native/core_check.c", "core_native/core_random.c", SETUP]}
WRAPPED = "-Wl,--wrap=srtp_equal"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def native_programs(native_builder: NativeBuilder) -> Path:
    programs = dict(CHECK)
    if shutil.which("valgrind"):
        programs["core_secrets"] = ["core_native/core_secrets.c", SETUP, WRAPPED]
    return native_builder.build(require("cc"), ["-O3"], PARTS, programs)


@pytest.fixture(scope="module")
def sanitized_program(native_builder: NativeBuilder) -> Path:
    return native_builder.build(require("cc"), SANITIZERS, PARTS, CHECK) / "core_check"


@pytest.fixture(scope="module")
def cross_program(native_builder: NativeBuilder) -> Path:
    return native_builder.build(require(CROSS_CC), ["-O3", "-static"], PARTS, CHECK) / "core_check"


@pytest.fixture(scope="module")
def threads_program(native_builder: NativeBuilder) -> Path:
    programs = {"core_threads": ["core_native/core_threads.c", SETUP]}
    return native_builder.build(require("cc"), THREAD_SANITIZER, PARTS, programs) / "core_threads"


def vector_file(name: str) -> Any:
    return json.loads((ROOT / "tests" / "vectors" / name).read_text())


def cases() -> Iterator[str]:
    """RFC 3711 B.1 and B.3, RFC 6188 7.2 and 7.4, RFC 7714 16 and 17."""
    for one in (vector_file("rfc3711_b3.json"), *vector_file("rfc6188.json")["key_derivation"]):
        parts = ("master_key", "master_salt", "cipher_key", "cipher_salt", "auth_key")
        yield " ".join(["derive", "01", *(one[part] for part in parts)])
    f8 = vector_file("rfc3711_b1.json")
    yield " ".join(["f8", *(f8[part] for part in ("key", "salt", "iv", "plaintext", "ciphertext"))])
    gcm = vector_file("rfc7714.json")
    for one in gcm["rtp"]:
        yield " ".join(["gcm_rtp", *(one[part] for part in ("key", "salt", "plain", "protected"))])
    for one in gcm["rtcp"]:
        yield " ".join(["gcm_rtcp", *(one[part] for part in ("key", "salt", "esrtcp_word", "plain", "protected"))])


ALL_CASES = "\n".join(cases()) + "\n"


@pytest.mark.parametrize("case", vector_file("rfc7714.json")["rtp"] + vector_file("rfc7714.json")["rtcp"])
def test_the_vectors_of_rfc_7714_are_right(case: dict[str, str]) -> None:
    """By another implementation: numbers of an RFC have been wrong before."""
    values = {name: bytes.fromhex(value) for name, value in case.items() if name != "section"}
    plain, protected = values["plain"], values["protected"]
    if "esrtcp_word" in case:
        word = int.from_bytes(values["esrtcp_word"])
        counter = int.from_bytes(plain[4:8]) << 48 | word & 0x7FFFFFFF
        header, text = (plain[:8], plain[8:]) if word >> 31 else (plain, b"")
        aad, behind = header + values["esrtcp_word"], values["esrtcp_word"]
    else:
        counter = int.from_bytes(plain[8:12]) << 48 | int.from_bytes(plain[2:4])
        header = aad = plain[:12]
        text, behind = plain[12:], b""
    nonce = (int.from_bytes(values["salt"]) ^ counter).to_bytes(12)
    assert header + AESGCM(values["key"]).encrypt(nonce, text, aad) + behind == protected


def test_vectors_on_every_table(native_programs: Path) -> None:
    found = passes(run(native_programs / "core_check", "vectors", cases=ALL_CASES))
    assert found == f"{ALL_CASES.count(chr(10))} cases\n"


@pytest.mark.parametrize("kind", ["derive", "f8", "gcm_rtp", "gcm_rtcp"])
def test_a_wrong_answer_is_reported(native_programs: Path, kind: str) -> None:
    case = next(case for case in cases() if case.startswith(kind))
    wrong = case[:-1] + ("0" if case[-1] != "0" else "1")
    result = run(native_programs / "core_check", "vectors", cases=wrong + "\n")
    assert result.returncode == 1
    assert "differs" in result.stderr


def agree(result: str) -> None:
    lines = result.splitlines()
    assert lines[-1].startswith("portable: ")
    for line in lines:
        found = re.fullmatch(r"\S+: 0 differences, (\d+) packets received", line)
        assert found, line
        assert int(found[1]) > 2000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_tables_batches_and_single_calls_agree(native_programs: Path, seed: int) -> None:
    agree(passes(run(native_programs / "core_check", "random", str(seed))))


def test_sanitizers_find_nothing(sanitized_program: Path) -> None:
    passes(run(sanitized_program, "vectors", cases=ALL_CASES))
    agree(passes(run(sanitized_program, "random", "4")))


def test_the_core_of_aarch64_under_emulation(cross_program: Path) -> None:
    emulator = require(CROSS_RUN)
    passes(run(emulator, cross_program, "vectors", cases=ALL_CASES))
    found = passes(run(emulator, cross_program, "random", "5"))
    assert [line.split(":")[0] for line in found.splitlines()] == ["armv8", "portable"]
    agree(found)


def test_threads_have_no_races(threads_program: Path) -> None:
    """ThreadSanitizer sees any access that the direction's lock does not order."""
    passes(run(threads_program))


def test_a_race_is_seen(threads_program: Path) -> None:
    result = run(threads_program, "unlocked")
    assert result.returncode != 0
    assert "data race" in result.stderr


@pytest.mark.parametrize("table", VALGRIND_TABLES)
def test_no_branch_or_index_depends_on_a_secret(native_programs: Path, table: str) -> None:
    """Whole packets of every profile and rule, with the session keys and the payloads secret."""
    valgrind = require("valgrind")
    result = run(valgrind, *VALGRIND, native_programs / "core_secrets", table)
    if result.returncode == 3 and table != "portable":
        pytest.skip(f"valgrind offers no {table} here")
    assert result.returncode == 0, result.stderr[-2000:]


@pytest.mark.parametrize("place", ["key", "payload"])
def test_the_secrets_are_marked(native_programs: Path, place: str) -> None:
    """A branch on the first bit of what is to be secret is seen."""
    result = run(require("valgrind"), *VALGRIND, native_programs / "core_secrets", "portable", place)
    assert result.returncode == 9
    assert "ninitialised value" in result.stderr
