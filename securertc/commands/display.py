"""What a call looks like on a terminal, or in a log when there is none: a live line, and the four-tier table."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..assurance.report import SecurityReport, TierStatus
from ..call.call import Call
from ..media.statistics import MediaStatistics

_REFRESH = 0.1
_STYLES = {TierStatus.SECURED: "bold green", TierStatus.PARTIAL: "yellow", TierStatus.NONE: "bright_black"}
_MARKS = {TierStatus.SECURED: "●", TierStatus.PARTIAL: "◐", TierStatus.NONE: "○"}


def printable(text: str) -> str:
    """Returns text that another side had a hand in, with "?" for what could steer a terminal or hide in it."""
    return "".join(character if character.isprintable() else "?" for character in text)


def shown(text: str) -> str:
    """Returns text that another side had a hand in for a console: printable, and no markup of ours."""
    return escape(printable(text))


class Steady:
    """A stream for a console, on which no text can steer the terminal, hide, or turn the line round.

    What writes it out marks what comes from others with shown(), which takes away ESC too; this is for what forgets
    to: C1 controls such as U+009B, and the formatting characters of Unicode such as U+202E.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(text if text.isascii() else _steady(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _steady(text: str) -> str:
    return "".join("?" if ord(one) > 127 and not one.isprintable() else one for one in text)


def media_line(seconds: float, statistics: MediaStatistics) -> Text:
    """Returns one line on a running call, for 80 columns: time, packets each way, loss, jitter, crypto suite."""
    minutes, rest = divmod(seconds, 60)
    expected = statistics.packets_received + statistics.lost
    share = 100 * statistics.lost / expected if expected else 0.0
    suite = statistics.crypto_suite or "NOT ENCRYPTED"
    line = Text()
    line.append(f"{int(minutes):02d}:{rest:04.1f}", "bold cyan")
    line.append(f"  out {statistics.packets_sent}  in {statistics.packets_received}")
    line.append(f"  lost {share:.1f} %", "red" if statistics.lost else "")
    line.append(f"  jitter {statistics.jitter * 1000:.1f} ms")
    line.append(f"  {printable(suite)}", "green" if statistics.crypto_suite else "bold red")
    return line


@contextlib.asynccontextmanager
async def live_line(console: Console, call: Call) -> AsyncIterator[None]:
    """Keeps a line about `call` on the terminal while the block runs, and leaves its last state behind.

    Where the output is no terminal only that last state is written.
    """
    started = time.monotonic()

    def render() -> Text:
        return media_line(time.monotonic() - started, call.statistics)

    if not console.is_terminal:
        try:
            yield
        finally:
            console.print(render(), soft_wrap=True)
        return
    with Live(render(), console=console, auto_refresh=False) as live:
        updating = asyncio.ensure_future(_update(live, render))
        try:
            yield
        finally:
            updating.cancel()
            await asyncio.gather(updating, return_exceptions=True)
            live.update(render(), refresh=True)


async def _update(live: Live, render: Callable[[], Text]) -> None:
    while True:
        live.update(render(), refresh=True)
        await asyncio.sleep(_REFRESH)


def report_table(report: SecurityReport, title: str) -> Table:
    """Returns the four tiers with their evidence as a table of at most the console's width."""
    table = Table(title=shown(title), title_justify="left", title_style="bold", expand=False, show_lines=True)
    table.add_column("tier", style="bold", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("evidence", overflow="fold")
    for name, tier in report.tiers():
        status = Text(f"{_MARKS[tier.status]} {tier.status.value}", _STYLES[tier.status])
        evidence = Text()
        for number, (fact, value) in enumerate(tier.evidence):
            evidence.append("\n" if number else "")
            evidence.append(f"{fact}: ", "bright_black")
            evidence.append(printable(value))
        table.add_row(name, status, evidence)
    return table
