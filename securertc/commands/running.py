"""How a command runs and speaks: its console, one line for what it fails of, warnings."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import click
from rich.console import Console

from rtp import RtpError
from sdp import SdpError
from sip import SipError, TlsVerificationError

from ..errors import CallRefusedError, SecureRtcError
from ..local_files import exposure
from .display import Steady, printable
from .interruption import as_interrupts

EXIT_NO_CALL = 3

_Result = TypeVar("_Result")


def create_console() -> Console:
    """A console on stdout that writes line by line, and "?" where its encoding has no character, rather than fail."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace", line_buffering=True)
    return Console(file=cast(IO[str], Steady(sys.stdout)))


def run_command(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs the work; what it fails of becomes one line on stderr and the exit code."""
    # Asked to terminate is the same as Ctrl-C: what was opened and written is to be closed and removed.
    with as_interrupts(signal.SIGTERM, signal.SIGHUP):
        try:
            return asyncio.run(work)
        except KeyboardInterrupt:
            _say("interrupted")
        except TimeoutError:
            _say("error: it took too long")
        except OSError as error:
            _say(f"error: {printable(str(error.strerror or error))}")
        except (SecureRtcError, SipError, SdpError, RtpError) as error:
            _say(f"error: {printable(str(error))}{_advice(error)}")
    sys.exit(EXIT_NO_CALL)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it: the terminal has been closed
        click.echo(text, err=True)


def _advice(error: Exception) -> str:
    """Which option helps, where one may."""
    if isinstance(error, CallRefusedError) and error.status in (401, 407):
        return "\nThe other side asks who is calling: see --username and --realm."
    if isinstance(error, TlsVerificationError) and not error.presented:
        return "\n--ca-file names the authorities to trust."
    return ""


def warn_of_exposed(*paths: str | Path | None) -> None:
    """Tells of files with secrets that others can read."""
    for path in paths:
        warning = None if path is None else exposure(path)
        if warning is not None:
            click.echo(f"warning: {warning}", err=True)
