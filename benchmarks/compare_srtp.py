"""Compares SRTP from Python with its peers in one run, and keeps the results.

    python benchmarks/compare_srtp.py [--rounds N] [--keep]

Pinned to one core; every round runs each workload once, so that what else the machine does hits all alike; medians.
`--keep` writes benchmarks/RESULTS.md and benchmarks/srtp.svg.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from srtp_peers import Peers, build
from srtp_plot import plot
from srtp_workloads import Workload, bytes_per_stream, mixed, sizes, streams

from srtp import Profile, available_kernels

HERE = Path(__file__).parent
PAYLOADS = (20, 160, 1200)
PROFILES = (Profile.AES_CM_128_HMAC_SHA1_80, Profile.AEAD_AES_128_GCM)
LINE = re.compile(r"^(\S+)\s+(protect|unprotect) (\S+) ([\d.]+) ([\d.]+) ([\d.]+)$", re.MULTILINE)
Found = dict[tuple[str, ...], float]
Row = tuple[str, ...]


def measure(rounds: int, peers: Peers) -> Found:
    """Returns medians by (profile, payload, what), and by (group, what) for those of no profile and size."""
    workloads: dict[tuple[str, ...], Workload] = {}
    for profile in PROFILES:
        for payload in PAYLOADS:
            named = sizes(profile, payload)
            workloads |= {(profile.name, str(payload), name): one for name, one in named.items()}
    workloads |= {("streams", name): one for name, one in streams().items()}
    workloads |= {("mixed", name): one for name, one in mixed().items()}
    values: dict[tuple[str, ...], list[float]] = {}
    for _ in range(rounds):
        for what, workload in workloads.items():
            values.setdefault(what, []).append(workload())
        for program in peers.programs:
            for what, nanoseconds in run(program):
                values.setdefault(what, []).append(nanoseconds)
    return {what: statistics.median(found) for what, found in values.items()}


def run(program: Path) -> list[tuple[tuple[str, ...], float]]:
    text = subprocess.run([program, "60"], check=True, capture_output=True, text=True).stdout
    return [
        ((profile, str(payload), f"{name} {operation}"), float(nanoseconds))
        for name, operation, profile, *found in LINE.findall(text)
        for payload, nanoseconds in zip(PAYLOADS, found, strict=True)
    ]


def size_rows(found: Found) -> list[Row]:
    """Nanoseconds per packet, with the ratio to pylibsrtp, and that of batches to ipsec-mb."""
    rows = []
    for profile in PROFILES:
        names = dict.fromkeys(what[2] for what in found if what[0] == profile.name)
        for name in names:
            cells = []
            for payload in PAYLOADS:
                value = found[profile.name, str(payload), name]
                direction = "unprotect" if "unprotect" in name else "protect"
                cell = f"{value:.0f} ({value / found[profile.name, str(payload), f'pylibsrtp {direction}']:.3f}"
                other = found.get((profile.name, str(payload), f"ipsec-mb {direction}"))
                if "batch" in name and other is not None:
                    cell += f"; {value / other:.2f}"
                cells.append(cell + ")")
            rows.append((profile.name, name, *cells))
    return rows


def ratio_rows(found: Found, memory: dict[str, float]) -> list[Row]:
    """What the issue asks for besides the table of sizes: (what, found, target)."""
    one, batch = ("1 SSRC, one packet", "10,000 SSRCs, one packet"), ("1 SSRC, batch", "10,000 SSRCs, batch")
    rows = [
        (f"{many} / {single}", f"{found['streams', many] / found['streams', single]:.2f}", "1.3")
        for single, many in (one, batch)
    ]
    equal, shuffled = found["mixed", "equal lengths, 1 key"], found["mixed", "20 to 1200 B, 16 keys"]
    rows.append(("mixed batch / equal batch, per byte", f"{shuffled / equal:.2f}", "1.5"))
    targets = {"a shared key": "512", "its own key": "2048"}
    rows += [(f"bytes a stream, {name}", f"{value:.0f}", targets[name]) for name, value in memory.items()]
    cm = PROFILES[0].name
    for name, target in (
        ("protect", "0.14"),
        ("unprotect", "0.14"),
        ("protect_batch", "0.057"),
        ("unprotect_batch", "0.057"),
    ):
        other = found[cm, "160", "pylibsrtp unprotect" if "unprotect" in name else "pylibsrtp protect"]
        rows.append((f"{name} / pylibsrtp, 160 B, AES_CM_128", f"{found[cm, '160', name] / other:.3f}", target))
    for payload, target in (("160", "1.0"), ("1200", "1.1")):
        peer = found.get((cm, payload, "ipsec-mb protect"))
        if peer is not None:
            ratio = found[cm, payload, "protect_batch"] / peer
            rows.append((f"protect_batch / ipsec-mb, {payload} B, AES_CM_128", f"{ratio:.2f}", target))
    return rows


def processor() -> str:
    with open("/proc/cpuinfo") as cpuinfo:
        fields = dict(re.findall(r"^([^\t:\n]+)\t*: (.*)$", cpuinfo.read(), re.MULTILINE))
    return f"{fields.get('model name', 'unknown')} (family {fields.get('cpu family')}, model {fields.get('model')})"


def heading(rounds: int, peers: Peers) -> list[str]:
    lines = [
        f"- {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {processor()}, kernels `{available_kernels()[0]}`, "
        f"Python {sys.version.split()[0]}",
        f"- `python benchmarks/compare_srtp.py --rounds {rounds} --keep` (what `make bench` runs), one core",
    ]
    return lines + [f"- left out: {reason}" for reason in peers.missing]


SIZE_COLUMNS = ("profile", "call", "20 B", "160 B", "1200 B")
RATIO_COLUMNS = ("what", "found", "at most")


def shown(title: str, columns: Row, rows: list[Row]) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in ("profile", "call", "what") else "right")
    for row in rows:
        table.add_row(*row)
    return table


def markdown(columns: Row, rows: list[Row]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, tuple("---" for _ in columns), *rows)]


def keep(found: Found, memory: dict[str, float], rounds: int, peers: Peers) -> None:
    """Writes the part of RESULTS.md between its marks, and the plot."""
    path = HERE / "RESULTS.md"
    before, _, rest = path.read_text().partition("<!-- srtp -->\n")
    after = rest.partition("<!-- /srtp -->\n")[2]
    lines = [
        *heading(rounds, peers),
        "",
        "Median nanoseconds per packet with a header of 12 bytes; in brackets the ratio to pylibsrtp doing the same, "
        "and of batches then the ratio to ipsec-mb.",
        "",
        *markdown(SIZE_COLUMNS, size_rows(found)),
        "",
        *markdown(RATIO_COLUMNS, ratio_rows(found, memory)),
    ]
    path.write_text(f"{before}<!-- srtp -->\n" + "\n".join(lines) + f"\n<!-- /srtp -->\n{after}")
    (HERE / "srtp.svg").write_text(
        plot({what[2]: value for what, value in found.items() if what[:2] == (PROFILES[0].name, "160")})
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--keep", action="store_true", help="write RESULTS.md and srtp.svg")
    arguments = parser.parse_args()
    memory = bytes_per_stream()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    peers = build(HERE.parent / "build" / "peers")
    found = measure(arguments.rounds, peers)
    console = Console(width=160)
    console.print("\n".join(heading(arguments.rounds, peers)))
    console.print(shown("ns per packet (ratio to pylibsrtp; of batches to ipsec-mb)", SIZE_COLUMNS, size_rows(found)))
    console.print(shown("ratios", RATIO_COLUMNS, ratio_rows(found, memory)))
    if arguments.keep:
        keep(found, memory, arguments.rounds, peers)


if __name__ == "__main__":
    main()
