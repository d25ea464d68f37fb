"""How a running command is ended: by Ctrl-C, a request to terminate, or the end of its terminal."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import tempfile
import termios
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

from ..errors import GivenUpError, SecureRtcError

# Seconds from the first Ctrl-C on that a command may take to end what others know of, and to say how that went.
GRACE = 2.0
# How long a command waits for the answer to the last of its requests, so that time is left to close everything.
LAST_ANSWER = 1.3
_CUT_INTERVAL = 0.05

_Awaited = TypeVar("_Awaited")


class Interruption(asyncio.Event):
    """Set by the first Ctrl-C; the second one, or the end of the time that is left then, cancels the task."""

    def __init__(self, grace: float | None) -> None:
        super().__init__()
        self.cut = False
        self._grace = grace
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._next: asyncio.TimerHandle | None = None

    def ask(self, number: int) -> None:
        """Reacts to a signal."""
        if number == signal.SIGHUP:
            let_go_of_a_dead_terminal()
        if not self.is_set():
            self.set()
            if self._grace is not None:
                self._next = self._loop.call_later(self._grace, self._cut_short)
        elif number != signal.SIGHUP:  # who closes a terminal sends more than one
            self._cut_short()

    def _cut_short(self) -> None:
        """Cancels the task again and again: what closes something waits once more."""
        self.end()
        self.cut = True
        self._task.cancel()
        self._next = self._loop.call_later(_CUT_INTERVAL, self._cut_short)

    def end(self) -> None:
        """Leaves the task alone from now on."""
        if self._next is not None:
            self._next.cancel()

    def forgive(self) -> None:
        """Takes back what was cancelled, once it has had its effect."""
        while self._task.cancelling():
            self._task.uncancel()


@contextlib.asynccontextmanager
async def interruption(*, grace: float | None = GRACE, hangup: bool = True) -> AsyncIterator[Interruption]:
    """An event that Ctrl-C, a request to terminate, or (`hangup`) the end of the terminal sets while the block runs.

    `grace` seconds later (None: never), or at once at the second Ctrl-C, the block is cancelled, and ends with the
    error of ours that it was about to end with, or else GivenUpError. What was started to ignore the end of its
    terminal (nohup) goes on to.
    """
    loop = asyncio.get_running_loop()
    asked = Interruption(grace)
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hangup and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, asked.ask, number)
    try:
        yield asked
    except asyncio.CancelledError as error:
        if not asked.cut:
            raise
        asked.forgive()
        raise _said_before(error) or GivenUpError("ended without waiting for the other side") from None
    finally:
        asked.end()
        for number in numbers:
            loop.remove_signal_handler(number)


def _said_before(error: BaseException) -> SecureRtcError | None:
    """The error of ours that was on its way when the task was cancelled."""
    before = error.__context__
    while before is not None and not isinstance(before, SecureRtcError):
        before = before.__context__
    return before


async def unless(interrupted: asyncio.Event, task: asyncio.Future[_Awaited], *, patience: float = 0.0) -> bool:
    """Waits for `task` and returns True; raises what it raises.

    Once interrupted, the task is given `patience` seconds more, then cancelled, and False returned.
    """
    stopped = asyncio.ensure_future(interrupted.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and patience:
            await asyncio.wait((task,), timeout=patience)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return False
        task.result()
        return True
    finally:
        stopped.cancel()
        task.cancel()


@contextlib.contextmanager
def as_interrupts(*numbers: signal.Signals) -> Iterator[None]:
    """Has these signals do what Ctrl-C does, unless they are ignored (nohup), while the block runs."""

    def interrupt(number: int, _: object) -> None:
        if number == signal.SIGHUP:
            let_go_of_a_dead_terminal()
            signal.signal(number, signal.SIG_IGN)  # who closes a terminal sends more than one
        signal.raise_signal(signal.SIGINT)

    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def let_go_of_a_dead_terminal() -> None:
    """Lets output to a terminal that has been closed go nowhere, so that writing does not fail."""
    for descriptor in (1, 2):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


@contextlib.contextmanager
def throwaway_directory(prefix: str) -> Iterator[Path]:
    """Makes a folder that is gone after the block with all that is in it, however often Ctrl-C is pressed."""
    made = tempfile.TemporaryDirectory(prefix=prefix)
    heeds_signals = threading.current_thread() is threading.main_thread()  # others are not interrupted
    try:
        yield Path(made.name)
    finally:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if heeds_signals else ()
        before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
        try:
            made.cleanup()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
