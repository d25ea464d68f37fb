"""How commands end: whether what was registered is gone, by words and exit status; Ctrl-C; a closed terminal."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from sip import Request, parse_message

COMMAND = [sys.executable, "-m", "securertc"]
INSTANCE = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


class Registrar(threading.Thread):
    """A registrar on UDP that does as it is told: `answers` says how it answers the first REGISTERs, then it is silent.

    "ok" grants what is asked, "keep" grants, and never lets go of a binding; "refuse" answers 500.
    """

    def __init__(self, *answers):
        super().__init__(daemon=True)
        self.answers = list(answers)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.uri = f"sip:alice@127.0.0.1:{self.port}"
        self.seen: list[Request] = []
        self.asked = threading.Event()
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                data, address = self.socket.recvfrom(65535)
                request = parse_message(data)
                known = any(one.top_via.branch == request.top_via.branch for one in self.seen)
                if not known:
                    self.seen.append(request)
                self.asked.set()
                if self.answers and not known:
                    self.socket.sendto(self.response(request, self.answers.pop(0)).serialize(), address)

    def response(self, request, how):
        response = request.create_response(500 if how == "refuse" else 200, to_tag="t")
        contacts = [str(one) for one in request.contacts if str(one) != "*"] if how != "refuse" else []
        if how == "keep" and not contacts:
            contacts = ["<sip:other@192.0.2.1>"]
        if request.expires or how == "keep":
            for one in contacts:
                response.headers.add("Contact", f"{one};expires=600")
        return response

    @property
    def last_expires(self):
        return [one for one in self.seen if one.method == "REGISTER"][-1].expires

    def close(self):
        self.socket.close()


@pytest.fixture
def registrar():
    made = []

    def make(*answers):
        made.append(Registrar(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


@contextlib.contextmanager
def started(*arguments):
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a shell is deaf to Ctrl-C, and so would be what it starts.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process, text):
    while text not in (line := process.stdout.readline()):
        assert line, process.stderr.read()


# Whether it was removed.


@pytest.mark.parametrize("more", [(), ("--instance", INSTANCE)])
@pytest.mark.parametrize(
    ("answers", "code", "text"),
    [
        (["ok", "ok"], 0, "removed"),
        (["ok", "keep"], 3, "not removed"),
        (["ok", "refuse"], 3, "not removed"),
        (["ok"], 3, "not removed"),
    ],
)
def test_register_tells_whether_the_binding_is_gone(registrar, answers, code, text, more):
    there = registrar(*answers)
    done = subprocess.run(
        [*COMMAND, "register", there.uri, "--duration", "0.1", *more], capture_output=True, text=True, timeout=30
    )
    said = done.stdout + done.stderr
    assert (done.returncode, "\nremoved" in done.stdout) == (code, code == 0), said
    assert text in said
    assert there.last_expires == 0


@pytest.mark.parametrize(("how", "code"), [("ok", 0), ("keep", 3), ("refuse", 3)])
def test_remove_all_tells_whether_all_is_gone(registrar, how, code):
    there = registrar(how)
    done = subprocess.run([*COMMAND, "register", there.uri, "--remove-all"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, "removed all" in done.stdout) == (code, code == 0)


# Ctrl-C at a silent registrar.


def commands(uri):
    """The commands that register, each up to where the registrar does not answer."""
    ours = ("--aor", uri, "--register", "--media", "off")
    return {
        "register": ("register", uri),
        "register a flow": ("register", uri, "--instance", INSTANCE),
        "query": ("register", uri, "--query"),
        "answer": ("answer", "--transport", "udp", *ours),
        "answer by a flow": ("answer", "--transport", "udp", *ours, "--instance", INSTANCE),
        "call": ("call", uri, *ours),
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("name", commands(""))
def test_ctrl_c_before_the_registrar_answers(registrar, name, number):
    there = registrar()
    with started(*commands(there.uri)[name]) as process:
        assert there.asked.wait(20)
        time.sleep(0.1)
        begun = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < 2.5
    assert process.returncode == 3
    assert "given up before the registrar answered" in err
    assert "Traceback" not in err


KEPT = {
    "register": "kept until",
    "register a flow": "kept until",
    "answer": "registered",
    "answer by a flow": "registered",
    "call": "calling",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("name", KEPT)
def test_ctrl_c_when_the_registrar_has_gone_silent(registrar, name, number):
    there = registrar("ok")
    with started(*commands(there.uri)[name]) as process:
        until(process, KEPT[name])
        begun = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < 2.5
    assert process.returncode == 3
    assert "not removed" in out + err
    assert "Traceback" not in err
    assert there.last_expires == 0


@pytest.mark.parametrize("name", KEPT)
def test_the_second_ctrl_c_ends_at_once(registrar, name):
    """`call` waits for an answer then, and its CANCEL is not answered either."""
    there = registrar("ok")
    with started(*commands(there.uri)[name]) as process:
        until(process, KEPT[name])
        if name == "call":
            while there.seen[-1].method != "INVITE":
                time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < 2.5
    assert process.returncode == 3
    assert "ended without waiting" in err  # or else it would tell what came of the waiting
    assert "Traceback" not in err


def test_ctrl_c_in_a_call_ends_it_in_time(registrar):
    """Neither the registrar nor the other side answers any more, and still the call is reported."""
    there = registrar("ok")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media,
    ):
        for one in (peer, media):
            one.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        uri = f"sip:bob@127.0.0.1:{peer.getsockname()[1]}"
        with started("call", uri, "--aor", there.uri, "--register", "--media", "off", "--duration", "30") as process:
            data, address = peer.recvfrom(65535)
            response = parse_message(data).create_response(200, to_tag="t")
            response.headers.add("Contact", f"<{uri}>")
            response.headers.add("Content-Type", "application/sdp")
            response.body = (
                f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
                f"m=audio {media.getsockname()[1]} RTP/AVP 0\r\n"
            ).encode()
            peer.sendto(response.serialize(), address)
            while parse_message(peer.recvfrom(65535)[0]).method != "ACK":
                pass
            media.settimeout(20)
            media.recv(2048)
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
            assert time.monotonic() - begun < 2.5
    assert process.returncode == 0, err
    assert "hung up" in out
    assert "What protected the call" in out
    assert "not removed at the registrar" in out


def test_once_interrupted_the_proxy_waits_for_no_second_signal(tmp_path):
    config = tmp_path / "proxy.toml"
    config.write_text('domains = ["example.com"]\n[[listen]]\ntransport = "udp"\nhost = "127.0.0.1"\nport = 0\n')
    with started("proxy", "--config", str(config)) as process:
        until(process, "serving")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out.endswith("ended\n")) == (0, True), err


# A terminal that is closed.


class Terminal:
    """A command on a terminal of its own, which can be closed."""

    def __init__(self, *arguments, environment=None, prepare=lambda: None):
        self.pid, self.master = pty.fork()
        if self.pid == 0:  # pragma: no cover  # another process
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                prepare()
                os.execvpe(COMMAND[0], [*COMMAND, *arguments], {**os.environ, **(environment or {})})
            finally:
                os._exit(99)
        self.seen = b""

    def until(self, text):
        end = time.monotonic() + 30
        with selectors.DefaultSelector() as selector:
            selector.register(self.master, selectors.EVENT_READ)
            while text not in self.seen:
                assert selector.select(end - time.monotonic()), self.seen
                self.seen += os.read(self.master, 65536)

    def close(self):
        """Returns the exit status of the command after its terminal is gone; negative for a signal."""
        os.close(self.master)
        return self.wait()

    def wait(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError("it did not end")


def test_a_demo_whose_terminal_is_closed_leaves_no_keys(tmp_path):
    terminal = Terminal("demo", environment={"TMPDIR": str(tmp_path)})
    terminal.until(b"established")
    assert list(tmp_path.rglob("*.key"))
    assert terminal.close() == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "numbers", [(signal.SIGHUP, signal.SIGHUP), (signal.SIGINT, signal.SIGINT), (signal.SIGHUP, signal.SIGTERM)]
)
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_demo_ended_twice_leaves_no_keys(tmp_path, numbers, pause):
    process = subprocess.Popen(
        [*COMMAND, "demo"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    until(process, "established")
    assert list(tmp_path.rglob("*.key"))
    for number in numbers:
        process.send_signal(number)
        time.sleep(pause)
    process.communicate(timeout=20)
    assert process.returncode == 3
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("more", [(), ("--instance", INSTANCE)])
def test_a_register_whose_terminal_is_closed_removes_the_binding(registrar, more):
    there = registrar("ok", "ok")
    terminal = Terminal("register", there.uri, *more)
    terminal.until(b"kept until")
    assert terminal.close() == 0
    assert (len(there.seen), there.last_expires) == (2, 0)


def test_what_is_to_outlive_its_terminal_does(registrar):
    """nohup has it ignore SIGHUP."""
    there = registrar("ok", "ok")
    prepare = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    terminal = Terminal("register", there.uri, prepare=prepare)
    terminal.until(b"kept until")
    os.kill(terminal.pid, signal.SIGHUP)
    time.sleep(0.3)
    assert os.waitpid(terminal.pid, os.WNOHANG) == (0, 0)
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == 0
    os.close(terminal.master)
