"""A peer's process: started with a log, awaited by its port, always stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"


class PeerError(Exception):
    """A peer did not start or did not do what the test asked; carries the end of its log."""


def missing_programs(*programs: str) -> list[str]:
    """Returns those of `programs` that are not on the PATH."""
    return [program for program in programs if shutil.which(program) is None]


def free_ports(count: int = 1, *, even: bool = False) -> int:
    """Returns the first of `count` consecutive ports of 127.0.0.1 that are free for both UDP and TCP."""
    for _ in range(200):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            first: int = probe.getsockname()[1]
        first += first % 2 if even else 0
        if first + count < 65536 and all(_is_free(port) for port in range(first, first + count)):
            return first
    raise PeerError(f"no {count} consecutive free ports on {LOOPBACK}")


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


class PeerProcess:
    """One program with its output in a log file; a context manager that stops it even after a failure."""

    def __init__(self, command: list[str], directory: Path, *, name: str, keep_stdin_open: bool = False) -> None:
        self.command = command
        self.directory = directory
        self.name = name
        self.log_path = directory / f"{name}.log"
        self._keep_stdin_open = keep_stdin_open
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                stdin=subprocess.PIPE if self._keep_stdin_open else subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def await_tcp_port(self, port: int, *, seconds: float = 10.0) -> None:
        """Returns once something listens on `port`; raises PeerError with the log if nothing does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.running:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 0.2):
                return
            time.sleep(0.05)
        raise PeerError(f"{self.name} does not listen on {port}:\n{self.log[-3000:]}")

    def await_log(self, text: str, *, seconds: float = 10.0) -> None:
        """Returns once `text` stands in the log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if text in self.log:
                return
            time.sleep(0.05)
        raise PeerError(f"{self.name} did not log {text!r}:\n{self.log[-3000:]}")

    def wait(self, *, seconds: float) -> int:
        """Waits for the program's own end and returns its exit code."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise PeerError(f"{self.name} did not end in {seconds} s:\n{self.log[-3000:]}") from None

    def stop(self, *, seconds: float = 3.0) -> None:
        if self._process is None:
            return
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self.running:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"--- end of the log of {self.name}:\n{self.log[-6000:]}")
