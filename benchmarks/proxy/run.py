"""What our proxy carries on one core, beside kamailio by the same sipp scenario in the same run: `make bench-proxy`.

    python benchmarks/proxy/run.py [--quick] [--keep]

Calls are set up and torn down through a transaction-stateful, record-routing proxy. The proxy has one core, and one
worker in kamailio's case; the programs that make and answer the calls share another. Three parts: the highest rate by
UDP without a failed call, of both; our memory over 100,000 calls, which has to stay flat once transactions end as fast
as others begin (64 * T1, 32 s, after their calls); and the highest rate by TLS with Digest, by a generator of ours, as
Debian's sipp has no TLS. A rate is tried twice before it counts as too high; it counts as held when no call failed, the
generator reached it and the proxy kept up, not using more CPU time for the calls than the time they came in. `--quick`
takes about a minute and says less; `--keep` writes benchmarks/RESULTS.md. Fails when the lowest rate was not held.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from programs import (
    HERE,
    Outcome,
    Proxy,
    start_udp_calls,
    tls_calls,
    tls_proxy,
    udp_calls,
    udp_outcome,
    udp_proxy,
)

RESULTS = HERE.parent / "RESULTS.md"
START, END = "<!-- proxy -->\n", "<!-- /proxy -->\n"
# Of the rate asked for: sipp starts its calls later than it was told to when it has no time.
REACHED = 0.93
LINGER = 34.0
MEMORY_RATE = 500
COLUMNS = ("calls through", "calls/s without a failed call", "CPU µs a call", "share of its core", "what ended it")
MEMORY_COLUMNS = ("calls", "resident MiB")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is tried: rates in calls/s, each for `seconds`; memory over so many calls, told after each step."""

    rates: tuple[int, ...]
    tls_rates: tuple[int, ...]
    seconds: float
    memory_calls: int
    step: int


FULL = Plan(
    (500, 750, 1000, 1250, 1500, 1750, 2000, 2500, 3000, 4000, 5000, 6000),
    (100, 200, 300, 400, 500, 600, 800, 1000),
    7.0,
    100_000,
    10_000,
)
QUICK = Plan((500, 1000, 1500), (100, 300), 2.5, 3_000, 1_000)


@dataclass(frozen=True, slots=True)
class Found:
    """The highest rate that was held: CPU seconds used for a call there, and why no higher one was."""

    name: str
    rate: int
    cost: float
    ended: str

    @property
    def row(self) -> tuple[str, ...]:
        return (self.name, str(self.rate), f"{self.cost * 1e6:.0f}", f"{self.cost * self.rate:.0%}", self.ended)


def highest_rate(name: str, proxy: Proxy, rates: tuple[int, ...], calls: Callable[[Proxy, int], Outcome]) -> Found:
    """Raises the rate until it cannot be held, and returns the highest that was."""
    best = Found(name, 0, 0.0, "")
    for rate in rates:
        for attempt in (1, 2):
            used = proxy.cpu()
            outcome = calls(proxy, rate)
            cost = (proxy.cpu() - used) / max(1, outcome.succeeded)
            print(
                f"{name:>24} {rate:>5}/s  {outcome.succeeded} calls, {outcome.failed} failed, started "
                f"{outcome.rate:.0f}/s, {cost * 1e6:.0f} µs of CPU each, {proxy.resident() / 1024:.0f} MiB",
                flush=True,
            )
            problem = problem_of(outcome, rate, cost)
            if problem is None:
                best = Found(name, rate, cost, "no higher one was tried")
                break
            if attempt == 2:
                return Found(name, best.rate, best.cost, f"at {rate}/s {problem}")
    return best


def problem_of(outcome: Outcome, rate: int, cost: float) -> str | None:
    """Why a rate was not held, or None."""
    if outcome.failed:
        return f"{outcome.failed} calls failed"
    if outcome.rate < REACHED * rate:
        return "the generator started fewer"
    return "it fell behind" if cost * outcome.rate > 1 else None


