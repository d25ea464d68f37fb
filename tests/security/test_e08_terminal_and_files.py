"""What others have written on the user's terminal, and what others can read of his files."""

from __future__ import annotations

import ast
import asyncio
import base64
import io
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import securertc
from rtp import read_wav
from sdp.mikey import printer
from securertc.assurance.report import SecurityReport, Tier, TierStatus
from securertc.cli import main
from securertc.commands import dns as command_dns
from securertc.commands import ping as command_ping
from securertc.commands import register as command_register
from securertc.commands.display import report_table
from securertc.demo import run as demo
from securertc.demo.throwaway_authority import ThrowawayAuthority
from securertc.server.configuration import read_config
from securertc.tls_files import TlsFiles
from sip import NameAddr, SipUri, parse_message
from sip.discovery.dns_records import HostAddress, Naptr, Question, Srv
from sip.discovery.target import Target
from sip.transport.tls import VerifiedPeer

# ESC, CSI of C1, a bell, a title, right to left, an isolate, a zero-width joiner, a line of its own, markup of rich.
STEERING = "\x1b[2J\x9b31m\x07\x1b]0;t\x07\u202e\u2066\u200d\x85\u2028\r[red]"
STEERERS = frozenset(STEERING) - frozenset("[2J31m]0;tred")


def printed(*things) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=400)
    for one in things:
        console.print(one)
    return stream.getvalue()


def is_harmless(text: str) -> bool:
    return STEERERS.isdisjoint(text)


# The terminal.


def register_table():
    contact = NameAddr(
        SipUri("sip", "b", STEERING),
        "",
        (("pub-gruu", f'"{STEERING}"'), ("expires", STEERING), ("q", STEERING)),
    )
    return command_register.bindings_table(STEERING, (contact,))


def register_way():
    peer = VerifiedPeer("TLSv1.3", "c", STEERING, "SIP URI")
    return command_register._way(SimpleNamespace(remote=("192.0.2.1", 1), transport="tls", peer=peer, secure=True))


def register_proof():
    endpoint = SimpleNamespace(user_agent=SimpleNamespace(digest=None))
    return command_register._proof(SimpleNamespace(digest_algorithm=STEERING), endpoint)


def ping_way():
    peer = VerifiedPeer("TLSv1.3", "c", STEERING, "SIP URI")
    return command_ping.way_of(SimpleNamespace(remote=("192.0.2.1", 1), transport="tls", peer=peer, secure=True))


def dns_records():
    answers = (Naptr(1, 1, STEERING, STEERING, STEERING, STEERING), Srv(1, 1, 1, STEERING), HostAddress(STEERING))
    return command_dns.records_table([(Question(STEERING, "NAPTR"), answers)])


def dns_targets():
    return command_dns.targets_table(SipUri("sip", "b", STEERING), [Target("tls", STEERING, 5061, STEERING)])


def report():
    tier = Tier(TierStatus.SECURED, (("verified name", STEERING),))
    return report_table(SecurityReport(tier, tier, tier, tier), STEERING)


WRITERS = (register_table, register_way, register_proof, ping_way, dns_records, dns_targets, report)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda one: one.__name__)
def test_what_others_have_written_cannot_steer_the_terminal(writer):
    text = printed(writer())
    assert is_harmless(text), ascii(text)
    assert "[red]" in text.replace("\n", "") or "tls" in text


def test_shortfalls_and_hops_of_a_demo_cannot_either(monkeypatch):
    stream = io.StringIO()
    console = Console(file=stream, width=400)
    hop = SimpleNamespace(sender=STEERING, receiver=STEERING, what=STEERING, transport="tls", proven=False)
    demo._draw([hop], console)
    comparison = SimpleNamespace(exact=True)
    tier = Tier(TierStatus.NONE, ())
    report = SecurityReport(tier, tier, tier, tier)
    demo.print_result(
        demo.DemoResult(report, report, comparison, comparison, np.zeros(0, np.int16), (STEERING,)), console
    )
    text = stream.getvalue()
    assert is_harmless(text), ascii(text)
    assert text.count("[red]") == 4


def test_a_mikey_message_cannot_either(monkeypatch):
    inner = printer.Description("x", ((STEERING, "x"),))
    description = printer.Description(STEERING, ((STEERING, STEERING),), (inner,))
    monkeypatch.setattr("securertc.commands.mikey.Message.parse", lambda data: None)
    monkeypatch.setattr("securertc.commands.mikey.describe", lambda message, show_keys: [description])
    result = CliRunner().invoke(main, ["mikey", "show", base64.b64encode(b"x").decode()])
    assert result.exit_code == 0
    assert is_harmless(result.output), ascii(result.output)


