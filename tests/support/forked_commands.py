"""Commands as processes of their own that start at once: forked from one process that has imported all they need.

A start of Python and the imports are a second of work, which a test of how commands end would spend on every case.
What is forked is else as it is when started: its own process with its own streams, environment and, where wanted,
terminal; the interpreter ends as it does, by an exit status or by a signal.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import json
import os
import pty
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from typing import IO

_lock = threading.Lock()


class ForkedCommand:
    """`python -m securertc` with these arguments; `ignored` are the signals that it ignores from the start.

    Its output is `stdout`, and what communicate() returns; with a `terminal` it is on that, to be read by until().
    """

    def __init__(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        terminal: bool = False,
        ignored: tuple[int, ...] = (),
    ) -> None:
        order = {
            "arguments": arguments,
            "environment": {**os.environ, **(environment or {})},
            "terminal": terminal,
            "ignored": ignored,
        }
        self.seen = b""
        self._code: int | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # for close()
        if terminal:
            self.master, its_output = pty.openpty()
        else:
            self.master, its_output = os.pipe()
        self._end, its_end = socket.socketpair()
        with tempfile.TemporaryFile() as body, its_end:
            body.write(json.dumps(order).encode())
            body.seek(0)
            handed = [its_end.fileno(), body.fileno(), its_output, its_output if terminal else self._errors.fileno()]
            with _lock:
                socket.send_fds(_server(), [b"\0"], handed)
        os.close(its_output)
        self._end.settimeout(30)
        self.pid = int.from_bytes(self._receive(8), "big")

    def _receive(self, length: int) -> bytes:
        found = self._end.recv(length, socket.MSG_WAITALL)
        assert len(found) == length, "the process that forks commands has ended"
        return found

    def until(self, text: str | bytes) -> None:
        """Reads the output until `text` is in it."""
        wanted = text.encode() if isinstance(text, str) else text
        end = time.monotonic() + 30
        with selectors.DefaultSelector() as selector:
            selector.register(self.master, selectors.EVENT_READ)
            while wanted not in self.seen:
                assert selector.select(end - time.monotonic()), self.seen
                found = os.read(self.master, 65536)
                assert found, (self.seen, self.errors)
                self.seen += found

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        self._end.settimeout(0)
        try:
            return self._ended()
        except BlockingIOError:
            return None

    def wait(self, timeout: float = 30) -> int:
        """Its exit status, negative for a signal, once it has ended."""
        self._end.settimeout(timeout)
        return self._ended()

    def _ended(self) -> int:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(int.from_bytes(self._receive(8), "big"))
        return self._code

    @property
    def returncode(self) -> int:
        return self.wait()

    def communicate(self, timeout: float = 30) -> tuple[str, str]:
        """All that it wrote to stdout and stderr, once it has ended."""
        self.wait(timeout)
        while found := os.read(self.master, 65536):
            self.seen += found
        return self.seen.decode(), self.errors

    def close_terminal(self) -> int:
        """Closes its terminal; returns its exit status."""
        os.close(self.master)
        self.master = -1
        return self.wait(20)

    def close(self) -> None:
        """Ends it, if need be."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.send_signal(signal.SIGKILL)
            self.wait()
        if self.master >= 0:
            os.close(self.master)
        self._errors.close()
        self._end.close()

    def __enter__(self) -> ForkedCommand:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@functools.cache
def _server() -> socket.socket:
    """Starts the process that forks, which ends when ours does: its socket is closed then."""
    ours, theirs = socket.socketpair()
    subprocess.Popen([sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    return ours


def _serve(orders: socket.socket) -> None:
    """Forks a command for every order; returns in the command's process alone."""
    import securertc.cli  # noqa: F401  # for all to come

    gc.collect()
    gc.freeze()  # or the end of every command looks through all of it, and copies its pages
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait for the commands tell how they end
    while True:
        data, handed, _, _ = socket.recv_fds(orders, 1, 4)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            orders.close()
            _keep(*handed)
            return
        for one in handed:
            os.close(one)


def _keep(end: int, body: int, output: int, errors: int) -> None:
    """Waits for a command and tells its process and how it ended; returns in the command's process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        os.close(output)  # else a terminal never hangs up
        os.close(errors)
        os.write(end, pid.to_bytes(8, "big"))
        _, status = os.waitpid(pid, 0)
        os.write(end, status.to_bytes(8, "big"))
        os._exit(0)
    os.close(end)
    with open(body, "rb") as file:
        order = json.load(file)
    if order["terminal"]:
        os.setsid()
        fcntl.ioctl(output, termios.TIOCSCTTY, 0)
    os.dup2(output if order["terminal"] else os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.close(output)
    if errors != output:
        os.close(errors)
    # As they are when Python starts; in the background of a shell it would be deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in order["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(order["environment"])
    tempfile.tempdir = None
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, buffering=1 if number == 2 or os.isatty(number) else -1, closefd=False)  # noqa: SIM115
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    sys.argv = ["securertc", *order["arguments"]]


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("securertc", run_name="__main__", alter_sys=True)
