"""The order of the tree: imports go one way, each package stands alone, importing does no work, files stay short."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Package to those of ours it may import, directly or in `if TYPE_CHECKING`.
MAY_IMPORT = {
    "srtp": set(),
    "rtp": {"srtp"},
    "sdp": {"srtp"},
    "sip": {"sdp", "srtp"},
    "securertc": {"srtp", "rtp", "sdp", "sip"},
}
# Package to what it needs from outside the standard library.
CORE = {"numpy", "cryptography", "click", "rich"}
NEEDS = {"srtp": set(), "sdp": set(), "rtp": {"numpy"}, "sip": {"cryptography"}, "securertc": CORE}
OUTSIDE = CORE | {"OpenSSL", "aioice", "dns"}  # the last three are extras, which nothing may need unasked
SOURCE_FOLDERS = (*MAY_IMPORT, "tests", "benchmarks", "examples")
SOURCE_SUFFIXES = {".py", ".pyi", ".pyx", ".pxd", ".c", ".h", ".cfg", ".xml"}
# Written by Cython at build time, not by us.
GENERATED = {f"{path.with_suffix('.c').relative_to(ROOT)}" for path in ROOT.glob("s*p/**/*.pyx")}
LONGEST_FILE = 600

IMPORT_PROBE = """
import sys, threading, json
events = []
watched = ("socket.", "subprocess.", "os.system", "os.mkdir", "os.remove", "os.rename", "sqlite3", "urllib")
def hook(event, arguments):
    if event.startswith(watched) or event == "open" and is_writing(arguments):
        events.append((event, repr(arguments)))
def is_writing(arguments):
    mode = arguments[1]
    return isinstance(mode, str) and bool(set(mode) & set("wax+")) and not str(arguments[0]).endswith(".pyc")
sys.addaudithook(hook)
before = set(sys.modules)
__import__(sys.argv[1])
json.dump({
    "events": events,
    "threads": threading.active_count(),
    "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - before}),
}, sys.stdout)
"""


def imported_by(source: str) -> Iterator[str]:
    """The top-level names that a module imports absolutely, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def backward_imports(folder: Path, package: str) -> list[str]:
    """What modules of `package` import of ours that they must not, as "file: name"."""
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    found = []
    for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.pyi")]):
        found += [f"{path.name}: {name}" for name in imported_by(path.read_text()) if name in forbidden]
    for path in sorted([*folder.rglob("*.pyx"), *folder.rglob("*.pxd")]):
        for line in path.read_text().splitlines():
            words = line.replace(",", " ").split()
            if words[:1] in (["from"], ["import"], ["cimport"]):
                found += [f"{path.name}: {name}" for name in forbidden if words[1].partition(".")[0] == name]
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    assert backward_imports(ROOT / package, package) == []


def test_a_backward_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def late():\n    from sip.uri import SipUri\n")
    (tmp_path / "two.pyx").write_text("from sdp cimport thing\n")
    (tmp_path / "fine.py").write_text("from srtp import Policy\nfrom .sip import x\n")
    assert backward_imports(tmp_path, "rtp") == ["one.py: sip", "two.pyx: sdp"]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_importing_starts_nothing(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_PROBE, package], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["events"] == []
    assert found["threads"] == 1
    outside = set(found["modules"]) & OUTSIDE
    assert outside <= NEEDS[package], f"{package} alone brings in {sorted(outside)}"


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    for compiled in (ROOT / package).rglob("*.pyx"):
        assert compiled.with_suffix(".pyi").is_file()


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for folder in SOURCE_FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in SOURCE_SUFFIXES and str(path.relative_to(ROOT)) not in GENERATED
    }
    assert len(lengths) > 100
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_file_is_named_after_nothing(package: str) -> None:
    vague = {"util", "utils", "helper", "helpers", "manager", "misc", "common"}
    assert not {path.stem for path in (ROOT / package).rglob("*.py*")} & vague


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_errors_are_one_hierarchy_in_one_file(package: str) -> None:
    """Every error stands in errors.py, below the first one there."""
    errors = importlib.import_module(f"{package}.errors")
    own = [one for one in vars(errors).values() if isinstance(one, type) and one.__module__ == errors.__name__]
    raised = [one for one in own if issubclass(one, Exception)]
    assert raised
    assert all(issubclass(one, raised[0]) for one in raised)
    for path in (ROOT / package).rglob("*.py"):
        if path.name != "errors.py":
            classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
            assert [name for name in classes if name.endswith("Error") and name[0] != "_"] == [], path.name


def folders() -> list[str]:
    """Every folder of code that git keeps, as "sip/message", those of C included."""
    found = {path.parent.relative_to(ROOT) for package in MAY_IMPORT for path in (ROOT / package).rglob("*.[pc]*")}
    return sorted(str(folder) for folder in found if folder.name != "__pycache__")


def test_the_map_has_each_folder_in_a_line_of_its_own() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    lines = text.partition("```\n")[2].partition("```")[0].splitlines()
    listed: list[str] = []
    for line in lines:
        name = line.split()[0].rstrip("/")
        listed.append(name if line[0] != " " else f"{listed_package(listed)}/{name}")
    assert sorted(listed) == folders()
    assert max(map(len, text.splitlines())) <= 128


def listed_package(listed: list[str]) -> str:
    """The package that the last line was of."""
    return listed[-1].partition("/")[0]


@pytest.mark.parametrize("folder", [folder for folder in folders() if (ROOT / folder / "__init__.py").is_file()])
def test_a_folder_has_a_face(folder: str) -> None:
    """It says in a line what is in the folder, and its `__all__` names what others may use."""
    face = importlib.import_module(folder.replace("/", "."))
    assert face.__doc__
    modules_only = {"securertc.commands"}
    assert (face.__name__ in modules_only) != hasattr(face, "__all__")
    for name in getattr(face, "__all__", ()):
        assert getattr(face, name) is not None, name


def imports_past_a_face(package: str, text: str) -> list[str]:
    """The modules inside other packages' folders that a text imports from, where their faces are to be used."""
    packages = "|".join(MAY_IMPORT)
    named = re.findall(rf"^\s*from ((?:{packages})\.\w+\.\w+) import", text, flags=re.MULTILINE)
    return [name for name in named if name.partition(".")[0] != package]


@pytest.mark.parametrize("package", [*MAY_IMPORT, "docs", "examples", "README.md"])
def test_others_import_from_faces(package: str) -> None:
    root = ROOT / package
    texts = [root] if root.is_file() else [path for path in root.rglob("*") if path.suffix in {".py", ".md"}]
    assert texts
    past = {path.name: imports_past_a_face(package, path.read_text()) for path in texts}
    assert {name: modules for name, modules in past.items() if modules} == {}


def test_an_import_past_a_face_is_found() -> None:
    text = "from sip.message.uri import SipUri\nfrom sip.message import SipUri\n"
    assert imports_past_a_face("securertc", text) == ["sip.message.uri"]
    assert imports_past_a_face("sip", text) == []
