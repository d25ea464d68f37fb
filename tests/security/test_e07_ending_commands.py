"""How commands end: whether what was registered is gone, by words and exit status; Ctrl-C; a closed terminal."""

from __future__ import annotations

import contextlib
import functools
import inspect
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from forked_commands import ForkedCommand

from sip import Request, parse_message

WORKERS = 4
IN_TIME = 8.0  # the promise is 2 s, which a busy machine stretches; who waits for a silent registrar takes 32
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

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def at_once(case):
    """A test whose cases, those that were selected, run at the same time: what they do is mostly to wait."""

    def test(request, **_):
        return futures(request.node.module, request.session)[request.node.nodeid].result()

    own = inspect.signature(case).parameters.values()
    test.__signature__ = inspect.Signature([*own, *inspect.signature(test).parameters.values()][:-1])
    test.case = case
    test.__name__, test.__doc__ = case.__name__, case.__doc__
    return test


@functools.cache
def futures(module, session):
    executor = ThreadPoolExecutor(WORKERS)
    selected = [one for one in session.items if one.module is module and hasattr(one.function, "case")]
    return {one.nodeid: executor.submit(one.function.case, **given(one)) for one in selected}


def given(item):
    return item.callspec.params if hasattr(item, "callspec") else {}


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
@at_once
def test_register_tells_whether_the_binding_is_gone(answers, code, text, more):
    with (
        Registrar(*answers) as there,
        ForkedCommand("register", there.uri, "--duration", "0.1", *more) as process,
    ):
        out, err = process.communicate()
        assert (process.returncode, "\nremoved" in out) == (code, code == 0), out + err
        assert text in out + err
        assert there.last_expires == 0


@pytest.mark.parametrize(("how", "code"), [("ok", 0), ("keep", 3), ("refuse", 3)])
@at_once
def test_remove_all_tells_whether_all_is_gone(how, code):
    with Registrar(how) as there, ForkedCommand("register", there.uri, "--remove-all") as process:
        out, _ = process.communicate()
        assert (process.returncode, "removed all" in out) == (code, code == 0)


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
@at_once
def test_ctrl_c_before_the_registrar_answers(name, number):
    with Registrar() as there, ForkedCommand(*commands(there.uri)[name]) as process:
        assert there.asked.wait(20)
        time.sleep(0.1)
        begun = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < IN_TIME
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
@at_once
def test_ctrl_c_when_the_registrar_has_gone_silent(name, number):
    with Registrar("ok") as there, ForkedCommand(*commands(there.uri)[name]) as process:
        process.until(KEPT[name])
        begun = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < IN_TIME
        assert process.returncode == 3
        assert "not removed" in out + err
        assert "Traceback" not in err
        assert there.last_expires == 0


@pytest.mark.parametrize("name", KEPT)
@at_once
def test_the_second_ctrl_c_ends_at_once(name):
    """`call` waits for an answer then, and its CANCEL is not answered either."""
    with Registrar("ok") as there, ForkedCommand(*commands(there.uri)[name]) as process:
        process.until(KEPT[name])
        if name == "call":
            while there.seen[-1].method != "INVITE":
                time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert time.monotonic() - begun < IN_TIME
        assert process.returncode == 3
        assert "ended without waiting" in err  # or else it would tell what came of the waiting
        assert "Traceback" not in err


@at_once
def test_ctrl_c_in_a_call_ends_it_in_time():
    """Neither the registrar nor the other side answers any more, and still the call is reported."""
    with (
        Registrar("ok") as there,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as media,
    ):
        for one in (peer, media):
            one.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        uri = f"sip:bob@127.0.0.1:{peer.getsockname()[1]}"
        arguments = ("call", uri, "--aor", there.uri, "--register", "--media", "off", "--duration", "30")
        with ForkedCommand(*arguments) as process:
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
            assert time.monotonic() - begun < IN_TIME
            assert process.returncode == 0, err
            assert "hung up" in out
            assert "What protected the call" in out
            assert "not removed at the registrar" in out


def test_once_interrupted_the_proxy_waits_for_no_second_signal(tmp_path):
    """As a process that starts by itself, and nothing beside."""
    config = tmp_path / "proxy.toml"
    config.write_text('domains = ["example.com"]\n[[listen]]\ntransport = "udp"\nhost = "127.0.0.1"\nport = 0\n')
    with subprocess.Popen(
        [sys.executable, "-m", "securertc", "proxy", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a shell is deaf to Ctrl-C, and so would be what it starts.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            while "serving" not in (line := process.stdout.readline()):
                assert line, process.stderr.read()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out.endswith("ended\n")) == (0, True), err


# A terminal that is closed.


@contextlib.contextmanager
def demo(*, terminal=False):
    """A demo, and the directory that its keys are in."""
    with (
        tempfile.TemporaryDirectory() as directory,
        ForkedCommand("demo", environment={"TMPDIR": directory}, terminal=terminal) as process,
    ):
        process.until("established")
        assert list(Path(directory).rglob("*.key"))
        yield process, Path(directory)


@at_once
def test_a_demo_whose_terminal_is_closed_leaves_no_keys():
    with demo(terminal=True) as (process, directory):
        assert process.close_terminal() == 3
        assert not list(directory.iterdir())


@pytest.mark.parametrize(
    "numbers", [(signal.SIGHUP, signal.SIGHUP), (signal.SIGINT, signal.SIGINT), (signal.SIGHUP, signal.SIGTERM)]
)
@pytest.mark.parametrize("pause", [0.0, 0.05])
@at_once
def test_a_demo_ended_twice_leaves_no_keys(numbers, pause):
    with demo() as (process, directory):
        for number in numbers:
            process.send_signal(number)
            time.sleep(pause)
        assert process.wait(20) == 3
        assert not list(directory.iterdir())


@pytest.mark.parametrize("more", [(), ("--instance", INSTANCE)])
@at_once
def test_a_register_whose_terminal_is_closed_removes_the_binding(more):
    with Registrar("ok", "ok") as there, ForkedCommand("register", there.uri, *more, terminal=True) as process:
        process.until("kept until")
        assert process.close_terminal() == 0
        assert (len(there.seen), there.last_expires) == (2, 0)


@at_once
def test_what_is_to_outlive_its_terminal_does():
    """nohup has it ignore SIGHUP."""
    with (
        Registrar("ok", "ok") as there,
        ForkedCommand("register", there.uri, terminal=True, ignored=(signal.SIGHUP,)) as process,
    ):
        process.until("kept until")
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
