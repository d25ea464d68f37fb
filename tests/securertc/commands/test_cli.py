"""The command line: what it prints, what it returns, and that it never shows a traceback."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from rtp import decode_pcmu, encode_pcmu, read_wav, write_wav
from securertc.cli import main
from securertc.commands.display import media_line
from securertc.demo import run as demo_module
from securertc.demo.audio_comparison import AudioComparison
from securertc.demo.melody import shipped_melody
from securertc.demo.throwaway_authority import ThrowawayAuthority
from securertc.media.statistics import MediaStatistics
from sip import parse_message

COMMAND = [sys.executable, "-m", "securertc"]


def run(*arguments: str, **more) -> object:
    return CliRunner().invoke(main, list(arguments), **more)


def test_demo_proves_the_call(tmp_path):
    heard = tmp_path / "heard.wav"
    done = subprocess.run([*COMMAND, "demo", "--seconds", "1", "--wav-out", str(heard)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.count("all 8000 samples exact") == 2
    facts = ("TLSv1.3", "local.edu (SIP URI)", "remote.edu (SIP URI)", "SHA-256", "AEAD_AES_256_GCM")
    for fact in (*facts, "visible to", "50 RTP", "phone31.remote.edu", "407 Proxy", "BYE"):
        assert fact in done.stdout
    for tier in ("transaction", "identity", "body", "media"):
        assert len(re.findall(rf"│ {tier} ", done.stdout)) == 2
    assert "\x1b" not in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    np.testing.assert_array_equal(read_wav(heard), decode_pcmu(encode_pcmu(shipped_melody()[:8000])))


def test_demo_leaves_no_files(tmp_path):
    done = subprocess.run(
        [*COMMAND, "demo", "--seconds", "0.2"], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True
    )
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_files(tmp_path, number):
    demo = subprocess.Popen(
        [*COMMAND, "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a shell is deaf to Ctrl-C, and so would be what it starts.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    while "established" not in (line := demo.stdout.readline()):
        assert line
    assert list(tmp_path.iterdir())
    demo.send_signal(number)
    _, err = demo.communicate(timeout=20)
    assert (demo.returncode, err) == (3, "interrupted\n")
    assert not list(tmp_path.iterdir())


def test_demo_prints_where_there_is_only_ascii():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run([*COMMAND, "demo", "--seconds", "0.2"], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"AEAD_AES_256_GCM" in done.stdout


def test_demo_plays_my_own_file(tmp_path):
    own = tmp_path / "own.wav"
    write_wav(own, (np.sin(np.arange(2500) / 9) * 8000).astype(np.int16))
    result = run("demo", "--wav-in", str(own))
    assert result.exit_code == 0, result.output
    assert result.output.count("all 2500 samples exact") == 2


def test_demo_fails_when_the_media_is_not_secured(monkeypatch):
    """With one side that talks itself out of SRTP the demonstration must not pass."""
    from securertc import MediaSecurity, SecurityPolicy

    monkeypatch.setattr(demo_module, "EndpointSettings", _with_policy(SecurityPolicy(media=MediaSecurity.OFF)))
    result = run("demo", "--seconds", "0.2")
    assert result.exit_code == 1, result.output
    assert result.output.count("SRTP is required") == 2
    assert "NOT ENCRYPTED" in result.output


def _with_policy(policy):
    from securertc import EndpointSettings

    return lambda aor, **more: EndpointSettings(aor, **{**more, "policy": policy})


def test_demo_fails_when_the_audio_differs(monkeypatch):
    monkeypatch.setattr(demo_module, "compare", lambda *_, **__: AudioComparison(100, 100, 90, 0))
    result = run("demo", "--seconds", "0.2")
    assert result.exit_code == 1
    assert "MISMATCH: 90 of 100" in result.output


def test_demo_fails_without_the_digest_it_asked_for(monkeypatch):
    monkeypatch.setattr(demo_module, "DIGEST_ALGORITHM", "SHA-512-256")
    original = demo_module._fell_short
    monkeypatch.setattr(demo_module, "_fell_short", lambda who, report: _expecting_sha256(original, who, report))
    result = run("demo", "--seconds", "0.2")
    assert result.exit_code == 1
    assert "Digest by SHA-256 was asked, and was SHA-512-256" in result.output


def _expecting_sha256(original, who, report):
    demo_module.DIGEST_ALGORITHM = "SHA-256"
    return original(who, report)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("call", "tel:123"), "URI"),
        (("call", "bob"), "URI"),
        (("call", "sip:bob@remote.example", "--aor", "alice"), "--aor"),
        (("call", "sip:bob@remote.example", "--media", "maybe"), "--media"),
        (("answer",), "--certificate"),
        (("answer", "--transport", "udp", "--users", "/nonexistent"), "--users"),
        (("demo", "--wav-in", __file__), "no WAV file"),
        (("call", "sip:bob@127.0.0.1", "--username", "alice"), "SECURERTC_PASSWORD"),
        (("demo", "--wav-out", "/nonexistent/heard.wav"), "--wav-out"),
        (("call", "sip:bob@127.0.0.1", "--host", "localhost"), "no numeric address"),
        (("call", "sip:bob@127.0.0.1", "--host", "203.0.113.7"), "no address of this machine"),
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments, text):
    result = run(*arguments)
    assert result.exit_code == 2
    assert text in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("sip:bob@127.0.0.1:1;transport=udp",), "SRTP is required"),
        (("sip:bob@127.0.0.1:1;transport=tls",), "error: tls:127.0.0.1:1: Connection refused"),
        (("sip:bob@127.0.0.1:1;transport=sctp",), "sctp"),
        (("sip:bob@no-such-host.invalid;transport=tls",), "error: no-such-host.invalid: the name has no address"),
        (("sip:bob@127.0.0.1:1;transport=tls", "--ca-file", __file__), "holds no PEM certificate of an authority"),
        (("sip:bob@127.0.0.1:1;transport=tls", "--certificate", __file__), "holds no PEM certificate"),
    ],
)
def test_a_call_that_cannot_be_says_why(arguments, text):
    result = run("call", *arguments)
    assert result.exit_code == 3, result.output
    assert text in result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


@contextlib.contextmanager
def answering(*arguments: str):
    process = subprocess.Popen(
        [*COMMAND, "answer", "--host", "127.0.0.1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        port = re.search(r"listening on \w+ 127\.0\.0\.1:(\d+)", line)
        assert port is not None, line + process.stderr.read()
        yield process, port[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_call_and_answer_over_tls_with_digest(tmp_path, tls_files):
    users = tmp_path / "users"
    users.write_text("# who may call\nalice:secret\n")
    tune, heard = tmp_path / "tune.wav", tmp_path / "heard.wav"
    samples = (np.sin(np.arange(8000) / 7) * 9000).astype(np.int16)
    write_wav(tune, samples)
    files = ("--certificate", str(tls_files.certificate), "--key", str(tls_files.key))
    trust = ("--ca-file", str(tls_files.ca_file), "--wav-in", str(tune))
    with answering(*files, *trust, "--users", str(users), "--realm", "remote.example", "--wav-out", str(heard)) as (
        process,
        port,
    ):
        uri = f"sip:bob@remote.example:{port};transport=tls;maddr=127.0.0.1"
        mine = ("--aor", "sip:alice@local.example", "--username", "alice", "--realm", "remote.example")
        done = subprocess.run(
            [*COMMAND, "call", uri, *mine, *trust],
            env={**os.environ, "SECURERTC_PASSWORD": "secret"},
            capture_output=True,
            text=True,
            timeout=30,
        )
        out, err = process.communicate(timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert process.returncode == 0, out + err
    assert "proven to be alice by Digest" in out
    assert "remote.example (SIP URI)" in done.stdout
    for output in (out, done.stdout):
        assert "AEAD_AES_256_GCM" in output
        assert "secret" not in output.replace("secured", "")
    np.testing.assert_array_equal(read_wav(heard)[:4000], decode_pcmu(encode_pcmu(samples))[:4000])


def test_a_wrong_password_is_said(tmp_path, tls_files):
    users = tmp_path / "users"
    users.write_text("alice:secret\n")
    files = ("--certificate", str(tls_files.certificate), "--key", str(tls_files.key))
    with answering(*files, "--users", str(users), "--realm", "remote.example") as (_, port):
        uri = f"sip:bob@remote.example:{port};transport=tls;maddr=127.0.0.1"
        mine = ("--username", "alice", "--realm", "remote.example", "--ca-file", str(tls_files.ca_file))
        result = run("call", uri, *mine, env={"SECURERTC_PASSWORD": "wrong"})
    assert result.exit_code == 3
    assert "the credentials for the realm 'remote.example' were refused" in result.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "--username"),
        (("--username", "alice"), "no credentials for the realm 'remote.example'\n"),
        (("--ca-file", "other/ca.pem"), "the certificate is not trusted"),
        (("--ca-file", "other/ca.pem"), "--ca-file names the authorities"),
    ],
)
def test_what_is_missing_is_said(tmp_path, tls_files, arguments, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    ThrowawayAuthority(tmp_path / "other")
    (tmp_path / "users").write_text("alice:secret\n")
    files = ("--certificate", str(tls_files.certificate), "--key", str(tls_files.key))
    with answering(*files, "--users", "users", "--realm", "remote.example") as (_, port):
        uri = f"sip:bob@remote.example:{port};transport=tls;maddr=127.0.0.1"
        trust = () if "--ca-file" in arguments else ("--ca-file", str(tls_files.ca_file))
        result = run("call", uri, *trust, *arguments, env={"SECURERTC_PASSWORD": "secret"})
    assert result.exit_code == 3
    assert text in result.output


def test_a_password_may_come_by_the_standard_input(tmp_path, tls_files):
    (tmp_path / "users").write_text("alice:secret\n")
    files = ("--certificate", str(tls_files.certificate), "--key", str(tls_files.key))
    with answering(*files, "--users", str(tmp_path / "users"), "--realm", "remote.example") as (_, port):
        uri = f"sip:bob@remote.example:{port};transport=tls;maddr=127.0.0.1"
        mine = ("--username", "alice", "--realm", "remote.example", "--ca-file", str(tls_files.ca_file))
        result = run("call", uri, *mine, "--duration", "0.3", input="secret\n")
    assert result.exit_code == 0, result.output
    assert "secret\n" not in result.output


def test_a_second_caller_hears_busy(tls_files):
    files = ("--certificate", str(tls_files.certificate), "--key", str(tls_files.key))
    with answering(*files, "--duration", "30") as (_, port):
        uri = f"sip:bob@remote.example:{port};transport=tls;maddr=127.0.0.1"
        trust = ("--ca-file", str(tls_files.ca_file))
        with subprocess.Popen([*COMMAND, "call", uri, *trust, "--duration", "30"], stdout=subprocess.PIPE) as first:
            try:
                while b"ringing" not in (line := first.stdout.readline()):
                    assert line
                result = run("call", uri, *trust)
            finally:
                first.terminate()
    assert result.exit_code == 3
    assert "486" in result.output


@pytest.mark.parametrize(("transport", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
def test_a_port_that_is_taken_is_named(transport, kind):
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        result = run("answer", "--transport", transport, "--port", str(port))
    assert result.exit_code == 3
    assert f"error: 127.0.0.1:{port}: cannot be listened on: Address already in use" in result.output


def test_ctrl_c_ends_the_call_and_says_who_did(tls_files):
    files = ("--certificate", str(tls_files.certificate), "--key", str(tls_files.key))
    with answering(*files, "--duration", "30") as (answerer, port):
        uri = f"sip:bob@remote.example:{port};transport=tls;maddr=127.0.0.1"
        caller = subprocess.Popen(
            [*COMMAND, "call", uri, "--ca-file", str(tls_files.ca_file), "--duration", "30"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            while "ringing" not in (line := caller.stdout.readline()):
                assert line
            time.sleep(1)
            caller.send_signal(signal.SIGINT)
            out, err = caller.communicate(timeout=20)
        finally:
            caller.kill()
        answered, _ = answerer.communicate(timeout=20)
    assert caller.returncode == answerer.returncode == 0, out + err
    assert err == ""
    assert "\nhung up\n" in out
    assert "\nthe other side hung up\n" in answered


def test_ctrl_c_while_it_rings_cancels():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        uri = f"sip:bob@127.0.0.1:{peer.getsockname()[1]}"
        caller = subprocess.Popen(
            [*COMMAND, "call", uri, "--media", "off"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            data, address = peer.recvfrom(65535)
            invite = parse_message(data)
            peer.sendto(invite.create_response(180, to_tag="t").serialize(), address)
            while "ringing" not in (line := caller.stdout.readline()):
                assert line
            caller.send_signal(signal.SIGINT)
            while (request := parse_message(peer.recvfrom(65535)[0])).method == "INVITE":
                pass  # sent again before the 180 came
            assert (request.method, request.top_via.branch) == ("CANCEL", invite.top_via.branch)
            peer.sendto(request.create_response(200, to_tag="t").serialize(), address)
            peer.sendto(invite.create_response(487, to_tag="t").serialize(), address)
            assert parse_message(peer.recvfrom(65535)[0]).method == "ACK"
            _, err = caller.communicate(timeout=20)
        finally:
            caller.kill()
    assert (caller.returncode, err) == (3, "error: given up before there was a call\n")


def test_ctrl_c_ends_the_wait(tls_files):
    with answering("--certificate", str(tls_files.certificate), "--key", str(tls_files.key)) as (process, _):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 3
        assert "given up" in err
        assert "Traceback" not in err


def test_users_file_names_the_bad_line(tmp_path):
    users = tmp_path / "users"
    users.write_text("alice:secret\nbob\n")
    result = run("answer", "--transport", "udp", "--users", str(users))
    assert result.exit_code == 2
    assert "line 2" in result.output


def test_the_live_line_names_everything():
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    statistics = MediaStatistics(
        "AES_CM_128_HMAC_SHA1_80", packets_sent=3200, packets_received=3190, lost=10, jitter=0.0021
    )
    console.print(media_line(63.24, statistics))
    console.print(media_line(0.0, MediaStatistics()))
    text = console.export_text()
    assert "01:03.2" in text
    assert "out 3200  in 3190  lost 0.3 %" in text
    assert "2.1 ms" in text
    assert "AES_CM_128_HMAC_SHA1_80" in text
    assert "NOT ENCRYPTED" in text


def test_a_refusal_cannot_steer_the_terminal():
    """Reason phrases and Warnings are the peer's: behind a backslash they may hold control characters."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind(("127.0.0.1", 0))
    peer.settimeout(10)

    def refuse() -> None:
        data, address = peer.recvfrom(65535)
        response = parse_message(data).create_response(488, "No\\\x1b[2Jthing \x9b31m")
        response.headers.add("Warning", '399 x "\\\x1b]0;title\\\x07"')
        peer.sendto(response.serialize(), address)

    answering = threading.Thread(target=refuse)
    answering.start()
    with peer:
        result = run("call", f"sip:bob@127.0.0.1:{peer.getsockname()[1]}", "--media", "off")
        answering.join()
    assert result.exit_code == 3
    assert "error: 488 No\\?[2Jthing ?31m (399 x" in result.output
    assert not any(character in result.output for character in "\x1b\x9b\x07")


def test_on_a_terminal_the_line_lives():
    """Where there is a terminal the line is drawn again and again, with what was counted so far."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, "demo", "--seconds", "1.5"], stdout=theirs, stderr=theirs, stdin=theirs) as done:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal ends whose other side is closed
            while data := os.read(ours, 65536):
                shown += data
    os.close(ours)
    assert done.returncode == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    counts = [int(number) for number in re.findall(r"00:0\d\.\d  out (\d+)  in \d+  lost 0\.0 %  jitter", text)]
    assert len(set(counts)) >= 4
    assert counts == sorted(counts)
    assert counts[-1] == 75
    assert "AEAD_AES_256_GCM" in text


def test_help_says_what_there_is():
    assert all(command in run("--help").output for command in ("demo", "call", "answer"))