def memory(proxy: Proxy, rate: int, plan: Plan) -> tuple[list[tuple[str, ...]], Outcome]:
    """Makes calls at one rate; returns the proxy's memory at each step of them, and after transactions ended."""
    rows = [("0", f"{proxy.resident() / 1024:.1f}")]
    process, statistics = start_udp_calls(proxy, rate, plan.memory_calls)
    done = 0
    while process.poll() is None:
        time.sleep(0.25)
        reached = udp_outcome(statistics, plan.memory_calls, rate).succeeded if has_rows(statistics) else 0
        if reached // plan.step > done // plan.step:
            done = reached
            rows.append((f"{done:,}", f"{proxy.resident() / 1024:.1f}"))
            print(f"{'memory':>24} {done:>6} calls  {rows[-1][1]} MiB", flush=True)
    outcome = udp_outcome(statistics, plan.memory_calls, rate)
    if plan.memory_calls // rate > LINGER:
        time.sleep(LINGER)
        rows.append((f"{LINGER:.0f} s after the last", f"{proxy.resident() / 1024:.1f}"))
    return rows, outcome


def has_rows(statistics: Path) -> bool:
    """Whether sipp has written more than the names of the columns."""
    return statistics.exists() and statistics.read_bytes().count(b"\n") > 1


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def version(*command: str) -> str:
    """The line of a program's answer that has its version."""
    answer = subprocess.run(command, capture_output=True, text=True)
    lines = (answer.stdout + answer.stderr).splitlines()
    return next((line.strip(" .") for line in lines if any(char.isdigit() for char in line)), command[0])


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, tuple("---" for _ in columns), *rows)]


def measured(plan: Plan) -> tuple[list[str], bool]:
    """Runs all parts; returns the lines of the results, and whether our proxy held the lowest rates."""
    found = {}
    for name in ("securertc", "kamailio"):
        with tempfile.TemporaryDirectory(prefix="bench-proxy-") as folder, udp_proxy(name, Path(folder)) as proxy:
            found[name] = highest_rate(
                f"{name}, UDP", proxy, plan.rates, lambda one, rate: udp_calls(one, rate, plan.seconds)
            )
    mine, theirs = found["securertc"], found["kamailio"]
    rate = max(plan.rates[0], min(MEMORY_RATE, int(0.7 * mine.rate)))
    with tempfile.TemporaryDirectory(prefix="bench-proxy-") as folder, udp_proxy("securertc", Path(folder)) as proxy:
        rows, long_run = memory(proxy, rate, plan)
    with tempfile.TemporaryDirectory(prefix="bench-proxy-") as folder, tls_proxy(Path(folder)) as proxy:
        by_tls = highest_rate(
            "securertc, TLS and Digest", proxy, plan.tls_rates, lambda one, rate: tls_calls(one, rate, plan.seconds)
        )
    lines = [*table(COLUMNS, [one.row for one in (mine, theirs, by_tls)]), ""]
    if mine.rate and theirs.rate:
        lines += [
            f"securertc / kamailio: {mine.rate / theirs.rate:.2f} by calls/s held, "
            f"{theirs.cost / mine.cost:.2f} by CPU time a call (1 would be as fast).",
            "",
        ]
    lines += [
        f"Memory of our proxy at {rate} calls/s by UDP, {long_run.succeeded:,} calls, {long_run.failed} failed:",
        "",
        *table(MEMORY_COLUMNS, rows),
    ]
    return lines, bool(mine.rate and by_tls.rate)


def heading(arguments: list[str]) -> list[str]:
    return [
        f"- {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {processor()}, Python {sys.version.split()[0]}",
        f"- `python benchmarks/proxy/run.py {' '.join(arguments)}`".rstrip(" `") + "`, one core for the proxy, one for "
        "callers and callees together",
        f"- {version('sipp', '-v')}; {version('kamailio', '-v')}, one worker; TLS and Digest (SHA-256, each call's "
        "INVITE and BYE challenged anew) by benchmarks/proxy/tls_load.py",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    parser.add_argument("--keep", action="store_true", help="write benchmarks/RESULTS.md")
    options = parser.parse_args()
    missing = [one for one in ("sipp", "kamailio", "taskset") if shutil.which(one) is None]
    if missing:
        sys.exit(f"needs {', '.join(missing)} (Debian: sip-tester, kamailio, util-linux)")
    lines, held = measured(QUICK if options.quick else FULL)
    lines = [*heading(sys.argv[1:]), "", *lines]
    print("\n" + "\n".join(lines))
    if options.keep:
        before, _, rest = RESULTS.read_text().partition(START)
        after = rest.partition(END)[2]
        RESULTS.write_text(f"{before}{START}" + "\n".join(lines) + f"\n{END}{after}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