def test_the_answer_of_a_registrar_cannot_either():
    """From the wire to the terminal: a GRUU of a stranger's registrar."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as registrar:
        registrar.bind(("127.0.0.1", 0))
        registrar.settimeout(20)

        def answer() -> None:
            data, address = registrar.recvfrom(65535)
            response = parse_message(data).create_response(200, to_tag="t")
            gruu = "sip:a@b;gr=\\\x9b31m\u202e\u2066x"
            response.headers.add("Contact", f'<sip:a@192.0.2.1>;expires=60;pub-gruu="{gruu}"')
            registrar.sendto(response.serialize(), address)

        thread = threading.Thread(target=answer)
        thread.start()
        uri = f"sip:alice@127.0.0.1:{registrar.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "securertc", "register", uri, "--query"],
            capture_output=True,
            timeout=30,
            env={**os.environ, "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"},
        )
        thread.join()
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "gr=" in text
    assert is_harmless(text), ascii(text)


def test_no_command_prints_text_that_nobody_looked_at():
    """A console escapes markup by escape() alone nowhere: shown() takes away what steers the terminal, too."""
    found = []
    for path in Path(securertc.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "escape":
                found.append(path.name)
    assert found == ["display.py"]


def test_the_console_itself_lets_no_c1_or_bidi_character_through(capsys):
    """For the day on which somebody forgets."""
    from securertc.commands.running import create_console

    create_console().print(f"[bold]a\x9bb\u202ec\u2066d[/] äöü 日本 ● {1}")
    assert capsys.readouterr().out.strip() == "a?b?c?d äöü 日本 ● 1"


# Files that others can read.


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory):
    authority = ThrowawayAuthority(tmp_path_factory.mktemp("authority"))
    issued = authority.issue("proxy", addresses=("127.0.0.1",))
    return TlsFiles(issued.certificate_path, issued.key_path, authority.certificate_path)


@pytest.fixture
def files(tmp_path, tls_files):
    """A configuration with its files, all as private as they have to be."""
    made = {"proxy.key": Path(tls_files.key).read_bytes(), "users": b"alice:secret\n"}
    config = (
        f'domains = ["example.com"]\n[[listen]]\ntransport = "tls"\nhost = "127.0.0.1"\nport = 0\n'
        f'[tls]\ncertificate = "{tls_files.certificate}"\nkey = "proxy.key"\n'
        f'[authentication]\nrealm = "example.com"\nusers = "users"\n'
        f'[location]\nstore = "sqlite"\npath = "location.db"\n'
    )
    for name, content in {**made, "proxy.toml": config.encode(), "location.db": b""}.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def check(folder):
    return CliRunner().invoke(main, ["proxy", "--config", str(folder / "proxy.toml"), "--check"])


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o606, 0o640, 0o400])
@pytest.mark.parametrize("name", ["proxy.key", "users", "proxy.toml", "location.db"])
def test_files_of_a_proxy_that_others_can_read_are_told_of(files, name, mode):
    (files / name).chmod(mode)
    result = check(files)
    assert result.exit_code == 0, result.output
    warnings = [line for line in result.output.splitlines() if line.startswith("warning: ")]
    assert bool(warnings) == bool(mode & 0o006)
    assert all(str(files / name) in line for line in warnings)
    assert len(warnings) <= 1


@pytest.mark.parametrize("command", ["call", "answer", "register", "ping"])
def test_a_key_that_others_can_read_is_told_of(files, tls_files, command, monkeypatch):
    """A key in a file of its own, and one beside its certificate."""
    both = files / "both.pem"
    both.write_bytes(Path(tls_files.certificate).read_bytes() + (files / "proxy.key").read_bytes())
    both.chmod(0o644)
    (files / "proxy.key").chmod(0o644)
    where = () if command == "answer" else ("sip:a@127.0.0.1:9;transport=tls",)
    for function in ("run_call", "run_answer", "run_register", "run_ping"):
        monkeypatch.setattr(f"securertc.cli.{function}", _nothing)
    for arguments, path in (
        (("--certificate", str(tls_files.certificate), "--key", str(files / "proxy.key")), files / "proxy.key"),
        (("--certificate", str(both)), both),
    ):
        result = CliRunner().invoke(main, [command, *where, *arguments])
        assert result.output.count(f"warning: {path} can be read by others") == 1
    private = ("--certificate", str(tls_files.certificate), "--key", str(tls_files.key))
    assert "warning" not in CliRunner().invoke(main, [command, *where, *private]).output


async def _nothing(*_):
    await asyncio.sleep(0)
    raise TimeoutError


def test_users_that_others_can_read_are_told_of(files, monkeypatch):
    monkeypatch.setattr("securertc.cli.run_answer", _nothing)
    arguments = ["answer", "--transport", "udp", "--users", str(files / "users")]
    assert "warning" not in CliRunner().invoke(main, arguments).output
    (files / "users").chmod(0o644)
    assert "warning: " in CliRunner().invoke(main, arguments).output


# What --check finds.


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:99999/0",
        "redis://127.0.0.1:0/0",
        "redis://127.0.0.1:port/0",
        "redis://:sec/ret@127.0.0.1:6379/0",
        "http://127.0.0.1:6379/0",
        "127.0.0.1:6379",
        "redis://[::1/0",
        "redis://127.0.0.1/0?socket_timeout=soon",
    ],
)
def test_a_redis_that_cannot_be_fails_the_check(files, url):
    config = files / "proxy.toml"
    config.write_text(config.read_text().replace('"sqlite"\npath = "location.db"', f'"redis"\nurl = "{url}"'))
    result = check(files)
    assert result.exit_code == 2
    assert "location.url" in result.output
    assert "Traceback" not in result.output
    assert "sec" not in result.output.partition("location.url")[2]


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:6379/0", "rediss://:pass@redis.example.com", "unix:///run/redis.sock"]
)
def test_a_redis_that_can_be_passes_the_check(files, url):
    config = files / "proxy.toml"
    config.write_text(config.read_text().replace('"sqlite"\npath = "location.db"', f'"redis"\nurl = "{url}"'))
    assert check(files).exit_code == 0
    assert url not in repr(read_config(config))


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("users", "alice\n", "line 1"),
        ("proxy.key", "no key", "no unencrypted key"),
        ("location.db", None, "location.path"),
    ],
)
def test_files_that_cannot_be_used_fail_the_check(files, name, content, text):
    if content is None:
        config = files / "proxy.toml"
        config.write_text(config.read_text().replace("location.db", "missing/location.db"))
    else:
        (files / name).write_text(content)
    result = check(files)
    assert (result.exit_code, text in result.output.replace("\n", " ")) == (2, True), result.output


# Where what was heard goes.


class FakeResult(SimpleNamespace):
    heard_by_callee = np.arange(800, dtype=np.int16)
    shortfalls = ()


@pytest.fixture
def demo_to(monkeypatch):
    """Runs a demo that heard something, and writes it to a file."""

    async def heard(audio, console):
        return FakeResult()

    monkeypatch.setattr("securertc.cli.run_demo", heard)
    monkeypatch.setattr("securertc.cli.print_result", lambda result, console: None)
    return lambda path, *more: CliRunner().invoke(main, ["demo", "--wav-out", str(path), *more])


def test_a_new_file_is_the_users_alone(tmp_path, demo_to):
    for more in ((), ("--force",)):
        path = tmp_path / f"heard{len(more)}.wav"
        assert demo_to(path, *more).exit_code == 0
        np.testing.assert_array_equal(read_wav(path), FakeResult.heard_by_callee)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_that_is_there_is_replaced_by_force_alone(tmp_path, demo_to):
    path, other = tmp_path / "heard.wav", tmp_path / "other"
    path.write_bytes(b"precious")
    os.link(path, other)
    result = demo_to(path)
    assert (result.exit_code, path.read_bytes()) == (2, b"precious")
    assert "--force" in result.output
    assert demo_to(path, "--force").exit_code == 0
    assert len(read_wav(path)) == 800
    assert other.read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("more", [(), ("--force",)])
@pytest.mark.parametrize("there", [True, False])
def test_no_link_is_followed(tmp_path, demo_to, more, there):
    victim, path = tmp_path / "victim", tmp_path / "heard.wav"
    if there:
        victim.write_bytes(b"precious")
    path.symlink_to(victim)
    assert demo_to(path, *more).exit_code == 2
    assert path.is_symlink()
    assert victim.exists() == there
    assert not there or victim.read_bytes() == b"precious"


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_a_link_made_during_the_call_is_not_followed_either(tmp_path, demo_to, monkeypatch, more):
    victim, path = tmp_path / "victim", tmp_path / "heard.wav"
    victim.write_bytes(b"precious")

    async def heard(audio, console):
        path.symlink_to(victim)
        return FakeResult()

    monkeypatch.setattr("securertc.cli.run_demo", heard)
    assert demo_to(path, *more).exit_code == 1
    assert victim.read_bytes() == b"precious"


def test_a_device_is_no_file(tmp_path, demo_to):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/null"):
        assert demo_to(path, "--force").exit_code == 2
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("command", ["demo", "call", "answer"])
def test_it_is_found_out_before_the_call(tmp_path, command, monkeypatch):
    path = tmp_path / "heard.wav"
    path.write_bytes(b"precious")
    where = {"demo": (), "call": ("sip:a@127.0.0.1",), "answer": ("--transport", "udp")}[command]
    for function in ("run_demo", "run_call", "run_answer"):
        monkeypatch.setattr(f"securertc.cli.{function}", lambda *_: pytest.fail("too late"))
    result = CliRunner().invoke(main, [command, *where, "--wav-out", str(path)])
    assert (result.exit_code, "--force" in result.output) == (2, True)
